/** What the metrics make of records: of real terminations, as they were recorded, and of what becomes of a verdict. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import type { PodSnapshot, Workload } from '../../../src/core/evidence.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { MILLISECOND, type Micros, parseTime, SECOND } from '../../../src/core/time.ts'
import { decodePod } from '../../../src/kube/decode/pod.ts'
import { DEFINITIONS, LABELS, type LabelDefinition, type LabelName, type MetricName } from '../../../src/metrics/definitions.ts'
import { MetricRegistry } from '../../../src/metrics/registry.ts'
import { TerminationMetrics } from '../../../src/metrics/terminations.ts'
import { CLOCKS, factsByLine } from '../../replay/facts.ts'
import { readFixtures } from '../../replay/fixture.ts'
import { type Family, parseExposition, seriesValue } from './exposition.ts'

const FIXTURES = readFixtures()

class World {
  readonly registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set(['gates', 'cleanup']), process: false })
  readonly known = new Map<string, Workload>()
  settled = true
  leading = true
  now = 0
  pods: PodSnapshot[] = []
  ending: { pod: PodSnapshot; overdue: boolean }[] = []
  readonly metrics: TerminationMetrics

  constructor(maxWorkloads = 100) {
    this.metrics = new TerminationMetrics({
      registry: this.registry,
      maxWorkloads,
      now: () => this.now,
      source: {
        pods: { values: () => this.pods },
        workloads: { known: (pod) => this.#workloadOf(pod), settled: () => this.settled },
        elector: { isLeader: () => this.leading },
        inScope: (namespace) => namespace !== 'left-out',
        clocksOf: () => CLOCKS.filter((fact) => fact.type === 'Clock'),
        serverTime: (at) => at,
        ongoing: () => this.ending,
      },
    })
  }

  #workloadOf({ uid, name, owner }: PodSnapshot): Workload {
    const known = this.known.get(uid)
    return known ?? (owner === undefined ? { kind: 'Pod', name } : { kind: owner.kind, name: owner.name })
  }

  async scrape(): Promise<Map<string, Family>> {
    const { text, delivered } = await this.registry.scrape()
    delivered?.()
    return parseExposition(text)
  }

  /** What stands in the end: the first scrape tells the zeros of new series. */
  async settle(): Promise<Map<string, Family>> {
    await this.scrape()
    return this.scrape()
  }
}

function recordOf(name: string): PodTermination {
  const fixture = FIXTURES.find((one) => one.name.startsWith(name))
  const facts = fixture === undefined ? [] : [...factsByLine(fixture).flat(), ...CLOCKS]
  const record = assemble(facts, (fixture?.lines.at(-1)?.arrivedAt ?? 0) + SECOND)
  if (record === undefined) throw new Error(`no record of fixture ${name}`)
  return record
}

const web = (namespace: string) => ({ namespace, workload_kind: 'Deployment', workload: 'web' })
const ofWeb = (record: PodTermination, more: Partial<PodTermination> = {}): PodTermination => ({
  ...record,
  ...more,
  pod: { ...record.pod, workload: { kind: 'Deployment', name: 'web' } },
})
const podOf = (at: Micros): PodSnapshot => {
  const metadata = { uid: 'u1', namespace: 'shop', name: 'web-x1', resourceVersion: '1' }
  const deletion = new Date(at / MILLISECOND).toISOString().replace(/\.\d+Z$/, 'Z')
  return decodePod({
    metadata: { ...metadata, deletionTimestamp: deletion, deletionGracePeriodSeconds: 30 },
    spec: { containers: [{ name: 'app' }] },
    status: { phase: 'Running' },
  })
}

let world: World
beforeEach(() => {
  world = new World()
})

describe('real terminations', () => {
  it.each(FIXTURES.map(({ name }) => name))('%s: counted once, and measured as the record has it', async (name) => {
    const record = ofWeb(recordOf(name))
    if (record.outcome === undefined) return
    world.metrics.onVerdict(record, true)
    const families = await world.settle()
    const labels = web(record.pod.namespace)
    const { outcome, cause, tookMilliseconds, graceUsedPercent } = record
    const ended = { ...labels, outcome, cause: cause?.type ?? 'Unknown' }
    expect(seriesValue(families, 'gracewatch_pod_terminations_total', ended)).toBe(1)
    const all = families.get('gracewatch_pod_terminations_total')?.samples ?? []
    expect(all.reduce((sum, { value }) => sum + value, 0)).toBe(1)
    const of = (metric: string) => seriesValue(families, metric, labels)
    expect(of('gracewatch_pod_termination_duration_seconds_sum')).toBe(
      tookMilliseconds === undefined ? undefined : tookMilliseconds / 1000,
    )
    expect(of('gracewatch_pod_grace_used_ratio_sum')).toBe(graceUsedPercent === undefined ? undefined : graceUsedPercent / 100)
    for (const finding of new Set(record.findings?.map(({ type }) => type)))
      expect(seriesValue(families, 'gracewatch_pod_termination_findings_total', { ...labels, finding })).toBe(1)
    const forced = record.containers?.filter((container) => container.outcome === 'ForcedKill') ?? []
    const kills = families.get('gracewatch_container_forced_kills_total')?.samples ?? []
    expect(kills.reduce((sum, { value }) => sum + value, 0)).toBe(forced.length)
    // No time is negative, and none is longer than the whole termination could be told to be.
    for (const { name: metric, value } of [...families.values()].flatMap(({ samples }) => samples))
      if (metric.endsWith('_sum')) expect(value).toBeGreaterThanOrEqual(0)
  })

  it('a hook that overran is measured to its end with its container, the process from its signal to its exit', async () => {
    // Grace 15 s, the hook would have taken 20 s: SIGTERM at 15 s, SIGKILL of container and hook 2 s later.
    const record = ofWeb(recordOf('03-'))
    world.metrics.onVerdict(record, true)
    const families = await world.settle()
    const labels = web(record.pod.namespace)
    expect(seriesValue(families, 'gracewatch_container_prestop_duration_seconds_count', labels)).toBe(1)
    expect(seriesValue(families, 'gracewatch_container_prestop_duration_seconds_sum', labels)).toBeCloseTo(17, 0)
    const stopped = { ...labels, container_role: 'Main', evidence: 'API' }
    expect(seriesValue(families, 'gracewatch_container_signal_to_exit_seconds_count', stopped)).toBe(1)
    expect(seriesValue(families, 'gracewatch_container_signal_to_exit_seconds_sum', stopped)).toBeCloseTo(2, 0)
  })

  it('no label ever holds the name of a pod, or a value that is not in the table', async () => {
    const names = new Set<string>()
    for (const { name } of FIXTURES) {
      const record = recordOf(name)
      if (record.outcome === undefined) continue
      names.add(record.pod.name)
      // Of a pod without an owner the workload has the name of the pod.
      const workload = { kind: 'Pod', name: record.pod.name }
      world.metrics.onVerdict({ ...record, pod: { ...record.pod, workload } }, true)
      world.metrics.onVerdict(record, true)
    }
    for (const family of (await world.settle()).values()) {
      const { labels: allowed } = DEFINITIONS[family.name as MetricName] // the registry has no others
      for (const { labels } of family.samples) {
        for (const [label, value] of Object.entries(labels)) {
          if (label === 'le') continue
          expect(allowed).toContain(label)
          const definition: LabelDefinition = LABELS[label as LabelName] // is among those allowed
          const { values } = definition
          if (values !== undefined) expect(values).toContain(value)
          expect(names).not.toContain(value)
        }
      }
    }
    expect(names.size).toBeGreaterThan(10)
  })
})

describe('a verdict', () => {
  const record = ofWeb(recordOf('05-'))
  const { namespace } = record.pod
  const total = async (outcome: string) =>
    seriesValue(await world.settle(), 'gracewatch_pod_terminations_total', { ...web(namespace), outcome, cause: 'Deleted' })

  it('that is told again counts once', async () => {
    for (let count = 0; count < 3; count++) world.metrics.onVerdict(record, true)
    expect(await total('Graceful')).toBe(1)
  })

  it('that another replica has told of does not count, whatever is told of it later', async () => {
    world.metrics.onVerdict(record, false)
    world.metrics.onVerdict(record, true)
    expect(await total('Graceful')).toBeUndefined()
  })

  it('that is corrected counts under the new outcome too, and as a correction; what was measured is not measured again', async () => {
    world.metrics.onVerdict(ofWeb(record, { outcome: 'Lost' }), true)
    world.metrics.onVerdict(ofWeb(record, { outcome: 'ForcedKill' }), true)
    expect(await total('Lost')).toBe(1)
    expect(await total('ForcedKill')).toBe(1)
    const families = await world.settle()
    expect(seriesValue(families, 'gracewatch_corrected_verdicts_total', { outcome: 'Lost' })).toBe(1)
    expect(seriesValue(families, 'gracewatch_pod_termination_duration_seconds_count', web(namespace))).toBe(1)
  })

  it('that is found out more about counts that, once', async () => {
    const { findings: _, ...plain } = record
    const late = { type: 'StopSignalIgnored', severity: 'Warning', container: 'app', message: 'late' } as const
    const containers = [{ name: 'app', role: 'Main', outcome: 'ForcedKill' }] as const
    world.metrics.onVerdict(plain, true)
    for (let count = 0; count < 2; count++)
      world.metrics.onVerdict({ ...plain, findings: [late, { ...late, container: 'other' }], containers: [...containers] }, true)
    const families = await world.settle()
    const value = (name: string, labels: object) => seriesValue(families, name, { ...web(namespace), ...labels })
    expect(value('gracewatch_pod_termination_findings_total', { finding: 'StopSignalIgnored' })).toBe(1)
    expect(value('gracewatch_container_forced_kills_total', { container_role: 'Main' })).toBe(1)
    expect(value('gracewatch_pod_terminations_total', { outcome: 'Graceful', cause: 'Deleted' })).toBe(1)
  })

  const tell = (uid: string) => world.metrics.onVerdict({ ...record, pod: { ...record.pod, uid } }, true)

  it('is forgotten a quarter of an hour after it was told last: by then it would count again', async () => {
    tell('first')
    world.now = 899_000
    tell('other')
    tell('first')
    world.now = 1_797_000
    tell('another')
    tell('first')
    expect(await total('Graceful')).toBe(3)
    world.now = 2_697_000
    tell('one more')
    tell('first')
    expect(await total('Graceful')).toBe(5)
  })

  it('is forgotten once 20,000 others have been told since, so that there is room for them', async () => {
    tell('first')
    for (let index = 1; index < 20_000; index++) tell(`u${index}`)
    tell('first')
    expect(await total('Graceful')).toBe(20_000)
    for (let index = 20_000; index < 40_000; index++) tell(`u${index}`)
    tell('first')
    expect(await total('Graceful')).toBe(40_001)
  })
})

describe('a workload', () => {
  const labels = web('shop')
  const firstKill = { ...labels, outcome: 'ForcedKill', cause: 'Deleted' }
  const seen = (pod: PodSnapshot) => world.metrics.onPod({ type: 'Listed', object: pod, arrivedAt: 0 })
  const { deletionTimestamp: _, ...pod } = {
    ...podOf(0),
    owner: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', uid: 'r1' },
  }

  it('has its counters at 0 as soon as a pod of it is seen', async () => {
    world.known.set('u1', { kind: 'Deployment', name: 'web' })
    seen(pod)
    const families = await world.scrape()
    expect(seriesValue(families, 'gracewatch_pod_terminations_total', firstKill)).toBe(0)
    expect(seriesValue(families, 'gracewatch_pod_termination_findings_total', { ...labels, finding: 'StopSignalIgnored' })).toBe(
      0,
    )
    expect(seriesValue(families, 'gracewatch_container_forced_kills_total', { ...labels, container_role: 'Main' })).toBe(0)
  })

  it('has them under its own name, not under that of the owner between, which is looked up first', async () => {
    world.settled = false
    seen(pod)
    expect((await world.scrape()).get('gracewatch_pod_terminations_total')?.samples).toEqual([])
    world.settled = true
    world.known.set('u1', { kind: 'Deployment', name: 'web' })
    expect(seriesValue(await world.scrape(), 'gracewatch_pod_terminations_total', firstKill)).toBe(0)
  })

  it('stands under the owner between where that cannot be looked up', async () => {
    world.settled = false
    seen(pod)
    world.now = 60_000
    const direct = { ...firstKill, workload_kind: 'ReplicaSet', workload: 'web-1' }
    expect(seriesValue(await world.scrape(), 'gracewatch_pod_terminations_total', direct)).toBe(0)
  })

  it('is none of ours where its namespace is left out, or its pod is a static one', async () => {
    seen({ ...pod, namespace: 'left-out' })
    seen({ ...pod, mirror: true })
    expect((await world.scrape()).get('gracewatch_pod_terminations_total')?.samples).toEqual([])
  })
})

describe('pods that are ending', () => {
  const at = parseTime('2026-03-01T12:00:30Z') ?? 0
  const labels = { namespace: 'shop', workload_kind: 'Pod', workload: '' }

  it('are told by workload while they are there, by the leader alone', async () => {
    world.ending = [
      { pod: podOf(at), overdue: false },
      { pod: { ...podOf(at), uid: 'u2', name: 'web-x2' }, overdue: true },
    ]
    world.metrics.workloads.touch({ namespace: 'shop', kind: 'Pod', name: '' })
    const families = await world.scrape()
    expect(seriesValue(families, 'gracewatch_pods_terminating', labels)).toBe(2)
    expect(seriesValue(families, 'gracewatch_pods_overdue', labels)).toBe(1)
    world.leading = false
    expect((await world.scrape()).get('gracewatch_pods_terminating')?.samples).toEqual([])
    world.leading = true
    world.ending = []
    expect((await world.scrape()).get('gracewatch_pods_overdue')?.samples).toEqual([])
  })

  it('are told as 0 for some minutes once none is overdue: an alert that looks back is not to take them for stuck', async () => {
    const labels = { namespace: 'shop', workload_kind: 'Pod', workload: '' }
    world.pods = [podOf(at)]
    world.metrics.workloads.touch({ namespace: 'shop', kind: 'Pod', name: '' })
    const overdue = async () => seriesValue(await world.scrape(), 'gracewatch_pods_overdue', labels)
    world.ending = [{ pod: podOf(at), overdue: false }]
    expect(await overdue()).toBe(0)
    world.ending = []
    expect(await overdue()).toBeUndefined()
    world.ending = [{ pod: podOf(at), overdue: true }]
    expect(await overdue()).toBe(1)
    world.ending = []
    for (world.now of [30_000, 359_999]) expect(await overdue()).toBe(0)
    world.now = 360_000
    expect(await overdue()).toBeUndefined()
  })

  it('of workloads over the limit are one sum', async () => {
    world = new World(1)
    world.metrics.workloads.touch({ namespace: 'full', kind: 'Pod', name: '' })
    world.pods = [{ ...podOf(at), namespace: 'full' }]
    world.ending = ['a', 'b', 'c'].map((namespace) => ({ pod: { ...podOf(at), namespace }, overdue: false }))
    const { samples = [] } = (await world.scrape()).get('gracewatch_pods_terminating') ?? {}
    expect(samples.map(({ value }) => value)).toEqual([3])
    expect(samples[0]?.labels).toMatchObject({ workload: 'other' })
  })

  it('tell how late the watch told of their deletion', async () => {
    // Asked for between 12:00:00 and 12:00:01, by what the API server wrote.
    const object = podOf(at)
    const { deletionTimestamp: __, ...previous } = object
    world.metrics.onPod({ type: 'Modified', object, previous, arrivedAt: at - 30 * SECOND + 4_500_000 })
    world.metrics.onPod({ type: 'Modified', object, previous: object, arrivedAt: at + 60 * SECOND })
    world.metrics.onPod({ type: 'Listed', object, previous, arrivedAt: at + 60 * SECOND })
    const families = await world.scrape()
    const resource = { resource: 'pods' }
    expect(seriesValue(families, 'gracewatch_watch_delay_seconds_count', resource)).toBe(1)
    expect(seriesValue(families, 'gracewatch_watch_delay_seconds_sum', resource)).toBeCloseTo(4)
  })
})
