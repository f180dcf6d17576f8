/**
 * Hands events to asynchronous handlers: one at a time and in order for a key, side by side for different keys. While a handler runs
 * or waits to be tried again, a newer event of its key takes the place of an older one, as a reconcile needs the latest state only.
 */
import { backoffMs, sleep } from './backoff.ts'
import { KubeError } from './errors.ts'

const RETRY = { baseMs: 500, maxMs: 60_000 }

interface Delivery {
  /** The latest event that no handler has taken. */
  next: (() => Promise<void>) | undefined
  done: Promise<void>
}

export interface DeliveriesOptions {
  /** Every failure, before the event is tried again after `retryMs`. */
  readonly onFailure: (key: string, error: unknown, retryMs: number) => void
  /** In [0, 1). Default Math.random. */
  readonly random?: () => number
}

export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #stopping = new AbortController()
  readonly #keys = new Map<string, Delivery>()

  constructor(options: DeliveriesOptions) {
    this.#options = options
  }

  /** Keys whose events are not all handled. */
  get depth(): number {
    return this.#keys.size
  }

  add(key: string, handle: () => Promise<void>): void {
    if (this.#stopping.signal.aborted) return
    const known = this.#keys.get(key)
    if (known !== undefined) {
      known.next = handle
      return
    }
    const delivery: Delivery = { next: handle, done: Promise.resolve() }
    this.#keys.set(key, delivery)
    delivery.done = this.#deliver(key, delivery)
  }

  /** Resolves when the handlers that run have ended; what waits is dropped. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all([...this.#keys.values()].map(({ done }) => done))
  }

  async #deliver(key: string, delivery: Delivery): Promise<void> {
    const { signal } = this.#stopping
    let failures = 0
    // The caller is in the middle of a stream of events.
    await Promise.resolve()
    for (let handle = delivery.next; handle !== undefined && !signal.aborted; handle = delivery.next) {
      delivery.next = undefined
      try {
        await handle()
        failures = 0
      } catch (error) {
        failures++
        const asked = error instanceof KubeError ? error.retryAfterMs : undefined
        const retryMs = asked ?? backoffMs(failures, { ...RETRY, random: this.#options.random ?? Math.random })
        this.#options.onFailure(key, error, retryMs)
        await sleep(retryMs, signal)
        delivery.next ??= handle
      }
    }
    this.#keys.delete(key)
  }
}
