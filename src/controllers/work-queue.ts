/**
 * Work by key: never two runs of one key at a time, several keys side by side, and a key that comes while it runs runs once more
 * afterwards, so that whatever was told before a run began is seen by it or by the next. A key that failed comes back later and
 * later. Keys with nothing to do leave nothing behind.
 */
import { backoffMs } from '../kube/backoff.ts'
import { KubeError } from '../kube/errors.ts'

/** Timers and a clock in milliseconds that only goes forward; tests put in their own. */
export interface QueueTimers {
  now(): number
  set(callback: () => void, ms: number): unknown
  clear(timer: unknown): void
}

export interface WorkQueueOptions {
  /** Keys that run side by side. */
  readonly concurrency: number
  /** What it throws brings the key back: after the back-off, or after retryAfterMs where it is a KubeError that has one. */
  readonly worker: (key: string, signal: AbortSignal) => Promise<void>
  /**
   * Keys of one group (of one namespace, say) take turns with those of the others, so that a group of thousands holds nobody up.
   * Default: all are one group, and the first to be due is the first to run.
   */
  readonly groupOf?: (key: string) => string
  readonly onError?: (key: string, error: unknown, retry: { readonly failures: number; readonly delayMs: number }) => void
  /** First delay after a failure, and the longest. Default 500 ms and 60 s. */
  readonly backoffBaseMs?: number
  readonly backoffMaxMs?: number
  /** In [0, 1). Default Math.random. */
  readonly random?: () => number
  readonly timers?: QueueTimers
}

const REAL_TIMERS: QueueTimers = {
  now: () => performance.now(),
  set: (callback, ms) => setTimeout(callback, ms),
  // Only ever given what set returned.
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout),
}

interface Item {
  readonly key: string
  running: boolean
  /** When it is due; undefined while nothing asks for a run. */
  dueAt: number | undefined
  timer: unknown
  /** Failures in a row, and the time before which it is not to run because of them. */
  failures: number
  notBefore: number
}

export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #timers: QueueTimers
  readonly #items = new Map<string, Item>()
  /** Due, and waiting for their turn: by group, the next to have its turn in front. No group is empty. */
  readonly #ready = new Map<string, Set<Item>>()
  readonly #stopping = new AbortController()
  readonly #idle = new Set<() => void>()
  #running = 0
  #draining = false

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#timers = options.timers ?? REAL_TIMERS
  }

  /** Keys that wait (due or not) or run. */
  get depth(): number {
    return this.#items.size
  }

  /** Keys that are due and wait for their turn. */
  get backlog(): number {
    let waiting = 0
    for (const group of this.#ready.values()) waiting += group.size
    return waiting
  }

  /**
   * Asks for a run of the key, now or after delayMs; of several requests the earliest counts, but none before the back-off of a
   * failure. Without effect once stopped.
   */
  add(key: string, options: { readonly delayMs?: number } = {}): void {
    if (this.#stopping.signal.aborted) return
    let item = this.#items.get(key)
    if (item === undefined) {
      item = { key, running: false, dueAt: undefined, timer: undefined, failures: 0, notBefore: 0 }
      this.#items.set(key, item)
    }
    const dueAt = Math.max(this.#timers.now() + (options.delayMs ?? 0), item.notBefore)
    if (item.dueAt !== undefined && item.dueAt <= dueAt) return
    item.dueAt = dueAt
    if (item.running) return
    this.#schedule(item)
    this.#fill()
  }

  /** Takes back what was asked for the key, and forgets its failures. A run under way ends as it would have. */
  forget(key: string): void {
    const item = this.#items.get(key)
    if (item === undefined) return
    item.dueAt = undefined
    item.failures = 0
    item.notBefore = 0
    this.#unschedule(item)
    if (!item.running) this.#drop(item)
  }

  /** Runs what waits at once, whatever its delay, and does not bring failed keys back. False: it was not all done in time. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#draining = true
    for (const item of [...this.#items.values()]) {
      if (!item.running && item.dueAt !== undefined) this.#schedule(item)
    }
    this.#fill()
    if (this.#items.size === 0) return true
    return new Promise((resolve) => {
      const timer = this.#timers.set(() => {
        this.#idle.delete(done)
        resolve(false)
      }, timeoutMs)
      const done = () => {
        this.#timers.clear(timer)
        resolve(true)
      }
      this.#idle.add(done)
    })
  }

  /** Starts nothing more, aborts the signal of what runs, and resolves when that has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const item of [...this.#items.values()]) this.forget(item.key)
    if (this.#items.size > 0) await new Promise<void>((resolve) => this.#idle.add(resolve))
  }

  #schedule(item: Item): void {
    this.#unschedule(item)
    const waitMs = this.#draining ? 0 : (item.dueAt ?? 0) - this.#timers.now()
    if (waitMs <= 0) this.#enqueue(item)
    else {
      item.timer = this.#timers.set(() => {
        item.timer = undefined
        this.#enqueue(item)
        this.#fill()
      }, waitMs)
    }
  }

  #unschedule(item: Item): void {
    if (item.timer !== undefined) this.#timers.clear(item.timer)
    item.timer = undefined
    const name = this.#groupOf(item)
    const group = this.#ready.get(name)
    if (group?.delete(item) === true && group.size === 0) this.#ready.delete(name)
  }

  #groupOf({ key }: Item): string {
    return this.#options.groupOf?.(key) ?? ''
  }

  #enqueue(item: Item): void {
    const name = this.#groupOf(item)
    const group = this.#ready.get(name)
    if (group === undefined) this.#ready.set(name, new Set([item]))
    else group.add(item)
  }

  /** The next of the group whose turn it is, which then goes to the end. */
  #next(): Item | undefined {
    for (const [name, group] of this.#ready) {
      this.#ready.delete(name)
      for (const item of group) {
        group.delete(item)
        if (group.size > 0) this.#ready.set(name, group)
        return item
      }
    }
    return undefined
  }

  #fill(): void {
    if (this.#stopping.signal.aborted) return
    while (this.#running < this.#options.concurrency) {
      const item = this.#next()
      if (item === undefined) return
      item.dueAt = undefined
      item.running = true
      this.#running++
      void this.#run(item)
    }
  }

  async #run(item: Item): Promise<void> {
    try {
      // Never in the stack of add(): the caller finishes what it is doing first.
      await Promise.resolve()
      await this.#options.worker(item.key, this.#stopping.signal)
      item.failures = 0
      item.notBefore = 0
    } catch (error) {
      this.#failed(item, error)
    } finally {
      item.running = false
      this.#running--
      if (item.dueAt === undefined) this.#drop(item)
      else this.#schedule(item)
      this.#fill()
    }
  }

  #failed(item: Item, error: unknown): void {
    const { backoffBaseMs = 500, backoffMaxMs = 60_000, random = Math.random, onError } = this.#options
    item.failures++
    const waitMs = backoffMs(item.failures, { baseMs: backoffBaseMs, maxMs: backoffMaxMs, random })
    const delayMs = Math.max(waitMs, error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0)
    item.notBefore = this.#timers.now() + delayMs
    // Also where it was asked for at once meanwhile: that would fail in the same way.
    item.dueAt = this.#draining || this.#stopping.signal.aborted ? undefined : item.notBefore
    onError?.(item.key, error, { failures: item.failures, delayMs })
  }

  #drop(item: Item): void {
    this.#items.delete(item.key)
    if (this.#items.size > 0) return
    for (const done of [...this.#idle]) {
      this.#idle.delete(done)
      done()
    }
  }
}
