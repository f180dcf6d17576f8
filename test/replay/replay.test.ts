/** Real terminations, replayed through the product's decoders and core, held against what really happened. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type PodTermination, podTerminationSchema } from '../../src/api/pod-termination.ts'
import type { Fact } from '../../src/core/evidence.ts'
import { assemble } from '../../src/core/termination/index.ts'
import { SECOND } from '../../src/core/time.ts'
import type { Expectation } from '../e2e/scenario.ts'
import { SCENARIOS } from '../e2e/scenarios/index.ts'
import { verify, verifyMarks } from '../e2e/verify.ts'
import { CLOCKS, factsByLine, factsWithGap } from './facts.ts'
import { type Fixture, readFixtures } from './fixture.ts'

const AFTER = 5 * SECOND
const RUNS = 60

function expectationOf(fixture: Fixture): Expectation {
  const scenario = SCENARIOS.find(({ number }) => number === Number(fixture.name.slice(0, 2)))
  const found = scenario?.expect.find(({ pod }) => pod.test(fixture.truth.pod.name))
  if (found === undefined) throw new Error(`fixture ${fixture.name} belongs to no scenario`)
  return found
}

/** The recorder asks the API server for the owners; a fixture holds only the pod. */
function workloadFact(fixture: Fixture, expected: Expectation): Fact {
  const [kind = 'Pod', name = fixture.truth.pod.name] = expected.workload?.split('/') ?? []
  return { type: 'Workload', workload: { kind, name } }
}

describe.each(readFixtures().map((fixture) => [fixture.name, fixture] as const))('%s', (_, fixture) => {
  const expected = expectationOf(fixture)
  const facts = [...factsByLine(fixture).flat(), workloadFact(fixture, expected)]
  const now = (fixture.lines.at(-1)?.arrivedAt ?? 0) + AFTER

  /** The record as it was after each line, and just before the next one came. */
  const history = (): PodTermination[] => {
    const seen: Fact[] = []
    return factsByLine(fixture).flatMap((more, index) => {
      seen.push(...more)
      const times = [fixture.lines[index]?.arrivedAt ?? now, (fixture.lines[index + 1]?.arrivedAt ?? now) - 1]
      return times.flatMap((time) => assemble(seen, time) ?? [])
    })
  }

  it('gives the right record', () => {
    const record = podTerminationSchema.parse(assemble([...facts, ...CLOCKS], now))
    const { problems } = verify(record, fixture.truth, expected)
    problems.push(...(expected.also?.(record, fixture.truth, history()) ?? []))
    expect(problems).toEqual([])
  })

  it('says nothing false at any moment on the way', () => {
    expect(history().flatMap((record) => verifyMarks(record, fixture.truth).problems)).toEqual([])
  })

  it('does not depend on the order of the facts, nor on repeats', () => {
    const record = assemble(facts, now)
    const shuffled = fc
      .shuffledSubarray(facts, { minLength: facts.length })
      .chain((all) => fc.subarray(all).map((again) => [...all, ...again]))
    fc.assert(
      fc.property(shuffled, (given) => {
        expect(assemble(given, now)).toEqual(record)
      }),
      { numRuns: RUNS },
    )
  })

  it('says nothing false when Events are lost', () => {
    const events = facts.filter(({ type }) => type === 'Event')
    fc.assert(
      fc.property(fc.subarray(events), (lost) => {
        const record = assemble(
          facts.filter((fact) => !lost.includes(fact)),
          now,
        )
        expect(verifyMarks(podTerminationSchema.parse(record), fixture.truth).problems).toEqual([])
      }),
      { numRuns: RUNS },
    )
  })

  it('says nothing false when nobody watched for a while, at any time of it', () => {
    const count = fixture.lines.length
    const problems: string[] = []
    for (let from = 0; from < count; from += 1) {
      for (let to = from + 1; to <= count; to += 1) {
        const left = factsWithGap(fixture, from, to)
        const record = assemble([...left, workloadFact(fixture, expected)], now)
        if (record === undefined) continue
        const found = verifyMarks(podTerminationSchema.parse(record), fixture.truth).problems
        problems.push(...found.map((problem) => `lines ${from + 1} to ${to} unseen: ${problem}`))
      }
    }
    expect(problems).toEqual([])
  })
})
