/** Waiting for something that is told, and for something that has to be looked at. */

/** Things that arrive one after the other, and those who wait for one of them. */
export class Arrivals<T> {
  readonly all: T[] = []
  readonly #waiting = new Set<() => void>()

  add(item: T): void {
    this.all.push(item)
    for (const look of [...this.#waiting]) look()
  }

  /** The first that fits, of those that came and those to come. Rejects when none came in time. */
  async first(fits: (item: T) => boolean, timeoutMs: number, what: string): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const look = () => {
      const found = this.all.find(fits)
      if (found !== undefined) resolve(found)
    }
    const timer = setTimeout(() => reject(new Error(`${what} did not come within ${timeoutMs / 1000} s`)), timeoutMs)
    this.#waiting.add(look)
    look()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(look)
    }
  }
}

/** Asks again and again until there is an answer. `what` is a noun with its state: "the pod gone". */
export async function eventually<T>(
  ask: () => Promise<T | undefined> | T | undefined,
  timeoutMs: number,
  what: string,
): Promise<T> {
  const until = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > until) throw new Error(`${what}: not within ${timeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
