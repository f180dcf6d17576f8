/** The node's clocks, where the wall clock is set. Date.now() stands for it: the machine's own is not for a test to set. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { NodeClock } from '../../../src/agent/node-clock.ts'

const real = Date.now.bind(Date)
let setBy = 0
let clock: NodeClock

beforeEach(() => {
  setBy = 0
  vi.spyOn(Date, 'now').mockImplementation(() => real() + setBy)
  clock = new NodeClock()
})
afterEach(() => {
  clock.stop()
  vi.restoreAllMocks()
})

const SLACK = 1000
const wallNow = () => Date.now() * 1000

describe('a wall time', () => {
  test('holds, and is narrow, while nobody sets the clock', () => {
    const before = wallNow()
    const { earliest, latest } = clock.wall(clock.mono())
    expect(earliest).toBeLessThanOrEqual(wallNow() + SLACK)
    expect(latest).toBeGreaterThanOrEqual(before)
    expect(latest - earliest).toBeLessThan(1000)
  })

  test.each([3_600_000, -3_600_000, 60, -60])(
    'of just before the clock was set by %i ms, asked for right after, holds on both',
    (ms) => {
      const before = wallNow()
      const mono = clock.mono()
      const after = wallNow()
      setBy = ms
      const { earliest, latest } = clock.wall(mono)
      expect(earliest).toBeLessThanOrEqual(Math.min(after, after + ms * 1000) + SLACK)
      expect(latest).toBeGreaterThanOrEqual(Math.max(before, before + ms * 1000))
      expect(clock.wallClockSet(mono - 1, clock.mono())).toBe(true)
      const next = clock.wall(clock.mono())
      expect(next.latest - next.earliest).toBeLessThan(1000)
      const from = wallNow()
      const now = clock.now()
      expect(now).toBeGreaterThan(from - 3000)
      expect(now).toBeLessThan(wallNow() + 3000)
    },
  )

  test('of before a sample that came before the clock was set is as narrow as ever', () => {
    const before = wallNow()
    const mono = clock.mono()
    const after = wallNow()
    clock.sample()
    setBy = 3_600_000
    const { earliest, latest } = clock.wall(mono)
    expect(earliest).toBeLessThanOrEqual(after + SLACK)
    expect(latest).toBeGreaterThanOrEqual(before)
    expect(latest - earliest).toBeLessThan(1000)
  })
})
