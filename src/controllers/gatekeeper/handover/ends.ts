/** How the pods of workloads have been ending: their records, read once, and then what the recorder finds. */
import type { PodTermination } from '../../../api/pod-termination.ts'
import type { Workload } from '../../../core/evidence.ts'
import type { EndedPod } from '../../../core/gates/types.ts'
import { labelValue } from '../../../core/record-name.ts'
import { LABEL } from '../../../core/record-object.ts'
import { parseTime } from '../../../core/time.ts'
import type { RecordClient } from '../../../kube/apply.ts'

/** The latest ends of one workload; a brake that counts to more than this is none. */
const MAX_ENDS = 10_000
/** Workloads whose ends are kept; of the one that was asked for longest ago the records are read again when it rolls out again. */
const MAX_BOOKS = 1000
const RETRY_MS = 5000

interface Book {
  readonly ends: Map<string, EndedPod>
  state: 'Reading' | 'Read' | 'Failed'
  problem?: string
  failedAt?: number
}

export class Ends {
  readonly #records: Pick<RecordClient, 'list'>
  readonly #onRead: (workloadUid: string) => void
  readonly #books = new Map<string, Book>()

  constructor(records: Pick<RecordClient, 'list'>, onRead: (workloadUid: string) => void) {
    this.#records = records
    this.#onRead = onRead
  }

  /** Begins to read where nobody has asked before. */
  of(
    namespace: string,
    workload: Workload & { readonly uid: string },
  ): { readonly ended: readonly EndedPod[] } | { readonly problem: string; readonly pending: boolean } {
    const book = this.#books.get(workload.uid)
    if (book !== undefined) {
      this.#books.delete(workload.uid)
      this.#books.set(workload.uid, book)
    }
    if (book?.state === 'Read') return { ended: [...book.ends.values()] }
    const tired = book?.state === 'Failed' && performance.now() - (book.failedAt ?? 0) < RETRY_MS
    if (book === undefined || (book.state === 'Failed' && !tired)) void this.#read(namespace, workload)
    return tired
      ? { problem: book?.problem ?? 'the records cannot be read', pending: false }
      : { problem: 'the records are being read', pending: true }
  }

  /** @returns UID of the workload, where somebody has asked for it */
  onVerdict(record: PodTermination): string | undefined {
    const uid = record.pod.workload?.uid
    const book = uid === undefined ? undefined : this.#books.get(uid)
    if (book === undefined) return undefined
    this.#note(book, record)
    return uid
  }

  async #read(namespace: string, workload: Workload & { readonly uid: string }): Promise<void> {
    const book: Book = this.#books.get(workload.uid) ?? { ends: new Map(), state: 'Reading' }
    book.state = 'Reading'
    this.#books.set(workload.uid, book)
    const [longestAgo] = this.#books.keys()
    if (this.#books.size > MAX_BOOKS && longestAgo !== undefined) this.#books.delete(longestAgo)
    const labelSelector = `${LABEL.workloadKind}=${labelValue(workload.kind)},${LABEL.workload}=${labelValue(workload.name)}`
    try {
      for await (const record of this.#records.list({ namespace, labelSelector }))
        if (record.pod.workload?.uid === workload.uid) this.#note(book, record)
      book.state = 'Read'
    } catch (error) {
      book.state = 'Failed'
      book.failedAt = performance.now()
      book.problem = `the records of how its pods ended cannot be read: ${error instanceof Error ? error.message : String(error)}`
    }
    this.#onRead(workload.uid)
  }

  #note({ ends }: Book, { pod, state, outcome, finishedAt }: PodTermination): void {
    const at = parseTime(finishedAt)
    if (state !== 'Complete' || outcome === undefined || at === undefined) return
    ends.delete(pod.uid)
    ends.set(pod.uid, { uid: pod.uid, name: pod.name, outcome, finishedAt: at })
    if (ends.size <= MAX_ENDS) return
    const [oldest] = ends.keys()
    if (oldest !== undefined) ends.delete(oldest)
  }
}
