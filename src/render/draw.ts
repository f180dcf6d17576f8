/** A record as the lines of a terminal. Pure: the width, the colours and the present are arguments. */
import type { Finding, PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { containerLane, drawnContainers, type Lane, podLane, serviceLane } from './lanes.ts'
import { markLines } from './marks.ts'
import { axis, scaleOf } from './scale.ts'
import { type Line, lineWidth, type Span, toText } from './span.ts'
import { clean, displayWidth, pad, shorten, wrap } from './text.ts'
import { type Timeline, timelineOf } from './timeline.ts'
import { clockWords, ownerWords, story, verdict } from './words.ts'

export interface DrawOptions {
  /** Columns of the terminal, 100 unless told; less than 40 is drawn as 40. */
  width?: number
  colour?: boolean
  /** Bounds, clocks and wall-clock times of every mark. */
  wide?: boolean
  /** Where an unfinished termination is drawn to; without it, to the last thing known. */
  now?: Micros
  /** Of the times of day, as Europe/Berlin; UTC unless told. */
  timeZone?: string
}

const NARROWEST = 40

export function draw(record: PodTermination, options: DrawOptions = {}): string[] {
  return drawLines(record, options).map((line) => toText(line, options.colour ?? false))
}

function drawLines(record: PodTermination, options: DrawOptions): Line[] {
  const width = Math.max(NARROWEST, options.width ?? 100)
  const timeline = timelineOf(record, options.now)
  const lines: Line[] = [...header(record, width)]
  lines.push(...wrap(story(record, options.now, options.timeZone), width).map((text): Line => [{ text }]))
  const words = record.cause?.message
  if (words !== undefined && words !== '') lines.push(...quiet(wrap(`the API says: ${clean(words)}`, width, 2)))
  if (timeline !== undefined) {
    lines.push([], ...picture(record, timeline, width))
    const marks = markLines(record, timeline, { width, wide: options.wide ?? false, timeZone: options.timeZone })
    if (marks.length > 0) lines.push([], ...marks)
    const skew = skewNote(timeline)
    if (skew !== undefined) lines.push(...quiet(wrap(skew, width, 2)))
  }
  for (const finding of record.findings ?? []) lines.push([], ...findingLines(finding, width))
  return lines
}

const quiet = (texts: readonly string[]): Line[] =>
  texts.map((text, i) => [{ text: i === 0 ? text : `  ${text}`, tone: 'quiet' }])

/** Who it was at the left, how it ended at the right; on two lines where one is too short. */
function header(record: PodTermination, width: number): Line[] {
  const { namespace, name, node } = record.pod
  const end = verdict(record)
  const id = clean(`${namespace}/${name}`)
  const owner = clean(ownerWords(record.pod) ?? '')
  const parts = [owner, clean(node ?? '')].filter((text) => text !== '')
  const rest = parts.join('   ')
  const room = width - displayWidth(end.text) - 2
  const title = (text: string, more: string): Line => {
    const left: Span[] = [{ text, strong: true }, ...(more === '' ? [] : [{ text: `   ${more}` }])]
    return [...left, { text: ' '.repeat(Math.max(2, width - lineWidth(left) - displayWidth(end.text))) }, end]
  }
  if (displayWidth(id) + (rest === '' ? 0 : 3) + displayWidth(rest) <= room) return [title(id, rest)]
  const below = displayWidth(rest) <= width ? [rest] : parts
  return [title(shorten(id, room), ''), ...below.map((text): Line => [{ text: shorten(text, width) }])]
}

function picture(record: PodTermination, timeline: Timeline, width: number): Line[] {
  const { drawn, left } = drawnContainers(record)
  const endpoints = record.endpoints ?? []
  // How much room the labels and ends need is known only once the lanes are drawn, and the lanes need to know their room.
  const lanesAt = (columns: number): Lane[] => {
    const scale = scaleOf(timeline, columns)
    return [
      podLane(record, timeline, scale),
      ...drawn.map((container) => containerLane(container, timeline, scale)),
      ...endpoints.slice(0, MOST_SERVICES).map((endpoint) => serviceLane(endpoint, timeline, scale)),
    ]
  }
  const draft = lanesAt(width)
  const labelWidth = Math.min(Math.floor(width / 4), Math.max(...draft.map(({ label }) => displayWidth(clean(label)))))
  const endWidth = Math.min(Math.floor(width * 0.28), Math.max(...draft.map(({ end }) => lineWidth(end))))
  const columns = width - labelWidth - 2 - endWidth - 1
  const lines: Line[] = [
    [{ text: ' '.repeat(labelWidth + 2) }, ...axis(scaleOf(timeline, columns), timeline, columns + endWidth + 1)],
  ]
  for (const { label, cells, end } of lanesAt(columns)) {
    const row: Line = [{ text: pad(shortLabel(clean(label), labelWidth), labelWidth + 2) }, ...cells.spans(), { text: ' ' }]
    lines.push([...row, ...fitted(end, width - lineWidth(row))])
  }
  for (const text of legendOf(lines, columns + endWidth + 1))
    lines.push([{ text: ' '.repeat(labelWidth + 2) }, { text, tone: 'quiet' }])
  const more = [counted(left, 'container'), counted(endpoints.length - MOST_SERVICES, 'Service')].filter((text) => text !== '')
  if (more.length > 0) lines.push(...quiet(wrap(`and ${more.join(', ')}: -o yaml shows them all`, width, 2)))
  return lines
}

const MOST_SERVICES = 8

const counted = (count: number, what: string) => (count > 0 ? `${count} more ${what}${count === 1 ? '' : 's'}` : '')

/** The signs that do not explain themselves, where they were used. */
const LEGEND = [
  ['T', 'stop signal'],
  ['✖', 'SIGKILL'],
  ['●', 'exit'],
  ['░', 'at some moment in here'],
] as const

function legendOf(lines: readonly Line[], width: number): string[] {
  const drawn = new Set(lines.flatMap((line) => line.slice(1).flatMap(({ text }) => [...text])))
  const rows: string[] = []
  for (const [glyph, meaning] of LEGEND.filter(([sign]) => drawn.has(sign))) {
    const entry = `${glyph} ${meaning}`
    const row = rows.at(-1)
    if (row !== undefined && displayWidth(row) + 3 + displayWidth(entry) <= width) rows[rows.length - 1] = `${row}   ${entry}`
    else rows.push(shorten(entry, width))
  }
  return rows
}

/** Shortens the name in a label, not what stands before it. */
function shortLabel(label: string, width: number): string {
  const before = /^(?: +|service )/.exec(label)?.[0] ?? ''
  return before + shorten(label.slice(before.length), Math.max(1, width - before.length))
}

function fitted(spans: readonly Span[], width: number): Span[] {
  let left = width
  return spans.map((span) => {
    const text = shorten(clean(span.text), Math.max(0, left))
    left -= displayWidth(text)
    return { ...span, text }
  })
}

/** Said only where it shows: a mark before the start of the termination can have happened only on another clock. */
function skewNote({ marks }: Timeline): string | undefined {
  const start = marks.find(({ mark }) => mark.mark === 'Terminating')
  if (start === undefined) return undefined
  const early = marks.find(({ mark, latest }) => mark.clock !== start.mark.clock && latest < start.earliest)
  if (early === undefined) return undefined
  return `Offsets of ${clockWords(early.mark)} are as that clock read them; it is behind ${clockWords(start.mark)}.`
}

function findingLines(finding: Finding, width: number): Line[] {
  const subject = finding.container ?? finding.service
  const kind = finding.severity === 'Warning' ? 'WARNING' : 'INFO'
  const about = subject === undefined ? '' : ` (${clean(subject)})`
  const text = `${kind} ${finding.type}${about}: ${clean(finding.message)}`
  const mark = `${kind} ${finding.type}`
  const tone = finding.severity === 'Warning' ? 'warning' : 'quiet'
  return wrap(text, width, 2).map((line, i): Line => {
    if (i > 0) return [{ text: `  ${line}` }]
    if (!line.startsWith(mark)) return [{ text: line }]
    return [{ text: mark, tone, strong: finding.severity === 'Warning' }, { text: line.slice(mark.length) }]
  })
}
