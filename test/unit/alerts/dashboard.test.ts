/** The dashboard: laid out without overlaps, every query on the data source that is chosen, and no metric of the table forgotten. */
import { describe, expect, it } from 'vitest'
import { dashboard } from '../../../src/dashboard/dashboard.ts'
import { ROWS } from '../../../src/dashboard/panels.ts'
import { DEFINITIONS } from '../../../src/metrics/definitions.ts'

interface PanelJson {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: object
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: object }[]
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } }
}
interface DashboardJson {
  readonly panels: readonly PanelJson[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly datasource?: object }[]
  }
}

const { panels, templating } = JSON.parse(JSON.stringify(dashboard())) as DashboardJson // as the file has it
const shown = panels.filter(({ type }) => type !== 'row')
const expressions = shown.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
/** They say nothing over time, or are told in another way. */
const LEFT_OUT = [
  'gracewatch_corrected_verdicts_total',
  'gracewatch_container_forced_kills_total',
  'gracewatch_gate_condition_writes_total',
  'gracewatch_leader_terms_total',
  'gracewatch_lease_failures_total',
  'gracewatch_lease_held',
  'gracewatch_record_retries_total',
  'gracewatch_events_failed_total',
  'gracewatch_agent_facts_refused_total',
  'gracewatch_queue_depth',
  'gracewatch_watch_objects',
  'gracewatch_watch_synced',
  'gracewatch_watch_lists_total',
  'gracewatch_watch_undecodable_objects_total',
  'gracewatch_build_info',
  'gracewatch_agent_dropped_terminations_total',
  'gracewatch_agent_signals_total',
  'gracewatch_agent_malformed_lines_total',
]

describe('the dashboard', () => {
  it('has what a row of the source has, in its order', () => {
    expect(panels.map(({ title }) => title)).toEqual(ROWS.flatMap((row) => [row.title, ...row.panels.map(({ title }) => title)]))
  })

  it('has panels with ids of their own that lie beside and below each other', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    for (const [index, { gridPos: a, title }] of panels.entries()) {
      expect(a.x + a.w, title).toBeLessThanOrEqual(24)
      for (const { gridPos: b, title: other } of panels.slice(index + 1)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
        expect(apart, `${title} and ${other}`).toBe(true)
      }
    }
  })

  it('asks the data source that is chosen, and nothing else', () => {
    const chosen = { type: 'prometheus', uid: '$datasource' }
    expect(templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' })
    for (const { datasource } of templating.list.slice(1)) expect(datasource).toEqual(chosen)
    for (const { datasource, targets = [], title } of shown) {
      expect(datasource, title).toEqual(chosen)
      expect(targets.length, title).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
      for (const target of targets) expect(target.datasource).toEqual(chosen)
    }
  })

  it('uses variables that it has, or that Grafana has', () => {
    const own = templating.list.map(({ name }) => name)
    const used = new Set(expressions.flatMap((expr) => [...expr.matchAll(/\$(\w+)/g)].map(([, name = '']) => name)))
    expect([...used].filter((name) => !own.includes(name) && !/^__(rate_interval|range)$/.test(name))).toEqual([])
    expect([...used]).toEqual(expect.arrayContaining(own.slice(1)))
  })

  it('says of each panel what it tells, and in which unit: seconds for seconds, shares for ratios', () => {
    for (const { title, description = '', targets = [], fieldConfig } of shown) {
      expect(description, title).toMatch(/^[A-Z\d].*\.$/)
      const unit = fieldConfig?.defaults.unit
      const { expr = '' } = targets[0] ?? {}
      const inSeconds = /_seconds(_bucket)?\b/.test(expr) && !expr.includes('_count')
      if (inSeconds) expect(unit, title).toBe('s')
      else expect(unit, title).not.toBe('s')
    }
  })

  it('shows every metric but those that are named here', () => {
    const missing = Object.keys(DEFINITIONS).filter(
      (name) => !expressions.some((expr) => new RegExp(`\\b${name}(_bucket|_count)?\\b`).test(expr)),
    )
    expect(missing.sort()).toEqual([...LEFT_OUT].sort())
  })
})
