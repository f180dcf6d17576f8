/** What many terminations say of the workloads that they belonged to. */
import { OUTCOMES, type Outcome, type PodTermination } from '../../api/pod-termination.ts'
import { parseTime } from '../time.ts'
import { isCutShort, needOf } from './needs.ts'
import { type Bounded, percentile } from './quantiles.ts'
import { type Recommendation, recommend } from './recommend.ts'

export interface WorkloadSummary {
  readonly namespace: string
  /** Absent: nobody knows yet what the pods belonged to. */
  readonly workload?: { readonly kind: string; readonly name: string }
  /** Those that are over. */
  readonly terminations: number
  readonly ongoing: number
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>
  readonly forced: number
  /** Seconds from when the kubelet turned to the slowest main container to its exit, of so many terminations that show it. */
  readonly needed?: { readonly of: number; readonly p50: Bounded; readonly p95: Bounded; readonly p99: Bounded }
  /** As the last termination that was not cut short had it. */
  readonly graceSeconds?: number
  /** The 95th percentile of the time needed, of that; more than 100 where pods were killed. */
  readonly graceUsedPercent?: Bounded
  readonly recommendation: Recommendation
}

/** One a workload; those that lose pods by force first, then by name. */
export function summarise(records: readonly PodTermination[]): WorkloadSummary[] {
  const groups = new Map<string, PodTermination[]>()
  for (const record of records) {
    const { namespace, workload } = record.pod
    const key = [namespace, workload?.kind ?? '', workload?.name ?? ''].join('/')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [record])
    else group.push(record)
  }
  return [...groups]
    .map(([key, group]) => ({ key, summary: summaryOf(group) }))
    .sort((a, b) => b.summary.forced - a.summary.forced || (a.key < b.key ? -1 : 1))
    .map(({ summary }) => summary)
}

function summaryOf(records: readonly PodTermination[]): WorkloadSummary {
  const over = records.filter(({ state, outcome }) => state === 'Complete' && outcome !== undefined)
  const terminations = over.map((record) => ({ record, need: needOf(record) }))
  const needs = terminations.flatMap(({ need }) => need ?? [])
  const graceSeconds = graceOf(records)
  const [p50, p95, p99] = [percentile(needs, 0.5), percentile(needs, 0.95), percentile(needs, 0.99)]
  const share = (value: number) => Math.round((value / Math.max(1, graceSeconds ?? 1)) * 100)
  const first = records[0]?.pod
  const counts: Partial<Record<Outcome, number>> = {}
  for (const outcome of OUTCOMES) {
    const count = over.filter((record) => record.outcome === outcome).length
    if (count > 0) counts[outcome] = count
  }
  return {
    namespace: first?.namespace ?? '',
    ...(first?.workload === undefined ? {} : { workload: { kind: first.workload.kind, name: first.workload.name } }),
    terminations: over.length,
    ongoing: records.length - over.length,
    outcomes: counts,
    forced: counts.ForcedKill ?? 0,
    ...(p50 === undefined || p95 === undefined || p99 === undefined ? {} : { needed: { of: needs.length, p50, p95, p99 } }),
    ...(graceSeconds === undefined ? {} : { graceSeconds }),
    ...(p95 === undefined || graceSeconds === undefined
      ? {}
      : { graceUsedPercent: { least: share(p95.least), best: share(p95.best), most: share(p95.most) } }),
    recommendation: recommend(terminations, graceSeconds),
  }
}

function graceOf(records: readonly PodTermination[]): number | undefined {
  const started = ({ startedAt }: PodTermination) => parseTime(startedAt) ?? 0
  const [latest] = records
    .filter((record) => record.pod.graceSeconds !== undefined && !isCutShort(record))
    // Of two at the same time, the longer: the order of the records says nothing.
    .sort((a, b) => started(b) - started(a) || (b.pod.graceSeconds ?? 0) - (a.pod.graceSeconds ?? 0))
  return latest?.pod.graceSeconds
}
