/** Records in memory for the page: decoded and opened by what does that for those of an API server. */
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { parseTime, SECOND } from '../../../src/core/time.ts'
import type { StoredPodTermination } from '../../../src/kube/apply.ts'
import type { Log } from '../../../src/kube/log.ts'
import { pageApp } from '../../../src/page/app.ts'
import { Book } from '../../../src/page/book.ts'
import { decodeRow } from '../../../src/page/row.ts'
import { openedOf, type PageSource } from '../../../src/page/source.ts'
import { at } from '../render/records.ts'

export const NOW = (parseTime(at(0)) ?? 0) + 3600 * SECOND

let versions = 0

export function stored(name: string, record: PodTermination, uid = `uid-of-${name}`): StoredPodTermination {
  versions++
  return {
    ...record,
    metadata: {
      namespace: 'shop',
      name,
      uid,
      resourceVersion: String(versions),
      creationTimestamp: '2026-11-24T21:31:02Z',
    },
  }
}

export class Records implements PageSource {
  readonly book = new Book()
  readonly scope = 'all namespaces'
  readonly timeZone = 'UTC'
  readonly #stored = new Map<string, StoredPodTermination>()
  trouble: string | undefined
  failure: unknown

  constructor(...records: readonly StoredPodTermination[]) {
    for (const record of records) this.put(record)
  }

  put(record: StoredPodTermination): void {
    this.#stored.set(`${record.metadata.namespace}/${record.metadata.name}`, record)
    this.book.put(decodeRow(record))
  }

  async open(namespace: string, name: string) {
    if (this.failure !== undefined) throw this.failure
    const record = this.#stored.get(`${namespace}/${name}`)
    return record && openedOf(record)
  }

  problem = () => this.trouble
  now = () => NOW
}

export function logged() {
  const errors: { fields: object; message: string }[] = []
  const log: Log = { debug() {}, info() {}, warn() {}, error: (fields, message) => errors.push({ fields, message }) }
  return { log, errors }
}

export const HOST = 'localhost:8090'

/** What a browser on this machine gets. */
export function visit(source: PageSource, key?: string) {
  const closing = new AbortController()
  const { log, errors } = logged()
  const app = pageApp({ source, log, closing: closing.signal, ...(key === undefined ? {} : { key }) })
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    app.request(`http://${HOST}${path}`, { method, headers: { host: HOST, ...headers } })
  return { ask, errors, closing }
}
