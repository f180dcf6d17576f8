/** Durations and moments in words, always with their unit. */
import { type Micros, SECOND } from '../core/time.ts'
import { wallTime } from './zone.ts'

const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
/** Beyond this an offset is easier to read in minutes and hours. */
const LONG = 1000 * SECOND

const round = (micros: Micros, decimals: number) => {
  const text = (micros / SECOND).toFixed(decimals)
  return Number(text) === 0 ? text.replace('-', '') : text
}

/** `0.08 s`, `17.4 s`, `2 min 5 s`, `3 h 12 min`, `5 d 3 h`. */
export function duration(micros: Micros): string {
  const size = Math.abs(micros)
  const sign = micros < 0 ? '-' : ''
  if (size < 0.995 * SECOND) return `${sign}${round(size, 2)} s`
  if (size < 59.95 * SECOND) return `${sign}${round(size, 1)} s`
  const seconds = Math.round(size / SECOND)
  const parts = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    `${sign}${big} ${bigUnit}${small === 0 ? '' : ` ${small} ${smallUnit}`}`
  if (seconds < 3600) return parts(Math.floor(seconds / 60), 'min', seconds % 60, 's')
  const minutes = Math.round(seconds / 60)
  if (minutes < 48 * 60) return parts(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  const hours = Math.round(minutes / 60)
  return parts(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

/** As `duration`, without decimals that say nothing: `15 s`, `2 min`, `1 h`. */
export const shortDuration = (micros: Micros) => duration(micros).replace('.0 s', ' s')

/** A grace period as it is set: 60 and 90 are seconds to everybody. */
export const graceText = (seconds: number) => (seconds < 120 ? `${seconds} s` : duration(seconds * SECOND))

/** A moment counted from the start, its sign and digits in column: `+ 0.08 s`, `+15.0 s`; from 1000 s on as a duration. */
export function offset(micros: Micros, decimals: 1 | 2): string {
  const sign = micros < 0 && Number(round(micros, decimals)) !== 0 ? '-' : '+'
  if (Math.abs(micros) >= LONG) return `${sign}${duration(Math.abs(micros))}`
  const [whole = '', fraction = ''] = round(Math.abs(micros), decimals).split('.')
  return `${sign}${whole.padStart(2)}.${fraction} s`
}

/** `+0.02 s`, without the padding of a column. */
export const offsetInText = (micros: Micros, decimals: 1 | 2) => offset(micros, decimals).replace(' ', '')

/** `14.9 to 15.3 s`: bounds, counted from the start. */
export function bounds(earliest: Micros, latest: Micros): string {
  if (Math.abs(earliest) >= LONG || Math.abs(latest) >= LONG) return `${duration(earliest)} to ${duration(latest)}`
  if (earliest === latest) return `${round(earliest, 2)} s`
  // Narrow bounds need the second decimal, or both ends would read the same.
  const decimals = latest - earliest < SECOND / 2 ? 2 : 1
  return `${round(earliest, decimals)} to ${round(latest, decimals)} s`
}

/** `2026-11-24 21:31:01.2 UTC`, `2026-11-24 22:31:01 +01:00`; tenths only where the time is that sure. */
export function wallClock(at: Micros, tenths: boolean, timeZone?: string): string {
  const step = tenths ? SECOND / 10 : SECOND
  const { date, time, offset } = wallTime(Math.round(at / step) * step, timeZone)
  return `${date} ${time.slice(0, tenths ? 10 : 8)} ${offset}`
}

/** Steps of a time axis, from fine to coarse. */
const STEPS: readonly [Micros, string, Micros][] = [
  ...[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].map((n) => [n * SECOND, 's', SECOND] as [Micros, string, Micros]),
  ...[1, 2, 5, 10, 15, 30].map((n) => [n * MINUTE, 'min', MINUTE] as [Micros, string, Micros]),
  ...[1, 2, 3, 6, 12].map((n) => [n * HOUR, 'h', HOUR] as [Micros, string, Micros]),
  ...[1, 2, 5, 10, 50, 100, 1000, 10_000, 100_000, 1_000_000].map((n) => [n * DAY, 'd', DAY] as [Micros, string, Micros]),
]

/** Round moments from `from` to `to` with their labels, at most `most` of them. */
export function ticks(from: Micros, to: Micros, most: number): { at: Micros; label: string }[] {
  const step = STEPS.find(([size]) => (to - from) / size <= most)
  if (step === undefined) return []
  const [size, unit, one] = step
  const decimals = size >= one ? 0 : size >= one / 10 ? 1 : 2
  const list: { at: Micros; label: string }[] = []
  for (let i = Math.ceil(from / size); i * size <= to; i++) {
    list.push({ at: i * size, label: i === 0 ? `0 ${unit}` : `${((i * size) / one).toFixed(decimals)} ${unit}` })
  }
  return list
}
