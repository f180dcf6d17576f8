/** The list of marks below the picture: when, what, whose, and who says so. */
import type { ContainerEnd, Mark, PodTermination } from '../api/pod-termination.ts'
import { MILLISECOND } from '../core/time.ts'
import type { Line, Span } from './span.ts'
import { clean, displayWidth, pad, shorten, wrap } from './text.ts'
import type { PlacedMark, Timeline } from './timeline.ts'
import { bounds, offset } from './units.ts'
import { markWords, provenance, sourceWords } from './words.ts'
import { wallTime } from './zone.ts'

/** A time that may be off by more than this is "about", with its bounds. */
const SURE = 50 * MILLISECOND
/** More marks than this are cut to those of the containers that ended worst. */
const MOST_MARKS = 60
const GAP = '  '

interface Row {
  when: string
  what: Span
  subjects: string[]
  /** What the subjects are, for when they are too many to name. */
  kind: 'containers' | 'Services'
  source: string
  shortSource: string
  notes: string[]
}

export interface MarkOptions {
  width: number
  /** Wall-clock time, bounds, source and clock of every mark. */
  wide: boolean
  timeZone?: string | undefined
}

/** What each mark of a record says happened. */
export function wordsOf(record: PodTermination): (mark: Mark) => Span {
  const containers = containersOf(record)
  // A container that ran more than once has more than one entry: which of them a mark is about is not told by its name.
  const seen = record.kernel?.containers ?? []
  const kernel = (name: string) => {
    const [only, ...others] = seen.filter((container) => container.name === name)
    return others.length === 0 ? only : undefined
  }
  return (mark) =>
    mark.container === undefined
      ? markWords(mark, undefined)
      : markWords(mark, containers.get(mark.container), kernel(mark.container))
}

const containersOf = (record: PodTermination) =>
  new Map((record.containers ?? []).map((container) => [container.name, container]))

export function markLines(record: PodTermination, timeline: Timeline, { width, wide, timeZone }: MarkOptions): Line[] {
  const { shown, left } = chosen(timeline.marks, containersOf(record))
  const words = wordsOf(record)
  const rows = grouped(shown.map((placed) => rowOf(placed, words(placed.mark), timeline, wide, timeZone)))
  const columns = columnsOf(rows, width)
  const lines: Line[] = []
  for (const row of rows) {
    const { when, what, source } = columns
    const at = shorten(row.when, when)
    lines.push([
      { text: `${GAP}${' '.repeat(when - displayWidth(at))}${at}${GAP}` },
      { ...row.what, text: pad(shorten(row.what.text, what), what) },
      { text: `${GAP}${pad(subjectWords(row, columns.subject), columns.subject)}` },
      ...(source === 0
        ? []
        : [{ text: GAP }, { text: shorten(columns.short ? row.shortSource : row.source, source), tone: 'quiet' as const }]),
    ])
    const indent = Math.min(when + 2 * GAP.length, Math.floor(width / 3))
    for (const note of row.notes)
      for (const text of wrap(note, width - indent)) lines.push([{ text: ' '.repeat(indent) }, { text, tone: 'quiet' }])
  }
  if (left > 0) lines.push([{ text: shorten(`${GAP}and ${left} more marks: -o yaml shows them all`, width), tone: 'quiet' }])
  return lines
}

/** All marks, or, where they are too many, those of the pod, the Services and the containers that ended worst, in their order. */
function chosen(marks: readonly PlacedMark[], containers: ReadonlyMap<string, ContainerEnd>) {
  if (marks.length <= MOST_MARKS) return { shown: marks, left: 0 }
  const dull = ({ mark }: PlacedMark) => {
    const outcome = mark.container === undefined ? undefined : containers.get(mark.container)?.outcome
    return outcome === 'Graceful' || outcome === 'Signalled'
  }
  const kept = new Set([...marks.filter((placed) => !dull(placed)), ...marks.filter(dull)].slice(0, MOST_MARKS))
  return { shown: marks.filter((placed) => kept.has(placed)), left: marks.length - kept.size }
}

export interface Timing {
  /** Counted from the start, with "about" or "by" where it is not sure. */
  readonly when: string
  /** The bounds, counted from the start. */
  readonly range: string
  readonly sure: boolean
}

export function timingOf(placed: PlacedMark, timeline: Timeline): Timing {
  const { mark, at, earliest, latest } = placed
  const upperBound = placed.arrival ?? placed.upperBound
  // The start is where the offsets count from: it has its own bounds, but is not "about" itself.
  const isStart = mark.mark === 'Terminating' && at === 0
  const narrow = isStart || Math.max(at - earliest, latest - at) <= SURE
  const sure = narrow || upperBound === true
  const range =
    earliest < timeline.earliest && latest >= 0 && !isStart ? `by ${bounds(latest, latest)}` : bounds(earliest, latest)
  return { when: `${narrow ? '' : upperBound ? 'by ' : 'about '}${offset(at, sure ? 2 : 1)}`, range, sure }
}

function rowOf(placed: PlacedMark, what: Span, timeline: Timeline, wide: boolean, timeZone?: string): Row {
  const { mark, at } = placed
  const { when, range, sure } = timingOf(placed, timeline)
  const time = wide ? `${wallTime(timeline.start + at, timeZone).time.slice(0, 12)}  ` : ''
  return {
    when: time + (wide ? when.padStart('about +00.0 s'.length) : when),
    what,
    subjects: [mark.container ?? mark.service].flatMap((name) => (name === undefined ? [] : [clean(name)])),
    kind: mark.container === undefined ? 'Services' : 'containers',
    source: wide ? '' : `${sourceWords(mark, false)}${sure ? '' : `: ${range}`}`,
    shortSource: wide ? '' : `${sourceWords(mark, true)}${sure ? '' : ` ${range.replace(' to ', '–')}`}`,
    notes: [
      ...(wide ? [provenance(mark, range)] : []),
      ...(mark.message === undefined || mark.message === '' ? [] : [clean(mark.message)]),
    ],
  }
}

/** Neighbours that read the same but for their container become one row. */
function grouped(rows: readonly Row[]): Row[] {
  const result: Row[] = []
  for (const row of rows) {
    const last = result.at(-1)
    const same =
      last !== undefined &&
      last.subjects.length > 0 &&
      row.subjects.length > 0 &&
      last.when === row.when &&
      last.what.text === row.what.text &&
      last.kind === row.kind &&
      last.source === row.source &&
      last.notes.join('\n') === row.notes.join('\n')
    if (same) last.subjects.push(...row.subjects)
    else result.push({ ...row, subjects: [...row.subjects] })
  }
  return result
}

function subjectWords({ subjects, kind }: Row, width: number): string {
  const all = subjects.join(', ')
  if (displayWidth(all) <= width) return all
  if (subjects.length < 2) return shorten(all, width)
  for (let kept = subjects.length - 1; kept > 0; kept--) {
    const text = `${subjects.slice(0, kept).join(', ')} and ${subjects.length - kept} more`
    if (displayWidth(text) <= width) return text
  }
  return shorten(`${subjects.length} ${kind}`, width)
}

interface Columns {
  when: number
  what: number
  subject: number
  source: number
  short: boolean
}

/** The columns share the width: the sources are said shorter first, then the names give way, then the words, and last the sources go. */
function columnsOf(rows: readonly Row[], width: number): Columns {
  const longest = (of: (row: Row) => string, most: number) =>
    Math.min(most, Math.max(0, ...rows.map((row) => displayWidth(of(row)))))
  const columns = {
    when: longest((row) => row.when, 30),
    what: longest((row) => row.what.text, 50),
    subject: longest((row) => row.subjects.join(', '), 40),
    source: longest((row) => row.source, 60),
    short: false,
  }
  const over = () =>
    GAP.length * (columns.source === 0 ? 3 : 4) + columns.when + columns.what + columns.subject + columns.source - width
  const give = (column: 'what' | 'subject' | 'source', floor: number) => {
    columns[column] = Math.max(Math.min(floor, columns[column]), columns[column] - Math.max(0, over()))
  }
  give('subject', 20)
  if (over() > 0) {
    columns.short = true
    columns.source = longest((row) => row.shortSource, 60)
  }
  give('subject', 13)
  give('what', 24)
  give('source', 14)
  if (over() > 0) columns.source = 0
  give('subject', 6)
  give('what', 4)
  columns.when -= Math.max(0, over())
  return columns
}
