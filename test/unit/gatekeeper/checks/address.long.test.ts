import { describe, expect, test } from 'vitest'
import { addressRefusal } from '../../../../src/controllers/gatekeeper/checks/address.ts'

const refusal = (podIP: string, hostIPs: readonly string[] = ['192.168.7.10', 'fd00:7::10'], hostNetwork = false) =>
  addressRefusal({ podIP, hostIPs, hostNetwork })

describe('a pod may be asked at an address of its own', () => {
  test.each([
    '10.244.0.5',
    '172.16.3.4',
    '100.64.1.2',
    '192.168.7.11',
    // Clusters that have run out of private addresses use this range for pods.
    '240.1.2.3',
    '8.8.8.8',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '223.255.255.255',
    '255.255.255.254',
    'fd00:10:244::5',
    '2001:db8::1',
    'fd00:7::11',
    'fe00::1',
    'fec0::1',
    '::ffff:10.244.0.5',
    '64:ff9b::10.244.0.5',
    '1::',
  ])('%s', (address) => expect(refusal(address)).toBeUndefined())
})

describe('a pod is not asked where something else may answer', () => {
  test.each([
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['169.254.0.0', 'link-local'],
    ['169.254.169.254', 'link-local'],
    ['169.254.255.255', 'link-local'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['0:0:0:0:0:0:0:0', 'unspecified'],
    ['::1', 'loopback'],
    ['0000:0000:0000:0000:0000:0000:0000:0001', 'loopback'],
    ['fe80::1', 'link-local'],
    ['FE80::1', 'link-local'],
    ['febf:ffff::1', 'link-local'],
    ['ff02::1', 'multicast'],
    ['ffff::1', 'multicast'],
  ])('%s: %s', (address, what) => {
    expect(refusal(address)).toBe(
      `its address ${address} is ${what === 'unspecified' ? 'an' : what === 'broadcast' ? 'the' : 'a'} ${what} address`,
    )
  })

  // Each of them reaches the IPv4 address in it, by the kernel or by a translator on the way.
  test.each([
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['0:0:0:0:0:ffff:7f00:0001', 'loopback'],
    ['::FFFF:169.254.169.254', 'link-local'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['::ffff:0.0.0.0', 'unspecified'],
    ['::ffff:224.0.0.1', 'multicast'],
    ['::127.0.0.1', 'loopback'],
    ['::7f00:1', 'loopback'],
    ['64:ff9b::169.254.169.254', 'link-local'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['2002:7f00:1::', 'loopback'],
    ['2002:a9fe:a9fe::1', 'link-local'],
  ])('%s, which stands for an IPv4 address: %s', (address, what) => expect(refusal(address)).toContain(what))

  test.each([
    ['192.168.7.10', ['192.168.7.10']],
    ['192.168.7.10', ['fd00:7::10', '192.168.7.10']],
    ['fd00:7::10', ['192.168.7.10', 'fd00:7::10']],
    ['FD00:7:0:0::10', ['fd00:7::10']],
    ['::ffff:192.168.7.10', ['192.168.7.10']],
    ['::ffff:c0a8:70a', ['192.168.7.10']],
    ['64:ff9b::192.168.7.10', ['192.168.7.10']],
    ['192.168.7.10', ['::ffff:192.168.7.10']],
  ])('%s on a node with %j', (address, hostIPs) => expect(refusal(address, hostIPs)).toContain('one of its node'))

  test('whatever its address is, where it is in the network of its node', () => {
    expect(refusal('10.244.0.5', [], true)).toContain('hostNetwork')
  })

  test.each([
    '',
    'localhost',
    'metadata.google.internal',
    '10.0.0',
    '010.0.0.1',
    '10.0.0.1.',
    '0x7f.0.0.1',
    '2130706433',
    '10.0.0.1:80',
    '[fd00::1]',
    'fe80::1%eth0',
    'fd00::1%1',
    '10.0.0.1/24',
    'fd00:::1',
    '10.0.0.1 ',
  ])('%j, which is no address that can be told apart from a name', (address) =>
    expect(refusal(address)).toContain('no IP address'),
  )
})

test('each of the 2^16 upper halves of IPv4 is judged as its registry has it, mapped or not', () => {
  const special = (first: number, second: number) =>
    first === 0 || first === 127 || (first === 169 && second === 254) || (first >= 224 && first <= 239)
  for (let half = 0; half < 0x10000; half++) {
    const [first, second] = [half >> 8, half & 0xff]
    const address = `${first}.${second}.3.4`
    if ((refusal(address) !== undefined) !== special(first, second)) expect.fail(address)
    if ((refusal(`::ffff:${address}`) !== undefined) !== special(first, second)) expect.fail(`::ffff:${address}`)
  }
})
