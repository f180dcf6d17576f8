import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OUTCOMES } from '../../../../src/api/pod-termination.ts'
import { type HandoverInput, type HandoverRules, handover, rulesOf } from '../../../../src/core/gates/handover.ts'
import type { EndedPod, Hold, WorkloadFacts, WorkloadPod } from '../../../../src/core/gates/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { condition, NOW } from './builders.ts'

const WORKLOAD = { kind: 'Deployment', name: 'web', uid: 'deploy-1', apiVersion: 'apps/v1' }
const RULES: HandoverRules = {
  maxForcedKills: 0,
  window: 600 * SECOND,
  outcomes: ['ForcedKill'],
  waitForVerdict: true,
  maxHold: 1800 * SECOND,
}
const pod = (uid: string, revision: string, part: Partial<WorkloadPod> = {}): WorkloadPod => ({
  uid,
  name: `web-${uid}`,
  revision,
  ...part,
})
const killed = (uid: string, agoSeconds = 10): EndedPod => ({
  uid,
  name: `web-${uid}`,
  outcome: 'ForcedKill',
  finishedAt: NOW - agoSeconds * SECOND,
})

/** A new pod that could serve. */
const ASKS: Omit<HandoverInput, 'facts'> = {
  rules: RULES,
  namespace: 'shop',
  uid: 'n1',
  revision: 'new',
  current: undefined,
  containersReady: true,
  hold: undefined,
  now: NOW,
  overdueSlack: 9 * SECOND,
}

/** Beside two old ones. */
function asked(part: Partial<Omit<HandoverInput, 'facts'>> & { readonly facts?: Partial<WorkloadFacts> } = {}) {
  const { facts, ...rest } = part
  return handover({
    ...ASKS,
    ...rest,
    facts: {
      workload: WORKLOAD,
      pods: [pod('o1', 'old'), pod('o2', 'old'), pod('n1', 'new')],
      revisions: new Map([
        ['old', 1],
        ['new', 2],
      ]),
      ended: [],
      ...facts,
    },
  })
}

describe('a pod of a new revision', () => {
  it('passes while the pods of the workload end well', () => {
    expect(asked().result).toMatchObject({ state: 'Pass', reason: 'HandoverAllowed' })
    expect(asked({ facts: { ended: [{ ...killed('x'), outcome: 'Graceful' }] } }).result.state).toBe('Pass')
  })

  it('is held after a forced kill within the window, and told how to be let in', () => {
    const { result, hold } = asked({ facts: { ended: [killed('x', 20)] } })
    expect(result).toEqual({
      state: 'Fail',
      reason: 'RolloutHeld',
      message:
        '1 of the pods of Deployment web ended in ForcedKill within 10 min (the last: web-x, ForcedKill at 2026-11-26 11:59:40 UTC), which is more than maxForcedKills (0): ' +
        'pods of revision new wait until 2026-11-26 12:09:40 UTC. To let them in now: kubectl annotate --overwrite -n shop deployment web gracewatch.dev/release=new',
      recheckAt: NOW + 580 * SECOND,
    })
    expect(hold).toEqual({ workload: WORKLOAD, revision: 'new', since: NOW })
    // The message does not change with the time, or each look would be a write.
    const later = asked({ facts: { ended: [killed('x', 20)] }, hold, now: NOW + 60 * SECOND })
    expect(later.result).toEqual(result)
    expect(later.hold).toEqual(hold)
  })

  it('is let in when the window is over', () => {
    const { hold } = asked({ facts: { ended: [killed('x', 20)] } })
    const after = asked({ facts: { ended: [killed('x', 20)] }, hold, now: NOW + 580 * SECOND })
    expect(after).toMatchObject({ result: { state: 'Pass' }, hold: undefined })
  })

  it('is let in after maxHold, and its revision is not held again', () => {
    const hold: Hold = { workload: WORKLOAD, revision: 'new', since: NOW - 1800 * SECOND }
    const released = asked({ facts: { ended: [killed('x')] }, hold })
    expect(released.result).toMatchObject({ state: 'Pass', reason: 'Released' })
    expect(released.hold?.released).toEqual({ at: NOW, by: 'MaxHold' })
    const again = asked({ facts: { ended: [killed('x'), killed('y', 1)] }, hold: released.hold, now: NOW + SECOND })
    expect(again.result.reason).toBe('Released')
  })

  it('is let in by the annotation: its revision, or another value than at the beginning', () => {
    const hold: Hold = { workload: WORKLOAD, revision: 'new', since: NOW, releaseSeen: 'before' }
    const ended = [killed('x')]
    expect(asked({ facts: { ended, release: 'before' }, hold }).result.state).toBe('Fail')
    expect(asked({ facts: { ended, release: 'true' }, hold }).hold?.released?.by).toBe('Annotation')
    expect(asked({ facts: { ended, release: 'new' } }).hold?.released?.by).toBe('Annotation')
    // One of another rollout, from before this hold.
    expect(asked({ facts: { ended, release: 'old' } })).toMatchObject({ result: { state: 'Fail' }, hold: { releaseSeen: 'old' } })
  })

  it('keeps of a long value as much as the gate can hold, and takes it for the same', () => {
    const facts = { ended: [killed('x')], release: 'v'.repeat(5000) }
    const { hold } = asked({ facts })
    expect(hold?.releaseSeen).toHaveLength(253)
    expect(asked({ facts, hold }).result.reason).toBe('RolloutHeld')
    expect(asked({ facts: { ...facts, release: 'w'.repeat(5000) }, hold }).result.reason).toBe('Released')
  })

  it('waits for the verdict on an old pod that is terminating, no longer than until it is overdue', () => {
    const terminating = { since: NOW, deadline: NOW + 5 * SECOND }
    const pods = [pod('o1', 'old', { terminating }), pod('o2', 'old'), pod('n1', 'new')]
    expect(asked({ facts: { pods } }).result).toMatchObject({
      state: 'Fail',
      reason: 'WaitingForVerdict',
      recheckAt: NOW + 14 * SECOND,
    })
    expect(asked({ facts: { pods }, now: NOW + 14 * SECOND }).result.state).toBe('Pass')
    expect(asked({ facts: { pods }, rules: { ...RULES, waitForVerdict: false } }).result.state).toBe('Pass')
    // With a long grace period it is maxHold that ends it.
    const long = { since: NOW - 60 * SECOND, deadline: NOW + 86_400 * SECOND }
    const slow = [pod('o1', 'old', { terminating: long }), pod('n1', 'new')]
    expect(asked({ facts: { pods: slow } }).result).toMatchObject({ state: 'Fail', recheckAt: NOW + 1740 * SECOND })
    expect(asked({ facts: { pods: slow }, now: NOW + 1740 * SECOND }).result.state).toBe('Pass')
    const ended = [pod('o1', 'old', { terminating, verdict: true }), pod('o2', 'old'), pod('n1', 'new')]
    expect(asked({ facts: { pods: ended } }).result.state).toBe('Pass')
  })

  it('is let in no sooner than its containers are ready: a Deployment makes it before it takes an old one down', () => {
    const early = asked({ containersReady: false })
    // Without a condition it is kept out as well, and nothing has to be written.
    expect(early.result).toMatchObject({ state: 'Fail', reason: 'ContainersNotReady', pending: true })
    const waited = asked({ containersReady: false, current: condition('False', { reason: 'WaitingForVerdict' }) })
    expect(waited.result).toEqual({
      state: 'Fail',
      reason: 'ContainersNotReady',
      message: 'it is decided once the containers of the pod are ready',
    })
    // What speaks against it is said at once, and neither a release nor a pod of the old revision waits.
    expect(asked({ containersReady: false, facts: { ended: [killed('x')] } }).result.reason).toBe('RolloutHeld')
    const hold: Hold = { workload: WORKLOAD, revision: 'new', since: NOW, released: { at: NOW, by: 'Annotation' } }
    expect(asked({ containersReady: false, hold }).result.state).toBe('Pass')
    expect(asked({ containersReady: false, uid: 'o1', revision: 'old' }).result.state).toBe('Pass')
  })

  it('cannot be judged while order or ends are not known', () => {
    const { revisions: _, ...rest } = { revisions: undefined }
    expect(asked({ facts: { ...rest, revisions: new Map([['old', 1]]) } }).result).toMatchObject({
      state: 'Unknown',
      reason: 'RevisionsUnknown',
    })
    const facts: WorkloadFacts = {
      workload: WORKLOAD,
      pods: [pod('o1', 'old'), pod('n1', 'new')],
      revisions: new Map([
        ['old', 1],
        ['new', 2],
      ]),
      endedProblem: 'the records cannot be read: 403',
    }
    expect(handover({ ...ASKS, facts }).result).toEqual({
      state: 'Unknown',
      reason: 'OutcomesUnknown',
      message: 'the records cannot be read: 403',
    })
  })

  it('takes the defaults of the schema where a server has left them out', () => {
    expect(rulesOf({} as never)).toEqual(RULES)
  })
})

it('of three revisions the middle one passes, as the oldest does, and the newest alone is held', () => {
  const pods = [pod('o1', 'old'), pod('m1', 'middle'), pod('n1', 'new')]
  const revisions = new Map([
    ['old', 1],
    ['middle', 2],
    ['new', 3],
  ])
  const facts = { pods, revisions, ended: [killed('x')] }
  expect(asked({ facts, uid: 'o1', revision: 'old' }).result.reason).toBe('NotOfTheNewest')
  expect(asked({ facts, uid: 'm1', revision: 'middle' }).result.reason).toBe('NotOfTheNewest')
  expect(asked({ facts }).result.reason).toBe('RolloutHeld')
  // Those of the newest are all on their way out: the middle one is what comes.
  const terminating = { since: NOW, deadline: NOW + 5 * SECOND }
  const leaving = { ...facts, pods: [pod('o1', 'old'), pod('m1', 'middle'), pod('n1', 'new', { terminating })] }
  expect(asked({ facts: leaving, uid: 'm1', revision: 'middle' }).result.reason).toBe('RolloutHeld')
})

describe('what passes', () => {
  const revision = fc.constantFrom('a', 'b', 'c')
  const pods = fc.uniqueArray(
    fc.record({
      uid: fc.constantFrom('1', '2', '3', '4', '5', '6'),
      revision,
      terminating: fc.option(
        fc.integer({ min: -60, max: 60 }).map((s) => ({ since: NOW - 60 * SECOND, deadline: NOW + s * SECOND })),
        {
          nil: undefined,
        },
      ),
      verdict: fc.option(fc.constant(true as const), { nil: undefined }),
      finished: fc.option(fc.constant(true as const), { nil: undefined }),
    }),
    { selector: ({ uid }) => uid, minLength: 1 },
  )
  const ended = fc.uniqueArray(
    fc.record({
      uid: fc.constantFrom('e1', 'e2', 'e3', 'e4'),
      outcome: fc.oneof(fc.constant('ForcedKill' as const), fc.constantFrom(...OUTCOMES)),
      finishedAt: fc.integer({ min: -1200, max: 0 }).map((s) => NOW + s * SECOND),
    }),
    { selector: ({ uid }) => uid },
  )
  const story = fc.record({
    pods,
    ended,
    max: fc.nat(3),
    wait: fc.boolean(),
    ranks: fc.shuffledSubarray([1, 2, 3], { minLength: 3 }),
  })
  const clean = (list: readonly Partial<WorkloadPod>[]): WorkloadPod[] =>
    list.map(({ uid = '', revision: of = '', terminating, verdict, finished }) => ({
      ...pod(uid, of),
      ...(terminating === undefined ? {} : { terminating }),
      ...(verdict === undefined ? {} : { verdict }),
      ...(finished === undefined ? {} : { finished }),
    }))

  function ask(from: typeof story extends fc.Arbitrary<infer S> ? S : never, part: Partial<HandoverInput> = {}) {
    const members = clean(from.pods as readonly Partial<WorkloadPod>[])
    const [first] = members
    const names = ['a', 'b', 'c']
    return handover({
      ...ASKS,
      rules: { ...RULES, maxForcedKills: from.max, waitForVerdict: from.wait },
      uid: first?.uid ?? '',
      revision: first?.revision ?? '',
      facts: {
        workload: WORKLOAD,
        pods: members,
        revisions: new Map(names.map((name, index) => [name, from.ranks[index] ?? 0])),
        ended: from.ended.map((end) => ({ ...end, name: `web-${end.uid}` })),
      },
      ...part,
    })
  }

  it('is every pod that is True already', () => {
    fc.assert(
      fc.property(story, (from) => {
        expect(ask(from, { current: condition('True') }).result.state).toBe('Pass')
      }),
    )
  })

  it('is every pod of a revision that is not the newest, and every pod where there is one revision only', () => {
    fc.assert(
      fc.property(story, (from) => {
        const rank = (of = '') => from.ranks[['a', 'b', 'c'].indexOf(of)] ?? 0
        const [first, ...rest] = from.pods
        const there = rest.filter(({ finished, verdict }) => finished !== true && verdict !== true)
        const newest = Math.max(0, ...there.filter(({ terminating }) => terminating === undefined).map((it) => rank(it.revision)))
        const older = there.some((it) => rank(it.revision) < rank(first?.revision))
        if (newest > rank(first?.revision) || !older) expect(ask(from).result.state).toBe('Pass')
      }),
    )
  })

  it('does not depend on the order of pods and ends', () => {
    fc.assert(
      fc.property(story, fc.func(fc.integer()), (from, order) => {
        const [first, ...rest] = from.pods
        if (first === undefined) return
        const mixed = {
          ...from,
          pods: [first, ...rest.toSorted((a, b) => order(a.uid) - order(b.uid))],
          ended: from.ended.toSorted((a, b) => order(a.uid) - order(b.uid)),
        }
        expect(ask(mixed)).toEqual(ask(from))
      }),
    )
  })

  it('is no less where more forced kills are allowed', () => {
    fc.assert(
      fc.property(story, (from) => {
        if (ask(from).result.state === 'Pass') expect(ask({ ...from, max: from.max + 1 }).result.state).toBe('Pass')
      }),
    )
  })
})
