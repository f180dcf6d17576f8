import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Deliveries } from '../../../src/kube/deliveries.ts'
import { KubeError } from '../../../src/kube/errors.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  try {
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

const failures: number[] = []
const make = () => new Deliveries({ onFailure: (_key, _error, retryMs) => void failures.push(retryMs), random: () => 1 })
const wait = (ms: number) => () => new Promise<void>((done) => setTimeout(done, ms))
const settle = () => vi.advanceTimersByTimeAsync(0)

describe('Deliveries', () => {
  it('runs one handler at a time for a key, and keys side by side', async () => {
    const log: string[] = []
    const deliveries = make()
    const slow = (name: string) => async () => {
      log.push(`${name} begins`)
      await wait(10)()
      log.push(`${name} ends`)
    }
    deliveries.add('a', slow('a1'))
    await settle()
    deliveries.add('a', slow('a2'))
    deliveries.add('b', slow('b1'))
    await vi.advanceTimersByTimeAsync(30)
    expect(log).toEqual(['a1 begins', 'b1 begins', 'a1 ends', 'a2 begins', 'b1 ends', 'a2 ends'])
    expect(deliveries.depth).toBe(0)
  })

  it('gives a waiting key its latest event only', async () => {
    const log: string[] = []
    const deliveries = make()
    deliveries.add('a', wait(10))
    await settle()
    for (const name of ['old', 'newer', 'newest']) deliveries.add('a', async () => void log.push(name))
    await vi.advanceTimersByTimeAsync(10)
    expect(log).toEqual(['newest'])
  })

  it('tries a failed event again, later and later, or when the server said; a newer event takes its place', async () => {
    failures.length = 0
    const log: string[] = []
    const deliveries = make()
    let attempts = 0
    deliveries.add('a', async () => {
      attempts++
      throw attempts === 3 ? new KubeError('TooManyRequests', 'slow down', { retryAfterMs: 7000 }) : new Error('no')
    })
    await vi.advanceTimersByTimeAsync(1600)
    expect([attempts, failures]).toEqual([3, [500, 1000, 7000]])
    deliveries.add('a', async () => void log.push('newer'))
    await vi.advanceTimersByTimeAsync(7000)
    expect([attempts, log, deliveries.depth]).toEqual([3, ['newer'], 0])
  })

  it('stops after the handler that runs, and drops what waits', async () => {
    const log: string[] = []
    const deliveries = make()
    deliveries.add('a', async () => {
      await wait(10)()
      log.push('ended')
    })
    deliveries.add('failing', () => Promise.reject(new Error('no')))
    await settle()
    deliveries.add('a', async () => void log.push('dropped'))
    const stopped = deliveries.stop()
    await vi.advanceTimersByTimeAsync(10)
    await stopped
    deliveries.add('b', async () => void log.push('too late'))
    expect([log, deliveries.depth]).toEqual([['ended'], 0])
  })
})
