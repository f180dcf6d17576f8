/** From a kind to its resource, as the API server's discovery has it. */
import { KubeError } from '../../../kube/errors.ts'
import type { KubeHttp } from '../../../kube/http.ts'

/** `path` is that of the API version (/api/v1, /apis/batch/v1), `resource` the plural. `problem`: why there is none, as a sentence. */
export type Found =
  | { readonly path: string; readonly group: string; readonly resource: string }
  | { readonly problem: string; readonly reason: 'UnknownKind' | 'TargetUnreadable' }

interface ApiResource {
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
}

interface Answer {
  readonly atMs: number
  readonly resources: Promise<readonly ApiResource[]>
}

/** An API version is asked for its kinds no sooner than this after the last time. */
const FRESH_MS = 2000

export class Discovery {
  readonly #http: KubeHttp
  readonly #answers = new Map<string, Answer>()

  constructor(http: KubeHttp) {
    this.#http = http
  }

  /** Asks the API server where that has not been done, or was of no use. Never rejects. */
  async find(apiVersion: string, kind: string): Promise<Found> {
    const slash = apiVersion.indexOf('/')
    const group = slash === -1 ? '' : apiVersion.slice(0, slash)
    const path = slash === -1 ? `/api/${apiVersion}` : `/apis/${apiVersion}`
    try {
      // What failed, or has not got the kind, is asked for again.
      const known = await this.#answers.get(apiVersion)?.resources.catch(() => undefined)
      const resource = resourceOf(known, kind) ?? resourceOf(await this.#ask(apiVersion, path), kind)
      const unknown = (problem: string): Found => ({ problem, reason: 'UnknownKind' })
      if (resource === undefined) return unknown(`the API server has no kind ${kind} in ${apiVersion}`)
      if (!resource.namespaced) return unknown(`objects of the kind ${kind} are in no namespace: name one of the pod's namespace`)
      if (!resource.verbs.includes('list') || !resource.verbs.includes('watch'))
        return unknown(`objects of the kind ${kind} cannot be watched`)
      return { path, group, resource: resource.name }
    } catch (error) {
      if (error instanceof KubeError && error.code === 'NotFound')
        return { problem: `the API server does not serve ${apiVersion}`, reason: 'UnknownKind' }
      const detail = error instanceof Error ? error.message : String(error)
      return { problem: `the kinds of ${apiVersion} could not be read: ${detail}`, reason: 'TargetUnreadable' }
    }
  }

  /** What was found is not so any more. */
  forget(apiVersion: string): void {
    this.#answers.delete(apiVersion)
  }

  #ask(apiVersion: string, path: string): Promise<readonly ApiResource[]> {
    // Those who ask at about the same time share the answer.
    const known = this.#answers.get(apiVersion)
    if (known !== undefined && performance.now() - known.atMs <= FRESH_MS) return known.resources
    const resources = this.#http.request({ method: 'GET', path }).then((response) => resourcesOf(response.json()))
    this.#answers.set(apiVersion, { atMs: performance.now(), resources })
    return resources
  }
}

const resourceOf = (resources: readonly ApiResource[] | undefined, kind: string): ApiResource | undefined =>
  resources?.find((resource) => resource.kind === kind)

/** APIResourceList (meta/v1); subresources have a slash in their name, and can have a kind of another group. */
function resourcesOf(raw: unknown): ApiResource[] {
  const list = typeof raw === 'object' && raw !== null && 'resources' in raw && Array.isArray(raw.resources) ? raw.resources : []
  return list.flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null) return []
    const { name, kind, namespaced, verbs } = item as Partial<ApiResource> // each field is checked here
    if (typeof name !== 'string' || typeof kind !== 'string' || name.includes('/')) return []
    return [{ name, kind, namespaced: namespaced === true, verbs: Array.isArray(verbs) ? verbs : [] }]
  })
}
