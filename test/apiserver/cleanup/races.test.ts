/** What happens to a pod, or to the API server, between the plan and the DELETE. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Running } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'
import { condition, deletes, kept, useCleanup, type World } from './world.ts'

const host = useCleanup('races')
const LABELS = ['read', 'asked', 'finalizer', 'late', 'slow', 'busy', 'reject'] as const
const spaces: Record<(typeof LABELS)[number], string> = {
  ...{ read: '', asked: '', finalizer: '', late: '', slow: '', busy: '', reject: '' },
}
let world: World
let running: Running

/** A pass begins within 10 s of a change, also of one that came while another was under way. */
const SOON = { timeoutMs: 14_000 }

const podCall = (namespace: string, name: string) => new RegExp(`/namespaces/${namespace}/pods/${name}$`)

/** A controller for one namespace, so that what slows it down slows nobody else. */
async function alone(label: (typeof LABELS)[number], ...args: string[]): Promise<Running> {
  const own = await world.stage.namespace(`${label}-own`)
  return world.lead({ own, namespaces: [spaces[label]], args })
}

beforeAll(async () => {
  world = host.world
  for (const label of LABELS) spaces[label] = await world.namespace(label)
  const namespaces = [spaces.read, spaces.asked, spaces.finalizer, spaces.late]
  running = await world.lead({ own: world.stage.bed.namespace, namespaces })
})

/** Does it once, before that call of the controller's goes on. */
function once(method: 'GET' | 'DELETE', path: RegExp, act: () => Promise<void>): { readonly calls: () => number } {
  let calls = 0
  running.front.before(method, path, async () => {
    if (calls++ === 0) await act()
    return undefined
  })
  return { calls: () => calls }
}

describe.concurrent('a pod that is replaced under its name', () => {
  it.concurrent.each([
    ['GET', 'read'],
    ['DELETE', 'asked'],
  ] as const)('before the %s survives, also where it has finished and is kept', async (method, label) => {
    const namespace = spaces[label]
    let uid = ''
    const replaced = once(method, podCall(namespace, 'web-0'), async () => {
      await world.remove(namespace, 'web-0')
      const other = await world.finished(namespace, 'web-0', { annotations: { 'gracewatch.dev/keep': '' } })
      uid = other.metadata.uid
    })
    await world.finished(namespace, 'web-0')
    await world.rule(namespace, 'all', { keep: { total: 0 } })
    const status = await world.statusOf(namespace, 'all', 'the other one kept', (now) => kept(now).KeepAnnotation === 1, SOON)
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
    const namespace = spaces[label]
    const put = once(method, podCall(namespace, 'job-1'), () =>
      world.patch(namespace, 'job-1', { finalizers: ['example.com/wait'] }),
    )
    await world.finished(namespace, 'job-1')
    await world.rule(namespace, 'all', { keep: { total: 0 } })
    const status = await world.statusOf(namespace, 'all', 'held', (now) => kept(now).HasFinalizers === 1, SOON)
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
    const namespace = spaces.slow
    const { front } = await alone('slow')
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

describe('an API server that has too much to do', () => {
  it.concurrent('is left alone for as long as it asks, and then the rest goes', async () => {
    const namespace = spaces.busy
    const WAIT_S = 6
    const { front } = await alone('busy', '--cleanup-deletes-per-second=20')
    let asked: number | undefined
    front.before('DELETE', podCall(namespace, '[^/]+'), ({ at }) => {
      if (deletes(front, namespace).length < 6 || asked !== undefined) return undefined
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
    // Those that were under way when the answer came do not count.
    const after = deletes(front, namespace).filter(({ at }) => at > from + 500)
    expect(after.length).toBeGreaterThanOrEqual(15)
    const first = Math.min(...after.map(({ at }) => at)) - from
    console.log(`after a 429 with Retry-After ${WAIT_S} s the next DELETE came ${(first / 1000).toFixed(2)} s later`)
    expect(first).toBeGreaterThanOrEqual(WAIT_S * 1000)
    expect(first).toBeLessThan(WAIT_S * 1000 + 5000)
    const status = await world.statusOf(namespace, 'all', '30 deleted', ({ deleted }) => deleted === 30)
    expect(status.errors).toBeUndefined()
    expect(condition(status, 'Failing')).toMatchObject({ status: 'False' })
  })

  it.concurrent('by its own priority levels gets a little at a time, and in the end all', async () => {
    const namespace = spaces.reject
    const { front } = await alone('reject')
    const own = `${namespace}-own`
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
      await world.many(namespace, 40, { phase: 'Succeeded' })
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, [], 90_000)
      const calls = deletes(front, namespace, 'pod-[^/]+')
      const refused = calls.filter(({ status }) => status === 429)
      const soon = calls.filter(({ at }) => refused.some((other) => at > other.at + 300 && at < other.at + 1000))
      console.log(`priority level without a seat: ${calls.length} DELETEs for 40 pods, ${refused.length} of them refused`)
      expect(refused.length).toBeGreaterThan(0)
      // Retry-After is 1 s there; those under way beside the refused one are done after the 0.3 s.
      expect(soon).toEqual([])
      const status = await world.statusOf(namespace, 'all', '40 deleted', ({ deleted }) => deleted === 40)
      expect(condition(status, 'Failing')).toMatchObject({ status: 'False' })
    } finally {
      await world.stage.bed.cluster.tryKubectl(['delete', `flowschema/${name}`, `prioritylevelconfiguration/${name}`])
    }
  })
})
