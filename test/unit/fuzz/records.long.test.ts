/** From what API servers and people write to records, and from records of any version to what is shown. More runs: support.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { kernelSchema } from '../../../src/api/kernel.ts'
import { podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { CommandError } from '../../../src/cli/arguments.ts'
import { evidenceLine, recordsFromEvidence } from '../../../src/cli/evidence-file.ts'
import { recordsIn } from '../../../src/cli/records.ts'
import { KernelReader } from '../../../src/controllers/recorder/kernel-facts.ts'
import type { Fact } from '../../../src/core/evidence.ts'
import { recordObject } from '../../../src/core/record-object.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { decodeEndpointSlice } from '../../../src/kube/decode/endpoint-slice.ts'
import { decodeEvent } from '../../../src/kube/decode/event.ts'
import { decodePod } from '../../../src/kube/decode/pod.ts'
import { EPOCH } from '../builders.ts'
import { forcedKill } from '../render/records.ts'
import TEXTS from './corpus/records.json' with { type: 'json' }
import { fixtures, records } from './originals.ts'
import {
  expectCleanPrototypes,
  forAll,
  INHERITED,
  mutated,
  mutatedBytes,
  nastyText,
  nastyValue,
  outcomeOf,
  TIMEOUT,
} from './support.ts'

const LONGEST_PROBLEM = 2000

/** A file is read, or one line says what is wrong in it. */
function expectReadsOrSays(read: () => unknown): void {
  const outcome = outcomeOf(read)
  expectCleanPrototypes()
  if ('value' in outcome) return
  if (!(outcome.error instanceof CommandError)) throw outcome.error
  expect(outcome.error.message).toMatch(/^FILE/)
  expect(outcome.error.message).not.toContain('\n')
  expect(outcome.error.message.length).toBeLessThan(LONGEST_PROBLEM)
}

type Line = (typeof fixtures)[number]['lines'][number]
const CHANGES = { ADDED: 'Added', MODIFIED: 'Modified', DELETED: 'Deleted' } as const

/** The facts of one line as the recorder makes them; none of an object that cannot be decoded, which is counted and left out. */
function factsOf({ resource, type, arrivedAt }: Line, object: unknown): Fact[] {
  const outcome = outcomeOf((): Fact[] => {
    switch (resource) {
      case 'pods':
        return [{ type: 'Pod', change: CHANGES[type], arrivedAt, pod: decodePod(object) }]
      case 'events': {
        const event = decodeEvent(object)
        return event === undefined ? [] : [{ type: 'Event', arrivedAt, listed: false, event }]
      }
      case 'endpointslices': {
        const { service = '', uid, resourceVersion, endpoints } = decodeEndpointSlice(object)
        return endpoints.map(({ podUid: _, podName: __, ...state }) => ({
          type: 'Endpoint',
          arrivedAt,
          listed: false,
          service,
          slice: uid,
          sliceVersion: resourceVersion,
          present: true,
          ...state,
        }))
      }
    }
  })
  return 'value' in outcome ? outcome.value : []
}

/** The lines of a recorded termination, of which some objects are not as they were. */
const changedTermination = fc.constantFrom(...fixtures).chain(({ lines, uid }) =>
  fc.array(fc.nat(lines.length - 1), { minLength: 1, maxLength: 3 }).chain((picks) => {
    const changed = new Map<number, fc.Arbitrary<unknown>>(picks.map((at) => [at, mutated([lines[at]?.object])]))
    return fc.tuple(...[...changed].map(([at, object]) => object.map((one) => [at, one] as const))).map((objects) => {
      const by = new Map(objects)
      return { uid, lines, facts: lines.flatMap((line, at) => factsOf(line, by.has(at) ? by.get(at) : line.object)) }
    })
  }),
)

/** Names are as long as the API server lets them be. */
function isShort(value: unknown, longest = 253): boolean {
  if (typeof value === 'string') return value.length <= longest
  if (typeof value !== 'object' || value === null) return true
  const isLabel = (key: string) => ['namespace', 'name', 'uid', 'service', 'container'].includes(key)
  return Object.entries(value).every(([key, inner]) => key === 'message' || isShort(inner, isLabel(key) ? 63 : 253))
}

describe('the recorder', () => {
  test('makes of a termination in which some objects are strange a record that the API server takes', {
    timeout: TIMEOUT,
  }, async () => {
    let made = 0
    await forAll(changedTermination, 300, ({ lines, facts }) => {
      const now = (lines.at(-1)?.arrivedAt ?? 0) + 1_000_000
      const record = assemble(facts, now)
      expectCleanPrototypes()
      if (record === undefined) return
      // What no API server lets a name be: longer than names are.
      if (!isShort(facts)) return
      made++
      const sent: unknown = JSON.parse(JSON.stringify(recordObject(record)))
      const checked = podTerminationSchema.safeParse(sent)
      expect(checked.success ? [] : checked.error.issues).toEqual([])
    })
    expect(made).toBeGreaterThan(150)
  })

  test.for(INHERITED)(
    'takes the reason "%s" of a pod and of its disruption, and the stop signal of that name, for ones that it does not know',
    (word) => {
      const condition = { type: 'DisruptionTarget', status: 'True', reason: word }
      for (const conditions of [[], [condition]]) {
        const pod = decodePod({
          metadata: { uid: 'u', namespace: 'shop', name: 'web-1', resourceVersion: '2' },
          spec: { containers: [{ name: 'app', lifecycle: { stopSignal: word } }] },
          status: {
            phase: 'Failed',
            reason: word,
            conditions,
            containerStatuses: [{ name: 'app', state: { terminated: { exitCode: 143, finishedAt: '2026-11-24T21:31:00Z' } } }],
          },
        })
        const record = assemble([{ type: 'Pod', change: 'Modified', arrivedAt: EPOCH, pod }], EPOCH)
        expect(podTerminationSchema.parse(record).cause?.type).toMatch(/^(Unknown|Completed)$/)
      }
    },
  )

  test('believes of what an agent wrote what fits, and counts the rest', { timeout: TIMEOUT }, async () => {
    const kernel = forcedKill().kernel ?? {
      node: 'node-1',
      tracedFrom: '2026-11-24T21:00:00.000000Z',
      tracedUntil: '2026-11-24T21:40:00.000000Z',
      complete: true,
      lostEvents: 0,
    }
    expect(kernelSchema.safeParse(kernel).success).toBe(true)
    const reader = new KernelReader({ debug() {}, info() {}, warn() {}, error() {} })
    let refused = 0
    await forAll(fc.oneof(mutated([kernel]), nastyValue), 800, (raw) => {
      const fact = reader.read(raw, 'shop/web', 0)
      if (fact === undefined) refused++
      else expect(kernelSchema.safeParse(fact.kernel).success).toBe(true)
      expect(reader.refused.malformed).toBe(refused)
      expectCleanPrototypes()
    })
  })
})

describe('a file of records', () => {
  test('is read, or one line says what is wrong in it', { timeout: TIMEOUT }, async () => {
    const texts = records.flatMap((record) => [stringify(record), JSON.stringify({ kind: 'List', items: [record, record] })])
    for (const text of texts) expect(recordsIn(text, 'FILE').length).toBeGreaterThan(0)
    const changed = mutated(records)
    const any = fc.oneof(
      mutatedBytes(texts).map(String),
      changed.map((record) => JSON.stringify(record) ?? ''),
      changed.map((record) => JSON.stringify({ items: [record] })),
      nastyText,
    )
    await forAll(any, 200, (text) => expectReadsOrSays(() => recordsIn(text, 'FILE')))
  })

  test.for(TEXTS)('$name', ({ text, times }) => {
    const whole = text.repeat(times)
    expect(() => recordsIn(whole, 'FILE')).toThrow(CommandError)
    expectReadsOrSays(() => recordsIn(whole, 'FILE'))
  })
})

describe('a file of evidence', () => {
  const lines = fixtures.slice(0, 6).map(({ lines: of }) =>
    evidenceLine(
      of.flatMap((line) => factsOf(line, line.object)),
      (of.at(-1)?.arrivedAt ?? 0) + 1_000_000,
    ),
  )

  test('gives the record that its facts gave, and is read or says what is wrong in which line', {
    timeout: TIMEOUT,
  }, async () => {
    expect(recordsFromEvidence(lines.join(''), 'FILE')).toHaveLength(lines.length)
    const evidence = mutated(lines.map((line) => JSON.parse(line)))
    const any = fc.oneof(
      mutatedBytes(lines).map(String),
      evidence.map((line) => `${JSON.stringify(line)}\n`),
      nastyText,
    )
    await forAll(any, 400, (text) => expectReadsOrSays(() => recordsFromEvidence(text, 'FILE')))
  })
})
