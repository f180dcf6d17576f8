import type { Micros } from '../../../src/core/time.ts'

/** A time that is known to lie between two others, both inclusive, in microseconds of the machine's wall clock. */
export interface Interval {
  readonly earliest: Micros
  readonly latest: Micros
}

export function overlaps(a: Interval, b: Interval): boolean {
  return a.earliest <= b.latest && b.earliest <= a.latest
}

export function widen(interval: Interval, by: Micros): Interval {
  return { earliest: interval.earliest - by, latest: interval.latest + by }
}
