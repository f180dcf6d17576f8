/**
 * An alert on its whole way: a forced kill is counted behind the metrics port, a real Prometheus scrapes it and evaluates the rules, a real
 * Alertmanager notifies a webhook, and the alert resolves when no other kill follows. The times of the rules are shortened.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { RUNBOOKS } from '../../src/alerts/files.ts'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { MetricRegistry } from '../../src/metrics/registry.ts'
import { TerminationMetrics } from '../../src/metrics/terminations.ts'
import { type MetricsServer, startMetricsServer } from '../../src/web/metrics.ts'
import { ownCertificate } from '../../src/web/metrics-certificate.ts'
import { Alerting, quickRules } from '../prometheus/alerting.ts'
import { Prometheus } from '../prometheus/server.ts'
import { NOTHING_WATCHED } from '../unit/metrics/nothing-watched.ts'

const folder = mkdtempSync(join(tmpdir(), 'gracewatch-delivery-'))
const log = { debug() {}, info() {}, warn() {}, error() {} }
const registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set() })
const terminations = new TerminationMetrics({ registry, maxWorkloads: 2, source: NOTHING_WATCHED })
let server: MetricsServer
let alerting: Alerting
let prometheus: Prometheus

const ended = (workload: string, outcome: 'ForcedKill' | 'Graceful'): PodTermination => ({
  pod: { namespace: 'shop', name: `${workload}-1`, uid: workload, workload: { kind: 'Deployment', name: workload } },
  ...{ state: 'Complete', outcome, cause: { type: 'Deleted' }, tookMilliseconds: 17_000 },
  containers: [{ name: 'app', role: 'Main', outcome }],
  findings:
    outcome === 'ForcedKill' ? [{ type: 'PreStopOverran', severity: 'Warning', container: 'app', message: 'it overran' }] : [],
})

beforeAll(async () => {
  registry.set('gracewatch_leader', {}, 1)
  server = await startMetricsServer({
    address: { host: '127.0.0.1', port: 0 },
    certificate: ownCertificate(['localhost']),
    access: { check: async () => 'Allowed' },
    exposition: registry,
    log,
  })
  alerting = await Alerting.start()
  writeFileSync(join(folder, 'rules.yaml'), stringify(quickRules()))
  prometheus = await Prometheus.start({
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [join(folder, 'rules.yaml')],
    alerting: alerting.config,
    scrape_configs: [
      {
        ...{ job_name: 'gracewatch', scheme: 'https', honor_labels: true },
        tls_config: { insecure_skip_verify: true },
        // As Prometheus Operator labels its targets: the namespace of a workload has to win, also where it is empty.
        static_configs: [{ targets: [`127.0.0.1:${server.port}`], labels: { namespace: 'gracewatch-system' } }],
      },
    ],
  })
})
afterAll(async () => {
  await prometheus?.stop()
  await alerting?.stop()
  await server?.close()
  rmSync(folder, { recursive: true })
})

/** What a scrape brings comes when it comes, and what a rule makes of it after it. */
const SCRAPED = { timeout: 60_000 }

describe('an alert', () => {
  it('arrives at the webhook, names the workload, and resolves', async () => {
    await expect.poll(async () => (await prometheus.query('sum_over_time(up[1m])'))[0]?.value ?? 0, SCRAPED).toBeGreaterThan(0)
    terminations.onVerdict(ended('web', 'ForcedKill'), true)
    terminations.onVerdict(ended('api', 'Graceful'), true)
    // One too many to have series of its own.
    terminations.onVerdict(ended('late', 'ForcedKill'), true)
    const killed = (workload: string) => alerting.of('PodsForceKilled').filter(({ labels }) => labels.workload === workload)

    await expect.poll(() => killed('web')[0]?.status, SCRAPED).toBe('firing')
    const [alert] = killed('web')
    expect(alert?.labels).toMatchObject({ namespace: 'shop', workload_kind: 'Deployment', workload: 'web', severity: 'warning' })
    expect(alert?.annotations.runbook_url).toBe(`${RUNBOOKS}/PodsForceKilled.md`)
    expect(alert?.annotations.description).toMatch(/^Deployment shop\/web: about [12] killed by force/)
    expect(alert?.annotations.description).toContain('-n shop --field-selector=pod.workload.name=web,outcome=ForcedKill')
    await expect.poll(() => killed('other')[0]?.status, SCRAPED).toBe('firing')
    expect(killed('other')[0]?.labels).toEqual({ alertname: 'PodsForceKilled', severity: 'warning', workload: 'other' })
    // Why: by the finding.
    const reasons = () => alerting.of('PreStopHookOverran').map(({ labels }) => labels.workload)
    await expect.poll(reasons, SCRAPED).toContain('web')

    const last = () => ['web', 'other'].map((workload) => killed(workload).at(-1)?.status)
    await expect.poll(last, { ...SCRAPED, interval: 500 }).toEqual(['resolved', 'resolved'])
    expect(alerting.notified.filter(({ labels }) => labels.workload === 'api')).toEqual([])
  }, 240_000)
})
