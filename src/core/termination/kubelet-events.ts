/** Kubelet Events of a pod as times on the node's clock. */
import type { EventFact, EventSnapshot } from '../evidence.ts'
import { MILLISECOND, parseTime, SECOND } from '../time.ts'
import { type Clocks, type Interval, interval } from './clocks.ts'
import type { History } from './history.ts'

const COMBINED = '(combined from similar events): '
const STOPPING = /^Stopping container (\S+)$/

/**
 * When the emitter first made this Event. A core/v1 Event is named `<object>.<hex of UnixNano>` (client-go tools/record), which
 * has nanoseconds where firstTimestamp has seconds. A suffix that does not agree with firstTimestamp is some other name.
 */
export function firstOccurrence(event: EventSnapshot): Interval | undefined {
  const first = parseTime(event.firstTimestamp ?? event.eventTime)
  const suffix = /\.([0-9a-f]{16})$/.exec(event.name)?.[1]
  if (suffix !== undefined) {
    const nanos = BigInt(`0x${suffix}`)
    const micros = Number(nanos / 1000n)
    // A version of an Event that counts more than one occurrence keeps its name and its firstTimestamp.
    if (first === undefined || Math.abs(micros - first) < 2 * SECOND) return interval(micros, micros + 1, micros)
  }
  return first === undefined ? undefined : interval(first, first + SECOND)
}

/** When the version of the Event that is at hand was last patched: one second wide, where it counts more than one occurrence. */
function lastOccurrence(event: EventSnapshot): Interval | undefined {
  const last = parseTime(event.lastTimestamp)
  const first = firstOccurrence(event)
  return last === undefined ? first : interval(Math.max(last, first?.earliest ?? last), last + SECOND)
}

const text = (event: EventSnapshot): string =>
  event.message.startsWith(COMBINED) ? event.message.slice(COMBINED.length) : event.message

/** Container that an Event is about. A combined Event keeps the fieldPath of its first occurrence, so its message goes first. */
function containerOf(event: EventSnapshot): string | undefined {
  return STOPPING.exec(text(event))?.[1] ?? event.container
}

/** One occurrence, no later than it arrived. */
function occurrence({ event, arrivedAt }: EventFact, clocks: Clocks): Interval | undefined {
  const at = event.count > 1 ? lastOccurrence(event) : firstOccurrence(event)
  if (at === undefined) return undefined
  const arrival = clocks.latest(arrivedAt, 'Recorder', 'Node')
  return arrival < at.latest && arrival >= at.earliest ? interval(at.earliest, arrival, at.at) : at
}

export interface KubeletEvents {
  /** Killing of this container for this termination, in order; the first is when the kubelet turned to it. */
  readonly killings: (container: string) => readonly Interval[]
  readonly preStopFailures: (container: string) => readonly Interval[]
  /** Earliest and latest Killing of any container. */
  readonly firstKilling: Interval | undefined
  readonly lastKilling: Interval | undefined
}

/** Where nobody saw when the end began, an Event may as well be of an earlier stop: of a probe's or a changed sandbox's. */
export const NO_EVENTS: KubeletEvents = {
  killings: () => [],
  preStopFailures: () => [],
  firstKilling: undefined,
  lastKilling: undefined,
}

/**
 * @param notBefore start of the termination on the node's clock: a Killing before it belongs to a restart (liveness probe,
 *   changed sandbox), which uses the same reason
 * @param lastStarts of each container, on the node's clock: what was before the start of a run did not end it
 */
export function kubeletEvents(
  history: History,
  clocks: Clocks,
  notBefore: number,
  lastStarts: ReadonlyMap<string, number>,
): KubeletEvents {
  const killings = new Map<string, Interval[]>()
  const failures = new Map<string, Interval[]>()
  let firstKilling: Interval | undefined
  const add = (map: Map<string, Interval[]>, key: string, value: Interval) => {
    const list = map.get(key) ?? []
    list.push(value)
    list.sort((a, b) => a.earliest - b.earliest || a.latest - b.latest)
    map.set(key, list)
  }
  const seen = new Set<string>()
  for (const fact of history.events) {
    const { event } = fact
    const container = containerOf(event)
    if (container === undefined) continue
    const said = occurrence(fact, clocks)
    const since = Math.max(notBefore, lastStarts.get(container) ?? notBefore)
    if (said === undefined || said.latest < since - MILLISECOND) continue
    // client-go dates a combined Event anew when it comes to it (EventAggregate), which can be any time after it was said.
    const at = event.message.startsWith(COMBINED) ? interval(Math.min(since, said.latest), said.latest, said.at) : said
    if (event.reason === 'Killing') {
      if (!STOPPING.test(text(event))) continue
      // The first occurrence is known by its name whatever version arrived, unless the version is about another container.
      const first = event.count > 1 && event.message === text(event) ? firstOccurrence(event) : undefined
      if (first !== undefined && first.latest >= since && !seen.has(event.name)) add(killings, container, first)
      seen.add(event.name)
      add(killings, container, at)
      const earliest = first ?? at
      if (firstKilling === undefined || earliest.earliest < firstKilling.earliest) firstKilling = earliest
    } else if (event.reason === 'FailedPreStopHook') {
      add(failures, container, at)
    }
  }
  const all = [...killings.values()].flat().sort((a, b) => a.latest - b.latest)
  return {
    lastKilling: all.at(-1),
    killings: (container) => killings.get(container) ?? [],
    preStopFailures: (container) => failures.get(container) ?? [],
    firstKilling,
  }
}

/**
 * What the Events of one termination say of the node's clock, besides what was known before: an Event was made before it
 * arrived, and the kubelet says "Stopping container" only after the deletion that it stops it for. (Restarts by a probe have
 * another message; that the Event also arrived after the deletion leaves out what a changed sandbox had stopped before.)
 *
 * @param startEarliest the deletion is not before this, on the API server's clock
 * @param deletionArrived when its first sight arrived
 */
export function tightenNodeClock(
  history: History,
  clocks: Clocks,
  startEarliest: number | undefined,
  deletionArrived: number | undefined,
): Clocks {
  let next = clocks
  const start = (): number | undefined =>
    startEarliest === undefined ? undefined : next.earliest(startEarliest, 'APIServer', 'Recorder')
  const ranAtDeletion = new Set(
    history.deletion?.pod.statuses.flatMap((status) => (status.running === undefined ? [] : [status.name])),
  )
  const alwaysRuns = new Set(
    history.last?.containers.flatMap(({ name, role }) =>
      role === 'Sidecar' || history.last?.restartPolicy === 'Always' ? [name] : [],
    ),
  )
  for (const { pod, arrivedAt } of history.pods) {
    const created = parseTime(pod.creationTimestamp)
    for (const { name, running, terminated } of pod.statuses) {
      // The kubelet's own floored seconds: before the report of them arrived, after what they followed from.
      const started = parseTime(running?.startedAt ?? terminated?.startedAt)
      if (started !== undefined && started > 0) {
        next = next.with('Node', { earliest: started - arrivedAt })
        if (created !== undefined)
          next = next.with('Node', { latest: started + SECOND - next.earliest(created, 'APIServer', 'Recorder') })
      }
      const finished = parseTime(terminated?.finishedAt)
      if (finished === undefined || finished <= 0) continue
      next = next.with('Node', { earliest: finished - arrivedAt })
      const asked = start()
      // A status can be behind, so what it shows to run may have crashed already; not so what ends as by a stop signal.
      const stopped = ranAtDeletion.has(name) && terminated?.exitCode === 0 && alwaysRuns.has(name)
      if (asked !== undefined && stopped) next = next.with('Node', { latest: finished + SECOND - asked })
    }
  }
  for (const { event, arrivedAt, listed } of history.events) {
    const at = event.count <= 1 ? firstOccurrence(event) : undefined
    if (at === undefined || listed) continue
    next = next.with('Node', { earliest: at.earliest - arrivedAt })
    if (startEarliest === undefined || deletionArrived === undefined || arrivedAt < deletionArrived) continue
    if (event.reason !== 'Killing' || !STOPPING.test(text(event))) continue
    const asked = start()
    if (asked !== undefined) next = next.with('Node', { latest: at.latest - asked })
  }
  return next
}
