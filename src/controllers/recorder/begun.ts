/**
 * Records that only an agent has written so far: they have no state. Mostly the recorder writes into them a little later. What is left
 * is deleted, where the termination is none that is kept or has been recorded already, or recorded from what the agent saw, where the
 * pod went while no controller watched.
 */
import type { PodSnapshot } from '../../core/evidence.ts'
import { type Micros, parseTime, SECOND } from '../../core/time.ts'
import type { RecordClient } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { TerminationSnapshot } from '../../kube/decode/termination.ts'
import { KubeError } from '../../kube/errors.ts'
import type { Log } from '../../kube/log.ts'
import type { Change } from '../../kube/reflector-types.ts'
import { RateLimit } from '../rate-limit.ts'
import type { Recorder } from './recorder.ts'

/** An agent writes each 5 s while containers run, and the recorder 2 s after a termination began: what is left this long is left over. */
const QUIET: Micros = 20 * SECOND
const MAX_BEGUN = 20_000

export interface BegunRecordsOptions {
  readonly recorder: Pick<Recorder, 'tracks' | 'track' | 'decided' | 'inScope' | 'onRecord'>
  readonly records: Pick<RecordClient, 'get' | 'delete'>
  readonly pods: { get(uid: string): PodSnapshot | undefined }
  readonly clock: RecorderClock
  readonly log: Log
  readonly excludeNamespaces: readonly string[]
  /** Deletes in a second at most: each stands for a write of the recorder that is not made. */
  readonly deletesPerSecond: number
}

interface Begun {
  readonly record: Omit<TerminationSnapshot, 'kernel' | 'state'>
  readonly changedAt: Micros
  /** It has been given to the recorder. */
  given: boolean
}

export class BegunRecords {
  readonly #options: BegunRecordsOptions
  /** By the UID of the record, in the order of their last changes. */
  readonly #begun = new Map<string, Begun>()
  readonly #limit: RateLimit
  #mark: Micros | undefined
  #sweeping = false
  deleted = 0
  recorded = 0

  constructor(options: BegunRecordsOptions) {
    this.#options = options
    this.#limit = new RateLimit(options.deletesPerSecond)
  }

  get size(): number {
    return this.#begun.size
  }

  /** @param mark the high-water mark of the leader before, in the API server's time */
  lead(mark: Micros | undefined): void {
    this.#mark = mark
  }

  onRecord({ type, object, arrivedAt }: Change<TerminationSnapshot>): void {
    this.#begun.delete(object.uid)
    if (type === 'Deleted' || type === 'Vanished' || object.state !== undefined) return
    // What has no room is found again by the next list, and goes with age in the end.
    if (this.#begun.size >= MAX_BEGUN) return
    const { kernel: _, state: __, ...record } = object
    this.#begun.set(object.uid, { record, changedAt: arrivedAt, given: false })
  }

  /**
   * Looks at those that have been left alone for a while.
   *
   * @param proceed asked before each; false ends the pass
   */
  async sweep(proceed: () => boolean): Promise<void> {
    if (this.#sweeping) return
    this.#sweeping = true
    const { clock, log } = this.#options
    try {
      for (const [uid, begun] of [...this.#begun]) {
        const { record, changedAt } = begun
        if (!proceed()) return
        if (clock.now() - changedAt < QUIET) return
        if (this.#begun.get(uid) !== begun) continue
        try {
          if ((await this.#settle(begun)) && this.#begun.get(uid) === begun) this.#begun.delete(uid)
        } catch (error) {
          if (error instanceof KubeError && error.code === 'Aborted') return
          log.warn(
            { record: `${record.namespace}/${record.name}`, error: String(error) },
            'record that an agent began not settled',
          )
        }
      }
    } finally {
      this.#sweeping = false
    }
  }

  /** @returns whether it is out of the way */
  async #settle(begun: Begun): Promise<boolean> {
    const { record } = begun
    const { recorder, pods, excludeNamespaces } = this.#options
    const { uid, namespace } = record.pod
    if (excludeNamespaces.includes(namespace)) return this.#delete(record)
    if (!recorder.inScope(namespace)) return true
    // Its record will have a state, or it will have been decided that it gets none.
    if (recorder.tracks(uid)) return false
    if (recorder.decided(uid)) return this.#delete(record)
    // The recorder made nothing of it: it goes with age.
    if (begun.given) return true
    begun.given = true
    return this.#record(record, pods.get(uid))
  }

  /** Of a pod that nobody saw end. */
  async #record(record: Begun['record'], standing: PodSnapshot | undefined): Promise<boolean> {
    const { recorder, records, clock } = this.#options
    const { namespace, name, uid, pod } = record
    const stored = await records.get(namespace, name)
    if (stored === undefined || stored.metadata.uid !== uid || stored.state !== undefined) return true
    // Its termination began before the record was made, in whole seconds; by the mark it was recorded, or left out.
    const madeBy = (parseTime(stored.metadata.creationTimestamp) ?? Number.POSITIVE_INFINITY) + SECOND
    if (this.#mark !== undefined && madeBy < this.#mark)
      return this.#delete({ ...record, resourceVersion: stored.metadata.resourceVersion })
    const arrivedAt = clock.now()
    // No earlier than its first trace, so that a time in which nobody watched is told of.
    const from = parseTime(stored.kernel?.tracedFrom) ?? parseTime(stored.metadata.creationTimestamp) ?? arrivedAt
    if (standing === undefined) recorder.track({ type: 'Absent', arrivedAt, pod }, undefined, from)
    else recorder.track({ type: 'Pod', change: 'Listed', arrivedAt, pod: standing }, undefined, from)
    const { resourceVersion } = stored.metadata
    const kernel = stored.kernel === undefined ? {} : { kernel: stored.kernel }
    const object = { uid, namespace, name, resourceVersion, pod, ...kernel }
    recorder.onRecord({ type: 'Listed', object, arrivedAt })
    this.recorded++
    return false
  }

  /** Only as long as nobody has written into it. */
  async #delete({ namespace, name, uid, resourceVersion }: Begun['record']): Promise<boolean> {
    await this.#limit.take()
    if (await this.#options.records.delete({ namespace, name, uid, resourceVersion })) this.deleted++
    return true
  }
}
