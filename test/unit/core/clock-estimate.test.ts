import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ClockEstimate, offsetFromDate } from '../../../src/core/clock-estimate.ts'
import { MILLISECOND, type Micros, SECOND } from '../../../src/core/time.ts'
import { EPOCH } from '../builders.ts'

const dateHeader = (at: Micros): string => new Date(at / 1000).toUTCString()
const width = (offset: { earliest: Micros; latest: Micros } | undefined): Micros =>
  offset === undefined ? Number.POSITIVE_INFINITY : offset.latest - offset.earliest

/** Asks a server that is so far ahead, whose answer takes so long each way, when the estimate says to; returns when it was over. */
function sample(estimate: ClockEstimate, ahead: Micros, from: Micros, tripMicros: Micros): Micros {
  const sentAt = estimate.bisect(from)
  const text = dateHeader(sentAt + tripMicros + ahead)
  const receivedAt = sentAt + 2 * tripMicros
  const offset = offsetFromDate(text, sentAt, receivedAt)
  if (offset !== undefined) estimate.add(offset, receivedAt)
  return receivedAt
}

describe('an estimate of another clock', () => {
  test('knows nothing before the first answer', () => {
    const estimate = new ClockEstimate()
    expect(estimate.get(EPOCH)).toBeUndefined()
    expect(estimate.fact('APIServer', EPOCH)).toEqual([])
    expect(estimate.bisect(EPOCH)).toBe(EPOCH)
  })

  test('one Date header bounds it to a second and the round trip', () => {
    const offset = offsetFromDate('Sun, 01 Mar 2026 12:00:03 GMT', EPOCH, EPOCH + 5 * MILLISECOND)
    // EPOCH is 12:00:00.4: the server was between 12:00:03 and 12:00:04 at some time from .400 to .405.
    expect(offset).toEqual({ earliest: 2_595_000, latest: 3_600_000 })
  })

  test('what is no HTTP date says nothing', () => {
    for (const text of ['', 'now', '2026-03-01T12:00:00Z', 'Sun, 01 Foo 2026 12:00:03 GMT', 'Sun, 31 Feb 2026 12:61:03 GMT']) {
      expect(offsetFromDate(text, EPOCH, EPOCH), text).toBeUndefined()
    }
  })

  test('8 samples with round trips of 5 ms take it to under 20 ms, and the truth stays within', () => {
    fc.assert(
      fc.property(fc.integer({ min: -20_000_000, max: 20_000_000 }), fc.integer({ min: 0, max: 999_999 }), (ahead, fraction) => {
        const estimate = new ClockEstimate()
        let now = EPOCH + fraction
        for (let count = 0; count < 8; count++) now = sample(estimate, ahead, now, 2.5 * MILLISECOND)
        const offset = estimate.get(now)
        expect(width(offset)).toBeLessThan(20 * MILLISECOND)
        expect(offset?.earliest).toBeLessThanOrEqual(ahead)
        expect(offset?.latest).toBeGreaterThanOrEqual(ahead)
      }),
      { numRuns: 200 },
    )
  })

  test('each next question is asked within a second, and halves what is open', () => {
    const estimate = new ClockEstimate()
    let now = sample(estimate, 1_234_567, EPOCH, 1000)
    for (let count = 0; count < 5; count++) {
      const before = width(estimate.get(now))
      expect(estimate.bisect(now) - now).toBeLessThanOrEqual(SECOND)
      expect(estimate.bisect(now)).toBeGreaterThanOrEqual(now)
      now = sample(estimate, 1_234_567, now, 1000)
      expect(width(estimate.get(now))).toBeLessThan(before / 2 + 10 * MILLISECOND)
    }
  })

  test('grows wider by 500 ppm while no answer comes, to both sides', () => {
    const estimate = new ClockEstimate()
    estimate.add({ earliest: 100, latest: 300 }, EPOCH)
    expect(estimate.get(EPOCH)).toEqual({ earliest: 100, latest: 300 })
    expect(estimate.get(EPOCH + 100 * SECOND)).toEqual({ earliest: 100 - 50_000, latest: 300 + 50_000 })
    expect(estimate.get(EPOCH - 100 * SECOND)).toEqual({ earliest: 100, latest: 300 })
    expect(estimate.fact('Node', EPOCH + SECOND + 1)).toEqual([{ type: 'Clock', clock: 'Node', earliest: -401, latest: 801 }])
  })

  test('holds the truth of a clock that drifts by up to 500 ppm', () => {
    const estimate = new ClockEstimate()
    const ahead = (at: Micros) => 2 * SECOND + (at - EPOCH) * 499e-6
    let now = EPOCH
    for (let minute = 0; minute < 60; minute++) {
      for (let count = 0; count < 3; count++) now = sample(estimate, Math.round(ahead(estimate.bisect(now))), now, 1000)
      const later = now + 60 * SECOND
      expect(estimate.get(later)?.earliest).toBeLessThanOrEqual(ahead(later))
      expect(estimate.get(later)?.latest).toBeGreaterThanOrEqual(ahead(later))
      now = later
    }
  })

  test('a bracket that contradicts the others means a clock that was set: then only the new one counts', () => {
    const estimate = new ClockEstimate()
    estimate.add({ earliest: 0, latest: 1000 }, EPOCH)
    estimate.add({ earliest: 5 * SECOND, latest: 6 * SECOND }, EPOCH + 1)
    expect(estimate.get(EPOCH + 1)).toEqual({ earliest: 5 * SECOND, latest: 6 * SECOND })
  })
})
