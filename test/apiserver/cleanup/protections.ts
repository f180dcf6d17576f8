/** What cleanup never deletes, each with a real object of its kind, beside Kubernetes' own controllers, with the rights of deploy/cleanup. */
import { describe, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import type { Shared } from './shared.ts'
import { deletes, kept } from './world.ts'

export function protections(shared: Shared): void {
  describe.concurrent('pods that are left alone', () => {
    it.concurrent('one of each kind stays, with its reason in the status, while its neighbours go', async () => {
      const { world, running } = shared
      const namespace = shared.spaces.kinds
      await world.workload(namespace, 'ReplicaSet', 'web')
      const set = await world.heldWorkload(namespace, 'StatefulSet', 'set')
      const daemon = await world.heldWorkload(namespace, 'DaemonSet', 'daemon')
      const node = await world.http.request({ method: 'GET', path: `/api/v1/nodes/${world.stage.kubelet.node}` })
      const { uid } = node.json<{ metadata: { uid: string } }>().metadata
      await world.job(namespace, 'done')
      await world.job(namespace, 'open', { completions: 2, parallelism: 1 })
      const done = await world.endedFor(namespace, 'done')
      const open = await world.endedFor(namespace, 'open')
      const second = await world.madeFor(namespace, 'open', [open.metadata.uid])
      const over = async () =>
        (await world.readJob(namespace, 'done')).conditions?.some(
          ({ type, status }) => type === 'Complete' && status === 'True',
        ) || undefined
      await eventually(over, 20_000, 'Job done Complete')
      const evicted = await world.madeFor(namespace, 'web')
      await world.end(namespace, evicted.metadata.name, { evicted: true })
      const live = await world.madeFor(namespace, 'web', [evicted.metadata.uid])

      const owned = { owner: await world.heldWorkload(namespace, 'ReplicaSet', 'old'), labels: { app: 'old' } }
      await world.finished(namespace, 'said-no', { ...owned, annotations: { 'gracewatch.dev/keep': 'false' } })
      await world.finished(namespace, 'kept', { ...owned, annotations: { 'gracewatch.dev/keep': 'post-mortem' } })
      await world.finished(namespace, 'held', { ...owned, finalizers: ['example.com/held'] })
      await world.finished(namespace, 'deleting', { ...owned, finalizers: ['example.com/held'] })
      await world.remove(namespace, 'deleting')
      await world.finished(namespace, 'set-0', { owner: set, labels: { app: 'set' } })
      await world.finished(namespace, 'daemon-x', { owner: daemon, labels: { app: 'daemon' } })
      const ofNode = { apiVersion: 'v1', kind: 'Node', name: world.stage.kubelet.node, uid }
      await world.finished(namespace, 'static', { owner: ofNode })
      await world.finished(namespace, 'bare')

      const rule = await world.rule(namespace, 'all', { keep: { total: 0 }, barePods: false })
      const stay = [
        ...['kept', 'held', 'deleting', 'set-0', 'daemon-x', 'static', 'bare'],
        ...[done, open, second, live].map(({ metadata }) => metadata.name),
      ]
      await world.left(namespace, stay)
      const settled = await world.statusOf(
        namespace,
        'all',
        '2 deleted',
        ({ deleted, toDelete }) => deleted === 2 && toDelete === 0,
      )
      expect(kept(settled)).toEqual({
        Deleting: 1,
        KeepAnnotation: 1,
        HasFinalizers: 1,
        StaticPod: 1,
        OwnedByStatefulSet: 1,
        OwnedByDaemonSet: 1,
        JobNotFinished: 1,
        JobFinished: 1,
        BarePod: 1,
      })
      expect(settled).toMatchObject({ candidates: 9, observedGeneration: 1 })
      expect(settled.errors).toBeUndefined()
      const events = await world.events(namespace, rule)
      expect(events.map(({ reason, type }) => `${type} ${reason}`)).toEqual(['Normal PodsDeleted'])
      await shared.passes()
      expect(await world.names(namespace)).toEqual(stay.toSorted())
      expect(
        deletes(running.front, namespace)
          .map(({ path }) => path.split('/').at(-1))
          .toSorted(),
      ).toEqual([evicted.metadata.name, 'said-no'].toSorted())

      // What protects them is taken away.
      await world.patch(namespace, 'held', { finalizers: null })
      await world.patch(namespace, 'kept', { annotations: { 'gracewatch.dev/keep': null } })
      await world.left(
        namespace,
        stay.filter((name) => name !== 'held' && name !== 'kept'),
      )
      const status = await world.statusOf(namespace, 'all', '4 deleted', ({ deleted }) => deleted === 4)
      expect(kept(status)).not.toHaveProperty('HasFinalizers')
      expect(kept(status)).not.toHaveProperty('KeepAnnotation')
    })

    it.concurrent("go where they are opted in: bare pods, and a finished Job's, whose counts stay and which makes no pod anew", async () => {
      const { world } = shared
      const namespace = shared.spaces.opted
      await world.finished(namespace, 'bare')
      await world.job(namespace, 'done')
      await world.job(namespace, 'failed', { backoffLimit: 0 })
      await world.endedFor(namespace, 'done')
      await world.endedFor(namespace, 'failed', 'Failed')
      await world.rule(namespace, 'all', { keep: { total: 0 }, barePods: true, finishedJobPods: true })
      await world.left(namespace, [])
      await shared.passes()
      expect(await world.names(namespace)).toEqual([])
      expect(await world.readJob(namespace, 'done')).toMatchObject({ succeeded: 1 })
      expect(await world.readJob(namespace, 'failed')).toMatchObject({ failed: 1 })
    })

    it.concurrent('are those that ended less than minAge ago, and they go by themselves after it', async () => {
      const { world, running } = shared
      const namespace = shared.spaces.young
      // Long enough for the pass that tells of it, also where it comes late.
      await world.rule(namespace, 'all', { keep: { total: 0 }, minAge: '40s' })
      const at = Math.floor(Date.now() / 1000) * 1000
      await world.finished(namespace, 'young')
      const status = await world.statusOf(namespace, 'all', 'a young pod', (now) => kept(now).TooYoung === 1)
      expect(status.toDelete).toBe(0)
      await delay(Math.max(0, at + 39_000 - Date.now()))
      await world.left(namespace, [], 60_000)
      const [call] = deletes(running.front, namespace)
      // The API server's time is known to a part of a second.
      expect(performance.timeOrigin + (call?.at ?? 0) - at).toBeGreaterThanOrEqual(39_500)
    })

    it.concurrent('are those that their own controllers replace: of a StatefulSet and a DaemonSet', async () => {
      const { world, running } = shared
      const namespace = shared.spaces.sets
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await world.workload(namespace, 'StatefulSet', 'db')
      await world.workload(namespace, 'DaemonSet', 'logs')
      for (const app of ['db', 'logs']) {
        const first = await world.madeFor(namespace, app)
        await world.end(namespace, first.metadata.name)
        const next = await world.madeFor(namespace, app, [first.metadata.uid])
        expect(next.status.phase).toBe('Pending')
      }
      await shared.passes()
      expect(deletes(running.front, namespace)).toEqual([])
    })
  })
}
