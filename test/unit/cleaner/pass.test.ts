/** What a pass does with a plan, with the API server's answers put in: each way in which a pod can turn out not to go. */
import { setImmediate } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { act, Held, inTurns } from '../../../src/controllers/cleaner/pass.ts'
import { RateLimit } from '../../../src/controllers/rate-limit.ts'
import type { Verdict } from '../../../src/core/cleanup/types.ts'
import type { PodSnapshot } from '../../../src/core/evidence.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from '../../../src/kube/http.ts'
import type { Refused } from '../../../src/kube/refusal.ts'

const QUOTA: Refused = { result: 'Refused', reason: 'QuotaExceeded', retry: 'Later', message: 'exceeded quota' }

const verdict = (namespace: string, name: string, more: Partial<Verdict> = {}): Verdict => ({
  pod: {
    ...{ uid: `${namespace}/${name}`, namespace, name, resourceVersion: '7', phase: 'Failed', labels: {}, finishedAt: 0 },
    ...{ finishedSource: 'Containers', deleting: false, finalizers: [] },
  },
  ...{ action: 'Delete', reason: 'PastKeepTotal', message: '', rules: ['PodCleanup a/b'], dryRun: false, record: true },
  onRecordFailure: 'Keep',
  ...more,
})
const names = (verdicts: readonly Verdict[]) => verdicts.map(({ pod }) => pod.name)

describe('turns', () => {
  it('are one of each namespace, each in its own order', () => {
    const many = ['1', '2', '3', '4'].map((name) => verdict('many', name))
    const few = ['x', 'y'].map((name) => verdict('few', name))
    expect(names(inTurns([...many, ...few]))).toEqual(['1', 'x', '2', 'y', '3', '4'])
  })
})

describe('a pass', () => {
  let calls: string[]
  let records: string[]
  let held: Held
  let answers: (request: HttpRequest) => unknown
  let refusal: Refused | undefined
  let now: number
  beforeEach(() => {
    calls = []
    records = []
    held = new Held()
    refusal = undefined
    now = 1000
    answers = ({ path }) => ({
      metadata: {
        uid: path
          .split('/')
          .filter((_, index) => index === 4 || index === 6)
          .join('/'),
        resourceVersion: '7',
      },
    })
  })
  const http = {
    async request(request: HttpRequest) {
      calls.push(`${request.method} ${request.path.split('/').at(-1)}`)
      const answer = await answers(request)
      if (answer instanceof Error) throw answer
      return { json: () => answer } as HttpResponse // all that is read of it
    },
  } as KubeHttp // all that is used of it
  const run = (verdicts: readonly Verdict[], proceed = () => true, concurrency = 1) =>
    act(
      {
        http,
        keeper: {
          keep: async ({ name }) => {
            records.push(name)
            return refusal ?? 'Stands'
          },
        },
        podOf: (uid) => ({ uid, name: uid.split('/')[1], resourceVersion: uid.endsWith('newer') ? '8' : '7' }) as PodSnapshot, // all that is read of it
        guard: () => new AbortController().signal,
        limit: new RateLimit(10_000),
        concurrency,
        now: () => now,
      },
      held,
      verdicts,
      proceed,
    )

  it('records, reads again, and deletes the version that it has read', async () => {
    const acted = await run([verdict('a', 'one'), verdict('a', 'two', { record: false })])
    expect(calls).toEqual(['GET one', 'DELETE one', 'GET two', 'DELETE two'])
    expect(records).toEqual(['one'])
    expect(names(acted.deleted)).toEqual(['one', 'two'])
  })

  it('leaves alone what the watch shows in another version, what is another pod by now, and what changes under its hands', async () => {
    answers = ({ method, path }) => {
      if (path.endsWith('replaced')) return { metadata: { uid: 'another', resourceVersion: '7' } }
      if (path.endsWith('changed')) return { metadata: { uid: 'a/changed', resourceVersion: '9' } }
      if (path.endsWith('gone')) return new KubeError('NotFound', 'gone')
      if (method === 'DELETE') return new KubeError('Conflict', 'the ResourceVersion in the precondition does not match')
      return { metadata: { uid: 'a/raced', resourceVersion: '7' } }
    }
    const acted = await run(['newer', 'replaced', 'changed', 'gone', 'raced'].map((name) => verdict('a', name)))
    expect(names(acted.overtaken)).toEqual(['newer', 'replaced', 'changed', 'gone', 'raced'])
    expect(acted).toMatchObject({ deleted: [], failed: [] })
    expect(calls.filter((call) => call.startsWith('DELETE'))).toEqual(['DELETE raced'])
  })

  it('keeps what has no record, and asks a namespace that refuses no more than five times, then after longer and longer', async () => {
    refusal = QUOTA
    const verdicts = Array.from({ length: 20 }, (_, index) => verdict('full', `p${index}`))
    const acted = await run([...verdicts, verdict('full', 'goes', { onRecordFailure: 'Delete' })])
    expect(acted.refused).toHaveLength(20)
    expect(records).toHaveLength(5)
    expect(names(acted.deleted)).toEqual(['goes'])
    for (const wait of [5000, 10_000, 20_000, 40_000, 60_000]) {
      records = []
      now += wait - 1
      expect((await run(verdicts)).refused).toHaveLength(20)
      expect(records).toEqual([])
      now += 1
      expect((await run(verdicts)).refused).toHaveLength(20)
      expect(records).toHaveLength(5)
    }
    refusal = undefined
    now += 60_000
    expect((await run(verdicts)).deleted).toHaveLength(20)
  })

  it('asks for a record that is refused after longer and longer, also where it is the only one of its namespace', async () => {
    refusal = QUOTA
    const one = [verdict('full', 'one'), verdict('other', 'one')]
    for (const wait of [0, 5000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      records = []
      now += Math.max(0, wait - 1)
      if (wait > 0) expect((await run(one)).refused).toHaveLength(2)
      expect(records).toEqual([])
      now += 1
      expect((await run(one)).refused).toHaveLength(2)
      expect(records).toHaveLength(2)
    }
    // Nothing has been refused for a while.
    now += 121_000
    for (const wait of [0, 5000]) {
      records = []
      now += wait
      await run(one)
      expect(records).toHaveLength(2)
    }
  })

  it('asks anew at once where a PodCleanup of the namespace has changed, and leaves other namespaces alone', async () => {
    refusal = QUOTA
    const verdicts = ['a', 'b', 'ab'].flatMap((namespace) =>
      ['1', '2', '3', '4', '5', '6'].map((name) => verdict(namespace, `${namespace}${name}`)),
    )
    await run(verdicts)
    expect(records).toHaveLength(15)
    held.clear('a')
    records = []
    expect((await run(verdicts)).refused).toHaveLength(18)
    expect(records).toEqual(['a1', 'a2', 'a3', 'a4', 'a5'])
  })

  it('ends where the API server asks for a pause, or is away', async () => {
    answers = () => new KubeError('TooManyRequests', 'slow down', { retryAfterMs: 3000 })
    const acted = await run(['1', '2', '3'].map((name) => verdict('a', name)))
    expect(calls).toEqual(['GET 1'])
    expect(acted.cutBy).toMatchObject({ code: 'TooManyRequests', retryAfterMs: 3000 })
  })

  it('goes on with others where a pod may not be deleted, and leaves that one alone for longer and longer, up to a minute', async () => {
    const forbidden = new KubeError('Forbidden', 'denied by a policy')
    const before = answers
    answers = (request) => (request.method === 'DELETE' && request.path.endsWith('1') ? forbidden : before(request))
    const verdicts = ['1', '2'].map((name) => verdict('a', name))
    const acted = await run(verdicts)
    expect(names(acted.deleted)).toEqual(['2'])
    expect(acted.failed).toMatchObject([{ pod: { name: '1' }, error: { code: 'Forbidden' } }])
    const one = verdicts.slice(0, 1)
    for (const wait of [5000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      calls = []
      now += wait - 1
      await run(one)
      expect(calls).toEqual([])
      now += 1
      await run(one)
      expect(calls).toEqual(['GET 1', 'DELETE 1'])
    }
  })

  it('tells each time of what it leaves alone, and why, also where it is cut off before it has done anything', async () => {
    const usual = answers
    const forbidden = new KubeError('Forbidden', 'denied by a policy')
    answers = () => forbidden
    const one = verdict('a', '1')
    const failure = { pod: one.pod, rules: one.rules, error: forbidden }
    expect(await run([one])).toMatchObject({ failed: [failure], failing: [] })
    now += 4999
    for (const proceed of [() => true, () => false])
      expect(await run([one], proceed)).toMatchObject({ failed: [], failing: [failure] })
    now += 1
    answers = usual
    expect(await run([one])).toMatchObject({ failed: [], failing: [], deleted: [one] })
    refusal = QUOTA
    const full = Array.from({ length: 5 }, (_, index) => verdict('full', `p${index}`))
    await run(full)
    expect(await run(full, () => false)).toMatchObject({ refused: full.map((each) => ({ verdict: each, refusal: QUOTA })) })
  })

  it('works at as many pods at once as it may, and at no more', async () => {
    const usual = answers
    let [underWay, most] = [0, 0]
    answers = async (request) => {
      most = Math.max(most, ++underWay)
      await setImmediate()
      underWay--
      return usual(request)
    }
    const verdicts = ['a', 'b'].flatMap((namespace) =>
      Array.from({ length: 10 }, (_, index) => verdict(namespace, `${namespace}${index}`)),
    )
    const acted = await run(verdicts, () => true, 3)
    expect(most).toBe(3)
    expect(names(acted.deleted).toSorted()).toEqual(names(verdicts).toSorted())
    expect(calls.filter((call) => call.startsWith('DELETE'))).toHaveLength(20)
  })

  it('stops where it is told to', async () => {
    let left = 3
    const acted = await run(
      ['1', '2', '3'].map((name) => verdict('a', name)),
      () => left-- > 0,
    )
    expect(acted.deleted.length).toBeLessThan(3)
  })
})
