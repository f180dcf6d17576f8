/** The dashboard as Grafana imports it: the rows and panels of panels.ts, laid out and dressed, by the types that Grafana has for it. */
import type { Dashboard, DataSourceRef, Panel as GrafanaPanel, GraphFieldConfig, RowPanel, VariableModel } from '@grafana/schema'
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen'
import type { Options as HeatmapOptions } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen'
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen'
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen'
import { series } from '../alerts/promql.ts'
import { type Panel, ROWS, type Row } from './panels.ts'

/** A type of Grafana without its enums: in the file they are texts. */
type Plain<T> = T extends string ? `${T}` : T extends object ? { readonly [K in keyof T]: Plain<T[K]> } : T

const DATASOURCE: DataSourceRef = { type: 'prometheus', uid: '$datasource' }
const COLUMNS = 24
const HEIGHT = 8
/** What can be told apart without its colour too: the legends name it. */
const GOOD = 'green'
const WARNING = 'orange'

interface Place {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

export function dashboard(): Plain<Dashboard> {
  const panels: Plain<GrafanaPanel | RowPanel>[] = []
  let y = 0
  for (const row of ROWS) {
    const placed = place(row, y + 1)
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
      panels: [],
    })
    for (const [panel, at] of placed) panels.push({ id: panels.length + 1, ...dressed(panel), gridPos: at })
    y = Math.max(...placed.map(([, { y: top, h }]) => top + h))
  }
  return {
    uid: 'gracewatch',
    title: 'Gracewatch: how pods end',
    description: 'Terminations, the time that they take, gates, cleanup, and whether Gracewatch itself is well.',
    tags: ['gracewatch', 'kubernetes'],
    editable: true,
    graphTooltip: 1,
    refresh: '1m',
    schemaVersion: 39,
    time: { from: 'now-6h', to: 'now' },
    timezone: '',
    templating: {
      list: [
        {
          name: 'datasource',
          label: 'Prometheus',
          type: 'datasource',
          query: 'prometheus',
          hide: 0,
          refresh: 1,
          regex: '',
        },
        variable('namespace', series('gracewatch_pod_terminations_total')),
        variable('workload', series('gracewatch_pod_terminations_total', { namespace: { like: '$namespace' } })),
      ],
    },
    annotations: { list: [] },
    links: [],
    panels,
  }
}

/** All: also series without the label, as pods without an owner have no workload. */
function variable(label: string, of: string): Plain<VariableModel> {
  const query = `label_values(${of}, ${label})`
  return {
    name: label,
    type: 'query',
    datasource: DATASOURCE,
    query: { qryType: 1, query, refId: `variable-${label}` },
    ...{ includeAll: true, allValue: '.*', multi: true, refresh: 2, sort: 1, hide: 0 },
    current: { selected: true, text: ['All'], value: ['$__all'] },
  }
}

/** From left to right, and on below where the width is used up. */
function place({ panels }: Row, top: number): [Panel, Place][] {
  let [x, y] = [0, top]
  return panels.map((panel) => {
    if (x + panel.width > COLUMNS) [x, y] = [0, y + HEIGHT]
    const at = { x, y, w: panel.width, h: HEIGHT }
    x += panel.width
    return [panel, at]
  })
}

function dressed(panel: Panel): Plain<GrafanaPanel> {
  const { title, help, type, unit, queries, warnFrom, signed } = panel
  const instant = type === 'stat' || type === 'ranking'
  return {
    type: { timeseries: 'timeseries', bars: 'timeseries', stat: 'stat', ranking: 'bargauge', heatmap: 'heatmap' }[type],
    title,
    description: help,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      editorMode: 'code',
      expr,
      legendFormat: legend,
      ...(instant ? { instant: true, range: false } : { instant: false, range: true }),
      ...(type === 'heatmap' && { format: 'heatmap' }),
    })),
    fieldConfig: {
      defaults: {
        unit,
        ...(signed !== true && { min: 0 }),
        ...(unit === 'short' && { decimals: 0 }),
        color: { mode: instant ? 'thresholds' : 'palette-classic' },
        thresholds: {
          mode: 'absolute',
          steps: [{ color: GOOD, value: null }, ...(warnFrom === undefined ? [] : [{ color: WARNING, value: warnFrom }])],
        },
        custom: customOf(type),
      },
      overrides: [],
    },
    options: optionsOf(panel),
  }
}

function customOf(type: Panel['type']): Plain<GraphFieldConfig> {
  if (type === 'bars') return { drawStyle: 'bars', fillOpacity: 70, lineWidth: 0, stacking: { mode: 'normal', group: 'A' } }
  if (type === 'timeseries') return { drawStyle: 'line', lineWidth: 1, fillOpacity: 10, showPoints: 'auto' }
  return {}
}

const REDUCED = { calcs: ['lastNotNull'], fields: '', values: false }
const LEGEND = { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true } as const

/** What Grafana asks for of each; where nothing else is wanted, its own defaults. */
function optionsOf({ type, unit }: Panel): Plain<StatOptions | BarGaugeOptions | HeatmapOptions | TimeSeriesOptions> {
  if (type === 'stat') return stat
  if (type === 'ranking') return ranking
  if (type === 'heatmap') return { ...heatmap, yAxis: { unit, axisPlacement: 'left' } }
  return timeSeries
}

const stat: Plain<StatOptions> = {
  reduceOptions: REDUCED,
  colorMode: 'value',
  graphMode: 'none',
  textMode: 'auto',
  justifyMode: 'auto',
  orientation: 'auto',
  showPercentChange: false,
  percentChangeColorMode: 'standard',
  wideLayout: true,
}
const ranking: Plain<BarGaugeOptions> = {
  reduceOptions: REDUCED,
  orientation: 'horizontal',
  displayMode: 'basic',
  showUnfilled: true,
  valueMode: 'color',
  maxVizHeight: 300,
  minVizHeight: 16,
  minVizWidth: 8,
  namePlacement: 'auto',
  sizing: 'auto',
  legend: { ...LEGEND, showLegend: false },
}
const heatmap: Omit<Plain<HeatmapOptions>, 'yAxis'> = {
  calculate: false,
  cellGap: 1,
  showValue: 'never',
  legend: { show: true },
  rowsFrame: { layout: 'auto' },
  color: { mode: 'scheme', scheme: 'Oranges', steps: 64, exponent: 0.5, fill: 'dark-orange', reverse: false },
  exemplars: { color: 'rgba(255,0,255,0.7)' },
  // A bucket in which nothing is has no colour.
  filterValues: { le: 1e-9 },
  tooltip: { mode: 'single', yHistogram: true },
}
const timeSeries: Plain<TimeSeriesOptions> = { legend: LEGEND, tooltip: { mode: 'multi', sort: 'desc' } }

export const dashboardJson = (): string => `${JSON.stringify(dashboard(), null, 2)}\n`
