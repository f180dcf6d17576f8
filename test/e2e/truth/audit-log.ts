import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { parseTime } from '../../../src/core/time.ts'
import type { Raw } from '../api.ts'
import type { Interval } from './interval.ts'

/**
 * The API server's own log of writes: each change was made between the arrival of its request and the end of its answer. It is
 * the only place where every change has a time, whoever made it; no watch can tell more than that a change came before.
 */
export class AuditLog {
  readonly #path: string
  #offset: number
  /** `resource/namespace/resourceVersion` of what a write left behind. */
  readonly #commits = new Map<string, Interval>()
  /** `resource/uid` of what a delete took away. */
  readonly #removals = new Map<string, Interval>()
  /** `namespace/name` of pods whose eviction was granted. */
  readonly #evictions = new Map<string, Interval>()
  /** By namespace: a delete of all its pods at once. */
  readonly #collections = new Map<string, Interval>()

  constructor(path: string) {
    this.#path = path
    this.#offset = sizeOf(path)
  }

  /** When the object got this resourceVersion. */
  commitOf(resource: string, object: Raw): Interval | undefined {
    this.#read()
    return this.#commits.get(`${resource}/${object.metadata.namespace}/${object.metadata.resourceVersion}`)
  }

  /** When the object was taken away for good. */
  removalOf(resource: string, uid: string): Interval | undefined {
    this.#read()
    return this.#removals.get(`${resource}/${uid}`)
  }

  /** When the pod's graceful end began by something other than a write of the pod itself. */
  endingOf(pod: Raw): Interval | undefined {
    this.#read()
    const { namespace, name } = pod.metadata
    return this.#evictions.get(`${namespace}/${name}`) ?? this.#collections.get(namespace)
  }

  #read(): void {
    const size = sizeOf(this.#path)
    if (size < this.#offset) this.#offset = 0
    if (size === this.#offset) return
    const file = openSync(this.#path, 'r')
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#offset)
      const count = readSync(file, bytes, 0, bytes.length, this.#offset)
      const end = bytes.subarray(0, count).lastIndexOf(0x0a) + 1
      this.#offset += end
      for (const line of bytes.toString('utf8', 0, end).split('\n')) if (line !== '') this.#take(JSON.parse(line))
    } finally {
      closeSync(file)
    }
  }

  #take(entry: Raw): void {
    if (entry.stage !== 'ResponseComplete' || (entry.responseStatus?.code ?? 500) >= 400) return
    const earliest = parseTime(entry.requestReceivedTimestamp)
    const latest = parseTime(entry.stageTimestamp)
    if (earliest === undefined || latest === undefined) return
    const interval = { earliest, latest }
    const { resource, namespace, name, subresource } = entry.objectRef ?? {}
    if (resource === 'pods' && subresource === 'eviction') this.#evictions.set(`${namespace}/${name}`, interval)
    if (resource === 'pods' && entry.verb === 'deletecollection') {
      // The namespace controller asks again until nothing is left: the first one began it.
      if (!this.#collections.has(namespace)) this.#collections.set(namespace, interval)
    }
    const metadata = entry.responseObject?.metadata
    if (metadata?.resourceVersion !== undefined) {
      const key = `${resource}/${namespace}/${metadata.resourceVersion}`
      // A write that changed nothing answers with the version that was there: the first answer is the one that made it.
      if (!this.#commits.has(key)) this.#commits.set(key, interval)
    }
    const gone = metadata?.deletionGracePeriodSeconds === 0 || metadata?.deletionTimestamp === undefined
    if (entry.verb === 'delete' && metadata?.uid !== undefined && gone)
      this.#removals.set(`${resource}/${metadata.uid}`, interval)
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}
