/** Endpoint lag and signal to exit, as they are told of records: the numbers, and whose clock they come from. */
import { describe, expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { SECOND } from '../../../src/core/time.ts'
import { MetricRegistry } from '../../../src/metrics/registry.ts'
import { TerminationMetrics } from '../../../src/metrics/terminations.ts'
import { CLOCKS, factsByLine } from '../../replay/facts.ts'
import { readFixtures } from '../../replay/fixture.ts'
import { forcedKill, forcedKillInferred } from '../render/records.ts'
import { parseExposition, type Sample } from './exposition.ts'
import { NOTHING_WATCHED } from './nothing-watched.ts'

function recorded(name: string): PodTermination {
  const fixture = readFixtures().find((one) => one.name === name)
  const facts = fixture === undefined ? [] : [...factsByLine(fixture).flat(), ...CLOCKS]
  const record = assemble(facts, (fixture?.lines.at(-1)?.arrivedAt ?? 0) + SECOND)
  if (record?.outcome === undefined) throw new Error(`no verdict of fixture ${name}`)
  return record
}

/** The samples of a histogram once the record has been told of. */
async function told(record: PodTermination, metric: string): Promise<readonly Sample[]> {
  const registry = new MetricRegistry({ sources: ['Leader'], parts: new Set(), process: false })
  const clocksOf = () => CLOCKS.filter((fact) => fact.type === 'Clock')
  const metrics = new TerminationMetrics({ registry, maxWorkloads: 10, source: { ...NOTHING_WATCHED, clocksOf } })
  metrics.onVerdict(record, true)
  // The first exposition tells the zeros of new series.
  const first = await registry.scrape()
  first.delivered?.()
  const { text } = await registry.scrape()
  return parseExposition(text).get(metric)?.samples ?? []
}

const numberOf = (samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}) =>
  samples.find((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))?.value

describe('the lag of an endpoint', () => {
  const LAG = 'gracewatch_endpoint_lag_seconds'

  it('runs from the stop signal to when the Service let go of the pod', async () => {
    const samples = await told(recorded('30-service-endpoints-readiness-fails-on-the-signal-2'), LAG)
    expect(numberOf(samples, `${LAG}_count`)).toBe(1)
    expect(numberOf(samples, `${LAG}_sum`)).toBeCloseTo(1.07, 2)
  })

  it('is 0, and in the lowest bucket, of each Service that had let go of it before', async () => {
    const samples = await told(recorded('30-service-endpoints-readiness-fails-on-the-signal-1'), LAG)
    expect(numberOf(samples, `${LAG}_count`)).toBe(2)
    expect(numberOf(samples, `${LAG}_sum`)).toBe(0)
    expect(numberOf(samples, `${LAG}_bucket`, { le: '0' })).toBe(2)
  })
})

describe('the time from the stop signal to the exit', () => {
  const TIME = 'gracewatch_container_signal_to_exit_seconds'

  it.each([
    ['Kernel', 'the kernel saw both', forcedKill(), 2.02 + 1.01],
    ['API', 'either is inferred', forcedKillInferred(), 2.1 + 1.18],
    [
      'API',
      'the kernel saw the exit alone',
      { ...forcedKill(), timeline: withoutKernel(forcedKill(), 'StopSignal') },
      2.02 + 1.01,
    ],
  ])('is of %s evidence where %s', async (evidence, _, record, seconds) => {
    const samples = await told(record, TIME)
    const labels = { evidence, container_role: 'Main' }
    expect(numberOf(samples, `${TIME}_count`, labels)).toBe(2)
    expect(numberOf(samples, `${TIME}_sum`, labels)).toBeCloseTo(seconds, 6)
    const others = samples.filter((one) => one.name === `${TIME}_count` && one.labels.evidence !== evidence)
    expect(others.map(({ value }) => value).filter((value) => value > 0)).toEqual([])
  })
})

function withoutKernel({ timeline = [] }: PodTermination, mark: string): PodTermination['timeline'] {
  return timeline.map((one) => (one.mark === mark ? { ...one, confidence: 'Inferred' } : one))
}
