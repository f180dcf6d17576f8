/** What the programs expose, checked by Prometheus' own tool. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { assemble } from '../../src/core/termination/index.ts'
import { SECOND } from '../../src/core/time.ts'
import { MetricRegistry } from '../../src/metrics/registry.ts'
import { TerminationMetrics } from '../../src/metrics/terminations.ts'
import { checkConfig, checkMetrics } from '../prometheus/promtool.ts'
import { CLOCKS, factsByLine } from '../replay/facts.ts'
import { readFixtures } from '../replay/fixture.ts'
import { agentMetrics } from '../unit/metrics/agent.ts'
import { NOTHING_WATCHED } from '../unit/metrics/nothing-watched.ts'

const ROOT = resolve(import.meta.dirname, '../..')

it('promtool has nothing to say against the metrics of the controller', async () => {
  const registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set(['gates', 'cleanup']) })
  const terminations = new TerminationMetrics({ registry, maxWorkloads: 10, source: NOTHING_WATCHED })
  for (const fixture of readFixtures()) {
    const record = assemble([...factsByLine(fixture).flat(), ...CLOCKS], (fixture.lines.at(-1)?.arrivedAt ?? 0) + SECOND)
    if (record?.outcome !== undefined) terminations.onVerdict(record, true)
  }
  expect(await checkMetrics((await registry.scrape()).text)).toBe('')
})

it('promtool has nothing to say against the metrics of the agent', async () => {
  const { metrics, answer } = agentMetrics()
  answer({ verb: 'PATCH', code: 'OK', seconds: 0.01 })
  expect(await checkMetrics((await metrics.scrape()).text)).toBe('')
})

it('Prometheus can be configured as the page says', async () => {
  const blocks = [...readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8').matchAll(/```yaml\n(scrape_configs:[^`]*)```/g)]
  expect(blocks).toHaveLength(1)
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-scrape-'))
  const path = join(folder, 'prometheus.yml')
  writeFileSync(path, blocks[0]?.[1] ?? '')
  expect(await checkConfig(path)).toBe('')
  writeFileSync(path, 'scrape_configs: [{job_name: x, scheme: gopher, no_such: 1}]')
  expect(await checkConfig(path)).toContain('no_such')
  rmSync(folder, { recursive: true })
})

it('promtool finds what is wrong', async () => {
  expect(await checkMetrics('# HELP broken x\n# TYPE broken gauge\nbroken_total{ 1\n')).toContain('error')
  expect(await checkMetrics('# TYPE kills counter\nkills 1\n')).toContain('"_total" suffix')
})
