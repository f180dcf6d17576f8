/** Waits between failures. */

export interface BackoffOptions {
  readonly baseMs: number
  readonly maxMs: number
  /** In [0, 1). */
  readonly random: () => number
}

/** Doubles from baseMs to maxMs; the upper half is left to chance, so that many clients do not come back together. */
export function backoffMs(failures: number, { baseMs, maxMs, random }: BackoffOptions): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30))
  return full / 2 + (full / 2) * random()
}

/** Resolves after the time, or at once when the signal aborts; leaves no timer. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}
