/** Which terminations have been dealt with a little while ago: what an agent writes of them now begins no new record. */
import { type Micros, SECOND } from '../../core/time.ts'

const KEEP: Micros = 900 * SECOND
const MAX = 20_000

export class Decided {
  /** UIDs of pods whose record has been completed, or that get none, and since when; the oldest first. */
  readonly #since = new Map<string, Micros>()

  add(uid: string, now: Micros): void {
    this.#since.delete(uid)
    this.#since.set(uid, now)
    const [oldest] = this.#since.keys()
    if (this.#since.size > MAX && oldest !== undefined) this.#since.delete(oldest)
  }

  has(uid: string, now: Micros): boolean {
    const at = this.#since.get(uid)
    return at !== undefined && now - at < KEEP
  }
}
