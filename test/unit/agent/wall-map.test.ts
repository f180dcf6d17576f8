import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WallMap } from '../../../src/core/kernel/wall-map.ts'

describe('from the monotonic clock to the wall clock', () => {
  test('every sample narrows what is open', () => {
    const map = new WallMap()
    map.add({ mono: 100, earliest: 1_000_000, latest: 1_000_020 })
    expect(map.at(200)).toEqual({ earliest: 1_000_175, at: 1_000_211, latest: 1_000_246 })
    map.add({ mono: 300, earliest: 999_990, latest: 1_000_004 })
    expect(map.offset(200)).toEqual({ earliest: 1_000_000, latest: 1_000_004 })
    expect(map.setBetween(0, 400)).toBe(false)
  })

  test('a clock that was set begins anew; in between either may hold', () => {
    const map = new WallMap()
    map.add({ mono: 100, earliest: 1000, latest: 1010 })
    map.add({ mono: 200, earliest: 1002, latest: 1012 })
    map.add({ mono: 300, earliest: 6000, latest: 6010 })
    map.add({ mono: 400, earliest: 6001, latest: 6011 })
    expect(map.offset(150)).toEqual({ earliest: 1002, latest: 1010 })
    expect(map.offset(250)).toEqual({ earliest: 1002, latest: 6010 })
    expect(map.offset(350)).toEqual({ earliest: 6001, latest: 6010 })
    expect(map.offset(900)).toEqual({ earliest: 6001, latest: 6010 })
    expect(map.offset(10)).toEqual({ earliest: 1002, latest: 1010 })
    expect([map.setBetween(100, 250), map.setBetween(210, 299), map.setBetween(250, 300), map.setBetween(300, 999)]).toEqual([
      false,
      false,
      true,
      false,
    ])
  })

  test('holds the truth, however the clock is set and however exact the samples are', () => {
    const step = fc.record({
      after: fc.integer({ min: 1, max: 1000 }),
      set: fc.option(fc.integer({ min: -500, max: 500 }), { nil: 0, freq: 4 }),
      early: fc.integer({ min: 0, max: 12 }),
      late: fc.integer({ min: 0, max: 12 }),
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const map = new WallMap()
        let mono = 0
        let offset = 1_000_000
        map.add({ mono, earliest: offset - 5, latest: offset + 5 })
        const truth: [number, number][] = [[mono, offset]]
        for (const { after, set, early, late } of steps) {
          truth.push([mono + Math.floor(after / 2), mono + Math.floor(after / 2) + offset])
          mono += after
          offset += set
          map.add({ mono, earliest: offset - early, latest: offset + late })
          truth.push([mono, mono + offset])
        }
        for (const [at, wall] of truth) {
          expect(map.at(at).earliest).toBeLessThanOrEqual(wall)
          expect(map.at(at).latest).toBeGreaterThanOrEqual(wall)
        }
      }),
    )
  })
})
