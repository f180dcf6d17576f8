/** PodCleanups that meet, change, cannot be read or only try; and that there is no CRD of them. */
import { describe, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import type { Shared } from './shared.ts'
import { condition, deletes, kept } from './world.ts'

export function rules(shared: Shared): void {
  describe.concurrent('a pod that two PodCleanups select', () => {
    it.concurrent('goes only if both let it go, and each says why not', async () => {
      const { world } = shared
      const namespace = shared.spaces.two
      const names = await world.many(namespace, 12, { labels: { app: 'web' } })
      await delay(1100)
      const others = await world.many(namespace, 3, { labels: { app: 'other' } }, 'other')
      // "more" alone leaves eight of the fifteen, the youngest: other-*, whatever ended in a later second. "few", which would leave two alone,
      // comes when nothing is left that it may have deleted by itself.
      await world.rule(namespace, 'more', { keep: { total: 8 } })
      await world.rule(namespace, 'few', { selector: { matchLabels: { app: 'web' } }, keep: { total: 2 } })
      const both = [...names.slice(-5), ...others]
      await world.left(namespace, both)
      const few = await world.statusOf(
        namespace,
        'few',
        'settled',
        ({ toDelete, candidates }) => toDelete === 0 && candidates === 5,
      )
      expect(kept(few)).toEqual({ WithinKeepTotal: 2, KeptByOtherRule: 3 })
      const more = await world.statusOf(namespace, 'more', 'settled', ({ toDelete }) => toDelete === 0)
      expect(kept(more)).toEqual({ WithinKeepTotal: 8 })
      expect(await world.names(namespace)).toEqual(both.toSorted())
      await world.deleteRule(namespace, 'more')
      await world.left(namespace, [...names.slice(-2), ...others])
    })
  })

  describe.concurrent('keep.perOwner', () => {
    it.concurrent('counts by what ReplicaSets belong to', async () => {
      const { world } = shared
      const namespace = shared.spaces.owners
      const sets = ['app-1', 'app-2']
      // Paused, it makes no ReplicaSet of its own.
      const app = await world.owner(namespace, '/apis/apps/v1/namespaces/{}/deployments', {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'app' },
        ...{
          spec: {
            ...{ paused: true, replicas: 0 },
            selector: { matchExpressions: [{ key: 'app', operator: 'In', values: sets }] },
            template: world.stage.kubelet.template({ app: 'app-1' }),
          },
        },
      })
      for (const name of sets) {
        const owner = await world.heldWorkload(namespace, 'ReplicaSet', name, app)
        await world.many(namespace, 3, { owner, labels: { app: name }, evicted: true }, name)
      }
      await world.finished(namespace, 'alone')
      await world.rule(namespace, 'one-each', { keep: { perOwner: 2 } })
      await world.left(namespace, ['app-2-0001', 'app-2-0002', 'alone'])
    })
  })

  describe.concurrent('a PodCleanup that is deleted in mid-pass', () => {
    it.concurrent('stops the pass', async () => {
      const { world } = shared
      const [own, namespace, passing] = [
        await world.stage.namespace('cut-own'),
        await world.namespace('cut'),
        await world.namespace('cut-passes'),
      ]
      await world.many(namespace, 60, { phase: 'Succeeded' })
      const args = ['--cleanup-deletes-per-second=5']
      const { front, controller } = await world.lead({ own, namespaces: [namespace, passing], args })
      await world.rule(namespace, 'all', { keep: { total: 0 } })
      await eventually(() => deletes(front, namespace).length >= 8 || undefined, 30_000, '8 pods deleted')
      await world.deleteRule(namespace, 'all')
      await world.rule(passing, 'all', { keep: { total: 0 } })
      await world.passes(passing)
      const left = await world.names(namespace)
      // In the 8 s of a pass 40 more would have gone.
      expect(left.length).toBeGreaterThan(20)
      const calls = deletes(front, namespace).length
      await world.passes(passing)
      expect(deletes(front, namespace)).toHaveLength(calls)
      expect(await world.names(namespace)).toEqual(left)
      await controller.stop()
    })
  })

  describe.concurrent('a PodCleanup that is changed', () => {
    it.concurrent('is followed: a lower number lets more go, dryRun stops it', async () => {
      const { world } = shared
      const namespace = shared.spaces.changed
      const names = await world.many(namespace, 8, { phase: 'Succeeded' })
      await world.rule(namespace, 'all', { keep: { total: 6 } })
      await world.left(namespace, names.slice(-6))
      await world.changeRule(namespace, 'all', { keep: { total: 4 } })
      await world.left(namespace, names.slice(-4))
      await world.changeRule(namespace, 'all', { dryRun: true, keep: { total: 1 } })
      const status = await world.statusOf(namespace, 'all', 'tells', ({ toDelete }) => toDelete === 3)
      expect(status).toMatchObject({ observedGeneration: 3, deleted: 4 })
      await shared.passes()
      expect(await world.names(namespace)).toEqual(names.slice(-4))
    })
  })

  describe.concurrent('a dry run', () => {
    it.concurrent('on the object deletes and records nothing, and its status says what it would do', async () => {
      const { world } = shared
      const namespace = shared.spaces.dry
      const before = world.stage.records.all.length
      const names = await world.many(namespace, 6, { phase: 'Succeeded' })
      const rule = await world.rule(namespace, 'all', { keep: { total: 2 }, dryRun: true, recordSucceeded: true })
      const status = await world.statusOf(namespace, 'all', '4 to delete', ({ toDelete }) => toDelete === 4)
      expect(status).toMatchObject({ candidates: 6, deleted: 0 })
      expect(kept(status)).toEqual({ WithinKeepTotal: 2 })
      await shared.passes()
      expect(await world.names(namespace)).toEqual(names)
      expect(deletes(shared.running.front, namespace)).toEqual([])
      expect(await world.events(namespace, rule)).toEqual([])
      expect(world.stage.records.all.slice(before).filter(({ record }) => record.pod.namespace === namespace)).toEqual([])
    })

    it.concurrent('as a setting holds for every PodCleanup and for the threshold; without it they delete what the plan named', async () => {
      const { world } = shared
      const [own, tried, untouched] = [
        await world.stage.namespace('try-own'),
        await world.namespace('tried'),
        await world.namespace('untouched'),
      ]
      const args = ['--cleanup-per-namespace=3', '--cleanup-min-age=0s', '--cleanup-bare-pods']
      const trial = await world.lead({ own, namespaces: [tried, untouched], args: [...args, '--cleanup-dry-run'] })
      await world.many(tried, 9)
      const token = await world.stage.token(own, world.stage.group)
      const toGo = async (where: string, ...more: string[]) => {
        const plan = await world.plan(trial.front, token, '-n', where, ...more)
        return plan.pods.filter(({ action }) => action === 'Delete').map(({ name }) => name)
      }
      const names = await world.many(untouched, 5)
      // Its threshold takes no pod of the last minute; the setting's does.
      expect(await toGo(untouched, '--per-namespace=3', '--bare-pods')).toEqual([])
      await world.rule(tried, 'all', { keep: { total: 4 } })
      await world.statusOf(tried, 'all', '5 to delete', ({ toDelete }) => toDelete === 5)
      // A pass each.
      for (const count of [6, 7]) {
        await world.finished(tried, `more-${count}`)
        const status = await world.statusOf(tried, 'all', `${count} to delete`, ({ toDelete }) => toDelete === count)
        expect(status.deleted).toBe(0)
      }
      expect(deletes(trial.front)).toEqual([])
      expect(await world.names(tried)).toHaveLength(11)
      expect(await world.names(untouched)).toEqual(names)
      const planned = await toGo(tried)
      expect(planned).toHaveLength(7)
      await trial.controller.stop()
      const real = await world.lead({ own, namespaces: [tried, untouched], args })
      await world.left(untouched, names.slice(-3))
      await world.statusOf(tried, 'all', '7 deleted', ({ deleted }) => deleted === 7)
      const gone = deletes(real.front, tried).map(({ path }) => path.split('/').at(-1))
      expect(gone.toSorted()).toEqual(planned.toSorted())
      await real.controller.stop()
    })
  })

  describe.concurrent('a PodCleanup outside of the controller', () => {
    it.concurrent('(--namespaces) is not touched, nor are its pods', async () => {
      const { world, running } = shared
      const outside = await world.namespace('outside')
      await world.many(outside, 3, { phase: 'Succeeded' })
      await world.rule(outside, 'all', { keep: { total: 0 } })
      await shared.passes()
      expect(await world.names(outside)).toHaveLength(3)
      const rule = await world.http.request({ method: 'GET', path: world.rulesPath(outside, 'all') })
      expect(rule.json<object>()).not.toHaveProperty('status')
      expect(running.front.calls('PATCH', new RegExp(`/namespaces/${outside}/`))).toEqual([])
    })
  })

  describe.concurrent('a CRD', () => {
    it.concurrent('of a later version with a field that is not known here: it keeps the pods of its namespace, and says so', async () => {
      const { world } = shared
      const { group } = await world.stage.crd('later')
      await world.stage.brings('podcleanups', group, (schema) => {
        const spec = schema.properties.spec
        // A number that this version knows nothing of.
        if (spec !== undefined) Object.assign(spec.properties, { keepNewest: { type: 'integer' } })
      })
      const [own, namespace, well] = [
        await world.stage.namespace('later-own'),
        await world.namespace('later'),
        await world.namespace('well'),
      ]
      await world.many(namespace, 4, { phase: 'Succeeded' })
      await world.many(well, 2, { phase: 'Succeeded' })
      await world.rule(
        namespace,
        'later',
        { selector: { matchLabels: { app: 'none' } }, keep: { total: 9 }, keepNewest: 4 },
        group,
      )
      await world.rule(namespace, 'known', { keep: { total: 0 } }, group)
      await world.rule(well, 'known', { keep: { total: 0 } }, group)
      const { front, controller } = await world.lead({ own, namespaces: [namespace, well], group })
      await world.left(well, [])
      const options = { group }
      const status = await world.statusOf(
        namespace,
        'later',
        'told',
        (now) => condition(now, 'Accepted')?.status === 'False',
        options,
      )
      expect(condition(status, 'Accepted')?.message).toContain('keepNewest')
      expect(kept(status)).toEqual({ RuleUnusable: 4 })
      const known = await world.statusOf(namespace, 'known', 'told', (now) => kept(now).KeptByOtherRule === 4, options)
      expect(condition(known, 'Accepted')).toMatchObject({ status: 'True' })
      expect(await world.names(namespace)).toHaveLength(4)
      expect(deletes(front, namespace)).toEqual([])
      await controller.stop()
    })

    it.concurrent('that is missing: nothing is deleted, terminations are recorded; when it comes, the threshold holds', async () => {
      const { world } = shared
      const { group, records } = await world.stage.crd('none')
      const [own, namespace] = [await world.stage.namespace('none-own'), await world.namespace('none')]
      const names = await world.many(namespace, 5, { phase: 'Succeeded' })
      const { front, controller } = await world.stage.lead({
        ...{ own, namespaces: [namespace], group, cleanup: true },
        args: ['--cleanup-per-namespace=2', '--cleanup-min-age=0s', '--cleanup-bare-pods'],
      })
      const failed = await world.finished(namespace, 'failed')
      await records.complete(failed.metadata.uid)
      // Whether there is something to do is looked at each second until it is known.
      const asked = () => front.calls('GET', /\/podcleanups$/).length >= 4 || undefined
      await eventually(asked, 30_000, 'PodCleanups asked for four times')
      expect(deletes(front)).toEqual([])
      expect(await world.names(namespace)).toHaveLength(6)
      await world.stage.brings('podcleanups', group)
      await world.left(namespace, [...names.slice(-1), 'failed'], 120_000)
      await controller.stop()
    })
  })
}
