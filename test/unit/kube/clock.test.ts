import { expect, test } from 'vitest'
import { createClock } from '../../../src/kube/clock.ts'

/** A system whose clocks the test sets; each reading takes 1 µs. */
function system(startMs: number) {
  let fine = 0
  let wall = startMs
  const pass = (ms: number) => {
    fine += ms
    wall += ms
  }
  return {
    pass,
    step: (ms: number) => {
      wall += ms
    },
    truth: () => Math.round(wall * 1000),
    clock: createClock({
      wall: () => {
        pass(0.001)
        return Math.floor(wall)
      },
      monotonic: () => {
        pass(0.001)
        return fine
      },
    }),
  }
}

test('the time is right to 0.1 ms although the wall clock ticks in milliseconds', () => {
  const { clock, pass, truth } = system(1_800_000_000_000.7)
  for (let i = 0; i < 100; i++) {
    pass(0.737)
    expect(Math.abs(clock.now() - truth())).toBeLessThan(100)
  }
})

test('a clock that is stepped is followed, forwards and backwards', () => {
  const { clock, step, truth } = system(1_800_000_000_000)
  for (const ms of [5000, -10_000, 3_600_000, 3]) {
    step(ms)
    expect(Math.abs(clock.now() - truth())).toBeLessThan(100)
  }
})

test('a clock that is slewed is followed within 2 ms, and time never goes back', () => {
  const { clock, pass, step, truth } = system(1_800_000_000_000)
  let last = clock.now()
  for (let i = 0; i < 1000; i++) {
    pass(5)
    step(-0.05)
    const now = clock.now()
    expect(now).toBeGreaterThanOrEqual(last)
    expect(Math.abs(now - truth())).toBeLessThan(3100)
    last = now
  }
})

test('the real one agrees with Date and has microseconds', () => {
  const clock = createClock()
  const seen = new Set<number>()
  for (let i = 0; i < 50; i++) {
    const before = Date.now() * 1000
    const now = clock.now()
    expect(now).toBeGreaterThan(before - 3000)
    expect(now).toBeLessThan(Date.now() * 1000 + 4000)
    expect(Number.isInteger(now)).toBe(true)
    seen.add(now % 1000)
  }
  expect(seen.size).toBeGreaterThan(5)
})
