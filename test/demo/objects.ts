import { KubeError } from '../../src/kube/errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from '../../src/kube/http.ts'

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

/** As `v1/Namespace`; what an object is called in a message. */
export const nameOf = ({ kind, metadata }: KubeObject): string =>
  metadata.namespace === undefined ? `${kind} ${metadata.name}` : `${kind} ${metadata.namespace}/${metadata.name}`

interface ResourceList {
  readonly resources: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[]
}

const FIELD_MANAGER = 'gracewatch-demo'
const GONE_WITHIN_MS = 120_000
const ASK_EVERY_MS = 250
/** An API server that restarts is back within this. */
const PATIENCE_MS = 30_000
const RETRY_MS = 1_000

/** Objects of any kind, their paths found by discovery. */
export class Objects {
  readonly http: KubeHttp
  readonly #discovered = new Map<string, Promise<ResourceList>>()

  constructor(http: KubeHttp) {
    this.http = http
  }

  async pathOf({ apiVersion, kind, metadata }: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>): Promise<string> {
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    let list = this.#discovered.get(base)
    if (list === undefined) {
      list = this.read<ResourceList>(base)
      this.#discovered.set(base, list)
    }
    const found = (await list).resources.find((resource) => resource.kind === kind && !resource.name.includes('/'))
    if (found === undefined) throw new Error(`this cluster has no ${kind} in ${apiVersion}`)
    const space = found.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : ''
    return `${base}${space}/${found.name}/${metadata.name}`
  }

  /** Tries again for a while where the same call may succeed later: every call of the demo may be made twice. */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const end = performance.now() + PATIENCE_MS
    for (;;) {
      try {
        return await this.http.request(request)
      } catch (error) {
        if (!(error instanceof KubeError && error.retryable) || performance.now() > end) throw error
        await pause(error.retryAfterMs ?? RETRY_MS)
      }
    }
  }

  async read<T>(path: string, query?: HttpRequest['query']): Promise<T> {
    return (await this.request({ method: 'GET', path, ...(query === undefined ? {} : { query }) })).json<T>()
  }

  /** The same, or undefined where the API server knows no such thing. */
  async find<T>(path: string): Promise<T | undefined> {
    return unlessNotFound(this.read<T>(path))
  }

  async exists(object: KubeObject): Promise<boolean> {
    return (await this.find(await this.pathOf(object))) !== undefined
  }

  async apply<T>(object: KubeObject): Promise<T> {
    const path = await this.pathOf(object)
    const query = { fieldManager: FIELD_MANAGER, force: true }
    const contentType = 'application/apply-patch+yaml'
    return (await this.request({ method: 'PATCH', path, query, contentType, body: object })).json<T>()
  }

  /** One that is gone already counts as deleted. */
  async delete(path: string, query?: HttpRequest['query']): Promise<void> {
    await unlessNotFound(this.request({ method: 'DELETE', path, ...(query === undefined ? {} : { query }) }))
  }

  /** Resolves once nothing answers at the path any more. */
  async gone(path: string): Promise<void> {
    await until(async () => ((await this.find(path)) === undefined ? true : undefined), {
      what: `${path} to be gone`,
      withinMs: GONE_WITHIN_MS,
    })
  }
}

async function unlessNotFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof KubeError && error.code === 'NotFound') return undefined
    throw error
  }
}

export interface UntilOptions {
  /** What is waited for, as the end of "waited 60 s in vain for …". */
  readonly what: string
  readonly withinMs: number
  readonly signal?: AbortSignal
  /** What there is to see when the time is over. */
  readonly seen?: () => string | Promise<string>
}

/** Asks until there is an answer. Throws once the time is over, and what the signal was aborted with. */
export async function until<T>(ask: () => Promise<T | undefined>, options: UntilOptions): Promise<T> {
  const end = performance.now() + options.withinMs
  for (;;) {
    options.signal?.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > end) {
      const seen = await options.seen?.()
      throw new Error(`waited ${options.withinMs / 1000} s in vain for ${options.what}${seen === undefined ? '' : `: ${seen}`}`)
    }
    await pause(ASK_EVERY_MS, options.signal)
  }
}

/** Throws what the signal was aborted with. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    if (signal?.aborted) return fail(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      fail(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      done()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
