/** The gatekeeper as a process, with the rights of deploy/gates: what it writes of pods and gates, and what it leaves alone. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Running } from '../recorder/stage.ts'
import { delay, eventually } from '../waiting.ts'
import { PodWatch } from './pod-watch.ts'
import { ANNOTATION, TYPE, useGates, type World } from './world.ts'

const host = useGates('gates')
let world: World
let running: Running

const YES = { [ANNOTATION]: 'yes' }
const about = (status: { conditions?: readonly { type: string }[] }, type: string) =>
  status.conditions?.find((condition) => condition.type === type)
const patches = ({ front }: Running, pod = '') => front.calls('PATCH', new RegExp(`/pods/${pod}[^/]*/status$`))

/** 20 at a time. */
async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items]
  const next = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await act(item)
  }
  await Promise.all(Array.from({ length: 20 }, next))
}

beforeAll(async () => {
  world = host.world
  running = await world.stage.lead({ own: world.stage.bed.namespace, namespaces: [], gates: true })
})

describe('a condition', () => {
  it.concurrent('follows its checks: one write a flip, lastTransitionTime with it, no write where nothing changes', async () => {
    const namespace = await world.stage.namespace('follows')
    await world.gate(namespace, 'lb')
    await world.pod(namespace, 'follows-1')
    const first = await world.until(namespace, 'follows-1', 'False', 'AnnotationMissing')
    expect(first.observedGeneration).toBe(1)
    await delay(1100)
    await world.annotate(namespace, 'follows-1', YES)
    const second = await world.until(namespace, 'follows-1', 'True', 'ChecksPassed')
    expect(second.lastTransitionTime).not.toBe(first.lastTransitionTime)
    // Of no account to the gate.
    await world.annotate(namespace, 'follows-1', { other: 'x' })
    await world.kubeletSays(namespace, 'follows-1', [{ type: 'ContainersReady', status: 'True' }])
    await delay(1000)
    expect(patches(running, 'follows-1')).toHaveLength(2)
    await world.annotate(namespace, 'follows-1', { [ANNOTATION]: null })
    await world.until(namespace, 'follows-1', 'False')
    const { status } = await world.readGate(namespace, 'lb')
    expect(status?.observedGeneration).toBe(1)
    await world.statusOf(namespace, 'lb', '1 failing', ({ failing, matched }) => failing === 1 && matched === 1)
  })

  // By itself: it writes as fast as it can.
  it('is written beside the kubelet 1,000 times, and none of either is lost', async () => {
    const namespace = await world.stage.namespace('races')
    await world.gate(namespace, 'lb')
    await world.pod(namespace, 'races-1')
    await world.until(namespace, 'races-1', 'False')
    const lost: string[] = []
    let flips = 0
    for (let round = 0; round < 500; round++) {
      const value = round % 2 === 0 ? 'yes' : 'no'
      const kubelet = { type: 'Ready', status: round % 2 === 0 ? 'True' : 'False', reason: `Round${round}` }
      // The kubelet writes twice while the controller hears of the change and writes as well.
      await Promise.all([
        world.annotate(namespace, 'races-1', { [ANNOTATION]: value }),
        world.kubeletSays(namespace, 'races-1', [{ type: 'ContainersReady', status: 'True', reason: `Round${round}` }]),
        world.kubeletSays(namespace, 'races-1', [kubelet]),
      ])
      const { status } = await world.readPod(namespace, 'races-1')
      const reasonOf = (type: string) => status.conditions?.find((condition) => condition.type === type)?.reason
      if (reasonOf('Ready') !== `Round${round}`) lost.push(`Ready in round ${round}`)
      if (reasonOf('ContainersReady') !== `Round${round}`) lost.push(`ContainersReady in round ${round}`)
      if (reasonOf(TYPE) === undefined) lost.push(`${TYPE} in round ${round}`)
    }
    await world.annotate(namespace, 'races-1', YES)
    await world.until(namespace, 'races-1', 'True')
    flips = patches(running, 'races-1').length
    console.log(`1,000 writes of the kubelet beside ${flips} of the controller: ${lost.length} conditions lost`)
    expect(flips).toBeGreaterThan(50)
    expect(lost).toEqual([])
  })

  it.concurrent('of a pod that has taken the name of another is its own', async () => {
    const namespace = await world.stage.namespace('recreated')
    await world.gate(namespace, 'lb')
    for (let round = 0; round < 20; round++) {
      const before = await world.pod(namespace, 'web-0', { annotations: YES })
      await world.until(namespace, 'web-0', 'True')
      await world.removePod(namespace, 'web-0')
      const after = await world.pod(namespace, 'web-0')
      expect(after.metadata.uid).not.toBe(before.metadata.uid)
      const { status } = await world.until(namespace, 'web-0', 'False')
      expect(status).toBe('False')
      await world.removePod(namespace, 'web-0')
    }
  })

  it.concurrent('is one of five, each of a gate of its own, and of five owners', async () => {
    const namespace = await world.stage.namespace('five')
    const types = [1, 2, 3, 4, 5].map((number) => `owner-${number}.example.com/ok`)
    await world.pod(namespace, 'five-1', { gates: [...types, 'foreign.example.com/other'] })
    for (const [index, conditionType] of types.entries()) {
      const checks = [{ annotation: { key: `owner-${index + 1}.example.com/ok`, value: 'yes' } }]
      await world.gate(namespace, `gate-${index + 1}`, { conditionType, checks })
    }
    const foreign = { type: 'foreign.example.com/other', status: 'True', reason: 'Foreign', message: 'mine' }
    await world.kubeletSays(namespace, 'five-1', [foreign])
    for (const type of types) await world.until(namespace, 'five-1', 'False', 'AnnotationMissing', type)
    await Promise.all(types.map((type) => world.annotate(namespace, 'five-1', { [type]: 'yes' })))
    for (const type of types) await world.until(namespace, 'five-1', 'True', undefined, type)
    expect(await world.condition(namespace, 'five-1', 'foreign.example.com/other')).toMatchObject(foreign)
    expect(patches(running, 'five-1')).toHaveLength(10)
  })

  it.concurrent('is left alone on a pod that is being deleted, and on one that names no gate', async () => {
    const [namespace, elsewhere] = [await world.stage.namespace('left'), await world.stage.namespace('left-seen')]
    await world.gate(elsewhere, 'lb')
    await world.pod(namespace, 'left-1')
    await world.pod(namespace, 'left-2', { gates: [] })
    await world.http.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/pods/left-1` })
    // Gates come by another watch, and may be ahead of it. What comes after the deletion by that of pods has been seen after it.
    await world.pod(elsewhere, 'seen-1')
    await world.until(elsewhere, 'seen-1', 'False')
    await world.gate(namespace, 'lb')
    const status = await world.statusOf(namespace, 'lb', 'the pod without', ({ withoutGate }) => withoutGate === 1)
    expect(about(status, 'Injecting')).toMatchObject({ status: 'False', reason: 'NotAsked' })
    expect(patches(running, 'left-')).toEqual([])
  })

  it.concurrent('takes a drained pod out, and lets it in again', async () => {
    const namespace = await world.stage.namespace('drain')
    await world.gate(namespace, 'lb')
    await world.pod(namespace, 'drain-1', { annotations: YES })
    await world.until(namespace, 'drain-1', 'True')
    await world.annotate(namespace, 'drain-1', { 'gracewatch.dev/drain': 'true' })
    await world.until(namespace, 'drain-1', 'False', 'Draining')
    await world.annotate(namespace, 'drain-1', { 'gracewatch.dev/drain': null })
    await world.until(namespace, 'drain-1', 'True')
  })

  it.concurrent('opens after failOpenAfter where nobody can tell, and stays shut where the user says Never', async () => {
    const namespace = await world.stage.namespace('opens')
    const target = { condition: { apiVersion: 'batch/v1', kind: 'Job', name: 'not-there', type: 'Complete' } }
    await world.gate(namespace, 'opens', { checks: [target], failOpenAfter: '3s' })
    await world.gate(namespace, 'shut', { checks: [target], failOpenAfter: 'Never', conditionType: 'example.com/shut' })
    await world.pod(namespace, 'opens-1', { gates: [TYPE, 'example.com/shut'] })
    const unknown = await world.until(namespace, 'opens-1', 'Unknown')
    expect(unknown.message).toContain('the gate opens at')
    const open = await world.until(namespace, 'opens-1', 'True', 'FailedOpen')
    const [from, to] = [unknown, open].map(({ lastTransitionTime = '' }) => Date.parse(lastTransitionTime))
    expect((to ?? 0) - (from ?? 0)).toBeGreaterThanOrEqual(3000)
    expect((await world.condition(namespace, 'opens-1', 'example.com/shut'))?.status).toBe('Unknown')
    // What they look for is asked for again and again.
    await Promise.all(['opens', 'shut'].map((name) => world.deleteGate(namespace, name)))
  })
})

describe('a gate', () => {
  it.concurrent('of two for one condition: the older acts, both say so, and the younger takes over', async () => {
    const namespace = await world.stage.namespace('two')
    await world.gate(namespace, 'older')
    await delay(1100)
    await world.gate(namespace, 'younger', { checks: [{ annotation: { key: 'never', value: 'there' } }] })
    await world.pod(namespace, 'two-1', { annotations: YES })
    await world.until(namespace, 'two-1', 'True')
    const said = (name: string) =>
      world.statusOf(namespace, name, 'the conflict', (status) => about(status, 'Conflicting') !== undefined)
    expect(about(await said('older'), 'Conflicting')).toMatchObject({ status: 'True', reason: 'OlderGateActs' })
    expect(about(await said('younger'), 'Conflicting')).toMatchObject({ status: 'True', reason: 'YoungerGateWaits' })
    await world.deleteGate(namespace, 'older')
    await world.until(namespace, 'two-1', 'False', 'AnnotationMissing')
    await world.statusOf(namespace, 'younger', 'no conflict', (status) => about(status, 'Conflicting') === undefined)
  })

  it.concurrent('that is deleted lets its pods in, or leaves them as they are', async () => {
    const namespace = await world.stage.namespace('deleted')
    await world.gate(namespace, 'release')
    await world.gate(namespace, 'leave', { conditionType: 'example.com/leave', onDelete: 'Leave' })
    await world.pod(namespace, 'deleted-1', { gates: [TYPE, 'example.com/leave'] })
    await world.until(namespace, 'deleted-1', 'False')
    await world.until(namespace, 'deleted-1', 'False', undefined, 'example.com/leave')
    expect((await world.readGate(namespace, 'release')).metadata.finalizers).toEqual(['gracewatch.dev/release-pods'])
    await Promise.all(['release', 'leave'].map((name) => world.deleteGate(namespace, name)))
    await world.until(namespace, 'deleted-1', 'True', 'GateDeleted')
    const gone = async () => {
      const list = await world.http.request({ method: 'GET', path: world.gatesPath(namespace) })
      return list.json<{ items: unknown[] }>().items.length === 0 || undefined
    }
    await eventually(gone, 10_000, 'the gates gone')
    expect((await world.condition(namespace, 'deleted-1', 'example.com/leave'))?.status).toBe('False')
  })

  it.concurrent('whose selector leaves a pod lets it in', async () => {
    const namespace = await world.stage.namespace('leaves')
    await world.gate(namespace, 'lb')
    await world.pod(namespace, 'leaves-1')
    await world.until(namespace, 'leaves-1', 'False')
    const body = { spec: { selector: { matchLabels: { app: 'other' } } } }
    const path = world.gatesPath(namespace, 'lb')
    await world.http.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
    await world.until(namespace, 'leaves-1', 'True', 'NotSelected')
  })

  it.concurrent('goes at once with its namespace', async () => {
    const namespace = await world.stage.namespace('ending')
    await world.gate(namespace, 'lb')
    await world.statusOf(namespace, 'lb', 'taken up', ({ observedGeneration }) => observedGeneration === 1)
    await world.http.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}` })
    const gone = () =>
      world.http.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}` }).then(
        () => undefined,
        () => true as const,
      )
    // The namespace controller finds the gate, whose finalizer is about to go, and looks again some eight seconds later.
    await eventually(gone, 60_000, 'the namespace gone')
  })

  it.concurrent('with a selector that cannot be used says what is wrong, and holds up no other', async () => {
    const namespace = await world.stage.namespace('bad')
    await world.gate(namespace, 'bad', { selector: { matchLabels: { 'no key': 'x' } }, conditionType: 'example.com/bad' })
    await world.gate(namespace, 'good')
    await world.pod(namespace, 'bad-1', { annotations: YES })
    await world.until(namespace, 'bad-1', 'True')
    const status = await world.statusOf(namespace, 'bad', 'refused', (it) => about(it, 'Accepted') !== undefined)
    expect(about(status, 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'InvalidSelector',
      message: expect.stringContaining('"no key" is no label key'),
    })
  })
})

describe('a controller', () => {
  it('that takes over in mid-flip goes on, and rewrites nothing that is right', async () => {
    const [own, namespace] = await Promise.all([world.stage.namespace('two-own'), world.stage.namespace('handed')])
    // The file's own controller is out of this.
    await running.controller.kill()
    // Of pods that others on the cluster end, nothing is recorded.
    const options = { own, namespaces: [namespace], gates: true, args: ['--gate-patches-per-second=1000'] }
    const leader = await world.stage.lead(options)
    const standby = await world.stage.start(options)
    await standby.controller.ready()
    await world.gate(namespace, 'lb')
    const names = [1, 2, 3, 4, 5, 6].map((number) => `handed-${number}`)
    for (const name of names) await world.pod(namespace, name)
    for (const name of names) await world.until(namespace, name, 'False')
    expect(patches(standby)).toEqual([])
    // Half of them flip, and the leader dies over it.
    await Promise.all(names.slice(0, 3).map((name) => world.annotate(namespace, name, YES)))
    await leader.controller.kill()
    for (const name of names.slice(0, 3)) await world.until(namespace, name, 'True')
    await standby.controller.leads()
    await delay(1000)
    for (const name of names.slice(3)) {
      expect((await world.condition(namespace, name))?.status).toBe('False')
      expect(patches(standby, name), `${name} was right as it stood`).toEqual([])
    }
    const both = patches(leader).length + patches(standby).length
    expect(both).toBeLessThanOrEqual(names.length + 3 + 3)
    running = standby
  })

  it('brings 1,000 pods up to date, and writes once a flip', async () => {
    const COUNT = 1000
    const namespace = await world.stage.namespace('mass')
    const pods = await PodWatch.start(world.http, namespace)
    const names = Array.from({ length: COUNT }, (_, index) => `mass-${index}`)
    await inParallel(names, async (name) => {
      await world.pod(namespace, name)
    })
    const created = performance.now()
    await world.gate(namespace, 'lb')
    await pods.until('all are False', (all) => names.every((name) => all.get(name)?.status === 'False'))
    const settled = performance.now() - created
    expect(patches(running, 'mass-')).toHaveLength(COUNT)
    const changedAt = new Map<string, number>()
    await inParallel(names, async (name) => {
      changedAt.set(name, performance.now())
      await world.annotate(namespace, name, YES)
    })
    await pods.until('all are True', (all) => names.every((name) => all.get(name)?.status === 'True'))
    const late = names.map((name) => (pods.at(name) ?? Infinity) - (changedAt.get(name) ?? 0)).sort((a, b) => a - b)
    const writes = patches(running, 'mass-').length
    await pods.close()
    const at = (share: number) => Math.round(late[Math.floor(share * (COUNT - 1))] ?? Infinity)
    console.log(
      `${COUNT} gated pods settled ${(settled / 1000).toFixed(1)} s after their gate was made; all at once to True: from the request that ` +
        `changes the truth to the condition seen p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; ${writes / COUNT / 2} writes a flip`,
    )
    expect(writes).toBe(2 * COUNT)
  })

  it('follows a single pod at once', async () => {
    const namespace = await world.stage.namespace('single')
    const pods = await PodWatch.start(world.http, namespace)
    await world.gate(namespace, 'lb')
    await world.pod(namespace, 'single-1')
    await pods.until('False', (all) => all.get('single-1')?.status === 'False')
    const late: number[] = []
    for (let round = 0; round < 100; round++) {
      const status = round % 2 === 0 ? 'True' : 'False'
      const since = performance.now()
      await world.annotate(namespace, 'single-1', { [ANNOTATION]: round % 2 === 0 ? 'yes' : 'no' })
      await pods.until(status, (all) => all.get('single-1')?.status === status)
      late.push((pods.at('single-1') ?? Infinity) - since)
    }
    await pods.close()
    late.sort((a, b) => a - b)
    console.log(
      `one pod, 100 flips: p50 ${late[50]?.toFixed(0)} ms, p99 ${late[98]?.toFixed(0)} ms from the request to the condition seen`,
    )
  })

  it('costs no request while nothing changes', async () => {
    await delay(3000)
    const before = running.front.calls('GET', /./).length + running.front.calls('PATCH', /./).length
    const since = performance.now()
    await delay(15_000)
    const calls = ['GET', 'PATCH', 'POST', 'PUT', 'DELETE'].flatMap((method) => running.front.calls(method, /./))
    const news = calls.filter(({ at, path }) => at > since && !/\/leases\//.test(path))
    console.log(`requests in 15 s while nothing changes: ${news.length} (before: ${before})`)
    expect(news.map(({ method, path }) => `${method} ${path}`)).toEqual([])
  })
})
