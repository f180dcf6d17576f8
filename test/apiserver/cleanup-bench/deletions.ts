/** Every deletion of a pod with a label, with its time of arrival. */
import type { HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { delay } from '../waiting.ts'

const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

export interface Deletion {
  readonly uid: string
  /** performance.now() */
  readonly at: number
}

interface WatchLine {
  readonly type: string
  readonly object: { readonly metadata: { readonly uid: string; readonly resourceVersion: string }; readonly message?: string }
}

/** The API server ends a watch whose reader does not keep up with thousands of deletions a second: it goes on where it was. */
export class Deletions {
  readonly #all: Deletion[] = []
  readonly #http: KubeHttp
  readonly #labelSelector: string
  #version: string
  #stream: HttpStream | undefined
  #failure: string | undefined
  #closed = false

  private constructor(http: KubeHttp, labelSelector: string, version: string) {
    this.#http = http
    this.#labelSelector = labelSelector
    this.#version = version
    void this.#run().catch((error: unknown) => this.#fail(String(error)))
  }

  static async start(http: KubeHttp, labelSelector: string): Promise<Deletions> {
    const list = await http.request({ method: 'GET', path: '/api/v1/pods', query: { labelSelector, limit: 1 } })
    const { resourceVersion } = list.json<{ metadata: { resourceVersion: string } }>().metadata
    return new Deletions(http, labelSelector, resourceVersion)
  }

  get all(): readonly Deletion[] {
    return this.#all
  }

  /** Returns once there are so many. */
  async reach(count: number, timeoutMs: number, check: () => void = () => {}): Promise<void> {
    const late = performance.now() + timeoutMs
    while (this.all.length < count) {
      if (this.#failure !== undefined) throw new Error(this.#failure)
      if (performance.now() > late) throw new Error(`deletion ${count} did not come: there were ${this.all.length}`)
      check()
      await delay(100)
    }
  }

  close(): void {
    this.#closed = true
    this.#stream?.close()
  }

  #fail(message: string): void {
    if (!this.#closed) this.#failure = message
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      // Metadata alone, so that what is measured has the processors for itself.
      const query = { watch: true, labelSelector: this.#labelSelector, resourceVersion: this.#version }
      this.#stream = await this.#http.stream({ method: 'GET', path: '/api/v1/pods', query, accept: METADATA })
      await this.#read(this.#stream)
    }
  }

  async #read(stream: HttpStream): Promise<void> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of stream.chunks) {
      const at = performance.now()
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const { type, object } = JSON.parse(line) as WatchLine // as the API documents it
        if (type === 'ERROR') throw new Error(object.message)
        this.#version = object.metadata.resourceVersion
        if (type === 'DELETED') this.#all.push({ uid: object.metadata.uid, at })
      }
    }
  }
}
