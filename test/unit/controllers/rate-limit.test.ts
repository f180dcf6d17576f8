import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { RateLimit } from '../../../src/controllers/rate-limit.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** How many of these calls have had their turn. */
function calls(limit: RateLimit, count: number): () => number {
  let done = 0
  for (let index = 0; index < count; index++) void limit.take().then(() => done++)
  return () => done
}

it('lets a burst of one second pass at once, and then so many a second', async () => {
  const done = calls(new RateLimit(10), 35)
  await vi.advanceTimersByTimeAsync(0)
  expect(done()).toBe(10)
  await vi.advanceTimersByTimeAsync(1000)
  expect(done()).toBe(20)
  await vi.advanceTimersByTimeAsync(1500)
  expect(done()).toBe(35)
})

it('saves up no more than a second', async () => {
  const limit = new RateLimit(2)
  await vi.advanceTimersByTimeAsync(60_000)
  const done = calls(limit, 10)
  await vi.advanceTimersByTimeAsync(0)
  expect(done()).toBe(2)
})

it('holds nobody up once it is open', async () => {
  const limit = new RateLimit(1)
  const before = calls(limit, 4)
  limit.open()
  const after = calls(limit, 100)
  await vi.advanceTimersByTimeAsync(0)
  expect(after()).toBe(100)
  expect(before()).toBe(1)
})
