/** Facts of all containers of a pod -> the field `kernel` of its record, and how two of them, before and after a gap, become one. */
import type { KernelContainer, KernelFacts, KernelGap, KernelSignal } from '../../api/kernel.ts'
import { MAX_GAPS, MAX_KERNEL_CONTAINERS, MAX_NOTES, MAX_OOM_KILLS, MAX_PROCESSES, MAX_SIGNALS } from '../../api/kernel-limits.ts'
import type { Interval, Offset } from '../termination/clocks.ts'
import { formatTime, type Micros } from '../time.ts'
import { type ContainerContext, summariseContainer } from './container.ts'
import type { ContainerEvidence, TraceGap } from './facts.ts'

/** What the pod's object says of a container. */
export type ContainerNaming = Pick<ContainerContext, 'name' | 'containerID' | 'execPreStop' | 'execProbes'>

export interface PodEvidence {
  readonly node: string
  readonly containers: readonly (ContainerNaming & { readonly evidence: ContainerEvidence })[]
  /** Monotonic, as all times here. The trace began, and was read up to. */
  readonly tracedFrom: Micros
  readonly tracedUntil: Micros
  readonly complete: boolean
  /** The pod's end was not asked for before this; absent where that is not known. */
  readonly endingFrom?: Micros
  readonly gaps: readonly TraceGap[]
  readonly wall: (mono: Micros) => Interval
  readonly wallClockSet: boolean
  /** API server - node. */
  readonly apiServerClock?: Offset
}

/** Entries of all containers together, so that a pod of hundreds still fits into an object. */
const ALL_PROCESSES = 512
const ALL_SIGNALS = 512

const share = (all: number, count: number, least: number, most: number) =>
  Math.max(least, Math.min(most, Math.floor(all / Math.max(1, count))))

export function summarisePod(pod: PodEvidence): KernelFacts {
  const count = pod.containers.length
  const room = { processes: share(ALL_PROCESSES, count, 2, MAX_PROCESSES), signals: share(ALL_SIGNALS, count, 4, MAX_SIGNALS) }
  const context = {
    ...(pod.endingFrom === undefined ? {} : { endingFrom: pod.endingFrom }),
    now: pod.tracedUntil,
    gaps: pod.gaps,
    wall: pod.wall,
    room,
  }
  const containers = pod.containers
    .map(({ evidence, ...naming }) => summariseContainer(evidence, { ...context, ...naming }))
    .sort((a, b) => compare(`${a.name ?? '~'} ${a.containerID}`, `${b.name ?? '~'} ${b.containerID}`))
  const gaps = pod.gaps.map(
    ({ from, to, reason }): KernelGap => ({
      ...(from === undefined ? {} : { from: formatTime(pod.wall(from).earliest) }),
      to: formatTime(pod.wall(to).latest),
      reason: reason.slice(0, 256),
    }),
  )
  const clock = pod.apiServerClock
  return {
    node: pod.node,
    tracedFrom: formatTime(pod.wall(pod.tracedFrom).latest),
    tracedUntil: formatTime(pod.wall(pod.tracedUntil).earliest),
    complete: pod.complete,
    ...(clock === undefined
      ? {}
      : {
          apiServerClock: {
            earliestMicroseconds: Math.floor(clock.earliest),
            latestMicroseconds: Math.ceil(clock.latest),
          },
        }),
    ...(pod.wallClockSet ? { wallClockSet: true } : {}),
    lostEvents: pod.gaps.reduce((sum, { lost }) => sum + lost, 0),
    ...(gaps.length === 0 ? {} : { gaps: shorten(gaps) }),
    ...(containers.length === 0 ? {} : { containers: containers.slice(0, MAX_KERNEL_CONTAINERS) }),
  }
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Too many gaps are told as one, from the first of those that have no room to the last. */
function shorten(gaps: readonly KernelGap[]): KernelGap[] {
  const sorted = [...gaps].sort((a, b) => compare(a.from ?? '', b.from ?? ''))
  if (sorted.length <= MAX_GAPS) return sorted
  const kept = sorted.slice(0, MAX_GAPS - 1)
  const rest = sorted.slice(MAX_GAPS - 1)
  const from = rest[0]?.from
  const to =
    rest
      .map((gap) => gap.to)
      .sort()
      .at(-1) ?? ''
  return [
    ...kept,
    { ...(from === undefined ? {} : { from }), to, reason: `${rest.length} gaps, the first: ${rest[0]?.reason}`.slice(0, 256) },
  ]
}

const AWAY = 'the agent was not running'

/**
 * What an agent wrote before it ended, and what the one after it saw. Facts of the first stay; what it had not seen, and would have
 * seen in the gap, is not claimed not to have been.
 */
export function mergeKernel(before: KernelFacts, after: KernelFacts): KernelFacts {
  const gaps = [
    ...(before.gaps ?? []),
    ...(before.tracedUntil < after.tracedFrom ? [{ from: before.tracedUntil, to: after.tracedFrom, reason: AWAY }] : []),
    ...(after.gaps ?? []),
  ]
  const later = new Map((after.containers ?? []).map((container) => [idOf(container), container]))
  const merged = (before.containers ?? []).map((container) => {
    const again = later.get(idOf(container))
    later.delete(idOf(container))
    return again === undefined ? container : mergeContainer(container, again)
  })
  const containers = [...merged, ...later.values()]
    .sort((a, b) => compare(`${a.name ?? '~'} ${a.containerID}`, `${b.name ?? '~'} ${b.containerID}`))
    .slice(0, MAX_KERNEL_CONTAINERS)
  return {
    ...after,
    tracedFrom: [before.tracedFrom, after.tracedFrom].sort()[0] ?? after.tracedFrom,
    ...(before.wallClockSet === true ? { wallClockSet: true } : {}),
    lostEvents: before.lostEvents + after.lostEvents,
    ...(gaps.length === 0 ? {} : { gaps: shorten(gaps) }),
    ...(containers.length === 0 ? {} : { containers }),
  }
}

/** The runtime's own id, whether its name stands in front or not. */
const idOf = ({ containerID }: KernelContainer) => containerID.slice(containerID.lastIndexOf('/') + 1)

function mergeContainer(before: KernelContainer, after: KernelContainer): KernelContainer {
  const all = mergeSignals(before.signals ?? [], after.signals ?? [])
  const signals = all.slice(0, MAX_SIGNALS)
  const more = (before.signalsMore ?? 0) + (after.signalsMore ?? 0) + all.length - signals.length
  const processes =
    before.stopSignal !== undefined ? (before.processes ?? after.processes) : (after.processes ?? before.processes)
  const oomKills = [...(before.oomKills ?? []), ...(after.oomKills ?? [])].slice(0, MAX_OOM_KILLS)
  const notes = [...new Set([...(before.notes ?? []), ...(after.notes ?? [])])].slice(0, MAX_NOTES)
  const passedOn = mergePassedOn(before, after)
  return {
    ...before,
    ...after,
    ...(after.pidNamespace === 'Unknown' ? { pidNamespace: before.pidNamespace } : {}),
    ...(before.stopSignal === undefined ? {} : { stopSignal: before.stopSignal }),
    ...(before.kill === undefined ? {} : { kill: before.kill }),
    ...(before.process !== undefined && (before.stopSignal !== undefined || after.process === undefined)
      ? { process: before.process }
      : {}),
    ...(passedOn === undefined ? {} : { passedOn }),
    ...(processes === undefined ? {} : { processes }),
    ...(oomKills.length === 0 ? {} : { oomKills }),
    ...(signals.length === 0 ? {} : { signals }),
    ...(more === 0 ? {} : { signalsMore: more }),
    ...(notes.length === 0 ? {} : { notes }),
  }
}

function mergePassedOn(before: KernelContainer, after: KernelContainer): KernelContainer['passedOn'] {
  if (before.passedOn?.result === 'PassedOn') {
    const last = after.passedOn?.last
    return last === undefined ? before.passedOn : { ...before.passedOn, last }
  }
  if (after.passedOn?.result === 'PassedOn') return after.passedOn
  if (before.passedOn === undefined && after.passedOn === undefined) return undefined
  if (before.passedOn === undefined) return after.passedOn
  return { result: 'Unknown', reason: `${AWAY} all the time` }
}

function mergeSignals(before: readonly KernelSignal[], after: readonly KernelSignal[]): KernelSignal[] {
  const known = new Set(before.map((signal) => JSON.stringify(signal)))
  return [...before, ...after.filter((signal) => !known.has(JSON.stringify(signal)))].sort((a, b) => compare(a.at, b.at))
}
