import { readFileSync } from 'node:fs'
import type { Micros } from '../../../src/core/time.ts'
import type { Interval } from './interval.ts'

interface Sample {
  readonly mono: Micros
  /** wall - mono lies between the two. */
  readonly earliest: Micros
  readonly latest: Micros
}

const SAMPLES_KEPT = 7_200
const TRIES = 5
const NARROW: Micros = 20
/** USER_HZ is 100 on every Linux that Kubernetes runs on. */
const TICK: Micros = 10_000

/** CLOCK_MONOTONIC in microseconds, the clock of the kernel trace. */
export function monotonic(): Micros {
  return Number(process.hrtime.bigint() / 1_000n)
}

/**
 * Ties the monotonic clock to the wall clock. Node reads the wall clock in whole milliseconds only, so a sample waits for the
 * moment at which the millisecond changes and brackets it with two monotonic readings: a few microseconds instead of 1,000.
 * Sampled every second, so that a wall clock that is slewed or stepped meanwhile shows as a wider interval, not as a wrong one.
 */
export class WallClock {
  readonly #samples: Sample[] = []
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#samples.push(sample())
    this.#timer = setInterval(() => {
      this.#samples.push(sample())
      if (this.#samples.length > SAMPLES_KEPT) this.#samples.shift()
    }, 1_000)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  now(): Micros {
    const last = this.#samples.at(-1) ?? sample()
    return Math.round(monotonic() + (last.earliest + last.latest) / 2)
  }

  /** The wall time of a process's start as /proc tells it; undefined where the machine has been suspended since it booted. */
  atBootTicks(ticks: number): Interval | undefined {
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1_000_000
    if (Math.abs(uptime - monotonic()) > 2 * TICK) return undefined
    return { earliest: this.at(ticks * TICK).earliest, latest: this.at((ticks + 1) * TICK).latest }
  }

  /** The wall time of a monotonic reading that was cut to whole microseconds. */
  at(mono: Micros): Interval {
    let low = 0
    let high = this.#samples.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#samples[middle]?.mono ?? 0) <= mono) low = middle
      else high = middle - 1
    }
    const before = this.#samples[low] ?? sample()
    const after = this.#samples[low + 1] ?? before
    return {
      earliest: mono + Math.min(before.earliest, after.earliest),
      latest: mono + 1 + Math.max(before.latest, after.latest),
    }
  }
}

function sample(): Sample {
  let best: Sample | undefined
  for (let tries = 0; tries < TRIES; tries += 1) {
    const found = bracketTick()
    if (best === undefined || found.latest - found.earliest < best.latest - best.earliest) best = found
    if (best.latest - best.earliest <= NARROW) break
  }
  return best ?? bracketTick()
}

/** Spins for at most a millisecond of wall time, until Date.now() shows the next one. */
function bracketTick(): Sample {
  let previous = monotonic()
  const first = Date.now()
  for (;;) {
    const before = monotonic()
    const wall = Date.now()
    if (wall !== first) {
      // The millisecond `wall` began after `previous`, which came before a reading of the old one, and before `after`.
      const after = monotonic() + 1
      return { mono: after, earliest: wall * 1_000 - after, latest: wall * 1_000 - previous }
    }
    previous = before
  }
}
