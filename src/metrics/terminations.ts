/** Terminations, as the recorder tells of them: counted and measured by the leader, each pod once. */
import { FINDINGS, OUTCOMES, type Outcome, type PodTermination } from '../api/pod-termination.ts'
import type { RecorderObserver } from '../controllers/recorder/observer.ts'
import type { ClockFact, PodSnapshot, Workload } from '../core/evidence.ts'
import { Clocks } from '../core/termination/clocks.ts'
import { MILLISECOND, type Micros, parseTime, SECOND } from '../core/time.ts'
import type { Change } from '../kube/reflector-types.ts'
import { measuresOf } from './measures.ts'
import type { MetricRegistry } from './registry.ts'
import { StateGauge } from './state-gauge.ts'
import { type WorkloadName, WorkloadSeries } from './workload-series.ts'

/** What of the recorder is needed here. */
export interface TerminationSource {
  readonly pods: { values(): Iterable<PodSnapshot> }
  readonly workloads: { known(pod: PodSnapshot): Workload; settled(pod: PodSnapshot): boolean }
  readonly elector: { isLeader(): boolean }
  inScope(namespace: string): boolean
  /** What is known of the clock of a node. */
  clocksOf(node: string | undefined): readonly ClockFact[]
  /** A time of this process on the API server's clock. */
  serverTime(at: Micros): Micros
  /** Terminations under way. */
  ongoing(): Iterable<{ readonly pod: PodSnapshot; readonly overdue: boolean }>
}

export interface TerminationMetricsOptions {
  readonly registry: MetricRegistry
  readonly source: TerminationSource
  readonly maxWorkloads: number
  /** Milliseconds, monotonic. Default performance.now(). */
  readonly now?: () => number
}

/** Longer than a verdict can be amended (MAX_LINGER of the reconciler). */
const REMEMBER_MS = 900_000
const MAX_REMEMBERED = 20_000
const MAX_PENDING = 10_000
/** An owner that cannot be looked up stands for itself after this. */
const GIVE_UP_MS = 60_000

/** Findings that are about the evidence, and say nothing of the workload. */
const OF_EVIDENCE = new Set<string>(['ClockSkew', 'EvidenceMissing', 'TimelineCut'])
const FIRST_FINDINGS = Object.keys(FINDINGS).filter((type) => !OF_EVIDENCE.has(type))

/** What has been counted of a pod. */
interface Counted {
  outcome: Outcome | undefined
  /** Findings, and containers that were killed by force; of most pods there are none. */
  more: Set<string> | undefined
  at: number
}

export class TerminationMetrics implements RecorderObserver {
  readonly workloads: WorkloadSeries
  readonly #options: TerminationMetricsOptions
  readonly #now: () => number
  readonly #overdue: StateGauge<'gracewatch_pods_overdue'>
  /** By the pod's UID, the oldest first. */
  readonly #counted = new Map<string, Counted>()
  /** Pods whose workload is still looked up, one an owner. */
  readonly #pending = new Map<string, { readonly pod: PodSnapshot; readonly since: number }>()

  constructor(options: TerminationMetricsOptions) {
    const { registry, maxWorkloads, now = () => performance.now() } = options
    this.#options = options
    this.#now = now
    this.#overdue = new StateGauge(registry, 'gracewatch_pods_overdue', now)
    this.workloads = new WorkloadSeries({
      registry,
      max: maxWorkloads,
      now,
      alive: () => this.#alive(),
      begin: (workload, series) => {
        for (const outcome of OUTCOMES)
          series.count('gracewatch_pod_terminations_total', workload, { outcome, cause: 'Deleted' }, 0)
        for (const finding of FIRST_FINDINGS) series.count('gracewatch_pod_termination_findings_total', workload, { finding }, 0)
        series.count('gracewatch_container_forced_kills_total', workload, { container_role: 'Main' }, 0)
      },
    })
    for (const outcome of OUTCOMES) registry.count('gracewatch_corrected_verdicts_total', { outcome }, 0)
    registry.onCollect(() => {
      this.#settle()
      this.#gauge()
      registry.set('gracewatch_metrics_workloads', {}, this.workloads.size)
    })
  }

  onPod({ type, object, previous, arrivedAt }: Change<PodSnapshot>): void {
    if (previous === undefined && type !== 'Deleted' && type !== 'Vanished') this.#see(object)
    if (type === 'Modified' && previous?.deletionTimestamp === undefined) this.#observeDelay(object, arrivedAt)
  }

  onEndpointSlice(): void {}

  onLeading(): void {}

  onVerdict(record: PodTermination, news: boolean): void {
    const { pod, outcome = 'Unknown', cause, containers = [], findings = [] } = record
    const { registry, source } = this.#options
    const counted = this.#remember(pod.uid)
    const before = counted.outcome
    const workload = workloadName(pod.namespace, pod.workload)
    // Another replica has told of it: what is found out later counts, and nothing else.
    const count: WorkloadSeries['count'] = (...series) => {
      if (news) this.workloads.count(...series)
    }
    if (before !== outcome) count('gracewatch_pod_terminations_total', workload, { outcome, cause: cause?.type ?? 'Unknown' })
    if (news && before !== undefined && before !== outcome)
      registry.count('gracewatch_corrected_verdicts_total', { outcome: before })
    for (const { type: finding } of findings)
      if (isNew(counted, finding)) count('gracewatch_pod_termination_findings_total', workload, { finding })
    for (const { name, role, outcome: end } of containers)
      if (end === 'ForcedKill' && isNew(counted, `container ${name}`))
        count('gracewatch_container_forced_kills_total', workload, { container_role: role })
    counted.outcome = outcome
    if (news && before === undefined) this.#measure(record, workload, Clocks.of(source.clocksOf(pod.node)))
  }

  #measure(record: PodTermination, workload: WorkloadName, clocks: Clocks): void {
    const series = this.workloads
    const { durationSeconds, graceUsedRatio, preStopSeconds, signalToExit, endpointLagSeconds } = measuresOf(record, clocks)
    if (durationSeconds !== undefined)
      series.observe('gracewatch_pod_termination_duration_seconds', workload, {}, durationSeconds)
    if (graceUsedRatio !== undefined) series.observe('gracewatch_pod_grace_used_ratio', workload, {}, graceUsedRatio)
    for (const seconds of preStopSeconds) series.observe('gracewatch_container_prestop_duration_seconds', workload, {}, seconds)
    for (const { role, evidence, seconds } of signalToExit)
      series.observe('gracewatch_container_signal_to_exit_seconds', workload, { container_role: role, evidence }, seconds)
    for (const seconds of endpointLagSeconds) series.observe('gracewatch_endpoint_lag_seconds', workload, {}, seconds)
  }

  #remember(uid: string): Counted {
    const now = this.#now()
    const counted = this.#counted.get(uid) ?? { outcome: undefined, more: undefined, at: now }
    counted.at = now
    this.#counted.delete(uid)
    this.#counted.set(uid, counted)
    for (const [oldest, { at }] of this.#counted) {
      if (this.#counted.size <= MAX_REMEMBERED && now - at < REMEMBER_MS) break
      this.#counted.delete(oldest)
    }
    return counted
  }

  /** The workload of a pod that is new has its series from now on, or from when it is known which one it is. */
  #see(pod: PodSnapshot): void {
    const { source } = this.#options
    if (pod.mirror === true || !source.inScope(pod.namespace)) return
    if (source.workloads.settled(pod)) this.workloads.touch(this.#nameOf(pod))
    else if (pod.owner !== undefined && this.#pending.size < MAX_PENDING && !this.#pending.has(pod.owner.uid))
      this.#pending.set(pod.owner.uid, { pod, since: this.#now() })
  }

  #settle(): void {
    const { workloads } = this.#options.source
    for (const [owner, { pod, since }] of this.#pending) {
      if (!workloads.settled(pod) && this.#now() - since < GIVE_UP_MS) continue
      this.#pending.delete(owner)
      this.workloads.touch(this.#nameOf(pod))
    }
  }

  #gauge(): void {
    const { registry, source } = this.#options
    registry.empty('gracewatch_pods_terminating')
    if (!source.elector.isLeader()) {
      this.#overdue.leave()
      return
    }
    const found = new Map<string, { labels: ReturnType<WorkloadSeries['labelsOf']>; terminating: number; overdue: number }>()
    for (const { pod, overdue } of source.ongoing()) {
      const labels = this.workloads.labelsOf(this.#nameOf(pod))
      const key = Object.values(labels).join('/')
      const sum = found.get(key) ?? { labels, terminating: 0, overdue: 0 }
      found.set(key, sum)
      sum.terminating++
      if (overdue) sum.overdue++
    }
    for (const { labels, terminating } of found.values()) registry.set('gracewatch_pods_terminating', labels, terminating)
    this.#overdue.tell([...found.values()].map(({ labels, overdue }) => ({ labels, value: overdue })))
  }

  *#alive(): Generator<WorkloadName> {
    for (const pod of this.#options.source.pods.values()) yield this.#nameOf(pod)
  }

  #nameOf(pod: PodSnapshot): WorkloadName {
    return workloadName(pod.namespace, this.#options.source.workloads.known(pod))
  }

  /** Of a delete that the watch told of: the API server wrote when it was due, in whole seconds, so half a second is taken off. */
  #observeDelay({ deletionTimestamp, deletionGracePeriodSeconds }: PodSnapshot, arrivedAt: Micros): void {
    const due = parseTime(deletionTimestamp)
    if (due === undefined || deletionGracePeriodSeconds === undefined) return
    const { registry, source } = this.#options
    const asked = due - deletionGracePeriodSeconds * SECOND + 500 * MILLISECOND
    const seconds = (source.serverTime(arrivedAt) - asked) / SECOND
    registry.observe('gracewatch_watch_delay_seconds', { resource: 'pods' }, Math.max(0, seconds))
  }
}

function isNew(counted: Counted, what: string): boolean {
  counted.more ??= new Set()
  return counted.more.size < counted.more.add(what).size
}

/** Pods without an owner are counted together: no label holds the name of a pod. */
export function workloadName(namespace: string, workload: Pick<Workload, 'kind' | 'name'> | undefined): WorkloadName {
  if (workload === undefined) return { namespace, kind: '', name: '' }
  return workload.kind === 'Pod' ? { namespace, kind: 'Pod', name: '' } : { namespace, kind: workload.kind, name: workload.name }
}
