/**
 * The rows of all records, the newest first, and which of them changed since when. A reader that was away asks for what changed
 * after the number it last saw; changes of one record that it missed are one change to it, so nothing has to be queued for it.
 */
import { newestFirst, type TerminationRow } from './row.ts'

export interface Changes {
  readonly version: number
  readonly changed: readonly TerminationRow[]
  /** UIDs of records. */
  readonly gone: readonly string[]
}

/** Removed records of which it is remembered that they were. */
const MOST_GONE = 2000

export class Book {
  readonly #rows = new Map<string, { readonly row: TerminationRow; readonly version: number }>()
  readonly #gone = new Map<string, number>()
  readonly #listeners = new Set<() => void>()
  /** Removals up to this version are forgotten. */
  #forgotten = 0
  #version = 0
  #sorted: readonly TerminationRow[] | undefined

  get version(): number {
    return this.#version
  }

  put(row: TerminationRow): void {
    this.#version++
    // Set again, the entry moves to the end: the map is in the order of its versions.
    this.#rows.delete(row.uid)
    this.#rows.set(row.uid, { row, version: this.#version })
    this.#gone.delete(row.uid)
    this.#tell()
  }

  remove(uid: string): void {
    if (!this.#rows.delete(uid)) return
    this.#version++
    this.#gone.set(uid, this.#version)
    for (const [oldest, version] of this.#gone) {
      if (this.#gone.size <= MOST_GONE) break
      this.#gone.delete(oldest)
      this.#forgotten = version
    }
    this.#tell()
  }

  /** The newest first. */
  rows(): readonly TerminationRow[] {
    this.#sorted ??= [...this.#rows.values()].map(({ row }) => row).sort(newestFirst)
    return this.#sorted
  }

  /** Undefined where that is not known any more: begin anew. */
  since(version: number): Changes | undefined {
    if (version < this.#forgotten || version > this.#version) return undefined
    return {
      version: this.#version,
      changed: [...this.#rows.values()].filter((entry) => entry.version > version).map(({ row }) => row),
      gone: [...this.#gone].filter(([, at]) => at > version).map(([uid]) => uid),
    }
  }

  /** Returns the function that ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(): void {
    this.#sorted = undefined
    for (const listener of this.#listeners) listener()
  }
}
