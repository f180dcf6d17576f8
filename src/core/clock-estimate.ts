/** What is known of another machine's clock, out of many brackets and with the drift that two clocks may have between them. */
import type { ClockFact } from './evidence.ts'
import { intersect, type Offset } from './termination/clocks.ts'
import { type Micros, parseTime, SECOND } from './time.ts'

/** Clocks that are disciplined by NTP are slewed by at most 500 ppm (RFC 5905, and Linux's own limit). */
const DRIFT = 500e-6

/**
 * The Date header bounds the server's clock: it is the server's time when it answered, floored to a second, and it answered
 * between sending and receiving.
 *
 * @returns server - recorder; undefined where the text is no HTTP date
 */
export function offsetFromDate(text: string, sentAt: Micros, receivedAt: Micros): Offset | undefined {
  const seconds = httpDate(text)
  return seconds === undefined ? undefined : { earliest: seconds - receivedAt, latest: seconds + SECOND - sentAt }
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

function httpDate(text: string): Micros | undefined {
  const match = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) GMT$/.exec(text)
  const month = MONTHS.indexOf(match?.[2] ?? '') + 1
  if (match === null || month === 0) return undefined
  return parseTime(`${match[3]}-${String(month).padStart(2, '0')}-${match[1]}T${match[4]}Z`)
}

export class ClockEstimate {
  #known: Offset | undefined
  #at: Micros = 0

  /** A bracket that contradicts the rest means a clock that was set: then only the new one counts. */
  add(offset: Offset, now: Micros): void {
    const known = this.get(now)
    this.#known = known === undefined ? offset : (intersect(known, offset) ?? offset)
    this.#at = now
  }

  /** Undefined before the first bracket; wider the longer none came. */
  get(now: Micros): Offset | undefined {
    if (this.#known === undefined) return undefined
    const drift = Math.max(0, now - this.#at) * DRIFT
    return { earliest: this.#known.earliest - drift, latest: this.#known.latest + drift }
  }

  fact(clock: ClockFact['clock'], now: Micros): ClockFact[] {
    const offset = this.get(now)
    return offset === undefined
      ? []
      : [{ type: 'Clock', clock, earliest: Math.floor(offset.earliest), latest: Math.ceil(offset.latest) }]
  }

  /**
   * When to ask next so that the answer halves what is open: just so that the server's second turns in the middle of the bracket.
   *
   * @returns a time on the recorder's clock, within a second from `now`
   */
  bisect(now: Micros): Micros {
    const offset = this.get(now)
    if (offset === undefined) return now
    const middle = (offset.earliest + offset.latest) / 2
    const server = now + middle
    return Math.round(Math.ceil(server / SECOND) * SECOND - middle)
  }
}
