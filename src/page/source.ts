/** Where the page has its records from: a watch for the lists, and one read for a record that is opened. */
import { type PodTermination, podTerminationSchema } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { createRecordClient, RECORDS, type StoredPodTermination } from '../kube/apply.ts'
import { createClock } from '../kube/clock.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'
import { Reflector } from '../kube/reflector.ts'
import { Book } from './book.ts'
import { decodeRow, type TerminationRow } from './row.ts'

export interface OpenedRecord {
  /** As the API server has it, for who wants to read that. */
  readonly stored: StoredPodTermination
  /** Absent where this version cannot read it; `problem` says why. */
  readonly record?: PodTermination
  readonly problem?: string
}

export interface PageSource {
  readonly book: Book
  /** What is shown, as `all namespaces`. */
  readonly scope: string
  /** Undefined: there is none of this name. */
  open(namespace: string, name: string): Promise<OpenedRecord | undefined>
  /** Why the lists may be behind, as a sentence; undefined while all is well. */
  problem(): string | undefined
  now(): Micros
  /** Of the times of day, as Europe/Berlin. */
  readonly timeZone: string
}

export interface WatchedSource extends PageSource {
  /** Resolves when the first list is complete; rejects where the watch was stopped before. */
  whenSynced(): Promise<void>
  stop(): Promise<void>
}

/** Begins to watch the records of one namespace, or of all. */
export function watchRecords(options: {
  readonly http: KubeHttp
  readonly log: Log
  readonly namespace?: string | undefined
  /** The present on the API server's clock. */
  readonly now: () => Micros
  readonly timeZone: string
}): WatchedSource {
  const { http, log, namespace, now, timeZone } = options
  const book = new Book()
  const records = createRecordClient({ http })
  const reflector = new Reflector<TerminationRow>({
    http,
    log,
    clock: createClock(),
    path: namespace === undefined ? RECORDS.everywhere : RECORDS.of(namespace),
    decode: decodeRow,
    onChange: ({ type, object }) => {
      if (type === 'Deleted' || type === 'Vanished') book.remove(object.uid)
      else book.put(object)
    },
  })
  reflector.start()
  return {
    book,
    scope: namespace === undefined ? 'all namespaces' : `namespace ${namespace}`,
    async open(of, name) {
      if (namespace !== undefined && of !== namespace) return undefined
      const stored = await records.get(of, name)
      return stored && openedOf(stored)
    },
    problem() {
      const { lastError, failuresInRow } = reflector.stats
      if (lastError === undefined || failuresInRow < 2) return undefined
      return `The watch of the records is interrupted, so this may be behind: ${lastError}.`
    },
    now,
    timeZone,
    whenSynced: () => reflector.whenSynced(),
    stop: () => reflector.stop(),
  }
}

export function openedOf(stored: StoredPodTermination): OpenedRecord {
  const parsed = podTerminationSchema.safeParse(stored)
  if (parsed.success) return { stored, record: parsed.data }
  const [issue] = parsed.error.issues
  return { stored, problem: `${issue?.path.join('.') ?? 'the record'}: ${issue?.message ?? 'not as expected'}` }
}
