import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { actingOn, selects } from '../../../../src/core/gates/acting.ts'
import { matches, selectorProblem } from '../../../../src/core/gates/selector.ts'
import { aGate, aPod, at, TYPE } from './builders.ts'

describe('a label selector', () => {
  it('that is empty selects everything', () => {
    expect(matches({}, {})).toBe(true)
    expect(matches({ matchLabels: {}, matchExpressions: [] }, { app: 'web' })).toBe(true)
  })

  it.each([
    [{ matchLabels: { app: 'web' } }, true],
    [{ matchLabels: { app: 'api' } }, false],
    [{ matchLabels: { app: 'web', tier: 'front' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In' as const, values: ['api', 'web'] }] }, true],
    [{ matchExpressions: [{ key: 'tier', operator: 'In' as const, values: ['front'] }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn' as const, values: ['web'] }] }, false],
    // A key that is absent has none of the values.
    [{ matchExpressions: [{ key: 'tier', operator: 'NotIn' as const, values: ['front'] }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'Exists' as const }] }, true],
    [{ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' as const }] }, false],
    [{ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' as const }] }, true],
    [{ matchLabels: { constructor: 'x' } }, false],
    [{ matchExpressions: [{ key: 'constructor', operator: 'Exists' as const }] }, false],
  ])('%j of a pod with app=web: %s', (selector, expected) => {
    expect(matches(selector, { app: 'web' })).toBe(expected)
  })

  it('selects fewer with every requirement more', () => {
    const label = fc.constantFrom('a', 'b', 'c')
    const labels = fc.dictionary(label, label)
    const expression = fc.record({
      key: label,
      operator: fc.constantFrom('In' as const, 'NotIn' as const),
      values: fc.array(label, { minLength: 1 }),
    })
    fc.assert(
      fc.property(labels, fc.array(expression), expression, labels, (matchLabels, expressions, more, of) => {
        const selector = { matchLabels, matchExpressions: expressions }
        const narrower = { matchLabels, matchExpressions: [...expressions, more] }
        if (matches(narrower, of)) expect(matches(selector, of)).toBe(true)
      }),
    )
  })

  it.each([
    [{ matchLabels: { 'not a key': 'x' } }, 'spec.selector.matchLabels: "not a key" is no label key'],
    [{ matchLabels: { app: 'not a value' } }, 'spec.selector.matchLabels["app"]: "not a value" is no label value'],
    [
      { matchExpressions: [{ key: 'app', operator: 'In' as const }] },
      'spec.selector.matchExpressions[0]: operator In needs values',
    ],
    [
      { matchExpressions: [{ key: 'app', operator: 'Exists' as const, values: ['x'] }] },
      'spec.selector.matchExpressions[0]: operator Exists takes no values',
    ],
  ])('%j is told of, and selects nothing', (selector, problem) => {
    expect(selectorProblem(selector)).toBe(problem)
    expect(selects(aGate({ spec: { selector } }), aPod({ labels: { app: 'x' } }))).toBe(false)
  })

  it('takes the keys and values that the API server takes', () => {
    const selector = { matchLabels: { 'app.kubernetes.io/name': 'web', 'example.com/A_b.c-d': '', x: '1.0_beta-2' } }
    expect(selectorProblem(selector)).toBeUndefined()
  })
})

describe('of several gates', () => {
  it('the older one acts on a condition, whatever their order; of the same second the smaller UID', () => {
    const ages = fc.uniqueArray(fc.record({ uid: fc.uuid(), age: fc.integer({ min: 0, max: 3 }) }), {
      selector: ({ uid }) => uid,
      minLength: 1,
      maxLength: 6,
    })
    fc.assert(
      fc.property(ages, fc.func(fc.integer()), (list, order) => {
        const gates = list.map(({ uid, age }) => aGate({ uid, name: uid, creationTimestamp: at(-age) }))
        const acting = (all: typeof gates) => actingOn(all, aPod()).get(TYPE)
        const first = acting(gates)
        const mixed = acting(gates.toSorted((a, b) => order(a.uid) - order(b.uid)))
        expect(mixed?.gate.uid).toBe(first?.gate.uid)
        expect(first?.others).toHaveLength(gates.length - 1)
        for (const other of first?.others ?? [])
          expect([first?.gate.creationTimestamp, first?.gate.uid].join() <= [other.creationTimestamp, other.uid].join()).toBe(
            true,
          )
      }),
    )
  })

  it('each condition has its own', () => {
    const gates = [aGate({ uid: 'a' }), aGate({ uid: 'b', spec: { conditionType: 'example.com/other' } })]
    const acting = actingOn(gates, aPod())
    expect([...acting].map(([type, { gate, others }]) => [type, gate.uid, others.length])).toEqual([
      [TYPE, 'a', 0],
      ['example.com/other', 'b', 0],
    ])
  })

  it('one that is being deleted makes room for another', () => {
    const old = aGate({ uid: 'a', creationTimestamp: at(-100), deletionTimestamp: at(0) })
    const young = aGate({ uid: 'b', creationTimestamp: at(-10) })
    expect(actingOn([old, young], aPod()).get(TYPE)?.gate.uid).toBe('b')
    expect(actingOn([old], aPod()).get(TYPE)?.gate.uid).toBe('a')
  })

  it('none of another namespace has anything to say', () => {
    expect(actingOn([aGate({ namespace: 'other' })], aPod()).size).toBe(0)
  })
})
