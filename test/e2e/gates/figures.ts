import type { Micros } from '../../../src/core/time.ts'
import type { Flip } from './bed.ts'

const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN

/** One line: how long after the check's truth had changed the condition was seen to be written, and Ready to follow. */
export function figureOf(name: string, flips: readonly Flip[]): string {
  const of = (pick: (flip: Flip) => Micros) => {
    const sorted = flips.map((flip) => (pick(flip) - flip.changed) / 1_000).sort((a, b) => a - b)
    return `p50 ${percentile(sorted, 0.5).toFixed(0)} ms, p99 ${percentile(sorted, 0.99).toFixed(0)} ms`
  }
  return `${name} (${flips.length} flips): condition ${of(({ condition }) => condition)}; Ready ${of(({ ready }) => ready)}`
}
