/** Each protection, each rule and how they meet, by example. */
import { describe, expect, it } from 'vitest'
import { plan } from '../../../../src/core/cleanup/plan.ts'
import type { CleanupRule, FinishedPod, JobFacts, Plan, Threshold } from '../../../../src/core/cleanup/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { aPod, aRule, aThreshold, HOUR, MINUTE, NOW, owner } from './builders.ts'

const JOBS: ReadonlyMap<string, JobFacts> = new Map([
  ['Job-done', { finished: true }],
  ['Job-running', { finished: false }],
])
const jobPod = (name: string, job: string, rest = {}) => aPod(name, { owner: owner('Job', job, 'batch/v1'), ...rest })

const planned = (pods: FinishedPod[], rules: CleanupRule[], threshold?: Threshold): Plan =>
  plan({ pods, rules, jobs: JOBS, now: NOW, ...(threshold === undefined ? {} : { threshold }) })
/** In order. */
const deleted = ({ verdicts }: Plan) => verdicts.flatMap(({ action, pod }) => (action === 'Delete' ? [pod.name] : []))
const reasonOf = ({ verdicts }: Plan, name: string) => verdicts.find(({ pod }) => pod.name === name)?.reason

const NONE = aRule({ keep: { total: 0 } })

describe('left alone, though nothing is to be kept', () => {
  it.each<[string, FinishedPod, string]>([
    ['a pod that is being deleted', aPod('p', { deleting: true }), 'Deleting'],
    ['one that somebody marked', aPod('p', { keep: '' }), 'KeepAnnotation'],
    ['one with a finalizer', aPod('p', { finalizers: ['example.com/logs'] }), 'HasFinalizers'],
    ['one that its Job still counts', jobPod('p', 'done', { finalizers: ['batch.kubernetes.io/job-tracking'] }), 'HasFinalizers'],
    ['a StatefulSet pod', aPod('p', { owner: owner('StatefulSet', 'db') }), 'OwnedByStatefulSet'],
    [
      'one of another StatefulSet',
      aPod('p', { owner: owner('StatefulSet', 'db', 'apps.kruise.io/v1beta1') }),
      'OwnedByStatefulSet',
    ],
    ['a DaemonSet pod', aPod('p', { owner: owner('DaemonSet', 'log') }), 'OwnedByDaemonSet'],
    ['a static pod', aPod('p', { owner: owner('Node', 'node-1', 'v1') }), 'StaticPod'],
    ['a static pod without an owner', aPod('p', { owner: null, mirror: true }), 'StaticPod'],
    ['a pod of a running Job', jobPod('p', 'running'), 'JobNotFinished'],
    ['a pod of a Job that nobody knows', jobPod('p', 'other'), 'JobUnknown'],
    ['a pod of a finished Job', jobPod('p', 'done'), 'JobFinished'],
    ['a bare pod', aPod('p', { owner: null }), 'BarePod'],
    ['one that has just finished', aPod('p', { age: 59 * SECOND }), 'TooYoung'],
    ['one that finishes in the future, by its clock', aPod('p', { age: -HOUR }), 'TooYoung'],
  ])('%s', (_, pod, reason) => {
    const byRule = planned([pod], [NONE])
    expect(byRule.verdicts).toMatchObject([{ action: 'Keep', reason, rules: ['PodCleanup shop/rule'] }])
    expect(byRule.reports).toMatchObject([{ candidates: 1, toDelete: 0, kept: [{ reason, count: 1 }] }])
    expect(planned([pod], [], aThreshold({ total: 0 })).verdicts).toMatchObject([
      { action: 'Keep', reason, rules: ['threshold'] },
    ])
  })

  it.each<[string, FinishedPod, object]>([
    ['a bare pod', aPod('p', { owner: null }), { barePods: true }],
    ['a pod of a finished Job', jobPod('p', 'done'), { finishedJobPods: true }],
    ['a young one', aPod('p', { age: SECOND }), { minAge: '0s' }],
  ])('unless asked for: %s', (_, pod, asked) => {
    expect(deleted(planned([pod], [aRule({ keep: { total: 0 }, ...asked })]))).toEqual(['p'])
  })

  it('a pod of an unfinished Job, whatever is asked for', () => {
    const all = aRule({ keep: { total: 0 }, finishedJobPods: true, barePods: true, minAge: '0s' })
    expect(reasonOf(planned([jobPod('p', 'running')], [all]), 'p')).toBe('JobNotFinished')
  })

  it('not for the annotation "false", nor for an owner of any other kind', () => {
    const workflow = owner('Workflow', 'etl', 'argoproj.io/v1alpha1')
    expect(deleted(planned([aPod('p', { keep: 'false' }), aPod('q', { owner: workflow })], [NONE]))).toEqual(['p', 'q'])
  })
})

describe('what goes first', () => {
  const pods = [
    aPod('young', { age: HOUR }),
    aPod('b', { age: 3 * HOUR }),
    aPod('a', { age: 3 * HOUR }),
    aPod('evicted', { age: 2 * MINUTE, reason: 'Evicted' }),
    aPod('old', { age: 4 * HOUR }),
  ]
  it.each([
    [5, []],
    [4, ['evicted']],
    [3, ['evicted', 'old']],
    [2, ['evicted', 'old', 'a']],
    [0, ['evicted', 'old', 'a', 'b', 'young']],
  ])('with %i to keep: %j', (total, names) => {
    expect(deleted(planned(pods, [aRule({ keep: { total } })]))).toEqual(names)
    expect(deleted(planned(pods, [], aThreshold({ total })))).toEqual(names)
    expect(deleted(planned(pods, [], aThreshold({ perNamespace: total })))).toEqual(names)
  })
})

describe('a PodCleanup', () => {
  it('selects by namespace, labels, phase and reason', () => {
    const rule = aRule({
      keep: { total: 0 },
      selector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] },
      phases: ['Failed'],
      reasons: ['Evicted', 'NodeShutdown'],
    })
    const pods = [
      aPod('yes', { labels: { app: 'web' }, reason: 'NodeShutdown' }),
      aPod('other-label', { labels: { app: 'api' }, reason: 'Evicted' }),
      aPod('no-label', { reason: 'Evicted' }),
      aPod('succeeded', { labels: { app: 'web' }, reason: 'Evicted', phase: 'Succeeded' }),
      aPod('other-reason', { labels: { app: 'web' }, reason: 'DeadlineExceeded' }),
      aPod('no-reason', { labels: { app: 'web' } }),
      aPod('elsewhere', { labels: { app: 'web' }, reason: 'Evicted', namespace: 'bank' }),
    ]
    const result = planned(pods, [rule])
    expect(deleted(result)).toEqual(['yes'])
    expect(result.reports).toMatchObject([{ candidates: 1, toDelete: 1, kept: [] }])
    expect(reasonOf(result, 'elsewhere')).toBe('NotSelected')
  })

  it('counts the protected among those that it keeps', () => {
    const pods = [
      ...['s-0', 's-1'].map((name) => aPod(name, { owner: owner('StatefulSet', 's') })),
      ...[1, 2, 3].map((hours) => aPod(`w-${hours}`, { age: hours * HOUR })),
    ]
    expect(deleted(planned(pods, [aRule({ keep: { total: 3 } })]))).toEqual(['w-3', 'w-2'])
    expect(deleted(planned(pods, [aRule({ keep: { total: 2 } })]))).toEqual(['w-3', 'w-2', 'w-1'])
  })

  it('does not count those that are being deleted, or others would go in their place', () => {
    const pods = [aPod('going', { deleting: true, age: 9 * HOUR }), aPod('a'), aPod('b')]
    expect(deleted(planned(pods, [aRule({ keep: { total: 2 } })]))).toEqual([])
    expect(deleted(planned(pods, [], aThreshold({ total: 2 })))).toEqual([])
  })

  it('keeps so many of each workload, by its UID and beyond its ReplicaSets', () => {
    const web = { kind: 'Deployment', name: 'web', uid: 'deployment' }
    const pods = [
      aPod('old-rs', { age: 3 * HOUR, owner: owner('ReplicaSet', 'web-1'), workload: web }),
      aPod('new-rs', { age: 2 * HOUR, owner: owner('ReplicaSet', 'web-2'), workload: web }),
      aPod('alone', { age: 9 * HOUR, owner: owner('ReplicaSet', 'api') }),
      aPod('bare-1', { age: 9 * HOUR, owner: null }),
      aPod('bare-2', { age: 8 * HOUR, owner: null }),
    ]
    const result = planned(pods, [aRule({ keep: { perOwner: 1 }, barePods: true })])
    expect(deleted(result)).toEqual(['old-rs'])
    expect(reasonOf(result, 'bare-1')).toBe('WithinKeepPerOwner')
  })

  it('keeps whatever one of total, perOwner and olderThan keeps', () => {
    const pods = [5, 4, 3, 2, 1].map((hours) =>
      aPod(`p-${hours}`, { age: hours * HOUR, owner: owner('ReplicaSet', hours === 5 ? 'api' : 'web') }),
    )
    const result = planned(pods, [aRule({ keep: { total: 1, perOwner: 1 }, olderThan: '2h30m' })])
    expect(deleted(result)).toEqual(['p-4', 'p-3'])
    expect(result.reports).toMatchObject([
      {
        candidates: 5,
        toDelete: 2,
        kept: [
          { reason: 'NotOldEnough', count: 2 },
          { reason: 'WithinKeepPerOwner', count: 1 },
        ],
      },
    ])
  })

  it('is exact about olderThan and minAge', () => {
    const pods = [aPod('at', { age: HOUR }), aPod('past', { age: HOUR + 1 })]
    expect(deleted(planned(pods, [aRule({ olderThan: '1h' })]))).toEqual(['past'])
    const young = [aPod('at', { age: 90 * SECOND }), aPod('short', { age: 90 * SECOND - 1 })]
    expect(deleted(planned(young, [aRule({ keep: { total: 0 }, minAge: '1m30s' })]))).toEqual(['at'])
  })

  it.each([
    ['an operator without values', { selector: { matchExpressions: [{ key: 'app', operator: 'In' }] } }, /matchExpressions\[0\]/],
    ['no duration', { minAge: 'soon' }, /spec\.minAge: "soon"/],
    ['nothing to keep', { keep: undefined }, /keep or olderThan/],
  ])('that cannot be used (%s) keeps every pod of its namespace, and no other', (_, spec, problem) => {
    const bad = aRule({ keep: { total: 0 }, ...spec }, 'bad')
    const pods = [aPod('here'), aPod('there', { namespace: 'bank' })]
    const result = planned(pods, [NONE, bad], aThreshold({ total: 0 }))
    expect(deleted(result)).toEqual(['there'])
    expect(reasonOf(result, 'here')).toBe('RuleUnusable')
    expect(result.reports).toMatchObject([
      { name: 'PodCleanup shop/bad', problem: expect.stringMatching(problem) },
      { kept: [{ reason: 'KeptByOtherRule', count: 1 }] },
      { name: 'threshold', toDelete: 1 },
    ])
  })
})

describe('two PodCleanups over one pod', () => {
  const pods = [1, 2, 3, 4].map((hours) =>
    aPod(`p-${hours}`, { age: hours * HOUR, labels: { half: hours % 2 ? 'odd' : 'even' } }),
  )

  it('both have to let it go, and the one that would says that the other does not', () => {
    const all = aRule({ keep: { total: 2 } }, 'all')
    const even = aRule({ keep: { total: 9 }, selector: { matchLabels: { half: 'even' } } }, 'even')
    const result = planned(pods, [all, even])
    expect(deleted(result)).toEqual(['p-3'])
    expect(result.verdicts[0]).toMatchObject({
      reason: 'WithinKeepTotal',
      message: 'PodCleanup shop/even: it is one of those that keep.total keeps',
      rules: ['PodCleanup shop/all', 'PodCleanup shop/even'],
    })
    expect(result.reports).toMatchObject([
      {
        toDelete: 1,
        kept: [
          { reason: 'WithinKeepTotal', count: 2 },
          { reason: 'KeptByOtherRule', count: 1 },
        ],
      },
      { toDelete: 0, kept: [{ reason: 'WithinKeepTotal', count: 2 }] },
    ])
  })

  it('one on dry run holds the other to telling', () => {
    const rules = [aRule({ keep: { total: 3 } }, 'a'), aRule({ keep: { total: 3 }, dryRun: true }, 'b')]
    expect(planned(pods, rules).verdicts[0]).toMatchObject({ action: 'Delete', dryRun: true })
  })

  it('one that asks for a record of what succeeded gets it, and without a record nothing goes unless both say so', () => {
    const done = [aPod('p', { phase: 'Succeeded' })]
    const rule = (name: string, rest: object) => aRule({ keep: { total: 0 }, ...rest }, name)
    const both = [rule('a', { recordSucceeded: true, onRecordFailure: 'Delete' }), rule('b', {})]
    expect(planned(done, both).verdicts).toMatchObject([{ record: true, onRecordFailure: 'Keep' }])
    expect(planned(done, [rule('a', { onRecordFailure: 'Delete' })]).verdicts).toMatchObject([
      { record: false, onRecordFailure: 'Delete' },
    ])
  })
})

describe('the threshold', () => {
  const shop = [1, 2, 3].map((hours) => aPod(`s-${hours}`, { age: hours * HOUR }))
  const bank = [4, 5, 6].map((hours) => aPod(`b-${hours}`, { age: hours * HOUR, namespace: 'bank' }))

  it('holds in each namespace first, then in the cluster', () => {
    const result = planned([...shop, ...bank], [], aThreshold({ perNamespace: 2, total: 3 }))
    expect(deleted(result)).toEqual(['b-6', 'b-5', 's-3'])
    expect(reasonOf(result, 'b-6')).toBe('PastNamespaceThreshold')
    expect(reasonOf(result, 'b-5')).toBe('PastClusterThreshold')
    expect(reasonOf(result, 's-1')).toBe('WithinThreshold')
  })

  it('is a ceiling and no promise: a PodCleanup deletes below it, and what it deletes the threshold need not', () => {
    const rule = aRule({ keep: { total: 1 } })
    expect(deleted(planned([...shop, ...bank], [rule], aThreshold({ total: 4 })))).toEqual(['s-3', 's-2'])
    expect(deleted(planned([...shop, ...bank], [rule], aThreshold({ total: 3 })))).toEqual(['b-6', 's-3', 's-2'])
  })

  it('counts what a PodCleanup keeps, and leaves it alone', () => {
    const rule = aRule({ keep: { total: 99 } })
    const result = planned([...shop, ...bank], [rule], aThreshold({ total: 2 }))
    expect(deleted(result)).toEqual(['b-6', 'b-5', 'b-4'])
    expect(result.reports.at(-1)).toMatchObject({ name: 'threshold', candidates: 3, toDelete: 3 })
  })

  it('without a number, or without any rule, deletes nothing', () => {
    expect(deleted(planned(shop, [], aThreshold({})))).toEqual([])
    expect(planned(shop, []).verdicts.map(({ reason }) => reason)).toEqual(['NotSelected', 'NotSelected', 'NotSelected'])
  })
})
