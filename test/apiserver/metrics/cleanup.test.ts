/** What the controller's process tells of cleanup. */
import { beforeAll, expect, it } from 'vitest'
import { seriesValue } from '../../unit/metrics/exposition.ts'
import { useCleanup, type World } from '../cleanup/world.ts'
import { MetricsPort } from './scrape.ts'

const host = useCleanup('metrics-cleanup')
let world: World

beforeAll(() => {
  world = host.world
})

it('cleanup tells what was deleted and what was kept, by reason', async () => {
  const [own, namespace] = [await world.stage.namespace('own'), await world.namespace('pods')]
  const port = await MetricsPort.reserve()
  const pods = await world.many(namespace, 5)
  await world.patch(namespace, pods[0] ?? '', { finalizers: ['example.com/stays'] })
  await world.lead({
    own,
    namespaces: [namespace],
    lease: [],
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

it('it names the PodCleanup whose pods cannot be deleted and the one whose records are refused, and says when that is over', async () => {
  const [own, forbidden, full] = [
    await world.stage.namespace('own-2'),
    await world.namespace('forbidden'),
    await world.namespace('full'),
  ]
  const port = await MetricsPort.reserve()
  const [held = ''] = await world.many(forbidden, 2)
  await world.many(full, 2)
  await world.refuseRecords(full)
  const allow = await world.forbidDeletion(forbidden, held)
  const problem = (namespace: string, what: string) => ({ namespace, cleanup: 'all', problem: what })
  try {
    for (const namespace of [forbidden, full]) await world.rule(namespace, 'all', { keep: { total: 0 } })
    await world.lead({ own, namespaces: [forbidden, full], lease: [], args: port.args })
    await port.becomes(1, 'gracewatch_cleanup_rule_problems', problem(forbidden, 'Failing'))
    await port.becomes(1, 'gracewatch_cleanup_rule_problems', problem(full, 'RecordRefused'))
    await port.becomes(2, 'gracewatch_cleanup_kept_pods', { reason: 'RecordRefused' })
    await port.becomes(1, 'gracewatch_cleanup_deleted_pods_total', { reason: 'PastKeepTotal' })
    const families = await port.scrape()
    const labels = families.get('gracewatch_cleanup_rule_problems')?.samples.map((sample) => sample.labels)
    expect(labels).toHaveLength(2)
    const failures = (reason: string) => seriesValue(families, 'gracewatch_cleanup_failures_total', { reason })
    expect(failures('Forbidden')).toBeGreaterThanOrEqual(1)
    expect(failures('RecordRefused')).toBeGreaterThanOrEqual(2)
  } finally {
    await allow()
  }
  await world.acceptRecords(full)
  await world.left(forbidden, [], 90_000)
  await world.left(full, [], 90_000)
  await port.becomes(0, 'gracewatch_cleanup_rule_problems', problem(forbidden, 'Failing'))
  await port.becomes(0, 'gracewatch_cleanup_rule_problems', problem(full, 'RecordRefused'))
  await port.becomes(4, 'gracewatch_cleanup_deleted_pods_total', { reason: 'PastKeepTotal' })
})
