/** Times of day as a clock on the wall shows them, in a time zone that the caller names. */
import { formatTime, type Micros, SECOND } from '../core/time.ts'

export interface WallTime {
  /** 2026-11-24 */
  readonly date: string
  /** 21:31:01.200000 */
  readonly time: string
  /** UTC, or the offset that holds at that time, as +01:00. */
  readonly offset: string
}

/** @param timeZone a name of the IANA's, as Europe/Berlin */
export function wallTime(at: Micros, timeZone = 'UTC'): WallTime {
  const offset = timeZone === 'UTC' ? 'UTC' : offsetOf(at, timeZone)
  const text = formatTime(at + minutesOf(offset) * 60 * SECOND)
  return { date: text.slice(0, 10), time: text.slice(11, 26), offset }
}

function offsetOf(at: Micros, timeZone: string): string {
  // As GMT-03:30; without digits where there is no offset. The locale is one of a fixed form, not the reader's.
  const parts = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' }).formatToParts(at / 1000)
  return parts.find(({ type }) => type === 'timeZoneName')?.value.slice('GMT'.length) || '+00:00'
}

function minutesOf(offset: string): number {
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)/.exec(offset) ?? []
  const size = Number(hours ?? 0) * 60 + Number(minutes ?? 0)
  return sign === '-' ? -size : size
}
