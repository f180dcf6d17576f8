/** One line for each step of a termination, as it comes: columns of a fixed width, since nobody knows what will come. */
import type { PodTermination } from '../api/pod-termination.ts'
import { type Micros, parseTime } from '../core/time.ts'
import { outcomeSpan, worstSeverity } from './list.ts'
import { type Line, type Span, toText } from './span.ts'
import { clean, pad, shorten } from './text.ts'
import { duration, graceText } from './units.ts'
import { wallTime } from './zone.ts'

export interface WatchOptions {
  /** Without it no line is cut, as for a pipe. */
  readonly width?: number
  readonly colour: boolean
  /** Name the namespace of every pod. */
  readonly namespaces: boolean
  readonly timeZone?: string
}

type Title = 'TIME' | 'POD' | 'OUTCOME' | 'CAUSE' | 'GRACE' | 'TOOK' | 'FINDINGS'

/** Widths, and from how many columns on there is room for it. Findings and pod share what is left. */
const FIXED: readonly (readonly [title: Title, width: number, from: number])[] = [
  ['TIME', 8, 0],
  ['OUTCOME', 12, 0],
  ['CAUSE', 12, 90],
  ['GRACE', 6, 100],
  ['TOOK', 7, 70],
]
/** Names of pods of Deployments with the longest usual names; a pipe gets them whole. */
const POD = 40
const FINDINGS = 18
const FINDINGS_FROM = 60

export function watchHeader(options: WatchOptions): string {
  return row((title) => ({ text: title, tone: 'quiet' }), options)
}

/** @param at when it came to be known */
export function watchLine(record: PodTermination, at: Micros, options: WatchOptions): string {
  const { pod, cause, state, tookMilliseconds } = record
  const over = state === 'Complete' ? (parseTime(record.finishedAt) ?? at) : at
  const cells: Record<Title, Span> = {
    TIME: { text: wallTime(over, options.timeZone).time.slice(0, 8), tone: 'quiet' },
    POD: { text: clean(options.namespaces ? `${pod.namespace}/${pod.name}` : pod.name) },
    OUTCOME: outcomeSpan(record),
    CAUSE: { text: cause?.type ?? '' },
    GRACE: { text: pod.graceSeconds === undefined ? '' : graceText(pod.graceSeconds) },
    TOOK: { text: tookMilliseconds === undefined ? '' : duration(tookMilliseconds * 1000) },
    FINDINGS: { text: clean(record.summary ?? ''), tone: worstSeverity(record) },
  }
  return row((title) => cells[title], options)
}

function row(cell: (title: Title) => Span, { width = Number.POSITIVE_INFINITY, colour }: WatchOptions): string {
  const piped = width === Number.POSITIVE_INFINITY
  const fixed = FIXED.filter(([, , from]) => width >= from)
  const left = width - fixed.reduce((sum, [, columns]) => sum + columns + 2, 0)
  const findings = width < FINDINGS_FROM ? 0 : piped ? Number.POSITIVE_INFINITY : Math.max(FINDINGS, left - 2 - POD)
  const podWidth = piped ? POD : findings === 0 ? left : left - 2 - findings
  const fill = (title: Title, columns: number): Span => {
    const span = cell(title)
    return { ...span, text: `${pad(piped ? span.text : shorten(span.text, columns), columns)}  ` }
  }
  const [time, ...others] = fixed.map(([title, columns]) => fill(title, columns))
  const last = cell('FINDINGS')
  const line: Line = [
    ...(time === undefined ? [] : [time]),
    fill('POD', podWidth),
    ...others,
    ...(findings === 0 ? [] : [{ ...last, text: piped ? last.text : shorten(last.text, findings) }]),
  ]
  return toText(line, colour)
}
