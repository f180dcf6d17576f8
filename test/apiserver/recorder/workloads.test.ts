/** Which workload a record names, for pods that the real controllers of Kubernetes made. */
import { beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../waiting.ts'
import type { FakePod, PodObject } from './kubelet.ts'
import { type Running, type Stage, useStage } from './stage.ts'

const host = useStage('workloads')
let stage: Stage
let namespace: string
let running: Running

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  running = await stage.lead({ own: stage.bed.namespace, namespaces: [namespace] })
})

const labelled = (app: string) => ({ selector: { matchLabels: { app } }, template: stage.kubelet.template({ app }) })

async function create(
  apiVersion: string,
  kind: string,
  name: string,
  spec: object,
  more: object = {},
  into = namespace,
): Promise<string> {
  await stage.bed.create({ apiVersion, kind, metadata: { name, namespace: into, ...more }, spec })
  const resource = `${kind}.${apiVersion.split('/')[1]}.${apiVersion.split('/')[0]}`
  return stage.bed.kubectl('get', resource, name, '-n', into, '-o', 'jsonpath={.metadata.uid}')
}

/** The pod that a controller made for this app, once it runs. */
async function podOf(app: string, into = namespace): Promise<FakePod> {
  const found = await eventually(
    async () => {
      const query = { labelSelector: `app=${app}` }
      const list = await stage.bed.http.request({ method: 'GET', path: `/api/v1/namespaces/${into}/pods`, query })
      return list.json<{ items: PodObject[] }>().items.find(({ spec }) => spec.nodeName === stage.kubelet.node)
    },
    20_000,
    `a pod of ${app}`,
  )
  const pod = stage.kubelet.adopt(found)
  await pod.run()
  return pod
}

async function workloadOf(pod: FakePod, code = 0) {
  await pod.delete()
  await pod.finish(code)
  const { record } = await stage.records.complete(pod.uid)
  return { workload: record.pod.workload, labels: record.metadata.labels }
}

const named = (kind: string, name: string, uid: string, apiVersion: string) => ({
  workload: { kind, name, uid, apiVersion },
  labels: { 'gracewatch.dev/workload-kind': kind, 'gracewatch.dev/workload': name },
})

describe('the workload of a pod', () => {
  it.concurrent('of a ReplicaSet is its Deployment', async () => {
    const uid = await create('apps/v1', 'Deployment', 'web', labelled('web'))
    expect(await workloadOf(await podOf('web'))).toMatchObject(named('Deployment', 'web', uid, 'apps/v1'))
  })

  it.concurrent('is known although Deployment and ReplicaSet are gone before the pod', async () => {
    const uid = await create('apps/v1', 'Deployment', 'gone', labelled('gone'))
    const pod = await podOf('gone')
    const looked = () => running.front.calls('GET', /\/replicasets\/gone-/).some(({ status }) => status === 200) || undefined
    await eventually(looked, 5000, 'the ReplicaSet looked up')
    await stage.bed.kubectl('delete', 'deployment', 'gone', '-n', namespace, '--cascade=background')
    await eventually(() => stage.kubelet.deleted(pod), 20_000, 'the pod deleted by the garbage collector')
    const replicaSets = () => stage.bed.kubectl('get', 'replicasets', '-l', 'app=gone', '-n', namespace, '-o', 'name')
    await eventually(async () => (await replicaSets()) === '' || undefined, 10_000, 'the ReplicaSet gone')
    await pod.finish(0)
    const { record } = await stage.records.complete(pod.uid)
    expect({ workload: record.pod.workload, labels: record.metadata.labels }).toMatchObject(
      named('Deployment', 'gone', uid, 'apps/v1'),
    )
  })

  it.concurrent("of a Job is the Job, and of a CronJob's Job the CronJob", async () => {
    const jobSpec = (app: string) => ({ template: stage.kubelet.template({ app }, { restartPolicy: 'Never' }) })
    const job = await create('batch/v1', 'Job', 'once', jobSpec('once'))
    const schedule = { schedule: '0 0 1 1 *', jobTemplate: { spec: jobSpec('nightly') } }
    const cronJob = await create('batch/v1', 'CronJob', 'nightly', schedule)
    await stage.bed.kubectl('create', 'job', 'by-hand', '--from=cronjob/nightly', '-n', namespace)
    const [once, nightly] = await Promise.all([podOf('once'), podOf('nightly')])
    expect(await workloadOf(once)).toMatchObject(named('Job', 'once', job, 'batch/v1'))
    expect(await workloadOf(nightly)).toMatchObject(named('CronJob', 'nightly', cronJob, 'batch/v1'))
  })

  it.concurrent('of a StatefulSet and of a DaemonSet is that', async () => {
    const stateful = await create('apps/v1', 'StatefulSet', 'db', { serviceName: 'db', ...labelled('db') })
    const daemon = await create('apps/v1', 'DaemonSet', 'log', labelled('log'))
    const [db, log] = await Promise.all([podOf('db'), podOf('log')])
    expect(await workloadOf(db)).toMatchObject(named('StatefulSet', 'db', stateful, 'apps/v1'))
    expect(await workloadOf(log)).toMatchObject(named('DaemonSet', 'log', daemon, 'apps/v1'))
  })

  it.concurrent('that nobody owns is the pod itself', async () => {
    const pod = await stage.kubelet.pod(namespace, 'bare')
    expect(await workloadOf(pod)).toMatchObject(named('Pod', 'bare', pod.uid, 'v1'))
  })

  it.concurrent("is a custom owner above the ReplicaSet, by that owner's kind and name", async () => {
    const group = await stage.rollouts()
    const uid = await create(`${group}/v1`, 'Rollout', 'canary', {})
    const owner = { apiVersion: `${group}/v1`, kind: 'Rollout', name: 'canary', uid, controller: true }
    await create('apps/v1', 'ReplicaSet', 'canary-1', labelled('canary'), { ownerReferences: [owner] })
    expect(await workloadOf(await podOf('canary'))).toMatchObject(named('Rollout', 'canary', uid, `${group}/v1`))
  })

  it.concurrent('is the ReplicaSet where that must not be read, which is told once and not asked for again and again', async () => {
    const [own, into] = await Promise.all([stage.namespace('no-right-own'), stage.namespace('no-right')])
    const blind = await stage.lead({ own, namespaces: [into], without: 'replicasets' })
    await create('apps/v1', 'Deployment', 'unknown', { replicas: 1, ...labelled('unknown') }, {}, into)
    const pod = await podOf('unknown', into)
    const { workload } = await workloadOf(pod)
    expect(workload).toMatchObject({ kind: 'ReplicaSet', apiVersion: 'apps/v1' })
    expect(workload?.name).toMatch(/^unknown-[a-z0-9]+$/)
    const second = await podOf('unknown', into)
    await workloadOf(second)
    const told = blind.controller.said('owner of pods may not be read, records name the direct owner')
    expect(told).toMatchObject([{ level: 'warn', kind: 'ReplicaSet' }])
    expect(blind.front.calls('GET', /\/replicasets\//).length).toBeLessThanOrEqual(3)
  })

  it('costs one look-up a ReplicaSet, however many pods it has', async () => {
    await create('apps/v1', 'Deployment', 'many', { replicas: 5, ...labelled('many') })
    const pods = await eventually(
      async () => {
        const query = { labelSelector: 'app=many' }
        const list = await stage.bed.http.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}/pods`, query })
        const { items } = list.json<{ items: PodObject[] }>()
        return items.length === 5 ? items.map((item) => stage.kubelet.adopt(item)) : undefined
      },
      20_000,
      'five pods',
    )
    await stage.bed.kubectl('scale', 'deployment', 'many', '--replicas=0', '-n', namespace)
    await Promise.all(
      pods.map((pod) =>
        pod
          .run()
          .then(() => eventually(() => stage.kubelet.deleted(pod), 20_000, 'deleted'))
          .then(() => pod.finish()),
      ),
    )
    const found = await Promise.all(pods.map(({ uid }) => stage.records.complete(uid)))
    for (const { record } of found) expect(record.pod.workload).toMatchObject({ kind: 'Deployment', name: 'many' })
    expect(running.front.calls('GET', /\/replicasets\/many-/)).toHaveLength(1)
  })
})
