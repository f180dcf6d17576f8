/** What the gatekeeper knows and decides, as plain values. Times are microseconds on the controller's clock unless said otherwise. */
import type { GateSpec, GateStatus } from '../../api/pod-readiness-gate.ts'
import type { Outcome } from '../../api/pod-termination.ts'
import type { PodCondition, PodSnapshot, Workload } from '../evidence.ts'
import type { Micros } from '../time.ts'

export type ConditionStatus = 'True' | 'False' | 'Unknown'

/** A PodReadinessGate as one watch event or list item showed it; the spec has passed the schema. */
export interface Gate {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly generation: number
  /** RFC 3339, as the API server wrote it. */
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly finalizers: readonly string[]
  readonly spec: GateSpec
  readonly status?: GateStatus
}

/** One condition of a pod. */
export interface Condition extends PodCondition {
  readonly status: ConditionStatus
  readonly observedGeneration?: number
}

/**
 * What the gates need of a pod beside what the recorder keeps of it; it stands in the pod's snapshot where gates are switched on. Of a
 * pod without readiness gates only the labels are kept: a gate tells how many of those it selects lack it, and the brake counts the pods
 * of an old revision, which may have none.
 */
export interface GatePart {
  readonly labels: Readonly<Record<string, string>>
  /** Of values over 256 characters the first 257: no check can ask for one. */
  readonly annotations: Readonly<Record<string, string>>
  /** conditionType of each of spec.readinessGates. */
  readonly readinessGates: readonly string[]
  /** The conditions that spec.readinessGates names. */
  readonly conditions: readonly Condition[]
  /** Its condition ContainersReady is True: only the gates keep it from being Ready. */
  readonly containersReady?: true
  /** Since when; the creation of the pod where nobody has written it. */
  readonly containersReadySince?: string
  /** status.podIP. */
  readonly podIP?: string
  /** Addresses of its node, which podIP must not be. */
  readonly hostIPs: readonly string[]
  readonly hostNetwork: boolean
  /** Named ports of its containers. */
  readonly ports: Readonly<Record<string, number>>
}

/** A pod as the gates see it. */
export interface GatePod
  extends GatePart,
    Pick<PodSnapshot, 'uid' | 'namespace' | 'name' | 'resourceVersion' | 'generation' | 'deletionTimestamp' | 'phase' | 'owner'> {
  /** Changes when a container has restarted: what was found of the pod before is not true of it any more. */
  readonly incarnation: string
}

export type CheckKind = 'annotation' | 'httpGet' | 'condition' | 'endpoints' | 'handover'

/** Pass: it holds. Fail: it does not. Unknown: nobody can tell now, and the reason says why. */
export interface CheckResult {
  readonly state: 'Pass' | 'Fail' | 'Unknown'
  /** CamelCase. */
  readonly reason: string
  /** One sentence without a full stop, with what was found and, where it fails, what would make it pass. */
  readonly message: string
  /** When it may change by time alone. */
  readonly recheckAt?: Micros
  /** Nobody has looked yet, and the answer is on its way: until then the condition stays as it is. */
  readonly pending?: true
  /** It passed before, and is not judged anew: a condition that is True keeps what it says of it. */
  readonly kept?: true
}

/** What the condition of a pod should be. */
export interface Verdict {
  readonly status: ConditionStatus
  readonly reason: string
  readonly message: string
  /** When to look again though nothing has changed: failOpenAfter, the end of a window, maxHold. */
  readonly recheckAt?: Micros
}

/** How a pod of a workload ended: one line of the brake's book. */
export interface EndedPod {
  readonly uid: string
  readonly name: string
  readonly outcome: Outcome
  readonly finishedAt: Micros
}

/** What the brake looks at: one workload as it is now. */
export interface WorkloadFacts {
  readonly workload: Workload
  /** Of this workload, of any revision, terminating ones included. */
  readonly pods: readonly WorkloadPod[]
  /** Order of the revisions that pods have: higher is newer. Absent: not (yet) known, with the reason in `revisionsProblem`. */
  readonly revisions?: ReadonlyMap<string, number>
  readonly revisionsProblem?: string
  /** Ends of its pods that are known; absent: not yet read. */
  readonly ended?: readonly EndedPod[]
  readonly endedProblem?: string
  /** Value of the annotation gracewatch.dev/release on the workload. */
  readonly release?: string
}

export interface WorkloadPod {
  readonly uid: string
  readonly name: string
  readonly revision: string
  /** Since when it is ending, and when SIGKILL is due at the latest. The pod stays in the list until its verdict is there. */
  readonly terminating?: { readonly since: Micros; readonly deadline: Micros }
  /** True once its record is Complete. */
  readonly verdict?: true
  /** The phase is Succeeded or Failed: it serves no more. */
  readonly finished?: true
  /** The object is gone; it stays in the list until its verdict is there. */
  readonly gone?: true
}

/** A brake that holds, or held, the pods of one revision. It stands in the gate's status, so that it outlives the controller. */
export interface Hold {
  readonly workload: Workload
  /** The revision whose pods are held. */
  readonly revision: string
  readonly since: Micros
  /** The value of the annotation when the hold began: another one releases. */
  readonly releaseSeen?: string
  readonly released?: { readonly at: Micros; readonly by: 'Annotation' | 'MaxHold' }
}
