/** The threshold of the settings, turns between namespaces, the rate, and what it costs where nothing changes. */
import { describe, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import type { Shared } from './shared.ts'
import { deletes } from './world.ts'

const NOW = ['--cleanup-min-age=0s', '--cleanup-bare-pods']

export function threshold(shared: Shared): void {
  describe.concurrent('where nothing changes', () => {
    it('a minute costs two writes of a status at most, and no read of a pod', async () => {
      const { world } = shared
      const [own, namespace] = [await world.stage.namespace('quiet-own'), await world.namespace('quiet')]
      await world.many(namespace, 20)
      for (const name of ['one', 'two', 'three']) await world.rule(namespace, name, { keep: { total: 10 } })
      const { front, controller } = await world.lead({ own, namespaces: [namespace] })
      for (const name of ['one', 'two', 'three'])
        await world.statusOf(namespace, name, 'settled', ({ deleted, toDelete }) => deleted === 10 && toDelete === 0)
      await delay(2000)
      const from = performance.now()
      const since = (method: string, path: RegExp) => front.calls(method, path).filter(({ at }) => at >= from)
      const writes = (name: string) => since('PATCH', new RegExp(`/podcleanups/${name}/status$`))
      const all = ['one', 'two', 'three']
      // Each pass of its own accord finds nothing new; the one after a minute says that it is still there.
      await eventually(() => all.every((name) => writes(name).length > 0) || undefined, 120_000, 'each status renewed')
      const minutes = (performance.now() - from) / 60_000
      for (const name of all) expect(writes(name).length, `status of ${name}`).toBeLessThanOrEqual(1 + minutes)
      expect(since('GET', /\/pods\//)).toEqual([])
      expect(since('DELETE', /./)).toEqual([])
      expect(since('PATCH', /\/podterminations\//)).toEqual([])
      const calls = ['GET', 'POST', 'PUT', 'PATCH'].map((method) => `${since(method, /./).length} ${method}`)
      for (const name of all) {
        const { lastRun = '', nextRun = '' } = await world.statusOf(namespace, name, 'there', () => true)
        expect(Date.parse(nextRun) - Date.parse(lastRun)).toBe(20_000)
      }
      console.log(`${minutes.toFixed(1)} minutes in which nothing changed: ${calls.join(', ')}`)
      await controller.stop()
    })
  })

  describe.concurrent('the threshold', () => {
    it('in total counts what PodCleanups select, and takes the oldest of the others in all namespaces', async () => {
      const { world } = shared
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
  })

  describe.concurrent('in each namespace', () => {
    it('it leaves so many; a large one holds a small one up for no more than its turns, and all go at the rate that is set', async () => {
      const { world } = shared
      const [RATE, LARGE, KEEP] = [25, 300, 3]
      const [own, large, small, few] = [
        await world.stage.namespace('each-own'),
        await world.namespace('each-large'),
        await world.namespace('each-small'),
        await world.namespace('each-few'),
      ]
      const many = await world.many(large, LARGE + KEEP, { phase: 'Succeeded' })
      await delay(1100)
      const some = await world.many(small, 5 + KEEP, { phase: 'Succeeded' })
      const two = await world.many(few, KEEP - 1)
      const from = performance.now()
      const { front, controller } = await world.lead({
        ...{ own, namespaces: [large, small, few] },
        args: [...NOW, `--cleanup-per-namespace=${KEEP}`, `--cleanup-deletes-per-second=${RATE}`],
      })
      await world.left(small, some.slice(-KEEP))
      await world.left(large, many.slice(-KEEP), 60_000)
      expect(await world.names(few)).toEqual(two)
      expect(deletes(front, few)).toEqual([])
      const all = deletes(front)
      const last = all.map(({ path }) => path.includes(`/${small}/`)).lastIndexOf(true)
      const at = all.map((call) => call.at)
      const seconds = ((at.at(-1) ?? 0) - (at[0] ?? 0)) / 1000
      console.log(
        `${all.length} pods deleted in ${seconds.toFixed(1)} s (${(all.length / seconds).toFixed(1)} a second; ${RATE} allowed), ` +
          `those of the small namespace among the first ${last + 1}`,
      )
      expect(all.filter(({ status }) => status === 200)).toHaveLength(LARGE + 5)
      // Turn by turn: five of the one, five of the other, and those beside them.
      expect(last).toBeLessThan(10 + 8)
      // A burst of one second's worth, then the rate. What comes late is counted late, so from before the first could come.
      for (const [index, time] of at.entries()) expect(index + 1).toBeLessThanOrEqual(RATE * ((time - from) / 1000 + 1))
      // A pass that is cut is followed by the next one, not by that of 20 s later.
      expect(Math.max(...at.slice(1).map((time, index) => time - (at[index] ?? 0)))).toBeLessThan(15_000)
      await controller.stop()
    })
  })
}
