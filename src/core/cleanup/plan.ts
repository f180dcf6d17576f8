/**
 * Which finished pods are to be deleted. Pure: the same pods, rules and time give the same plan, in whatever order they come.
 *
 * Each PodCleanup by itself names the pods that it lets go; a pod goes only if all that select it name it. What one keeps is not made up for by
 * others, so that a further PodCleanup never makes another delete more. The threshold looks at what is left after that: it counts every
 * finished pod, and takes only those that no PodCleanup selects.
 */
import { parseDuration } from '../duration.ts'
import { selectorProblem, matches as selects } from '../gates/selector.ts'
import type { Micros } from '../time.ts'
import { type ProtectionOptions, protection } from './protection.ts'
import { isDelete, KEEP_REASONS, sentence } from './sentences.ts'
import type {
  CleanupRule,
  DeleteReason,
  FinishedPod,
  JobFacts,
  KeepReason,
  Plan,
  RuleReport,
  Threshold,
  UnreadableRule,
  Verdict,
} from './types.ts'

export interface PlanInput {
  /** Finished pods of the whole cluster, or of the namespaces that are asked about (without a total threshold then). */
  readonly pods: readonly FinishedPod[]
  /** By UID. */
  readonly jobs: ReadonlyMap<string, JobFacts>
  readonly rules: readonly (CleanupRule | UnreadableRule)[]
  readonly threshold?: Threshold
  /** For everything: decide and tell only. It changes no decision. */
  readonly dryRun?: boolean
  /** On the API server's clock. */
  readonly now: Micros
}

/** It deletes nothing, so nothing else is asked of it. */
const UNREADABLE = { dryRun: false, recordSucceeded: false, onRecordFailure: 'Keep' } as const

type Reason = DeleteReason | KeepReason

/** What one rule makes of one pod. */
interface Ruling {
  readonly by: Rule
  readonly reason: Reason
}

/** What a PodCleanup and the threshold have in common. */
interface Rule {
  readonly name: string
  readonly dryRun: boolean
  readonly recordSucceeded: boolean
  readonly onRecordFailure: Verdict['onRecordFailure']
}

export function plan({ pods, jobs, rules, threshold, dryRun = false, now }: PlanInput): Plan {
  const ordered = [...pods].sort(inOrder)
  const namespaces = Map.groupBy(ordered, ({ namespace }) => namespace)
  const rulings = new Map<FinishedPod, Ruling[]>()
  const judged = [...rules].sort(byName).map((rule) => {
    const by: Rule = { ...('spec' in rule ? rule.spec : UNREADABLE), name: `PodCleanup ${rule.namespace}/${rule.name}` }
    const { reasons, problem } = judge(rule, namespaces.get(rule.namespace) ?? [], jobs, now)
    for (const [pod, reason] of reasons) {
      const others = rulings.get(pod)
      if (others === undefined) rulings.set(pod, [{ by, reason }])
      else others.push({ by, reason })
    }
    return { rule, by, reasons, problem }
  })
  const byThreshold = judgeThreshold(ordered, rulings, jobs, threshold, now)
  const verdicts = ordered.map((pod) => verdictOf(pod, rulings.get(pod) ?? byThreshold.get(pod) ?? [], dryRun))
  const reports: RuleReport[] = judged.map(({ rule: { uid }, by: { name }, reasons, problem }) => ({
    uid,
    ...report(name, agreed(reasons, rulings)),
    ...(problem === undefined ? {} : { problem }),
  }))
  if (threshold !== undefined)
    reports.push(
      report(
        THRESHOLD,
        [...byThreshold.values()].flatMap((list) => list.map(({ reason }) => reason)),
      ),
    )
  return { verdicts, reports }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** As podgc: evicted pods hold no evidence beyond their record, so they go first. By time of finishing, where podgc takes the creation. */
function inOrder(a: FinishedPod, b: FinishedPod): number {
  return (
    Number(b.reason === 'Evicted') - Number(a.reason === 'Evicted') ||
    a.finishedAt - b.finishedAt ||
    compare(a.namespace, b.namespace) ||
    compare(a.name, b.name) ||
    compare(a.uid, b.uid)
  )
}

const byName = (a: PlanInput['rules'][number], b: PlanInput['rules'][number]): number =>
  compare(a.namespace, b.namespace) || compare(a.name, b.name) || compare(a.uid, b.uid)

/** One that is being deleted is as good as gone: were it counted, another would be deleted in its place. */
const countable = (pods: readonly FinishedPod[]): number => pods.filter(({ deleting }) => !deleting).length

/** What the rule alone makes of each pod that it selects. `pods`: those of its namespace, in order. */
function judge(
  rule: PlanInput['rules'][number],
  pods: readonly FinishedPod[],
  jobs: ReadonlyMap<string, JobFacts>,
  now: Micros,
): { reasons: Map<FinishedPod, Reason>; problem?: string } {
  const usable = 'spec' in rule ? usableSpec(rule.spec) : rule
  if ('problem' in usable) return { reasons: new Map(pods.map((pod) => [pod, 'RuleUnusable'])), problem: usable.problem }
  const { spec, options, olderThan } = usable
  const selected = pods.filter(
    (pod) =>
      spec.phases.includes(pod.phase) &&
      (spec.reasons === undefined || (pod.reason !== undefined && spec.reasons.includes(pod.reason))) &&
      selects(spec.selector, pod.labels),
  )
  const reasons = new Map<FinishedPod, Reason>()
  for (const pod of selected) {
    const kept = protection(pod, jobs, options, now)
    if (kept !== undefined) reasons.set(pod, kept)
    else if (olderThan !== undefined && now - pod.finishedAt <= olderThan) reasons.set(pod, 'NotOldEnough')
  }
  const { total, perOwner } = spec.keep ?? {}
  if (perOwner !== undefined)
    for (const its of Map.groupBy(selected, ownerKey).values()) keepNewest(its, perOwner, 'WithinKeepPerOwner', reasons)
  if (total !== undefined) keepNewest(selected, total, 'WithinKeepTotal', reasons)
  const past = total !== undefined ? 'PastKeepTotal' : perOwner !== undefined ? 'PastKeepPerOwner' : 'OlderThan'
  for (const pod of selected) if (!reasons.has(pod)) reasons.set(pod, past)
  return { reasons }
}

/** Of `pods`, those that are kept already count among the `count` that stay; of the others the last in order stay. */
function keepNewest(pods: readonly FinishedPod[], count: number, reason: KeepReason, reasons: Map<FinishedPod, Reason>): void {
  const free = pods.filter((pod) => !reasons.has(pod))
  const excess = Math.max(0, countable(pods) - count)
  for (const pod of free.slice(excess)) reasons.set(pod, reason)
}

/** A bare pod is its own owner. */
const ownerKey = ({ uid, owner, workload }: FinishedPod): string => workload?.uid ?? owner?.uid ?? uid

/** The API server's schema lets nothing else through; a CRD of another version might. */
function usableSpec(
  spec: CleanupRule['spec'],
): { spec: CleanupRule['spec']; options: ProtectionOptions; olderThan: Micros | undefined } | { problem: string } {
  const problem = selectorProblem(spec.selector)
  if (problem !== undefined) return { problem }
  if (spec.olderThan === undefined && spec.keep?.total === undefined && spec.keep?.perOwner === undefined)
    return { problem: 'spec: write keep or olderThan' }
  const minAge = parseDuration(spec.minAge)
  if (minAge === undefined) return { problem: `spec.minAge: "${spec.minAge}" is no duration; write one as 90s or 1h30m` }
  const olderThan = spec.olderThan === undefined ? undefined : parseDuration(spec.olderThan)
  if (spec.olderThan !== undefined && olderThan === undefined)
    return { problem: `spec.olderThan: "${spec.olderThan}" is no duration; write one as 90s or 1h30m` }
  return { spec, options: { minAge, barePods: spec.barePods, finishedJobPods: spec.finishedJobPods }, olderThan }
}

const THRESHOLD = 'threshold'

/** Of pods that no PodCleanup selects, in `ordered`; nothing without a threshold. */
function judgeThreshold(
  ordered: readonly FinishedPod[],
  rulings: ReadonlyMap<FinishedPod, readonly Ruling[]>,
  jobs: ReadonlyMap<string, JobFacts>,
  threshold: Threshold | undefined,
  now: Micros,
): Map<FinishedPod, Ruling[]> {
  const reasons = new Map<FinishedPod, Reason>()
  if (threshold === undefined) return new Map()
  const own = ordered.filter((pod) => !rulings.has(pod))
  for (const pod of own) {
    const kept = protection(pod, jobs, threshold, now)
    if (kept !== undefined) reasons.set(pod, kept)
  }
  const goes = (pod: FinishedPod): boolean => {
    const reason = reasons.get(pod)
    if (reason !== undefined) return isDelete(reason)
    return rulings.get(pod)?.every((ruling) => isDelete(ruling.reason)) ?? false
  }
  const take = (pods: readonly FinishedPod[], limit: number, reason: DeleteReason): void => {
    const excess = Math.max(0, countable(pods.filter((pod) => !goes(pod))) - limit)
    const free = pods.filter((pod) => !rulings.has(pod) && !reasons.has(pod))
    for (const pod of free.slice(0, excess)) reasons.set(pod, reason)
  }
  const { perNamespace, total } = threshold
  if (perNamespace !== undefined)
    for (const its of Map.groupBy(ordered, ({ namespace }) => namespace).values())
      take(its, perNamespace, 'PastNamespaceThreshold')
  if (total !== undefined) take(ordered, total, 'PastClusterThreshold')
  const by: Rule = { ...threshold, name: THRESHOLD }
  return new Map(own.map((pod) => [pod, [{ by, reason: reasons.get(pod) ?? 'WithinThreshold' }]]))
}

function verdictOf(pod: FinishedPod, rulings: readonly Ruling[], dryRun: boolean): Verdict {
  const keeping = rulings.find(({ reason }) => !isDelete(reason))
  const deciding = keeping ?? rulings[0]
  const reason = deciding?.reason ?? 'NotSelected'
  return {
    pod,
    action: isDelete(reason) ? 'Delete' : 'Keep',
    reason,
    message: deciding === undefined ? sentence(reason) : `${deciding.by.name}: ${sentence(reason)}`,
    rules: rulings.map(({ by }) => by.name),
    dryRun: dryRun || rulings.some(({ by }) => by.dryRun),
    record: pod.phase === 'Failed' || rulings.some(({ by }) => by.recordSucceeded),
    onRecordFailure: rulings.length > 0 && rulings.every(({ by }) => by.onRecordFailure === 'Delete') ? 'Delete' : 'Keep',
  }
}

/** A rule's reasons, with what other rules keep of the pods that it lets go. */
function agreed(reasons: ReadonlyMap<FinishedPod, Reason>, rulings: ReadonlyMap<FinishedPod, readonly Ruling[]>): Reason[] {
  return [...reasons].map(([pod, reason]) => {
    const kept = rulings.get(pod)?.some((ruling) => !isDelete(ruling.reason)) ?? false
    return isDelete(reason) && kept ? 'KeptByOtherRule' : reason
  })
}

function report(name: string, reasons: readonly Reason[]): RuleReport {
  const counts = new Map<Reason, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return {
    name,
    candidates: reasons.length,
    toDelete: reasons.filter(isDelete).length,
    kept: KEEP_REASONS.flatMap((reason) => {
      const count = counts.get(reason)
      return count === undefined ? [] : [{ reason, count, message: sentence(reason) }]
    }),
  }
}
