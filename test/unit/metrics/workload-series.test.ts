import { beforeEach, describe, expect, it } from 'vitest'
import { MetricRegistry } from '../../../src/metrics/registry.ts'
import { type WorkloadName, WorkloadSeries } from '../../../src/metrics/workload-series.ts'
import { type Family, parseExposition, seriesValue } from './exposition.ts'

const METRIC = 'gracewatch_container_forced_kills_total'
const HOUR = 3_600_000
const own = { container_role: 'Main' } as const
const workload = (name: string, namespace = 'shop'): WorkloadName => ({ namespace, kind: 'Deployment', name })

let now: number
let alive: WorkloadName[]
let registry: MetricRegistry

beforeEach(() => {
  now = 0
  alive = []
  registry = new MetricRegistry({ sources: ['Leader'], parts: new Set(), process: false })
})

const seriesFor = (max: number) =>
  new WorkloadSeries({
    ...{ registry, max, now: () => now, alive: () => alive },
    begin: (name, series) => series.count(METRIC, name, own, 0),
  })

/** As a scrape by Prometheus, which takes what it is given. */
async function scrape(): Promise<Map<string, Family>> {
  const { text, delivered } = await registry.scrape()
  delivered?.()
  return parseExposition(text)
}

const value = (families: Map<string, Family>, name: string, namespace = 'shop') =>
  seriesValue(families, METRIC, { namespace, workload_kind: 'Deployment', workload: name, container_role: 'Main' })
const other = (families: Map<string, Family>) =>
  seriesValue(families, METRIC, { namespace: '', workload_kind: '', workload: 'other', container_role: 'Main' })

describe('a counter of a workload', () => {
  it('is told as 0 before what it counts, however soon that comes', async () => {
    const series = seriesFor(10)
    series.touch(workload('web'))
    series.count(METRIC, workload('web'), own)
    series.count(METRIC, workload('web'), own)
    expect(value(await scrape(), 'web')).toBe(0)
    expect(value(await scrape(), 'web')).toBe(2)
    series.count(METRIC, workload('web'), own)
    expect(value(await scrape(), 'web')).toBe(3)
  })

  it('waits for a scrape that arrived: one that was cut off has told nobody of the 0', async () => {
    const series = seriesFor(10)
    series.count(METRIC, workload('web'), own)
    await registry.scrape()
    expect(value(await scrape(), 'web')).toBe(0)
    expect(value(await scrape(), 'web')).toBe(1)
  })

  it('waits in a label value that is new, too, while the others count', async () => {
    const series = seriesFor(10)
    series.touch(workload('web'))
    await scrape()
    series.count(METRIC, workload('web'), { container_role: 'Sidecar' })
    series.count(METRIC, workload('web'), own)
    const sidecar = { namespace: 'shop', workload_kind: 'Deployment', workload: 'web', container_role: 'Sidecar' }
    const first = await scrape()
    expect(value(first, 'web')).toBe(1)
    expect(seriesValue(first, METRIC, sidecar)).toBe(0)
    expect(seriesValue(await scrape(), METRIC, sidecar)).toBe(1)
  })

  it('is not told before its turn by a scrape that began before the series was there', async () => {
    const series = seriesFor(10)
    const early = await registry.scrape()
    series.count(METRIC, workload('web'), own)
    early.delivered?.()
    expect(value(await scrape(), 'web')).toBe(0)
  })
})

describe('workloads over the limit', () => {
  it('are counted together, without a namespace', async () => {
    const series = seriesFor(2)
    for (const name of ['a', 'b', 'c', 'd']) {
      alive.push(workload(name, `of-${name}`))
      series.count(METRIC, workload(name, `of-${name}`), own)
    }
    await scrape()
    const families = await scrape()
    expect(value(families, 'a', 'of-a')).toBe(1)
    expect(value(families, 'c', 'of-c')).toBeUndefined()
    expect(other(families)).toBe(2)
    expect(series.size).toBe(2)
    expect(families.get(METRIC)?.samples).toHaveLength(3)
    expect(series.labelsOf(workload('d', 'of-d'))).toEqual({ namespace: '', workload_kind: '', workload: 'other' })
  })

  it('take the place of those that have had no pods for an hour, and of no others', async () => {
    const series = seriesFor(3)
    for (const name of ['gone', 'idle', 'busy']) series.count(METRIC, workload(name), own)
    alive = [workload('idle')]
    now = HOUR
    series.count(METRIC, workload('busy'), own)
    series.count(METRIC, workload('new'), own)
    await scrape()
    const families = await scrape()
    expect(value(families, 'gone')).toBeUndefined()
    expect(value(families, 'idle')).toBe(1)
    expect(value(families, 'busy')).toBe(2)
    expect(value(families, 'new')).toBe(1)
  })

  it('that come back begin at 0 again, which a counter may', async () => {
    const series = seriesFor(1)
    series.count(METRIC, workload('job-1'), own)
    await scrape()
    expect(value(await scrape(), 'job-1')).toBe(1)
    now = HOUR
    series.touch(workload('job-2'))
    now = 3 * HOUR
    series.touch(workload('job-1'))
    expect(value(await scrape(), 'job-1')).toBe(0)
    expect(value(await scrape(), 'job-2')).toBeUndefined()
  })

  it('do not cost a look at all pods each', () => {
    let looks = 0
    const series = new WorkloadSeries({
      ...{ registry, max: 1, now: () => now, begin: () => {} },
      alive: () => {
        looks++
        return []
      },
    })
    for (let index = 0; index < 100; index++) series.touch(workload(`w${index}`))
    expect(looks).toBe(1)
    now = 60_000
    for (let index = 0; index < 100; index++) series.touch(workload(`x${index}`))
    expect(looks).toBe(2)
  })

  it('leave nothing behind: 10,000 that come and go are never more than the limit', async () => {
    const series = seriesFor(50)
    for (let index = 0; index < 10_000; index++) {
      now += 120_000
      series.count(METRIC, workload(`job-${index}`), own)
      series.observe('gracewatch_pod_grace_used_ratio', workload(`job-${index}`), {}, 0.5)
    }
    const families = await scrape()
    expect(series.size).toBeLessThanOrEqual(50)
    expect(families.get(METRIC)?.samples.length).toBeLessThanOrEqual(51)
    const counts = families.get('gracewatch_pod_grace_used_ratio')?.samples.filter(({ name }) => name.endsWith('_count'))
    expect(counts?.length).toBeLessThanOrEqual(51)
  })
})
