/**
 * Work by key: one worker at a time for a key, several keys in parallel up to a bound. A key that is added while it is worked on is
 * worked on again afterwards; an idle key leaves nothing behind.
 */
import { KubeError } from '../kube/errors.ts'

export interface WorkQueueOptions {
  /** May throw: the key is tried again, later each time, or when a KubeError says so. */
  readonly worker: (key: string) => Promise<void>
  readonly concurrency: number
  readonly onError?: (key: string, error: unknown) => void
  /** First delay after a failure, and the longest. Default 500 ms and 60 s. */
  readonly backoffBaseMs?: number
  readonly backoffMaxMs?: number
  /** In [0, 1). Default Math.random. */
  readonly random?: () => number
}

interface Entry {
  /** Waits for its time. */
  timer: NodeJS.Timeout | undefined
  dueAt: number
  ready: boolean
  running: boolean
  /** Added again while it ran: when it is due then, on the monotonic clock. */
  again: number | undefined
  failures: number
}

export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #entries = new Map<string, Entry>()
  readonly #ready: string[] = []
  readonly #idle: (() => void)[] = []
  #running = 0
  #stopped = false

  constructor(options: WorkQueueOptions) {
    this.#options = options
  }

  /** Keys that wait, are ready or are worked on. */
  get depth(): number {
    return this.#entries.size
  }

  /** Keys that are due and wait for a worker. */
  get backlog(): number {
    return this.#ready.length
  }

  /** Due after the delay; of several times for one key the earliest counts. Without effect once stopped. */
  add(key: string, { delayMs = 0 }: { delayMs?: number } = {}): void {
    if (this.#stopped) return
    const dueAt = performance.now() + delayMs
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      const fresh: Entry = { timer: undefined, dueAt, ready: false, running: false, again: undefined, failures: 0 }
      this.#entries.set(key, fresh)
      this.#schedule(key, fresh, dueAt)
    } else if (entry.running) entry.again = Math.min(entry.again ?? dueAt, dueAt)
    else if (!entry.ready && dueAt < entry.dueAt) this.#schedule(key, entry, dueAt)
  }

  /** No further work begins; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const [key, entry] of this.#entries) {
      clearTimeout(entry.timer)
      if (!entry.running) this.#entries.delete(key)
    }
    this.#ready.length = 0
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #schedule(key: string, entry: Entry, dueAt: number): void {
    clearTimeout(entry.timer)
    entry.timer = undefined
    entry.dueAt = dueAt
    const wait = dueAt - performance.now()
    if (wait > 0) {
      entry.timer = setTimeout(() => this.#makeReady(key, entry), wait)
      return
    }
    this.#makeReady(key, entry)
  }

  #makeReady(key: string, entry: Entry): void {
    entry.timer = undefined
    entry.ready = true
    this.#ready.push(key)
    this.#pump()
  }

  #pump(): void {
    while (!this.#stopped && this.#running < this.#options.concurrency) {
      const key = this.#ready.shift()
      if (key === undefined) return
      const entry = this.#entries.get(key)
      if (entry !== undefined) void this.#run(key, entry)
    }
  }

  async #run(key: string, entry: Entry): Promise<void> {
    entry.ready = false
    entry.running = true
    this.#running++
    let failed: unknown
    let delay: number | undefined
    try {
      await this.#options.worker(key)
      entry.failures = 0
    } catch (error) {
      failed = error
      entry.failures++
      delay = this.#delayAfter(error, entry.failures)
    }
    this.#running--
    entry.running = false
    if (failed !== undefined) this.#options.onError?.(key, failed)
    // After a failure its own delay counts: what was added meanwhile would fail in the same way.
    const dueAt = delay === undefined ? entry.again : performance.now() + delay
    entry.again = undefined
    if (this.#stopped || dueAt === undefined) this.#entries.delete(key)
    else this.#schedule(key, entry, dueAt)
    if (this.#stopped && this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
    this.#pump()
  }

  #delayAfter(error: unknown, failures: number): number {
    const { backoffBaseMs = 500, backoffMaxMs = 60_000, random = Math.random } = this.#options
    const backoff = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + random() / 2)
    return error instanceof KubeError && error.retryAfterMs !== undefined ? Math.max(error.retryAfterMs, backoff) : backoff
  }
}
