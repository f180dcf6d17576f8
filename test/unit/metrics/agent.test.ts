import { describe, expect, it } from 'vitest'
import { AGENT_DEFINITIONS } from '../../../src/metrics/agent-definitions.ts'
import { LABELS } from '../../../src/metrics/definitions.ts'
import { agentMetrics, STATS } from './agent.ts'
import { parseExposition, seriesValue } from './exposition.ts'

describe('the exposition of the agent', () => {
  it('has each metric of its table, with the labels that the table gives it', async () => {
    const { metrics, answer } = agentMetrics()
    answer({ verb: 'PATCH', code: 'OK', seconds: 0.01 })
    const families = parseExposition((await metrics.scrape()).text)
    for (const [name, { type, help, labels }] of Object.entries(AGENT_DEFINITIONS)) {
      const family = families.get(name)
      expect(family).toMatchObject({ type: type.toLowerCase(), help })
      expect(family?.samples.length).toBeGreaterThan(0)
      for (const sample of family?.samples ?? []) expect(Object.keys(sample.labels)).toEqual(labels)
    }
    for (const { samples } of families.values())
      for (const { labels } of samples) for (const label of Object.keys(labels)) expect(Object.keys(LABELS)).toContain(label)
  })

  it('tells what stands in the agent', async () => {
    const { metrics, answer } = agentMetrics()
    for (const code of ['OK', 'OK', 'Conflict'] as const) answer({ verb: 'PATCH', code, seconds: 0.01 })
    const families = parseExposition((await metrics.scrape()).text)
    const value = (name: string, labels = {}) => seriesValue(families, `gracewatch_${name}`, labels)
    expect(value('agent_lost_events_total')).toBe(7)
    expect(value('agent_dropped_facts_total')).toBe(2)
    expect(value('agent_dropped_terminations_total')).toBe(6)
    expect(value('agent_tracing')).toBe(1)
    expect(value('api_clock_offset_seconds', { bound: 'Earliest' })).toBe(-0.002)
    expect(value('api_clock_offset_seconds', { bound: 'Latest' })).toBe(0.003)
    expect(value('records_written_total')).toBe(5)
    expect(value('records_refused_total', { reason: 'QuotaExceeded' })).toBe(3)
    expect(value('api_requests_total', { verb: 'PATCH', code: 'OK' })).toBe(2)
    expect(value('api_requests_total', { verb: 'PATCH', code: 'Conflict' })).toBe(1)
    expect(value('watch_silence_seconds', { resource: 'pods' })).toBe(30.5)
    expect(value('watch_failures_total', { resource: 'pods' })).toBe(5)
    expect(seriesValue(families, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
    const started = seriesValue(families, 'process_start_time_seconds') ?? 0
    expect(Math.abs(Date.now() / 1000 - started)).toBeLessThan(3600)
  })

  it('leaves out what is not known yet, and tells that the trace is not open', async () => {
    const { lastAliveAt: _, ...stats } = STATS
    const { metrics } = agentMetrics({ tracing: false, apiOffset: undefined, pods: { synced: false, stats } })
    const families = parseExposition((await metrics.scrape()).text)
    expect(families.get('gracewatch_api_clock_offset_seconds')?.samples).toEqual([])
    expect(families.get('gracewatch_watch_silence_seconds')?.samples).toEqual([])
    expect(seriesValue(families, 'gracewatch_agent_tracing')).toBe(0)
    expect(seriesValue(families, 'gracewatch_watch_synced', { resource: 'pods' })).toBe(0)
  })
})
