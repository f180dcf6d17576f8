import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ItemSplitter, LineSplitter, parseBytes } from '../../../src/kube/lines.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

/** The bytes cut at the given places, which wrap around. */
function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1)
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 10 })

describe('LineSplitter', () => {
  test('gives the same lines however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', ''))), sizes, (lines, at) => {
        const splitter = new LineSplitter()
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const found = cut(bytes, at).flatMap((chunk) => [...splitter.push(chunk)].map(text))
        expect(found).toEqual(lines.filter((line) => line !== ''))
        splitter.finish()
      }),
    )
  })

  test('an end in the middle of a line is a BadResponse', () => {
    const splitter = new LineSplitter()
    expect([...splitter.push(Buffer.from('{"a":1}\n{"b"'))].map(text)).toEqual(['{"a":1}'])
    expect(() => splitter.finish()).toThrow(expect.objectContaining({ code: 'BadResponse' }))
  })

  test('a line without end is given up at the limit', () => {
    const splitter = new LineSplitter(1000)
    const push = () => {
      for (let i = 0; i < 200; i++) for (const _ of splitter.push(Buffer.alloc(10, 'x')));
    }
    expect(push).toThrow(expect.objectContaining({ code: 'BadResponse' }))
  })
})

describe('ItemSplitter', () => {
  const list = fc.record({
    before: fc.dictionary(
      fc.string().filter((key) => key !== 'items'),
      fc.jsonValue(),
    ),
    items: fc.array(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue())),
    after: fc.dictionary(
      fc.string().filter((key) => key !== 'items'),
      fc.jsonValue(),
    ),
    indent: fc.constantFrom(0, 1, 3),
  })

  test('gives the items one by one and the list without them, however the bytes are cut', () => {
    fc.assert(
      fc.property(list, sizes, ({ before, items, after, indent }, at) => {
        // JSON.parse of JSON.stringify: undefined and -0 do not survive either.
        const whole = JSON.parse(JSON.stringify({ ...before, ...after }))
        const bytes = Buffer.from(JSON.stringify({ ...before, items, ...after }, null, indent))
        const splitter = new ItemSplitter()
        const found = cut(bytes, at).flatMap((chunk) => [...splitter.push(chunk)].map(parseBytes))
        expect(found).toEqual(JSON.parse(JSON.stringify(items)))
        expect(parseBytes(splitter.finish())).toEqual({ ...whole, items: [] })
      }),
    )
  })

  test('is not misled by brackets and the word items inside strings and objects', () => {
    const items = [{ items: ['[', ']', '{"items":[{'], a: '\\"]}', b: { items: [] } }]
    const splitter = new ItemSplitter()
    const found = [...splitter.push(Buffer.from(JSON.stringify({ kind: 'items', x: { items: [1] }, items, metadata: {} })))]
    expect(found.map(parseBytes)).toEqual(items)
    expect(parseBytes(splitter.finish())).toEqual({ kind: 'items', x: { items: [1] }, items: [], metadata: {} })
  })

  test.each([['null'], ['[]']])('a list whose items are %s has none', (items) => {
    const splitter = new ItemSplitter()
    expect([...splitter.push(Buffer.from(`{"items":${items},"metadata":{"resourceVersion":"1"}}`))]).toEqual([])
    expect(parseBytes(splitter.finish())).toMatchObject({ metadata: { resourceVersion: '1' } })
  })

  test('a list that is cut off is a BadResponse', () => {
    for (const half of ['', '{', '{"items":[{"a":1},', '{"items":[{"a":1}]']) {
      const splitter = new ItemSplitter()
      for (const _ of splitter.push(Buffer.from(half)));
      expect(() => splitter.finish()).toThrow(expect.objectContaining({ code: 'BadResponse' }))
    }
  })
})
