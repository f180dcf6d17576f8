/** Texts of /proc: which container a process is in, who its parent is, what it does with signals. */

export type RuntimeName = 'containerd' | 'cri-o' | 'docker'

export interface CgroupPlace {
  /** UID of the pod as its cgroup has it: for static pods that is the hash of their manifest (kubernetes.io/config.hash). */
  readonly podUid: string
  /** 64 hexadecimal digits. */
  readonly containerId: string
  /** Absent where the name does not say it, as under the cgroupfs driver. */
  readonly runtime?: RuntimeName
}

/** `pod<uid>` (cgroupfs), `…-pod<uid with _>.slice` (systemd). Static pods have 32 digits without dashes. */
const POD = String.raw`(?:^|[/-])pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?`
/**
 * The container's own cgroup, after the pod's: `/<id>` (containerd, Docker), `/crio-<id>`, `/cri-containerd-<id>.scope` and the like
 * (systemd), and `:cri-containerd:<id>`, where the kubelet has the systemd driver and containerd has not. conmon's, which is the
 * runtime's own (`crio-conmon-<id>`), is no container.
 */
const PLACE = new RegExp(`${POD}(?:/|:)(?:(cri-containerd|crio|docker)[-:])?([0-9a-f]{64})(?:\\.scope)?(?:/|$)`)
const RUNTIMES: Readonly<Record<string, RuntimeName>> = { 'cri-containerd': 'containerd', crio: 'cri-o', docker: 'docker' }

/**
 * /proc/<pid>/cgroup -> the container, from any hierarchy of cgroup v1 or the one of v2. A container may have cgroups of its own
 * below. Undefined for a process of no container of Kubernetes.
 */
export function parseCgroup(text: string): CgroupPlace | undefined {
  for (const line of text.split('\n')) {
    const path = line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1)
    const match = PLACE.exec(path)
    if (match === null) continue
    const [, uid = '', prefix, containerId = ''] = match
    const runtime = prefix === undefined ? undefined : RUNTIMES[prefix]
    return { podUid: uid.replaceAll('_', '-'), containerId, ...(runtime === undefined ? {} : { runtime }) }
  }
  return undefined
}

/** What a process does with each signal, as bit masks: bit 0 is signal 1. */
export interface SignalMasks {
  readonly caught: bigint
  readonly ignored: bigint
  /** Of the main thread. Programs that wait for signals (sigwait, signalfd) block them. */
  readonly blocked: bigint
}

export interface ProcessStatus {
  /** The process, where the text is a thread's. */
  readonly tgid: number
  readonly parent: number
  /** R, S, D, Z, X, … */
  readonly state: string
  /** Its ids from the reader's PID namespace down to its own. */
  readonly nsPids: readonly number[]
  readonly signals: SignalMasks
}

/** /proc/<pid>/status; undefined where a line is missing that every Linux from 4.1 on has. */
export function parseStatus(text: string): ProcessStatus | undefined {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(text)?.[1]
  const mask = (name: string) => {
    const hex = field(name)
    return hex !== undefined && /^[0-9a-f]+$/.test(hex) ? BigInt(`0x${hex}`) : undefined
  }
  const caught = mask('SigCgt')
  const ignored = mask('SigIgn')
  const blocked = mask('SigBlk')
  const tgid = wholeOf(field('Tgid'))
  const parent = wholeOf(field('PPid'))
  const state = /^[A-Za-z]/.exec(field('State') ?? '')?.[0]
  const nsPids = (field('NSpid') ?? '').split(/\s+/).filter(Boolean).map(wholeOf)
  const whole = [tgid, parent, ...nsPids].every(isWhole) && nsPids.length > 0
  if (!whole || state === undefined || caught === undefined || ignored === undefined || blocked === undefined) return undefined
  return { tgid, parent, state, nsPids, signals: { caught, ignored, blocked } }
}

export interface ProcessStat {
  readonly state: string
  readonly parent: number
  /** Ticks since boot: with the pid it names one process for good. */
  readonly startTicks: number
  /** On its way out or dead: under cgroup v1 the kernel says of it that it is in the root cgroup (proc_cgroup_show). */
  readonly exiting: boolean
}

/** PF_EXITING (include/linux/sched.h), among the flags of a process in its stat. */
const EXITING = 4

/** /proc/<pid>/stat. The name in it may hold brackets and spaces, so fields are counted from the last bracket. */
export function parseStat(text: string): ProcessStat | undefined {
  const rest = text
    .slice(text.lastIndexOf(')') + 1)
    .trim()
    .split(' ')
  const [state = ''] = rest
  const [parent, flags, startTicks] = [1, 6, 19].map((index) => wholeOf(rest[index]))
  if (!/^[A-Za-z]$/.test(state) || !isWhole(parent) || !isWhole(flags) || !isWhole(startTicks)) return undefined
  return { state, parent, startTicks, exiting: isDead(state) || (flags & EXITING) !== 0 }
}

/** NaN for what is no number as the kernel writes one. */
const wholeOf = (text: string | undefined): number => (text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN)
const isWhole = (value: number | undefined): value is number => Number.isSafeInteger(value)

/** Ended, and waiting for its parent to take note. */
export const isDead = (state: string): boolean => state === 'Z' || state === 'X' || state === 'x'

/**
 * Handler: a function of the program is called. Blocked: the kernel keeps it until the program asks, as tini, s6 and systemd do.
 * Ignored: it is thrown away. Default: the kernel's own action, which for PID 1 of a namespace is to throw it away.
 */
export type Disposition = 'Handler' | 'Blocked' | 'Ignored' | 'Default'

/**
 * @param dropped the kernel has dropped the signal, so it was not blocked at that moment: shells block everything for some
 * microseconds around each wait, and a look can fall into that
 */
export function dispositionOf({ caught, ignored, blocked }: SignalMasks, signal: number, dropped = false): Disposition {
  const bit = 1n << BigInt(signal - 1)
  if ((caught & bit) !== 0n) return 'Handler'
  if ((ignored & bit) !== 0n) return 'Ignored'
  // A signal that is blocked is never dropped when it comes, for it may be unblocked with a handler (kernel/signal.c, sig_ignored).
  return (blocked & bit) !== 0n && !dropped ? 'Blocked' : 'Default'
}

const MAX_NAME = 64

/** For a record and for terminals: no control characters, and not long. */
export function cleanName(text: string): string {
  // Cut first: half of a character that it leaves is replaced as well.
  return text.slice(0, MAX_NAME).replace(/\p{C}/gu, '\u{fffd}')
}

/**
 * The beginning of /proc/<pid>/cmdline -> argv[0] up to its first space: programs that set their own title write their arguments,
 * and more, into argv[0]. Undefined for a process without arguments (kernel threads, zombies).
 */
export function parseArgv0(text: string): string | undefined {
  const [first = ''] = text.split(/[\0\s]/, 1)
  return first === '' ? undefined : cleanName(first)
}
