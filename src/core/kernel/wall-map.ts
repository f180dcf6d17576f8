/**
 * From the monotonic clock of the trace to the wall clock of the node. Both are slewed together, so the difference only changes where
 * the wall clock is set; every sample of it narrows what the earlier ones left open, and one that contradicts them begins a new stretch.
 */
import { type Interval, intersect, interval, type Offset } from '../termination/clocks.ts'
import type { Micros } from '../time.ts'

/** wall - mono lay between earliest and latest at `mono`. */
export interface WallSample extends Offset {
  readonly mono: Micros
}

interface Stretch {
  readonly from: Micros
  to: Micros
  offset: Offset
}

/** A wall clock that is set this often inside what is still of interest is no clock. */
const MAX_STRETCHES = 64
/**
 * The trace's stamps are read by another path than the sampled clock (ktime_get_mono_fast_ns), and a clock that is set by less than a
 * sample is wide does not show: 25 us, which is more than a sample has to be.
 */
const SLACK: Micros = 25

export class WallMap {
  readonly #stretches: Stretch[] = []

  /** Samples have to come in their order. */
  add(sample: WallSample): void {
    const last = this.#stretches.at(-1)
    const offset = { earliest: sample.earliest, latest: sample.latest }
    const both = last === undefined ? undefined : intersect(last.offset, offset)
    if (last !== undefined && both !== undefined) {
      last.to = sample.mono
      last.offset = both
      return
    }
    this.#stretches.push({ from: sample.mono, to: sample.mono, offset })
    if (this.#stretches.length > MAX_STRETCHES) this.#stretches.shift()
  }

  /** Whether the wall clock was set between the two. */
  setBetween(from: Micros, to: Micros): boolean {
    return this.#stretches.some((stretch, index) => index > 0 && stretch.from > from && stretch.from <= to)
  }

  /** wall - mono at a time of the monotonic clock; where the clock was set between two samples, what both of them allow. */
  offset(mono: Micros): Offset {
    const after = this.#stretches.findIndex(({ to }) => mono <= to)
    const next = this.#stretches[after === -1 ? this.#stretches.length - 1 : after]
    if (next === undefined) throw new Error('the wall clock was not sampled yet')
    const before = after > 0 && mono < next.from ? this.#stretches[after - 1] : undefined
    if (before === undefined) return next.offset
    return {
      earliest: Math.min(before.offset.earliest, next.offset.earliest),
      latest: Math.max(before.offset.latest, next.offset.latest),
    }
  }

  /** Wall time of a stamp of the trace. */
  at(mono: Micros): Interval {
    const { earliest, latest } = this.offset(mono)
    return interval(Math.floor(mono + earliest) - SLACK, Math.ceil(mono + latest) + 1 + SLACK)
  }
}
