/** When a reflector tries again. */
import { backoffMs } from './backoff.ts'
import type { KubeErrorCode } from './errors.ts'

export interface Attempt {
  /** False: the server ended the stream as it should. */
  readonly failed: boolean
  /** Undefined where the failure is none of the server's. */
  readonly code: KubeErrorCode | undefined
  readonly retryAfterMs: number | undefined
  readonly livedMs: number
  /** The stream told anything. */
  readonly progress: boolean
}

/** A stream that lived this long was a good one even if nothing happened in it. */
const HEALTHY_MS = 10_000
/** While events do come, repeated breaks back off only so far. */
const MAX_PROGRESSING_FAILURES = 3
/** What broke was the connection: the first try can follow at once, and later ones need not be far apart. */
const CONNECTION: ReadonlySet<KubeErrorCode | undefined> = new Set(['Network', 'Timeout', 'BadResponse'])
const MAX_RECONNECT_MS = 5000

export class Retry {
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #inRow = 0
  #goneInRow = 0

  constructor(baseMs: number, maxMs: number, random: () => number) {
    this.#baseMs = baseMs
    this.#maxMs = maxMs
    this.#random = random
  }

  /** Milliseconds to wait before the next attempt. */
  after({ failed, code, retryAfterMs, livedMs, progress }: Attempt): number {
    // A server that tells one thing and breaks, again and again, is not to be asked without pause either.
    const good = livedMs >= HEALTHY_MS || (progress && livedMs >= this.#baseMs)
    if (good) this.#inRow = this.#goneInRow = 0
    if (!failed && good) return 0
    this.#inRow++
    if (progress) this.#inRow = Math.min(this.#inRow, MAX_PROGRESSING_FAILURES)
    // A 410 comes from a server that is well, and every moment until the new list widens the gap.
    const atOnce = code === 'Gone' ? ++this.#goneInRow === 1 : this.#inRow === 1 && (!failed || CONNECTION.has(code))
    const maxMs = CONNECTION.has(code) ? Math.min(this.#maxMs, MAX_RECONNECT_MS) : this.#maxMs
    const waitMs = atOnce ? 0 : backoffMs(this.#inRow, { baseMs: this.#baseMs, maxMs, random: this.#random })
    return Math.max(waitMs, retryAfterMs ?? 0)
  }
}
