/**
 * What the fuzz tests have in common. Their cases are the same in every run (test/setup.ts). GRACEWATCH_FUZZ=100 tries a hundred times as
 * many, GRACEWATCH_SEED=random others:
 *
 *     GRACEWATCH_FUZZ=100 GRACEWATCH_SEED=random vitest run --config test/vitest.config.ts --project long test/unit/fuzz
 *
 * A failure prints its seed and the smallest case that was found; it goes into corpus/ with a name, and stays there as a test.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { z } from 'zod'
import { DecodeError } from '../../../src/kube/errors.ts'

const TIMES = Number(process.env.GRACEWATCH_FUZZ ?? 1)
/** The time-out of a test in milliseconds: as long as more runs may take. */
export const TIMEOUT = 20_000 * Math.max(1, TIMES)

/** Vitest gives a file up that does not answer it for a minute. */
const REST_AFTER_MS = 1000

/** Checks a property on so many cases; `holds` throws, or rejects, where it does not. */
export async function forAll<T>(cases: fc.Arbitrary<T>, runs: number, holds: (value: T) => void | Promise<void>): Promise<void> {
  let restedAt = performance.now()
  const property = fc.asyncProperty(cases, async (value) => {
    await holds(value)
    if (performance.now() - restedAt < REST_AFTER_MS) return
    await new Promise((resolve) => setImmediate(resolve))
    restedAt = performance.now()
  })
  await fc.assert(property, { numRuns: Math.ceil(runs * TIMES) })
}

/** Names that every JavaScript object seems to have, and one that JSON can give to an object but an assignment cannot. */
export const INHERITED = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', 'toJSON', 'then']

const NESTED = 500

/** Texts that have broken parsers. */
export const nastyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(...INHERITED),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '\n',
    '\r\n',
    '\ufeff',
    '\ud800',
    '\udfff',
    '\u2028',
    '\u202e',
    '-0',
    '1e999',
    'NaN',
    '../..',
    '%',
    '%00',
  ),
  fc.constantFrom('0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999+14:00', '2026-02-30T24:00:00Z', '99999999999999999999h'),
  fc.constantFrom('True', 'False', 'Pod', 'Succeeded', 'Failed', 'Always', 'Main', 'SIGKILL'),
  fc
    .tuple(fc.constantFrom('a', '9', 'é', '😀', '\\', '"', '/'), fc.constantFrom(64, 254, 1024, 5000))
    .map(([unit, count]) => unit.repeat(count)),
)

/** Any value that JSON has, of a type or a size that nobody expects in its place. */
export const nastyValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: nastyText },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      0,
      -1,
      1.5,
      255,
      65_536,
      2 ** 31,
      -(2 ** 31) - 1,
      2 ** 53 - 1,
      2 ** 53,
      1e21,
      -1e308,
      Number.POSITIVE_INFINITY,
      Number.MIN_VALUE,
    ),
  },
  { weight: 3, arbitrary: fc.constantFrom<unknown>(null, true, false, [], {}) },
  { weight: 2, arbitrary: fc.array(nastyText, { maxLength: 3 }) },
  { weight: 2, arbitrary: fc.tuple(nastyText, nastyText).map(([key, value]) => own({}, key, value)) },
  // What a conversion to text calls.
  { weight: 1, arbitrary: fc.constantFrom<unknown>({ toString: 1 }, { toString: null, valueOf: [] }, [[{ toString: 'x' }]]) },
  { weight: 1, arbitrary: fc.constantFrom('[', '{"a":').map((open) => JSON.parse(nested(open)) as unknown) },
  { weight: 1, arbitrary: fc.jsonValue() },
)

const nested = (open: string) => `${open.repeat(NESTED)}1${(open === '[' ? ']' : '}').repeat(NESTED)}`

type Container = Record<string, unknown> | unknown[]
const isContainer = (value: unknown): value is Container => typeof value === 'object' && value !== null

/** Sets a key as JSON.parse does: `__proto__` is one like the others. */
function own<T extends object>(object: T, key: string, value: unknown): T {
  return Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

interface Place {
  readonly parent: Container
  readonly key: string
}

function placesIn(value: unknown): Place[] {
  const places: Place[] = []
  const queue = [value]
  for (let parent = queue.shift(); parent !== undefined; parent = queue.shift()) {
    if (!isContainer(parent)) continue
    for (const key of Object.keys(parent)) places.push({ parent, key })
    queue.push(...Object.values(parent).filter(isContainer))
  }
  return places
}

const CHANGES = ['replace', 'replace', 'replace', 'remove', 'add', 'repeat', 'move'] as const
const change = fc.record({ how: fc.constantFrom(...CHANGES), at: fc.nat(), to: fc.nat(), key: nastyText, value: nastyValue })

/** A copy of one of these values with up to four things in it removed, repeated, moved, added, or replaced by what nobody expects there. */
export function mutated(originals: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.constantFrom(...originals.map((one) => JSON.stringify(one))), fc.array(change, { maxLength: 4 }))
    .map(([text, changes]) => {
      const copy: { value: unknown } = { value: JSON.parse(text) }
      for (const { how, at, to, key, value: given } of changes) {
        // No two places share a value, or one of them could come to lie in itself.
        const value = structuredClone(given)
        const places = placesIn(copy)
        const place = places[at % places.length]
        const other = places[to % places.length]
        if (place === undefined || other === undefined) continue
        const { parent } = place
        if (how === 'replace') own(parent, place.key, value)
        else if (how === 'move') own(parent, place.key, structuredClone(read(other)))
        else if (Array.isArray(parent)) {
          const index = Number(place.key)
          if (how === 'remove') parent.splice(index, 1)
          else if (how === 'repeat') parent.push(structuredClone(parent[index]))
          else parent.splice(index, 0, value)
        } else if (how === 'remove') Reflect.deleteProperty(parent, place.key)
        else own(parent, how === 'add' ? key : `${place.key}${place.key}`, how === 'add' ? value : structuredClone(read(place)))
      }
      return copy.value
    })
}

const read = ({ parent, key }: Place): unknown => Object.getOwnPropertyDescriptor(parent, key)?.value

/** Bytes of one of these texts with some of them changed, and some put in. */
export function mutatedBytes(texts: readonly string[]): fc.Arbitrary<Buffer> {
  const edit = fc.record({
    at: fc.nat(),
    length: fc.nat(8),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
      nastyText.map((text) => Buffer.from(text)),
      fc.constantFrom('\xff\xfe', '\xc3', '\xed\xa0\x80', '\xf0\x9f\x98').map((text) => Buffer.from(text, 'latin1')),
    ),
  })
  return fc.tuple(fc.constantFrom(...texts), fc.array(edit, { maxLength: 4 })).map(([text, edits]) => {
    let bytes = Buffer.from(text)
    for (const { at, length, bytes: put } of edits) {
      const from = at % (bytes.length + 1)
      bytes = Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + length)])
    }
    return bytes
  })
}

/** Sizes of chunks, over and over; none: all at once. */
export const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3000 })), { maxLength: 6 })

/** The bytes in chunks of these sizes. */
export function chunks(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const found: Uint8Array[] = []
  for (let from = 0, i = 0; from < bytes.length; i++) {
    const size = at[i % at.length] ?? bytes.length
    found.push(bytes.subarray(from, from + size))
    from += size
  }
  return found
}

/** What it returns, or the error that it threw. */
export function outcomeOf<T>(act: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: act() }
  } catch (error) {
    return { error }
  }
}

/** Nobody has put anything into what all objects share. */
export function expectCleanPrototypes(): void {
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(Object.keys(Array.prototype)).toEqual([])
  expect(Reflect.get({}, 'a')).toBeUndefined()
}

const LONGEST_PROBLEM = 600

/** A decoder's result is of the shape that its type declares; or it throws DecodeError, which names the field in one short line. */
export function expectDecodes<T>(decode: (raw: unknown) => T, shape: z.ZodType, raw: unknown): T | undefined {
  const outcome = outcomeOf(() => decode(raw))
  expectCleanPrototypes()
  if ('value' in outcome) {
    const checked = shape.safeParse(outcome.value)
    if (!checked.success) expect.fail(`the result is not of its shape: ${z.prettifyError(checked.error)}`)
    return outcome.value
  }
  const { error } = outcome
  if (!(error instanceof DecodeError)) throw error
  expect(error.field).not.toBe('')
  expect(error.message.startsWith(`${error.field} must be `), error.message).toBe(true)
  expect(error.message.length).toBeLessThan(LONGEST_PROBLEM)
  return undefined
}
