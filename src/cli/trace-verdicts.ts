/** What becomes of the terminations that a trace sees end: they are shown, kept for replay, and counted. */
import type { PodTermination } from '../api/pod-termination.ts'
import type { Fact } from '../core/evidence.ts'
import { assemble } from '../core/termination/index.ts'
import type { Micros } from '../core/time.ts'
import { CommandError } from './arguments.ts'
import { evidenceLine } from './evidence-file.ts'

export interface TraceVerdictsOptions {
  /** @param again it has been shown before, and more has come to be known of it */
  readonly show: (record: PodTermination, again: boolean) => void
  /** Where the evidence is kept; a line a call. */
  readonly save?: { readonly file: string; write(line: string): void }
  /** Of so many pods; absent: of all. */
  readonly count?: number
}

export class TraceVerdicts {
  /** Resolves when it has been as many as were asked for; rejects with CommandError where the evidence cannot be kept. */
  readonly done: Promise<void>
  readonly #options: TraceVerdictsOptions
  readonly #over = new Set<string>()
  readonly #settle: Omit<PromiseWithResolvers<void>, 'promise'>
  #lost = false

  constructor(options: TraceVerdictsOptions) {
    this.#options = options
    const { promise, ...settle } = Promise.withResolvers<void>()
    this.done = promise
    this.#settle = settle
    // Whoever waits has it; after Ctrl-C nobody does.
    promise.catch(() => {})
  }

  take(facts: readonly Fact[], now: Micros): void {
    const { show, count = Number.POSITIVE_INFINITY } = this.#options
    // What is shown is what a replay of the file will show.
    const record = assemble(facts, now)
    if (record === undefined) return
    const again = this.#over.has(record.pod.uid)
    if (!again && this.#over.size >= count) return
    this.#over.add(record.pod.uid)
    // First: a full disk is no reason to keep it from who waits for it.
    show(record, again)
    this.#keep(facts, now)
    if (this.#over.size >= count) this.#settle.resolve()
  }

  #keep(facts: readonly Fact[], now: Micros): void {
    const { save } = this.#options
    if (save === undefined || this.#lost) return
    try {
      save.write(evidenceLine(facts, now))
    } catch (error) {
      this.#lost = true
      this.#settle.reject(
        new CommandError(`cannot write ${save.file}: ${error instanceof Error ? error.message : String(error)}`),
      )
    }
  }
}
