/** When passes come: soon after a change, whatever is under way, and every 20 s where nothing changes. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Cleaner, type CleanerHost } from '../../../src/controllers/cleaner/cleaner.ts'
import type { RecordKeeper } from '../../../src/controllers/cleaner/record-keeper.ts'
import type { PodSnapshot } from '../../../src/core/evidence.ts'
import type { HttpRequest, HttpResponse, HttpStream, KubeHttp } from '../../../src/kube/http.ts'

const SECOND_MS = 1000
const BOOKMARK_EVERY_MS = 30_000

let world: World

/** A cleaner over a threshold of none, so that every pod that it knows of is to go, with all times in the test's hands. */
class World {
  readonly pods = new Map<string, PodSnapshot>()
  /** When each pass planned. */
  readonly plans: number[] = []
  /** Of each pod, how long after its change a pass first had it in its plan. */
  readonly waits = new Map<string, number>()
  /** How long a plan takes, and how long the API server takes for an answer. */
  planMs = 0
  answerMs = 0
  readonly cleaner: Cleaner
  readonly #changedAt = new Map<string, number>()
  readonly #began = performance.now()
  #count = 0

  constructor() {
    const wallMicros = () => Date.now() * 1000
    const quiet = {
      debug() {},
      info() {},
      warn: (fields: object) => this.#fail(fields),
      error: (fields: object) => this.#fail(fields),
    }
    const host: CleanerHost = {
      pods: { get: (uid) => this.pods.get(uid), unpacked: () => this.#planned(), synced: true, stats: { open: true } },
      workloads: { known: () => ({ kind: 'ReplicaSet', name: 'web' }), settled: () => true, resolve: async () => {} },
      elector: { isLeader: () => true, guard: () => new AbortController().signal, leaseUid: 'lease' },
      caughtUp: true,
      inScope: () => true,
      serverNow: wallMicros,
    }
    this.cleaner = new Cleaner({
      http: this.#http(),
      clock: { now: wallMicros },
      log: quiet,
      host,
      keeper: { written: 0, forget() {} } as unknown as RecordKeeper, // Succeeded pods have no record here: it is not asked for more
      events: undefined,
      threshold: {
        ...{ total: 0, minAge: 0, barePods: true, finishedJobPods: true, recordSucceeded: false, dryRun: false },
        onRecordFailure: 'Keep',
      },
      ...{ dryRun: false, deletesPerSecond: 50, concurrency: 8 },
      lease: { namespace: 'gracewatch-system', name: 'gracewatch-controller' },
    })
  }

  /** Milliseconds since the beginning. */
  get now(): number {
    return performance.now() - this.#began
  }

  /** So many pods finish. */
  finish(count: number): void {
    for (let index = 0; index < count; index++) {
      const name = `pod-${this.#count++}`
      const pod: PodSnapshot = {
        ...{ uid: name, namespace: 'shop', name, resourceVersion: '7', phase: 'Succeeded', restartPolicy: 'Never' },
        ...{ creationTimestamp: '2026-03-01T11:00:00Z', finalizers: [], graceSeconds: 30, volumeCount: 0 },
        ...{ containers: [], conditions: [], statuses: [], cleanup: { labels: {} } },
      }
      this.pods.set(name, pod)
      this.#changedAt.set(name, this.now)
      this.cleaner.onPod({ type: 'Added', object: pod, arrivedAt: 0 })
    }
  }

  /** A plan reads the pods once, and takes its time over them. */
  #planned(): Iterable<PodSnapshot> {
    this.plans.push(this.now)
    for (const [name, at] of this.#changedAt) {
      this.waits.set(name, this.now - at)
      this.#changedAt.delete(name)
    }
    busy += this.planMs
    return [...this.pods.values()]
  }

  #http(): KubeHttp {
    return {
      request: async ({ method, path }: HttpRequest) => {
        if (this.answerMs > 0) await new Promise((resolve) => setTimeout(resolve, this.answerMs))
        const name = path.split('/').at(-1) ?? ''
        const pod = this.pods.get(name)
        if (method === 'DELETE' && pod !== undefined) {
          this.pods.delete(name)
          this.cleaner.onPod({ type: 'Deleted', object: pod, previous: pod, arrivedAt: 0 })
        }
        return { json: () => ({ metadata: { uid: name, resourceVersion: '7' } }) } as HttpResponse // all that is read of it
      },
      stream: async ({ signal }: HttpRequest) => {
        const closing = Promise.withResolvers<void>()
        signal?.addEventListener('abort', () => closing.resolve())
        return {
          chunks: bookmarks(closing.promise),
          sentAt: 0,
          receivedAt: 0,
          close: () => closing.resolve(),
        } as unknown as HttpStream // all that is used of it
      },
    } as unknown as KubeHttp // all that is used of it
  }

  #fail(fields: object): void {
    throw new Error(`the cleaner warns: ${JSON.stringify(fields)}`)
  }
}

/** A watch of a collection that has nothing in it. */
async function* bookmarks(closed: Promise<void>): AsyncGenerator<Uint8Array> {
  let open = true
  void closed.then(() => {
    open = false
  })
  const metadata = { resourceVersion: '5', annotations: { 'k8s.io/initial-events-end': 'true' } }
  while (open) {
    yield Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`)
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, BOOKMARK_EVERY_MS))])
  }
}

/** Time that has gone by without a timer: the event loop was busy. */
let busy = 0

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-03-01T12:00:00Z') })
  busy = 0
  const idle = performance.now.bind(performance)
  vi.spyOn(performance, 'now').mockImplementation(() => idle() + busy)
  world = new World()
})
afterEach(async () => {
  try {
    const stopped = world.cleaner.stop()
    await vi.advanceTimersByTimeAsync(BOOKMARK_EVERY_MS)
    await stopped
  } finally {
    vi.restoreAllMocks()
    vi.useRealTimers()
  }
})

const gaps = (times: readonly number[]) => times.slice(1).map((at, index) => at - (times[index] ?? Number.NaN))

it('plans every 20 s where nothing changes', async () => {
  await world.cleaner.start()
  await vi.advanceTimersByTimeAsync(121 * SECOND_MS)
  expect(world.plans).toEqual([1, 21, 41, 61, 81, 101, 121].map((seconds) => seconds * SECOND_MS))
})

it('takes a change in after a second, with what else came in that second, and plans 20 s after that', async () => {
  await world.cleaner.start()
  await vi.advanceTimersByTimeAsync(10 * SECOND_MS)
  world.finish(1)
  await vi.advanceTimersByTimeAsync(900)
  world.finish(2)
  await vi.advanceTimersByTimeAsync(60 * SECOND_MS)
  // At 12 s for the pods that are gone.
  expect(world.plans).toEqual([1, 11, 12, 32, 52].map((seconds) => seconds * SECOND_MS))
  expect([...world.waits.values()]).toEqual([1000, 100, 100])
  expect(world.pods.size).toBe(0)
})

describe.each([0, 50, 400, 1000])('where a plan takes %i ms', (planMs) => {
  it('has every change in a plan within 10 s, also those that come while a pass acts for as long as it may', async () => {
    world.planMs = planMs
    world.answerMs = 100
    await world.cleaner.start()
    // More than a pass gets to, then about as many, and singles at every moment of a pass.
    const bunches = new Map([600, 280, 260, 240].map((count, index) => [index * 90, count]))
    for (let step = 0; step < 360; step++) {
      world.finish(bunches.get(step) ?? 1)
      await vi.advanceTimersByTimeAsync(370)
    }
    await vi.advanceTimersByTimeAsync(60 * SECOND_MS)
    expect(world.waits.size).toBe(600 + 280 + 260 + 240 + 356)
    expect(Math.max(...world.waits.values())).toBeLessThanOrEqual(10 * SECOND_MS)
    // Passes were as long as they may be, or nothing was put to the test.
    expect(Math.max(...world.waits.values())).toBeGreaterThan(7 * SECOND_MS)
    expect(world.pods.size).toBe(0)
    expect(Math.max(...gaps(world.plans))).toBeLessThanOrEqual(20 * SECOND_MS + planMs)
    // A twentieth of the time, up to 8 s.
    expect(Math.min(...gaps(world.plans))).toBeGreaterThanOrEqual(Math.min(8 * SECOND_MS, 20 * planMs))
  })
})
