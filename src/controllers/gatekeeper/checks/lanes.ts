/**
 * Who may ask next. Probes run side by side in two lanes: those that were quick the last time have one, those that were slow the other, so
 * that pods that let everybody wait only wait for each other. Within a lane namespaces take turns, and none has more than half of it.
 */

export interface Job {
  readonly namespace: string
  /** Which lane it belongs to, asked each time that it is queued. */
  readonly slow: boolean
  /** Rejects never. */
  run(): Promise<void>
}

class Lane {
  readonly #max: number
  readonly #perNamespace: number
  #running = 0
  readonly #runningOf = new Map<string, number>()
  /** By namespace; the next to have its turn is in front. No namespace is empty. */
  readonly #waiting = new Map<string, Set<Job>>()

  constructor(max: number) {
    this.#max = max
    this.#perNamespace = Math.max(1, Math.ceil(max / 2))
  }

  get running(): number {
    return this.#running
  }

  add(job: Job): void {
    const { namespace } = job
    const waiting = this.#waiting.get(namespace)
    if (waiting === undefined) this.#waiting.set(namespace, new Set([job]))
    else waiting.add(job)
    this.#fill()
  }

  remove(job: Job): void {
    const waiting = this.#waiting.get(job.namespace)
    if (waiting?.delete(job) && waiting.size === 0) this.#waiting.delete(job.namespace)
  }

  #fill(): void {
    while (this.#running < this.#max) {
      const job = this.#next()
      if (job === undefined) return
      void this.#run(job)
    }
  }

  #next(): Job | undefined {
    for (const [namespace, waiting] of this.#waiting) {
      if ((this.#runningOf.get(namespace) ?? 0) >= this.#perNamespace) continue
      const [job] = waiting
      if (job === undefined) continue
      waiting.delete(job)
      this.#waiting.delete(namespace)
      // Behind the others.
      if (waiting.size > 0) this.#waiting.set(namespace, waiting)
      return job
    }
    return undefined
  }

  async #run(job: Job): Promise<void> {
    const { namespace } = job
    this.#running++
    this.#runningOf.set(namespace, (this.#runningOf.get(namespace) ?? 0) + 1)
    await job.run()
    this.#running--
    const left = (this.#runningOf.get(namespace) ?? 1) - 1
    if (left === 0) this.#runningOf.delete(namespace)
    else this.#runningOf.set(namespace, left)
    this.#fill()
  }
}

export class Lanes {
  readonly #quick: Lane
  readonly #slow: Lane

  /** @param parallel how many run at the same time in both lanes together; from 2 */
  constructor(parallel: number) {
    this.#quick = new Lane(Math.max(1, Math.ceil(parallel / 2)))
    this.#slow = new Lane(Math.max(1, Math.floor(parallel / 2)))
  }

  get running(): number {
    return this.#quick.running + this.#slow.running
  }

  add(job: Job): void {
    ;(job.slow ? this.#slow : this.#quick).add(job)
  }

  /** It is not to run any more; one that runs is not ended by it. */
  remove(job: Job): void {
    this.#quick.remove(job)
    this.#slow.remove(job)
  }
}
