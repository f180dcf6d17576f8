/** How long one termination shows that its pod needs, from nothing but the marks of its record. */
import type { Cause, ContainerEnd, Mark, MarkType, Outcome, PodTermination } from '../../api/pod-termination.ts'
import { type Micros, parseTime, SECOND } from '../time.ts'
import type { Bounded } from './quantiles.ts'

/** Ends to which the container came by itself; Failed is one, for it did end. */
const BY_ITSELF: ReadonlySet<Outcome | undefined> = new Set(['Graceful', 'Signalled', 'Failed'])
/** Who ends a pod so gives it less than it was set to have. */
const CUT_SHORT: ReadonlySet<Cause | undefined> = new Set([
  'Evicted',
  'NodeShutdown',
  'NodeLost',
  'ForceDeleted',
  'GarbageCollected',
])

/** The pod had less time than its grace period is set to: that it was killed says nothing of that setting. */
export const isCutShort = ({ cause, findings }: PodTermination): boolean =>
  CUT_SHORT.has(cause?.type) || (findings?.some(({ type }) => type === 'GraceShortened') ?? false)

/**
 * Seconds, of the slowest main container: from when the kubelet turned to it to its exit. Undefined where the record does not show it: marks are
 * missing or on different clocks, it was killed for another reason, or it was killed before its own time was over.
 */
export function needOf(record: PodTermination): Bounded | undefined {
  const mains = (record.containers ?? []).filter(({ role }) => role === 'Main')
  const needs = mains.map((container) => needOfContainer(container, record))
  // One that is not known may be the slowest.
  if (needs.length === 0 || needs.includes(undefined)) return undefined
  const known = needs.flatMap((need) => need ?? [])
  const greatest = (bound: keyof Bounded) => Math.max(...known.map((need) => need[bound]))
  return { least: greatest('least'), best: greatest('best'), most: greatest('most') }
}

/** Seconds that the longest preStop hook of a main container took: 0 without one, undefined where that is not known. */
export function hookOf({ containers = [], timeline = [] }: PodTermination): number | undefined {
  const hooks = containers.filter(({ role, preStop }) => role === 'Main' && preStop !== undefined)
  const seconds = hooks.map(({ name }) => {
    const markOf = (type: MarkType) => timeline.find(({ mark, container }) => mark === type && container === name)
    return between(markOf('PreStopStarted'), markOf('PreStopFinished'))?.best
  })
  const known = seconds.flatMap((value) => value ?? [])
  return known.length < seconds.length ? undefined : Math.max(0, ...known)
}

function needOfContainer({ name, outcome }: ContainerEnd, record: PodTermination): Bounded | undefined {
  const markOf = (type: MarkType) => record.timeline?.find(({ mark, container }) => mark === type && container === name)
  const need = between(markOf('PreStopStarted') ?? markOf('StopSignal'), markOf('ContainerExited'))
  if (need === undefined || BY_ITSELF.has(outcome)) return need
  if (outcome !== 'ForcedKill' || isCutShort(record)) return undefined
  return { ...need, best: need.least, most: Number.POSITIVE_INFINITY }
}

/** Times are subtracted on one clock, or not at all. */
function between(from: Mark | undefined, to: Mark | undefined): Bounded | undefined {
  if (from === undefined || to === undefined || from.clock !== to.clock) return undefined
  const distance = (start: string, end: string): Micros => (parseTime(end) ?? Number.NaN) - (parseTime(start) ?? Number.NaN)
  const best = distance(from.at, to.at)
  const bounds = [distance(from.latest, to.earliest), best, distance(from.earliest, to.latest)]
  if (bounds.some(Number.isNaN)) return undefined
  const [least = 0, , most = 0] = bounds.map((micros) => Math.max(0, micros / SECOND))
  const within = Math.min(Math.max(Math.max(0, best / SECOND), least), most)
  return { least, best: within, most }
}
