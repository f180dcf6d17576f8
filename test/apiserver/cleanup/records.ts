/** How a pod ended is on record before it is deleted, and it stays where the record is refused. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Label, Shared, Spaces } from './shared.ts'
import { condition, deletes, kept, type PodObject, type World } from './world.ts'

const FULL = ['full-0', 'full-1', 'full-2', 'full-3', 'full-4', 'full-5', 'full-6', 'full-7']
/** Of the time before the controller came. */
const before: Partial<Record<Label, PodObject[]>> = {}

const uids = (pods: readonly PodObject[] = []) => pods.map(({ metadata }) => metadata.uid)

/** To be done before the controller comes. */
export async function endedBefore(world: World, spaces: Spaces): Promise<void> {
  const ended = async (label: Label, ...pods: Promise<PodObject>[]) => {
    before[label] = await Promise.all(pods)
  }
  await Promise.all((['full', 'few', 'deletes'] as const).map((label) => world.refuseRecords(spaces[label])))
  await Promise.all([
    ended(
      'failed',
      world.finished(spaces.failed, 'exited'),
      world.finished(spaces.failed, 'evicted', { evicted: true }),
      world.finished(spaces.failed, 'in-the-way'),
    ),
    ended('succeeded', world.finished(spaces.succeeded, 'done', { phase: 'Succeeded' })),
    ended('told', world.finished(spaces.told, 'done', { phase: 'Succeeded' })),
    ended('full', ...FULL.map((name) => world.finished(spaces.full, name))),
    ended('few', world.finished(spaces.few, 'one'), world.finished(spaces.few, 'done', { phase: 'Succeeded' })),
    ended('deletes', world.finished(spaces.deletes, 'one')),
  ])
}

export function records(shared: Shared): void {
  /** Records that stood in the API server when the DELETE of their pod came to it, by the pod's UID. */
  const standing = new Map<string, string[]>()
  const written = (uid: string) => shared.world.stage.records.of(uid)

  beforeAll(() => {
    const { world, running } = shared
    running.front.before('DELETE', /\/pods\/[^/]+$/, async ({ path }, body) => {
      const uid = (JSON.parse(body ?? '{}') as { preconditions?: { uid?: string } }).preconditions?.uid ?? ''
      const stored = `/apis/${world.stage.group}/v1alpha1${path.slice('/api/v1'.length).replace(/\/pods\/.*/, '/podterminations')}`
      const list = await world.http.request({ method: 'GET', path: stored })
      const { items } = list.json<{ items: { pod: { uid: string }; state?: string }[] }>()
      standing.set(
        uid,
        items.filter(({ pod }) => pod.uid === uid).map(({ state }) => state ?? ''),
      )
      return undefined
    })
  })

  describe.concurrent('of a pod that ended before Gracewatch came', () => {
    it.concurrent('and Failed, the record is written first, from its status, and says so', async () => {
      const { world, spaces } = shared
      const namespace = spaces.failed
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, [])
      for (const uid of uids(before.failed)) {
        expect(standing.get(uid)).toEqual(['Complete'])
        await world.stage.records.complete(uid)
        expect(world.stage.records.states(uid)).toEqual(['Complete'])
        const record = written(uid)[0]?.record
        const findings = record?.findings?.filter(({ type }) => type === 'EvidenceMissing')
        expect(findings).toHaveLength(1)
        expect(findings?.[0]?.message).toContain('right before a cleanup deleted the pod')
      }
      const of = (name: string) =>
        written(before.failed?.find(({ metadata }) => metadata.name === name)?.metadata.uid ?? '')[0]?.record
      expect(of('exited')).toMatchObject({ outcome: 'Failed', containers: [{ name: 'app', exit: { code: 1 } }] })
      expect(of('evicted')).toMatchObject({ cause: { type: 'Evicted' } })
    })

    it.concurrent('and Succeeded, none is written', async () => {
      const { world, spaces } = shared
      const namespace = spaces.succeeded
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, [])
      for (const uid of uids(before.succeeded)) {
        expect(standing.get(uid)).toEqual([])
        expect(written(uid)).toEqual([])
      }
    })

    it.concurrent('and Succeeded, it is written first where recordSucceeded asks', async () => {
      const { world, spaces } = shared
      const namespace = spaces.told
      await world.rule(namespace, 'all', { keep: { total: 0 }, recordSucceeded: true })
      await world.left(namespace, [])
      for (const uid of uids(before.told)) {
        expect(standing.get(uid)).toEqual(['Complete'])
        await world.stage.records.complete(uid)
        expect(written(uid).map(({ record }) => record.outcome)).toEqual(['Graceful'])
      }
    })
  })

  describe.concurrent('of a pod that has its record', () => {
    it.concurrent('none is written again, and its deletion changes nothing of it', async () => {
      const { world, spaces } = shared
      const namespace = spaces.live
      const pod = await world.finished(namespace, 'live')
      await world.stage.records.complete(pod.metadata.uid)
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, [])
      await world.statusOf(namespace, 'all', '1 deleted', ({ deleted }) => deleted === 1)
      // What would be written of the pod's removal would have come before this one's record.
      const last = await world.finished(namespace, 'last')
      await world.left(namespace, [])
      expect(standing.get(last.metadata.uid)).toEqual(['Complete'])
      expect(standing.get(pod.metadata.uid)).toEqual(['Complete'])
      expect(written(pod.metadata.uid)).toHaveLength(1)
      expect(written(pod.metadata.uid)[0]?.record.findings ?? []).not.toContainEqual(
        expect.objectContaining({ message: expect.stringContaining('right before a cleanup deleted the pod') }),
      )
    })

    it.concurrent('by a controller before it, none is written again', async () => {
      const { world } = shared
      const namespace = await world.namespace('again')
      const own = await world.stage.namespace('again-own')
      const options = { own, namespaces: [namespace] }
      const first = await world.lead(options)
      const pod = await world.finished(namespace, 'told')
      const { record } = await world.stage.records.complete(pod.metadata.uid)
      await first.controller.kill()
      const second = await world.lead(options)
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, [])
      expect(second.front.applies).toEqual([])
      expect(written(pod.metadata.uid).map((version) => version.record)).toEqual([record])
      await second.controller.stop()
    })
  })

  describe.concurrent('a record that is refused', () => {
    it.concurrent('keeps its pod, with a condition and one Event; when there is room, the pod goes by itself', async () => {
      const { world, running, spaces } = shared
      const namespace = spaces.full
      const rule = await world.rule(namespace, 'all', { keep: { total: 0 } })
      const refused = await world.statusOf(namespace, 'all', 'refused', (status) => kept(status).RecordRefused === 8)
      expect(condition(refused, 'RecordRefused')).toMatchObject({ status: 'True', reason: 'QuotaExceeded' })
      expect(condition(refused, 'RecordRefused')?.message).toMatch(
        /^8 pods stay: the API server refuses their records .*(exceeded quota|status unknown for quota)/,
      )
      // However many passes there are, and whatever happens to other PodCleanups.
      for (const name of ['one', 'two', 'three']) {
        await shared.passes()
        await world.rule(spaces.passes, name, { keep: { total: 0 } })
      }
      await shared.passes()
      for (const name of FULL) {
        const tries = running.front.calls('PATCH', new RegExp(`/namespaces/${namespace}/podterminations/${name}\\.`))
        const times = tries.map(({ at }) => at)
        const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000
        // After 5 s, and then after twice as long each time.
        expect(times.length, name).toBeLessThanOrEqual(1 + Math.floor(Math.log2(1 + seconds / 5)))
      }
      expect(await world.names(namespace)).toHaveLength(8)
      expect(deletes(running.front, namespace)).toEqual([])
      const told = (await world.events(namespace, rule)).filter(({ reason }) => reason === 'RecordRefused')
      expect(told).toMatchObject([{ type: 'Warning', count: 1 }])

      await world.acceptRecords(namespace)
      await world.left(namespace, [], 90_000)
      for (const uid of uids(before.full)) expect(standing.get(uid)).toEqual(['Complete'])
      const settled = await world.statusOf(namespace, 'all', '8 deleted', ({ deleted }) => deleted === 8)
      expect(condition(settled, 'RecordRefused')).toMatchObject({ status: 'False' })
      expect(kept(settled)).toEqual({})
    })

    it.concurrent('keeps no pod that needs none', async () => {
      const { world, spaces } = shared
      const namespace = spaces.few
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.left(namespace, ['one'])
      const status = await world.statusOf(namespace, 'all', 'one refused', (now) => kept(now).RecordRefused === 1)
      expect(status.deleted).toBe(1)
    })

    it.concurrent('lets its pod go where onRecordFailure says so', async () => {
      const { world, spaces } = shared
      const namespace = spaces.deletes
      await world.rule(namespace, 'all', { keep: { total: 0 }, onRecordFailure: 'Delete' })
      await world.left(namespace, [])
      for (const uid of uids(before.deletes)) {
        expect(standing.get(uid)).toEqual([])
        expect(written(uid)).toEqual([])
      }
    })
  })
}
