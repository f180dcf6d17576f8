/** What the controller's process tells of cleanup. */
import { beforeAll, expect, it } from 'vitest'
import { useCleanup, type World } from '../cleanup/world.ts'
import { MetricsPort } from './scrape.ts'

const host = useCleanup('metrics-cleanup')
let world: World

beforeAll(() => {
  world = host.world
})

it('cleanup tells what was deleted and what was kept, by reason, and which rule has a problem', async () => {
  const [own, namespace] = [await world.stage.namespace('own'), await world.namespace('pods')]
  const port = await MetricsPort.reserve()
  const pods = await world.many(namespace, 5)
  await world.patch(namespace, pods[0] ?? '', { finalizers: ['example.com/stays'] })
  await world.lead({
    own,
    namespaces: [namespace],
    args: [...port.args, '--cleanup-min-age=0s', '--cleanup-bare-pods', '--cleanup-total=2'],
  })
  await port.becomes(3, 'gracewatch_cleanup_deleted_pods_total', { reason: 'PastClusterThreshold' })
  await port.becomes(1, 'gracewatch_cleanup_kept_pods', { reason: 'HasFinalizers' })
  expect(await port.value('gracewatch_cleanup_deleted_pods_total', { reason: 'OlderThan' })).toBe(0)
  // Nobody had watched these pods end: their records are the cleanup's.
  expect(await port.value('gracewatch_records_written_total')).toBeGreaterThanOrEqual(3)
  expect(await port.value('gracewatch_cleanup_failures_total', { reason: 'RecordRefused' })).toBe(0)
  expect((await port.scrape()).get('gracewatch_cleanup_rule_problems')?.samples).toEqual([])
  expect(await port.value('gracewatch_watch_synced', { resource: 'podcleanups' })).toBe(1)
  await world.patch(namespace, pods[0] ?? '', { finalizers: null })
})
