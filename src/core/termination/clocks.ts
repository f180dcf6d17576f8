/** Intervals of time on one clock, and how they are carried to another one. */
import type { Clock, ClockFact } from '../evidence.ts'
import { type Micros, SECOND } from '../time.ts'

/** earliest <= at <= latest, all on the same clock. The truth lies within; `at` is the best estimate. */
export interface Interval {
  readonly earliest: Micros
  readonly at: Micros
  readonly latest: Micros
}

/** clock - recorder, in microseconds; the truth lies within. */
export interface Offset {
  readonly earliest: Micros
  readonly latest: Micros
}

/** What is believed of a clock that nobody has compared: less than a day off. */
export const UNKNOWN_OFFSET: Offset = { earliest: -86_400 * SECOND, latest: 86_400 * SECOND }

export const clamp = (value: Micros, low: Micros, high: Micros): Micros => Math.min(Math.max(value, low), high)

/** An interval out of bounds that may have crossed (skewed clocks): then the later one gives way, never the order. */
export function interval(earliest: Micros, latest: Micros, at?: Micros): Interval {
  const high = Math.max(earliest, latest)
  return { earliest, latest: high, at: Math.round(clamp(at ?? (earliest + high) / 2, earliest, high)) }
}

/** An Event, or a change, reaches the recorder about this long after it was made. */
const DELIVERY: Micros = 5_000

/**
 * Best estimate of an offset. A node's is known to 2 s by something that arrived, which is late by little, below, and by a floored
 * second above. The API server's bracket says nothing of where in it the truth lies, but it is soon narrow. Else clocks are taken to
 * agree as far as the bounds allow.
 */
function estimate(offset: Offset, clock: Clock): Micros {
  const width = offset.latest - offset.earliest
  if (width > (clock === 'Node' ? 2 * SECOND : SECOND / 10)) return clamp(0, offset.earliest, offset.latest)
  const middle = (offset.earliest + offset.latest) / 2
  return clock === 'Node' ? Math.min(middle, offset.earliest + DELIVERY) : middle
}

/** Both hold, so the truth is in the intersection; undefined where they exclude each other (a clock was set). */
export function intersect(a: Offset, b: Offset): Offset | undefined {
  const earliest = Math.max(a.earliest, b.earliest)
  const latest = Math.min(a.latest, b.latest)
  return earliest <= latest ? { earliest, latest } : undefined
}

export class Clocks {
  readonly #offsets: Record<Clock, Offset>

  constructor(api: Offset, node: Offset) {
    this.#offsets = { Recorder: { earliest: 0, latest: 0 }, APIServer: api, Node: node }
  }

  /** From the facts alone; each clock nobody speaks of stays UNKNOWN_OFFSET. */
  static of(facts: readonly ClockFact[]): Clocks {
    const offsets = { APIServer: UNKNOWN_OFFSET, Node: UNKNOWN_OFFSET }
    for (const fact of facts) {
      // Facts that contradict each other mean a clock that was set in between: the union is all that still holds.
      const known = offsets[fact.clock]
      offsets[fact.clock] = intersect(known, fact) ?? {
        earliest: Math.min(known.earliest, fact.earliest),
        latest: Math.max(known.latest, fact.latest),
      }
    }
    return new Clocks(offsets.APIServer, offsets.Node)
  }

  offset(clock: Clock): Offset {
    return this.#offsets[clock]
  }

  /** The same clocks with one more thing known of one of them; unchanged where it contradicts what is known. */
  with(clock: 'APIServer' | 'Node', more: Partial<Offset>): Clocks {
    const known = this.#offsets[clock]
    const next = intersect(known, { earliest: more.earliest ?? known.earliest, latest: more.latest ?? known.latest })
    if (next === undefined) return this
    return clock === 'Node' ? new Clocks(this.#offsets.APIServer, next) : new Clocks(next, this.#offsets.Node)
  }

  /** Latest that a time of `from` can be on `to`. */
  latest(value: Micros, from: Clock, to: Clock): Micros {
    return from === to ? value : value - this.#offsets[from].earliest + this.#offsets[to].latest
  }

  /** Earliest that a time of `from` can be on `to`. */
  earliest(value: Micros, from: Clock, to: Clock): Micros {
    return from === to ? value : value - this.#offsets[from].latest + this.#offsets[to].earliest
  }

  best(value: Micros, from: Clock, to: Clock): Micros {
    return from === to ? value : value - estimate(this.#offsets[from], from) + estimate(this.#offsets[to], to)
  }

  convert(value: Interval, from: Clock, to: Clock): Interval {
    if (from === to) return value
    return interval(this.earliest(value.earliest, from, to), this.latest(value.latest, from, to), this.best(value.at, from, to))
  }
}
