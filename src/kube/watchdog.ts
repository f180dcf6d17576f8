export interface WatchdogOptions {
  readonly tickMs: number
  /** How long the stream may be silent; asked at every tick, as it differs between a list and a watch. */
  readonly limitMs: () => number
  readonly onTick: () => void
  /** Once. */
  readonly onSilent: (limitMs: number) => void
}

/**
 * Notices a connection that is open but dead. Silence is counted in ticks and not read from a clock: where this process was stopped
 * for a while, the bytes that came meanwhile are waiting in the socket.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout
  #silentMs = 0

  constructor({ tickMs, limitMs, onTick, onSilent }: WatchdogOptions) {
    this.#timer = setInterval(() => {
      onTick()
      this.#silentMs += tickMs
      const limit = limitMs()
      if (this.#silentMs < limit) return
      this.stop()
      onSilent(limit)
    }, tickMs)
  }

  /** Bytes came. */
  reset(): void {
    this.#silentMs = 0
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
