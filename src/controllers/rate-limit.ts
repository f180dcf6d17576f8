/** So many a second, averaged over a second; what is over waits for its turn. */
export class RateLimit {
  readonly #perSecond: number
  readonly #now: () => number
  /** When the next one may go, by the clock; may lie up to a second in the past, which is what a burst can use. */
  #next = Number.NEGATIVE_INFINITY
  #open = false

  /** @param now milliseconds, monotonic */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#now = now
  }

  /** Resolves, in the order of the calls, when it is this call's turn. */
  async take(): Promise<void> {
    if (this.#open) return
    const now = this.#now()
    const apart = 1000 / this.#perSecond
    const turn = Math.max(this.#next, now - 1000 + apart)
    this.#next = turn + apart
    if (turn > now) await new Promise((resolve) => setTimeout(resolve, turn - now))
  }

  /** Holds nobody up from now on: for the end of the process, where what is left is little. */
  open(): void {
    this.#open = true
  }
}
