/** What the controller tells of itself, most of it read where it is kept when somebody asks. */
import type { Offset } from '../core/termination/clocks.ts'
import { type Micros, SECOND } from '../core/time.ts'
import type { ResponseObservation } from '../kube/http.ts'
import type { ReflectorStats } from '../kube/reflector-types.ts'
import { NO_REFUSALS } from './agent-definitions.ts'
import type { MetricRegistry } from './registry.ts'

export interface WatchSource {
  readonly resource: string
  /** Undefined while it is not there. */
  watch(): { readonly synced: boolean; readonly size: number; readonly stats: ReflectorStats } | undefined
}

/** What of the recorder is needed here. */
export interface SelfSource {
  readonly elector: {
    isLeader(): boolean
    isHeld(): boolean
    readonly stats: { readonly terms: number; readonly failures: Readonly<Record<string, number>> }
  }
  readonly apiOffset: Offset | undefined
  readonly stats: {
    readonly tracked: number
    readonly written: number
    readonly refused: Readonly<Record<string, number>>
    readonly retries: number
    readonly queue: QueueStats
    readonly dropped: Readonly<Record<string, number>>
    readonly agents: { readonly nodes: number; readonly malformed: number; readonly foreign: number }
    readonly expired: number
    readonly eventsFailed: number
  }
}

interface QueueStats {
  readonly depth: number
  readonly backlog: number
}

export interface SelfMetricsOptions {
  readonly registry: MetricRegistry
  readonly source: SelfSource
  readonly watches: readonly WatchSource[]
  /** Queues of other parts, by the name that the label has. */
  readonly queues: () => Readonly<Record<string, QueueStats>>
  readonly version: string
  readonly now: () => Micros
}

export class SelfMetrics {
  readonly #options: SelfMetricsOptions

  constructor(options: SelfMetricsOptions) {
    const { registry, version } = options
    this.#options = options
    registry.set('gracewatch_build_info', { version }, 1)
    registry.onCollect(() => {
      this.#recorder()
      this.#watches()
    })
  }

  /** To be told of each answer of the API server. */
  onResponse({ verb, code, seconds }: ResponseObservation): void {
    const { registry } = this.#options
    registry.count('gracewatch_api_requests_total', { verb, code })
    registry.observe('gracewatch_api_request_duration_seconds', { verb }, seconds)
  }

  #recorder(): void {
    const { registry, source, queues } = this.#options
    const { stats, elector, apiOffset } = source
    registry.set('gracewatch_leader', {}, Number(elector.isLeader()))
    registry.set('gracewatch_lease_held', {}, Number(elector.isHeld()))
    registry.counted('gracewatch_leader_terms_total', {}, elector.stats.terms)
    for (const [code, count] of Object.entries(elector.stats.failures))
      registry.counted('gracewatch_lease_failures_total', { code }, count)
    registry.counted('gracewatch_records_written_total', {}, stats.written)
    for (const [reason, count] of Object.entries({ ...NO_REFUSALS, ...stats.refused }))
      registry.counted('gracewatch_records_refused_total', { reason }, count)
    registry.counted('gracewatch_record_retries_total', {}, stats.retries)
    registry.counted('gracewatch_records_deleted_total', {}, stats.expired)
    registry.counted('gracewatch_events_failed_total', {}, stats.eventsFailed)
    registry.set('gracewatch_terminations_followed', {}, stats.tracked)
    for (const [reason, count] of Object.entries(stats.dropped))
      registry.counted('gracewatch_evidence_dropped_total', { reason }, count)
    const { nodes, malformed, foreign } = stats.agents
    registry.set('gracewatch_agent_nodes', {}, nodes)
    for (const [reason, count] of Object.entries({ malformed, foreign }))
      registry.counted('gracewatch_agent_facts_refused_total', { reason }, count)
    for (const [queue, { depth, backlog }] of Object.entries({ terminations: stats.queue, ...queues() })) {
      registry.set('gracewatch_queue_depth', { queue }, depth)
      registry.set('gracewatch_queue_backlog', { queue }, backlog)
    }
    if (apiOffset === undefined) return
    registry.set('gracewatch_api_clock_offset_seconds', { bound: 'Earliest' }, apiOffset.earliest / SECOND)
    registry.set('gracewatch_api_clock_offset_seconds', { bound: 'Latest' }, apiOffset.latest / SECOND)
  }

  #watches(): void {
    const { registry, watches, now } = this.#options
    for (const { resource, watch } of watches) {
      const reflector = watch()
      if (reflector === undefined) continue
      const { synced, size, stats } = reflector
      const { lastAliveAt, failures } = stats
      registry.set('gracewatch_watch_synced', { resource }, Number(synced))
      registry.set('gracewatch_watch_objects', { resource }, size)
      if (lastAliveAt !== undefined)
        registry.set('gracewatch_watch_silence_seconds', { resource }, Math.max(0, (now() - lastAliveAt) / SECOND))
      registry.counted('gracewatch_watch_lists_total', { resource }, stats.lists)
      registry.counted('gracewatch_watch_relists_total', { resource }, stats.relists)
      registry.counted('gracewatch_watch_gaps_total', { resource }, stats.gaps)
      const failed = Object.values(failures).reduce((sum, count) => sum + count, 0)
      registry.counted('gracewatch_watch_failures_total', { resource }, failed)
      registry.counted('gracewatch_watch_undecodable_objects_total', { resource }, stats.decodeErrors)
    }
  }
}
