import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { atMostShare, nearestRank, percentile } from '../../../../src/core/summary/quantiles.ts'

const share = fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100)
const time = fc.double({ min: 0, max: 1e6, noNaN: true })

describe('nearestRank', () => {
  it.each<[number[], number, number]>([
    [[15, 20, 35, 40, 50], 0.05, 15],
    [[15, 20, 35, 40, 50], 0.3, 20],
    [[50, 15, 40, 20, 35], 0.4, 20],
    [[15, 20, 35, 40, 50], 0.5, 35],
    [[15, 20, 35, 40, 50], 1, 50],
    [[7], 0.01, 7],
    [Array.from({ length: 100 }, (_, i) => i + 1), 0.07, 7],
    [Array.from({ length: 100 }, (_, i) => i + 1), 0.99, 99],
  ])('of %j at %d is %d', (values, at, expected) => {
    expect(nearestRank(values, at)).toBe(expected)
  })

  it('is the smallest value that enough of them do not exceed', () => {
    fc.assert(
      fc.property(fc.array(time, { minLength: 1, maxLength: 60 }), share, (values, at) => {
        const found = nearestRank(values, at) ?? Number.NaN
        const upTo = (bound: number) => values.filter((value) => value <= bound).length
        const below = values.filter((value) => value < found).length
        expect(values).toContain(found)
        expect(upTo(found)).toBeGreaterThanOrEqual(values.length * at - 1e-6)
        expect(below).toBeLessThan(values.length * at)
      }),
    )
  })

  it('is nothing of nothing', () => {
    expect(nearestRank([], 0.5)).toBeUndefined()
    expect(percentile([], 0.5)).toBeUndefined()
  })
})

it('the true percentile lies within the bounds, whatever lies within theirs', () => {
  const observed = fc
    .record({ truth: time, below: time, above: time, censored: fc.boolean() })
    .map(({ truth, below, above, censored }) => ({
      truth,
      least: Math.max(0, truth - below),
      best: truth,
      most: censored ? Number.POSITIVE_INFINITY : truth + above,
    }))
  fc.assert(
    fc.property(fc.array(observed, { minLength: 1, maxLength: 60 }), share, (values, at) => {
      const truth = nearestRank(
        values.map((value) => value.truth),
        at,
      )
      const found = percentile(values, at)
      expect(found?.least).toBeLessThanOrEqual(truth ?? Number.NaN)
      expect(found?.most).toBeGreaterThanOrEqual(truth ?? Number.NaN)
    }),
  )
})

describe('atMostShare', () => {
  it('of no hits is what is known in closed form', () => {
    for (const count of [1, 10, 59, 299, 5000]) expect(atMostShare(0, count)).toBeCloseTo(1 - 0.05 ** (1 / count), 9)
    expect(atMostShare(0, 58)).toBeGreaterThan(0.05)
    expect(atMostShare(0, 59)).toBeLessThanOrEqual(0.05)
    expect(atMostShare(0, 298)).toBeGreaterThan(0.01)
    expect(atMostShare(0, 299)).toBeLessThanOrEqual(0.01)
  })

  // From tables of exact binomial limits.
  it.each([
    [1, 10, 0.3942],
    [2, 20, 0.2826],
    [5, 100, 0.1023],
  ])('of %d in %d is %d', (hits, count, expected) => {
    expect(atMostShare(hits, count)).toBeCloseTo(expected, 3)
  })

  it('grows with the hits, shrinks with what was looked at, and is never less than what was seen', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 3000 }), (count, some) => {
        const hits = Math.min(some, count)
        const found = atMostShare(hits, count)
        expect(found).toBeGreaterThanOrEqual(hits / count)
        expect(found).toBeLessThanOrEqual(1)
        expect(atMostShare(hits, count + 1)).toBeLessThanOrEqual(found + 1e-9)
        if (hits > 0) expect(atMostShare(hits - 1, count)).toBeLessThan(found)
      }),
      { numRuns: 50 },
    )
  })

  it('knows nothing of nothing', () => {
    expect(atMostShare(0, 0)).toBe(1)
  })
})
