/** The field `kernel` of stored records -> facts. What does not fit the schema is told, counted and left out; the record goes on without. */
import { type KernelFacts, kernelSchema } from '../../api/kernel.ts'
import type { KernelFact } from '../../core/evidence.ts'
import type { Micros } from '../../core/time.ts'
import type { Log } from '../../kube/log.ts'

/** Beyond this, what could not be read is logged at debug only. */
const MAX_WARNINGS = 20

export class KernelReader {
  readonly #log: Log
  #malformed = 0
  #foreign = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** Values that did not fit the schema, and those of an agent of another node than the pod's. */
  get refused(): { readonly malformed: number; readonly foreign: number } {
    return { malformed: this.#malformed, foreign: this.#foreign }
  }

  /**
   * Fields that this version does not know are left out.
   *
   * @param record namespace and name, for the log
   */
  read(kernel: unknown, record: string, arrivedAt: Micros): KernelFact | undefined {
    const parsed = kernelSchema.safeParse(kernel)
    if (parsed.success) return { type: 'Kernel', arrivedAt, kernel: parsed.data }
    this.#malformed++
    const [issue] = parsed.error.issues
    const field = ['kernel', ...(issue?.path ?? [])].join('.')
    const level = this.#malformed <= MAX_WARNINGS ? 'warn' : 'debug'
    this.#log[level]({ record, field, detail: issue?.message }, 'what an agent has written cannot be read and is left out')
    return undefined
  }

  /** Any agent may be the first to write a record of a pod; the core believes that of the pod's own node alone. */
  check({ node }: KernelFacts, uid: string, podNode: string | undefined): void {
    if (podNode === undefined || podNode === node) return
    this.#foreign++
    const level = this.#foreign <= MAX_WARNINGS ? 'warn' : 'debug'
    this.#log[level]({ uid, node, podNode }, 'an agent of another node has written of this pod: what it says is not believed')
  }
}
