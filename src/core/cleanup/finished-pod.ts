/** When a pod finished, and what a plan has to know of it. */
import type { CleanupPart, PodSnapshot } from '../evidence.ts'
import { type Micros, parseTime } from '../time.ts'
import type { FinishedPod, FinishedSource } from './types.ts'

export const KEEP_ANNOTATION = 'gracewatch.dev/keep'

/** Undefined for a pod that has not finished. */
export function finishedPod(
  pod: PodSnapshot,
  { labels, keep }: CleanupPart,
  workload?: FinishedPod['workload'],
): FinishedPod | undefined {
  const { phase } = pod
  if (phase !== 'Succeeded' && phase !== 'Failed') return undefined
  const { at, source } = finished(pod)
  return {
    uid: pod.uid,
    namespace: pod.namespace,
    name: pod.name,
    resourceVersion: pod.resourceVersion,
    phase,
    ...(pod.reason === undefined ? {} : { reason: pod.reason }),
    labels,
    finishedAt: at,
    finishedSource: source,
    deleting: pod.deletionTimestamp !== undefined,
    finalizers: pod.finalizers,
    ...(pod.owner === undefined ? {} : { owner: pod.owner }),
    ...(workload === undefined ? {} : { workload }),
    ...(pod.mirror === undefined ? {} : { mirror: pod.mirror }),
    ...(keep === undefined ? {} : { keep }),
  }
}

/**
 * The latest end of a container, where all of them have ended at a known time. Evicted and refused pods have no container statuses, and a
 * pod whose node is gone has statuses that still run: of those the latest of what there is of conditions and startTime too. A time that is
 * too late only keeps a pod for longer, one that is too early might delete it under the kubelet.
 */
function finished(pod: PodSnapshot): { at: Micros; source: FinishedSource } {
  // No pod ended before it was created: a runtime that lost a container writes the year 1.
  const created = parseTime(pod.creationTimestamp) ?? Number.NEGATIVE_INFINITY
  const known = (text: string | undefined): Micros[] => {
    const at = parseTime(text)
    return at === undefined || at < created ? [] : [at]
  }
  const ends = pod.statuses.map(({ terminated }) => known(terminated?.finishedAt))
  const containers = ends.flat()
  const everyEnd = containers.length > 0 && ends.every((end) => end.length > 0)
  if (everyEnd) return { at: Math.max(...containers), source: 'Containers' }
  const found: [Micros, FinishedSource][] = [
    ...containers.map((at): [Micros, FinishedSource] => [at, 'Containers']),
    ...pod.conditions
      .flatMap(({ lastTransitionTime }) => known(lastTransitionTime))
      .map((at): [Micros, FinishedSource] => [at, 'Conditions']),
    ...known(pod.startTime).map((at): [Micros, FinishedSource] => [at, 'StartTime']),
  ]
  const [first, ...others] = found
  if (first === undefined) return { at: Math.max(created, 0), source: 'CreationTimestamp' }
  const [at, source] = others.reduce((latest, next) => (next[0] > latest[0] ? next : latest), first)
  return { at, source }
}
