/** What holds for whatever pods and rules there are. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type PlanInput, plan } from '../../../../src/core/cleanup/plan.ts'
import type { CleanupRule, FinishedPod, JobFacts, Plan, Threshold } from '../../../../src/core/cleanup/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { aPod, aRule, aThreshold, NOW, owner } from './builders.ts'

const OWNERS = [
  owner('ReplicaSet', 'web'),
  owner('ReplicaSet', 'api'),
  owner('StatefulSet', 'db'),
  owner('DaemonSet', 'log'),
  owner('Job', 'done', 'batch/v1'),
  owner('Job', 'running', 'batch/v1'),
  owner('Job', 'unknown', 'batch/v1'),
  owner('Node', 'node-1', 'v1'),
  owner('Workflow', 'etl', 'argoproj.io/v1alpha1'),
  null,
]
const JOBS: ReadonlyMap<string, JobFacts> = new Map([
  ['Job-done', { finished: true }],
  ['Job-running', { finished: false }],
])
const NAMESPACES = ['shop', 'bank']

const pod = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  phase: fc.constantFrom('Failed' as const, 'Succeeded' as const),
  reason: fc.constantFrom(undefined, undefined, 'Evicted', 'NodeShutdown'),
  // Mostly what can be deleted: the protected are many kinds.
  owner: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...OWNERS.slice(0, 2)) }, fc.constantFrom(...OWNERS)),
  deleting: fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, fc.boolean()),
  finalizers: fc.oneof({ weight: 8, arbitrary: fc.constant([]) }, fc.constant(['batch.kubernetes.io/job-tracking'])),
  keep: fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, fc.constantFrom('', 'true', 'false')),
  // In the future too: clocks.
  age: fc.integer({ min: -30, max: 600 }).map((seconds) => seconds * SECOND),
  app: fc.constantFrom('a', 'b'),
})
const pods = fc.array(pod, { maxLength: 30 }).map((list) =>
  list.map(({ app, reason, keep, ...rest }, i) =>
    aPod(`pod-${i}`, {
      ...rest,
      labels: { app },
      ...(reason === undefined ? {} : { reason }),
      ...(keep === undefined ? {} : { keep }),
    }),
  ),
)

const seconds = (max: number) => fc.integer({ min: 1, max }).map((count) => `${count}s`)
const spec = fc
  .record(
    {
      selector: fc.constantFrom({}, { matchLabels: { app: 'a' } }, { matchLabels: { app: 'b' } }),
      phases: fc.constantFrom(['Failed'], ['Failed', 'Succeeded']),
      reasons: fc.constantFrom(['Evicted'], ['Evicted', 'NodeShutdown']),
      keep: fc.oneof(
        fc.record({ total: fc.nat(12) }),
        fc.record({ perOwner: fc.integer({ min: 1, max: 4 }) }),
        fc.record({ total: fc.nat(12), perOwner: fc.integer({ min: 1, max: 4 }) }),
      ),
      olderThan: seconds(500),
      minAge: fc.constantFrom('0s', '60s'),
      barePods: fc.boolean(),
      finishedJobPods: fc.boolean(),
      recordSucceeded: fc.boolean(),
      onRecordFailure: fc.constantFrom('Keep', 'Delete'),
      dryRun: fc.boolean(),
    },
    { requiredKeys: ['selector'] },
  )
  .map((given) => (given.keep === undefined && given.olderThan === undefined ? { ...given, keep: { total: 3 } } : given))
const rules = fc
  .array(fc.tuple(spec, fc.constantFrom(...NAMESPACES)), { maxLength: 3 })
  .map((list) => list.map(([given, namespace], i) => aRule(given, `rule-${i}`, namespace)))
const threshold = fc
  .record(
    {
      total: fc.nat(20),
      perNamespace: fc.nat(12),
      minAge: fc.constantFrom(0, 60 * SECOND),
      barePods: fc.boolean(),
      finishedJobPods: fc.boolean(),
      dryRun: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  .map(aThreshold)

interface World {
  readonly pods: FinishedPod[]
  readonly rules: CleanupRule[]
  readonly threshold: Threshold | undefined
}
const world: fc.Arbitrary<World> = fc.record({ pods, rules, threshold: fc.option(threshold, { nil: undefined }) })

const planOf = ({ threshold, ...rest }: World, more: Partial<PlanInput> = {}): Plan =>
  plan({ jobs: JOBS, now: NOW, ...rest, ...(threshold === undefined ? {} : { threshold }), ...more })
const deleted = ({ verdicts }: Plan): FinishedPod[] => verdicts.filter(({ action }) => action === 'Delete').map(({ pod }) => pod)
const decisions = ({ verdicts }: Plan) => verdicts.map(({ pod: { uid }, action, reason }) => ({ uid, action, reason }))
const living = (list: readonly FinishedPod[]) => list.filter(({ deleting }) => !deleting)

const always = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void) =>
  fc.assert(fc.property(arbitrary, holds), { numRuns: 2_000 })

describe('a plan', () => {
  it('has one verdict for each pod, and its reports tell the same', () => {
    always(world, (given) => {
      const { verdicts, reports } = planOf(given)
      expect(verdicts.map(({ pod }) => pod.uid).sort()).toEqual(given.pods.map(({ uid }) => uid).sort())
      for (const { name, candidates, toDelete, kept } of reports) {
        const its = verdicts.filter((verdict) => verdict.rules.includes(name))
        expect(candidates).toBe(its.length)
        expect(toDelete).toBe(its.filter(({ action }) => action === 'Delete').length)
        expect(kept.reduce((sum, { count }) => sum + count, 0)).toBe(candidates - toDelete)
      }
    })
  })

  it('never deletes what is protected', () => {
    always(world, (given) => {
      for (const pod of deleted(planOf(given))) {
        expect(pod.deleting).toBe(false)
        expect(pod.finalizers).toEqual([])
        expect([undefined, 'false']).toContain(pod.keep)
        expect(['StatefulSet', 'DaemonSet', 'Node']).not.toContain(pod.owner?.kind)
        expect(['Job-running', 'Job-unknown']).not.toContain(pod.owner?.uid)
      }
    })
  })

  it('deletes bare pods, Job pods and young ones only where every rule that has a say asks for them', () => {
    always(world, (given) => {
      const planned = planOf(given)
      const optionsOf = (name: string) => {
        const rule = given.rules.find((one) => name === `PodCleanup ${one.namespace}/${one.name}`)
        if (rule !== undefined) return { ...rule.spec, minAge: Number.parseInt(rule.spec.minAge, 10) * SECOND }
        if (name === 'threshold' && given.threshold !== undefined) return given.threshold
        throw new Error(`there is no rule ${name}`)
      }
      for (const { pod, action, rules } of planned.verdicts) {
        if (action === 'Keep') continue
        expect(rules).not.toEqual([])
        for (const options of rules.map(optionsOf)) {
          if (pod.owner === undefined) expect(options.barePods).toBe(true)
          if (pod.owner?.kind === 'Job') expect(options.finishedJobPods).toBe(true)
          expect(NOW - pod.finishedAt).toBeGreaterThanOrEqual(options.minAge)
        }
      }
    })
  })

  it('never deletes more than is asked for: what each rule is to keep is there afterwards', () => {
    always(world, (given) => {
      const gone = new Set(deleted(planOf(given)))
      const left = (selected: readonly FinishedPod[]) => living(selected).filter((pod) => !gone.has(pod)).length
      for (const { namespace, spec } of given.rules) {
        const selected = given.pods.filter(
          (pod) =>
            pod.namespace === namespace &&
            spec.phases.includes(pod.phase) &&
            (spec.reasons?.includes(pod.reason ?? '') ?? true) &&
            Object.entries(spec.selector.matchLabels ?? {}).every(([key, value]) => pod.labels[key] === value),
        )
        const { total, perOwner } = spec.keep ?? {}
        if (total !== undefined) expect(left(selected)).toBeGreaterThanOrEqual(Math.min(total, living(selected).length))
        if (perOwner !== undefined)
          for (const its of Map.groupBy(selected, ({ owner, uid }) => owner?.uid ?? uid).values())
            expect(left(its)).toBeGreaterThanOrEqual(Math.min(perOwner, living(its).length))
      }
      const { total = 0 } = given.threshold ?? {}
      if (given.rules.length === 0 && given.threshold?.perNamespace === undefined)
        expect(left(given.pods)).toBeGreaterThanOrEqual(Math.min(total, living(given.pods).length))
    })
  })

  it('is the same for any order of pods and rules', () => {
    const shuffled = world.chain((given) =>
      fc.tuple(
        fc.constant(given),
        fc.shuffledSubarray(given.pods, { minLength: given.pods.length }),
        fc.shuffledSubarray(given.rules, { minLength: given.rules.length }),
      ),
    )
    always(shuffled, ([given, pods, rules]) => {
      expect(planOf({ ...given, pods, rules })).toEqual(planOf(given))
    })
  })

  it('deletes nothing more once it has been carried out, nor while it is half carried out anything else', () => {
    const cut = world.chain((given) => {
      const gone = deleted(planOf(given))
      return fc.tuple(fc.constant(given), fc.constant(gone), fc.subarray(gone), fc.subarray(gone))
    })
    always(cut, ([given, all, some, begun]) => {
      const without = (gone: readonly FinishedPod[]) => given.pods.filter((pod) => !gone.includes(pod))
      expect(deleted(planOf({ ...given, pods: without(all) }))).toEqual([])
      const halfway = deleted(planOf({ ...given, pods: without(some) }))
      expect(halfway.map(({ uid }) => uid)).toEqual(all.filter((pod) => !some.includes(pod)).map(({ uid }) => uid))
      // A deletion that waits for somebody is no reason to delete another pod in its place.
      const pods = given.pods.map((pod) => (begun.includes(pod) ? { ...pod, deleting: true } : pod))
      expect(deleted(planOf({ ...given, pods })).map(({ uid }) => uid)).toEqual(
        all.filter((pod) => !begun.includes(pod)).map(({ uid }) => uid),
      )
    })
  })

  it('is monotone in the threshold: a higher number never deletes more, and alone nothing else', () => {
    always(fc.tuple(world, threshold, fc.nat(5), fc.nat(5)), ([given, base, more, moreEach]) => {
      const raised = {
        ...base,
        ...(base.total === undefined ? {} : { total: base.total + more }),
        ...(base.perNamespace === undefined ? {} : { perNamespace: base.perNamespace + moreEach }),
      }
      const before = deleted(planOf({ ...given, threshold: base }))
      const after = deleted(planOf({ ...given, threshold: raised }))
      expect(after.length).toBeLessThanOrEqual(before.length)
      if (base.total === undefined || base.perNamespace === undefined) for (const pod of after) expect(before).toContain(pod)
    })
  })

  it('is monotone in keep.total, keep.perOwner and olderThan: more to keep never deletes more', () => {
    always(fc.tuple(world, spec, fc.nat(5), fc.nat(5), fc.nat(200)), ([given, base, total, perOwner, longer]) => {
      const { keep, olderThan } = base
      const grown = {
        ...base,
        ...(keep === undefined
          ? {}
          : {
              keep: {
                ...('total' in keep ? { total: keep.total + total } : {}),
                ...('perOwner' in keep ? { perOwner: keep.perOwner + perOwner } : {}),
              },
            }),
        ...(olderThan === undefined ? {} : { olderThan: `${Number.parseInt(olderThan, 10) + longer}s` }),
      }
      const before = deleted(planOf({ ...given, rules: [aRule(base)] }))
      const after = deleted(planOf({ ...given, rules: [aRule(grown)] }))
      expect(after.length).toBeLessThanOrEqual(before.length)
      // With one number alone it is always the same pods that go first.
      const numbers = [olderThan, ...Object.values(keep ?? {})].filter((value) => value !== undefined)
      if (numbers.length === 1 && given.threshold === undefined) for (const pod of after) expect(before).toContain(pod)
    })
  })

  it('never deletes more of a namespace for another PodCleanup, where one already selects every pod', () => {
    always(fc.tuple(world, spec), ([given, other]) => {
      const base = { ...given, rules: [...given.rules, aRule({ keep: { total: 2 } }, 'all')], threshold: undefined }
      const before = deleted(planOf(base))
      const after = deleted(planOf({ ...base, rules: [...base.rules, aRule(other, 'zz')] }))
      for (const pod of after) if (pod.namespace === 'shop') expect(before).toContain(pod)
    })
  })

  it('decides the same on dry run, and says of what it is one', () => {
    always(world, (given) => {
      const wet = {
        ...given,
        rules: given.rules.map((rule) => ({ ...rule, spec: { ...rule.spec, dryRun: false } })),
        threshold: given.threshold && { ...given.threshold, dryRun: false },
      }
      expect(decisions(planOf(given))).toEqual(decisions(planOf(wet)))
      expect(decisions(planOf(given, { dryRun: true }))).toEqual(decisions(planOf(wet)))
      expect(planOf(wet).verdicts.some(({ dryRun }) => dryRun)).toBe(false)
      expect(planOf(given, { dryRun: true }).verdicts.every(({ dryRun }) => dryRun)).toBe(true)
    })
  })

  it('deletes in order: evicted first, then by the time of finishing, then by name', () => {
    always(world, (given) => {
      const gone = deleted(planOf(given))
      gone.slice(1).forEach((pod, i) => {
        const before = gone[i]
        const evicted = [before, pod].map((one) => one?.reason === 'Evicted')
        if (evicted[0] === evicted[1]) expect(before?.finishedAt).toBeLessThanOrEqual(pod.finishedAt)
        else expect(evicted).toEqual([true, false])
      })
    })
  })

  it('writes a record of every Failed pod that goes', () => {
    always(world, (given) => {
      for (const { pod, record } of planOf(given).verdicts) if (pod.phase === 'Failed') expect(record).toBe(true)
    })
  })
})
