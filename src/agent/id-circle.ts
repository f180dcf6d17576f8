/** Whether the kernel can have given a process id to another: it gives them in a circle, each to a process or a thread that is started. */
import type { Micros } from '../core/time.ts'
import type { Procfs } from './procfs.ts'

/** How many processes were started is asked no more often than this. */
const ASK_STARTED: Micros = 100_000
/** Ids that are in use are left out of the circle, so it can be shorter than it is long. */
const CIRCLE = 0.5

export class IdCircle {
  readonly #proc: Procfs
  readonly #mono: () => Micros
  readonly #pidMax: number
  #started: { readonly at: Micros; readonly count: number | undefined } = { at: Number.NEGATIVE_INFINITY, count: undefined }

  constructor(proc: Procfs, mono: () => Micros) {
    this.#proc = proc
    this.#mono = mono
    this.#pidMax = proc.pidMax()
  }

  /** How many processes and threads have been started on the node, as of a moment ago; undefined where that cannot be read. */
  started(): number | undefined {
    const now = this.#mono()
    if (now - this.#started.at > ASK_STARTED) this.#started = { at: now, count: this.#proc.started() }
    return this.#started.count
  }

  /** Whether the id of a process that is gone can have been given to another since so many had been started. */
  mayBeAnew(since: number | undefined): boolean {
    return this.round(since) > CIRCLE
  }

  /** How much of the circle has been given since so many had been started; all of it where one of the two is not known. */
  round(since: number | undefined): number {
    const count = this.started()
    return count === undefined || since === undefined ? 1 : (count - since) / this.#pidMax
  }
}
