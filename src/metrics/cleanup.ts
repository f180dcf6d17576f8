/** What the passes of cleanup have done. */
import type { Acted } from '../controllers/cleaner/pass.ts'
import { passOf } from '../controllers/cleaner/report.ts'
import type { DeleteReason, Plan } from '../core/cleanup/types.ts'
import type { MetricRegistry } from './registry.ts'
import { StateGauge } from './state-gauge.ts'

const DELETE_REASONS: Readonly<Record<DeleteReason, true>> = {
  PastClusterThreshold: true,
  PastNamespaceThreshold: true,
  PastKeepTotal: true,
  PastKeepPerOwner: true,
  OlderThan: true,
}
const MAX_PROBLEMS = 100

interface Problem {
  readonly namespace: string
  readonly cleanup: string
  readonly problem: string
}

export class CleanupMetrics {
  readonly #registry: MetricRegistry
  /** What the last pass left, by reason, and the rules that it found to have a problem. */
  #kept: ReadonlyMap<string, number> = new Map()
  #problems: readonly Problem[] = []

  /** @param now milliseconds, monotonic; default performance.now() */
  constructor(registry: MetricRegistry, isLeader: () => boolean, now?: () => number) {
    const problems = new StateGauge(registry, 'gracewatch_cleanup_rule_problems', now)
    this.#registry = registry
    for (const reason of Object.keys(DELETE_REASONS)) registry.count('gracewatch_cleanup_deleted_pods_total', { reason }, 0)
    registry.count('gracewatch_cleanup_failures_total', { reason: 'RecordRefused' }, 0)
    registry.onCollect(() => {
      registry.empty('gracewatch_cleanup_kept_pods')
      // Another leader plans on its own.
      if (!isLeader()) {
        this.#kept = new Map()
        this.#problems = []
        problems.leave()
        return
      }
      for (const [reason, count] of this.#kept) registry.set('gracewatch_cleanup_kept_pods', { reason }, count)
      problems.tell(this.#problems.map((problem) => ({ labels: { ...problem }, value: 1 })))
    })
  }

  onPass(planned: Plan, acted: Acted): void {
    for (const { reason } of acted.deleted) this.#registry.count('gracewatch_cleanup_deleted_pods_total', { reason })
    this.#fail('RecordRefused', acted.refused.length)
    for (const { error } of acted.failed) this.#fail(error.code, 1)
    const kept = new Map<string, number>()
    for (const { action, reason } of planned.verdicts) if (action === 'Keep') kept.set(reason, (kept.get(reason) ?? 0) + 1)
    // No decision of the plan, and all the same why they stay.
    if (acted.refused.length > 0) kept.set('RecordRefused', acted.refused.length)
    this.#kept = kept
    this.#problems = planned.reports
      .flatMap((report) => {
        const { refused, failed } = passOf(report, acted)
        const labels = ruleLabels(report.uid === undefined ? undefined : report.name)
        const found = { Unusable: report.problem !== undefined, RecordRefused: refused.length > 0, Failing: failed.length > 0 }
        return Object.entries(found).flatMap(([problem, is]) => (is ? [{ ...labels, problem }] : []))
      })
      .slice(0, MAX_PROBLEMS)
  }

  #fail(reason: string, count: number): void {
    this.#registry.count('gracewatch_cleanup_failures_total', { reason }, count)
  }
}

/** @param name as a plan has it: `PodCleanup NAMESPACE/NAME`; undefined: the threshold */
function ruleLabels(name: string | undefined): Omit<Problem, 'problem'> {
  const [, namespace = '', cleanup = ''] = /^(?:\S+ )?([^/]+)\/(.+)$/.exec(name ?? '') ?? []
  return { namespace, cleanup }
}
