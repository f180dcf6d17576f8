/**
 * Reading raw JSON at the border. Each reader names the field that it did not find as it should be; what is absent or null is
 * absent, what has another type than the API's is an error.
 */
import { DecodeError } from '../errors.ts'

export type RawObject = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is RawObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The path of a field, as a person would write it; built only where a message needs it. */
function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}

export function asObject(value: unknown, path: string): RawObject {
  if (!isObject(value)) throw new DecodeError(path, 'an object', value)
  return value
}

export function optionalObject(parent: RawObject, key: string, path: string): RawObject | undefined {
  const value = parent[key]
  return value === undefined || value === null ? undefined : asObject(value, join(path, key))
}

/** A required, non-empty string. */
export function requiredString(parent: RawObject, key: string, path: string): string {
  const value = parent[key]
  if (typeof value !== 'string' || value === '') throw new DecodeError(join(path, key), 'a non-empty string', value)
  return value
}

/** Empty strings are absent: that is how the API's omitempty has it. */
export function optionalString(parent: RawObject, key: string, path: string): string | undefined {
  const value = parent[key]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw new DecodeError(join(path, key), 'a string', value)
  return value
}

export function optionalInteger(parent: RawObject, key: string, path: string): number | undefined {
  const value = parent[key]
  if (value === undefined || value === null) return undefined
  if (!Number.isSafeInteger(value)) throw new DecodeError(join(path, key), 'an integer', value)
  return Number(value)
}

/** For fields that the API has as int32, which is also what a record takes of them. */
export function optionalInt32(parent: RawObject, key: string, path: string): number | undefined {
  const value = optionalInteger(parent, key, path)
  if (value !== undefined && value !== (value | 0)) throw new DecodeError(join(path, key), 'an integer of 32 bits', value)
  return value
}

export function optionalBoolean(parent: RawObject, key: string, path: string): boolean | undefined {
  const value = parent[key]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw new DecodeError(join(path, key), 'true or false', value)
  return value
}

/** Empty where the list is absent. */
export function listOf(parent: RawObject, key: string, path: string): readonly unknown[] {
  const value = parent[key]
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new DecodeError(join(path, key), 'a list', value)
  return value
}

/** A list of non-empty strings; empty where it is absent. */
export function stringsOf(parent: RawObject, key: string, path: string): readonly string[] {
  return listOf(parent, key, path).map((entry, i) => {
    if (typeof entry !== 'string' || entry === '') throw new DecodeError(`${join(path, key)}[${i}]`, 'a non-empty string', entry)
    return entry
  })
}

export interface Metadata {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  /** The whole of metadata, for the fields of one kind only. */
  readonly raw: RawObject
}

/** What every namespaced object has to have. */
export function metadataOf(object: RawObject): Metadata {
  const raw = asObject(object.metadata, 'metadata')
  return {
    uid: requiredString(raw, 'uid', 'metadata'),
    namespace: intern(requiredString(raw, 'namespace', 'metadata')),
    name: requiredString(raw, 'name', 'metadata'),
    resourceVersion: requiredString(raw, 'resourceVersion', 'metadata'),
    raw,
  }
}

const MAX_INTERNED = 50_000
const interned = new Map<string, string>()

/** One copy of strings that thousands of objects share (namespace, node, reason). Forgets all when it is full: it is only a saving. */
export function intern(text: string): string {
  const known = interned.get(text)
  if (known !== undefined) return known
  if (interned.size >= MAX_INTERNED) interned.clear()
  interned.set(text, text)
  return text
}

/** Shares equal values; the key has to say everything that the value says. */
export class Shared<V> {
  readonly #known = new Map<string, V>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get(key: string, make: () => V): V {
    let value = this.#known.get(key)
    if (value === undefined) {
      if (this.#known.size >= this.#max) this.#known.clear()
      value = make()
      this.#known.set(key, value)
    }
    return value
  }
}

/** Copies only the entries that have a value, as exactOptionalPropertyTypes wants absent fields absent. */
export function compact<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): T {
  const result: Record<string, unknown> = {}
  for (const key in fields) {
    if (fields[key] !== undefined) result[key] = fields[key]
  }
  // Every field that was undefined is left out, which is what T says of its optional ones; required ones are typed as such by the callers.
  return result as T
}
