import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WorkQueue, type WorkQueueOptions } from '../../../src/controllers/work-queue.ts'
import { KubeError } from '../../../src/kube/errors.ts'

/** Timers that run when the test says so. */
class VirtualTimers {
  #now = 0
  #timers: { at: number; callback: () => void }[] = []

  now = () => this.#now
  set = (callback: () => void, ms: number) => {
    const timer = { at: this.#now + ms, callback }
    this.#timers.push(timer)
    return timer
  }
  clear = (timer: unknown) => {
    this.#timers = this.#timers.filter((known) => known !== timer)
  }

  get pending(): number {
    return this.#timers.length
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await flush()
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.clear(next)
      this.#now = next.at
      next.callback()
    }
    this.#now = end
    await flush()
  }
}

async function flush(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

/** A queue whose runs the test ends one by one. */
function queueOf(options: Partial<WorkQueueOptions> = {}) {
  const timers = new VirtualTimers()
  const log: string[] = []
  const ends = new Map<string, { resolve: () => void; reject: (error: unknown) => void }>()
  const queue = new WorkQueue({
    concurrency: 2,
    timers,
    random: () => 1,
    worker: (key) =>
      new Promise<void>((resolve, reject) => {
        log.push(`+${key}`)
        ends.set(key, { resolve, reject })
      }),
    ...options,
  })
  const end = async (key: string, error?: unknown) => {
    const run = ends.get(key)
    ends.delete(key)
    log.push(`-${key}`)
    if (error === undefined) run?.resolve()
    else run?.reject(error)
    await flush()
  }
  return { queue, timers, log, end, ends }
}

describe('WorkQueue', () => {
  test('keys run side by side up to the bound, in the order in which they came', async () => {
    const { queue, log, end } = queueOf()
    for (const key of ['a', 'b', 'c']) queue.add(key)
    await flush()
    expect(log).toEqual(['+a', '+b'])
    expect(queue.depth).toBe(3)
    await end('b')
    expect(log).toEqual(['+a', '+b', '-b', '+c'])
  })

  test('one key never runs twice at a time, and what comes meanwhile runs once afterwards', async () => {
    const { queue, log, end } = queueOf()
    queue.add('a')
    await flush()
    queue.add('a')
    queue.add('a')
    await flush()
    expect(log).toEqual(['+a'])
    await end('a')
    await end('a')
    expect(log).toEqual(['+a', '-a', '+a', '-a'])
    expect(queue.depth).toBe(0)
  })

  test('add does not run the worker before it returns', async () => {
    const { queue, log } = queueOf()
    queue.add('a')
    expect(log).toEqual([])
  })

  test('a delayed key waits, and the earliest of several requests counts', async () => {
    const { queue, log, timers } = queueOf()
    queue.add('a', { delayMs: 1000 })
    queue.add('a', { delayMs: 400 })
    queue.add('a', { delayMs: 2000 })
    await timers.advance(399)
    expect(log).toEqual([])
    await timers.advance(1)
    expect(log).toEqual(['+a'])
    expect(timers.pending).toBe(0)
  })

  test('a delay that is asked for during a run counts from then', async () => {
    const { queue, log, timers, end } = queueOf()
    queue.add('a')
    await flush()
    queue.add('a', { delayMs: 500 })
    await end('a')
    await timers.advance(499)
    expect(log).toEqual(['+a', '-a'])
    await timers.advance(1)
    expect(log).toEqual(['+a', '-a', '+a'])
  })

  test('a key that fails comes back later and later, also where it is asked for at once', async () => {
    const errors: unknown[] = []
    const { queue, timers, end, ends } = queueOf({
      backoffBaseMs: 100,
      backoffMaxMs: 300,
      onError: (key, _error, retry) => errors.push([key, retry.failures, retry.delayMs]),
    })
    queue.add('a')
    for (const waitMs of [100, 200, 300, 300]) {
      await flush()
      await end('a', new Error('refused'))
      queue.add('a')
      await timers.advance(waitMs - 1)
      expect(ends.size).toBe(0)
      await timers.advance(1)
      expect(ends.size).toBe(1)
    }
    await end('a')
    expect(errors).toEqual([
      ['a', 1, 100],
      ['a', 2, 200],
      ['a', 3, 300],
      ['a', 4, 300],
    ])
    queue.add('a')
    await flush()
    expect(ends.size).toBe(1)
  })

  test('a KubeError that says when to come back is believed', async () => {
    const { queue, timers, end, ends } = queueOf({ backoffBaseMs: 100 })
    queue.add('a')
    await flush()
    await end('a', new KubeError('TooManyRequests', 'slow down', { retryAfterMs: 5000 }))
    await timers.advance(4999)
    expect(ends.size).toBe(0)
    await timers.advance(1)
    expect(ends.size).toBe(1)
  })

  test('a failing key does not hold up the others', async () => {
    const { queue, log, end } = queueOf({ concurrency: 1 })
    queue.add('a')
    queue.add('b')
    await flush()
    await end('a', new Error('refused'))
    expect(log).toEqual(['+a', '-a', '+b'])
  })

  test('a worker that throws before it returns a promise has failed, no more', async () => {
    let runs = 0
    const { queue, timers } = queueOf({
      backoffBaseMs: 100,
      worker: () => {
        if (++runs === 1) throw new Error('at once')
        return Promise.resolve()
      },
    })
    queue.add('a')
    await timers.advance(100)
    expect(runs).toBe(2)
    expect(queue.depth).toBe(0)
  })

  test('forget takes back what waits, also behind a run', async () => {
    const { queue, log, timers, end } = queueOf()
    queue.add('a', { delayMs: 100 })
    queue.forget('a')
    queue.add('b')
    await flush()
    queue.add('b')
    queue.forget('b')
    await end('b')
    await timers.advance(1000)
    expect(log).toEqual(['+b', '-b'])
    expect(queue.depth).toBe(0)
    expect(timers.pending).toBe(0)
  })

  test('drain runs at once what waits, and says whether all was done', async () => {
    const { queue, log, end, timers } = queueOf()
    queue.add('a', { delayMs: 60_000 })
    queue.add('b')
    const done = queue.drain(5000)
    await flush()
    expect(log).toEqual(['+b', '+a'])
    await end('a', new Error('refused'))
    await end('b')
    await expect(done).resolves.toBe(true)
    expect(timers.pending).toBe(0)
    expect(queue.depth).toBe(0)
  })

  test('drain gives up at its deadline', async () => {
    const { queue, timers } = queueOf()
    queue.add('a')
    const done = queue.drain(5000)
    await timers.advance(5000)
    await expect(done).resolves.toBe(false)
  })

  test('stop aborts what runs, waits for it, and starts nothing more', async () => {
    const signals: AbortSignal[] = []
    const { queue, timers, log, end } = queueOf()
    const { queue: other } = queueOf({
      worker: (_key, signal) => {
        signals.push(signal)
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
    })
    other.add('x')
    await flush()
    await other.stop()
    expect(signals[0]?.aborted).toBe(true)

    for (const key of ['a', 'b', 'c']) queue.add(key)
    queue.add('d', { delayMs: 10 })
    await flush()
    let stopped = false
    const stopping = queue.stop().then(() => {
      stopped = true
    })
    queue.add('e')
    await end('a')
    expect(stopped).toBe(false)
    await end('b')
    await stopping
    await timers.advance(1000)
    expect(log).toEqual(['+a', '+b', '-a', '-b'])
    expect(queue.depth).toBe(0)
    expect(timers.pending).toBe(0)
  })

  test('whatever is asked and however it fails: no overlap, no run lost, nothing left behind', async () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      delayMs: fc.constantFrom(0, 5, 50),
      fails: fc.boolean(),
      takesMs: fc.constantFrom(0, 10, 30),
      pauseMs: fc.constantFrom(0, 1, 20),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const timers = new VirtualTimers()
        const running = new Set<string>()
        /** Key -> number of the last request that no successful run has begun after. */
        const unserved = new Map<string, number>()
        const plan = [...steps]
        let most = 0
        let overlaps = false
        const queue = new WorkQueue({
          concurrency: 3,
          timers,
          backoffBaseMs: 10,
          backoffMaxMs: 40,
          random: () => 0.5,
          worker: async (key) => {
            overlaps ||= running.has(key)
            running.add(key)
            most = Math.max(most, running.size)
            const wanted = unserved.get(key)
            const { takesMs = 0, fails = false } = plan.pop() ?? {}
            await new Promise<void>((resolve) => timers.set(resolve, takesMs))
            running.delete(key)
            if (fails) throw new Error('refused')
            if (unserved.get(key) === wanted) unserved.delete(key)
          },
        })
        for (const [number, { key, delayMs, pauseMs }] of steps.entries()) {
          unserved.set(key, number)
          queue.add(key, { delayMs })
          await timers.advance(pauseMs)
        }
        await timers.advance(10_000)
        expect([...unserved]).toEqual([])
        expect(overlaps).toBe(false)
        expect(most).toBeLessThanOrEqual(3)
        expect(queue.depth).toBe(0)
        expect(timers.pending).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})
