/** What happens to a pod, or to the API server, between the plan and the DELETE. */
import { describe, expect, it } from 'vitest'
import type { CleanupStatus } from '../../../src/api/pod-cleanup.ts'
import type { Running } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'
import type { Shared } from './shared.ts'
import { condition, deletes, FORBIDDEN, kept, type World } from './world.ts'

/** Pods that are worked at side by side. */
const CONCURRENCY = 8

const podCall = (namespace: string, name: string) => new RegExp(`/namespaces/${namespace}/pods/${name}$`)

/** A controller for one namespace, so that what slows it down slows nobody else. */
async function alone(world: World, label: string, ...args: string[]): Promise<Running & { own: string; namespace: string }> {
  const [own, namespace] = [await world.stage.namespace(`${label}-own`), await world.namespace(label)]
  return { ...(await world.lead({ own, namespaces: [namespace], args })), own, namespace }
}

/** Does it once, before that call of the controller's goes on. */
function once(
  { front }: Running,
  method: 'GET' | 'DELETE',
  path: RegExp,
  act: () => Promise<void>,
): { readonly calls: () => number } {
  let calls = 0
  front.before(method, path, async () => {
    if (calls++ === 0) await act()
    return undefined
  })
  return { calls: () => calls }
}

export function races(shared: Shared): void {
  describe.concurrent('a pod that is replaced under its name', () => {
    it.concurrent.each([
      ['GET', 'read'],
      ['DELETE', 'asked'],
    ] as const)('before the %s survives, also where it has finished and is kept', async (method, label) => {
      const { world, running, spaces } = shared
      const namespace = spaces[label]
      let uid = ''
      const replaced = once(running, method, podCall(namespace, 'web-0'), async () => {
        await world.remove(namespace, 'web-0')
        const other = await world.finished(namespace, 'web-0', { annotations: { 'gracewatch.dev/keep': '' } })
        uid = other.metadata.uid
      })
      await world.finished(namespace, 'web-0')
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      const status = await world.statusOf(namespace, 'all', 'the other one kept', (now) => kept(now).KeepAnnotation === 1)
      expect(replaced.calls()).toBe(1)
      expect((await world.pods(namespace)).map(({ metadata }) => metadata.uid)).toEqual([uid])
      // Somebody else has deleted it.
      expect(status).toMatchObject({ candidates: 1, deleted: 0 })
      expect(status.errors).toBeUndefined()
      expect(deletes(running.front, namespace).map((call) => call.status)).toEqual(method === 'GET' ? [] : [409])
    })
  })

  describe.concurrent('a finalizer that is put on in between', () => {
    it.concurrent.each([
      ['GET', 'finalizer'],
      ['DELETE', 'late'],
    ] as const)('before the %s keeps the pod, untouched', async (method, label) => {
      const { world, running, spaces } = shared
      const namespace = spaces[label]
      const put = once(running, method, podCall(namespace, 'job-1'), () =>
        world.patch(namespace, 'job-1', { finalizers: ['example.com/wait'] }),
      )
      await world.finished(namespace, 'job-1')
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      const status = await world.statusOf(namespace, 'all', 'held', (now) => kept(now).HasFinalizers === 1)
      expect(put.calls()).toBe(1)
      expect(status.deleted).toBe(0)
      const [pod] = await world.pods(namespace)
      expect(pod?.metadata.finalizers).toEqual(['example.com/wait'])
      expect(pod?.metadata.deletionTimestamp).toBeUndefined()
      expect(deletes(running.front, namespace).map((call) => call.status)).toEqual(method === 'GET' ? [] : [409])
      await world.patch(namespace, 'job-1', { finalizers: null })
      await world.left(namespace, [])
    })
  })

  describe.concurrent('each DELETE', () => {
    it('names the version that was read, and leaves the grace period to the pod', async () => {
      const { world, running } = shared
      const { front } = running
      const namespace = shared.spaces.only
      const bodies: string[] = []
      front.before('DELETE', podCall(namespace, 'only'), (_, body) => {
        bodies.push(body ?? '')
        return undefined
      })
      const { metadata } = await world.finished(namespace, 'only')
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, [])
      const [sent, ...others] = bodies.map((body) => JSON.parse(body))
      const preconditions = { uid: metadata.uid, resourceVersion: metadata.resourceVersion }
      expect(sent).toEqual({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions })
      expect(others).toEqual([])
    })
  })

  describe.concurrent('a pod that nobody may delete', () => {
    it('holds the others up no more than itself, is named in the status, and goes by itself once it may', async () => {
      const { world, running } = shared
      const namespace = shared.spaces.forbidden
      const [first, held = '', ...others] = await world.many(namespace, 4)
      const allow = await world.forbidDeletion(namespace, held)
      try {
        await world.rule(namespace, 'all', { keep: { total: 0 } })
        const failing = ({ deleted, errors }: CleanupStatus) => deleted === 3 && errors !== undefined
        const status = await world.statusOf(namespace, 'all', 'others deleted, one not', failing)
        expect(status.errors).toEqual([{ pod: held, reason: 'Forbidden', message: expect.stringContaining(FORBIDDEN) }])
        expect(condition(status, 'Failing')).toMatchObject({
          ...{ status: 'True', reason: 'Forbidden', message: status.errors?.[0]?.message },
        })
        // Its record stands: what fails is the deletion.
        expect(condition(status, 'RecordRefused')).toMatchObject({ status: 'False' })
        expect(kept(status)).toEqual({})
        expect(await world.names(namespace)).toEqual([held])
      } finally {
        await allow()
      }
      await world.left(namespace, [], 90_000)
      const settled = await world.statusOf(namespace, 'all', '4 deleted', ({ deleted }) => deleted === 4)
      expect(settled.errors).toBeUndefined()
      expect(condition(settled, 'Failing')).toMatchObject({ status: 'False', reason: 'NothingFailed' })
      const answers = (name = '') => deletes(running.front, namespace, name).map((call) => call.status)
      for (const name of [first, ...others]) expect(answers(name)).toEqual([200])
      const refused = answers(held)
      expect(refused.pop()).toBe(200)
      expect(new Set(refused)).toEqual(new Set([403]))
    })
  })

  describe.concurrent('an API server that has too much to do', () => {
    it.concurrent('by its own priority levels gets a little at a time, and in the end all', async () => {
      const { world } = shared
      const COUNT = 16
      const { front, controller, own, namespace } = await alone(world, 'reject')
      const name = `cleanup-${world.stage.bed.suffix}`
      const apiVersion = 'flowcontrol.apiserver.k8s.io/v1'
      // Without a seat, one request at a time is served, and those beside it are refused.
      const limited = {
        nominalConcurrencyShares: 0,
        lendablePercent: 0,
        borrowingLimitPercent: 0,
        limitResponse: { type: 'Reject' },
      }
      const subjects = [{ kind: 'ServiceAccount', serviceAccount: { name: 'gracewatch-controller', namespace: own } }]
      const resourceRules = [{ verbs: ['delete'], apiGroups: [''], resources: ['pods'], namespaces: [namespace] }]
      const kind = 'PriorityLevelConfiguration'
      await world.stage.bed.create({ apiVersion, kind, metadata: { name }, spec: { type: 'Limited', limited } })
      try {
        await world.stage.bed.create({
          apiVersion,
          kind: 'FlowSchema',
          metadata: { name },
          spec: { priorityLevelConfiguration: { name }, matchingPrecedence: 100, rules: [{ subjects, resourceRules }] },
        })
        const headers = { authorization: `Bearer ${await world.stage.token(own, world.stage.group)}` }
        const probe = `${front.url}/api/v1/namespaces/${namespace}/pods/nobody`
        const inForce = async () => {
          const calls = Array.from({ length: 16 }, () => fetch(probe, { method: 'DELETE', headers }))
          return (await Promise.all(calls)).some(({ status }) => status === 429) || undefined
        }
        await eventually(inForce, 30_000, 'the flow schema in force')
        // The first come to the API server together, so that one of them is served and others are refused.
        const together = Promise.withResolvers<void>()
        let asked = 0
        front.before('DELETE', podCall(namespace, 'pod-[^/]+'), async () => {
          if (++asked === CONCURRENCY / 2) together.resolve()
          await together.promise
          return undefined
        })
        await world.many(namespace, COUNT, { phase: 'Succeeded' })
        await world.rule(namespace, 'all', { keep: { total: 0 } })
        await world.left(namespace, [], 90_000)
        const calls = deletes(front, namespace, 'pod-[^/]+')
        const refused = calls.filter(({ status }) => status === 429)
        console.log(`priority level without a seat: ${calls.length} DELETEs for ${COUNT} pods, ${refused.length} of them refused`)
        expect(refused.length).toBeGreaterThan(0)
        // Retry-After is 1 s there; the others may have been under way.
        for (const { answeredAt = 0 } of refused)
          expect(calls.filter(({ at }) => at > answeredAt && at < answeredAt + 1000).length).toBeLessThan(CONCURRENCY)
        const status = await world.statusOf(namespace, 'all', 'all deleted', ({ deleted }) => deleted === COUNT)
        expect(condition(status, 'Failing')).toMatchObject({ status: 'False' })
        await controller.stop()
      } finally {
        await world.stage.bed.cluster.tryKubectl(['delete', `flowschema/${name}`, `prioritylevelconfiguration/${name}`])
      }
    })

    it.concurrent('is left alone for as long as it asks, and then the rest goes', async () => {
      const { world } = shared
      const [WAIT_S, BEFORE] = [5, 6]
      const { front, controller, namespace } = await alone(world, 'busy', '--cleanup-deletes-per-second=20')
      let asked: number | undefined
      front.before('DELETE', podCall(namespace, '[^/]+'), ({ at }) => {
        if (deletes(front, namespace).length < BEFORE || asked !== undefined) return undefined
        asked = at
        const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'TooManyRequests', code: 429 }
        return { status: 429, headers: { 'retry-after': String(WAIT_S) }, body }
      })
      await world.many(namespace, 40, { phase: 'Succeeded' })
      await world.rule(namespace, 'all', { keep: { total: 10 } })
      await eventually(() => asked, 30_000, 'a refusal')
      const from = asked ?? 0
      await world.left(
        namespace,
        Array.from({ length: 10 }, (_, index) => `pod-00${index + 30}`),
      )
      // The others may have been under way when the answer came.
      const after = deletes(front, namespace).flatMap(({ at }) => (at > from ? [at - from] : []))
      const later = after.toSorted((a, b) => a - b).slice(CONCURRENCY - 1)
      expect(later.length).toBeGreaterThanOrEqual(10)
      const first = later[0] ?? 0
      console.log(`after a 429 with Retry-After ${WAIT_S} s the next DELETEs came ${(first / 1000).toFixed(2)} s later`)
      expect(first).toBeGreaterThanOrEqual(WAIT_S * 1000)
      // Not by a pass of its own accord.
      expect(first).toBeLessThan(20_000)
      const status = await world.statusOf(namespace, 'all', '30 deleted', ({ deleted }) => deleted === 30)
      expect(status.errors).toBeUndefined()
      expect(condition(status, 'Failing')).toMatchObject({ status: 'False' })
      await controller.stop()
    })
  })
}
