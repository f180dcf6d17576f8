/** What each reason means, for people. */
import type { DeleteReason, KeepReason } from './types.ts'

const DELETE: Readonly<Record<DeleteReason, string>> = {
  PastClusterThreshold: 'more pods have finished in the cluster than the threshold allows',
  PastNamespaceThreshold: 'more pods have finished in the namespace than the threshold allows',
  PastKeepTotal: 'it is past keep.total',
  PastKeepPerOwner: 'it is past keep.perOwner',
  OlderThan: 'it finished longer ago than olderThan',
}

const KEEP: Readonly<Record<KeepReason, string>> = {
  NotSelected: 'no PodCleanup selects it, and there is no threshold',
  Deleting: 'it is being deleted',
  KeepAnnotation: 'it has the annotation gracewatch.dev/keep',
  HasFinalizers: 'it has finalizers, so somebody still needs it',
  StaticPod: 'it is a static pod: the kubelet would make it again',
  OwnedByStatefulSet: 'it belongs to a StatefulSet, which replaces its pods itself',
  OwnedByDaemonSet: 'it belongs to a DaemonSet, which replaces its pods itself',
  JobUnknown: 'it belongs to a Job of which is not known whether it has finished',
  JobNotFinished: 'it belongs to a Job that has not finished',
  JobFinished:
    'it belongs to a finished Job, whose logs kubectl logs could not find without it; finishedJobPods: true lets it go',
  BarePod: 'it has no owner, so nothing makes it again; barePods: true lets it go',
  TooYoung: 'it finished less than minAge ago',
  NotOldEnough: 'it finished less than olderThan ago',
  WithinKeepPerOwner: 'it is one of those that keep.perOwner keeps',
  WithinKeepTotal: 'it is one of those that keep.total keeps',
  WithinThreshold: 'no more pods have finished than the threshold allows, or older ones go first',
  KeptByOtherRule: 'another PodCleanup that selects it keeps it',
  RuleUnusable: 'a PodCleanup of its namespace cannot be used, so nobody knows which pods it would keep',
}

const SENTENCES: Readonly<Record<DeleteReason | KeepReason, string>> = { ...DELETE, ...KEEP }
/** The order in which reports tell them. */
export const KEEP_REASONS = Object.keys(KEEP) as readonly KeepReason[] // the keys of a literal whose type names them

export const sentence = (reason: DeleteReason | KeepReason): string => SENTENCES[reason]
export const isDelete = (reason: DeleteReason | KeepReason): reason is DeleteReason => Object.hasOwn(DELETE, reason)
