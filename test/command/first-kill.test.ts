/**
 * The first forced kill ever, as a real Prometheus sees it over the metrics port: an increase, also of a workload that nobody had scraped
 * before it was killed. A counter that simply begins to count stands beside it, to show that it takes more than that.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { MetricRegistry } from '../../src/metrics/registry.ts'
import { TerminationMetrics } from '../../src/metrics/terminations.ts'
import { type MetricsServer, startMetricsServer } from '../../src/web/metrics.ts'
import { ownCertificate } from '../../src/web/metrics-certificate.ts'
import { Prometheus } from '../prometheus/server.ts'
import { NOTHING_WATCHED } from '../unit/metrics/nothing-watched.ts'

const TOKEN = 'of-prometheus'
const log = { debug() {}, info() {}, warn() {}, error() {} }
const registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set() })
const terminations = new TerminationMetrics({ registry, maxWorkloads: 10, source: NOTHING_WATCHED })
let server: MetricsServer
let prometheus: Prometheus

const killed = (workload: string, index: number): PodTermination => ({
  pod: {
    namespace: 'shop',
    name: `${workload}-${index}`,
    uid: `${workload}-${index}`,
    workload: { kind: 'Deployment', name: workload },
  },
  ...{ state: 'Complete', outcome: 'ForcedKill', cause: { type: 'Deleted' }, tookMilliseconds: 32_000, graceUsedPercent: 107 },
  containers: [{ name: 'app', role: 'Main', outcome: 'ForcedKill' }],
})

/** What a scrape brings comes when it comes: one in a second, by a Prometheus that shares this machine with other tests. */
const SCRAPED = { timeout: 60_000 }
const TEST_MS = 120_000

const scrapes = async () => (await prometheus.query('sum_over_time(up[5m])'))[0]?.value ?? 0
const kills = (workload: string) =>
  `sum by (namespace, workload) (increase(gracewatch_pod_terminations_total{outcome="ForcedKill", workload="${workload}"}[2m]))`

beforeAll(async () => {
  server = await startMetricsServer({
    address: { host: '127.0.0.1', port: 0 },
    certificate: ownCertificate(['localhost']),
    access: { check: async (authorization) => (authorization === `Bearer ${TOKEN}` ? 'Allowed' : 'Unauthorized') },
    exposition: registry,
    log,
  })
  prometheus = await Prometheus.start({
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [
      {
        ...{ job_name: 'gracewatch', scheme: 'https', honor_labels: true },
        authorization: { credentials: TOKEN },
        tls_config: { insecure_skip_verify: true },
        static_configs: [{ targets: [`127.0.0.1:${server.port}`] }],
      },
    ],
  })
})
afterAll(async () => {
  await prometheus?.stop()
  await server?.close()
})

describe('Prometheus', { timeout: TEST_MS }, () => {
  it('scrapes the port with its token', async () => {
    await expect.poll(scrapes, SCRAPED).toBeGreaterThan(0)
    const targets = async () => (await prometheus.targets()).map(({ health, lastError }) => [health, lastError])
    await expect.poll(targets, SCRAPED).toEqual([['up', '']])
    expect((await prometheus.query('gracewatch_pod_terminations_total')).length).toBe(0)
  })

  it('sees the first kill of a workload as an increase, and names the workload', async () => {
    // Between two scrapes it comes, is killed, and has never been told of before.
    terminations.onVerdict(killed('web', 1), true)
    // As a counter would do it that knows nothing of scrapes.
    registry.count('gracewatch_lease_failures_total', { code: 'Timeout' })
    const found = async () => (await prometheus.query(`${kills('web')} > 0`)).map(({ metric }) => metric)
    await expect.poll(found, SCRAPED).toEqual([{ namespace: 'shop', workload: 'web' }])
    const failures = async () => (await prometheus.query('gracewatch_lease_failures_total')).map(({ value }) => value)
    await expect.poll(failures, SCRAPED).toEqual([1])
    expect((await prometheus.query('increase(gracewatch_lease_failures_total[2m]) > 0')).length).toBe(0)
  })

  it('sees the kills that follow, each once', async () => {
    const total = 'sum(gracewatch_pod_terminations_total{outcome="ForcedKill", workload="web"})'
    for (const index of [2, 3, 3, 2]) terminations.onVerdict(killed('web', index), true)
    await expect.poll(async () => (await prometheus.query(total))[0]?.value, SCRAPED).toBe(3)
  })
})
