/** The plan of a cleanup as a person sees it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plan } from '../../../src/core/cleanup/plan.ts'
import { drawPlan, type PlanOptions } from '../../../src/render/cleanup-plan.ts'
import { displayWidth } from '../../../src/render/text.ts'
import { aPod, aRule, aThreshold, HOUR, MINUTE, NOW } from '../core/cleanup/builders.ts'

const options: PlanOptions = { now: NOW, width: 100, colour: false, namespaces: false, kept: true }
const planned = (...[pods, rules, threshold]: [Parameters<typeof plan>[0]['pods'], ReturnType<typeof aRule>[], object?]) =>
  plan({ pods, rules, jobs: new Map(), now: NOW, ...(threshold === undefined ? {} : { threshold: aThreshold(threshold) }) })

const PODS = [
  aPod('web-7d4b9c-x2x9k', { age: 26 * HOUR }),
  aPod('web-7d4b9c-lq8ss', { age: 3 * HOUR, reason: 'Evicted' }),
  aPod('migrate', { age: 5 * MINUTE, owner: null, phase: 'Succeeded' }),
  aPod('web-7d4b9c-j4v7z', { age: 40_000_000 }),
]

describe('a plan', () => {
  it('tells what goes, in order, what stays, and what the reasons mean', () => {
    const result = planned(PODS, [aRule({ keep: { total: 2 } }, 'nightly')])
    expect(drawPlan(result, options)).toEqual([
      'AGE    POD               PHASE      PLAN    REASON         BY',
      '3 h    web-7d4b9c-lq8ss  Evicted    delete  PastKeepTotal  PodCleanup shop/nightly',
      '26 h   web-7d4b9c-x2x9k  Failed     delete  PastKeepTotal  PodCleanup shop/nightly',
      '5 min  migrate           Succeeded  keep    BarePod        PodCleanup shop/nightly',
      '40 s   web-7d4b9c-j4v7z  Failed     keep    TooYoung       PodCleanup shop/nightly',
      '',
      '4 finished pods: 2 would be deleted (2 with a record first), 2 would stay.',
      'PodCleanup shop/nightly: 4 candidates, 2 to delete; stay: 1 BarePod, 1 TooYoung.',
      '',
      'BarePod: it has no owner, so nothing makes it again; barePods: true lets it go.',
      'TooYoung: it finished less than minAge ago.',
    ])
  })

  it('leaves out those that stay unless they are asked for, and names namespaces where there are several', () => {
    const result = planned(PODS, [], { perNamespace: 3 })
    expect(drawPlan(result, { ...options, kept: false, namespaces: true }).slice(0, 3)).toEqual([
      'AGE  POD                    PHASE    PLAN    REASON                  BY',
      '3 h  shop/web-7d4b9c-lq8ss  Evicted  delete  PastNamespaceThreshold  threshold',
      '',
    ])
  })

  it('says what is on dry run, and what cannot be used', () => {
    const dry = planned(PODS, [aRule({ keep: { total: 3 }, dryRun: true })])
    expect(drawPlan(dry, options)[1]).toMatch(/ dry run +PastKeepTotal /)
    expect(drawPlan(dry, options)).toContain(
      '4 finished pods: 0 would be deleted (0 with a record first), 1 are on dry run, 3 would stay.',
    )
    const bad = planned(PODS, [aRule({ keep: { total: 3 }, minAge: 'soon' })])
    expect(drawPlan(bad, options)).toContain('cannot be used: spec.minAge: "soon" is no duration; write one as 90s or 1h30m')
  })

  it('never leaves the width, nor lets a control character through', () => {
    const name = fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), fc.stringMatching(/^[a-z0-9-]{1,253}$/))
    const pods = fc.array(fc.tuple(name, fc.option(name), fc.integer({ min: -HOUR, max: 900 * 24 * HOUR })), { maxLength: 6 })
    fc.assert(
      fc.property(pods, name, fc.integer({ min: 40, max: 200 }), fc.boolean(), (list, ruleName, width, namespaces) => {
        const its = list.map(([pod, reason, age]) => aPod(pod, { age, ...(reason === null ? {} : { reason }) }))
        const result = planned(its, [aRule({ keep: { total: 2 } }, ruleName)], { total: 1 })
        for (const line of drawPlan(result, { ...options, width, namespaces })) {
          expect(displayWidth(line), line).toBeLessThanOrEqual(width)
          expect(line).not.toMatch(/\p{Cc}/u)
        }
      }),
      { numRuns: 500 },
    )
  })
})
