import { describe, expect, it } from 'vitest'
import { podReadinessGateSchema } from '../../../../src/api/pod-readiness-gate.ts'
import { annotationResult } from '../../../../src/core/gates/checks.ts'
import { type GateFacts, sameStatus, statusOf } from '../../../../src/core/gates/gate-status.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { aGate, aPod, at, condition, NOW } from './builders.ts'

const NOTHING: GateFacts = { pods: [], conflicts: [], problems: [], holds: [], canInject: undefined }
const about = (status: ReturnType<typeof statusOf>, type: string) => status.conditions?.find((it) => it.type === type)

describe('the status of a gate', () => {
  const pods = [
    aPod({ uid: '1', conditions: [condition('True')] }),
    aPod({ uid: '2', conditions: [condition('False')] }),
    aPod({ uid: '3' }),
    aPod({ uid: '4', conditions: [condition('Unknown')] }),
    aPod({ uid: '5', readinessGates: [] }),
    aPod({ uid: '6', conditions: [condition('False', { reason: 'RolloutHeld' })] }),
  ]

  it('counts the pods; without a condition the kubelet takes it for False', () => {
    const status = statusOf(aGate({ generation: 7 }), { ...NOTHING, pods }, NOW)
    expect(status).toMatchObject({
      observedGeneration: 7,
      matched: 6,
      passing: 1,
      failing: 3,
      unknown: 1,
      withoutGate: 1,
      holding: 1,
    })
  })

  it('says of a selector that cannot be used what is wrong with it', () => {
    const gate = aGate({ spec: { selector: { matchLabels: { 'no key': 'x' } } } })
    expect(about(statusOf(gate, NOTHING, NOW), 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'InvalidSelector',
      message: 'spec.selector.matchLabels: "no key" is no label key; the gate selects no pod',
    })
  })

  it('says of two gates which one acts', () => {
    const conflicts = (acts: boolean) =>
      about(statusOf(aGate(), { ...NOTHING, conflicts: [{ name: 'b', acts }] }, NOW), 'Conflicting')
    expect(conflicts(true)).toMatchObject({ status: 'True', reason: 'OlderGateActs' })
    expect(conflicts(false)).toMatchObject({ status: 'True', reason: 'YoungerGateWaits' })
    expect(about(statusOf(aGate(), NOTHING, NOW), 'Conflicting')).toBeUndefined()
  })

  it('says what has to be done for the condition to get into the pods', () => {
    const injecting = (inject: boolean, canInject: boolean | undefined, list = pods) =>
      about(statusOf(aGate({ spec: { inject } }), { ...NOTHING, pods: list, canInject }, NOW), 'Injecting')
    expect(injecting(false, undefined)?.message).toContain(
      'name example.com/registered in spec.readinessGates of the pod template',
    )
    expect(injecting(true, false)).toMatchObject({ status: 'False', reason: 'NotSupported' })
    expect(injecting(true, true)).toMatchObject({ status: 'False', reason: 'PodsWithoutGate' })
    expect(injecting(true, true, pods.slice(0, 3))).toMatchObject({ status: 'True', reason: 'Injecting' })
    expect(injecting(false, undefined, pods.slice(0, 3))).toBeUndefined()
  })

  it('keeps the times of what has not changed, and is the same as itself in any order of fields', () => {
    const first = statusOf(aGate(), { ...NOTHING, pods }, NOW)
    const later = statusOf(aGate({ status: first }), { ...NOTHING, pods }, NOW + 60 * SECOND)
    expect(later).toEqual(first)
    expect(sameStatus(JSON.parse(JSON.stringify(first, Object.keys(first).toReversed())), later)).toBe(false)
    const turned = Object.fromEntries(Object.entries(first).toReversed())
    expect(sameStatus(turned, later)).toBe(true)
    const flipped = statusOf(aGate({ status: first }), { ...NOTHING, pods, problems: ['no right'] }, NOW + 60 * SECOND)
    expect(about(flipped, 'Evaluable')).toMatchObject({ status: 'False', lastTransitionTime: at(60), message: 'no right' })
  })
})

describe('what is stored of holds', () => {
  const hold = (index: number, part = {}) => ({
    workload: { kind: 'Deployment', name: `web-${index}`, uid: `d${index}` },
    revision: 'new',
    since: at(index),
    message: 'why',
    ...part,
  })

  it('is no more than the schema takes, those that hold before those that were let in', () => {
    const many = Array.from({ length: 70 }, (_, index) =>
      hold(index, index < 65 ? { releasedAt: at(100), releasedBy: 'MaxHold' } : {}),
    )
    const { holds = [] } = statusOf(aGate(), { ...NOTHING, holds: many }, NOW)
    expect(holds).toHaveLength(64)
    expect(holds.slice(0, 6).map(({ workload }) => workload.name)).toEqual([
      'web-69',
      'web-68',
      'web-67',
      'web-66',
      'web-65',
      'web-64',
    ])
    expect(holds.filter(({ releasedAt }) => releasedAt === undefined)).toHaveLength(5)
    // A status that the API server would refuse would be none at all.
    const status = statusOf(
      aGate(),
      { ...NOTHING, holds: [hold(1, { message: '🚦'.repeat(600) })], problems: ['x'.repeat(3000)] },
      NOW,
    )
    expect(podReadinessGateSchema.shape.status.safeParse(status)).toMatchObject({ success: true })
    expect(status.holds?.[0]?.message?.isWellFormed()).toBe(true)
  })
})

describe('the check annotation', () => {
  it('has to have the value', () => {
    const result = (annotations: Record<string, string>) => annotationResult({ key: 'a/b', value: 'yes' }, { annotations })
    expect(result({ 'a/b': 'yes' })).toMatchObject({ state: 'Pass', message: 'a/b is "yes"' })
    expect(result({ 'a/b': 'no' })).toMatchObject({ state: 'Fail', message: 'a/b is "no" and has to be "yes"' })
    expect(result({})).toMatchObject({ state: 'Fail', message: 'a/b is not there and has to be "yes"' })
  })
})
