/** Workloads by what their terminations say: a line each, then what to change and why. */
import type { WorkloadSummary } from '../core/summary/index.ts'
import type { Bounded } from '../core/summary/quantiles.ts'
import type { Advice } from '../core/summary/recommend.ts'
import { SECOND } from '../core/time.ts'
import { type Line, type Span, type Tone, toText } from './span.ts'
import { clean, displayWidth, pad, shorten, wrap } from './text.ts'
import { graceText, shortDuration } from './units.ts'

export interface SummaryOptions {
  readonly width: number
  readonly colour: boolean
  /** The reasons of every workload, also where nothing is to be changed. */
  readonly wide: boolean
}

export function drawSummary(summaries: readonly WorkloadSummary[], options: SummaryOptions): string[] {
  const told = summaries.filter((summary) => options.wide || toChange(summary))
  const lines: Line[] = [
    ...table(summaries, options.width),
    ...told.flatMap((summary) => [[], ...advice(summary, options.width)]),
  ]
  return lines.map((line) => toText(line, options.colour))
}

const toChange = ({ forced, recommendation: { grace, preStop } }: WorkloadSummary) =>
  forced > 0 || [grace, preStop].some((one) => one !== undefined && one.change !== 'Keep')

const TITLES = ['WORKLOAD', 'PODS', 'FORCED', 'P50', 'P95', 'P99', 'USED', 'GRACE', 'PRESTOP', 'SURE'] as const
/** What gives way in a narrow terminal, in this order; 0: the column goes. */
const GIVING_WAY: readonly [(typeof TITLES)[number], number][] = [
  ['WORKLOAD', 24],
  ['P50', 0],
  ['P99', 0],
  ['USED', 0],
  ['WORKLOAD', 12],
  ['SURE', 0],
  ['PRESTOP', 0],
  ['GRACE', 0],
  ['P95', 0],
  ['WORKLOAD', 1],
]

function table(summaries: readonly WorkloadSummary[], width: number): Line[] {
  const rows = summaries.map(cells)
  const widths = new Map(
    TITLES.map((title, i) => [title, Math.max(title.length, ...rows.map((row) => displayWidth(row[i]?.text ?? '')))]),
  )
  for (const [title, floor] of GIVING_WAY) {
    const over = [...widths.values()].reduce((sum, columns) => sum + columns + 2, -2) - width
    const columns = widths.get(title)
    if (over <= 0 || columns === undefined) continue
    if (floor === 0) widths.delete(title)
    else widths.set(title, Math.max(Math.min(floor, columns), columns - over))
  }
  const row = (spans: readonly Span[]): Line =>
    TITLES.flatMap((title, i) => {
      const [columns, span] = [widths.get(title), spans[i]]
      if (columns === undefined || span === undefined) return []
      return [{ ...span, text: `${pad(shorten(span.text, columns), columns)}  ` }]
    })
  return [row(TITLES.map((text) => ({ text, tone: 'quiet' }))), ...rows.map(row)]
}

function cells(summary: WorkloadSummary): Span[] {
  const { terminations, forced, needed, graceSeconds, graceUsedPercent, recommendation } = summary
  const { grace, preStop } = recommendation
  const used = graceUsedPercent
  return [
    { text: nameOf(summary) },
    { text: String(terminations) },
    { text: String(forced), tone: forced > 0 ? 'bad' : 'plain' },
    { text: time(needed?.p50) },
    { text: time(needed?.p95) },
    { text: time(needed?.p99) },
    { text: used === undefined ? '' : `${bounded(used, (value) => String(value))} %`, tone: usedTone(used) },
    { text: changeOf(grace, graceSeconds), tone: toneOf(grace) },
    { text: changeOf(preStop), tone: toneOf(preStop) },
    { text: surenessOf(summary).toLowerCase() },
  ]
}

const usedTone = (used: Bounded | undefined): Tone =>
  used === undefined || used.best <= 80 ? 'plain' : Number.isFinite(used.most) && used.most < 100 ? 'warning' : 'bad'

/** Where nothing bounds it above, all that is known is that it was no less. */
const bounded = ({ least, best, most }: Bounded, text: (value: number) => string) =>
  Number.isFinite(most) ? text(best) : `≥${text(least)}`

const time = (value: Bounded | undefined) =>
  value === undefined ? '' : bounded(value, (seconds) => shortDuration(seconds * SECOND))

/** `30 s → 45 s`: as it is, and as the numbers recommend it. */
function changeOf(given: Advice | undefined, now?: number): string {
  const is = now === undefined ? '' : graceText(now)
  if (given === undefined || (given.change === 'Keep' && now !== undefined)) return is
  const to = graceText(given.seconds)
  return given.change === 'Keep' ? to : `${is} → ${to}`.trim()
}

const toneOf = (given: Advice | undefined): Tone => (given === undefined || given.change === 'Keep' ? 'plain' : 'warning')

/** Of two, the less sure. */
function surenessOf({ recommendation: { grace, preStop } }: WorkloadSummary): string {
  const both = [grace, preStop].flatMap((one) => one?.sureness ?? [])
  return (['Low', 'Medium', 'High'] as const).find((sureness) => both.includes(sureness)) ?? ''
}

export function nameOf({ namespace, workload }: Pick<WorkloadSummary, 'namespace' | 'workload'>): string {
  return clean(workload === undefined ? `${namespace}/?` : `${workload.kind} ${namespace}/${workload.name}`)
}

function advice(summary: WorkloadSummary, width: number): Line[] {
  const { grace, preStop, reasons } = summary.recommendation
  const parts = [
    ...(grace === undefined ? [] : [graceWords(grace, summary.graceSeconds)]),
    ...(preStop === undefined ? [] : [`${preStop.change === 'Keep' ? 'keep the' : 'a'} preStop of ${preStop.seconds} s`]),
  ]
  const sure = [
    ...(grace === undefined ? [] : [`the grace period ${grace.sureness.toLowerCase()}`]),
    ...(preStop === undefined ? [] : [`the preStop ${preStop.sureness.toLowerCase()}`]),
  ]
  const title = `${nameOf(summary)}: ${parts.length === 0 ? 'nothing to recommend yet' : parts.join(', ')}`
  const text = [...reasons, ...(sure.length === 0 ? [] : [`How sure: ${sure.join(', ')}.`])]
  const tone: Tone = toChange(summary) ? 'warning' : 'plain'
  return [
    ...wrap(title, width, 2).map((line, i): Line => [{ text: i === 0 ? line : `  ${line}`, tone, strong: true }]),
    ...text.flatMap((sentence) =>
      wrap(sentence, width - 2, 2).map((line, i): Line => [{ text: `${i === 0 ? '  ' : '    '}${line}` }]),
    ),
  ]
}

function graceWords({ change, seconds }: Advice, now: number | undefined): string {
  const setting = `terminationGracePeriodSeconds: ${seconds}`
  return change === 'Keep' ? `keep ${setting}` : `${setting}${now === undefined ? '' : ` instead of ${now}`}`
}
