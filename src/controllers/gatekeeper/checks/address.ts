/** Which addresses a check may ask: those of pods, and of nothing else. Pure. */
import { isIPv4, isIPv6 } from 'node:net'

type Bytes = readonly number[]

interface Range {
  readonly prefix: Bytes
  readonly bits: number
  /** As in "is a loopback address". */
  readonly what: string
}

/** RFC 6890 and the registries that it began (iana-ipv4-special-registry, iana-ipv6-special-registry). */
const REFUSED_4: readonly Range[] = [
  { prefix: [0], bits: 8, what: 'an unspecified address' },
  { prefix: [127], bits: 8, what: 'a loopback address' },
  // Cloud providers serve credentials of the node here.
  { prefix: [169, 254], bits: 16, what: 'a link-local address' },
  { prefix: [224], bits: 4, what: 'a multicast address' },
  { prefix: [255, 255, 255, 255], bits: 32, what: 'the broadcast address' },
]
const REFUSED_6: readonly Range[] = [
  { prefix: new Array<number>(16).fill(0), bits: 128, what: 'an unspecified address' },
  { prefix: [...new Array<number>(15).fill(0), 1], bits: 128, what: 'a loopback address' },
  { prefix: [0xfe, 0x80], bits: 10, what: 'a link-local address' },
  { prefix: [0xff], bits: 8, what: 'a multicast address' },
]
/** IPv6 addresses that stand for an IPv4 address, and where it begins in them: whoever connects to one reaches the other. */
const EMBEDDING: readonly { readonly prefix: Bytes; readonly bits: number; readonly at: number }[] = [
  // IPv4-mapped and IPv4-compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
  { prefix: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], bits: 96, at: 12 },
  { prefix: new Array<number>(12).fill(0), bits: 96, at: 12 },
  { prefix: [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], bits: 96, at: 12 },
  { prefix: [0x20, 0x02], bits: 16, at: 2 },
]

export interface AddressedPod {
  readonly podIP: string
  readonly hostIPs: readonly string[]
  readonly hostNetwork: boolean
}

/**
 * Why a pod must not be asked at its address, as the end of a sentence ("… is not asked: its address …"); undefined: it may be. What is
 * refused: pods in the network of their node, addresses of the node, loopback, link-local, multicast, broadcast, unspecified, also as
 * IPv6 addresses that stand for such an IPv4 address, and whatever is no address (a host name would have to be looked up).
 */
export function addressRefusal({ podIP, hostIPs, hostNetwork }: AddressedPod): string | undefined {
  if (hostNetwork) return 'it is in the network of its node (hostNetwork), where other things listen too'
  const address = bytesOf(podIP)
  if (address === undefined) return `its address "${podIP}" is no IP address`
  const forms = [address, ...embeddedIn(address)]
  for (const form of forms) {
    const range = (form.length === 4 ? REFUSED_4 : REFUSED_6).find((it) => within(form, it))
    if (range !== undefined) return `its address ${podIP} is ${range.what}`
  }
  for (const hostIP of hostIPs) {
    const host = bytesOf(hostIP)
    if (host === undefined) continue
    const hosts = [host, ...embeddedIn(host)]
    if (forms.some((form) => hosts.some((it) => same(form, it)))) return `its address ${podIP} is one of its node`
  }
  return undefined
}

/** 4 bytes, or 16; undefined where the text is no address, or one with a zone. */
function bytesOf(text: string): Bytes | undefined {
  if (isIPv4(text)) return text.split('.').map(Number)
  if (!isIPv6(text) || text.includes('%')) return undefined
  // The URL parser writes any form in one way: eight groups, one run of zeros shortened, no dots.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'))
  const [first, last] = [groups(head), groups(tail)]
  const all = tail === undefined ? first : [...first, ...new Array<string>(8 - first.length - last.length).fill('0'), ...last]
  return all.flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

function embeddedIn(address: Bytes): Bytes[] {
  if (address.length === 4) return []
  return EMBEDDING.filter((it) => within(address, it)).map(({ at }) => address.slice(at, at + 4))
}

function within(address: Bytes, { prefix, bits }: Pick<Range, 'prefix' | 'bits'>): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = bits - bit >= 8 ? 0xff : (0xff << (8 - (bits - bit))) & 0xff
    if (((address[bit / 8] ?? 0) & mask) !== ((prefix[bit / 8] ?? 0) & mask)) return false
  }
  return true
}

const same = (a: Bytes, b: Bytes): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])
