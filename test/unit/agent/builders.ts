/** Facts of a container, in sentences. Times are milliseconds of the monotonic clock; the wall clock is BOOT ahead. */
import { type ContainerContext, summariseContainer } from '../../../src/core/kernel/container.ts'
import type { ContainerEvidence, ContainerFact, ProcessView, Sender } from '../../../src/core/kernel/facts.ts'
import type { SignalMasks } from '../../../src/core/kernel/proc.ts'
import { formatTime } from '../../../src/core/time.ts'

const BOOT = 1_767_225_600_000_000
export const wall = (mono: number) => ({ earliest: mono + BOOT, at: mono + BOOT, latest: mono + BOOT })
/** The time of a record that is `ms` after the machine began. */
export const at = (ms: number) => formatTime(BOOT + ms * 1000)

export const RUNC: Sender = { pid: 500, comm: 'runc', origin: 'Runtime' }
export const GONE: Sender = { pid: 501, comm: 'runc', origin: 'Unknown' }
const bit = (signal: number) => 1n << BigInt(signal - 1)
export const NOTHING: SignalMasks = { caught: 0n, ignored: 0n, blocked: 0n }
export const handles = (signal: number): SignalMasks => ({ ...NOTHING, caught: bit(signal) })
export const ignores = (signal: number): SignalMasks => ({ ...NOTHING, ignored: bit(signal) })
export const blocks = (signal: number): SignalMasks => ({ ...NOTHING, blocked: bit(signal) })

export const signal = (
  ms: number,
  number: number,
  more: {
    result?: number
    code?: number
    sender?: Sender
    to?: 'First' | 'Below' | 'Exec' | 'Unknown'
    pid?: number
    comm?: string
  } = {},
): ContainerFact => ({
  type: 'Signal',
  mono: ms * 1000,
  number,
  code: more.code ?? 0,
  result: more.result ?? 0,
  sender: more.sender ?? RUNC,
  target: { pid: more.pid ?? 100, comm: more.comm ?? 'app', part: more.to ?? 'First' },
})

export const exit = (ms: number, how: 'Exited' | 'Killed' | 'Dumped' | 'Unknown' = 'Exited', until = ms): ContainerFact => ({
  type: 'Exit',
  pid: 100,
  part: 'First',
  earliest: ms * 1000,
  latest: until * 1000,
  how,
})

export const first = (signals: SignalMasks = NOTHING): ProcessView => ({
  pid: 100,
  nsPid: 1,
  nsParent: 0,
  part: 'First',
  comm: 'app',
  argv0: '/app',
  startedBefore: 0,
  signals,
})
export const child = (pid: number, comm = 'worker', startedMs = 0, nsParent = 1): ProcessView => ({
  pid,
  nsPid: pid - 99,
  nsParent,
  part: 'Below',
  comm,
  startedBefore: startedMs * 1000,
  signals: NOTHING,
})
export const look = (ms: number, processes: readonly ProcessView[], more = 0): ContainerFact => ({
  type: 'Look',
  from: ms * 1000,
  to: ms * 1000 + 100,
  processes,
  more,
})
/** Made while the container process was ending. */
export const partial = (fact: ContainerFact): ContainerFact => (fact.type === 'Look' ? { ...fact, partial: true } : fact)

export const evidence = (facts: readonly ContainerFact[], more: Partial<ContainerEvidence> = {}): ContainerEvidence => ({
  containerId: 'c'.repeat(64),
  runtime: 'containerd',
  pidNamespace: 'Container',
  facts,
  dropped: 0,
  ...more,
})

export const context = (more: Partial<ContainerContext> = {}): ContainerContext => ({
  name: 'app',
  execPreStop: false,
  execProbes: false,
  now: 60_000_000,
  gaps: [],
  wall,
  room: { processes: 32, signals: 64 },
  ...more,
})

export const summary = (
  facts: readonly ContainerFact[],
  more: { evidence?: Partial<ContainerEvidence>; context?: Partial<ContainerContext> } = {},
) => summariseContainer(evidence(facts, more.evidence), context(more.context))
