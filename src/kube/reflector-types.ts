import type { ChangeType } from '../core/evidence.ts'
import type { Micros } from '../core/time.ts'
import type { RecorderClock } from './clock.ts'
import type { KubeHttp } from './http.ts'
import type { Log } from './log.ts'

/** What every decoded object must have for the reflector to keep its books. */
export interface Identified {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
}

/** An object as it is kept, in less memory than it takes. */
export interface Packed<T> {
  readonly namespace: string
  readonly name: string
  /** The object with these two, which are kept beside it. */
  unpack(uid: string, resourceVersion: string): T
}

/**
 * One change of one object.
 * Listed: from a list. Without `previous` it was not known before; with it, it changed at some time after `since`.
 * Vanished: a new list no longer had it, or another object has taken its name; `object` is the last version seen, and its removal
 * lies between `since` and `arrivedAt`.
 * Deleted: with a selector, the API server also sends this for an object that merely stopped matching.
 */
export interface Change<T> {
  readonly type: ChangeType
  readonly object: T
  readonly previous?: T
  /** When the bytes that told of it arrived. */
  readonly arrivedAt: Micros
  /** Listed and Vanished: no change before this time was missed. Absent in the first list, where nobody watched before. */
  readonly since?: Micros
  /** Vanished: UID of the object that now has the same namespace and name. */
  readonly replacedBy?: string
}

/** Changes between `from` and `to` may have come and gone unseen. */
export interface Gap {
  /** No change before this time was missed (see Reflector). */
  readonly from: Micros
  /** When the new list was complete. */
  readonly to: Micros
  /** A sentence part, for people. */
  readonly reason: string
}

export interface ReflectorTimings {
  /** First delay after repeated failures; doubles up to the maximum, with full jitter. Default 500 ms and 30 s. */
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Range of timeoutSeconds asked of the server. Default 300 to 600. */
  readonly serverTimeoutSeconds: readonly [number, number]
  /** A watch that is silent for this long is taken for dead; bookmarks come about each minute. Default 90 s. */
  readonly inactivityMs: number
  /** A streaming list that is silent for this long is given up in favour of pages. Default 20 s. */
  readonly initialEventsMs: number
  /** Deadline of the head of a response, and of one page. Default 15 s and 60 s. */
  readonly headersMs: number
  readonly pageMs: number
  readonly pageSize: number
  /** In [0, 1), as Math.random. */
  readonly random: () => number
}

export interface ReflectorOptions<T> {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  /** Collection, such as /api/v1/pods. */
  readonly path: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** The bytes of one object, or of one event of a watch, as JSON. Default: all of them. */
  readonly parse?: (bytes: Uint8Array) => unknown
  /** One raw object -> T, or undefined where it is of no interest, now and for good. Throws DecodeError naming the field. */
  readonly decode: (raw: unknown) => T | undefined
  /** Called synchronously, in stream order. What it throws is caught, counted and passed to onError; the stream goes on. */
  readonly onChange: (change: Change<T>) => void
  readonly onGap?: (gap: Gap) => void
  /** Once, when the first list is complete. */
  readonly onSynced?: () => void
  /** Every failure that was survived: KubeError, DecodeError, or what a handler threw. */
  readonly onError?: (error: unknown) => void
  /** none: no objects are kept, only their versions; Vanished is then never reported and `previous` never set. Default all. */
  readonly keep?: 'all' | 'none'
  /** How objects lie in the store; undefined where one is kept as it is. Default: none is packed. */
  readonly pack?: (object: T) => Packed<T> | undefined
  readonly log: Log
  readonly timings?: Partial<ReflectorTimings>
}

export type ReflectorPhase = 'Idle' | 'Listing' | 'Watching' | 'BackingOff' | 'Stopped'

export interface ReflectorStats {
  readonly phase: ReflectorPhase
  /** A watch is open and goes on from what is known: changes arrive, though none may have come yet since it was opened. */
  readonly open: boolean
  /** Complete lists; how many of them were relists after a loss. */
  readonly lists: number
  readonly relists: number
  /** Watches opened. */
  readonly watches: number
  readonly gaps: number
  readonly events: number
  readonly bookmarks: number
  /** Events dropped because the same or a newer version had been seen. */
  readonly duplicates: number
  readonly decodeErrors: number
  readonly handlerErrors: number
  /** Failed lists and watches by error code. */
  readonly failures: Readonly<Record<string, number>>
  /** Failures since anything last went well. */
  readonly failuresInRow: number
  readonly lastEventAt?: Micros
  /** When bytes last arrived. */
  readonly lastAliveAt?: Micros
  /** The last failure's message, while it lasts. */
  readonly lastError?: string
}
