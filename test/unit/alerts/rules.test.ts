/** The alerts: those that were promised, each with its page, and what they say stands in what they find. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RUNBOOKS, ruleFile } from '../../../src/alerts/files.ts'
import { ALERT_NAMES, GROUPS } from '../../../src/alerts/rules.ts'
import { RESOURCES } from '../../../src/api/crd.ts'
import { DEFINITIONS, LABELS, type LabelDefinition } from '../../../src/metrics/definitions.ts'

const FOLDER = resolve(import.meta.dirname, '../../../docs/runbooks')
const alerts = GROUPS.flatMap((group) => group.alerts)
const titled = alerts.map(
  (alert) => [alert.problem === undefined ? alert.name : `${alert.name} ${alert.problem}`, alert] as const,
)
const rules = ruleFile().groups.flatMap((group) => group.rules)
const page = (name: string) => readFileSync(join(FOLDER, `${name}.md`), 'utf8')

describe('the alerts', () => {
  it('are these', () => {
    expect(ALERT_NAMES).toEqual([
      'PodsForceKilled',
      'GracePeriodNearlyExhausted',
      'StopSignalIgnored',
      'PreStopHookOverran',
      'EndpointReadyAtStopSignal',
      'PodStuckTerminating',
      'GateHoldingTooLong',
      'RolloutHeldByBrake',
      'CleanupFailing',
      'RecorderBlind',
      'AgentLosingEvents',
    ])
  })

  it('can be told apart, and each has what Alertmanager goes by', () => {
    const labels = rules.map(({ alert, labels: own }) => JSON.stringify([alert, own.problem]))
    expect(new Set(labels).size).toBe(rules.length)
    for (const { alert, for: after, labels: own, annotations } of rules) {
      expect(after).toMatch(/^\d+m$/)
      expect(['critical', 'warning', 'info']).toContain(own.severity)
      expect(annotations.runbook_url).toBe(`${RUNBOOKS}/${alert}.md`)
      // What is grouped by it has one summary.
      expect(annotations.summary).toMatch(/^[A-Z][^{}]*\.$/)
    }
  })

  it.each(titled)('%s names only labels that its expression keeps', (_, { expr, description, problem }) => {
    const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].map(([, list = '']) => list.split(', '))
    if (!expr.startsWith('absent(')) expect(kept.length).toBeGreaterThan(0)
    for (const [, label = ''] of description.matchAll(/\$labels\.(\w+)/g)) for (const list of kept) expect(list).toContain(label)
    for (const list of kept) {
      expect(list[0]).toBe('cluster')
      // It would take the place of the one that the series has.
      if (problem !== undefined) expect(list).not.toContain('problem')
    }
  })

  it('ask for values of labels that there are', () => {
    const asked = alerts.flatMap(({ expr }) =>
      [...expr.matchAll(/(\w+)(?:=|!=|=~|!~)"([^"]*)"/g)].map(([, label = '', value = '']) => [label, value.split('|')] as const),
    )
    expect(asked.length).toBeGreaterThan(4)
    for (const [label, values] of asked) {
      const known: Readonly<Record<string, LabelDefinition>> = LABELS
      const allowed = known[label]?.values
      if (allowed !== undefined) expect(allowed).toEqual(expect.arrayContaining([...values]))
    }
  })

  it('ask for metrics that there are', () => {
    const names = new Set(alerts.flatMap(({ expr }) => expr.match(/gracewatch_\w+/g) ?? []))
    expect([...names].filter((name) => !(name in DEFINITIONS))).toEqual([])
  })

  it('select records by fields that the API server selects by', () => {
    const fields = RESOURCES.find(({ kind }) => kind === 'PodTermination')?.selectableFields.map((path) => path.slice(1)) ?? []
    const used = alerts.flatMap(({ description }) =>
      [...description.matchAll(/--field-selector=(\S+?=(?:\{\{[^}]*\}\}|\w+)(?:,\S+?=\w+)*)/g)].flatMap(([, list = '']) =>
        list.split(',').map((part) => part.split('=')[0]),
      ),
    )
    expect(new Set(used)).toEqual(new Set(['pod.workload.name', 'outcome', 'state']))
    expect(fields).toEqual(expect.arrayContaining([...new Set(used)]))
  })
})

describe('the runbooks', () => {
  it('are one for each alert, and no others', () => {
    const pages = readdirSync(FOLDER).filter((name) => name !== 'README.md')
    expect(pages.sort()).toEqual(ALERT_NAMES.map((name) => `${name}.md`).sort())
  })

  it.each(ALERT_NAMES)('%s is a page that says what it means, what to look at and what to change', (name) => {
    const text = page(name)
    const lines = text.split('\n')
    expect(lines[0]).toBe(`# ${name}`)
    expect(text.match(/^## .*$/gm)).toEqual(['## What it means', '## What to look at', '## What to change'])
    expect(lines.length).toBeLessThan(70)
    expect(lines.filter((line) => line.length > 150 && !/^\||^kubectl/.test(line))).toEqual([])
    for (const problem of alerts.flatMap((alert) => (alert.name === name ? (alert.problem ?? []) : [])))
      expect(text).toContain(`\`${problem}\``)
    // What to look at is something to type.
    const [, look = ''] = text.split('## What to look at')
    expect(look.split('## What to change')[0]).toMatch(/```sh\n(kubectl|npx) /)
  })

  it.each(ALERT_NAMES)('%s names only pages that there are', (name) => {
    for (const [, target = ''] of page(name).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g))
      expect(() => readFileSync(join(FOLDER, target))).not.toThrow()
  })
})
