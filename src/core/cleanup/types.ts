/** What the plan of a cleanup is made of: finished pods and rules in, a verdict for each pod out. */
import type { CleanupSpec } from '../../api/pod-cleanup.ts'
import type { OwnerReference } from '../evidence.ts'
import type { Micros } from '../time.ts'

/** What a pod's time of finishing was read from, the surest first. */
export type FinishedSource = 'Containers' | 'Conditions' | 'StartTime' | 'CreationTimestamp'

/** A pod in phase Succeeded or Failed. */
export interface FinishedPod {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly phase: 'Succeeded' | 'Failed'
  /** status.reason, as Evicted. */
  readonly reason?: string
  readonly labels: Readonly<Record<string, string>>
  /** On the clock of whoever wrote `finishedSource`. */
  readonly finishedAt: Micros
  readonly finishedSource: FinishedSource
  /** deletionTimestamp is set. */
  readonly deleting: boolean
  readonly finalizers: readonly string[]
  /** The controlling owner; a pod without one is bare. */
  readonly owner?: OwnerReference
  /** What its owner belongs to, as the Deployment of a ReplicaSet and the CronJob of a Job, where that is known. */
  readonly workload?: { readonly kind: string; readonly name: string; readonly uid: string }
  /** A static pod's mirror: the kubelet makes it again. */
  readonly mirror?: true
  /** Value of the annotation gracewatch.dev/keep. */
  readonly keep?: string
}

/** What is known of a Job (batch/v1), by its UID. */
export interface JobFacts {
  /** Its condition Complete or Failed is True. */
  readonly finished: boolean
}

/** A PodCleanup. One that is being deleted is none any more: leave it out. */
export interface CleanupRule {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly spec: CleanupSpec
}

/** A PodCleanup whose spec cannot be read, as one of a later version: which pods it would keep nobody knows, so it keeps all of its namespace. */
export interface UnreadableRule {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** A sentence that names the field. */
  readonly problem: string
}

/** The setting for pods that no PodCleanup selects, as kube-controller-manager's --terminated-pod-gc-threshold. */
export interface Threshold {
  /** Finished pods that may be there in the whole cluster. */
  readonly total?: number
  /** In each namespace. */
  readonly perNamespace?: number
  readonly minAge: Micros
  readonly barePods: boolean
  readonly finishedJobPods: boolean
  readonly recordSucceeded: boolean
  readonly onRecordFailure: CleanupSpec['onRecordFailure']
  readonly dryRun: boolean
}

export type DeleteReason = 'PastClusterThreshold' | 'PastNamespaceThreshold' | 'PastKeepTotal' | 'PastKeepPerOwner' | 'OlderThan'

export type KeepReason =
  | 'NotSelected'
  | 'Deleting'
  | 'KeepAnnotation'
  | 'HasFinalizers'
  | 'StaticPod'
  | 'OwnedByStatefulSet'
  | 'OwnedByDaemonSet'
  | 'JobUnknown'
  | 'JobNotFinished'
  | 'JobFinished'
  | 'BarePod'
  | 'TooYoung'
  | 'NotOldEnough'
  | 'WithinKeepPerOwner'
  | 'WithinKeepTotal'
  | 'WithinThreshold'
  | 'KeptByOtherRule'
  | 'RuleUnusable'

/** What is to become of one pod. */
export interface Verdict {
  readonly pod: FinishedPod
  readonly action: 'Delete' | 'Keep'
  readonly reason: DeleteReason | KeepReason
  /** A sentence for a person, without the pod's name. */
  readonly message: string
  /** The rules that have a say in it, as `PodCleanup NAMESPACE/NAME` or `threshold`; in order. */
  readonly rules: readonly string[]
  /** The decision is only to be told: one of those rules is on dry run. */
  readonly dryRun: boolean
  /** Its record has to be written before it goes. */
  readonly record: boolean
  /** Delete: it goes also where the record is refused, for every rule says so. */
  readonly onRecordFailure: CleanupSpec['onRecordFailure']
}

/** What one rule makes of the pods that it selects. */
export interface RuleReport {
  /** UID of the PodCleanup; undefined: the threshold. */
  readonly uid?: string
  readonly name: string
  readonly candidates: number
  readonly toDelete: number
  /** How many stay, by reason, in the order of reasons. */
  readonly kept: readonly { readonly reason: KeepReason; readonly count: number; readonly message: string }[]
  /** Why the rule cannot be used. It then keeps every pod of its namespace. */
  readonly problem?: string
}

export interface Plan {
  /** In the order in which pods are to be deleted: evicted first, then the oldest, then by namespace and name. */
  readonly verdicts: readonly Verdict[]
  /** PodCleanups by namespace and name, then the threshold where there is one. */
  readonly reports: readonly RuleReport[]
}
