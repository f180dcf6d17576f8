/** Kubernetes Events about what was recorded: where a person finds them, and how many there are. */
import { beforeAll, describe, expect, it } from 'vitest'
import { delay, eventually } from '../waiting.ts'
import type { FakePod, PodObject } from './kubelet.ts'
import { type Stage, useStage } from './stage.ts'

const host = useStage('events')
const MANY = 100
const NAME = 'the-one-under-test'
let stage: Stage
let namespace: string

interface EventObject {
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string }
  readonly reason: string
  readonly message: string
  readonly type: string
  readonly count: number
  readonly reportingInstance: string
}

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  await stage.lead({ own: stage.bed.namespace, namespaces: [namespace], name: NAME })
})

/** Events of our controller alone: one that is installed in a shared cluster may write its own. */
async function ours(into = namespace): Promise<EventObject[]> {
  const list = await stage.bed.http.request({ method: 'GET', path: `/api/v1/namespaces/${into}/events` })
  return list.json<{ items: EventObject[] }>().items.filter(({ reportingInstance }) => reportingInstance === NAME)
}

async function deployment(name: string, replicas: number, into = namespace): Promise<{ uid: string; pods: FakePod[] }> {
  const selector = { matchLabels: { app: name } }
  const template = stage.kubelet.template({ app: name }, { terminationGracePeriodSeconds: 3 })
  await stage.bed.create({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: into },
    spec: { replicas, selector, template },
  })
  const uid = await stage.bed.kubectl('get', 'deployment', name, '-n', into, '-o', 'jsonpath={.metadata.uid}')
  const pods = await eventually(
    async () => {
      const query = { labelSelector: `app=${name}` }
      const list = await stage.bed.http.request({ method: 'GET', path: `/api/v1/namespaces/${into}/pods`, query })
      const { items } = list.json<{ items: PodObject[] }>()
      return items.length === replicas ? items.map((item) => stage.kubelet.adopt(item)) : undefined
    },
    60_000,
    `${replicas} pods of ${name}`,
  )
  await Promise.all(pods.map((pod) => pod.run()))
  return { uid, pods }
}

/** Somebody deletes them; each has its grace period of 3 s from then, and does not end in it. */
async function killedByForce(app: string, pods: readonly FakePod[], into = namespace): Promise<void> {
  const path = `/api/v1/namespaces/${into}/pods`
  const waiting = new Map(pods.map((pod) => [pod.uid, pod]))
  const ends: Promise<number>[] = []
  const end = async (pod: FakePod) => {
    await pod.killing()
    await delay(3100)
    await pod.exit({ code: 137 })
    return pod.remove()
  }
  const allDeleted = async () => {
    const list = await stage.bed.http.request({ method: 'GET', path, query: { labelSelector: `app=${app}` } })
    for (const { metadata } of list.json<{ items: PodObject[] }>().items) {
      const pod = waiting.get(metadata.uid)
      if (pod === undefined || metadata.deletionTimestamp === undefined) continue
      waiting.delete(metadata.uid)
      ends.push(end(pod))
    }
    return waiting.size === 0 || undefined
  }
  await eventually(allDeleted, 60_000, `pods of ${app} deleted`)
  await Promise.all(ends)
  await Promise.all(pods.map(({ uid }) => stage.records.complete(uid, 30_000)))
}

describe('a forced kill', () => {
  it.concurrent('shows in kubectl describe of the pod and of its Deployment', async () => {
    const { uid, pods } = await deployment('slow', 1)
    const [pod] = pods as [FakePod] // one was asked for
    await stage.bed.kubectl('scale', 'deployment', 'slow', '--replicas=0', '-n', namespace)
    await killedByForce('slow', pods)
    const { record } = await stage.records.complete(pod.uid)
    expect(record).toMatchObject({ outcome: 'ForcedKill', pod: { workload: { kind: 'Deployment', name: 'slow', uid } } })
    const found = await eventually(
      async () => {
        const about = (await ours()).filter(({ involvedObject }) => [uid, pod.uid].includes(involvedObject.uid))
        return about.length >= 2 ? about : undefined
      },
      5000,
      'two Events',
    )
    expect(found.map(({ involvedObject, reason, type }) => [involvedObject.kind, reason, type]).toSorted()).toEqual([
      ['Deployment', 'GraceExhausted', 'Warning'],
      ['Pod', 'GraceExhausted', 'Warning'],
    ])
    expect(await stage.bed.kubectl('describe', 'deployment', 'slow', '-n', namespace)).toMatch(
      new RegExp(`Warning\\s+GraceExhausted.*pod ${pod.name}: app: the process did not end after SIGTERM`),
    )
    // The pod is gone, so describe has nothing to hang them on; its Events are found by name and UID.
    const listed = await stage.bed.kubectl('events', '--for', `pod/${pod.name}`, '-n', namespace)
    expect(listed).toMatch(/Warning\s+GraceExhausted/)
  })

  it.concurrent('of a pod that is still there shows in kubectl describe pod', async () => {
    const pod = await stage.kubelet.pod(namespace, 'held', { grace: 1, finalizers: ['example.dev/hold'] })
    await pod.delete()
    await pod.killing()
    await pod.exit({ code: 0 })
    await pod.remove()
    await stage.records.inState(pod.uid, 'Overdue')
    await eventually(
      async () => (await ours()).some(({ involvedObject }) => involvedObject.uid === pod.uid) || undefined,
      5000,
      'an Event on the pod',
    )
    expect(await stage.bed.kubectl('describe', 'pod', 'held', '-n', namespace)).toMatch(/Warning\s+StuckTerminating.*gracewatch/)
    await pod.release()
    await stage.records.complete(pod.uid)
    expect((await ours()).filter(({ involvedObject }) => involvedObject.uid === pod.uid)).toHaveLength(1)
  })
})

describe(`${MANY} pods of one Deployment killed by force at once`, () => {
  it.concurrent('give one Event a finding on the Deployment, which has the count when the time is over or the controller stops', async () => {
    const [own, into] = await Promise.all([stage.namespace('drained-own'), stage.namespace('drained')])
    const { controller } = await stage.lead({ own, namespaces: [into], name: NAME })
    const { uid, pods } = await deployment('drained', MANY, into)
    await stage.bed.kubectl('scale', 'deployment', 'drained', '--replicas=0', '-n', into)
    await killedByForce('drained', pods, into)
    const uids = new Set([uid, ...pods.map((pod) => pod.uid)])
    const about = async () => (await ours(into)).filter(({ involvedObject }) => uids.has(involvedObject.uid))
    const found = await about()
    expect(found.filter(({ involvedObject }) => involvedObject.kind === 'Deployment')).toMatchObject([
      { reason: 'GraceExhausted', count: 1 },
    ])
    expect(found.filter(({ involvedObject }) => involvedObject.kind === 'Pod')).toHaveLength(1)
    expect(await controller.stop()).toMatchObject({ code: 0 })
    const [told, ...more] = (await about()).filter(({ involvedObject }) => involvedObject.kind === 'Deployment')
    expect(more).toEqual([])
    expect(told).toMatchObject({ reason: 'GraceExhausted', count: MANY })
    expect(told?.message).toMatch(
      new RegExp(`^${MANY} pods within [0-9]+ s \\(drained-.* and ${MANY - 5} more\\); the last: app: the process did not end`),
    )
  })
})
