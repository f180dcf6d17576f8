/**
 * How far back a watch is known to be complete: no change before `until` was missed. That is a lower bound for whatever happened in
 * a gap, so it has to hold where bytes come late:
 * - A list answers for the time at which it was asked for.
 * - An event that arrives answers for nearly its time of arrival, provided that the watch has caught up: after a resume the first
 *   events can be as old as the cut. It has caught up at the first bookmark, which queues behind them, or after a silence.
 * - Where this process was held up (stopped, starved, a laptop asleep), what arrives next can have waited in the socket since.
 *   A tick each second shows that: before the last but one tick everything that had come was read.
 * - The API server itself is taken to deliver within a second (SERVER_LAG).
 */
import { type Micros, SECOND } from '../core/time.ts'

const SERVER_LAG = SECOND
/** Ticks without a byte after which nothing can be waiting at a server that delivers within SERVER_LAG. */
const SILENT_TICKS = 3

export class Horizon {
  #until: Micros | undefined
  #caughtUp = false
  #lastTick: Micros | undefined
  #tickBefore: Micros | undefined
  #silentTicks = 0

  get until(): Micros | undefined {
    return this.#until
  }

  /** A consistent list that was asked for at this time is complete. */
  listed(sentAt: Micros): void {
    this.#advance(sentAt)
  }

  /** A watch was opened. */
  opened(): void {
    this.#caughtUp = false
    this.#lastTick = undefined
    this.#tickBefore = undefined
    this.#silentTicks = 0
  }

  /** Call each second while a watch is open. */
  tick(now: Micros): void {
    this.#tickBefore = this.#lastTick
    this.#lastTick = now
    this.#silentTicks++
    if (this.#silentTicks >= SILENT_TICKS) this.#caughtUp = true
  }

  /** Bytes of the watch arrived. */
  arrived(at: Micros): void {
    this.#silentTicks = 0
    if (!this.#caughtUp || this.#tickBefore === undefined) return
    this.#advance(Math.min(at, this.#tickBefore) - SERVER_LAG)
  }

  bookmark(): void {
    this.#caughtUp = true
  }

  #advance(at: Micros): void {
    if (this.#until === undefined || at > this.#until) this.#until = at
  }
}
