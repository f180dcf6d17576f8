/** The metrics of gates, of cleanup and of the controller itself, by what these parts hand over. */
import { beforeEach, describe, expect, it } from 'vitest'
import { nothing } from '../../../src/controllers/cleaner/pass.ts'
import { plan } from '../../../src/core/cleanup/plan.ts'
import type { Plan } from '../../../src/core/cleanup/types.ts'
import type { Gate } from '../../../src/core/gates/types.ts'
import { type Micros, SECOND } from '../../../src/core/time.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { ReflectorStats } from '../../../src/kube/reflector-types.ts'
import { CleanupMetrics } from '../../../src/metrics/cleanup.ts'
import { GateMetrics } from '../../../src/metrics/gates.ts'
import { MetricRegistry } from '../../../src/metrics/registry.ts'
import { SelfMetrics, type SelfSource } from '../../../src/metrics/self.ts'
import { aGate, at, NOW } from '../core/gates/builders.ts'
import { STATS } from './agent.ts'
import { parseExposition, seriesValue } from './exposition.ts'

let registry: MetricRegistry
let leading: boolean
/** Milliseconds. */
let now: number
beforeEach(() => {
  now = 0
  registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set(['gates', 'cleanup']), process: false })
  leading = true
})
const scrape = async () => parseExposition((await registry.scrape()).text)
const seriesOf = async (name: string) => (await scrape()).get(name)?.samples.map(({ labels, value }) => ({ ...labels, value }))

describe('gates', () => {
  let standing: { gate: Gate; holdingSince: Micros | undefined }[]
  let metrics: GateMetrics
  const lb = { namespace: 'shop', gate: 'lb' }
  beforeEach(() => {
    standing = []
    metrics = new GateMetrics({ registry, isLeader: () => leading, serverNow: () => NOW, maxGates: 3, now: () => now })
    metrics.readFrom({ stats: { patched: 5, refused: 1, gone: 2 }, standing: () => standing })
  })

  it('tell their pods by what the condition is, and how long the longest has waited', async () => {
    standing = [{ gate: aGate({ status: { passing: 3, failing: 2, unknown: 1 } }), holdingSince: NOW - 90 * SECOND }]
    const families = await scrape()
    for (const [state, pods] of Object.entries({ Passing: 3, Failing: 2, Unknown: 1 }))
      expect(seriesValue(families, 'gracewatch_gate_pods', { ...lb, state })).toBe(pods)
    expect(seriesValue(families, 'gracewatch_gate_longest_hold_seconds', lb)).toBe(90)
    expect(seriesValue(families, 'gracewatch_gate_condition_writes_total', { reason: 'Patched' })).toBe(5)
    standing = [{ gate: aGate({ status: { passing: 6 } }), holdingSince: undefined }]
    expect(seriesValue(await scrape(), 'gracewatch_gate_longest_hold_seconds', lb)).toBe(0)
    standing = []
    expect(await seriesOf('gracewatch_gate_longest_hold_seconds')).toEqual([])
  })

  it('are told of by the leader alone', async () => {
    standing = [{ gate: aGate(), holdingSince: NOW - SECOND }]
    leading = false
    expect(await seriesOf('gracewatch_gate_pods')).toEqual([])
    expect(await seriesOf('gracewatch_gate_longest_hold_seconds')).toEqual([])
  })

  it('name the rollout that the brake holds, and for some minutes that it does no more', async () => {
    const hold = { workload: { kind: 'Deployment', name: 'web', uid: 'd1' }, revision: 'r2', since: at(-120) }
    standing = [{ gate: aGate({ status: { holds: [hold] } }), holdingSince: undefined }]
    const held = { ...lb, workload_kind: 'Deployment', workload: 'web', value: 120 }
    expect(await seriesOf('gracewatch_rollout_held_seconds')).toEqual([held])
    standing = [{ gate: aGate({ status: { holds: [{ ...hold, releasedAt: at(-1) }] } }), holdingSince: undefined }]
    for (now of [30_000, 359_999]) expect(await seriesOf('gracewatch_rollout_held_seconds')).toEqual([{ ...held, value: 0 }])
    now = 360_000
    expect(await seriesOf('gracewatch_rollout_held_seconds')).toEqual([])
  })

  it('tell no 0 of a rollout where another replica leads, nor of what that one has ended', async () => {
    const hold = { workload: { kind: 'Deployment', name: 'web', uid: 'd1' }, revision: 'r2', since: at(-120) }
    standing = [{ gate: aGate({ status: { holds: [hold] } }), holdingSince: undefined }]
    await scrape()
    leading = false
    expect(await seriesOf('gracewatch_rollout_held_seconds')).toEqual([])
    leading = true
    standing = []
    expect(await seriesOf('gracewatch_rollout_held_seconds')).toEqual([])
  })

  it('over the limit do not name what they hold, and tell the longest', async () => {
    const hold = (name: string, seconds: number) => ({
      workload: { kind: 'Deployment', name, uid: name },
      ...{ revision: 'r2', since: at(-seconds) },
    })
    standing = ['a', 'b', 'c', 'd', 'e'].map((name, index) => ({
      gate: aGate({ uid: name, name, namespace: name, status: { holds: [hold('web', 10 + index), hold('api', 20 - index)] } }),
      holdingSince: NOW - 100 * SECOND,
    }))
    const other = { namespace: '', gate: 'other' }
    const series = await seriesOf('gracewatch_rollout_held_seconds')
    expect(series).toHaveLength(7)
    expect(series?.at(-1)).toEqual({ ...other, workload_kind: '', workload: 'other', value: 17 })
    // The alert on the one leaves out those that have the other.
    expect(seriesValue(await scrape(), 'gracewatch_gate_longest_hold_seconds', other)).toBe(100)
  })

  it('measure how long a pod had waited when it was let in', async () => {
    // It goes, and lets its pods in.
    metrics.onReleased(aGate(), 42 * SECOND)
    const families = await scrape()
    expect(seriesValue(families, 'gracewatch_gate_hold_duration_seconds_sum', lb)).toBe(42)
    expect(seriesValue(families, 'gracewatch_gate_hold_duration_seconds_bucket', { ...lb, le: '30' })).toBe(0)
    expect(seriesValue(families, 'gracewatch_gate_hold_duration_seconds_bucket', { ...lb, le: '60' })).toBe(1)
    expect((await scrape()).get('gracewatch_gate_hold_duration_seconds')?.samples).toEqual([])
  })

  it('over the limit are one, and those that go make room', async () => {
    const gates = ['a', 'b', 'c', 'd', 'e'].map((name) => aGate({ uid: name, name, status: { failing: 1 } }))
    standing = gates.map((gate) => ({ gate, holdingSince: undefined }))
    for (const gate of gates) metrics.onReleased(gate, SECOND)
    const { samples: pods = [] } = (await scrape()).get('gracewatch_gate_pods') ?? {}
    const failing = pods.flatMap(({ labels, value }) =>
      labels.state === 'Failing' ? [[labels.namespace, labels.gate, value]] : [],
    )
    expect(failing).toEqual([
      ['shop', 'a', 1],
      ['shop', 'b', 1],
      ['shop', 'c', 1],
      ['', 'other', 2],
    ])
    standing = standing.slice(2)
    await scrape()
    await scrape()
    const { samples = [] } = (await scrape()).get('gracewatch_gate_pods') ?? {}
    expect([...new Set(samples.map(({ labels }) => labels.gate))]).toEqual(['c', 'd', 'e'])
    const { samples: held = [] } = (await scrape()).get('gracewatch_gate_hold_duration_seconds') ?? {}
    expect([...new Set(held.map(({ labels }) => labels.gate))].toSorted()).toEqual(['c', 'other'])
  })
})

describe('cleanup', () => {
  const PODS = ['p1', 'p2', 'p3', 'p4', 'p5']
  const planned: Plan = plan({
    pods: PODS.map((name, index) => ({
      ...{ uid: name, namespace: 'shop', name, resourceVersion: '1', phase: 'Failed', labels: {}, finishedAt: index * SECOND },
      ...{ finishedSource: 'Containers', deleting: false, finalizers: name === 'p5' ? ['example.com/x'] : [] },
      owner: { apiVersion: 'example.com/v1', kind: 'Task', name: 'task', uid: 't1' },
    })),
    jobs: new Map(),
    rules: [{ uid: 'r2', namespace: 'shop', name: 'later', problem: 'spec.keep.total must be a number' }],
    ...{ dryRun: false, now: 3600 * SECOND },
  })
  const thresholded: Plan = plan({
    pods: planned.verdicts.map(({ pod }) => ({ ...pod, namespace: 'batch' })),
    jobs: new Map(),
    rules: [],
    threshold: {
      ...{ total: 2, minAge: 0, barePods: false, finishedJobPods: false, recordSucceeded: false },
      ...{ onRecordFailure: 'Keep', dryRun: false },
    },
    ...{ dryRun: false, now: 3600 * SECOND },
  })
  let metrics: CleanupMetrics
  beforeEach(() => {
    metrics = new CleanupMetrics(
      registry,
      () => leading,
      () => now,
    )
  })

  it('has its counters at 0 from the start, one a reason to delete', async () => {
    const series = await seriesOf('gracewatch_cleanup_deleted_pods_total')
    expect(series?.map(({ value }) => value)).toEqual([0, 0, 0, 0, 0])
    expect(await seriesOf('gracewatch_cleanup_failures_total')).toEqual([{ reason: 'RecordRefused', value: 0 }])
  })

  it('counts what was deleted and what failed by reason, and tells what the last pass left', async () => {
    const verdicts = thresholded.verdicts.filter(({ action }) => action === 'Delete')
    expect(verdicts).toHaveLength(3)
    const [first, second, third] = verdicts
    if (first === undefined || second === undefined || third === undefined) throw new Error('three are to be deleted')
    const refusal = { result: 'Refused', reason: 'QuotaExceeded', retry: 'Later', message: 'quota' } as const
    metrics.onPass(thresholded, {
      ...nothing(),
      deleted: [first],
      refused: [{ verdict: second, refusal }],
      failed: [{ pod: third.pod, rules: third.rules, error: new KubeError('Forbidden', 'no') }],
    })
    const families = await scrape()
    const value = (name: string, reason: string) => seriesValue(families, `gracewatch_cleanup_${name}`, { reason })
    expect(value('deleted_pods_total', first.reason)).toBe(1)
    expect(value('failures_total', 'RecordRefused')).toBe(1)
    expect(value('failures_total', 'Forbidden')).toBe(1)
    expect(value('kept_pods', 'HasFinalizers')).toBe(1)
    expect(value('kept_pods', 'WithinThreshold')).toBe(1)
    expect(value('kept_pods', 'RecordRefused')).toBe(1)
    // Of the threshold, which has no name.
    expect(await seriesOf('gracewatch_cleanup_rule_problems')).toEqual([
      { namespace: '', cleanup: '', problem: 'RecordRefused', value: 1 },
      { namespace: '', cleanup: '', problem: 'Failing', value: 1 },
    ])
    metrics.onPass({ verdicts: [], reports: [] }, nothing())
    expect(await seriesOf('gracewatch_cleanup_kept_pods')).toEqual([])
    expect((await seriesOf('gracewatch_cleanup_rule_problems'))?.map((one) => one.value)).toEqual([0, 0])
    now = 360_000
    expect(await seriesOf('gracewatch_cleanup_rule_problems')).toEqual([])
  })

  it('tells of a rule whose pods could not be deleted also while they are left alone, and counts them no more than they are tried', async () => {
    const [first] = thresholded.verdicts.filter(({ action }) => action === 'Delete')
    if (first === undefined) throw new Error('three are to be deleted')
    const failed = [{ pod: first.pod, rules: first.rules, error: new KubeError('Forbidden', 'no') }]
    const problem = { namespace: '', cleanup: '', problem: 'Failing', value: 1 }
    metrics.onPass(thresholded, { ...nothing(), failed })
    expect(await seriesOf('gracewatch_cleanup_rule_problems')).toEqual([problem])
    metrics.onPass(thresholded, { ...nothing(), failing: failed })
    expect(await seriesOf('gracewatch_cleanup_rule_problems')).toEqual([problem])
    expect(seriesValue(await scrape(), 'gracewatch_cleanup_failures_total', { reason: 'Forbidden' })).toBe(1)
  })

  it('names a PodCleanup that cannot be used, until this replica leads no more', async () => {
    metrics.onPass(planned, nothing())
    const problem = { namespace: 'shop', cleanup: 'later', problem: 'Unusable', value: 1 }
    expect(await seriesOf('gracewatch_cleanup_rule_problems')).toEqual([problem])
    leading = false
    expect(await seriesOf('gracewatch_cleanup_rule_problems')).toEqual([])
    leading = true
    expect(await seriesOf('gracewatch_cleanup_kept_pods')).toEqual([])
  })
})

describe('the controller itself', () => {
  const watch = { synced: true, size: 12, stats: STATS }
  let source: SelfSource
  let metrics: SelfMetrics
  beforeEach(() => {
    source = {
      elector: { isLeader: () => leading, isHeld: () => true, stats: { terms: 2, failures: { Timeout: 3 } } },
      apiOffset: { earliest: -1500, latest: 2500 },
      stats: {
        ...{ tracked: 4, written: 10, refused: { QuotaExceeded: 2 }, retries: 3, queue: { depth: 5, backlog: 1 } },
        dropped: { events: 1, endpoints: 0, kernel: 0, facts: 0, trackers: 0 },
        agents: { nodes: 3, malformed: 1, foreign: 0 },
        ...{ expired: 7, eventsFailed: 1 },
      },
    }
    metrics = new SelfMetrics({
      ...{ registry, source, version: '1.2.3', now: () => 61 * SECOND },
      watches: [
        { resource: 'pods', watch: () => watch },
        { resource: 'podcleanups', watch: () => undefined },
      ],
      queues: () => ({ gates: { depth: 2, backlog: 0 } }),
    })
  })

  it('tells what stands in its parts, each time anew', async () => {
    for (const terms of [2, 2]) expect(seriesValue(await scrape(), 'gracewatch_leader_terms_total')).toBe(terms)
    const families = await scrape()
    const value = (name: string, labels = {}) => seriesValue(families, `gracewatch_${name}`, labels)
    expect(value('leader')).toBe(1)
    expect(value('lease_failures_total', { code: 'Timeout' })).toBe(3)
    expect(value('records_written_total')).toBe(10)
    expect(value('records_refused_total', { reason: 'QuotaExceeded' })).toBe(2)
    expect(value('records_refused_total', { reason: 'Forbidden' })).toBe(0)
    expect(value('record_retries_total')).toBe(3)
    expect(value('records_deleted_total')).toBe(7)
    expect(value('events_failed_total')).toBe(1)
    expect(value('terminations_followed')).toBe(4)
    expect(value('evidence_dropped_total', { reason: 'events' })).toBe(1)
    expect(value('agent_facts_refused_total', { reason: 'malformed' })).toBe(1)
    expect(value('agent_nodes')).toBe(3)
    expect(value('queue_depth', { queue: 'terminations' })).toBe(5)
    expect(value('queue_backlog', { queue: 'terminations' })).toBe(1)
    expect(value('queue_depth', { queue: 'gates' })).toBe(2)
    expect(value('api_clock_offset_seconds', { bound: 'Earliest' })).toBe(-0.0015)
    expect(value('build_info', { version: '1.2.3' })).toBe(1)
    leading = false
    expect(seriesValue(await scrape(), 'gracewatch_leader')).toBe(0)
    expect(seriesValue(await scrape(), 'gracewatch_lease_held')).toBe(1)
  })

  it('tells of each watch that is there', async () => {
    const families = await scrape()
    const value = (name: string) => seriesValue(families, `gracewatch_watch_${name}`, { resource: 'pods' })
    const { lists, relists, gaps, decodeErrors }: ReflectorStats = STATS
    expect([value('synced'), value('objects'), value('silence_seconds')]).toEqual([1, 12, 60])
    expect([value('lists_total'), value('relists_total'), value('gaps_total')]).toEqual([lists, relists, gaps])
    expect([value('failures_total'), value('undecodable_objects_total')]).toEqual([5, decodeErrors])
    expect(await seriesOf('gracewatch_watch_synced')).toHaveLength(1)
  })

  it('counts and times its requests by verb and code', async () => {
    metrics.onResponse({ verb: 'GET', code: 'OK', seconds: 0.02 })
    metrics.onResponse({ verb: 'GET', code: 'Timeout', seconds: 15 })
    const families = await scrape()
    const value = (name: string, labels: Record<string, string>) =>
      seriesValue(families, `gracewatch_api_request${name}`, { verb: 'GET', ...labels })
    expect(value('s_total', { code: 'OK' })).toBe(1)
    expect(value('s_total', { code: 'Timeout' })).toBe(1)
    expect(value('_duration_seconds_bucket', { le: '0.025' })).toBe(1)
    expect(value('_duration_seconds_count', {})).toBe(2)
  })
})
