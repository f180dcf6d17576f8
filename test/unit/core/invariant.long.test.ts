/**
 * THE invariant, over histories that never happened but could have: the true time of everything that a record speaks of lies within
 * its bounds, and nothing in a record is false. What the generated histories take for granted is said where they are made
 * (simulation/): each such "Assumed" is something that no evidence but the kernel's could tell.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { podTerminationSchema } from '../../../src/api/pod-termination.ts'
import type { Fact } from '../../../src/core/evidence.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { MILLISECOND, type Micros, parseTime, SECOND } from '../../../src/core/time.ts'
import { anyFacts, anyMoment } from './simulation/anything.ts'
import { problemsOf } from './simulation/check.ts'
import { simulate, type TrueHistory } from './simulation/history.ts'
import { type Plan, plans } from './simulation/plan.ts'
import { unseenBetween, without } from './simulation/unseen.ts'

const AFTER: Micros = 5 * SECOND

/** A history to judge by, and the plan that it came of. */
const histories: fc.Arbitrary<{ plan: Plan; history: TrueHistory }> = plans()
  .map((plan) => ({ plan, history: simulate(plan) }))
  .filter(({ history }) => !history.unruled)

const endOf = (facts: readonly Fact[]): Micros =>
  Math.max(...facts.map((fact) => ('arrivedAt' in fact ? fact.arrivedAt : 0))) + AFTER

/** Assumed where versions are missing: nobody asked for more than the spec's grace period and then, unseen, for less. */
const shortenedUnseen = ({ secondDelete, askedGrace, specGrace }: Plan): boolean =>
  secondDelete !== undefined && askedGrace !== undefined && askedGrace > specGrace

describe('the true time lies within the bounds, and nothing in the record is false', () => {
  test('of a termination that was seen whole', () => {
    fc.assert(
      fc.property(histories, ({ history }) => {
        const facts = history.story.facts()
        const record = assemble(facts, endOf(facts))
        expect(record === undefined ? [] : problemsOf(record, history)).toEqual([])
      }),
      { numRuns: 1500 },
    )
  })

  test('at every moment on the way, when nothing is said of what is still to come', () => {
    fc.assert(
      fc.property(histories, ({ history }) => {
        const facts = [...history.story.deliveries].map(({ fact }) => fact).sort((a, b) => a.arrivedAt - b.arrivedAt)
        facts.forEach((fact, index) => {
          const now = Math.max(fact.arrivedAt, history.beganAt)
          const record = assemble([...history.story.others(), ...facts.slice(0, index + 1)], now)
          if (record === undefined) return
          const early = (record.timeline ?? []).filter(
            ({ clock, earliest }) => (parseTime(earliest) ?? 0) - history.offsets[clock] > now + MILLISECOND,
          )
          expect([...problemsOf(record, history), ...early.map(({ mark }) => `${mark} is still to come`)]).toEqual([])
        })
      }),
      { numRuns: 200 },
    )
  })

  test('without any one of the facts', () => {
    fc.assert(
      fc.property(histories, ({ plan, history }) => {
        fc.pre(!shortenedUnseen(plan))
        const facts = history.story.facts()
        for (const lost of facts) {
          // Assumed: where a kubelet begins anew in mid-termination, its Events are not lost.
          if (lost.type === 'Event' && plan.kubelet.again !== undefined) continue
          const record = assemble(without(facts, lost), endOf(facts))
          if (record !== undefined) expect(problemsOf(record, history)).toEqual([])
        }
      }),
      { numRuns: 150 },
    )
  })

  test('where nobody watched for a while, or before a certain time', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true })
    const gaps = fc.tuple(fc.oneof(part, fc.constant(Number.NEGATIVE_INFINITY)), part)
    fc.assert(
      fc.property(histories, fc.array(gaps, { minLength: 1, maxLength: 4 }), ({ plan, history }, between) => {
        fc.pre(!shortenedUnseen(plan))
        const facts = history.story.facts()
        const first = history.beganAt - 10 * SECOND
        const at = (place: number) => (Number.isFinite(place) ? Math.round(first + place * (endOf(facts) - first)) : place)
        for (const [one, other] of between) {
          const left = unseenBetween(history.story, at(Math.min(one, other)), at(Math.max(one, other)))
          const record = assemble(left, endOf(facts) + AFTER)
          if (record !== undefined) expect(problemsOf(record, history)).toEqual([])
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('a record depends on what the facts say', () => {
  test('not on their order, nor on repeats', () => {
    const shuffles = histories.chain(({ history }) => {
      const facts = history.story.facts()
      return fc
        .tuple(fc.shuffledSubarray(facts, { minLength: facts.length }), fc.subarray(facts))
        .map(([all, again]) => ({ facts, given: [...all, ...again] }))
    })
    fc.assert(
      fc.property(shuffles, ({ facts, given }) => {
        expect(assemble(given, endOf(facts))).toEqual(assemble(facts, endOf(facts)))
      }),
      { numRuns: 300 },
    )
  })

  test('not on their order even where they contradict each other', () => {
    const shuffles = anyFacts.chain((facts) =>
      fc
        .tuple(fc.shuffledSubarray(facts, { minLength: facts.length }), fc.subarray(facts))
        .map(([all, again]) => ({ facts, given: [...all, ...again] })),
    )
    fc.assert(
      fc.property(shuffles, anyMoment, ({ facts, given }, now) => {
        expect(assemble(given, now)).toEqual(assemble(facts, now))
      }),
      { numRuns: 300 },
    )
  })

  test('and is one that the API server takes, whatever they say', () => {
    fc.assert(
      fc.property(anyFacts, anyMoment, (facts, now) => {
        const record = assemble(facts, now)
        if (record === undefined) return
        expect(podTerminationSchema.safeParse(record).error?.issues ?? []).toEqual([])
        for (const { mark, earliest, at, latest } of record.timeline ?? []) {
          expect(earliest <= at && at <= latest, `${mark}: ${earliest} ${at} ${latest}`).toBe(true)
        }
        for (const { message } of record.findings ?? []) expect(message).not.toMatch(/NaN|Infinity|undefined|[\s(]-\d/)
      }),
      { numRuns: 1500 },
    )
  })
})
