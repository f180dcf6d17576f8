import { expect, test } from 'vitest'
import { Members } from '../../../../src/controllers/gatekeeper/handover/members.ts'
import type { PodSnapshot } from '../../../../src/core/evidence.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { at, NOW } from '../../core/gates/builders.ts'
import { snapshot } from './web.ts'

const SLACK = 9 * SECOND
let now = NOW

/** Every ReplicaSet is the Deployment's, once it has been looked up. */
function members(pods: readonly PodSnapshot[] = [], lookedUp = true) {
  now = NOW
  const all = new Members({
    pods: () => pods,
    workloadOf: ({ owner, uid }) => (owner === undefined ? uid : lookedUp ? 'deploy-1' : owner.uid),
    settled: () => lookedUp,
    now: () => now,
    overdueSlack: SLACK,
  })
  all.follow('shop')
  const change = (type: 'Added' | 'Modified' | 'Deleted', object: PodSnapshot) => all.onPod({ type, object, arrivedAt: now })
  return { all, change, uids: () => all.of('shop', 'deploy-1').map(({ uid }) => uid) }
}
const ending = { deletionTimestamp: at(20), deletionGracePeriodSeconds: 30 }

test('the pods of a workload are those of all its owners, in the namespaces that have a brake', () => {
  const other = snapshot('x', 'old', { namespace: 'other' })
  const bare: PodSnapshot = (({ owner: _, ...rest }) => rest)(snapshot('b', 'old'))
  const mirror = snapshot('m', 'old', { mirror: true })
  const { uids, change, all } = members([snapshot('o1', 'old'), snapshot('n1', 'new'), other, bare, mirror])
  expect(uids()).toEqual(['o1', 'n1'])
  expect(all.of('other', 'deploy-1')).toEqual([])
  expect(all.of('shop', 'b').map(({ uid }) => uid)).toEqual(['b'])
  change('Added', snapshot('n2', 'new'))
  expect(uids()).toEqual(['o1', 'n1', 'n2'])
})

test('a pod is ending since its delete, and stays when it has gone until it is known how it ended', () => {
  const { uids, change, all } = members([snapshot('o1', 'old')])
  change('Modified', snapshot('o1', 'old', ending))
  const terminating = { since: NOW - 10 * SECOND, deadline: NOW + 20 * SECOND }
  expect(all.of('shop', 'deploy-1')).toMatchObject([{ uid: 'o1', terminating }])
  change('Deleted', snapshot('o1', 'old', ending))
  expect(all.of('shop', 'deploy-1')).toMatchObject([{ uid: 'o1', terminating, gone: true }])
  all.verdict('shop', 'o1')
  expect(uids()).toEqual([])
})

test('nobody waits for ever for the verdict on a pod that has gone', () => {
  const { uids, change } = members([snapshot('o1', 'old', ending)])
  change('Deleted', snapshot('o1', 'old', ending))
  now = NOW + 20 * SECOND + SLACK - 1
  expect(uids()).toEqual(['o1'])
  now = NOW + 20 * SECOND + SLACK
  expect(uids()).toEqual([])
})

test('a pod that had ended by itself, or whose end was known before it went, is gone at once', () => {
  const { uids, change, all } = members([snapshot('o1', 'old', { phase: 'Failed' }), snapshot('o2', 'old', ending)])
  all.verdict('shop', 'o2')
  change('Deleted', snapshot('o1', 'old', { phase: 'Failed' }))
  change('Deleted', snapshot('o2', 'old', ending))
  expect(uids()).toEqual([])
})

test('of each owner that has not been looked up there is one pod to ask for', () => {
  const { all } = members([snapshot('o1', 'old'), snapshot('o2', 'old'), snapshot('n1', 'new')], false)
  expect(all.unsettled('shop').map(({ uid }) => uid)).toEqual(['o1', 'n1'])
  expect(all.of('shop', 'deploy-1')).toEqual([])
})
