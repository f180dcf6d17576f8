/**
 * The recorder's clock: wall time in microseconds. `Date.now()` has a resolution of 1 ms, which is too coarse to order arrivals,
 * and `performance.now()` does not follow a stepped or slewed system clock; so the fine clock is anchored to the coarse one, and
 * anchored again whenever the two have drifted apart.
 */
import type { Micros } from '../core/time.ts'

export interface RecorderClock {
  /** Wall time in microseconds since the Unix epoch. Goes back only where the system clock was set back by over a second. */
  now(): Micros
}

/** Coarse wall time (whole milliseconds) and fine monotonic time (milliseconds with a fraction). */
export interface ClockSources {
  wall(): number
  monotonic(): number
}

const DRIFT_MS = 2
const EDGE_MS = 0.05
const EDGE_TRIES = 5
const STEP_BACK_US = 1_000_000

export function createClock(
  sources: ClockSources = { wall: () => Date.now(), monotonic: () => performance.now() },
): RecorderClock {
  let offset = anchor(sources)
  let last = 0
  return {
    now() {
      const fine = sources.monotonic() + offset
      const apart = fine - sources.wall()
      // wall() is cut to whole milliseconds, so a true clock is ahead of it by up to 1 ms.
      if (apart > 1 + DRIFT_MS || apart < -DRIFT_MS) offset = anchor(sources)
      const at = Math.round((sources.monotonic() + offset) * 1000)
      if (at > last || last - at > STEP_BACK_US) last = at
      return last
    },
  }
}

/** Waits, at most some milliseconds, for the coarse clock to tick, where its value is exact; returns wall - monotonic in ms. */
function anchor({ wall, monotonic }: ClockSources): number {
  let best = Number.POSITIVE_INFINITY
  let offset = 0
  for (let tries = 0; tries < EDGE_TRIES && best > EDGE_MS; tries++) {
    let before = monotonic()
    const start = before
    const from = wall()
    for (;;) {
      const wallNow = wall()
      const after = monotonic()
      // A coarse clock that does not tick (a test's) is taken as it stands.
      if (wallNow !== from || after - start > 3 || after === before) {
        if (after - before < best) {
          best = after - before
          offset = wallNow - (before + after) / 2
        }
        break
      }
      before = after
    }
  }
  return offset
}
