/** The metrics of the agent, written by hand: prom-client is for many series, and an agent has few (docs/adr/0009-memory-of-the-agent.md). */
import type { Offset } from '../core/termination/clocks.ts'
import { type Micros, SECOND } from '../core/time.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { ReflectorStats } from '../kube/reflector-types.ts'
import { productVersion } from '../version.ts'
import type { Exposition, Scrape } from '../web/metrics.ts'
import { AGENT_DEFINITIONS, AGENT_PROCESS, NO_REFUSALS } from './agent-definitions.ts'

/** What of the agent is needed here. */
export interface AgentSource {
  readonly tracing: boolean
  readonly apiOffset: Offset | undefined
  readonly collector: {
    readonly stats: { readonly signals: number; readonly malformed: number; readonly lost: number; readonly dropped: number }
  }
  readonly reporter: {
    readonly stats: { readonly written: number; readonly refused: Readonly<Record<string, number>>; readonly dropped: number }
  }
  readonly pods: { readonly synced: boolean; readonly stats: ReflectorStats }
}

export interface AgentMetricsOptions {
  readonly agent: AgentSource
  readonly http: Pick<KubeHttp, 'onResponse'>
  readonly now: () => Micros
}

type Series = readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[]
type Told = { readonly [K in keyof typeof AGENT_DEFINITIONS]: number | undefined | Series }

export class AgentMetrics implements Exposition {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8'
  readonly #options: AgentMetricsOptions
  readonly #version = productVersion()
  /** By verb, then by code. */
  readonly #requests = new Map<string, Map<string, number>>()

  constructor(options: AgentMetricsOptions) {
    this.#options = options
    options.http.onResponse(({ verb, code }) => {
      const codes = this.#requests.get(verb) ?? new Map<string, number>()
      this.#requests.set(verb, codes.set(code, (codes.get(code) ?? 0) + 1))
    })
  }

  async scrape(): Promise<Scrape> {
    const lines: string[] = []
    const told = this.#told()
    for (const name of Object.keys(AGENT_DEFINITIONS) as (keyof typeof AGENT_DEFINITIONS)[]) {
      // its own keys
      const { type, help } = AGENT_DEFINITIONS[name]
      const value = told[name]
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type.toLowerCase()}`)
      const series: Series = typeof value === 'number' ? [[{}, value]] : (value ?? [])
      for (const [labels, one] of series) lines.push(`${name}${labelText(labels)} ${one}`)
    }
    const { user, system } = process.cpuUsage()
    const values = [(user + system) / 1e6, process.memoryUsage.rss(), performance.timeOrigin / 1000]
    for (const [index, [name, [type, help]]] of Object.entries(AGENT_PROCESS).entries())
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${values[index]}`)
    return { text: `${lines.join('\n')}\n` }
  }

  #told(): Told {
    const { agent, now } = this.#options
    const { collector, reporter, pods, apiOffset } = agent
    const { synced, stats } = pods
    const resource = { resource: 'pods' }
    const of = (value: number): Series => [[resource, value]]
    return {
      gracewatch_records_written_total: reporter.stats.written,
      gracewatch_records_refused_total: Object.entries({ ...NO_REFUSALS, ...reporter.stats.refused }).map(([reason, count]) => [
        { reason },
        count,
      ]),
      gracewatch_api_requests_total: [...this.#requests].flatMap(([verb, codes]) =>
        [...codes].map(([code, count]) => [{ verb, code }, count] as const),
      ),
      gracewatch_watch_silence_seconds:
        stats.lastAliveAt === undefined ? undefined : of(Math.max(0, (now() - stats.lastAliveAt) / SECOND)),
      gracewatch_watch_synced: of(Number(synced)),
      gracewatch_watch_lists_total: of(stats.lists),
      gracewatch_watch_relists_total: of(stats.relists),
      gracewatch_watch_gaps_total: of(stats.gaps),
      gracewatch_watch_failures_total: of(Object.values(stats.failures).reduce((sum, count) => sum + count, 0)),
      gracewatch_watch_undecodable_objects_total: of(stats.decodeErrors),
      gracewatch_api_clock_offset_seconds:
        apiOffset === undefined
          ? undefined
          : [
              [{ bound: 'Earliest' }, apiOffset.earliest / SECOND],
              [{ bound: 'Latest' }, apiOffset.latest / SECOND],
            ],
      gracewatch_build_info: [[{ version: this.#version }, 1]],
      gracewatch_agent_tracing: Number(agent.tracing),
      gracewatch_agent_lost_events_total: collector.stats.lost,
      gracewatch_agent_dropped_facts_total: collector.stats.dropped,
      gracewatch_agent_dropped_terminations_total: reporter.stats.dropped,
      gracewatch_agent_signals_total: collector.stats.signals,
      gracewatch_agent_malformed_lines_total: collector.stats.malformed,
    }
  }
}

/** Values are words of this program and of HTTP: nothing in them has to be escaped. */
function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
