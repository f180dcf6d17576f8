/** The reflector's books: which objects there are and in which version, and what each thing that is heard means against that. */
import type { Micros } from '../core/time.ts'
import type { Change, Identified, Packed } from './reflector-types.ts'

/** UIDs of objects that are gone are remembered up to this number, so that a late duplicate does not bring them back. */
const MAX_TOMBSTONES = 4096

export type WatchType = 'ADDED' | 'MODIFIED' | 'DELETED'

class Entry<T> {
  readonly version: string
  /** Both are undefined where only versions are kept. */
  readonly whole: T | undefined
  readonly packed: Packed<T> | undefined

  constructor(version: string, whole?: T, packed?: Packed<T>) {
    this.version = version
    this.whole = whole
    this.packed = packed
  }

  object(uid: string): T | undefined {
    return this.whole ?? this.packed?.unpack(uid, this.version)
  }
}

export class Store<T extends Identified> {
  readonly #keepObjects: boolean
  readonly #pack: (object: T) => Packed<T> | undefined
  readonly #entries = new Map<string, Entry<T>>()
  /** Namespace -> name -> UID; only where objects are kept. */
  readonly #names = new Map<string, Map<string, string>>()
  readonly #tombstones = new Map<string, string>()
  /** During a list: what it has shown so far. Not needed where there was nothing before. */
  #seen: Set<string> | undefined
  /** Version of the last complete list: whatever is unknown and not newer was gone by then. */
  #listVersion: string | undefined
  #duplicates = 0

  constructor(keepObjects: boolean, pack: (object: T) => Packed<T> | undefined = () => undefined) {
    this.#keepObjects = keepObjects
    this.#pack = pack
  }

  get size(): number {
    return this.#entries.size
  }

  get duplicates(): number {
    return this.#duplicates
  }

  get(uid: string): T | undefined {
    return this.#entries.get(uid)?.object(uid)
  }

  *values(): Generator<T> {
    for (const [uid, entry] of this.#entries) {
      const object = entry.object(uid)
      if (object !== undefined) yield object
    }
  }

  /** Those of them that are not packed. */
  *unpacked(): Generator<T> {
    for (const { whole } of this.#entries.values()) if (whole !== undefined) yield whole
  }

  /** A list begins, perhaps again from its start. */
  beginList(): void {
    this.#listVersion = undefined
    this.#seen = this.#entries.size === 0 ? undefined : new Set()
  }

  /** The list has an object that could not be decoded, or that is of no interest; it has not vanished. */
  markSeen(uid: string): void {
    this.#seen?.add(uid)
  }

  /** An object of the list. `known` and `unknown`: no change of such objects before this time was missed. */
  listed(object: T, arrivedAt: Micros, known: Micros | undefined, unknown: Micros | undefined): Change<T>[] {
    this.#seen?.add(object.uid)
    const entry = this.#entries.get(object.uid)
    if (this.#isOld(object, entry)) return []
    const changes = this.#replaced(object, arrivedAt, known)
    const since = entry === undefined ? unknown : known
    const previous = entry?.object(object.uid)
    changes.push({
      type: 'Listed',
      object,
      ...(previous !== undefined && { previous }),
      arrivedAt,
      ...(since !== undefined && { since }),
    })
    this.#put(object)
    return changes
  }

  /** The list is complete: what it did not show has vanished. `version` is the list's. */
  endList(version: string, arrivedAt: Micros, since: Micros | undefined): Change<T>[] {
    const seen = this.#seen
    this.#seen = undefined
    this.#listVersion = version
    const changes: Change<T>[] = []
    if (seen === undefined) return changes
    for (const [uid, entry] of this.#entries) {
      if (seen.has(uid)) continue
      const object = entry.object(uid)
      this.#remove(uid, object, version)
      if (object !== undefined) changes.push({ type: 'Vanished', object, arrivedAt, ...(since !== undefined && { since }) })
    }
    return changes
  }

  /** An event of the watch. `since` is for what it shows to have been missed. */
  watched(type: WatchType, object: T, arrivedAt: Micros, since: Micros | undefined): Change<T>[] {
    const entry = this.#entries.get(object.uid)
    if (type === 'DELETED') {
      // The version of a deletion is the object's newest; only an older one is a straggler.
      if (entry === undefined ? this.#isBuried(object) : isOlder(object.resourceVersion, entry.version)) {
        this.#duplicates++
        return []
      }
      const changes = entry === undefined ? this.#replaced(object, arrivedAt, since) : []
      const previous = entry?.object(object.uid)
      this.#remove(object.uid, previous ?? object, object.resourceVersion)
      changes.push({ type: 'Deleted', object, ...(previous !== undefined && { previous }), arrivedAt })
      return changes
    }
    if (this.#isOld(object, entry)) return []
    this.#seen?.add(object.uid)
    const changes = this.#replaced(object, arrivedAt, since)
    const previous = entry?.object(object.uid)
    changes.push({
      type: entry === undefined ? 'Added' : 'Modified',
      object,
      ...(previous !== undefined && { previous }),
      arrivedAt,
    })
    this.#put(object)
    return changes
  }

  /** A known object was deleted, but what came could not be decoded: its last version stands for it. */
  deletedUnread(uid: string, version: string | undefined, arrivedAt: Micros): Change<T>[] {
    const entry = this.#entries.get(uid)
    if (entry === undefined) return []
    const object = entry.object(uid)
    this.#remove(uid, object, version ?? entry.version)
    return object === undefined ? [] : [{ type: 'Deleted', object, previous: object, arrivedAt }]
  }

  /** The same or a newer version was seen. Counts it where it is. */
  #isOld(object: T, entry: Entry<T> | undefined): boolean {
    const old =
      entry === undefined
        ? this.#isBuried(object)
        : object.resourceVersion === entry.version || isOlder(object.resourceVersion, entry.version)
    // A list tells of everything again; only a watch that does so repeats itself.
    if (old && this.#seen === undefined) this.#duplicates++
    return old
  }

  /** An unknown object that is not new: it is known to be gone, or was gone when the list was made. */
  #isBuried({ uid, resourceVersion }: T): boolean {
    const version = this.#tombstones.get(uid) ?? this.#listVersion
    return version !== undefined && (resourceVersion === version || isOlder(resourceVersion, version))
  }

  /** Another UID that still has the object's name must be gone: its deletion was missed. */
  #replaced(object: T, arrivedAt: Micros, since: Micros | undefined): Change<T>[] {
    const uid = this.#names.get(object.namespace)?.get(object.name)
    if (uid === undefined || uid === object.uid) return []
    const old = this.#entries.get(uid)
    if (old === undefined || isOlder(object.resourceVersion, old.version)) return []
    const vanished = old.object(uid)
    if (vanished === undefined) return []
    this.#remove(uid, vanished, object.resourceVersion)
    return [
      {
        type: 'Vanished',
        object: vanished,
        arrivedAt,
        ...(since !== undefined && { since }),
        replacedBy: object.uid,
      },
    ]
  }

  #put(object: T): void {
    const { uid, resourceVersion } = object
    if (!this.#keepObjects) {
      this.#entries.set(uid, new Entry<T>(resourceVersion))
      return
    }
    const packed = this.#pack(object)
    this.#entries.set(uid, new Entry(resourceVersion, packed === undefined ? object : undefined, packed))
    let names = this.#names.get(object.namespace)
    if (names === undefined) {
      names = new Map()
      this.#names.set(object.namespace, names)
    }
    names.set(object.name, uid)
  }

  #remove(uid: string, object: T | undefined, version: string): void {
    this.#entries.delete(uid)
    this.#tombstones.delete(uid)
    this.#tombstones.set(uid, version)
    if (this.#tombstones.size > MAX_TOMBSTONES) {
      for (const oldest of this.#tombstones.keys()) {
        this.#tombstones.delete(oldest)
        break
      }
    }
    if (object === undefined) return
    const names = this.#names.get(object.namespace)
    if (names?.get(object.name) !== uid) return
    names.delete(object.name)
    if (names.size === 0) this.#names.delete(object.namespace)
  }
}

const DECIMAL = /^(?:0|[1-9]\d*)$/

/**
 * Whether version `one` is older than `other`. Versions of one resource compare as decimal numbers since Kubernetes 1.35 says so
 * (and always did); where either is no such number, nothing is known and the answer is no.
 */
export function isOlder(one: string, other: string): boolean {
  if (!DECIMAL.test(one) || !DECIMAL.test(other)) return false
  return one.length === other.length ? one < other : one.length < other.length
}
