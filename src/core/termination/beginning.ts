/** When and how a termination began: the delete, the grace period that it gave, and whether the pod had ended before. */
import type { Clock, PodSnapshot } from '../evidence.ts'
import { type Micros, parseTime, SECOND } from '../time.ts'
import { isKubeletEnd } from './cause.ts'
import { Clocks, type Interval, interval } from './clocks.ts'
import { deletionFloor, type History } from './history.ts'
import { tightenNodeClock } from './kubelet-events.ts'
import type { ContainerContext } from './stop-rules.ts'

/** Start of the termination, with the clock that says so. */
interface Start {
  readonly at: Interval
  readonly clock: Clock
}

/**
 * Whether the pod had ended, on its own or by the kubelet, before anybody asked for its deletion. Where it was first seen with both,
 * the containers' own times have to tell; a pod that always restarts its containers has no other end than being told to.
 */
export function endedBeforeDeletion(history: History): 'Yes' | 'No' | 'Maybe' {
  const { deletion, terminal } = history
  if (terminal === undefined) return 'No'
  if (deletion === undefined) return 'Yes'
  if (deletion !== terminal) return history.pods.indexOf(terminal) < history.pods.indexOf(deletion) ? 'Yes' : 'No'
  if (deletion.pod.restartPolicy === 'Always' && !isKubeletEnd(deletion.pod)) return 'No'
  const clocks = tightenNodeClock(history, Clocks.of(history.clocks), undefined, undefined)
  const asked = deletionFloor(deletion)
  const due = parseTime(deletion.pod.deletionTimestamp)
  const ends = exits(deletion.pod)
  // One that the kubelet lost has no time, and may have been the last to end.
  const all = ends.length > 0 && ends.length === deletion.pod.statuses.length
  if (all && asked !== undefined && ends.every((end) => clocks.latest(end + SECOND, 'Node', 'APIServer') <= asked)) return 'Yes'
  // The delete came no later than the time that it asked for.
  return due !== undefined && ends.some((end) => clocks.earliest(end, 'Node', 'APIServer') > due + SECOND) ? 'No' : 'Maybe'
}

const exits = (pod: PodSnapshot): Micros[] => pod.statuses.flatMap((status) => parseTime(status.terminated?.finishedAt) ?? [])

export function startOf(history: History, clocks: Clocks, ended: boolean): Start | undefined {
  const { deletion } = history
  if (deletion === undefined || ended) return undefined
  // What the deletion led to came after it: its own arrival, and the endpoints that it took out.
  const first = Math.min(
    deletion.arrivedAt,
    ...history.endpoints.flatMap((fact) => (fact.terminating && fact.arrivedAt > 0 ? [fact.arrivedAt] : [])),
  )
  const arrived = clocks.latest(first, 'Recorder', 'APIServer')
  const best = clocks.best(first, 'Recorder', 'APIServer')
  const floor = deletionFloor(deletion)
  if (floor === undefined) {
    const created = parseTime(deletion.pod.creationTimestamp) ?? arrived - 86_400 * SECOND
    const due = parseTime(deletion.pod.deletionTimestamp)
    const latest = due === undefined ? arrived : Math.min(arrived, due + SECOND)
    return { at: interval(created, latest, latest), clock: 'APIServer' }
  }
  return { at: interval(floor, arrived >= floor ? Math.min(floor + SECOND, arrived) : floor + SECOND, best), clock: 'APIServer' }
}

/** The kubelet turns to the containers only after the deletion. */
export function beforeKilling(start: Start, killing: Interval, clocks: Clocks): Start {
  const { at, clock } = start
  const latest = clocks.latest(killing.latest, 'Node', clock)
  const best = clocks.best(killing.at, 'Node', clock) - 1000
  if (latest < at.earliest) return start
  return { at: interval(at.earliest, Math.min(at.latest, latest), Math.min(at.at, best)), clock }
}

/**
 * @param cause why the pod ends: without a delete it tells which grace period the kubelet takes
 */
export function graceRange(history: History, stopped: boolean, cause: string, clocks: Clocks): ContainerContext['grace'] {
  const { deletion, last } = history
  const spec = last?.graceSeconds ?? 30
  if (deletion === undefined && history.removal?.change === 'Vanished') return { low: 0, high: Number.POSITIVE_INFINITY }
  if (deletion === undefined) return cause === 'DeadlineExceeded' || !stopped ? { low: spec, high: spec } : { low: 0, high: spec }
  const first = deletion.pod.deletionGracePeriodSeconds ?? spec
  const asked = history.pods.flatMap(({ pod }) => pod.deletionGracePeriodSeconds ?? []).filter((grace) => grace > 0)
  // The last delete, found in a list, hides whether one before had asked for less.
  const hidden = history.pods.some(({ change, pod }) => change === 'Listed' && pod.deletionGracePeriodSeconds === 0)
  const low = Math.min(first, ...asked, ...(hidden ? [0] : []))
  // What a list shows may have been shortened already; then the delete before had asked for more, as the pod's spec has it.
  const more = deletionFloor(deletion) === undefined ? Number.POSITIVE_INFINITY : deletion.change === 'Listed' ? spec : 0
  const high = Math.max(first, ...asked, more)
  const lowered = hidden ? undefined : history.pods.find(({ pod }) => pod.deletionGracePeriodSeconds === low)
  return { low, high, ...(lowered === undefined ? {} : { loweredBy: clocks.latest(lowered.arrivedAt, 'Recorder', 'Node') }) }
}
