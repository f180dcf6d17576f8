/** Two replicas: one deletes; the other goes on where it was killed, or stopped, in the middle of a pass. */
import { beforeAll, expect, it } from 'vitest'
import type { Running } from '../recorder/stage.ts'
import { delay, eventually } from '../waiting.ts'
import { deletes, useCleanup, type World } from './world.ts'

const host = useCleanup('heirs')
const COUNT = 80
const KEEP = 20
let world: World

const start = (own: string, namespace: string) =>
  world.stage.start({ own, namespaces: [namespace], cleanup: true, args: ['--cleanup-deletes-per-second=10'] })

beforeAll(() => {
  world = host.world
})

it.concurrent.each<['killed' | 'stopped', (leader: Running) => Promise<unknown>]>([
  ['killed', ({ controller }) => controller.kill()],
  ['stopped', ({ controller }) => controller.stop()],
])('a leader that is %s in mid-pass is followed by one that finishes, and keep.total stays', async (how, end) => {
  const [namespace, own] = [await world.namespace(how), await world.stage.namespace(`${how}-own`)]
  const names = await world.many(namespace, COUNT)
  const leader = await start(own, namespace)
  await leader.controller.leads()
  const standby = await start(own, namespace)
  await standby.controller.ready()
  await world.rule(namespace, 'all', { keep: { total: KEEP } })
  const stay = names.slice(-KEEP)
  const watching = world.downTo(namespace, KEEP, 120_000)
  await eventually(() => deletes(leader.front, namespace).length >= 10 || undefined, 30_000, '10 pods deleted')
  expect(deletes(standby.front)).toEqual([])
  await end(leader)
  const by = deletes(leader.front, namespace).filter(({ status }) => status === 200).length
  expect(by).toBeLessThan(COUNT - KEEP)
  const { fewest, halfDeleted } = await watching
  await world.left(namespace, stay)
  expect(fewest).toBe(KEEP)
  const then = deletes(standby.front, namespace).filter(({ status }) => status === 200).length
  console.log(`${how}: ${by} pods deleted by the first leader, ${then} by the second, ${halfDeleted} half deleted`)
  // One whose answer died with the leader was deleted, too.
  expect(by + then).toBeLessThanOrEqual(COUNT - KEEP)
  expect(by + then).toBeGreaterThanOrEqual(COUNT - KEEP - 8)
  // The count goes on where the first leader had written it, which was after whole passes.
  const status = await world.statusOf(namespace, 'all', 'settled', ({ toDelete }) => toDelete === 0)
  expect(status.deleted).toBeGreaterThanOrEqual(then)
  expect(status.deleted).toBeLessThanOrEqual(COUNT - KEEP)
  for (const name of names.slice(0, -KEEP)) {
    const records = world.stage.records.all.filter(
      ({ type, record }) => type !== 'DELETED' && record.pod.namespace === namespace && record.pod.name === name,
    )
    expect(
      records.map(({ record }) => record.state),
      name,
    ).toEqual(['Complete'])
  }
  await delay(22_000)
  expect(await world.names(namespace)).toEqual(stay)
})
