/** The plan of a cleanup: a line a pod, what goes first, and what each rule makes of its pods. */
import type { Plan, RuleReport, Verdict } from '../core/cleanup/types.ts'
import type { Micros } from '../core/time.ts'
import { type Line, type Span, toText } from './span.ts'
import { clean, displayWidth, pad, shorten, wrap } from './text.ts'
import { duration } from './units.ts'

export interface PlanOptions {
  readonly now: Micros
  /** Columns. */
  readonly width: number
  readonly colour: boolean
  /** Name the namespace of every pod. */
  readonly namespaces: boolean
  /** A line for each pod that stays too. */
  readonly kept: boolean
}

export function drawPlan({ verdicts, reports }: Plan, options: PlanOptions): string[] {
  const { width, colour } = options
  const going = verdicts.filter(({ action }) => action === 'Delete')
  const staying = verdicts.filter(({ action }) => action === 'Keep')
  const shown = options.kept ? [...going, ...staying] : going
  const lines: Line[] = [
    ...(shown.length === 0 ? [] : [...table(shown, options), []]),
    ...paragraph(total(going, staying), width, 0),
    ...reports.flatMap((report) => told(report, width)),
    ...meanings(verdicts.filter(({ reason }) => reason === 'NotSelected').slice(0, 1), reports, width),
  ]
  return lines.map((line) => toText(line, colour))
}

const COLUMNS = ['AGE', 'POD', 'PHASE', 'PLAN', 'REASON', 'BY'] as const

function table(verdicts: readonly Verdict[], { now, width, namespaces }: PlanOptions): Line[] {
  const rows = verdicts.map((verdict) => cells(verdict, now, namespaces))
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...rows.map((row) => displayWidth(row[i]?.text ?? ''))))
  // Rules give way first, then pods: the reason is what one reads.
  for (const [column, floor] of [
    [5, 12],
    [1, 16],
    [5, 0],
    [2, 0],
    [1, 1],
  ] as const) {
    const over = widths.reduce((sum, columns) => sum + (columns === 0 ? 0 : columns + 2), -2) - width
    const columns = widths[column] ?? 0
    if (over > 0) widths[column] = floor === 0 ? 0 : Math.max(Math.min(floor, columns), columns - over)
  }
  const row = (spans: readonly Span[]): Line =>
    spans.flatMap((span, i) => {
      const columns = widths[i] ?? 0
      return columns === 0 ? [] : [{ ...span, text: `${pad(shorten(span.text, columns), columns)}  ` }]
    })
  return [row(COLUMNS.map((text) => ({ text, tone: 'quiet' }))), ...rows.map(row)]
}

function cells({ pod, action, reason, rules, dryRun }: Verdict, now: Micros, namespaces: boolean): Span[] {
  const plan = action === 'Keep' ? 'keep' : dryRun ? 'dry run' : 'delete'
  return [
    { text: age(now - pod.finishedAt), tone: 'quiet' },
    { text: clean(namespaces ? `${pod.namespace}/${pod.name}` : pod.name) },
    // An evicted pod goes before others: its reason says why it stands where it does.
    { text: clean(pod.reason ?? pod.phase) },
    { text: plan, tone: plan === 'delete' ? 'warning' : 'quiet' },
    { text: reason },
    { text: clean(rules.join(', ')), tone: 'quiet' },
  ]
}

/** The largest unit alone; a clock that is ahead makes no age below zero. */
const age = (micros: Micros): string => {
  const [size = '', unit = ''] = duration(Math.max(0, micros)).split(' ')
  return `${Math.floor(Number(size))} ${unit}`
}

function total(going: readonly Verdict[], staying: readonly Verdict[]): string {
  const dry = going.filter(({ dryRun }) => dryRun).length
  const records = going.filter(({ record, dryRun }) => record && !dryRun).length
  const parts = [`${going.length - dry} would be deleted (${records} with a record first)`]
  if (dry > 0) parts.push(`${dry} are on dry run`)
  parts.push(`${staying.length} would stay`)
  const all = going.length + staying.length
  return `${all} finished pod${all === 1 ? '' : 's'}: ${parts.join(', ')}.`
}

function told({ name, candidates, toDelete, kept, problem }: RuleReport, width: number): Line[] {
  const stays = kept.map(({ reason, count }) => `${count} ${reason}`)
  const text = `${clean(name)}: ${candidates} candidate${candidates === 1 ? '' : 's'}, ${toDelete} to delete`
  const whole = `${text}${stays.length === 0 ? '' : `; stay: ${stays.join(', ')}`}.`
  const wrong = problem === undefined ? [] : paragraph(`cannot be used: ${clean(problem)}`, width, 2, 'warning')
  return [...paragraph(whole, width, 2), ...wrong]
}

/** What the reasons for which pods stay mean, each once. */
function meanings(notSelected: readonly Verdict[], reports: readonly RuleReport[], width: number): Line[] {
  const known = new Map([
    ...reports.flatMap(({ kept }) => kept).map(({ reason, message }) => [reason as string, message] as const),
    ...notSelected.map(({ reason, message }) => [reason as string, message] as const),
  ])
  if (known.size === 0) return []
  const lines = [...known].flatMap(([reason, message]) => paragraph(`${reason}: ${message}.`, width, 2, 'quiet'))
  return [[], ...lines]
}

const paragraph = (text: string, width: number, indent: number, tone?: Span['tone']): Line[] =>
  wrap(text, width, indent).map((line, i) => [
    { text: i === 0 ? line : `${' '.repeat(indent)}${line}`, ...(tone === undefined ? {} : { tone }) },
  ])
