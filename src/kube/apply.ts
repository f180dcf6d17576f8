/** PodTermination records in the API: server-side apply, get, list in pages, delete. */
import { API_VERSION, GROUP, VERSION } from '../api/group.ts'
import type { PodTermination } from '../api/pod-termination.ts'
import { KubeError } from './errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from './http.ts'
import { type Refused, refusalOf } from './refusal.ts'

const CONTROLLER = 'gracewatch-controller'
/** One refusal may name all unknown fields or only some of them (seen on 1.37), so each round can teach further ones. */
const MAX_ROUNDS = 16
const PAGE_SIZE = 100
const FORGET_AFTER_MS = 600_000
/** Without these a record is none: a schema that lacks them is another one. */
const REQUIRED = ['apiVersion', 'kind', 'metadata', 'pod'] as const

/** Where records are. */
export const RECORDS = {
  everywhere: `/apis/${GROUP}/${VERSION}/podterminations`,
  of: (namespace: string) => `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/podterminations`,
} as const

/** A record to be written. Fields that an earlier apply had and this one lacks are removed by the API server. */
export type PodTerminationObject = PodTermination & {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    /** Given where the record must be an existing one: the apply then never creates, and is a Conflict for another object. */
    readonly uid?: string
  }
}

/** A record as the API server keeps it. */
export type StoredPodTermination = PodTermination & {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly creationTimestamp: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
}

export interface Written {
  readonly result: 'Written'
  readonly created: boolean
  readonly uid: string
  /** The same as before where the apply changed nothing. */
  readonly resourceVersion: string
}

export interface RecordClientOptions {
  readonly http: KubeHttp
  /** Default gracewatch-controller. */
  readonly fieldManager?: string
  /** Takes fields over that another manager has written otherwise; false: such a write is a Conflict. Default true. */
  readonly force?: boolean
  /** Fields without which a write would be pointless: a CRD that does not know them makes it Invalid. */
  readonly required?: readonly string[]
  /** Called right before each write; its signal aborts the write. See LeaderElector.guard. Absent: nothing guards. */
  readonly guard?: () => AbortSignal
  /** The CRD in the cluster is older than this program: these fields (paths, as `containers.kill`) are left out from now on. */
  readonly onUnknownFields?: (fields: readonly string[]) => void
  /** Milliseconds, monotonic. Default performance.now. */
  readonly monotonic?: () => number
}

export interface RecordClient {
  /**
   * Writes a record; writing the same twice changes nothing. Throws KubeError for what may pass by itself (429, 5xx, network,
   * time-out, Conflict), and Aborted where the guard refuses.
   */
  apply(record: PodTerminationObject): Promise<Written | Refused>
  get(namespace: string, name: string): Promise<StoredPodTermination | undefined>
  /** In pages, so that the answer of one call stays small. A list that is overtaken by compaction starts again, without doubles. */
  list(options?: { namespace?: string; labelSelector?: string; fieldSelector?: string }): AsyncGenerator<StoredPodTermination>
  /** False: it was gone already, another object has its name now, or it is no longer the version that is named. */
  delete(record: { namespace: string; name: string; uid: string; resourceVersion?: string }): Promise<boolean>
}

export function createRecordClient(options: RecordClientOptions): RecordClient {
  const { http } = options
  const { fieldManager = CONTROLLER, force = true } = options
  const unknown = new UnknownFields(
    options.monotonic ?? (() => performance.now()),
    options.onUnknownFields ?? (() => {}),
    new Set([...REQUIRED, ...(options.required ?? [])]),
  )
  const write = (request: HttpRequest): Promise<HttpResponse> => {
    const signal = options.guard?.()
    return http.request(signal === undefined ? request : { ...request, signal })
  }
  return {
    apply: (record) => apply(write, unknown, { fieldManager, force }, record),

    async get(namespace, name) {
      try {
        const response = await http.request({ method: 'GET', path: recordPath(namespace, name) })
        return response.json<StoredPodTermination>()
      } catch (error) {
        if (error instanceof KubeError && error.code === 'NotFound') return undefined
        throw error
      }
    },

    list: (selection = {}) => list(http, selection),

    async delete({ namespace, name, uid, resourceVersion }) {
      try {
        await write({
          method: 'DELETE',
          path: recordPath(namespace, name),
          body: { preconditions: resourceVersion === undefined ? { uid } : { uid, resourceVersion } },
        })
        return true
      } catch (error) {
        if (error instanceof KubeError && (error.code === 'NotFound' || error.code === 'Conflict')) return false
        throw error
      }
    },
  }
}

const collectionPath = (namespace: string | undefined) => (namespace === undefined ? RECORDS.everywhere : RECORDS.of(namespace))
const recordPath = (namespace: string, name: string) => `${RECORDS.of(namespace)}/${name}`

async function apply(
  write: (request: HttpRequest) => Promise<HttpResponse>,
  unknown: UnknownFields,
  manager: { readonly fieldManager: string; readonly force: boolean },
  record: PodTerminationObject,
): Promise<Written | Refused> {
  const path = recordPath(record.metadata.namespace, record.metadata.name)
  for (let round = 1; ; round++) {
    const { body, left } = unknown.without({ apiVersion: API_VERSION, kind: 'PodTermination', ...record })
    try {
      const response = await write({
        method: 'PATCH',
        path,
        query: { ...manager, fieldValidation: 'Strict' },
        contentType: 'application/apply-patch+yaml',
        body,
      })
      const { metadata } = response.json<StoredPodTermination>()
      return { result: 'Written', created: response.status === 201, uid: metadata.uid, resourceVersion: metadata.resourceVersion }
    } catch (error) {
      if (round < MAX_ROUNDS && error instanceof KubeError && unknown.learn(error, left)) continue
      const refusal = refusalOf(error)
      if (refusal !== undefined) return refusal
      throw error
    }
  }
}

interface Page {
  readonly metadata?: { readonly continue?: string }
  readonly items?: readonly StoredPodTermination[]
}

async function* list(
  http: KubeHttp,
  { namespace, ...selectors }: { namespace?: string; labelSelector?: string; fieldSelector?: string },
): AsyncGenerator<StoredPodTermination> {
  const seen = new Set<string>()
  let token = ''
  for (;;) {
    const query = { limit: PAGE_SIZE, continue: token === '' ? undefined : token, ...selectors }
    let page: Page
    try {
      page = (await http.request({ method: 'GET', path: collectionPath(namespace), query })).json<Page>()
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 'Gone' && token !== '')) throw error
      token = ''
      continue
    }
    for (const item of page.items ?? []) {
      if (seen.has(item.metadata.uid)) continue
      seen.add(item.metadata.uid)
      yield item
    }
    token = page.metadata?.continue ?? ''
    if (token === '') return
  }
}

/**
 * Fields that the CRD in the cluster does not know. The API server refuses an apply that has one, so they are taken out before the
 * request, for ten minutes; then the full record is tried again, as the CRD may have been upgraded.
 */
class UnknownFields {
  readonly #until = new Map<string, number>()
  readonly #monotonic: () => number
  readonly #tell: (fields: readonly string[]) => void
  readonly #required: ReadonlySet<string>
  #told = new Set<string>()

  constructor(monotonic: () => number, tell: (fields: readonly string[]) => void, required: ReadonlySet<string>) {
    this.#monotonic = monotonic
    this.#tell = tell
    this.#required = required
  }

  /** What to send, and which fields are left out of it. */
  without(record: Record<string, unknown>): { body: unknown; left: ReadonlySet<string> } {
    let body: unknown = record
    for (const [path, until] of this.#until) {
      if (this.#monotonic() >= until) this.#until.delete(path)
      else body = drop(body, path.split('.'))
    }
    return { body, left: new Set(this.#until.keys()) }
  }

  /**
   * True where the error names fields that this request still had: the same write without them is worth another try, also where a
   * write that ran beside it has taught of them meanwhile.
   */
  learn(error: KubeError, left: ReadonlySet<string>): boolean {
    const fields = unknownFieldsIn(error.message).filter((path) => !this.#required.has(path) && !left.has(path))
    for (const path of fields) this.#until.set(path, this.#monotonic() + FORGET_AFTER_MS)
    const news = fields.filter((path) => !this.#told.has(path))
    for (const path of news) this.#told.add(path)
    if (news.length > 0) this.#tell(news)
    return fields.length > 0
  }
}

/**
 * Paths without their list keys, as `containers.kill`. Server-side apply says `.containers[name="app"].kill: field not declared in
 * schema`, strict decoding says `unknown field "containers[0].kill"`.
 */
function unknownFieldsIn(message: string): string[] {
  const paths = [
    ...[...message.matchAll(/(\.[^\s:"[]+(?:\[[^\]]*\][^\s:"[]*)*): field not declared in schema/g)].map(([, path = '']) =>
      path.slice(1),
    ),
    ...[...message.matchAll(/unknown field "([^"]+)"/g)].map(([, path = '']) => path),
  ]
  return [...new Set(paths.map((path) => path.replace(/\[[^\]]*\]/g, '')))]
}

/** A copy without the field, in every item where the path leads through a list. */
function drop(value: unknown, [head, ...rest]: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => drop(item, head === undefined ? [] : [head, ...rest]))
  if (typeof value !== 'object' || value === null || head === undefined || !(head in value)) return value
  const { [head]: found, ...others } = value as Record<string, unknown> // an object, checked above
  return rest.length === 0 ? others : { ...others, [head]: drop(found, rest) }
}
