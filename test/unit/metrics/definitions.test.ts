/** The table of metrics by the rules of Prometheus, and what is made from it. */
import { describe, expect, it } from 'vitest'
import { CAUSES, OUTCOMES } from '../../../src/api/pod-termination.ts'
import { AGENT_DEFINITIONS } from '../../../src/metrics/agent-definitions.ts'
import { DEFINITIONS, type Definition, entriesOf, LABELS, type LabelDefinition } from '../../../src/metrics/definitions.ts'
import { metricsPage } from '../../../src/metrics/page.ts'
import { MetricRegistry } from '../../../src/metrics/registry.ts'
import { parseExposition } from './exposition.ts'

const METRICS: [string, Definition][] = Object.entries(DEFINITIONS)

describe('every metric', () => {
  it.each(METRICS)('%s: is named as Prometheus has it', (name, { type, labels, buckets, help }) => {
    expect(name).toMatch(/^gracewatch_[a-z]+(_[a-z]+)*$/)
    expect(name.endsWith('_total')).toBe(type === 'Counter')
    if (type === 'Histogram') expect(name).toMatch(/_(seconds|bytes|ratio)$/)
    expect(name).not.toMatch(/milliseconds|minutes|percent|kilobytes|count(er)?$|gauge|histogram/)
    // A HELP is one line, and a sentence.
    expect(help).toMatch(/^[^\n]*\.$/)
    expect(new Set(labels).size).toBe(labels.length)
    expect(buckets === undefined).toBe(type !== 'Histogram')
    expect(buckets).toEqual(buckets?.toSorted((a, b) => a - b))
  })

  it('has its labels in the table of labels, which holds no others, and none that names a pod', () => {
    const used = new Set<string>(METRICS.flatMap(([, { labels }]) => labels))
    expect([...used].toSorted()).toEqual(Object.keys(LABELS).toSorted())
    // Those that Prometheus gives to a target are left to it.
    for (const label of used)
      expect(label).not.toMatch(/^(pod|pod_name|uid|container|service|endpoint|instance|job|le|quantile|__.*)$/)
  })

  it('has labels that are bounded: their values are known, or it is said what bounds them', () => {
    for (const [name, { values, bound }] of Object.entries<LabelDefinition>(LABELS))
      expect([name, values === undefined || values.length === 0, bound === undefined]).not.toEqual([name, true, true])
    expect(LABELS.outcome.values).toEqual(OUTCOMES)
    expect(LABELS.cause.values).toEqual(CAUSES)
  })

  it('has buckets that fit: grace periods from 1 s to 10 min, exits from 10 ms to 10 min', () => {
    const { buckets: duration } = DEFINITIONS.gracewatch_pod_termination_duration_seconds
    const { buckets: exit } = DEFINITIONS.gracewatch_container_signal_to_exit_seconds
    expect([duration[0], duration.includes(600), exit[0], exit.at(-1)]).toEqual([1, true, 0.01, 600])
    for (const bucket of [15, 30, 60]) expect(duration).toContain(bucket)
    expect(DEFINITIONS.gracewatch_pod_grace_used_ratio.buckets).toContain(1)
  })
})

describe('what is made from the table', () => {
  it('the registry has each metric of its sources and parts, and no other', async () => {
    const namesOf = async (parts: ('gates' | 'cleanup')[]) => {
      const registry = new MetricRegistry({ sources: ['Leader', 'Replica'], parts: new Set(parts), process: false })
      return [...parseExposition((await registry.scrape()).text).keys()]
    }
    const own = METRICS.filter(([, { from }]) => from.some((source) => source !== 'Agent'))
    expect((await namesOf(['gates', 'cleanup'])).toSorted()).toEqual(own.map(([name]) => name).toSorted())
    expect((await namesOf([])).toSorted()).toEqual(
      own.flatMap(([name, { with: part }]) => (part === undefined ? [name] : [])).toSorted(),
    )
  })

  it("the agent's are those of the table that say so", () => {
    expect(entriesOf('Agent').map(([name]) => name)).toEqual(Object.keys(AGENT_DEFINITIONS))
  })

  it('the page has a line for each', () => {
    const page = metricsPage('note')
    for (const [name, { help }] of METRICS) {
      expect(page).toContain(`| \`${name}\` |`)
      expect(page).toContain(help)
    }
    for (const [label] of Object.entries(LABELS)) expect(page).toContain(`| \`${label}\` |`)
  })
})
