/** Which records are asked for: what list, summary and watch select by. */
import { type Cause, type FindingType, OUTCOMES, type PodTermination } from '../api/pod-termination.ts'
import { labelValue } from './record-name.ts'
import { LABEL } from './record-object.ts'
import { type Micros, parseTime } from './time.ts'

const ONGOING = ['Terminating', 'Overdue'] as const
/** What a list says of how a pod ended: the outcome, or the state of what is not over. */
export const STANDINGS = [...OUTCOMES, ...ONGOING] as const
export type Standing = (typeof STANDINGS)[number]

/** All of what is given has to hold; of a list, any of its words. */
export interface RecordFilter {
  /** What is overdue may have an outcome as well, and is selected by either. */
  readonly outcomes?: readonly Standing[]
  readonly causes?: readonly Cause[]
  readonly findings?: readonly FindingType[]
  /** Without a kind, of any kind. */
  readonly workload?: { readonly kind?: string; readonly name: string }
  /** Those that were over by then are left out. */
  readonly since?: Micros
}

export function selects(filter: RecordFilter, record: PodTermination): boolean {
  const { outcomes, causes, findings, workload, since } = filter
  const { outcome, state, cause, pod } = record
  if (outcomes !== undefined && !outcomes.some((wanted) => wanted === outcome || wanted === state)) return false
  if (causes !== undefined && (cause === undefined || !causes.includes(cause.type))) return false
  if (findings !== undefined && !record.findings?.some(({ type }) => findings.includes(type))) return false
  if (workload !== undefined && !(pod.workload?.name === workload.name && sameKind(pod.workload.kind, workload.kind)))
    return false
  if (since === undefined || state !== 'Complete') return true
  const over = parseTime(record.finishedAt ?? record.startedAt)
  return over === undefined || over >= since
}

const sameKind = (kind: string, wanted: string | undefined) => wanted === undefined || kind.toLowerCase() === wanted.toLowerCase()

/** As much of the filter as labels say, so that the API server sends less; undefined where they say nothing of it. */
export function labelSelectorOf({ outcomes, causes, workload }: RecordFilter): string | undefined {
  const parts = [
    ...(outcomes === undefined ? [] : standingLabels(outcomes)),
    ...(causes === undefined ? [] : [`${LABEL.cause} in (${causes.join(',')})`]),
    ...(workload === undefined ? [] : [`${LABEL.workload}=${labelValue(workload.name)}`]),
  ]
  return parts.length === 0 ? undefined : parts.join(',')
}

/** A selector of labels has no word for one label or another. */
function standingLabels(wanted: readonly Standing[]): string[] {
  const states = wanted.filter((one) => ONGOING.some((state) => state === one))
  if (states.length > 0 && states.length < wanted.length) return []
  return [`${states.length > 0 ? LABEL.state : LABEL.outcome} in (${wanted.join(',')})`]
}
