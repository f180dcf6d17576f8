/** What makes the controller do all that it can: each scene ends when the API server shows that it has. */
import { request } from 'node:https'
import { World as Cleanups } from '../cleanup/world.ts'
import { World as Gates, TYPE } from '../gates/world.ts'
import { Agent } from '../recorder/agent.ts'
import type { FakePod, PodObject } from '../recorder/kubelet.ts'
import type { Stage } from '../recorder/stage.ts'
import { delay, eventually } from '../waiting.ts'

/** Long enough that a kubelet that is a test keeps to it. */
const GRACE_SECONDS = 3
const HANDOVER = { checks: [{ handover: { outcomes: ['Failed'] } }] }

export class Scenes {
  readonly stage: Stage
  readonly gates: Gates
  readonly cleanups: Cleanups
  readonly #namespaces = new Map<string, string>()

  private constructor(stage: Stage) {
    this.stage = stage
    this.gates = new Gates(stage)
    this.cleanups = new Cleanups(stage)
  }

  /** @param labels parts of the names of the namespaces that it makes */
  static async start(stage: Stage, labels: readonly string[]): Promise<Scenes> {
    await stage.gates()
    await stage.brings('podcleanups')
    const scenes = new Scenes(stage)
    for (const label of labels) scenes.#namespaces.set(label, await scenes.cleanups.namespace(label))
    return scenes
  }

  in(label: string): string {
    const name = this.#namespaces.get(label)
    if (name === undefined) throw new Error(`there is no namespace ${label}`)
    return name
  }

  /** A record that is past its age when the controller looks for such first, soon after its start. */
  async oldRecord(): Promise<void> {
    const namespace = this.in('ends')
    await this.stage.bed.create({
      apiVersion: `${this.stage.group}/v1alpha1`,
      kind: 'PodTermination',
      metadata: { name: 'old', namespace, labels: { 'gracewatch.dev/outcome': 'Graceful' } },
      pod: { namespace, name: 'old', uid: 'old' },
      ...{ state: 'Complete', outcome: 'Graceful' },
    })
  }

  /** Two pods of one workload killed by force, and one that a finalizer holds past its deadline, on a node that has an agent. */
  async terminations(): Promise<void> {
    const { kubelet, records } = this.stage
    const namespace = this.in('ends')
    const owner = await this.cleanups.heldWorkload(namespace, 'ReplicaSet', 'killed')
    await Agent.pod(this.stage, this.in('agents'))
    const held = await kubelet.pod(namespace, 'held', { grace: 1, finalizers: ['example.com/hold'] })
    const killed = await Promise.all(
      ['killed-1', 'killed-2'].map((name) => kubelet.pod(namespace, name, { grace: GRACE_SECONDS, owner })),
    )
    await held.delete()
    await held.finish()
    await Promise.all(
      killed.map(async (pod) => {
        await pod.delete()
        await pod.killing()
        await delay(GRACE_SECONDS * 1000 + 100)
        await pod.exit({ code: 137 })
        await pod.remove()
        await records.complete(pod.uid, 60_000)
      }),
    )
    await records.inState(held.uid, 'Overdue', 60_000)
    await held.release()
    await records.complete(held.uid, 60_000)
  }

  /** A pod of a Job. */
  async job(): Promise<void> {
    const { kubelet, records } = this.stage
    const namespace = this.in('ends')
    await this.cleanups.job(namespace, 'once')
    const pod = kubelet.adopt(await this.#podOf(namespace, 'once'))
    await pod.run()
    await pod.delete()
    await pod.finish()
    await records.complete(pod.uid, 60_000)
  }

  /** Checks that look at Services and at a Job, which stay; and a gate that goes. */
  async checks(): Promise<void> {
    const [namespace, deleted] = [this.in('checks'), this.in('deleted')]
    const { gates, stage } = this
    await stage.bed.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    })
    await this.cleanups.job(namespace, 'migration', { suspend: true })
    const condition = { apiVersion: 'batch/v1', kind: 'Job', name: 'migration', type: 'Complete' }
    await gates.gate(namespace, 'endpoints', { conditionType: 'example.com/endpoints', checks: [{ endpoints: {} }] })
    await gates.gate(namespace, 'job', { conditionType: 'example.com/job', checks: [{ condition }] })
    await gates.pod(namespace, 'web-1', { gates: ['example.com/endpoints', 'example.com/job'] })
    await gates.until(namespace, 'web-1', 'False', undefined, 'example.com/job')
    await eventually(() => gates.condition(namespace, 'web-1', 'example.com/endpoints'), 60_000, 'the endpoints looked at')
    await gates.gate(deleted, 'going')
    await gates.pod(deleted, 'web-1')
    await gates.until(deleted, 'web-1', 'False')
    await gates.deleteGate(deleted, 'going')
    await gates.until(deleted, 'web-1', 'True', 'GateDeleted')
  }

  /** A rollout that is held, of a Deployment as its own controllers make it. */
  async deployment(): Promise<void> {
    const { stage, gates } = this
    const namespace = this.in('deployment')
    await gates.gate(namespace, 'brake', HANDOVER)
    await stage.bed.create({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace },
      spec: {
        replicas: 1,
        strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        selector: { matchLabels: { app: 'web' } },
        template: stage.kubelet.template({ app: 'web' }, { readinessGates: [{ conditionType: TYPE }] }),
      },
    })
    const found = await this.#podOf(namespace, 'web')
    const old = stage.kubelet.adopt(found)
    await old.run()
    const annotations = { 'example.com/revision': '2' }
    const patch = JSON.stringify({ spec: { template: { metadata: { annotations } } } })
    await stage.bed.kubectl('patch', 'deployment', 'web', '-n', namespace, '-p', patch)
    const revision = ({ metadata }: PodObject) => metadata.labels?.['pod-template-hash']
    const fresh = await this.#podOf(namespace, 'web', (pod) => revision(pod) !== revision(found))
    await this.#fails(old)
    await gates.until(namespace, fresh.metadata.name, 'False', 'RolloutHeld')
  }

  /** The same of a kind whose controller keeps ControllerRevisions; it is held itself, so that the pods are the test's. */
  async revisions(kind: 'StatefulSet' | 'DaemonSet'): Promise<void> {
    const { stage, gates } = this
    const namespace = this.in(kind.toLowerCase())
    const owner = await this.cleanups.heldWorkload(namespace, kind, 'web')
    for (const revision of [1, 2]) {
      await stage.bed.create({
        apiVersion: 'apps/v1',
        kind: 'ControllerRevision',
        metadata: { name: `web-${revision}`, namespace },
        data: {},
        revision,
      })
    }
    await gates.gate(namespace, 'brake', HANDOVER)
    const pod = async (name: string, revision: number): Promise<FakePod> => {
      const body = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name,
          // A StatefulSet writes the whole name, a DaemonSet what comes after its own.
          labels: { app: 'web', 'controller-revision-hash': kind === 'StatefulSet' ? `web-${revision}` : `${revision}` },
          ownerReferences: [{ ...owner, controller: true }],
        },
        spec: {
          ...stage.kubelet.podSpec(),
          readinessGates: [{ conditionType: TYPE }],
          containers: [{ name: 'app', image: 'registry.invalid/none:1' }],
        },
      }
      const made = await stage.bed.http.request({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, body })
      return stage.kubelet.adopt(made.json<PodObject>())
    }
    const old = await pod('old-1', 1)
    const others = [await pod('old-2', 1), await pod('new-1', 2)]
    for (const it of [old, ...others]) await it.run()
    await this.#fails(old)
    await gates.until(namespace, 'new-1', 'False', 'RolloutHeld')
  }

  /** A pod that has failed and is deleted for it. */
  async cleanup(): Promise<void> {
    const namespace = this.in('finished')
    await this.cleanups.finished(namespace, 'done')
    await this.cleanups.rule(namespace, 'all', { keep: { total: 0 } })
    await this.cleanups.left(namespace, [], 60_000)
    await this.cleanups.statusOf(namespace, 'all', 'deleted', ({ deleted = 0 }) => deleted > 0, { timeoutMs: 60_000 })
  }

  async #fails(pod: FakePod): Promise<void> {
    await pod.delete()
    await pod.finish(1)
    await this.stage.records.complete(pod.uid, 60_000)
  }

  #podOf(namespace: string, app: string, fits: (pod: PodObject) => boolean = () => true): Promise<PodObject> {
    const path = `/api/v1/namespaces/${namespace}/pods`
    const look = async () => {
      const list = await this.stage.bed.http.request({ method: 'GET', path, query: { labelSelector: `app=${app}` } })
      return list.json<{ items: PodObject[] }>().items.find(fits)
    }
    return eventually(look, 60_000, `a pod of ${app}`)
  }
}

/** What the metrics port answers to a token. */
export function scrape(port: number, token: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    // The certificate is of the controller's own making.
    const options = { host: '127.0.0.1', port, path: '/metrics', headers, rejectUnauthorized: false }
    const call = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
    })
    call.on('error', reject).end()
  })
}
