/** A collection of objects as an API server keeps it: one counter of versions, a history that can be compacted. */

export interface RawObject {
  readonly metadata: {
    readonly uid: string
    readonly namespace: string
    readonly name: string
    readonly resourceVersion: string
  }
  readonly [key: string]: unknown
}

export interface WorldEvent {
  readonly version: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: RawObject
}

export class World {
  version = 100
  /** Resuming from a version below this is answered with 410. */
  compacted = 0
  readonly objects = new Map<string, RawObject>()
  readonly history: WorldEvent[] = []
  readonly #listeners = new Set<(event: WorldEvent) => void>()
  #uids = 0

  create(name: string, fields: Record<string, unknown> = {}, namespace = 'shop'): RawObject {
    const uid = `uid-${++this.#uids}`
    return this.#store('ADDED', { metadata: { uid, namespace, name, resourceVersion: this.#next() }, ...fields })
  }

  update(uid: string, fields: Record<string, unknown> = {}): RawObject {
    const old = this.#must(uid)
    return this.#store('MODIFIED', { ...old, ...fields, metadata: { ...old.metadata, resourceVersion: this.#next() } })
  }

  delete(uid: string): RawObject {
    const old = this.#must(uid)
    return this.#store('DELETED', { ...old, metadata: { ...old.metadata, resourceVersion: this.#next() } })
  }

  /** Deletes the object and creates one of the same name, as a StatefulSet does. */
  recreate(uid: string): RawObject {
    const { namespace, name } = this.#must(uid).metadata
    this.delete(uid)
    return this.create(name, {}, namespace)
  }

  /** Forgets how the present came about. */
  compact(): void {
    this.compacted = this.version
  }

  since(version: number): WorldEvent[] {
    return this.history.filter((event) => event.version > version)
  }

  onEvent(listener: (event: WorldEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #next(): string {
    return String(++this.version)
  }

  #must(uid: string): RawObject {
    const object = this.objects.get(uid)
    if (object === undefined) throw new Error(`there is no ${uid}`)
    return object
  }

  #store(type: WorldEvent['type'], object: RawObject): RawObject {
    if (type === 'DELETED') this.objects.delete(object.metadata.uid)
    else this.objects.set(object.metadata.uid, object)
    const event: WorldEvent = { version: Number(object.metadata.resourceVersion), type, object }
    this.history.push(event)
    for (const listener of [...this.#listeners]) listener(event)
    return object
  }
}
