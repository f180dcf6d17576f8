/** Cutting bytes into JSON texts without ever holding more than one of them: the lines of a watch, the items of a list. */
import { KubeError } from './errors.ts'

/** Objects in etcd are at most 1.5 MiB (its --max-request-bytes); their JSON is longer, but not by this. */
const MAX_OBJECT_BYTES = 32 * 1024 * 1024

const NEWLINE = 0x0a

/** Joins what came in several chunks; a text that lies in one chunk is not copied. */
class Parts {
  #parts: Uint8Array[] = []
  #size = 0
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  add(part: Uint8Array): void {
    if (part.length === 0) return
    this.#size += part.length
    if (this.#size > this.#max) throw new KubeError('BadResponse', `an object is longer than ${this.#max} bytes`)
    this.#parts.push(part)
  }

  take(last: Uint8Array): Uint8Array {
    if (this.#size === 0) return last
    this.add(last)
    const whole = Buffer.concat(this.#parts)
    this.#parts = []
    this.#size = 0
    return whole
  }
}

export class LineSplitter {
  readonly #parts: Parts

  constructor(max = MAX_OBJECT_BYTES) {
    this.#parts = new Parts(max)
  }

  /** The lines that end in this chunk, without their newline; empty ones are left out. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start)
      if (end < 0) break
      const line = this.#parts.take(chunk.subarray(start, end))
      start = end + 1
      if (line.length > 0) yield line
    }
    this.#parts.add(chunk.subarray(start))
  }

  /** Throws KubeError BadResponse where the last line has no end. */
  finish(): void {
    if (this.#parts.size > 0)
      throw new KubeError('BadResponse', `the watch ended in the middle of an object, ${this.#parts.size} bytes into it`)
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COLON = 0x3a
const COMMA = 0x2c

const MAX_ENVELOPE_BYTES = 1024 * 1024
const MAX_KEY = 16
const ITEMS = 'items'

/**
 * Cuts the JSON of a Kubernetes list into its items as the bytes come, and keeps the rest, its items left out, as the envelope.
 * It only follows strings and brackets: whether an item is sound JSON shows when it is parsed.
 */
export class ItemSplitter {
  readonly #item: Parts
  readonly #envelope = new Parts(MAX_ENVELOPE_BYTES)
  #depth = 0
  #inString = false
  #escaped = false
  /** Of the list object itself: the key last read, and whether one is being read. */
  #key = ''
  #readingKey = false
  #expectKey = false
  #inItems = false

  constructor(max = MAX_OBJECT_BYTES) {
    this.#item = new Parts(max)
  }

  /** The items that end in this chunk. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    // Where the current item, or the current piece of the envelope, begins in this chunk; -1 between items.
    let from = this.#inItems && this.#depth === 2 ? -1 : 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === BACKSLASH) this.#escaped = true
        else if (byte === QUOTE) {
          this.#inString = false
          this.#readingKey = false
        } else if (this.#readingKey && this.#key.length < MAX_KEY && byte !== undefined) this.#key += String.fromCharCode(byte)
        continue
      }
      switch (byte) {
        case QUOTE:
          this.#inString = true
          if (this.#depth === 1 && this.#expectKey) {
            this.#key = ''
            this.#readingKey = true
          }
          break
        case OPEN_BRACE:
        case OPEN_BRACKET:
          if (this.#inItems && this.#depth === 2) from = i
          this.#depth++
          if (this.#depth === 1) this.#expectKey = true
          if (byte === OPEN_BRACKET && this.#depth === 2 && this.#key === ITEMS) {
            this.#inItems = true
            this.#envelope.add(chunk.subarray(from, i + 1))
            from = -1
          }
          break
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          this.#depth--
          if (this.#inItems && this.#depth === 2) {
            yield this.#item.take(chunk.subarray(from, i + 1))
            from = -1
          } else if (this.#inItems && this.#depth === 1) {
            this.#inItems = false
            from = i
          }
          break
        case COLON:
          if (this.#depth === 1) this.#expectKey = false
          break
        case COMMA:
          if (this.#depth === 1) this.#expectKey = true
          break
      }
    }
    if (from < 0) return
    const rest = chunk.subarray(from)
    if (this.#inItems) this.#item.add(rest)
    else this.#envelope.add(rest)
  }

  /** The list without its items. Throws KubeError BadResponse where it is not whole. */
  finish(): Uint8Array {
    if (this.#depth !== 0 || this.#envelope.size === 0) throw new KubeError('BadResponse', 'the list ended before its end')
    return this.#envelope.take(new Uint8Array())
  }
}

/** Throws KubeError BadResponse where the bytes are no JSON. */
export function parseBytes(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch (cause) {
    throw new KubeError('BadResponse', `an object of ${bytes.length} bytes is no JSON`, { cause })
  }
}
