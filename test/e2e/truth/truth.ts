/**
 * What really happened to a pod, from everything that is not the product: the kernel's signals, the runtime's events, the
 * workloads' own words, the test's own calls and watches, and the API server's audit log.
 */
import type { MarkType } from '../../../src/api/pod-termination.ts'
import { type Micros, SECOND } from '../../../src/core/time.ts'
import type { Raw } from '../api.ts'
import type { Line } from '../watch.ts'
import type { ContainerTruth } from './containers.ts'
import { endpointMarks } from './endpoints.ts'
import type { Interval } from './interval.ts'

/** The kubelet hears of the end of an exec after the container's own end; measured, at most this much. */
const REPORTED_WITHIN: Micros = SECOND / 4

export type TruthSource = 'kernel' | 'workload' | 'api' | 'watch' | 'rule'

export interface TruthMark extends Interval {
  readonly mark: MarkType
  readonly container?: string
  readonly service?: string
  readonly source: TruthSource
  /** A record may leave it out: it was before the termination, or the API leaves no trace of it. */
  readonly optional?: true
}

export interface Truth {
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string }
  readonly marks: readonly TruthMark[]
  readonly containers: readonly ContainerTruth[]
}

/** What the test itself did to the pod. */
export interface Action {
  readonly what: 'end' | 'shorten' | 'release'
  readonly sentAt: Micros
  readonly answeredAt: Micros
}

export interface TruthInput {
  /** Every line of the test's own watch about this pod, in order. */
  readonly pod: readonly Line[]
  /** Every line about the EndpointSlices of its namespace, in order. */
  readonly slices: readonly Line[]
  readonly actions: readonly Action[]
  readonly containers: readonly ContainerTruth[]
  /** When the change that this line shows was made; `since` where nothing narrower is known. */
  readonly madeAt: (resource: 'pods' | 'endpointslices', line: Line, since: Micros) => Interval
  /** When the pod was deleted gracefully, from the audit log, and when it was taken away. */
  readonly endedAt: (pod: Raw) => Interval | undefined
  readonly removedAt: (pod: Raw) => Interval | undefined
}

export function truthOf(input: TruthInput): Truth {
  const last = input.pod.at(-1)
  if (last === undefined) throw new Error("the test's own watch never saw the pod")
  const { namespace, name, uid } = last.object.metadata
  const created = (input.pod[0]?.arrivedAt ?? 0) - 60 * SECOND
  const ends = input.actions.filter((action) => action.what === 'end')
  const since = ends[0]?.sentAt ?? created
  const marks: TruthMark[] = []

  const began = terminating(input, since)
  if (began !== undefined) marks.push(began)
  const start = began?.earliest ?? since
  for (const action of input.actions.filter(({ what }) => what === 'shorten')) {
    marks.push({ mark: 'GraceShortened', earliest: action.sentAt, latest: action.answeredAt, source: 'api' })
  }
  const acknowledged = began && acknowledgement(input, start)
  if (acknowledged) marks.push(acknowledged)
  for (const container of input.containers) marks.push(...containerMarks(container, start))
  const lastExit = Math.max(start, ...input.containers.map(({ exit }) => exit?.at.earliest ?? 0))
  marks.push(...endpointMarks(input.slices, uid, start, (line, from) => input.madeAt('endpointslices', line, from)))
  const finished = terminalPhase(input, start)
  if (finished) marks.push(finished)
  if (last.type === 'DELETED') {
    const released = input.actions.filter(({ what }) => what === 'release').at(-1)?.sentAt
    const removed = input.removedAt(last.object)
    marks.push({
      mark: 'Removed',
      earliest: Math.max(removed?.earliest ?? 0, released ?? 0, removed ? 0 : forced(input) ? since : lastExit),
      latest: Math.min(removed?.latest ?? Number.POSITIVE_INFINITY, last.arrivedAt),
      source: removed ? 'api' : 'watch',
    })
  }
  return { pod: { namespace, name, uid }, marks, containers: input.containers }
}

/** The object was removed by a delete with grace 0 of the test, without waiting for the containers. */
function forced(input: TruthInput): boolean {
  return !input.pod.some(({ type, object }) => type === 'MODIFIED' && object.metadata.deletionTimestamp !== undefined)
}

function terminating(input: TruthInput, since: Micros): TruthMark | undefined {
  const line = input.pod.find(({ object }) => object.metadata.deletionTimestamp !== undefined)
  if (line === undefined) {
    // Never deleted gracefully: taken away at once, or ended by the kubelet alone.
    const last = input.pod.at(-1)
    if (last?.type !== 'DELETED') return undefined
    const removed = input.removedAt(last.object)
    return {
      mark: 'Terminating',
      earliest: removed?.earliest ?? since,
      latest: removed?.latest ?? last.arrivedAt,
      source: 'watch',
    }
  }
  const made = input.madeAt('pods', line, since)
  const ended = input.endedAt(line.object)
  const ownAnswer = input.actions.find(({ what }) => what === 'end')?.answeredAt ?? Number.POSITIVE_INFINITY
  return {
    mark: 'Terminating',
    earliest: Math.max(made.earliest, ended?.earliest ?? 0),
    latest: Math.min(made.latest, ended?.latest ?? Number.POSITIVE_INFINITY, Math.max(ownAnswer, made.earliest)),
    source: 'api',
  }
}

/** The kubelet's first status that stands on the pod with its deletionTimestamp (1.34 and later). */
function acknowledgement(input: TruthInput, start: Micros): TruthMark | undefined {
  const line = input.pod.find(
    ({ object }) =>
      object.metadata.deletionTimestamp !== undefined &&
      object.status?.observedGeneration !== undefined &&
      object.status.observedGeneration >= object.metadata.generation,
  )
  return line && { mark: 'Acknowledged', ...input.madeAt('pods', line, start), source: 'watch', optional: true }
}

function terminalPhase(input: TruthInput, start: Micros): TruthMark | undefined {
  const line = input.pod.find(({ object }) => ['Succeeded', 'Failed'].includes(object.status?.phase))
  if (line === undefined) return undefined
  return { mark: 'PodFinished', ...input.madeAt('pods', line, start), source: 'watch', optional: true }
}

/** Everything about one container; what was before the pod's end began is optional. */
function containerMarks(container: ContainerTruth, start: Micros): TruthMark[] {
  const { name, stopSignal, kill, exit } = container
  const marks: TruthMark[] = []
  const add = (mark: MarkType, at: Interval, source: TruthSource, optional = false) => {
    const { earliest, latest } = at
    marks.push({ mark, container: name, earliest, latest, source, ...(optional || latest < start ? { optional: true } : {}) })
  }
  if (container.preStop !== undefined) addHook(container, start, add)
  if (stopSignal) add('StopSignal', stopSignal.at, 'kernel')
  if (kill) add('Kill', kill.at, 'kernel')
  if (exit) add('ContainerExited', exit.at, 'kernel')
  return marks
}

type Add = (mark: MarkType, at: Interval, source: TruthSource, optional?: boolean) => void

/**
 * Started: not after the hook's process was there. Finished: between the hook's last word and the stop signal, which the kubelet
 * asks for as soon as the hook has returned. A hook without words of its own (sleep, a refused connection) lies between the start
 * of the termination and the stop signal.
 */
function addHook({ hooks, stopSignal, exit, preStop }: ContainerTruth, start: Micros, add: Add): void {
  const signal = stopSignal?.at ?? exit?.at
  if (signal === undefined) return
  if (hooks.length === 0) {
    const seconds = preStop?.handler === 'Sleep' ? (preStop.seconds ?? 0) * SECOND : 0
    const whole = signal.latest - seconds >= start ? seconds : 0
    add('PreStopStarted', { earliest: start, latest: signal.latest - whole }, 'rule')
    add('PreStopFinished', { earliest: start + whole, latest: signal.latest }, 'rule', true)
    return
  }
  for (const [index, { startedBy, ended }] of hooks.entries()) {
    add('PreStopStarted', { earliest: start, latest: startedBy }, 'workload', index > 0)
    if (ended !== undefined && ended.earliest <= signal.latest) {
      add('PreStopFinished', { earliest: ended.earliest, latest: signal.latest }, 'workload', true)
    } else {
      // It overran: the kubelet stopped waiting at the signal; the process went on until it ended or died with the container.
      const over = ended?.latest ?? exit?.at.latest ?? signal.latest
      add('PreStopFinished', { earliest: signal.earliest, latest: over + REPORTED_WITHIN }, 'rule', true)
    }
  }
}
