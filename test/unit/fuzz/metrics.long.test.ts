/** Label values in the text of Prometheus: owners of pods have names that nobody has checked. More runs: support.ts. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MetricRegistry } from '../../../src/metrics/registry.ts'
import { WorkloadSeries } from '../../../src/metrics/workload-series.ts'
import { parseExposition } from '../metrics/exposition.ts'
import { forAll, nastyText, TIMEOUT } from './support.ts'

const METRIC = 'gracewatch_pod_terminations_total'
const word = fc.oneof(nastyText, fc.constantFrom('a', 'b,workload:c', 'a"} 1', 'a\\', '\\n', 'x/y', '{', '\u2028'))
const workload = fc.record({ namespace: word, kind: word, name: word })

test('each workload has series of its own, whose labels are read back as they are', { timeout: TIMEOUT }, async () => {
  await forAll(fc.array(workload, { maxLength: 5 }), 400, async (workloads) => {
    const registry = new MetricRegistry({ sources: ['Leader'], parts: new Set(), process: false })
    const series = new WorkloadSeries({ registry, max: 100, alive: () => [], begin() {}, now: () => 0 })
    for (const one of workloads)
      series.count(METRIC, one, { cause: 'Deleted', outcome: 'Graceful' })
      // The first time, each is told as 0.
    ;(await registry.scrape()).delivered?.()
    const { text } = await registry.scrape()
    const samples = parseExposition(text).get(METRIC)?.samples ?? []
    const told = samples.map(({ labels: { namespace, workload_kind: kind, workload: name }, value }) =>
      JSON.stringify([namespace, kind, name, value]),
    )
    const counts = new Map<string, number>()
    for (const { namespace, kind, name } of workloads) {
      const key = JSON.stringify([namespace, kind, name])
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    expect(told.sort()).toEqual([...counts].map(([key, count]) => `${key.slice(0, -1)},${count}]`).sort())
  })
})
