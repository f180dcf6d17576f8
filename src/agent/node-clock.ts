/**
 * The node's two clocks: the monotonic one that stamps the trace, and the wall clock. Node.js reads the wall clock in whole
 * milliseconds, so a sample waits for the moment at which the millisecond turns and brackets that with two readings of the monotonic
 * clock: some microseconds instead of 1,000.
 */
import { WallMap, type WallSample } from '../core/kernel/wall-map.ts'
import type { Interval } from '../core/termination/clocks.ts'
import type { Micros } from '../core/time.ts'
import type { RecorderClock } from '../kube/clock.ts'

const EVERY_MS = 10_000
/** A wall time later than the last sample is not told from one that is older than this: a clock set by less than APART_MS shows in samples only. */
const FRESH: Micros = 100_000
const TRIES = 5
const NARROW: Micros = 20
/** Date.now() is cut to whole milliseconds; apart by more than this and the clock was set. */
const APART_MS = 2

export class NodeClock implements RecorderClock {
  readonly #map = new WallMap()
  readonly #timer: NodeJS.Timeout
  #sampledAt: Micros = 0

  constructor() {
    this.sample()
    this.#timer = setInterval(() => this.sample(), EVERY_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** CLOCK_MONOTONIC in microseconds: the clock of the trace. */
  mono(): Micros {
    return Number(process.hrtime.bigint() / 1000n)
  }

  now(): Micros {
    const now = this.#estimate()
    if (now !== undefined) return now
    this.sample()
    return this.wall(this.mono()).at
  }

  /** Wall time of a stamp of the trace. */
  wall(mono: Micros): Interval {
    // Between two samples both of them bound it; after the last, the clock may have been set since.
    if (mono > this.#sampledAt && (this.mono() - this.#sampledAt > FRESH || this.#estimate() === undefined)) this.sample()
    return this.#map.at(mono)
  }

  /** What it should be by the samples; undefined where the clock has been set since the last. */
  #estimate(): Micros | undefined {
    const mono = this.mono()
    const { earliest, latest } = this.#map.offset(mono)
    const now = Math.round(mono + (earliest + latest) / 2)
    const apart = now / 1000 - Date.now()
    return apart <= 1 + APART_MS && apart >= -APART_MS ? now : undefined
  }

  wallClockSet(from: Micros, to: Micros): boolean {
    return this.#map.setBetween(from, to)
  }

  sample(): void {
    let best = bracketTick(() => this.mono())
    for (let tries = 1; tries < TRIES && best.latest - best.earliest > NARROW; tries++) {
      const next = bracketTick(() => this.mono())
      if (next.latest - next.earliest < best.latest - best.earliest) best = next
    }
    this.#map.add(best)
    this.#sampledAt = best.mono
  }
}

/** Spins for at most a millisecond of wall time. */
function bracketTick(mono: () => Micros): WallSample {
  let before = mono()
  const first = Date.now()
  for (;;) {
    const reading = mono()
    const wall = Date.now()
    if (wall !== first) {
      // The millisecond `wall` began after `before`, which was read ahead of the old millisecond, and no later than `after`.
      const after = mono() + 1
      return { mono: after, earliest: wall * 1000 - after, latest: wall * 1000 - before }
    }
    before = reading
  }
}
