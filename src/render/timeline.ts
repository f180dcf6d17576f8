/** A record's moments, counted from the start of its termination. */
import type { Mark, MarkType, PodTermination } from '../api/pod-termination.ts'
import { type Micros, parseTime, SECOND } from '../core/time.ts'

/** Offsets from the start: the best estimate, and the bounds between which the truth lies. */
export interface Moment {
  at: Micros
  earliest: Micros
  latest: Micros
  /** When the change was seen: it had happened by then, most likely just before. */
  arrival?: true
  /** `at` is the upper bound, for no better estimate is known. */
  upperBound?: true
}

export interface PlacedMark extends Moment {
  mark: Mark
}

export interface Timeline {
  /** The start on the wall, on the clock of its own mark; what the offsets count from. */
  start: Micros
  /** How far the start itself may be off, and the earliest that it can have been. */
  startWidth: Micros
  earliest: Micros
  marks: readonly PlacedMark[]
  /** The end of the picture: the end of the termination, or now, or the last thing known. */
  end: Micros
  /** The termination is not over. */
  open: boolean
  /** The end of the picture is now. */
  present: boolean
  /** When SIGKILL is due; absent where the record does not say. */
  deadline?: Micros
}

/** Undefined where the record holds no time at all. `now` is where an unfinished termination is drawn to. */
export function timelineOf(record: PodTermination, now?: Micros): Timeline | undefined {
  const marks = record.timeline ?? []
  const first = marks.find(({ mark }) => mark === 'Terminating') ?? marks[0]
  const start = first === undefined ? parseTime(record.startedAt) : parseTime(first.at)
  if (start === undefined) return undefined
  const earliest = (parseTime(first?.earliest) ?? start) - start
  const placed = marks.map((mark): PlacedMark => {
    const placedAt = moment(start, mark.at, mark.earliest, mark.latest)
    const arrival = mark.confidence === 'Observed' && placedAt.at === placedAt.latest && placedAt.earliest < placedAt.at
    if (arrival) return { mark, ...placedAt, arrival }
    // An estimate before the start, where the truth may lie after it, estimates nothing: what is known is the upper bound.
    const known = placedAt.at >= Math.min(0, earliest) || placedAt.latest < 0
    return known ? { mark, ...placedAt } : { mark, ...placedAt, at: placedAt.latest, upperBound: true }
  })
  const open = record.state !== undefined && record.state !== 'Complete'
  const ends = [
    parseTime(record.finishedAt),
    open ? now : undefined,
    ...(record.containers ?? []).flatMap(({ exit, kill, stopSignal, preStop }) =>
      [exit?.at, kill?.at, stopSignal?.at, preStop?.finishedAt].map(parseTime),
    ),
    ...(record.endpoints ?? []).map(({ removedAt }) => parseTime(removedAt)),
  ].flatMap((time) => (time === undefined ? [] : [time - start]))
  const deadline = parseTime(record.deadline)
  return {
    start,
    startWidth: first === undefined ? SECOND : (parseTime(first.latest) ?? start) - (parseTime(first.earliest) ?? start),
    earliest: Math.min(0, earliest),
    marks: placed,
    end: Math.max(0, ...placed.map(({ at }) => at), ...ends),
    open,
    present: open && now !== undefined,
    ...(deadline === undefined ? {} : { deadline: deadline - start }),
  }
}

/** Bounds that do not hold their own estimate are widened to do so: a drawing is no place to lose a time. */
function moment(start: Micros, at: string, earliest = at, latest = at): Moment {
  const best = (parseTime(at) ?? start) - start
  return {
    at: best,
    earliest: Math.min(best, (parseTime(earliest) ?? start + best) - start),
    latest: Math.max(best, (parseTime(latest) ?? start + best) - start),
  }
}

export interface Subject {
  container?: string
  service?: string
}

/** The marks of one kind on one subject; where the timeline has none, `fallback` (a time of the record's own lists). */
export function momentsOf(timeline: Timeline, type: MarkType, subject: Subject, fallback?: string): Moment[] {
  const found = timeline.marks.filter(
    ({ mark }) => mark.mark === type && mark.container === subject.container && mark.service === subject.service,
  )
  if (found.length > 0) return found
  return fallback === undefined ? [] : [moment(timeline.start, fallback)]
}
