import { expect, test } from 'vitest'
import type { WorkloadPodFacts } from '../../../../src/controllers/gatekeeper/handover/members.ts'
import { Revisions } from '../../../../src/controllers/gatekeeper/handover/revisions.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import { apiServer } from './web.ts'

/** An API server that has these objects and no others; their revisions may be changed. */
function ordered(objects: Record<string, object>) {
  const asked: string[] = []
  const http = apiServer((path) => {
    asked.push(path)
    const object = objects[path]
    if (object === undefined) throw new KubeError('NotFound', `${path} not found`)
    return object
  })
  const revisions = new Revisions(http, () => {})
  const ranks = async (pods: readonly WorkloadPodFacts[]) => {
    const order = () => {
      const known = revisions.of('workload-1', pods)
      return 'ranks' in known ? Object.fromEntries(known.ranks) : undefined
    }
    await expect.poll(order).toBeDefined()
    return order()
  }
  return { asked, ranks }
}

const pod = (uid: string, revision: string, kind = 'ReplicaSet', name = `web-${revision}`): WorkloadPodFacts => ({
  uid,
  name: `web-${uid}`,
  namespace: 'shop',
  revision,
  owner: { apiVersion: 'apps/v1', kind, name, uid: `${name}-uid` },
})
const replicaSets = '/apis/apps/v1/namespaces/shop/replicasets'
const numbered = (revision: string) => ({ metadata: { annotations: { 'deployment.kubernetes.io/revision': revision } } })

test('a workload with one revision costs no request, however often it is scaled', async () => {
  const { asked, ranks } = ordered({})
  expect(await ranks([pod('1', 'a')])).toEqual({})
  expect(await ranks([pod('1', 'a'), pod('2', 'a'), pod('3', 'a')])).toEqual({})
  expect(asked).toEqual([])
})

test('the order is read again with a new pod of a revision: a rollback makes an old one the newest', async () => {
  const objects: Record<string, object> = { [`${replicaSets}/web-a`]: numbered('1'), [`${replicaSets}/web-b`]: numbered('2') }
  const { asked, ranks } = ordered(objects)
  const pods = [pod('1', 'a'), pod('2', 'b')]
  expect(await ranks(pods)).toEqual({ a: 1, b: 2 })
  expect(await ranks(pods)).toEqual({ a: 1, b: 2 })
  expect(asked).toHaveLength(2)
  objects[`${replicaSets}/web-a`] = numbered('3')
  expect(await ranks([...pods, pod('3', 'a')])).toEqual({ a: 3, b: 2 })
  expect(asked).toHaveLength(3)
})

test('a ReplicaSet that is gone is older than all that are there', async () => {
  const { ranks } = ordered({ [`${replicaSets}/web-b`]: numbered('7') })
  expect(await ranks([pod('1', 'a'), pod('2', 'b')])).toEqual({ a: 0, b: 7 })
})

test('StatefulSets and DaemonSets keep the order in ControllerRevisions', async () => {
  const revisions = '/apis/apps/v1/namespaces/shop/controllerrevisions'
  const statefulSet = ordered({ [`${revisions}/db-1`]: { revision: 4 }, [`${revisions}/db-2`]: { revision: 5 } })
  const member = (uid: string, revision: string) => pod(uid, revision, 'StatefulSet', 'db')
  expect(await statefulSet.ranks([member('1', 'db-1'), member('2', 'db-2')])).toEqual({ 'db-1': 4, 'db-2': 5 })
  const daemonSet = ordered({ [`${revisions}/log-x1`]: { revision: 1 }, [`${revisions}/log-x2`]: { revision: 2 } })
  const each = (uid: string, revision: string) => pod(uid, revision, 'DaemonSet', 'log')
  expect(await daemonSet.ranks([each('1', 'x1'), each('2', 'x2')])).toEqual({ x1: 1, x2: 2 })
})
