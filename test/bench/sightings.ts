/** What a watch told, with the time of arrival: metadata alone, so that what is measured has the processors for itself. */
import type { HttpStream, KubeHttp } from '../../src/kube/http.ts'
import { watchLines } from '../apiserver/watch-lines.ts'

const AS_METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const AS_METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'

export interface Sighting {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly namespace: string
  readonly name: string
  /** resourceVersion */
  readonly version: string
  /** performance.now() */
  readonly at: number
}

export interface Watched {
  readonly path: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

interface WithMetadata {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly resourceVersion: string
  }
}

export class Sightings {
  readonly #http: KubeHttp
  readonly #watched: Watched
  readonly #onSighting: (sighting: Sighting) => void
  #version: string
  #stream: HttpStream | undefined
  #closed = false
  readonly #done: Promise<void>
  failure: unknown

  private constructor(http: KubeHttp, watched: Watched, version: string, onSighting: (sighting: Sighting) => void) {
    this.#http = http
    this.#watched = watched
    this.#version = version
    this.#onSighting = onSighting
    this.#done = this.#run().catch((error: unknown) => {
      if (!this.#closed) this.failure = error
    })
  }

  /** From now on. */
  static async start(http: KubeHttp, watched: Watched, onSighting: (sighting: Sighting) => void): Promise<Sightings> {
    const { path, ...selectors } = watched
    const list = await http.request({ method: 'GET', path, query: { ...selectors, limit: 1 }, accept: AS_METADATA_LIST })
    const { resourceVersion } = list.json<{ metadata: { resourceVersion: string } }>().metadata
    return new Sightings(http, watched, resourceVersion, onSighting)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stream?.close()
    await this.#done
  }

  /** The API server ends a watch whose reader does not keep up: it goes on where it was. */
  async #run(): Promise<void> {
    const { path, ...selectors } = this.#watched
    while (!this.#closed) {
      const query = { ...selectors, watch: true, resourceVersion: this.#version, timeoutSeconds: 3600 }
      this.#stream = await this.#http.stream({ method: 'GET', path, query, accept: AS_METADATA })
      for await (const { type, object } of watchLines<WithMetadata>(this.#stream)) {
        const { namespace, name, resourceVersion: version } = object.metadata
        this.#version = version
        this.#onSighting({ type, namespace, name, version, at: performance.now() })
      }
    }
  }
}
