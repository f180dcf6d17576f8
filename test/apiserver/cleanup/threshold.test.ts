/** The threshold of the settings, turns between namespaces, the rate, and what it costs where nothing changes. */
import { beforeAll, describe, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import { deletes, useCleanup, type World } from './world.ts'

const host = useCleanup('limits')
const NOW = ['--cleanup-min-age=0s', '--cleanup-bare-pods']
let world: World

beforeAll(() => {
  world = host.world
})

describe.concurrent('the threshold', () => {
  it('in total counts what PodCleanups select, and takes the oldest of the others in all namespaces', async () => {
    const [own, first, second, ruled] = [
      await world.stage.namespace('total-own'),
      await world.namespace('total-1'),
      await world.namespace('total-2'),
      await world.namespace('total-3'),
    ]
    const kept = await world.many(ruled, 4)
    await world.rule(ruled, 'all', { keep: { total: 4 } })
    const old = await world.many(first, 6)
    await delay(1100)
    const young = await world.many(second, 6)
    const { front, controller } = await world.lead({
      own,
      namespaces: [first, second, ruled],
      args: [...NOW, '--cleanup-total=12'],
    })
    await world.left(first, old.slice(-2))
    expect(await world.names(second)).toEqual(young)
    expect(await world.names(ruled)).toEqual(kept)
    expect(
      deletes(front)
        .map(({ path }) => path.split('/').at(-1))
        .toSorted(),
    ).toEqual(old.slice(0, 4))
    const lease = await world.http.request({
      method: 'GET',
      path: `/apis/coordination.k8s.io/v1/namespaces/${own}/leases/gracewatch-controller`,
    })
    const { uid } = lease.json<{ metadata: { uid: string } }>().metadata
    const told = await eventually(
      async () => (await world.events(own, uid)).find(({ reason }) => reason === 'PodsDeleted'),
      10_000,
      'an Event on the Lease',
    )
    expect(told.message).toMatch(/^The threshold: Deleted \d finished pods? \(\d PastClusterThreshold\): pod-000/)
    await controller.stop()
  })

  it('in each namespace leaves so many in each', async () => {
    const [own, first, second] = [
      await world.stage.namespace('each-own'),
      await world.namespace('each-1'),
      await world.namespace('each-2'),
    ]
    const many = await world.many(first, 7)
    const few = await world.many(second, 2)
    const { front, controller } = await world.lead({
      own,
      namespaces: [first, second],
      args: [...NOW, '--cleanup-per-namespace=3'],
    })
    await world.left(first, many.slice(-3))
    expect(await world.names(second)).toEqual(few)
    expect(deletes(front, second)).toEqual([])
    await controller.stop()
  })
})

describe.concurrent('where nothing changes', () => {
  it('a minute costs two writes of a status at most, and no read of a pod', async () => {
    const [own, namespace] = [await world.stage.namespace('quiet-own'), await world.namespace('quiet')]
    await world.many(namespace, 20)
    for (const name of ['one', 'two', 'three']) await world.rule(namespace, name, { keep: { total: 10 } })
    const { front, controller } = await world.lead({ own, namespaces: [namespace] })
    for (const name of ['one', 'two', 'three'])
      await world.statusOf(namespace, name, 'settled', ({ deleted, toDelete }) => deleted === 10 && toDelete === 0)
    await delay(2000)
    const from = performance.now()
    await delay(60_000)
    const minute = (method: string, path: RegExp) =>
      front.calls(method, path).filter(({ at }) => at >= from && at < from + 60_000).length
    for (const name of ['one', 'two', 'three']) {
      const writes = minute('PATCH', new RegExp(`/podcleanups/${name}/status$`))
      expect(writes, `status of ${name}`).toBeGreaterThanOrEqual(1)
      expect(writes, `status of ${name}`).toBeLessThanOrEqual(2)
    }
    expect(minute('GET', /\/pods\//)).toBe(0)
    expect(minute('DELETE', /./)).toBe(0)
    expect(minute('PATCH', /\/podterminations\//)).toBe(0)
    const calls = ['GET', 'POST', 'PUT', 'PATCH'].map((method) => `${minute(method, /./)} ${method}`)
    console.log(`a minute in which nothing changed: ${calls.join(', ')}`)
    await controller.stop()
  })
})

describe.concurrent('a namespace of 500 pods', () => {
  it('holds one of 5 up for no more than its turns, and all go at the rate that is set', async () => {
    const RATE = 25
    const [own, large, small] = [
      await world.stage.namespace('fair-own'),
      await world.namespace('fair-a'),
      await world.namespace('fair-b'),
    ]
    await world.many(large, 500, { phase: 'Succeeded' })
    await delay(1100)
    await world.many(small, 5, { phase: 'Succeeded' })
    const { front, controller } = await world.lead({
      ...{ own, namespaces: [large, small] },
      args: [...NOW, '--cleanup-per-namespace=0', `--cleanup-deletes-per-second=${RATE}`],
    })
    await world.left(small, [])
    const times = deletes(front).map(({ at }) => at)
    await world.left(large, [], 60_000)
    const all = deletes(front)
    const order = all.map(({ path }) => path.includes(`/${small}/`))
    const last = order.lastIndexOf(true)
    const began = times[0] ?? 0
    const at = all.map((call) => call.at)
    const perSecond = at.map((time) => at.filter((other) => other >= time && other < time + 1000).length)
    const seconds = ((at.at(-1) ?? 0) - began) / 1000
    console.log(
      `505 pods deleted in ${seconds.toFixed(1)} s (${(505 / seconds).toFixed(1)} a second, at most ${Math.max(...perSecond)} in one second; ` +
        `${RATE} allowed), those of the small namespace among the first ${last + 1}`,
    )
    expect(all.filter(({ status }) => status === 200)).toHaveLength(505)
    // Turn by turn: five of the one, five of the other, and those beside them.
    expect(last).toBeLessThan(10 + 8)
    // So many averaged over a second: a burst of one second's worth, then the rate.
    expect(all.length).toBeLessThanOrEqual(RATE * (seconds + 1) + 8)
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(2 * RATE + 8)
    expect(seconds).toBeLessThan((505 / RATE) * 2)
    await controller.stop()
  })
})
