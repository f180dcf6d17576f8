/** Lists and watches as bytes: cut anywhere, with lines changed and bytes that are no text. More runs: support.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import { fromResponse, fromStatusObject, oneLine } from '../../../src/kube/failures.ts'
import type { HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { ItemSplitter, LineSplitter, parseBytes } from '../../../src/kube/lines.ts'
import { endsInitialEvents, eventsOf, identityOf, type RawEvent } from '../../../src/kube/list-watch.ts'
import { refusalOf } from '../../../src/kube/refusal.ts'
import { events, pods, slices, watchLines } from './originals.ts'
import {
  chunks,
  expectCleanPrototypes,
  forAll,
  mutated,
  mutatedBytes,
  nastyText,
  nastyValue,
  outcomeOf,
  sizes,
  TIMEOUT,
} from './support.ts'

const COLLECTION = {
  // Not asked: the stream is given.
  http: undefined as unknown as KubeHttp,
  clock: { now: () => 0 },
  path: '/api/v1/pods',
}

async function* stream(bytes: Uint8Array, at: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks(bytes, at)) yield chunk
}

/** What a watch gave before it ended, and the error that ended it, if one did. */
async function watched(bytes: Uint8Array, at: readonly number[]): Promise<{ told: RawEvent[]; error: unknown }> {
  const told: RawEvent[] = []
  const body: HttpStream = { status: 200, headers: new Map(), chunks: stream(bytes, at), sentAt: 0, receivedAt: 0, close() {} }
  try {
    for await (const event of eventsOf(COLLECTION, body, () => {})) told.push(event)
  } catch (error) {
    return { told, error }
  }
  return { told, error: undefined }
}

const LONGEST = 900

function expectKubeError(error: unknown): void {
  if (!(error instanceof KubeError)) throw error
  expect(error.message).not.toContain('\n')
  expect(error.message.length).toBeLessThan(LONGEST)
}

/** Lines that can be read, and what stands for any that cannot. */
const SHORT = watchLines.toSorted((a, b) => a.length - b.length).slice(0, 40)
const goodLine = fc.constantFrom(...SHORT)
const isEvent = (line: string) => {
  const outcome = outcomeOf(() => JSON.parse(line) as unknown)
  const { type } =
    'value' in outcome && typeof outcome.value === 'object' && outcome.value !== null ? (outcome.value as { type?: unknown }) : {}
  return typeof type === 'string' && type !== 'ERROR'
}
const badLine = fc
  .oneof(
    mutatedBytes(SHORT).map((bytes) => bytes.toString('latin1')),
    nastyText,
    nastyValue.map((object) => JSON.stringify({ type: 'ERROR', object })),
    nastyValue.map((type) => JSON.stringify({ type, object: {} })),
  )
  .map((text) => text.replaceAll('\n', ' '))
  .filter((text) => text !== '' && !isEvent(text))

describe('a watch', () => {
  test('tells all that came before what cannot be read, and ends in a KubeError there, wherever it is cut', {
    timeout: TIMEOUT,
  }, async () => {
    const lines = fc.tuple(
      fc.array(goodLine, { maxLength: 6 }),
      fc.option(badLine),
      fc.array(goodLine, { maxLength: 2 }),
      fc.constantFrom('\n', '\r\n', '\n\n'),
    )
    await forAll(fc.tuple(lines, sizes, sizes), 250, async ([[before, bad, after, end], one, other]) => {
      const all = bad === null ? [...before, ...after] : [...before, bad, ...after]
      const bytes = Buffer.from(all.map((line) => `${line}${end}`).join(''), 'utf8')
      const first = await watched(bytes, one)
      expect(await watched(bytes, other)).toEqual(first)
      const whole = bad === null ? all : before
      expect(first.told).toEqual(
        whole.map((line) => ({ type: JSON.parse(line).type, raw: JSON.parse(line).object, arrivedAt: 0 })),
      )
      if (bad === null) expect(first.error).toBeUndefined()
      else expectKubeError(first.error)
    })
  })

  test('of any bytes is the same however they are cut, and ends or throws a KubeError', { timeout: TIMEOUT }, async () => {
    const bytes = fc.oneof(
      mutatedBytes(Array.from({ length: 10 }, (_, index) => `${SHORT.slice(index * 3, index * 3 + 3).join('\n')}\n`)),
      fc.uint8Array({ maxLength: 300 }).map((some) => Buffer.from(some)),
    )
    await forAll(fc.tuple(bytes, sizes, sizes), 400, async ([whole, one, other]) => {
      const first = await watched(whole, one)
      const second = await watched(whole, other)
      expect(second.told).toEqual(first.told)
      expect(String(second.error)).toBe(String(first.error))
      if (first.error !== undefined) expectKubeError(first.error)
      for (const { raw } of first.told) {
        for (const value of Object.values(identityOf(raw))) expect(value).not.toBe('')
        expect(typeof endsInitialEvents(raw)).toBe('boolean')
      }
      expectCleanPrototypes()
    })
  })

  test('never holds more than its longest line', { timeout: TIMEOUT }, async () => {
    await forAll(fc.tuple(fc.uint8Array({ maxLength: 400 }), sizes), 500, ([bytes, at]) => {
      const splitter = new LineSplitter(100)
      const longest = Math.max(
        ...Buffer.from(bytes)
          .toString('latin1')
          .split('\n')
          .map(({ length }) => length),
      )
      const outcome = outcomeOf(() => chunks(bytes, at).flatMap((chunk) => [...splitter.push(chunk)]))
      // A line within one chunk is there already, and is not held.
      if ('error' in outcome) expect(longest).toBeGreaterThan(100)
      else for (const line of outcome.value) expect(line.length).toBeLessThanOrEqual(Math.max(100, bytes.length))
    })
  })
})

/** The items and the rest of a list, or the error. */
function listed(bytes: Uint8Array, at: readonly number[]) {
  const splitter = new ItemSplitter()
  return outcomeOf(() => ({
    items: chunks(bytes, at).flatMap((chunk) => [...splitter.push(chunk)].map(parseBytes)),
    envelope: parseBytes(splitter.finish()),
  }))
}

const LISTS = [pods, events, slices].map((objects) =>
  JSON.stringify({ kind: 'List', metadata: { resourceVersion: '812', continue: 'next' }, items: objects.slice(-3) }),
)

describe('a list', () => {
  test('of any bytes is the same however they are cut, and is read or a KubeError', { timeout: TIMEOUT }, async () => {
    for (const list of LISTS)
      expect(listed(Buffer.from(list), [7])).toEqual({
        value: { items: JSON.parse(list).items, envelope: { ...JSON.parse(list), items: [] } },
      })
    await forAll(
      fc.tuple(fc.oneof(mutatedBytes(LISTS), fc.uint8Array({ maxLength: 300 })), sizes, sizes),
      400,
      ([bytes, one, other]) => {
        const [first, second] = [listed(bytes, one), listed(bytes, other)]
        if ('error' in first) {
          expectKubeError(first.error)
          expect('error' in second && String(second.error)).toBe(String(first.error))
        } else expect(second).toEqual(first)
      },
    )
  })

  test('whose items are of any kind has each of those that are objects, as JSON.parse has them', {
    timeout: TIMEOUT,
  }, async () => {
    await forAll(fc.tuple(fc.array(mutated(events), { maxLength: 5 }), sizes), 300, ([items, at]) => {
      const text = JSON.stringify({ items, metadata: {} })
      const whole = JSON.parse(text) as { items: unknown[] }
      const found = listed(Buffer.from(text), at)
      const objects = whole.items.filter((item) => typeof item === 'object' && item !== null)
      if ('value' in found) expect(found.value.items).toEqual(objects)
      else expectKubeError(found.error)
    })
  })
})

const STATUS = {
  kind: 'Status',
  status: 'Failure',
  message: 'pods "web-1" is forbidden: exceeded quota: records',
  reason: 'Forbidden',
  code: 403,
  details: { name: 'web-1', retryAfterSeconds: 5, causes: [{ field: 'spec', message: 'no', reason: 'NamespaceTerminating' }] },
}

describe('a failure that a server tells', () => {
  test('becomes a KubeError of one short line, with a wait that is no longer than is taken from a server', {
    timeout: TIMEOUT,
  }, async () => {
    const bodies = fc.oneof(
      mutated([STATUS]).map((status) => JSON.stringify(status) ?? ''),
      mutatedBytes([JSON.stringify(STATUS)]).map(String),
      nastyText,
    )
    const heads = fc.tuple(
      fc.oneof(fc.integer({ min: 300, max: 599 }), fc.constantFrom(400, 403, 404, 409, 410, 422, 429, 500, 504)),
      fc.option(fc.oneof(nastyText, fc.nat().map(String))),
    )
    await forAll(fc.tuple(heads, bodies), 1500, ([[status, retryAfter], body]) => {
      const error = fromResponse(
        'GET /api/v1/pods',
        status,
        new Map(retryAfter === null ? [] : [['retry-after', retryAfter]]),
        body,
      )
      expectKubeError(error)
      expectWait(error)
      const refusal = refusalOf(error)
      if (refusal !== undefined) expect(['Later', 'Never']).toContain(refusal.retry)
    })
    await forAll(fc.oneof(mutated([STATUS]), nastyValue), 1500, (raw) => {
      const error = fromStatusObject('WATCH /api/v1/pods', raw)
      expectKubeError(error)
      expectWait(error)
    })
  })

  function expectWait({ retryAfterMs }: KubeError): void {
    if (retryAfterMs !== undefined) expect(retryAfterMs > 0 && retryAfterMs <= 120_000).toBe(true)
  }

  test('is one line of whole characters, whatever is in it', { timeout: TIMEOUT }, async () => {
    await forAll(fc.oneof(nastyText, fc.string({ unit: 'grapheme', maxLength: 900 })), 1000, (text) => {
      const line = oneLine(text)
      expect(line).not.toMatch(/[\n\r\u2028]/)
      expect(line.length).toBeLessThanOrEqual(600)
      if (text.isWellFormed()) expect(line.isWellFormed()).toBe(true)
    })
  })
})
