/** Deletes records past their age, and past the count in a namespace and in the cluster. Reads metadata only. */
import { GROUP } from '../../api/group.ts'
import { isAbnormalByLabels } from '../../core/record-object.ts'
import { RECORDS, type RecordClient } from '../../kube/apply.ts'
import { KubeError } from '../../kube/errors.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'

const PAGE_SIZE = 500

export interface RetentionRules {
  readonly gracefulMs: number
  readonly abnormalMs: number
  readonly perNamespace: number
  readonly total: number
}

export interface StoredRecord {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly createdAtMs: number
  readonly abnormal: boolean
  /** It stands for a termination that still runs. */
  readonly open: boolean
}

/** Which of the records have to go, the ones to go first in front. Pure. */
export function expired(records: readonly StoredRecord[], rules: RetentionRules, nowMs: number): StoredRecord[] {
  const gone = new Set<string>()
  const settled = records.filter((record) => !record.open)
  for (const record of settled) {
    if (nowMs - record.createdAtMs > (record.abnormal ? rules.abnormalMs : rules.gracefulMs)) gone.add(record.uid)
  }
  // Graceful ones first, then the oldest; the name decides between equals, so that every pass decides the same.
  const order = [...settled].sort(
    (a, b) => Number(a.abnormal) - Number(b.abnormal) || a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1),
  )
  const left = new Map<string, number>()
  for (const { uid, namespace } of records) if (!gone.has(uid)) left.set(namespace, (left.get(namespace) ?? 0) + 1)
  let total = records.length - gone.size
  for (const { uid, namespace } of order) {
    const count = left.get(namespace) ?? 0
    if (gone.has(uid) || (count <= rules.perNamespace && total <= rules.total)) continue
    gone.add(uid)
    left.set(namespace, count - 1)
    total--
  }
  return order.filter(({ uid }) => gone.has(uid))
}

interface MetadataPage {
  readonly metadata?: { readonly continue?: string }
  readonly items?: readonly {
    readonly metadata: {
      readonly namespace: string
      readonly name: string
      readonly uid: string
      readonly creationTimestamp: string
      readonly labels?: Readonly<Record<string, string>>
    }
  }[]
}

export interface RetentionOptions {
  readonly http: KubeHttp
  readonly records: Pick<RecordClient, 'delete'>
  readonly rules: RetentionRules
  readonly deletesPerSecond: number
  readonly log: Log
  readonly nowMs?: () => number
  readonly sleep?: (ms: number) => Promise<void>
}

export class Retention {
  readonly #options: RetentionOptions
  deleted = 0

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /**
   * One pass; may be cut off at any point and repeated.
   *
   * @param proceed asked before each delete; false ends the pass
   * @throws KubeError where the records cannot be listed
   */
  async pass(proceed: () => boolean): Promise<number> {
    const { rules, records, deletesPerSecond, log } = this.#options
    const sleep = this.#options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms).unref()))
    const now = (this.#options.nowMs ?? Date.now)()
    const due = expired(await this.#list(), rules, now)
    let count = 0
    for (const record of due) {
      if (!proceed()) break
      try {
        if (await records.delete(record)) count++
      } catch (error) {
        // A record in the way of nobody: the next pass takes it.
        if (error instanceof KubeError && error.code === 'Aborted') break
        log.warn({ record: `${record.namespace}/${record.name}`, error: String(error) }, 'old record not deleted')
      }
      await sleep(1000 / deletesPerSecond)
    }
    this.deleted += count
    if (count > 0) log.info({ count, due: due.length }, 'old records deleted')
    return count
  }

  async #list(): Promise<StoredRecord[]> {
    const found = new Map<string, StoredRecord>()
    let token: string | undefined
    for (;;) {
      let page: MetadataPage
      try {
        const response = await this.#options.http.request({
          method: 'GET',
          path: RECORDS.everywhere,
          query: { limit: PAGE_SIZE, continue: token },
          accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
          timeoutMs: 60_000,
        })
        page = response.json<MetadataPage>()
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 'Gone' && token !== undefined)) throw error
        token = undefined
        continue
      }
      for (const { metadata } of page.items ?? []) {
        const labels = metadata.labels ?? {}
        found.set(metadata.uid, {
          namespace: metadata.namespace,
          name: metadata.name,
          uid: metadata.uid,
          createdAtMs: Date.parse(metadata.creationTimestamp),
          abnormal: isAbnormalByLabels(labels),
          open: labels[`${GROUP}/state`] !== undefined && labels[`${GROUP}/state`] !== 'Complete',
        })
      }
      token = page.metadata?.continue
      if (token === undefined || token === '') return [...found.values()]
    }
  }
}
