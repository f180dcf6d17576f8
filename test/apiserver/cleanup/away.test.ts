/** The API server is killed in the middle of a pass, and comes back. */
import { beforeAll, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import { deletes, useCleanup, type World } from './world.ts'

const host = useCleanup('away')
const COUNT = 60
const KEEP = 10
let world: World

beforeAll(() => {
  world = host.world
})

it('the rest goes then, each Failed pod with its record, and none too many', async () => {
  const namespace = await world.namespace('pods')
  // It would not outlive the API server.
  await world.stage.records.close()
  const names = await world.many(namespace, COUNT)
  const { front, controller } = await world.lead({
    own: world.stage.bed.namespace,
    namespaces: [namespace],
    args: ['--cleanup-deletes-per-second=5'],
  })
  await world.rule(namespace, 'all', { keep: { total: KEEP } })
  await eventually(() => deletes(front, namespace).length >= 8 || undefined, 30_000, '8 pods deleted')
  const { cluster } = world.stage.bed
  await cluster.killPart('kube-apiserver')
  await delay(5000)
  await cluster.startPart('kube-apiserver')
  const there = await eventually(() => world.names(namespace).catch(() => undefined), 60_000, 'the API server back')
  console.log(`the API server was killed when ${COUNT - there.length} of ${COUNT - KEEP} pods were deleted`)
  expect(there.length).toBeGreaterThan(KEEP)
  const stay = names.slice(-KEEP)
  // In its start it refuses what its roles are not loaded for; that is tried again after some seconds, in the pass that follows.
  const { fewest, halfDeleted } = await world.downTo(namespace, KEEP, 120_000)
  console.log(`${halfDeleted} pods were half deleted when it was killed`)
  expect(fewest).toBe(KEEP)
  await world.left(namespace, stay)
  const path = `/apis/${world.stage.group}/v1alpha1/namespaces/${namespace}/podterminations`
  const list = await world.http.request({ method: 'GET', path })
  const recorded = list.json<{ items: { state: string; pod: { name: string } }[] }>().items
  const complete = recorded.filter(({ state }) => state === 'Complete').map(({ pod }) => pod.name)
  expect(complete.toSorted()).toEqual(names.slice(0, -KEEP))
  // One goes for each that comes, and no other.
  for (const [index, name] of ['x-1', 'x-2'].entries()) {
    await world.finished(namespace, name)
    await world.left(namespace, [...stay.slice(index + 1), ...['x-1', 'x-2'].slice(0, index + 1)])
  }
  expect(controller.running).toBe(true)
  expect(controller.lines.all.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
})
