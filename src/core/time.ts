/**
 * The core's time: microseconds since the Unix epoch as an integer (exact in a double until the year 2255). Timestamps cross
 * the border as strings and become Micros here; a Micros never travels without the clock that it was read from.
 */
export type Micros = number

export const SECOND: Micros = 1_000_000
export const MILLISECOND: Micros = 1_000

const RFC3339 = /^(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/

/** Parses an RFC 3339 time (any number of decimals up to nine, cut to microseconds). Undefined where the text is no such time. */
export function parseTime(text: string | undefined): Micros | undefined {
  if (text === undefined) return undefined
  const match = RFC3339.exec(text)
  if (match === null) return undefined
  const [, base, fraction = '', zone] = match
  const millis = Date.parse(`${base}${zone}`)
  if (Number.isNaN(millis) || !isDay(base)) return undefined
  return millis * MILLISECOND + Number(fraction.padEnd(6, '0').slice(0, 6))
}

/** Date.parse takes the 30th of February for a day in March. */
function isDay(base = ''): boolean {
  const day = Number(base.slice(8, 10))
  return day <= 28 || new Date(`${base.slice(0, 10)}T00:00:00Z`).getUTCDate() === day
}

/** RFC 3339 has years of four digits; a bound beyond them (a grace period of 68 years) is written as the last time that it has. */
const FIRST: Micros = -62_135_596_800 * SECOND
const LAST: Micros = 253_402_300_799 * SECOND

/** Writes Micros as RFC 3339 in UTC with six decimals, the form of every time in a record. */
export function formatTime(at: Micros): string {
  // A time that was carried to another clock can lie between two microseconds.
  const within = Math.min(Math.max(Math.round(at), FIRST), LAST)
  const seconds = Math.floor(within / SECOND)
  const micros = within - seconds * SECOND
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}Z`
}
