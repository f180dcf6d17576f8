import type { KernelContainer } from '../../src/api/kernel.ts'
import type { Cause, FindingType, MarkType, Outcome, PodTermination } from '../../src/api/pod-termination.ts'
import type { Raw } from './api.ts'
import type { Stage } from './stage.ts'
import type { Truth } from './truth/truth.ts'

/** The field may be left out. */
type Absent = 'absent'
type HookResult = 'Succeeded' | 'Failed' | 'Overran' | 'Unknown' | Absent
type Killer = 'Runtime' | 'OOM' | 'Other' | 'Unknown' | Absent
type SignalResult = 'Delivered' | 'Ignored' | 'Unknown' | Absent

/** What the record has to say about one container; a list holds what is equally right, where the API does not tell which. */
export interface ExpectedContainer {
  readonly outcome: Outcome
  readonly preStop?: readonly HookResult[]
  /** Result of the stop signal; absent: the container got none. */
  readonly stopSignal?: readonly SignalResult[]
  /** Absent: it was not killed, and the record must not say so. */
  readonly kill?: readonly Killer[]
  /** Absent: it never exited, or nobody could see how. */
  readonly code?: number
  /** What differs where the agent measures: what the kernel alone tells. */
  readonly measured?: Partial<Omit<ExpectedContainer, 'measured' | 'kernel'>>
  /** What the agent's own field has to say of it. */
  readonly kernel?: ExpectedKernel
}

/** What tells one end from another in the agent's field; what is left out is not looked at. */
export interface ExpectedKernel {
  readonly disposition?: NonNullable<KernelContainer['process']>['disposition']
  readonly passedOn?: NonNullable<KernelContainer['passedOn']>['result'] | Absent
  readonly kill?: NonNullable<KernelContainer['kill']>['by'] | Absent
  readonly exit?: NonNullable<KernelContainer['exit']>['how']
  readonly preStop?: NonNullable<KernelContainer['preStop']>['how'] | Absent
  readonly pidNamespace?: KernelContainer['pidNamespace']
  /** Whether processes below were killed by the kernel because the container's own had ended. */
  readonly leftBehind?: boolean
  /** Whether processes below were killed for want of memory. */
  readonly oomKills?: boolean
}

/** What the record of one pod has to say. */
export interface Expectation {
  /** Matches the name of the pod. */
  readonly pod: RegExp
  readonly cause: Cause
  readonly outcome: Outcome
  /** Every Warning of the record, each as `Type` or `Type/container` (`A|B`: either); no other may be there. */
  readonly warnings?: readonly string[]
  /** Warnings that may be there or not, as the machine had it. */
  readonly mayWarn?: readonly FindingType[]
  /** Every Info of the record. */
  readonly infos?: readonly FindingType[]
  /** Infos that may be there or not: they depend on how quick the machine was. */
  readonly mayInform?: readonly FindingType[]
  readonly containers: Readonly<Record<string, ExpectedContainer>>
  /** Marks that are true but of which the API left no evidence, each as `Mark` or `Mark/container`. */
  readonly mayMiss?: readonly (MarkType | `${MarkType}/${string}`)[]
  /** `Kind/name`, where the name is a prefix; without it the pod is its own. Unknown: only Events were left, which name no owner. */
  readonly workload?: string
  /** What differs where the agent measures. */
  readonly measured?: Partial<Omit<Expectation, 'pod' | 'containers' | 'measured'>>
  /** Marks that the agent could not measure, though it was there: a gap that the record has to state. */
  readonly unmeasured?: readonly (MarkType | `${MarkType}/${string}`)[]
  /** Where the record stands; the pod's own namespace unless that is being deleted. */
  readonly ownNamespace?: true
  /** What else has to be; each problem is a sentence. `history` is every version of the record that the API server showed. */
  readonly also?: (record: PodTermination, truth: Truth, history: readonly Raw[]) => readonly string[]
}

export interface Scenario {
  /** Row of the list. */
  readonly number: number
  readonly title: string
  /** What is done, in one sentence, for the reader of docs/scenarios.md. */
  readonly did: string
  /** It disturbs the node, the controller or the API server: it runs last, with nothing beside it. */
  readonly alone?: true
  /** It is about the agent itself. */
  readonly agentOnly?: true
  /** Runs the story and returns the pods that ended, as they were before. */
  readonly act: (stage: Stage) => Promise<readonly Raw[]>
  readonly expect: readonly Expectation[]
  /** Matches the names of the story's pods that must leave no record. */
  readonly unrecorded?: RegExp
}
