/**
 * Writes the record of one termination: under which name and in which namespace, at what rate, and what to do where the API server
 * refuses it. It is never tried hot: once in each state (and soon again where it was forbidden), again after some minutes, and then no more.
 */
import { createHash } from 'node:crypto'
import { type PodTermination, STATES } from '../../api/pod-termination.ts'
import { recordObject } from '../../core/record-object.ts'
import { type Micros, SECOND } from '../../core/time.ts'
import type { RecordClient, StoredPodTermination, Written } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { Log } from '../../kube/log.ts'
import type { Refused } from '../../kube/refusal.ts'
import type { RateLimit } from '../rate-limit.ts'
import type { Tracker } from './tracker.ts'

/** A quota that is full mostly stays so; a CRD that is missing is applied by a person. */
const RETRY_REFUSED: Micros = 300 * SECOND
/** An API server that has just started forbids everything for a moment, until it has read its RBAC objects (130 ms on 1.37). */
const RETRY_FORBIDDEN: Micros = 5 * SECOND
const TELL_AGAIN: Micros = 3600 * SECOND
const MAX_TOLD = 10_000

/** How writes of records went, of every part of the program that writes some. */
export class RecordCounts {
  readonly #refused: Record<string, number> = {}
  #written = 0

  get written(): number {
    return this.#written
  }

  /** By reason. */
  get refused(): Readonly<Record<string, number>> {
    return { ...this.#refused }
  }

  add(answer: Written | Refused): void {
    if (answer.result === 'Written') this.#written++
    else this.#refused[answer.reason] = (this.#refused[answer.reason] ?? 0) + 1
  }
}

export interface RecordWriterOptions {
  readonly records: RecordClient
  readonly clock: RecorderClock
  readonly log: Log
  /** Gracewatch's own, for records of namespaces that take none. */
  readonly namespace: string
  readonly limit: RateLimit
  /** Where its writes are counted. */
  readonly counts: RecordCounts
}

export class RecordWriter {
  readonly #options: RecordWriterOptions
  readonly #told = new Map<string, Micros>()

  constructor(options: RecordWriterOptions) {
    this.#options = options
  }

  /** True where this state was refused a little while ago: nothing is to be tried before `tracker.notBefore`. */
  holdsBack(tracker: Tracker, record: PodTermination): boolean {
    return tracker.refusedIn === record.state && this.#options.clock.now() < tracker.notBefore
  }

  /**
   * @returns whether the record stands; where it was refused for good, or is not ours to write any more, the tracker is closed.
   * Throws KubeError for what may pass by itself.
   */
  async write(tracker: Tracker, record: PodTermination): Promise<boolean> {
    const { records, log, namespace, limit, counts } = this.#options
    if (tracker.mayExist) {
      await this.find(tracker, record)
      if (tracker.closed) return tracker.stands
      if (!isNews(tracker, record)) return true
    }
    for (;;) {
      await limit.take()
      const result = await records.apply(recordObject(record, this.#place(tracker)))
      if (result.result === 'Written') {
        counts.add(result)
        tracker.stands = true
        tracker.written = { state: record.state, digest: digestOf(record) }
        return true
      }
      const gone = result.reason === 'NamespaceTerminating' || result.reason === 'NamespaceNotFound'
      if (gone && !tracker.elsewhere && tracker.namespace !== namespace) {
        tracker.elsewhere = true
        continue
      }
      if (result.reason === 'Invalid' && !tracker.fullName && result.message.includes('pod.uid')) {
        tracker.fullName = true
        continue
      }
      this.#refuse(tracker, record, result)
      log.debug({ uid: tracker.uid, state: record.state, reason: result.reason, error: result.message }, 'record refused')
      return false
    }
  }

  /** Looks for the record that another leader or an earlier run may have written, and learns from it what is left to do. */
  async find(tracker: Tracker, record: PodTermination): Promise<void> {
    const found = await this.#stored(tracker, record)
    tracker.mayExist = false
    // Without a state it is what an agent has begun.
    tracker.stands = found?.state !== undefined
    if (found !== undefined) {
      tracker.written = { state: found.state, digest: '' }
      // Whoever completed it saw more than we did.
      if (found.state === 'Complete') tracker.closed = true
    } else if (tracker.recordedBefore) {
      // It was written once, and somebody has deleted it.
      tracker.closed = true
    }
  }

  /** The record as it stands where it was written last. */
  read(tracker: Tracker, record: PodTermination): Promise<StoredPodTermination | undefined> {
    const { metadata } = recordObject(record, this.#place(tracker))
    return this.#options.records.get(metadata.namespace, metadata.name)
  }

  async #stored(tracker: Tracker, record: PodTermination): Promise<StoredPodTermination | undefined> {
    for (const elsewhere of [false, true]) {
      for (const fullName of [false, true]) {
        const { metadata } = recordObject(record, this.#place({ elsewhere, fullName }))
        const found = await this.#options.records.get(metadata.namespace, metadata.name)
        // The full UID is taken only where another pod's record holds the short name.
        if (found === undefined) break
        if (found.pod.uid !== tracker.uid) continue
        tracker.elsewhere = elsewhere
        tracker.fullName = fullName
        return found
      }
    }
    return undefined
  }

  #place({ elsewhere, fullName }: Pick<Tracker, 'elsewhere' | 'fullName'>): { full?: boolean; elsewhere?: string } {
    return { ...(fullName ? { full: true } : {}), ...(elsewhere ? { elsewhere: this.#options.namespace } : {}) }
  }

  #refuse(tracker: Tracker, record: PodTermination, refused: Refused): void {
    const { clock, log, counts } = this.#options
    const now = clock.now()
    counts.add(refused)
    const key = `${tracker.namespace}/${refused.reason}`
    const told = this.#told.get(key)
    if (told === undefined || now - told > TELL_AGAIN) {
      if (this.#told.size >= MAX_TOLD) this.#told.clear()
      this.#told.set(key, now)
      log.warn({ namespace: tracker.namespace, reason: refused.reason, error: refused.message }, 'records refused')
    }
    tracker.refusals = tracker.refusedIn === record.state ? tracker.refusals + 1 : 1
    tracker.refusedIn = record.state
    tracker.refusal = refused
    const soon = refused.reason === 'Forbidden' && tracker.refusals === 1
    tracker.notBefore = now + (soon ? RETRY_FORBIDDEN : RETRY_REFUSED)
    // Of a termination that is over, the second refusal is the last, not counting the one that a server in its start may have made.
    const most = refused.reason === 'Forbidden' ? 3 : 2
    if (refused.retry === 'Never' || (tracker.refusals >= most && record.state === 'Complete')) tracker.closed = true
  }
}

/** True where the record is further than what has been written of this termination, by whomever: a state is never taken back. */
export function isNews({ written }: Tracker, { state }: PodTermination): boolean {
  return rank(state) > rank(written?.state)
}

const rank = (state: PodTermination['state']): number => (state === undefined ? -1 : STATES.indexOf(state))

/** Tells whether a record has changed, at a fraction of its size. */
export function digestOf(record: PodTermination): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('base64')
}
