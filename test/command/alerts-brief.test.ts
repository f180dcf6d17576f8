/**
 * States that come and go, from the controller's own exposition to what promtool makes of it: an alert that waits for ten minutes is about
 * what has lasted for ten minutes, and one that is over ends.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { nothing } from '../../src/controllers/cleaner/pass.ts'
import type { Plan } from '../../src/core/cleanup/types.ts'
import type { PodSnapshot } from '../../src/core/evidence.ts'
import { SECOND } from '../../src/core/time.ts'
import { decodePod } from '../../src/kube/decode/pod.ts'
import { CleanupMetrics } from '../../src/metrics/cleanup.ts'
import { GateMetrics } from '../../src/metrics/gates.ts'
import { MetricRegistry } from '../../src/metrics/registry.ts'
import { TerminationMetrics } from '../../src/metrics/terminations.ts'
import { testRules } from '../prometheus/promtool.ts'
import { aGate, at, NOW } from '../unit/core/gates/builders.ts'
import { parseExposition } from '../unit/metrics/exposition.ts'

const RULES = resolve(import.meta.dirname, '../../deploy/alerts/rules.yaml')
const EVERY_S = 30
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-alerts-brief-'))
afterAll(() => rmSync(folder, { recursive: true }))

const pod: PodSnapshot = decodePod({
  metadata: { uid: 'u1', namespace: 'shop', name: 'web-1', resourceVersion: '1', deletionTimestamp: at(0) },
  spec: { containers: [{ name: 'app' }] },
  status: { phase: 'Running' },
})
const problem: Plan = {
  verdicts: [],
  reports: [{ uid: 'r1', name: 'PodCleanup shop/old', problem: 'no', candidates: 0, toDelete: 0, kept: [] }],
}
const well: Plan = { verdicts: [], reports: [] }
const hold = { workload: { kind: 'Deployment', name: 'web', uid: 'd1' }, revision: 'r2', since: at(-120) }

/** Which of the states are there; those of gates and cleanup are of another part each. */
interface States {
  readonly overdue?: boolean
  readonly held?: boolean
  readonly failing?: boolean
}

/** What a leader tells, scraped each 30 s, as the series of a test of promtool; '_' where it tells nothing. */
async function told(samples: number, statesAt: (index: number) => States): Promise<{ series: string; values: string }[]> {
  const registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set(['gates', 'cleanup']), process: false })
  let seconds = 0
  let states: States = {}
  const isLeader = () => true
  const now = () => seconds * 1000
  const gates = new GateMetrics({ registry, isLeader, serverNow: () => NOW + seconds * SECOND, now })
  gates.readFrom({
    stats: { patched: 0, refused: 0, gone: 0 },
    standing: () => [{ gate: aGate({ status: { holds: states.held ? [hold] : [] } }), holdingSince: undefined }],
  })
  const cleanup = new CleanupMetrics(registry, isLeader, now)
  const terminations = new TerminationMetrics({
    ...{ registry, maxWorkloads: 10, now },
    source: {
      pods: { values: () => [pod] },
      workloads: { known: () => ({ kind: 'Deployment', name: 'web' }), settled: () => true },
      elector: { isLeader },
      inScope: () => true,
      clocksOf: () => [],
      serverTime: (time) => time,
      ongoing: () => (states.overdue ? [{ pod, overdue: true }] : []),
    },
  })
  terminations.workloads.touch({ namespace: 'shop', kind: 'Deployment', name: 'web' })
  const series = new Map<string, string[]>()
  for (let index = 0; index < samples; index++) {
    seconds = index * EVERY_S
    states = statesAt(index)
    cleanup.onPass(states.failing ? problem : well, nothing())
    const families = parseExposition((await registry.scrape()).text)
    for (const name of ['gracewatch_pods_overdue', 'gracewatch_rollout_held_seconds', 'gracewatch_cleanup_rule_problems'])
      for (const { labels, value } of families.get(name)?.samples ?? []) {
        const all = { job: 'gracewatch', instance: 'a', ...labels }
        const key = `${name}{${Object.entries(all).map(([label, is]) => `${label}="${is}"`)}}`
        const values = series.get(key) ?? Array.from({ length: samples }, () => '_')
        // A series that is not told any more has ended: Prometheus notes that by itself, promtool wants it written.
        if (index + 1 < samples) values[index + 1] = 'stale'
        values[index] = String(value)
        series.set(key, values)
      }
  }
  return [...series].map(([key, values]) => ({ series: key, values: values.join(' ') }))
}

/** How many of an alert fire at a time; what promtool has against it. */
async function test(
  series: readonly { series: string; values: string }[],
  found: readonly (readonly [alert: string, time: string, firing: number])[],
): Promise<string> {
  const file = join(folder, 'test.yaml')
  const queries = found.map(([alertname, time, firing]) => ({
    expr: `count(ALERTS{alertname="${alertname}", alertstate="firing"})`,
    eval_time: time,
    exp_samples: firing === 0 ? [] : [{ labels: '{}', value: firing }],
  }))
  const tests = [{ interval: `${EVERY_S}s`, input_series: series, promql_expr_test: queries }]
  writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: `${EVERY_S}s`, tests }))
  return testRules(file)
}

const [STUCK, BRAKE, CLEANUP] = ['PodStuckTerminating', 'RolloutHeldByBrake', 'CleanupFailing']

describe('a state that has ended', () => {
  it('after 6 minutes has not lasted for ten, and after 11 not for fifteen', async () => {
    const series = await told(80, (index) => ({ overdue: index < 12, failing: index < 22 }))
    expect(series).toHaveLength(2)
    const times = ['5m', '10m', '11m', '15m', '16m', '20m']
    const quiet = times.flatMap((time) => [[STUCK, time, 0] as const, [CLEANUP, time, 0] as const])
    expect(await test(series, quiet)).toBe('')
  })

  it('again and again, each time for less than a minute, is not one that lasts', async () => {
    const series = await told(80, (index) => ({ overdue: index % 8 === 0, held: index % 8 === 0, failing: index % 8 === 0 }))
    expect(series).toHaveLength(3)
    const times = ['4m', '11m', '20m', '30m']
    const quiet = times.flatMap((time) => [STUCK, BRAKE, CLEANUP].map((alert) => [alert, time, 0] as const))
    expect(await test(series, quiet)).toBe('')
  })

  it('after it lasted for long enough fires, and ends with it', async () => {
    const series = await told(100, (index) => ({ overdue: index < 32, held: index < 32, failing: index < 32 }))
    expect(
      await test(series, [
        [STUCK, '9m30s', 0],
        [STUCK, '10m', 1],
        [BRAKE, '1m', 1],
        [CLEANUP, '15m', 1],
        ...[STUCK, BRAKE, CLEANUP].map((alert) => [alert, '15m30s', 1] as const),
        ...[STUCK, BRAKE, CLEANUP].map((alert) => [alert, '16m', 0] as const),
        ...[STUCK, BRAKE, CLEANUP].map((alert) => [alert, '40m', 0] as const),
      ]),
    ).toBe('')
  })
})
