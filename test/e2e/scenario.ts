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
  /** Runs the story and returns the pods that ended, as they were before. */
  readonly act: (stage: Stage) => Promise<readonly Raw[]>
  readonly expect: readonly Expectation[]
  /** Matches the names of the story's pods that must leave no record. */
  readonly unrecorded?: RegExp
}
