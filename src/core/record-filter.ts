/** Which records are asked for: what list, summary and watch select by. */
import type { Cause, FindingType, Outcome, PodTermination } from '../api/pod-termination.ts'
import { labelValue } from './record-name.ts'
import { LABEL } from './record-object.ts'
import { type Micros, parseTime } from './time.ts'

/** All of what is given has to hold; of a list, any of its words. */
export interface RecordFilter {
  readonly outcomes?: readonly Outcome[]
  readonly causes?: readonly Cause[]
  readonly findings?: readonly FindingType[]
  /** Without a kind, of any kind. */
  readonly workload?: { readonly kind?: string; readonly name: string }
  /** Those that were over by then are left out. */
  readonly since?: Micros
}

export function selects(filter: RecordFilter, record: PodTermination): boolean {
  const { outcomes, causes, findings, workload, since } = filter
  const { outcome, cause, pod } = record
  if (outcomes !== undefined && (outcome === undefined || !outcomes.includes(outcome))) return false
  if (causes !== undefined && (cause === undefined || !causes.includes(cause.type))) return false
  if (findings !== undefined && !record.findings?.some(({ type }) => findings.includes(type))) return false
  if (workload !== undefined && !(pod.workload?.name === workload.name && sameKind(pod.workload.kind, workload.kind)))
    return false
  if (since === undefined || record.state !== 'Complete') return true
  const over = parseTime(record.finishedAt ?? record.startedAt)
  return over === undefined || over >= since
}

const sameKind = (kind: string, wanted: string | undefined) => wanted === undefined || kind.toLowerCase() === wanted.toLowerCase()

/** As much of the filter as labels say, so that the API server sends less; undefined where they say nothing of it. */
export function labelSelectorOf({ outcomes, causes, workload }: RecordFilter): string | undefined {
  const parts = [
    ...(outcomes === undefined ? [] : [`${LABEL.outcome} in (${outcomes.join(',')})`]),
    ...(causes === undefined ? [] : [`${LABEL.cause} in (${causes.join(',')})`]),
    ...(workload === undefined ? [] : [`${LABEL.workload}=${labelValue(workload.name)}`]),
  ]
  return parts.length === 0 ? undefined : parts.join(',')
}
