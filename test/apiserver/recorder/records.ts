/** Every version of every record of one CRD group, as the API server's watch tells them. */
import type { StoredPodTermination } from '../../../src/kube/apply.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { Arrivals, eventually } from '../waiting.ts'
import { watchLines } from '../watch-lines.ts'

interface Version {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly record: StoredPodTermination
  /** performance.now() of the arrival. */
  readonly at: number
}

const WAIT_MS = 60_000

export class RecordWatch {
  readonly #versions = new Arrivals<Version>()
  readonly #stream: HttpStream
  readonly #done: Promise<void>

  private constructor(stream: HttpStream) {
    this.#stream = stream
    this.#done = this.#read()
  }

  /** From now on, in all namespaces; what is there already comes first. */
  static async start(http: KubeHttp, group: string): Promise<RecordWatch> {
    const request = {
      method: 'GET',
      path: `/apis/${group}/v1alpha1/podterminations`,
      query: { watch: true, timeoutSeconds: 3600 },
    } as const
    // Established is not yet served: for a moment the API server still makes the storage of a new CRD.
    const open = () =>
      http.stream(request).catch((error: unknown) => {
        if (error instanceof KubeError && ['TooManyRequests', 'NotFound'].includes(error.code)) return undefined
        throw error
      })
    return new RecordWatch(await eventually(open, 20_000, `${group} served`))
  }

  async close(): Promise<void> {
    this.#stream.close()
    await this.#done
  }

  get all(): readonly Version[] {
    return this.#versions.all
  }

  /** Versions of this pod's record, the first in front: one for each write that changed it. */
  of(uid: string): readonly Version[] {
    return this.all.filter(({ type, record }) => type !== 'DELETED' && record.pod.uid === uid)
  }

  /** States in the order of the writes. */
  states(uid: string): readonly (string | undefined)[] {
    return this.of(uid).map(({ record }) => record.state)
  }

  /** The first version of this pod's record that fits. */
  until(uid: string, fits: (version: Version) => boolean, what: string, timeoutMs = WAIT_MS): Promise<Version> {
    const found = this.#versions.first(
      (version) => version.type !== 'DELETED' && version.record.pod.uid === uid && fits(version),
      timeoutMs,
      `${what}: the record of pod ${uid}`,
    )
    return found.catch((error: Error) => {
      throw new Error(`${error.message}; there are ${JSON.stringify(this.states(uid))}`)
    })
  }

  /** The version that the count-th write of this pod's record made. */
  async nth(uid: string, count: number, timeoutMs = WAIT_MS): Promise<Version> {
    return this.until(uid, (version) => this.of(uid).indexOf(version) === count - 1, `write ${count}`, timeoutMs)
  }

  inState(uid: string, state: string, timeoutMs = WAIT_MS): Promise<Version> {
    return this.until(uid, ({ record }) => record.state === state, state, timeoutMs)
  }

  complete(uid: string, timeoutMs = WAIT_MS): Promise<Version> {
    return this.inState(uid, 'Complete', timeoutMs)
  }

  deleted(name: string, timeoutMs = WAIT_MS): Promise<Version> {
    return this.#versions.first(
      ({ type, record }) => type === 'DELETED' && record.metadata.name === name,
      timeoutMs,
      `the delete of record ${name}`,
    )
  }

  async #read(): Promise<void> {
    for await (const { type, object } of watchLines<StoredPodTermination>(this.#stream))
      this.#versions.add({ type, record: object, at: performance.now() })
  }
}
