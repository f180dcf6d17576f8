/** Every deletion of a pod with a label, with its time of arrival. */
import type { HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { Arrivals } from '../waiting.ts'

const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

export interface Deletion {
  readonly uid: string
  /** performance.now() */
  readonly at: number
}

interface WatchLine {
  readonly type: string
  readonly object: { readonly metadata: { readonly uid: string }; readonly message?: string }
}

export class Deletions {
  readonly arrivals = new Arrivals<Deletion>()
  readonly #stream: HttpStream
  #failure: string | undefined
  #closed = false

  private constructor(stream: HttpStream) {
    this.#stream = stream
    void this.#read().catch((error: unknown) => this.#fail(String(error)))
  }

  /** Metadata alone, so that what is measured has the processors for itself. */
  static async start(http: KubeHttp, labelSelector: string): Promise<Deletions> {
    const list = await http.request({ method: 'GET', path: '/api/v1/pods', query: { labelSelector, limit: 1 } })
    const { resourceVersion } = list.json<{ metadata: { resourceVersion: string } }>().metadata
    const query = { watch: true, labelSelector, resourceVersion }
    return new Deletions(await http.stream({ method: 'GET', path: '/api/v1/pods', query, accept: METADATA }))
  }

  get all(): readonly Deletion[] {
    return this.arrivals.all
  }

  /** Returns once there are so many. */
  async reach(count: number, timeoutMs: number, check: () => void = () => {}): Promise<void> {
    const timer = setInterval(() => {
      try {
        check()
      } catch (error) {
        this.#fail(error instanceof Error ? error.message : String(error))
      }
    }, 1000)
    try {
      const enough = () => this.#failure !== undefined || this.all.length >= count
      if (!enough()) await this.arrivals.first(enough, timeoutMs, `deletion ${count}`)
    } catch (error) {
      throw new Error(`${String(error)}: there were ${this.all.length}`)
    } finally {
      clearInterval(timer)
    }
    if (this.#failure !== undefined) throw new Error(this.#failure)
  }

  close(): void {
    this.#closed = true
    this.#stream.close()
  }

  #fail(message: string): void {
    if (this.#closed) return
    this.#failure = message
    // Wakes whoever waits.
    this.arrivals.add({ uid: '', at: performance.now() })
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of this.#stream.chunks) {
      const at = performance.now()
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const { type, object } = JSON.parse(line) as WatchLine // as the API documents it
        if (type === 'DELETED') this.arrivals.add({ uid: object.metadata.uid, at })
        if (type === 'ERROR') throw new Error(object.message)
      }
    }
    if (!this.#closed) throw new Error('the watch of deletions has ended')
  }
}
