/** Pods that are left alone, whatever is past whatever number. */
import type { Micros } from '../time.ts'
import type { FinishedPod, JobFacts, KeepReason } from './types.ts'

export interface ProtectionOptions {
  readonly minAge: Micros
  readonly barePods: boolean
  readonly finishedJobPods: boolean
}

/** Why the pod may not be deleted by a rule with these options; undefined: it may. */
export function protection(
  pod: FinishedPod,
  jobs: ReadonlyMap<string, JobFacts>,
  { minAge, barePods, finishedJobPods }: ProtectionOptions,
  now: Micros,
): KeepReason | undefined {
  if (pod.deleting) return 'Deleting'
  // As the other annotations of this project: whoever writes "false" means no.
  if (pod.keep !== undefined && pod.keep !== 'false') return 'KeepAnnotation'
  if (pod.finalizers.length > 0) return 'HasFinalizers'
  const byOwner = ownerProtection(pod, jobs, { barePods, finishedJobPods })
  if (byOwner !== undefined) return byOwner
  // A time in the future, of a clock that is ahead, is young too.
  return now - pod.finishedAt < minAge ? 'TooYoung' : undefined
}

/** By kind in whatever group: a StatefulSet of another project numbers its pods as well, and its Job's end is not known here. */
function ownerProtection(
  { owner, mirror }: FinishedPod,
  jobs: ReadonlyMap<string, JobFacts>,
  { barePods, finishedJobPods }: Omit<ProtectionOptions, 'minAge'>,
): KeepReason | undefined {
  if (mirror === true || owner?.kind === 'Node') return 'StaticPod'
  switch (owner?.kind) {
    case undefined:
      return barePods ? undefined : 'BarePod'
    case 'StatefulSet':
      return 'OwnedByStatefulSet'
    case 'DaemonSet':
      return 'OwnedByDaemonSet'
    case 'Job': {
      const job = jobs.get(owner?.uid ?? '')
      if (job === undefined) return 'JobUnknown'
      if (!job.finished) return 'JobNotFinished'
      return finishedJobPods ? undefined : 'JobFinished'
    }
    default:
      return undefined
  }
}
