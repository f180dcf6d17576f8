/** The gated condition of every pod of a namespace, as the API server's watch tells it. */
import type { HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { eventually } from '../waiting.ts'
import { watchLines } from '../watch-lines.ts'
import { type ConditionObject, type PodObject, TYPE } from './world.ts'

const WAIT_MS = 120_000

export class PodWatch {
  readonly #stream: HttpStream
  readonly #done: Promise<void>
  readonly #conditions = new Map<string, ConditionObject>()
  /** When the status of the condition was seen to be what it is. */
  readonly #at = new Map<string, number>()

  private constructor(stream: HttpStream) {
    this.#stream = stream
    this.#done = this.#read()
    // Of interest to close() alone: a test that fails does not come to it.
    this.#done.catch(() => undefined)
  }

  static async start(http: KubeHttp, namespace: string): Promise<PodWatch> {
    const query = { watch: true, timeoutSeconds: 3600 }
    return new PodWatch(await http.stream({ method: 'GET', path: `/api/v1/namespaces/${namespace}/pods`, query }))
  }

  /** performance.now() of the arrival. */
  at(name: string): number | undefined {
    return this.#at.get(name)
  }

  async until(what: string, fits: (conditions: ReadonlyMap<string, ConditionObject>) => boolean): Promise<void> {
    await eventually(() => fits(this.#conditions) || undefined, WAIT_MS, what)
  }

  async close(): Promise<void> {
    this.#stream.close()
    await this.#done
  }

  async #read(): Promise<void> {
    for await (const { object } of watchLines<PodObject>(this.#stream)) {
      const { metadata, status } = object
      const condition = status.conditions?.find(({ type }) => type === TYPE)
      if (condition === undefined) continue
      if (this.#conditions.get(metadata.name)?.status !== condition.status) this.#at.set(metadata.name, performance.now())
      this.#conditions.set(metadata.name, condition)
    }
  }
}
