/** Where a moment stands on the drawing, and the axis above it. */
import { type Micros, SECOND } from '../core/time.ts'
import type { Line, Span } from './span.ts'
import { displayWidth } from './text.ts'
import type { Timeline } from './timeline.ts'
import { duration, shortDuration, ticks } from './units.ts'

/** Columns of the stretch behind a break, where hours may lie. */
const TAIL = 10
/** A tail shorter than this is drawn to scale, however empty it is. */
const SHORTEST_TAIL = 30 * SECOND

export interface Scale {
  columns: number
  /** What the first column stands for: 0, or less where a clock puts a mark before the start. */
  from: Micros
  end: Micros
  /** Where the scale is broken: what is right of it is squeezed together. */
  break?: { at: Micros; column: number }
  /** Column of a moment, from 0 to columns - 1. */
  column(at: Micros): number
  /** What one column stands for at this moment. */
  cell(at: Micros): Micros
}

/** Linear, but for a long tail after everything had happened: a pod that a finalizer holds for hours keeps its first seconds readable. */
export function scaleOf(timeline: Timeline, columns: number, tailColumns = TAIL): Scale {
  const from = Math.min(0, ...timeline.marks.map(({ at }) => at))
  const shown = shownDeadline(timeline)
  const end = Math.max(timeline.end, shown ?? 0, from + SECOND / 100)
  const inner = Math.max(
    shown ?? 0,
    ...timeline.marks.filter(({ mark }) => mark.mark !== 'Removed' && mark.mark !== 'PodFinished').map(({ at }) => at),
  )
  const tail = end - inner
  const broken = tail > SHORTEST_TAIL && tail > 2 * (inner - from) && columns > 3 * tailColumns
  const last = columns - 1
  const breakColumn = broken ? last - tailColumns : last
  const breakAt = broken ? Math.max(inner, from + SECOND) : end
  const column = (at: Micros) => {
    if (at <= from) return 0
    if (at <= breakAt) return Math.round(((at - from) / (breakAt - from)) * breakColumn)
    return Math.min(last, breakColumn + Math.max(1, Math.round(((at - breakAt) / (end - breakAt)) * tailColumns)))
  }
  return {
    columns,
    from,
    end,
    ...(broken ? { break: { at: breakAt, column: breakColumn + tailColumns / 2 } } : {}),
    column,
    cell: (at) => (at <= breakAt ? (breakAt - from) / breakColumn : (end - breakAt) / tailColumns),
  }
}

/** The deadline, where it lies in the picture or would not push everything else into a corner of it. */
export function shownDeadline({ deadline, end, open }: Timeline): Micros | undefined {
  if (deadline === undefined || deadline < 0) return undefined
  return deadline <= end || (open ? deadline <= 60 * SECOND + 4 * end : deadline <= 1.3 * end) ? deadline : undefined
}

/** The row of labels: the start, the deadline and the end first, then round moments wherever there is room. */
export function axis(scale: Scale, timeline: Timeline, width: number): Line {
  const labels: { column: number; text: string }[] = []
  /** Takes the first of the texts that is clear of the others; `-1` has it end at the moment's column instead of starting there. */
  const place = (at: Micros, ...texts: [string, 1 | -1][]) => {
    for (const [text, direction] of texts) {
      const size = displayWidth(text)
      const column = direction === 1 ? Math.min(scale.column(at), width - size) : scale.column(at) + 1 - size
      const clear = labels.every(
        (other) => column + size + 2 <= other.column || other.column + displayWidth(other.text) + 2 <= column,
      )
      if (column >= 0 && clear) {
        labels.push({ column, text })
        return
      }
    }
  }
  place(0, ['0 s', 1])
  place(timeline.end, [`${duration(timeline.end)}${timeline.present ? ' now' : ''}`, 1])
  const deadline = shownDeadline(timeline)
  if (deadline !== undefined) {
    const due = shortDuration(deadline)
    place(deadline, [`${due} deadline`, 1], [`deadline ${due}`, -1], [due, 1], [due, -1])
  }
  const until = scale.break?.at ?? scale.end
  for (const { at, label } of ticks(scale.from, until, Math.max(2, Math.floor(scale.columns / 11)))) place(at, [label, 1])
  const spans: Span[] = []
  let written = 0
  for (const { column, text } of labels.sort((a, b) => a.column - b.column)) {
    spans.push({ text: ' '.repeat(column - written) }, { text, tone: 'quiet' })
    written = column + displayWidth(text)
  }
  return spans
}
