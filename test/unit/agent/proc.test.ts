import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { cleanName, dispositionOf, parseArgv0, parseCgroup, parseStat, parseStatus } from '../../../src/core/kernel/proc.ts'
import { signalName } from '../../../src/core/kernel/signals.ts'

const UID = '84b61cdb-1111-2222-3333-0123456789ab'
const HASH = '3f3d0ce5e45a8f2f56bb2a2f6b1b4a2e'
const ID = 'c'.repeat(64)
const slice = `pod${UID.replaceAll('-', '_')}.slice`

describe('the cgroup of a process', () => {
  test.each([
    ['cgroupfs, v1', `12:pids:/kubepods/burstable/pod${UID}/${ID}`, undefined],
    ['cgroupfs, v2', `0::/kubepods/pod${UID}/${ID}`, undefined],
    [
      'systemd, v1, containerd',
      `4:cpu,cpuacct:/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-${slice}/cri-containerd-${ID}.scope`,
      'containerd',
    ],
    ['systemd, v2, containerd', `0::/kubepods.slice/kubepods-${slice}/cri-containerd-${ID}.scope`, 'containerd'],
    ['systemd, v2, CRI-O', `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-${slice}/crio-${ID}.scope`, 'cri-o'],
    ['cgroupfs, CRI-O', `0::/kubepods/besteffort/pod${UID}/crio-${ID}`, 'cri-o'],
    ['systemd, Docker', `0::/kubepods.slice/kubepods-${slice}/docker-${ID}.scope`, 'docker'],
    ['cgroupfs, Docker', `3:memory:/kubepods/besteffort/pod${UID}/${ID}`, undefined],
    [
      'kubelet with systemd, containerd without',
      `11:cpuset:/system.slice/containerd.service/kubepods-burstable-${slice}:cri-containerd:${ID}`,
      'containerd',
    ],
    ['seen from a cgroup namespace', `0::/../../kubepods-${slice}/cri-containerd-${ID}.scope`, 'containerd'],
    ['with cgroups of its own below', `0::/kubepods.slice/kubepods-${slice}/cri-containerd-${ID}.scope/init.scope`, 'containerd'],
    [
      'cgroupfs, v1, in a node that is a container',
      `5:memory:/docker/${'d'.repeat(64)}/kubelet/kubepods/burstable/pod${UID}/${ID}`,
      undefined,
    ],
    ['systemd, CRI-O, with a cgroup of crun below', `0::/kubepods.slice/kubepods-${slice}/crio-${ID}.scope/container`, 'cri-o'],
    [
      'a node that is a container',
      `0::/docker/${'d'.repeat(64)}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-${slice}/cri-containerd-${ID}.scope`,
      'containerd',
    ],
  ])('names pod and container: %s', (_, line, runtime) => {
    const text = `13:name=systemd:/\n${line}\n1:misc:/\n`
    expect(parseCgroup(text)).toEqual({ podUid: UID, containerId: ID, ...(runtime === undefined ? {} : { runtime }) })
  })

  test('of a static pod has the hash of its manifest', () => {
    expect(parseCgroup(`0::/kubepods/burstable/pod${HASH}/${ID}`)?.podUid).toBe(HASH)
    expect(parseCgroup(`0::/kubepods.slice/kubepods-pod${HASH}.slice/crio-${ID}.scope`)?.podUid).toBe(HASH)
  })

  test.each([
    ['a service of the node', '0::/system.slice/containerd.service'],
    ['a pod without a container', `0::/kubepods.slice/kubepods-${slice}`],
    ['conmon, which is the runtime', `0::/kubepods.slice/kubepods-${slice}/crio-conmon-${ID}.scope`],
    ['a container without a pod', `0::/system.slice/docker-${ID}.scope`],
    ['an id that is too long', `0::/kubepods/pod${UID}/${ID}0`],
    ['a name that only looks like it', `0::/user.slice/xpod${UID.slice(1)}/${ID}`],
    ['an id that is too short', `0::/kubepods/pod${UID}/${ID.slice(1)}`],
    ['an id that is no hexadecimal number', `0::/kubepods/pod${UID}/${ID.slice(1)}g`],
    ['a UID that is cut off', `0::/kubepods/pod${UID.slice(0, -1)}/${ID}`],
    ['a pod and a container in different lines', `1:pids:/kubepods/pod${UID}\n2:misc:/${ID}`],
    ['no fields', 'x'],
    ['lines that have nothing', ':\n::\n0::'],
    ['nothing', ''],
  ])('is of no container: %s', (_, text) => {
    expect(parseCgroup(text)).toBeUndefined()
  })
})

const STATUS = `Name:\tsh
Umask:\t0022
State:\tS (sleeping)
Tgid:\t13434
Ngid:\t0
Pid:\t13434
PPid:\t13420
NSpid:\t13434\t1
Threads:\t1
SigPnd:\t0000000000000000
SigBlk:\t0000000000010000
SigIgn:\t0000000000000004
SigCgt:\t0000000000004a02
`

describe('the status of a process', () => {
  test('is read whole', () => {
    expect(parseStatus(STATUS)).toEqual({
      tgid: 13434,
      parent: 13420,
      state: 'S',
      nsPids: [13434, 1],
      signals: { caught: 0x4a02n, ignored: 4n, blocked: 0x10000n },
    })
  })

  test('of this process is what the kernel of this machine writes', () => {
    const status = parseStatus(readFileSync('/proc/self/status', 'utf8'))
    expect(status).toMatchObject({ tgid: process.pid, parent: process.ppid })
    expect(status?.nsPids.at(-1)).toBe(process.pid)
  })

  test.each(['Tgid', 'PPid', 'State', 'NSpid', 'SigBlk', 'SigIgn', 'SigCgt'])('is nothing without its %s', (field) => {
    expect(parseStatus(STATUS.replace(new RegExp(`^${field}:.*\n`, 'm'), ''))).toBeUndefined()
    expect(parseStatus(STATUS.replace(new RegExp(`^${field}:.*$`, 'm'), `${field}:\t-`))).toSatisfy(
      (found) => found === undefined || field === 'State',
    )
  })

  test('tells what it does with a signal', () => {
    const signals = parseStatus(STATUS)?.signals
    if (signals === undefined) throw new Error('no status')
    expect(dispositionOf(signals, 15)).toBe('Handler')
    expect(dispositionOf(signals, 3)).toBe('Ignored')
    expect(dispositionOf(signals, 17)).toBe('Blocked')
    expect(dispositionOf(signals, 1)).toBe('Default')
    expect(dispositionOf(signals, 64)).toBe('Default')
    expect(dispositionOf({ caught: 0n, ignored: 1n << 63n, blocked: 1n << 63n }, 64)).toBe('Ignored')
    expect(dispositionOf({ caught: 0n, ignored: 0n, blocked: 1n << 63n }, 64)).toBe('Blocked')
    expect(dispositionOf({ caught: 0n, ignored: 0n, blocked: 1n << 63n }, 64, true)).toBe('Default')
  })
})

describe('the stat of a process', () => {
  const rest = `S 13420 13434 13434 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 679258 2703360 0`

  test.each(['sh', 'a b', '(x) S 1 2', ')))'])('is read whatever it calls itself: %s', (name) => {
    expect(parseStat(`13434 (${name}) ${rest}\n`)).toEqual({ state: 'S', parent: 13420, startTicks: 679258, exiting: false })
  })

  test('tells that it is ending, before it is dead and after', () => {
    expect(parseStat(`13434 (sh) ${rest.replace('4194560', '4194564')}`)).toMatchObject({ state: 'S', exiting: true })
    expect(parseStat(`13434 (sh) ${rest.replace('S', 'Z')}`)).toMatchObject({ state: 'Z', exiting: true })
  })

  test('of this process has its start', () => {
    const stat = parseStat(readFileSync('/proc/self/stat', 'utf8'))
    expect(stat?.parent).toBe(process.ppid)
    expect(stat?.startTicks).toBeGreaterThan(0)
  })

  test('is nothing where it is cut off', () => {
    expect(parseStat('13434 (sh) S 13420')).toBeUndefined()
    expect(parseStat('')).toBeUndefined()
  })
})

describe('names for a record', () => {
  test('have no control characters and are not long', () => {
    expect(cleanName('a\u001b[31m\nb')).toBe('a\u{fffd}[31m\u{fffd}b')
    expect(cleanName('x'.repeat(200))).toHaveLength(64)
  })

  test('argv[0] ends at its first space, where a title begins to tell more', () => {
    expect(parseArgv0('node\0--secret=1\0')).toBe('node')
    expect(parseArgv0('nginx: master process nginx -g daemon off;\0')).toBe('nginx:')
    expect(parseArgv0('postgres: alice shop [local]\0')).toBe('postgres:')
    expect(parseArgv0('/usr/bin/x')).toBe('/usr/bin/x')
    expect(parseArgv0('')).toBeUndefined()
    expect(parseArgv0('\0secret')).toBeUndefined()
  })

  test('signals have the names that Kubernetes has', () => {
    expect([1, 9, 15, 17, 31, 34, 37, 64].map(signalName)).toEqual([
      'SIGHUP',
      'SIGKILL',
      'SIGTERM',
      'SIGCHLD',
      'SIGSYS',
      'SIGRTMIN',
      'SIGRTMIN+3',
      'SIGRTMIN+30',
    ])
    expect(signalName(33)).toBe('signal 33')
  })
})
