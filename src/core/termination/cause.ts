/** Who ended the pod, by what the API says of it. The table stands in docs/concepts: each row is one branch here. */
import type { Cause } from '../../api/pod-termination.ts'
import type { PodCondition, PodSnapshot } from '../evidence.ts'
import { type Micros, parseTime, SECOND } from '../time.ts'
import { deletionFloor, type History, isTerminal } from './history.ts'

export interface CauseResult {
  readonly type: Cause
  readonly message?: string
}

/** A map, as the others of words that anybody can write: an object would also know the word `constructor`. */
const DISRUPTIONS: ReadonlyMap<string, Cause> = new Map<string, Cause>(
  Object.entries({
    EvictionByEvictionAPI: 'EvictedByAPI',
    PreemptionByScheduler: 'Preempted',
    DeletionByTaintManager: 'Tainted',
    DeletionByDeviceTaintManager: 'Tainted',
    DeletionByPodGC: 'GarbageCollected',
  } as const),
)

/** status.reason of a pod that the kubelet ended without a delete. */
const REASONS: ReadonlyMap<string, Cause> = new Map<string, Cause>(
  Object.entries({
    Evicted: 'Evicted',
    Preempting: 'Preempted',
    DeadlineExceeded: 'DeadlineExceeded',
    Terminated: 'NodeShutdown',
    NodeShutdown: 'NodeShutdown',
    Shutdown: 'NodeShutdown',
    NodeLost: 'NodeLost',
  } as const),
)

const disruption = (pod: PodSnapshot): PodCondition | undefined =>
  pod.conditions.find((condition) => condition.type === 'DisruptionTarget' && condition.status === 'True')

/**
 * The disruption that led to the delete. The eviction API also marks pods that somebody had deleted before, so one that came
 * after the first sight of the deletion, or is younger than it, says nothing of the cause.
 */
function disruptionBeforeDeletion(history: History): PodCondition | undefined {
  const last = history.last === undefined ? undefined : disruption(history.last)
  if (last === undefined || history.deletion === undefined) return last
  const { deletion } = history
  if (deletion.change !== 'Listed' && disruption(deletion.pod) === undefined) return undefined
  const changed = parseTime(last.lastTransitionTime)
  const asked = deletionFloor(deletion)
  if (
    changed !== undefined &&
    asked !== undefined &&
    deletion.pod.deletionGracePeriodSeconds !== 0 &&
    changed >= asked + SECOND
  ) {
    return undefined
  }
  return last
}

/** The kubelet itself ended the pod, whether or not somebody deleted it as well. */
export const isKubeletEnd = (pod: PodSnapshot): boolean =>
  (pod.reason !== undefined && REASONS.has(pod.reason)) || disruption(pod)?.reason === 'TerminationByKubelet'

const withMessage = (type: Cause, message: string | undefined): CauseResult =>
  message === undefined || message === '' ? { type } : { type, message: message.slice(0, 1024) }

/** Containers of the last version seen that still ran. */
export const stillRunning = (pod: PodSnapshot): string[] =>
  pod.statuses.filter((status) => status.running !== undefined).map((status) => status.name)

/** The kubelet never took the deletion in (status.observedGeneration, 1.34+), and its node had gone silent. */
function nodeLost(history: History, deadline: Micros | undefined): boolean {
  const { last, deletion } = history
  if (last === undefined || deletion === undefined || deadline === undefined) return false
  const silent = history.nodes.some((fact) => fact.arrivedAt >= deadline && (!fact.exists || fact.ready !== 'True'))
  const acknowledged =
    last.observedGeneration !== undefined && last.generation !== undefined
      ? last.observedGeneration >= last.generation
      : stillRunning(last).length === 0
  return silent && !acknowledged && stillRunning(last).length > 0
}

/** @param deadline when SIGKILL was due, on the recorder's clock */
export function causeOf(history: History, deadline: Micros | undefined): CauseResult {
  const { last, deletion, removal } = history
  if (last === undefined) return { type: 'Unknown', message: 'the pod was gone before anything but its Events was seen' }

  if (deletion === undefined && isTerminal(last)) {
    const known = last.reason === undefined ? undefined : REASONS.get(last.reason)
    if (known !== undefined) return withMessage(known, last.message)
    if (disruption(last)?.reason === 'TerminationByKubelet')
      return withMessage('Evicted', last.message ?? disruption(last)?.message)
    const other = DISRUPTIONS.get(disruption(last)?.reason ?? '')
    if (other !== undefined) return withMessage(other, disruption(last)?.message)
    return withMessage('Completed', last.message)
  }

  const disrupted = disruptionBeforeDeletion(history)
  const cause = DISRUPTIONS.get(disrupted?.reason ?? '')
  if (cause !== undefined && cause !== 'Tainted') return withMessage(cause, disrupted?.message)
  if (disrupted?.reason === 'TerminationByKubelet') {
    return withMessage(REASONS.get(last.reason ?? '') ?? 'Evicted', last.message ?? disrupted.message)
  }
  if (cause === 'Tainted') return withMessage(cause, disrupted?.message)
  if (removal?.change === 'Deleted' && !isTerminal(last) && stillRunning(last).length > 0) {
    return withMessage('ForceDeleted', 'the object was removed while its containers still ran')
  }
  if (nodeLost(history, deadline)) {
    return withMessage('NodeLost', 'the node had gone silent and its kubelet never took the deletion in')
  }
  if (deletion === undefined && removal?.change === 'Vanished') {
    return withMessage('Unknown', 'the pod was gone after a time in which nobody watched')
  }
  return { type: 'Deleted' }
}
