import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FindingType, PodTermination } from '../../../../src/api/pod-termination.ts'
import { FINDINGS } from '../../../../src/api/pod-termination.ts'
import { summarise } from '../../../../src/core/summary/index.ts'
import { hookOf, needOf } from '../../../../src/core/summary/needs.ts'
import {
  aRecord,
  at,
  forcedKill,
  forcedKillInferred,
  graceful,
  killedFromInside,
  lost,
  mark,
  rollingUpdate,
  sidecars,
  terminating,
} from '../../render/records.ts'

interface Shape {
  /** Seconds to the exit. */
  needed: number
  grace?: number
  hook?: number
  forced?: boolean
  findings?: FindingType[]
  cause?: 'Deleted' | 'Evicted'
  served?: boolean
}

/** As the agent measures it: without bounds of its own. */
function ended({ needed, grace = 30, hook, forced = false, findings = [], cause = 'Deleted', served = false }: Shape) {
  const exit = forced ? grace : needed
  return aRecord({
    pod: { ...aRecord().pod, graceSeconds: grace },
    cause: { type: cause },
    outcome: forced ? 'ForcedKill' : 'Graceful',
    containers: [
      {
        name: 'app',
        role: 'Main',
        outcome: forced ? 'ForcedKill' : 'Graceful',
        ...(hook === undefined ? {} : { preStop: { handler: 'Sleep' as const, result: 'Succeeded' as const } }),
      },
    ],
    ...(served ? { endpoints: [{ service: 'web', readyAtStopSignal: 'False' as const }] } : {}),
    findings: findings.map((type) => ({ type, severity: FINDINGS[type], message: 'as it was' })),
    timeline: [
      ...(hook === undefined
        ? []
        : [mark('PreStopStarted', 0, { container: 'app' }), mark('PreStopFinished', hook, { container: 'app' })]),
      mark('StopSignal', hook ?? 0, { container: 'app' }),
      mark('ContainerExited', exit, { container: 'app' }),
    ],
  })
}

const many = (count: number, shape: Shape) => Array.from({ length: count }, () => ended(shape))
const one = (records: readonly PodTermination[]) => summarise(records)[0]
const adviceOf = (records: readonly PodTermination[]) => one(records)?.recommendation

describe('what one termination needed', () => {
  it('is the time from its hook to its exit, with the bounds of both', () => {
    expect(needOf(rollingUpdate())).toMatchObject({ best: 6.05 })
    expect(needOf(rollingUpdate())?.least).toBeCloseTo(5.75, 6)
    expect(needOf(rollingUpdate())?.most).toBeCloseTo(6.3, 6)
    expect(hookOf(rollingUpdate())).toBeCloseTo(5.01, 6)
  })

  it('is the time from the stop signal where there is no hook', () => {
    expect(needOf(graceful())?.best).toBeCloseTo(0.48, 6)
  })

  it('has no upper bound where it was killed', () => {
    expect(needOf(forcedKillInferred())).toMatchObject({
      least: expect.closeTo(17.02, 6),
      most: Number.POSITIVE_INFINITY,
    })
  })

  it('is that of the slowest main container; sidecars have their own time', () => {
    expect(needOf(sidecars())?.best).toBeCloseTo(2.11, 6)
  })

  it('is not made of times on two clocks', () => {
    // The hook by its Event on the node's clock, the exit measured on the node's as well.
    expect(needOf(forcedKill())).toBeDefined()
    const { timeline = [], ...rest } = forcedKill()
    const mixed = timeline.map((entry) => (entry.mark === 'ContainerExited' ? { ...entry, clock: 'Recorder' as const } : entry))
    expect(needOf({ ...rest, timeline: mixed })).toBeUndefined()
  })

  it.each<[string, () => PodTermination]>([
    ['killed by somebody else', killedFromInside],
    ['not seen', lost],
    ['not over', () => terminating().record],
    ['killed when an eviction left it no time', () => ended({ needed: 0, forced: true, cause: 'Evicted' })],
    [
      'killed in a grace period that a later delete had shortened',
      () => ended({ needed: 0, forced: true, findings: ['GraceShortened'] }),
    ],
  ])('is not known of what was %s', (_, make) => {
    expect(needOf(make())).toBeUndefined()
  })
})

describe('what is recommended', () => {
  it('is what covers the 99th percentile and a quarter more, as sure as the number of terminations makes it', () => {
    expect(adviceOf(many(20, { needed: 27 }))?.grace).toEqual({ seconds: 35, change: 'Raise', sureness: 'Low' })
    expect(adviceOf(many(59, { needed: 27 }))?.grace).toEqual({ seconds: 35, change: 'Raise', sureness: 'Medium' })
    expect(adviceOf(many(299, { needed: 27 }))?.grace).toEqual({ seconds: 35, change: 'Raise', sureness: 'High' })
  })

  it('is to keep what is enough, and to lower only by much and surely', () => {
    expect(adviceOf(many(20, { needed: 2 }))?.grace).toMatchObject({ seconds: 30, change: 'Keep' })
    expect(adviceOf(many(299, { needed: 2 }))?.grace).toEqual({ seconds: 5, change: 'Lower', sureness: 'High' })
    expect(adviceOf(many(299, { needed: 15 }))?.grace).toMatchObject({ seconds: 30, change: 'Keep' })
  })

  it('is a value to try where some were killed before they were done', () => {
    const advice = adviceOf([...many(5, { needed: 3 }), ended({ needed: 0, forced: true })])
    expect(advice?.grace).toEqual({ seconds: 60, change: 'Raise', sureness: 'Low' })
    expect(advice?.reasons.join(' ')).toMatch(/1 of 6 was killed before the end of the shutdown/)
  })

  it('is to look again where the grace period has been raised since the kills', () => {
    const killed = { ...ended({ needed: 0, forced: true, grace: 10 }), startedAt: at(0) }
    const since = { ...ended({ needed: 8, grace: 30 }), startedAt: at(100) }
    const advice = adviceOf([killed, since])
    expect(advice?.grace).toEqual({ seconds: 30, change: 'Keep', sureness: 'Low' })
    expect(advice?.reasons.join(' ')).toMatch(/killed .* after up to 10 s, .* is twice as long now/)
  })

  it('counts a rare forced kill against how sure it is', () => {
    const advice = adviceOf([...many(400, { needed: 20 }), ended({ needed: 0, forced: true })])
    expect(advice?.grace).toEqual({ seconds: 30, change: 'Keep', sureness: 'Medium' })
  })

  it('is no longer grace period where the stop signal never reached the app', () => {
    const advice = adviceOf(many(6, { needed: 0, forced: true, findings: ['StopSignalIgnored'] }))
    expect(advice?.grace).toBeUndefined()
    expect(advice?.reasons[0]).toMatch(/^In 6 of 6 forced kills the stop signal never reached the app\./)
    const some = adviceOf([
      ...many(6, { needed: 0, forced: true, findings: ['StopSignalNotForwarded'] }),
      ...many(3, { needed: 2 }),
    ])
    expect(some?.grace).toMatchObject({ seconds: 30, change: 'Keep', sureness: 'Low' })
  })

  it('is a longer preStop, and grace for it, where Services had not let go in time', () => {
    const advice = adviceOf(many(20, { needed: 26, served: true, findings: ['NoDrainTime'] }))
    expect(advice?.preStop).toEqual({ seconds: 5, change: 'Raise', sureness: 'High' })
    // 26 s and a quarter, and the 5 s.
    expect(advice?.grace).toMatchObject({ seconds: 40, change: 'Raise' })
    expect(adviceOf(many(4, { needed: 2, hook: 1, served: true, findings: ['EndpointReadyAtStopSignal'] }))?.preStop).toEqual({
      seconds: 11,
      change: 'Raise',
      sureness: 'Medium',
    })
  })

  it('is no longer preStop where a long one did not help', () => {
    const advice = adviceOf(many(4, { needed: 13, hook: 12, served: true, findings: ['EndpointReadyAtStopSignal'] }))
    expect(advice?.preStop).toBeUndefined()
    expect(advice?.reasons.join(' ')).toMatch(
      /A longer preStop than 12 s will hardly change that: look for publishNotReadyAddresses/,
    )
  })

  it('leaves the hook as it is where it is enough, and says nothing of pods that no Service sends to', () => {
    expect(adviceOf(many(59, { needed: 8, hook: 6, served: true }))?.preStop).toEqual({
      seconds: 6,
      change: 'Keep',
      sureness: 'Medium',
    })
    expect(adviceOf(many(59, { needed: 8, hook: 6 }))?.preStop).toBeUndefined()
  })

  it('says why there is none', () => {
    expect(adviceOf([lost()])).toEqual({ reasons: ['No termination of 1 shows how long a shutdown takes.'] })
  })
})

const shape = fc.record({
  needed: fc.double({ min: 0, max: 300, noNaN: true }),
  grace: fc.constantFrom(10, 30, 60),
  forced: fc.boolean(),
})

describe('summarise', () => {
  it('never recommends less than what was needed, whatever was seen', () => {
    fc.assert(
      fc.property(fc.array(shape, { minLength: 1, maxLength: 120 }), (shapes) => {
        const { needed, recommendation } = one(shapes.map(ended)) ?? {}
        const grace = recommendation?.grace
        expect(grace).toBeDefined()
        expect(grace?.seconds).toBeGreaterThanOrEqual(needed?.p99.least ?? Number.NaN)
        if (Number.isFinite(needed?.p99.most)) expect(grace?.seconds).toBeGreaterThanOrEqual(needed?.p99.most ?? Number.NaN)
        else expect(grace).toMatchObject({ sureness: 'Low' })
        if (shapes.length < 299) expect(grace?.sureness).not.toBe('High')
        if (shapes.length < 59) expect(grace?.sureness).toBe('Low')
      }),
      { numRuns: 60 },
    )
  })

  it('does not depend on the order of the records', () => {
    fc.assert(
      fc.property(
        fc.array(shape, { minLength: 1, maxLength: 30 }).chain((shapes) => {
          const records = shapes.map(ended)
          return fc.tuple(fc.constant(records), fc.shuffledSubarray(records, { minLength: records.length }))
        }),
        ([records, shuffled]) => {
          expect(summarise(shuffled)).toEqual(summarise(records))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('counts every record once', () => {
    const records = [forcedKill(), graceful(), sidecars(), lost(), terminating().record, ended({ needed: 1 })]
    const summaries = summarise(records)
    expect(summaries.map(({ workload }) => `${workload?.kind} ${workload?.name}`)).toEqual([
      'Deployment web',
      'StatefulSet orders',
    ])
    expect(summaries[0]).toMatchObject({
      terminations: 4,
      ongoing: 1,
      forced: 1,
      outcomes: { ForcedKill: 1, Graceful: 2, Lost: 1 },
    })
    expect(summaries.reduce((sum, { terminations, ongoing }) => sum + terminations + ongoing, 0)).toBe(records.length)
  })

  it('takes the grace period that the latest termination had which was not cut short', () => {
    const at0 = { ...ended({ needed: 1, grace: 60 }), startedAt: at(0) }
    const later = { ...ended({ needed: 1, grace: 20 }), startedAt: at(100) }
    const evicted = { ...ended({ needed: 1, grace: 0, cause: 'Evicted' as const }), startedAt: at(200) }
    expect(one([evicted, later, at0])?.graceSeconds).toBe(20)
  })
})
