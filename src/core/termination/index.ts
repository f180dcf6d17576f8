/** Facts about one pod in, its termination record out. Pure: the same facts and the same `now` give the same record. */
import {
  type ContainerEnd,
  MAX_CONTAINERS,
  MAX_ENDPOINTS,
  MAX_TIMELINE,
  type Mark,
  OUTCOMES,
  type Outcome,
  type PodTermination,
} from '../../api/pod-termination.ts'
import type { Clock, Fact, PodFact, Source } from '../evidence.ts'
import { formatTime, type Micros, parseTime, SECOND } from '../time.ts'
import { beforeKilling, endedBeforeDeletion, graceRange, startOf } from './beginning.ts'
import { type CauseResult, causeOf } from './cause.ts'
import { Clocks, type Interval, interval, type Offset } from './clocks.ts'
import { type ContainerResult, endOfContainer } from './containers.ts'
import { endpointEnds, type Milestone } from './endpoints.ts'
import { evidenceMissing } from './evidence-missing.ts'
import { findingsOf, seconds } from './findings.ts'
import { type ContainerHistory, compareVersions, containerHistories, deletionFloor, gather, type History } from './history.ts'
import { kubeletEvents, NO_EVENTS, tightenNodeClock } from './kubelet-events.ts'
import { comparedByAgent, marksOfAbsent, measure } from './measured.ts'
import { type Entry, sortCausally } from './order.ts'
import { skewOf } from './skew.ts'
import { MINIMUM_STOP } from './stop-rules.ts'
import { overdueSlack, whyStuck } from './stuck.ts'

/** Whether there is anything to record: the pod is being ended, or has ended, or is gone. */
function hasEnded(history: History): boolean {
  if (history.last?.mirror === true) return false
  if (history.last === undefined)
    return (
      history.absent !== undefined &&
      (history.kernel !== undefined || history.events.some(({ event }) => event.reason === 'Killing'))
    )
  return history.deletion !== undefined || history.terminal !== undefined || history.removal !== undefined
}

/** That somebody deletes a pod which has ended says nothing of how it ended: its record stays what it was. */
function withoutDeletion({ removal, ...history }: History): History {
  return { ...history, deletion: undefined, removal: removal === history.terminal ? removal : undefined }
}

/** A list shows a version that may be newer than the change in question, and what vanished was not seen to change at all. */
function versionOf({ change, pod }: PodFact): { version?: string } {
  return change === 'Listed' || change === 'Vanished' ? {} : { version: pod.resourceVersion }
}

/** The first stop signal to a main container. One whose own signal is not known may have got it before the others. */
function firstStop(containers: readonly ContainerResult[]): { stop: Interval; direct: boolean } | undefined {
  const mains = containers.filter(({ end }) => end.role === 'Main')
  const known = mains.flatMap(({ stop, stopDirect }) => (stop === undefined ? [] : [{ stop, direct: stopDirect }]))
  const first = known.sort((a, b) => a.stop.at - b.stop.at)[0]
  if (first === undefined) return undefined
  const earliest = Math.min(first.stop.earliest, ...mains.flatMap(({ stopNotBefore }) => stopNotBefore ?? []))
  const latest = Math.min(...known.map(({ stop }) => stop.latest))
  return { stop: interval(earliest, latest, first.stop.at), direct: first.direct }
}

/** The first report of an exit of a main container that had got its stop signal: the first signal came before it. */
function signalledBy(containers: readonly ContainerResult[], histories: readonly ContainerHistory[]): string | undefined {
  return histories
    .flatMap(({ terminatedIn }, index) => {
      const result = containers[index]
      return terminatedIn !== undefined && result?.end.role === 'Main' && result.stop !== undefined
        ? [terminatedIn.pod.resourceVersion]
        : []
    })
    .sort(compareVersions)[0]
}

function worst(ends: readonly ContainerEnd[]): Outcome {
  const ranks = ends.map((end) => OUTCOMES.indexOf(end.outcome ?? 'Unknown'))
  return OUTCOMES[Math.min(...ranks)] ?? 'Unknown'
}

function outcomeOf(ends: readonly ContainerEnd[], known: boolean): Outcome {
  const of = (role: ContainerEnd['role']) => ends.filter((end) => end.role === role)
  const mains = of('Main')
  if (!known || mains.length === 0) return 'Lost'
  if (mains.some((end) => end.outcome !== 'NeverStarted')) return worst(mains)
  // No main container ever ran: what stopped it then is the end of an init container, where one ran.
  const inits = of('Init').filter((end) => end.outcome !== 'NeverStarted')
  return inits.length === 0 ? 'NeverStarted' : worst(inits)
}

/** Deleting a pod that had ended is no termination, but which came first was not seen. */
const UNKNOWN_ORDER: CauseResult = {
  type: 'Unknown',
  message: 'the pod was deleted and had ended when it was first seen; which came first is not known',
}

/** The end was seen as it came, so that its arrival says when it was; not where a list showed it some time later. */
function endSeen(fact: PodFact | undefined): boolean {
  if (fact === undefined) return false
  if (fact.change !== 'Listed' && fact.change !== 'Vanished') return true
  return fact.since !== undefined && fact.arrivedAt - fact.since <= SECOND
}

const took = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)}s`

/**
 * @param facts in any order, repeats allowed
 * @param now the recorder's clock, in microseconds
 * @returns undefined while the pod lives (or is none of ours: static pods' mirrors); a plain completion is returned as one, with
 *   cause Completed: whether it is recorded is the caller's setting
 */
export function assemble(facts: readonly Fact[], now: Micros): PodTermination | undefined {
  const gathered = gather(facts)
  if (gathered === undefined || !hasEnded(gathered)) return undefined
  const ending = endedBeforeDeletion(gathered)
  const ended = ending === 'Yes'
  const history = ended ? withoutDeletion(gathered) : gathered
  const { last, deletion: asked, removal, identity } = history

  const floor = asked === undefined ? undefined : deletionFloor(asked)
  const clocks = comparedByAgent(tightenNodeClock(history, Clocks.of(history.clocks), floor, asked?.arrivedAt), history.kernel)
  let start = startOf(history, clocks, ended)

  const histories = containerHistories(history)
  const lastStarted = Math.max(
    0,
    ...history.pods.flatMap(({ pod }) =>
      pod.statuses.map(({ running, terminated }) => parseTime(running?.startedAt ?? terminated?.startedAt) ?? 0),
    ),
  )
  const notBefore = start === undefined ? lastStarted : clocks.earliest(start.at.earliest, start.clock, 'Node')
  const unseen =
    asked === undefined ? removal?.change === 'Vanished' || history.terminal?.change === 'Listed' : floor === undefined
  const told = kubeletEvents(history, clocks, notBefore, new Map(histories.map(({ spec, lastStart }) => [spec.name, lastStart])))
  const events = unseen ? NO_EVENTS : told
  const killing = events.firstKilling
  if (start !== undefined && killing !== undefined) start = beforeKilling(start, killing, clocks)
  // The cause decides which grace period was in force; only NodeLost needs the deadline, and does not change it.
  const early = causeOf(history, undefined).type
  const stopped = early !== 'Completed'
  const grace = graceRange(history, stopped, early, clocks)
  const graceKnown = asked === undefined || floor !== undefined
  const graceSeconds = (graceKnown ? asked?.pod.deletionGracePeriodSeconds : undefined) ?? last?.graceSeconds ?? 30
  const over = removal !== undefined || last === undefined || ended

  const generation = asked?.pod.generation
  const acknowledged =
    generation === undefined
      ? undefined
      : history.pods.find(({ pod }) => pod.observedGeneration !== undefined && pod.observedGeneration >= generation)
  const lastArrival = history.pods.at(-1)?.arrivedAt ?? history.absent?.arrivedAt ?? now
  const context = {
    clocks,
    events,
    notBefore,
    startAt: start === undefined ? notBefore : clocks.best(start.at.at, start.clock, 'Node'),
    startBy: start === undefined ? Number.POSITIVE_INFINITY : clocks.latest(start.at.latest, start.clock, 'Node'),
    acknowledged:
      acknowledged === undefined
        ? undefined
        : clocks.convert(interval(acknowledged.arrivedAt, acknowledged.arrivedAt), 'Recorder', 'Node'),
    grace,
    asked: asked !== undefined,
    stopped,
    over,
    restartPolicy: last?.restartPolicy ?? 'Always',
    lastSeen: clocks.latest(lastArrival, 'Recorder', 'Node'),
  }
  const containers = ends(histories, history.kernel, context)

  const finishedIn = ended ? history.terminal : undefined
  const lastExit = Math.max(notBefore, ...containers.map((result) => result.exit?.earliest ?? 0))
  const toRecorder = (value: Micros, clock: Clock) => clocks.earliest(value, clock, 'Recorder')
  const startEarliest = start === undefined ? toRecorder(notBefore, 'Node') : toRecorder(start.at.earliest, start.clock)

  const entries: Entry[] = []
  if (start !== undefined) {
    const version = asked === undefined ? {} : versionOf(asked)
    entries.push({
      mark: 'Terminating',
      ...start.at,
      clock: start.clock,
      source: 'APIServer',
      confidence: 'Reported',
      ...version,
    })
  }
  const shortened =
    asked === undefined
      ? undefined
      : history.pods.find(
          ({ pod }) =>
            pod.deletionGracePeriodSeconds !== undefined &&
            pod.deletionGracePeriodSeconds > 0 &&
            pod.deletionGracePeriodSeconds < (asked.pod.deletionGracePeriodSeconds ?? 0),
        )
  const observed = (mark: Mark['mark'], earliest: Micros, fact: PodFact, source: Source): Entry => ({
    mark,
    ...interval(Math.min(earliest, fact.arrivedAt), fact.arrivedAt, fact.arrivedAt),
    clock: 'Recorder',
    source,
    confidence: 'Observed',
    ...versionOf(fact),
  })
  if (shortened !== undefined) entries.push(observed('GraceShortened', startEarliest, shortened, 'APIServer'))
  if (acknowledged !== undefined) entries.push(observed('Acknowledged', startEarliest, acknowledged, 'Kubelet'))
  for (const { end, marks } of containers) {
    for (const mark of marks) entries.push({ ...mark, container: end.name, clock: 'Node' })
  }

  if (last === undefined) {
    for (const mark of marksOfAbsent(history.kernel)) {
      entries.push({ ...mark, clock: 'Node', source: 'Kernel', confidence: 'Measured' })
    }
  }

  const first = firstStop(containers)
  const services = endpointEnds(
    history.endpoints,
    milestones(history, containers, histories, startEarliest, clocks),
    startEarliest,
    asked === undefined
      ? {}
      : { by: asked.pod.resourceVersion, ...(asked.change === 'Listed' ? {} : { from: asked.pod.resourceVersion }) },
    first?.stop,
    signalledBy(containers, histories),
    history.gaps.filter(({ resource }) => resource === 'EndpointSlice'),
    clocks,
  )
  for (const { marks } of services) {
    for (const mark of marks) entries.push({ ...mark, clock: 'Recorder', source: 'EndpointSlice', confidence: 'Observed' })
  }

  const lastExitRecorder = toRecorder(lastExit, 'Node')
  if (history.terminal !== undefined && (asked !== undefined || ended)) {
    entries.push(observed('PodFinished', Math.max(startEarliest, lastExitRecorder), history.terminal, 'Kubelet'))
  }
  if (removal !== undefined && !ended) {
    const final = history.pods.findLast(
      ({ pod }) => pod.deletionGracePeriodSeconds === 0 && pod.deletionTimestamp !== asked?.pod.deletionTimestamp,
    )
    const finalFloor = final === undefined ? undefined : parseTime(final.pod.deletionTimestamp)
    const earliest = Math.max(
      startEarliest,
      removal.since ?? 0,
      finalFloor === undefined ? 0 : toRecorder(finalFloor, 'APIServer'),
      // A pod that is deleted by force is gone before its containers are.
      asked === undefined || lastExitRecorder > removal.arrivedAt ? 0 : lastExitRecorder,
    )
    entries.push(observed('Removed', earliest, removal, removal.change === 'Deleted' ? 'APIServer' : 'Recorder'))
  }

  // One common clock for comparing: the recorder's, by best estimates.
  const onRecorder = (entry: { at: Micros; clock: Clock }) => clocks.best(entry.at, entry.clock, 'Recorder')
  sortCausally(entries, clocks, new Set(containers.flatMap(({ end }) => (end.preStop?.result === 'Overran' ? [end.name] : []))))
  const begun = killing ?? told.lastKilling
  // Where the first delete was not seen, its bounds are so wide that any Event of the kubelet is the better estimate.
  const dated = start !== undefined && graceKnown
  const startEntry: { at: Micros; clock: Clock } =
    start !== undefined && (dated || begun === undefined)
      ? { at: start.at.at, clock: start.clock }
      : begun !== undefined
        ? { at: begun.at, clock: 'Node' }
        : { at: (finishedIn ?? removal)?.arrivedAt ?? lastArrival, clock: 'Recorder' }
  const finishedAt = finishedIn?.arrivedAt ?? removal?.arrivedAt ?? (last === undefined ? history.absent?.arrivedAt : undefined)
  const startRecorder = onRecorder(startEntry)
  const sidecars = containers.filter(({ end }) => end.role === 'Sidecar').length
  // Where the first delete was not seen, the object's own deletionTimestamp is all that is left of its deadline.
  const due = graceKnown ? undefined : parseTime(asked?.pod.deletionTimestamp)
  const deadline = due === undefined ? startRecorder + graceSeconds * SECOND : onRecorder({ at: due, clock: 'APIServer' })
  const overdueAt = deadline + overdueSlack(sidecars)
  const late = asked !== undefined && (finishedAt ?? now) > overdueAt
  const said = causeOf(history, deadline)
  const cause = ending === 'Maybe' && said.type === 'Deleted' ? UNKNOWN_ORDER : said

  const graceUsedPercent = graceUsed(containers, graceSeconds)
  const cut = Math.max(0, entries.length - MAX_TIMELINE)
  const findings = findingsOf({
    history,
    containers,
    services,
    clocks,
    graceSeconds,
    shortenedTo: shortened?.pod.deletionGracePeriodSeconds,
    graceUsedPercent,
    stop: first?.stop,
    stopDirect: first?.direct ?? false,
    stuck: late
      ? `${finishedAt === undefined ? 'still Terminating past its deadline' : `it was gone ${seconds(finishedAt - deadline)} after its deadline`}: ${whyStuck(history, overdueAt)}.`
      : undefined,
    missing: evidenceMissing({
      history,
      containers,
      asked,
      startEarliest,
      finishedAt: finishedAt ?? now,
      cause: cause.type,
      over,
      unseen,
    }),
    cut,
    skew: skewOf(clocks, history.kernel?.wallClockSet),
  })
  const complete = finishedAt !== undefined
  const timed = finishedAt !== undefined && (dated || begun !== undefined) && endSeen(finishedIn ?? removal)
  const milliseconds = !timed ? undefined : Math.max(0, Math.round((finishedAt - startRecorder) / 1000))
  const node = last?.nodeName ?? history.events.find(({ event }) => event.host !== undefined)?.event.host
  const summary = summarise(findings.map(({ type }) => type))
  return {
    pod: {
      namespace: identity.namespace,
      name: identity.name,
      uid: identity.uid,
      ...(node === undefined ? {} : { node }),
      ...(last === undefined ? {} : { ...(graceKnown ? { graceSeconds } : {}), restartPolicy: last.restartPolicy }),
      ...(history.workload === undefined ? {} : { workload: { ...history.workload } }),
    },
    state: complete ? 'Complete' : late ? 'Overdue' : 'Terminating',
    cause: { ...cause },
    ...(complete
      ? {
          outcome: outcomeOf(
            containers.map(({ end }) => end),
            last !== undefined,
          ),
        }
      : {}),
    startedAt: formatTime(startEntry.at),
    ...(asked === undefined || !graceKnown ? {} : { deadline: formatTime(startEntry.at + graceSeconds * SECOND) }),
    ...(finishedAt === undefined ? {} : { finishedAt: formatTime(finishedAt) }),
    ...(milliseconds === undefined ? {} : { tookMilliseconds: milliseconds, took: took(milliseconds) }),
    ...(graceUsedPercent === undefined ? {} : { graceUsedPercent }),
    ...(summary === undefined ? {} : { summary }),
    containers: containers.map(({ end }) => end).slice(0, MAX_CONTAINERS),
    endpoints: services.map(({ end }) => end).slice(0, MAX_ENDPOINTS),
    findings,
    timeline: entries.slice(0, MAX_TIMELINE).map(toMark),
  }
}

/** "PreStopOverran,+1": the first finding that is a warning (else the first) and how many more there are. */
function summarise(types: readonly string[]): string | undefined {
  const [first] = types
  return first === undefined ? undefined : types.length === 1 ? first : `${first},+${types.length - 1}`
}

function toMark(entry: Entry): Mark {
  return {
    mark: entry.mark,
    ...(entry.container === undefined ? {} : { container: entry.container }),
    ...(entry.service === undefined ? {} : { service: entry.service }),
    at: formatTime(entry.at),
    earliest: formatTime(Math.floor(entry.earliest)),
    latest: formatTime(Math.ceil(entry.latest)),
    source: entry.source,
    clock: entry.clock,
    confidence: entry.confidence,
    ...(entry.message === undefined ? {} : { message: entry.message }),
  }
}

type Context = Omit<Parameters<typeof endOfContainer>[1], 'waitsFor' | 'measured'>

/**
 * A sidecar waits for the main containers and for the sidecar that was started next (pkg/kubelet/kuberuntime,
 * kuberuntime_termination_order.go), which did the same; one that does not run is waited for by nobody.
 */
function ends(histories: ReturnType<typeof containerHistories>, kernel: History['kernel'], context: Context): ContainerResult[] {
  const end = (container: ContainerHistory, waitsFor: (Interval | undefined)[]) =>
    endOfContainer(container, { ...context, waitsFor, measured: measure(kernel, container) })
  const results = new Map<string, ContainerResult>()
  const others = histories.filter(({ spec }) => spec.role !== 'Sidecar')
  for (const container of others) results.set(container.spec.name, end(container, []))
  const endOf = (container: (typeof histories)[number] | undefined): (Interval | undefined)[] => {
    const result = container === undefined ? undefined : results.get(container.spec.name)
    return result?.running === true ? [result.done] : []
  }
  const mains = others.filter(({ spec }) => spec.role === 'Main').flatMap(endOf)
  let next: (typeof histories)[number] | undefined
  for (const container of histories.filter(({ spec }) => spec.role === 'Sidecar').reverse()) {
    results.set(container.spec.name, end(container, [...mains, ...endOf(next)]))
    next = container
  }
  return histories.flatMap(({ spec }) => results.get(spec.name) ?? [])
}

/** Versions of the pod after which the others come: the deletion itself, and each report of an exit. */
function milestones(
  history: History,
  containers: readonly ContainerResult[],
  histories: ReturnType<typeof containerHistories>,
  startEarliest: Micros,
  clocks: Clocks,
): Milestone[] {
  const found: Milestone[] = []
  if (history.deletion !== undefined) found.push({ version: history.deletion.pod.resourceVersion, earliest: startEarliest })
  histories.forEach((container, index) => {
    const exit = containers[index]?.exit
    if (container.terminatedIn === undefined || exit === undefined) return
    found.push({
      version: container.terminatedIn.pod.resourceVersion,
      earliest: clocks.earliest(exit.earliest, 'Node', 'Recorder'),
    })
  })
  return found
}

/** By the slowest main container, from its Killing to its exit. */
function graceUsed(containers: readonly ContainerResult[], graceSeconds: number): number | undefined {
  const used = containers.flatMap(({ end, killing, exit }) =>
    end.role === 'Main' && killing !== undefined && exit !== undefined ? [exit.at - killing.at] : [],
  )
  if (used.length === 0) return undefined
  const whole = Math.max(graceSeconds * SECOND, graceSeconds === 0 ? MINIMUM_STOP : SECOND)
  return Math.min(1_000_000, Math.max(0, Math.round((Math.max(...used) / whole) * 100)))
}

/**
 * What this termination's evidence says of its node's clock against the recorder's; undefined where it names no node. Kept by the
 * caller for the next termination on that node.
 */
export function nodeClock(facts: readonly Fact[]): { node: string; offset: Offset } | undefined {
  const history = gather(facts)
  const node = history?.last?.nodeName
  if (history === undefined || node === undefined) return undefined
  const { deletion } = history
  const floor = deletion === undefined ? undefined : deletionFloor(deletion)
  return { node, offset: tightenNodeClock(history, Clocks.of(history.clocks), floor, deletion?.arrivedAt).offset('Node') }
}

/** True for a pod that ran to its end with success and that nobody stopped. */
export function isPlainCompletion(record: PodTermination): boolean {
  return record.cause?.type === 'Completed' && record.outcome === 'Graceful'
}
