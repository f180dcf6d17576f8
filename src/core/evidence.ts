/**
 * What the core is told. One slim type for each foreign object, made at the border by src/kube/decode, and one union of facts,
 * each with its time of arrival on the recorder's clock. Times inside the objects stay the strings that the API wrote: which
 * clock and which resolution they have is the core's knowledge, not the decoder's.
 */

import type { KernelFacts } from '../api/kernel.ts'
import type { GatePart } from './gates/types.ts'
import type { Micros } from './time.ts'

export type Clock = 'APIServer' | 'Node' | 'Recorder'
export type Source = 'APIServer' | 'Kubelet' | 'Event' | 'EndpointSlice' | 'Kernel' | 'Recorder'
export type Confidence = 'Measured' | 'Reported' | 'Observed' | 'Inferred'

export type ContainerRole = 'Main' | 'Init' | 'Sidecar' | 'Ephemeral'
export type PreStopHandler = 'Exec' | 'HTTPGet' | 'Sleep' | 'TCPSocket'

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

export interface ContainerSpec {
  readonly name: string
  /** Sidecar: an init container with restartPolicy Always. */
  readonly role: ContainerRole
  readonly preStop?: { readonly handler: PreStopHandler /** sleep handler only */; readonly seconds?: number }
  /** lifecycle.stopSignal, where the pod sets one. */
  readonly stopSignal?: string
}

export interface TerminatedState {
  readonly exitCode: number
  readonly reason?: string
  readonly message?: string
  readonly startedAt?: string
  readonly finishedAt?: string
  readonly containerID?: string
}

export interface ContainerStatus {
  readonly name: string
  readonly restartCount: number
  readonly containerID?: string
  /** status.containerStatuses[].stopSignal (1.33+): the signal that the runtime will send. */
  readonly stopSignal?: string
  readonly waiting?: { readonly reason?: string }
  readonly running?: { readonly startedAt?: string }
  readonly terminated?: TerminatedState
  readonly lastTerminated?: TerminatedState
}

export interface PodCondition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
}

/** A Pod as one watch event or list item showed it. */
export interface PodSnapshot {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly finalizers: readonly string[]
  /** The controlling owner, where there is one. */
  readonly owner?: OwnerReference
  /** Static (mirror) pods: annotation kubernetes.io/config.mirror is present. */
  readonly mirror?: true
  readonly nodeName?: string
  readonly restartPolicy: string
  /** spec.terminationGracePeriodSeconds (the API server's default is 30). */
  readonly graceSeconds: number
  readonly activeDeadlineSeconds?: number
  readonly volumeCount: number
  readonly containers: readonly ContainerSpec[]
  readonly phase: string
  readonly reason?: string
  readonly message?: string
  readonly startTime?: string
  /** status.observedGeneration (1.34+): how far the kubelet has taken the spec in. */
  readonly observedGeneration?: number
  /** DisruptionTarget, Ready and PodScheduled only; the others say nothing about an end. */
  readonly conditions: readonly PodCondition[]
  readonly statuses: readonly ContainerStatus[]
  /** Where readiness gates are switched on. */
  readonly gate?: GatePart
  /** Of a pod that has finished, where cleanup is switched on. */
  readonly cleanup?: CleanupPart
}

/** What rules of a cleanup select a pod by. */
export interface CleanupPart {
  readonly labels: Readonly<Record<string, string>>
  /** Value of the annotation gracewatch.dev/keep. */
  readonly keep?: string
}

/** A core/v1 Event about a pod. */
export interface EventSnapshot {
  readonly uid: string
  readonly resourceVersion: string
  readonly namespace: string
  /** `<pod>.<hex of UnixNano>`: the emitter's clock at first occurrence. */
  readonly name: string
  readonly reason: string
  /** Normal or Warning. */
  readonly eventType: string
  readonly message: string
  readonly count: number
  readonly firstTimestamp?: string
  readonly lastTimestamp?: string
  readonly eventTime?: string
  readonly component?: string
  readonly host?: string
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string }
  /** Container name out of involvedObject.fieldPath (`spec.containers{app}`). */
  readonly container?: string
}

/** One endpoint of an EndpointSlice, its nil conditions already replaced by what they mean. */
export interface EndpointState {
  readonly podUid: string
  readonly podName: string
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
}

export interface EndpointSliceSnapshot {
  readonly uid: string
  readonly resourceVersion: string
  readonly namespace: string
  readonly name: string
  /** Label kubernetes.io/service-name; slices without it belong to no Service and are not recorded. */
  readonly service?: string
  readonly endpoints: readonly EndpointState[]
}

export interface Workload {
  readonly kind: string
  readonly name: string
  readonly uid?: string
  readonly apiVersion?: string
}

/**
 * How an object came to the recorder. Listed: it was in a list, so its last change is older than the arrival by any amount.
 * Vanished: a new list no longer had it; the object is the last version seen and the removal lies between `since` and arrival.
 */
export type ChangeType = 'Listed' | 'Added' | 'Modified' | 'Deleted' | 'Vanished'

export interface PodFact {
  readonly type: 'Pod'
  readonly change: ChangeType
  readonly arrivedAt: Micros
  /** Listed and Vanished: when the stream was last known to be complete; absent where nobody watched before. */
  readonly since?: Micros
  readonly pod: PodSnapshot
}

/** A list had no such pod, and nobody holds an earlier version of it: only Events or a begun record still name it. */
export interface AbsentFact {
  readonly type: 'Absent'
  readonly arrivedAt: Micros
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string }
}

export interface EventFact {
  readonly type: 'Event'
  readonly arrivedAt: Micros
  /** True where the event came with a list: its arrival then bounds nothing closely. */
  readonly listed: boolean
  readonly event: EventSnapshot
}

export interface EndpointFact {
  readonly type: 'Endpoint'
  readonly arrivedAt: Micros
  readonly listed: boolean
  /** Listed: when the stream was last known to be complete. */
  readonly since?: Micros
  readonly service: string
  /** UID of the slice: one pod can stand in several slices of one Service. */
  readonly slice: string
  readonly sliceVersion: string
  /** False: the slice (or the slice itself) no longer names the pod. */
  readonly present: boolean
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
}

export interface WorkloadFact {
  readonly type: 'Workload'
  readonly workload: Workload
}

/** Nobody watched `resource` from `from` to `to`. */
export interface GapFact {
  readonly type: 'Gap'
  readonly resource: 'Pod' | 'Event' | 'EndpointSlice'
  readonly from: Micros
  readonly to: Micros
  /** A sentence part: "the controller was not running", "the watch was cut and its place was compacted away". */
  readonly reason: string
}

/** Offset of a clock against the recorder's, in microseconds (clock - recorder): the truth lies in [earliest, latest]. */
export interface ClockFact {
  readonly type: 'Clock'
  readonly clock: 'APIServer' | 'Node'
  readonly earliest: Micros
  readonly latest: Micros
}

/** What was found out about the pod's node while the termination was late. */
export interface NodeFact {
  readonly type: 'Node'
  readonly arrivedAt: Micros
  readonly node: string
  readonly exists: boolean
  /** Status of the condition Ready; absent where the node is gone. */
  readonly ready?: 'True' | 'False' | 'Unknown'
}

/**
 * What the agent of the pod's node had measured so far: the field `kernel` of the pod's record. Each such fact holds all that was in
 * the one before, so the last one alone counts.
 */
export interface KernelFact {
  readonly type: 'Kernel'
  readonly arrivedAt: Micros
  readonly kernel: KernelFacts
}

/** The pod had ended before, and stands as it did: what is told of its end is told from that alone. */
export interface RemainsFact {
  readonly type: 'Remains'
  readonly arrivedAt: Micros
}

/** An agent ran on the pod's node, and had not said all by then: nothing, or not that every container had ended. */
export interface AgentFact {
  readonly type: 'Agent'
  readonly arrivedAt: Micros
  readonly node: string
}

export type Fact =
  | PodFact
  | AbsentFact
  | EventFact
  | EndpointFact
  | WorkloadFact
  | GapFact
  | ClockFact
  | NodeFact
  | KernelFact
  | AgentFact
  | RemainsFact
