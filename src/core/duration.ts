import { MILLISECOND, type Micros } from './time.ts'

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
/** Of the texts that are durations. */
export const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/

/**
 * A duration as Kubernetes writes it (`90s`, `1h`, `1h30m`, `1.5h`) -> microseconds, whole; undefined where it is none. One that is longer than
 * a number can tell is the longest that it can.
 */
export function parseDuration(text: string): Micros | undefined {
  if (!DURATION.test(text)) return undefined
  let ms = 0
  for (const [, count, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) ms += Number(count) * (UNIT_MS[unit] ?? 0)
  return Math.min(Math.round(ms * MILLISECOND), Number.MAX_SAFE_INTEGER)
}
