/** The two requests of a reflector as streams of raw objects: pages of a list, and events of a watch. */
import type { Micros } from '../core/time.ts'
import type { RecorderClock } from './clock.ts'
import { KubeError } from './errors.ts'
import { fromStatusObject } from './failures.ts'
import type { HttpRequest, HttpStream, KubeHttp } from './http.ts'
import { ItemSplitter, LineSplitter, parseBytes } from './lines.ts'

export interface RawObject {
  readonly raw: unknown
  readonly arrivedAt: Micros
}

export interface RawEvent extends RawObject {
  readonly type: string
}

/** Marks the bookmark that ends the initial events of a streaming list. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'

/** Longest time for which parsing holds the event loop; a lease has to be renewed beside it. */
const SLICE_MS = 8

/** Busy time since the event loop was last handed over; waiting for bytes does not count. */
class TimeSlice {
  #startedMs = 0
  #busyMs = 0

  begin(): void {
    this.#startedMs = performance.now()
  }

  end(): void {
    this.#busyMs += performance.now() - this.#startedMs
  }

  get over(): boolean {
    return this.#busyMs + performance.now() - this.#startedMs > SLICE_MS
  }

  async rest(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#busyMs = 0
    this.begin()
  }
}

export interface Collection {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly path: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** The bytes of one object, or of one event of a watch, as JSON. Default: all of them. */
  readonly parse?: (bytes: Uint8Array) => unknown
}

export interface ListedPages {
  readonly resourceVersion: string
  /** When the first page was asked for, which is the time that the whole list answers for: all pages are of one version. */
  readonly sentAt: Micros
}

/**
 * Lists by pages and hands over each item as it comes. A KubeError Gone means that the pages' version was compacted away in
 * between: begin again.
 */
export async function listPages(
  collection: Collection,
  page: { readonly size: number; readonly timeoutMs: number; readonly signal: AbortSignal },
  onItem: (item: RawObject) => void,
  onBytes: (arrivedAt: Micros) => void,
): Promise<ListedPages> {
  let token: string | undefined
  let result: ListedPages | undefined
  const slice = new TimeSlice()
  const { parse = parseBytes } = collection
  do {
    const stream = await collection.http.stream({
      ...requestOf(collection, { limit: page.size, continue: token }),
      timeoutMs: page.timeoutMs,
      signal: page.signal,
    })
    let late = false
    const deadline = setTimeout(() => {
      late = true
      stream.close()
    }, page.timeoutMs)
    const items = new ItemSplitter()
    try {
      for await (const chunk of stream.chunks) {
        slice.begin()
        const arrivedAt = collection.clock.now()
        onBytes(arrivedAt)
        for (const item of items.push(chunk)) {
          if (slice.over) await slice.rest()
          if (page.signal.aborted) throw new KubeError('Aborted', `GET ${collection.path}: aborted`)
          onItem({ raw: parse(item), arrivedAt })
        }
        slice.end()
      }
    } finally {
      clearTimeout(deadline)
      stream.close()
    }
    if (late) throw new KubeError('Timeout', `GET ${collection.path}: a page took longer than ${page.timeoutMs / 1000} s`)
    const { metadata } = fieldsOf(parseBytes(items.finish()))
    const { resourceVersion, continue: next } = fieldsOf(metadata)
    if (typeof resourceVersion !== 'string' || resourceVersion === '') {
      throw new KubeError('BadResponse', `GET ${collection.path}: the list has no resourceVersion`)
    }
    result ??= { resourceVersion, sentAt: stream.sentAt }
    token = typeof next === 'string' && next !== '' ? next : undefined
  } while (token !== undefined)
  return result
}

export interface WatchOptions {
  /** Absent: a streaming list, whose initial events come first. */
  readonly resourceVersion: string | undefined
  readonly timeoutSeconds: number
  readonly headersMs: number
  readonly signal: AbortSignal
}

export async function openWatch(collection: Collection, options: WatchOptions): Promise<HttpStream> {
  const initial = options.resourceVersion === undefined
  return collection.http.stream({
    ...requestOf(collection, {
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: options.resourceVersion,
      sendInitialEvents: initial ? true : undefined,
      resourceVersionMatch: initial ? 'NotOlderThan' : undefined,
      timeoutSeconds: options.timeoutSeconds,
    }),
    timeoutMs: options.headersMs,
    signal: options.signal,
  })
}

/**
 * The events of an open watch. An event of type ERROR is thrown as the KubeError that its Status stands for; a line that is no
 * event, or an end in the middle of one, as BadResponse.
 */
export async function* eventsOf(
  collection: Collection,
  stream: HttpStream,
  onBytes: (arrivedAt: Micros) => void,
): AsyncGenerator<RawEvent> {
  const call = `WATCH ${collection.path}`
  const lines = new LineSplitter()
  const slice = new TimeSlice()
  const { parse = parseBytes } = collection
  for await (const chunk of stream.chunks) {
    slice.begin()
    const arrivedAt = collection.clock.now()
    onBytes(arrivedAt)
    for (const line of lines.push(chunk)) {
      if (slice.over) await slice.rest()
      const { type, object } = fieldsOf(parse(line))
      if (typeof type !== 'string') throw new KubeError('BadResponse', `${call}: a line is no watch event`)
      if (type === 'ERROR') throw fromStatusObject(call, object)
      yield { type, raw: object, arrivedAt }
    }
    slice.end()
  }
  lines.finish()
}

/** metadata.resourceVersion and metadata.uid of any raw object, where it has them. */
export function identityOf(raw: unknown): { readonly resourceVersion?: string; readonly uid?: string } {
  const { resourceVersion, uid } = fieldsOf(fieldsOf(raw).metadata)
  return {
    ...(typeof resourceVersion === 'string' && resourceVersion !== '' && { resourceVersion }),
    ...(typeof uid === 'string' && uid !== '' && { uid }),
  }
}

export function endsInitialEvents(bookmark: unknown): boolean {
  return fieldsOf(fieldsOf(fieldsOf(bookmark).metadata).annotations)[INITIAL_EVENTS_END] === 'true'
}

function requestOf(collection: Collection, query: NonNullable<HttpRequest['query']>): HttpRequest {
  const { path, labelSelector, fieldSelector } = collection
  return { method: 'GET', path, query: { ...query, labelSelector, fieldSelector } }
}

function fieldsOf(raw: unknown): Record<string, unknown> {
  // Any object can be read by its keys; every value is checked where it is used.
  return typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>) : {}
}
