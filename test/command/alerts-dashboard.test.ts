/**
 * Each panel of the dashboard shows something, asked of a real Prometheus that scrapes the two metrics ports: every metric of the table is
 * counted, set or observed here, every second anew, with each value that its labels can have.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ROWS } from '../../src/dashboard/panels.ts'
import {
  type Definition,
  entriesOf,
  LABELS,
  type LabelDefinition,
  type LabelName,
  type MetricName,
  type NamesOf,
} from '../../src/metrics/definitions.ts'
import { type Labels, MetricRegistry } from '../../src/metrics/registry.ts'
import { type Exposition, type MetricsServer, startMetricsServer } from '../../src/web/metrics.ts'
import { ownCertificate } from '../../src/web/metrics-certificate.ts'
import { Prometheus } from '../prometheus/server.ts'
import { agentMetrics } from '../unit/metrics/agent.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set(['gates', 'cleanup']) })
const servers: MetricsServer[] = []
let prometheus: Prometheus
let counting: NodeJS.Timeout
/** Of an agent: grows as well. */
let seen = 0

const NAMES: Partial<Record<LabelName, string>> = { namespace: 'shop', workload_kind: 'Deployment', workload: 'web' }
const valuesOf = (label: LabelName): readonly string[] => {
  const { values }: LabelDefinition = LABELS[label]
  return values ?? [NAMES[label] ?? 'x']
}

/** Every combination of the values of some labels. */
const combined = (labels: readonly LabelName[]): Record<string, string>[] =>
  labels.reduce<Record<string, string>[]>(
    (some, label) => some.flatMap((one) => valuesOf(label).map((value) => ({ ...one, [label]: value }))),
    [{}],
  )

function feed(name: MetricName, { type, labels, buckets = [] }: Definition): void {
  for (const own of combined(labels)) {
    // The names go by the type, and the labels by the name: the table says both.
    if (type === 'Counter') registry.count(name as NamesOf<'Counter'>, own as Labels<NamesOf<'Counter'>>)
    else if (type === 'Gauge') registry.set(name as NamesOf<'Gauge'>, own as Labels<NamesOf<'Gauge'>>, 1)
    else for (const bucket of buckets) registry.observe(name as NamesOf<'Histogram'>, own as Labels<NamesOf<'Histogram'>>, bucket)
  }
}

const serve = async (exposition: Exposition): Promise<string> => {
  const server = await startMetricsServer({
    address: { host: '127.0.0.1', port: 0 },
    certificate: ownCertificate(['localhost']),
    access: { check: async () => 'Allowed' },
    ...{ exposition, log },
  })
  servers.push(server)
  return `127.0.0.1:${server.port}`
}

beforeAll(async () => {
  const definitions = new Map([...entriesOf('Leader'), ...entriesOf('Replica')])
  counting = setInterval(() => {
    seen++
    for (const [name, definition] of definitions) feed(name, definition)
  }, 1000)
  const collector = {
    get stats() {
      return { signals: seen, malformed: seen, lost: seen, dropped: seen }
    },
  }
  const targets = [await serve(registry), await serve(agentMetrics({ collector }).metrics)]
  prometheus = await Prometheus.start({
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [
      {
        ...{ job_name: 'gracewatch', scheme: 'https', honor_labels: true },
        tls_config: { insecure_skip_verify: true },
        static_configs: [{ targets }],
      },
    ],
  })
})
afterAll(async () => {
  clearInterval(counting)
  await prometheus?.stop()
  for (const server of servers) await server.close()
})

it('each panel shows something', async () => {
  const filled = (expr: string, namespace: string) =>
    expr
      .replaceAll(/\$__(rate_interval|range)/g, '1m')
      .replaceAll('$namespace', namespace)
      .replaceAll('$workload', '.*')
  const empty = async (namespace: string): Promise<string[]> => {
    const found: string[] = []
    for (const { title, queries } of ROWS.flatMap(({ panels }) => panels))
      for (const { expr } of queries) {
        const samples = await prometheus.query(filled(expr, namespace))
        if (samples.filter(({ value }) => !Number.isNaN(value)).length === 0) found.push(`${title}: ${expr}`)
      }
    return found
  }
  await expect.poll(() => empty('.*'), { timeout: 30_000, interval: 1000 }).toEqual([])
  // A namespace that is chosen leaves the others out.
  expect((await empty('no-such')).length).toBeGreaterThan(10)
}, 60_000)
