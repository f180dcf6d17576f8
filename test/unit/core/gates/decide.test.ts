import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { conditionPatch } from '../../../../src/core/gates/condition-patch.ts'
import { type CheckedResult, decide } from '../../../../src/core/gates/decide.ts'
import type { Condition } from '../../../../src/core/gates/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { aGate, aPod, at, condition, found, NOW, TYPE } from './builders.ts'

const decided = (results: readonly CheckedResult[], current?: Condition, spec = {}, now = NOW) =>
  decide(aGate({ spec }), aPod({ conditions: current === undefined ? [] : [current] }), results, now)

describe('what a condition should be', () => {
  it('True where every check passes, with what was found', () => {
    expect(decided([found('Pass'), found('Pass', { kind: 'endpoints' })])).toEqual({
      status: 'True',
      reason: 'ChecksPassed',
      message: 'annotation: what made it Pass; endpoints: what made it Pass',
    })
  })

  it('False where one fails, whatever the others are, with the first that does', () => {
    expect(
      decided([found('Unknown'), found('Fail'), found('Pass'), found('Fail', { kind: 'httpGet' })], condition('True')),
    ).toEqual({
      status: 'False',
      reason: 'FailReason',
      message: 'annotation: what made it Fail (so it is with 1 more of the checks)',
    })
  })

  it('Unknown where one cannot be evaluated, until failOpenAfter', () => {
    const first = decided([found('Pass'), found('Unknown')], undefined, { failOpenAfter: '5m' })
    expect(first).toEqual({
      status: 'Unknown',
      reason: 'UnknownReason',
      message: 'annotation: what made it Unknown; if nothing changes, the gate opens at 2026-11-26 12:05:00 UTC',
      recheckAt: NOW + 300 * SECOND,
    })
    // From when it became so: a controller that has just started does not begin to count anew.
    const current = condition('Unknown', { lastTransitionTime: at(-299) })
    expect(decided([found('Unknown')], current, { failOpenAfter: '5m' })?.status).toBe('Unknown')
    expect(decided([found('Unknown')], current, { failOpenAfter: '5m' }, NOW + SECOND)).toMatchObject({
      status: 'True',
      reason: 'FailedOpen',
      message: 'cannot be evaluated since 2026-11-26 11:55:01 UTC and stays True: annotation: what made it Unknown',
    })
  })

  it('Unknown for ever where the user says so', () => {
    const current = condition('Unknown', { lastTransitionTime: at(-1_000_000) })
    const verdict = decided([found('Unknown')], current, { failOpenAfter: 'Never' })
    expect(verdict).toEqual({ status: 'Unknown', reason: 'UnknownReason', message: 'annotation: what made it Unknown' })
  })

  it('as True as it was where it cannot be evaluated any more, and it says since when', () => {
    const first = decided([found('Unknown')], condition('True'))
    expect(first).toEqual({
      status: 'True',
      reason: 'UnknownReason',
      message: 'cannot be evaluated since 2026-11-26 12:00:00 UTC and stays True: annotation: what made it Unknown',
    })
    const current = condition('True', { reason: 'UnknownReason', message: first?.message ?? '' })
    // The message stays the same, or each look would be a write.
    expect(decided([found('Unknown')], current, {}, NOW + 3 * 86_400 * SECOND)).toEqual(first)
    expect(decided([found('Fail')], current)?.status).toBe('False')
  })

  it('as it is while somebody has still to look, unless a check fails', () => {
    const pending = found('Unknown', { pending: true })
    expect(decided([found('Pass'), pending], condition('True'))).toBeUndefined()
    expect(decided([pending], undefined)).toBeUndefined()
    expect(decided([found('Fail', { pending: true })], undefined)).toBeUndefined()
    expect(decided([pending, found('Fail')], condition('True'))?.status).toBe('False')
  })

  it('False where the pod is drained, whatever is found', () => {
    const drained = (value: string, results = [found('Pass')]) =>
      decide(aGate(), aPod({ annotations: { 'gracewatch.dev/drain': value } }), results, NOW)
    expect(drained('true')).toMatchObject({ status: 'False', reason: 'Draining' })
    expect(drained('')).toMatchObject({ status: 'False', reason: 'Draining' })
    expect(drained('false')?.status).toBe('True')
    expect(drained('yes', [found('Unknown', { pending: true })])?.reason).toBe('Draining')
  })

  const results = fc.array(
    fc.record({
      kind: fc.constantFrom('annotation' as const, 'httpGet' as const),
      state: fc.constantFrom('Pass' as const, 'Fail' as const, 'Unknown' as const),
      reason: fc.constantFrom('A', 'B'),
      message: fc.string({ maxLength: 2000 }),
    }),
    { minLength: 1, maxLength: 5 },
  )
  const currents = fc.option(
    fc.record({
      status: fc.constantFrom('True' as const, 'False' as const, 'Unknown' as const),
      lastTransitionTime: fc.integer({ min: -100_000, max: 0 }).map(at),
    }),
    { nil: undefined },
  )

  it('never becomes False without a check that fails', () => {
    fc.assert(
      fc.property(results, currents, fc.nat(100_000), (list, current, later) => {
        const verdict = decided(list, current && condition(current.status, current), {}, NOW + later * SECOND)
        expect(verdict?.status === 'False').toBe(list.some(({ state }) => state === 'Fail'))
        expect(verdict?.message.length).toBeLessThanOrEqual(1024)
      }),
    )
  })

  it('is found again once it has been written: one write a flip, and none after that', () => {
    fc.assert(
      fc.property(results, currents, fc.nat(10_000), (list, current, later) => {
        const before = current && condition(current.status, current)
        const pod = aPod({ conditions: before === undefined ? [] : [before] })
        const verdict = decide(aGate(), pod, list, NOW)
        const patch = verdict && conditionPatch(pod, TYPE, verdict, NOW)
        if (verdict === undefined || patch === undefined) return
        const [written] = patch.status.conditions
        // Short of failOpenAfter nothing changes by itself.
        const now = NOW + (written.status === 'Unknown' ? Math.min(later, 300) : later) * SECOND
        const after = aPod({ conditions: [written] })
        const again = decide(aGate(), after, list, written.status === 'Unknown' && current?.status === 'Unknown' ? NOW : now)
        expect(again && conditionPatch(after, TYPE, again, now)).toBeUndefined()
      }),
    )
  })
})

describe('what is written', () => {
  const verdict = { status: 'True', reason: 'ChecksPassed', message: 'all is well' } as const

  it('is the one condition, with the UID of the pod and the generation that it is about', () => {
    expect(conditionPatch(aPod({ generation: 4 }), TYPE, verdict, NOW)).toEqual({
      metadata: { uid: 'pod-1' },
      status: { conditions: [{ type: TYPE, ...verdict, lastTransitionTime: at(0), observedGeneration: 4 }] },
    })
  })

  it('keeps lastTransitionTime unless the status flips', () => {
    const patched = (current: Condition) => conditionPatch(aPod({ conditions: [current] }), TYPE, verdict, NOW)
    expect(patched(condition('True'))?.status.conditions[0].lastTransitionTime).toBe(at(-60))
    expect(patched(condition('False'))?.status.conditions[0].lastTransitionTime).toBe(at(0))
  })

  it('is nothing where all is the same, and nothing where the pod is being deleted', () => {
    expect(conditionPatch(aPod({ conditions: [condition('True', verdict)] }), TYPE, verdict, NOW)).toBeUndefined()
    expect(conditionPatch(aPod({ deletionTimestamp: at(30) }), TYPE, verdict, NOW)).toBeUndefined()
  })
})
