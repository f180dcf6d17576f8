import { expect, test } from 'vitest'
import { backoffMs } from '../../../src/kube/backoff.ts'
import type { KubeErrorCode } from '../../../src/kube/errors.ts'
import { Retry } from '../../../src/kube/retry.ts'

const failed = (code: KubeErrorCode, more: { retryAfterMs?: number; livedMs?: number; progress?: boolean } = {}) => ({
  failed: true,
  code,
  retryAfterMs: more.retryAfterMs,
  livedMs: more.livedMs ?? 1,
  progress: more.progress ?? false,
})
const ended = (livedMs: number, progress = false) => ({
  failed: false,
  code: undefined,
  retryAfterMs: undefined,
  livedMs,
  progress,
})
/** Without chance: each wait is its least. */
const retry = () => new Retry(500, 30_000, () => 0)
const waits = (policy: Retry, attempts: Parameters<Retry['after']>[0][]) => attempts.map((attempt) => policy.after(attempt))

test('the back-off doubles from its base to its maximum, half of it by chance', () => {
  const options = { baseMs: 500, maxMs: 30_000, random: () => 0.5 }
  expect([1, 2, 3, 7, 100].map((failures) => backoffMs(failures, options))).toEqual([375, 750, 1500, 22_500, 22_500])
})

test('a stream that lived for minutes resumes at once, however it ended', () => {
  expect(waits(retry(), [ended(300_000), failed('Network', { livedMs: 300_000 }), ended(300_000)])).toEqual([0, 0, 0])
})

test('a lost connection is tried again at once, then ever more slowly, but at least every five seconds', () => {
  const policy = retry()
  expect(waits(policy, Array(8).fill(failed('Network')))).toEqual([0, 500, 1000, 2000, 2500, 2500, 2500, 2500])
})

test('a refusal is never tried again at once, and up to half a minute apart', () => {
  expect(waits(retry(), Array(8).fill(failed('Forbidden')))).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000])
})

test('a 410 is followed by its list at once, also after a lost connection, but not twice in a row', () => {
  expect(waits(retry(), [failed('Network'), failed('Gone'), failed('Gone')])).toEqual([0, 0, 1000])
})

test('what the server asks to wait is waited', () => {
  expect(waits(retry(), [failed('TooManyRequests', { retryAfterMs: 7000 })])).toEqual([7000])
})

test('a server that ends each stream at once is not asked without pause', () => {
  expect(waits(retry(), Array(4).fill(ended(1)))).toEqual([0, 500, 1000, 2000])
  expect(waits(retry(), Array(5).fill(ended(1, true)))).toEqual([0, 500, 1000, 1000, 1000])
})

test('a good stream makes the failures before it forgotten', () => {
  const policy = retry()
  waits(policy, Array(5).fill(failed('Network')))
  expect(policy.after(failed('Network', { livedMs: 600, progress: true }))).toBe(0)
})
