import type { NamesOf } from './definitions.ts'
import type { Labels, MetricRegistry } from './registry.ts'

/** Longer than an alert looks back (`lately` in src/alerts/promql.ts). */
const KEEP_MS = 360_000
const MAX_ENDED = 2000

/**
 * A gauge of states that come and go. What has ended is told as 0 for some minutes: alerts take the last value of five minutes, which is to
 * bridge scrapes that are missing, and not to make a state last longer than it did.
 */
export class StateGauge<K extends NamesOf<'Gauge'>> {
  readonly #registry: MetricRegistry
  readonly #name: K
  readonly #now: () => number
  /** What was told and when, the oldest first. */
  readonly #told = new Map<string, { readonly labels: Labels<K>; readonly at: number }>()

  /** @param now milliseconds, monotonic */
  constructor(registry: MetricRegistry, name: K, now: () => number = () => performance.now()) {
    this.#registry = registry
    this.#name = name
    this.#now = now
  }

  /** All states as they are now, each under labels of its own. */
  tell(states: Iterable<{ readonly labels: Labels<K>; readonly value: number }>): void {
    const now = this.#now()
    this.#registry.empty(this.#name)
    for (const [key, { labels, at }] of this.#told) {
      if (now - at < KEEP_MS) this.#registry.set(this.#name, labels, 0)
      else this.#told.delete(key)
    }
    for (const { labels, value } of states) {
      this.#registry.set(this.#name, labels, value)
      if (value === 0) continue
      const key = JSON.stringify(labels)
      this.#told.delete(key)
      this.#told.set(key, { labels, at: now })
    }
    for (const key of this.#told.keys()) {
      if (this.#told.size <= MAX_ENDED) break
      this.#told.delete(key)
    }
  }

  /** Another replica tells them: a 0 of this one would end what goes on there. */
  leave(): void {
    this.#registry.empty(this.#name)
    this.#told.clear()
  }
}
