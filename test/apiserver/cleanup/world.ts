/** Finished pods, their owners and PodCleanups on a real API server whose kubelet is the test. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import type { CleanupStatus } from '../../../src/api/pod-cleanup.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { KubeHttp } from '../../../src/kube/http.ts'
import { root } from '../connect.ts'
import { kubeconfigOf } from '../recorder/controller.ts'
import type { Front } from '../recorder/front.ts'
import { type Stage, type StartOptions, useStage } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'

const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'
const WORKERS = 8
const QUOTA = 'none'
/** What the API server says of a pod whose deletion is forbidden. */
export const FORBIDDEN = 'this pod is to stay'

export interface PodObject {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly resourceVersion: string
    readonly deletionTimestamp?: string
    readonly finalizers?: readonly string[]
  }
  readonly status: { readonly phase: string; readonly reason?: string }
}

export interface Owner {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

export interface EndOptions {
  readonly phase?: 'Succeeded' | 'Failed'
  /** By the kubelet, for want of a resource: no container statuses. Failed then. */
  readonly evicted?: boolean
  /** When its container ended; default now. One before the creation is no evidence. */
  readonly at?: number
}

export interface PodOptions extends EndOptions {
  readonly owner?: Owner
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
}

interface EventObject {
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly uid: string }
  readonly reason: string
  readonly message: string
  readonly type: string
  readonly count: number
}

export interface Planned {
  readonly pods: readonly {
    readonly namespace: string
    readonly name: string
    readonly action: string
    readonly reason: string
  }[]
}

const seconds = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`

export class World {
  readonly stage: Stage
  readonly http: KubeHttp
  readonly #held: [plural: string, namespace: string, name: string][] = []
  #passed = 0

  constructor(stage: Stage) {
    this.stage = stage
    this.http = stage.bed.http
  }

  /** A new namespace that takes pods. */
  async namespace(label: string): Promise<string> {
    const name = await this.stage.namespace(label)
    const path = `/api/v1/namespaces/${name}/serviceaccounts/default`
    const made = () => this.http.request({ method: 'GET', path }).catch(() => undefined)
    await eventually(made, 60_000, `the default account of ${name}`)
    return name
  }

  lead(options: Omit<StartOptions, 'cleanup'>) {
    return this.stage.lead({ ...options, cleanup: true })
  }

  /** A pod that has finished. */
  async finished(namespace: string, name: string, options: PodOptions = {}): Promise<PodObject> {
    await this.running(namespace, name, options)
    return this.end(namespace, name, options)
  }

  /** So many that ended in the same second, so that their names give the order. */
  async many(namespace: string, count: number, options: PodOptions = {}, prefix = 'pod'): Promise<string[]> {
    const names = Array.from({ length: count }, (_, index) => `${prefix}-${String(index).padStart(4, '0')}`)
    await this.inParallel(names, (name) => this.running(namespace, name, options))
    const at = Date.now()
    await this.inParallel(names, (name) => this.end(namespace, name, { at, ...options }))
    return names
  }

  async inParallel<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
    const rest = [...items]
    const next = async () => {
      for (let item = rest.shift(); item !== undefined; item = rest.shift()) await act(item)
    }
    await Promise.all(Array.from({ length: WORKERS }, next))
  }

  async running(namespace: string, name: string, options: PodOptions = {}): Promise<PodObject> {
    const { owner, labels = {}, annotations = {}, finalizers } = options
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        labels,
        annotations,
        ...(finalizers === undefined ? {} : { finalizers }),
        ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
      },
      spec: {
        ...this.stage.kubelet.podSpec(),
        restartPolicy: 'Never',
        containers: [{ name: 'app', image: 'registry.invalid/none:1' }],
      },
    }
    const answer = await this.http.request({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, body })
    return answer.json<PodObject>()
  }

  /** What the kubelet writes of a pod that is over. */
  async end(namespace: string, name: string, { phase = 'Failed', evicted = false, at = Date.now() }: EndOptions = {}) {
    const finishedAt = seconds(at)
    const code = phase === 'Failed' ? 1 : 0
    const terminated = { exitCode: code, reason: code === 0 ? 'Completed' : 'Error', startedAt: finishedAt, finishedAt }
    const status = { name: 'app', image: 'app', imageID: '', ready: false, restartCount: 0, state: { terminated } }
    const reason = phase === 'Failed' ? 'PodFailed' : 'PodCompleted'
    const conditions = [{ type: 'Ready', status: 'False', reason, lastTransitionTime: finishedAt }]
    const answer = await this.http.request({
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/status`,
      contentType: STRATEGIC,
      body: {
        status: evicted
          ? { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.', startTime: finishedAt }
          : { phase, startTime: finishedAt, conditions, containerStatuses: [status] },
      },
    })
    return answer.json<PodObject>()
  }

  /** Sets and, with null, removes. */
  async patch(namespace: string, name: string, metadata: object): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    await this.http.request({ method: 'PATCH', path, contentType: MERGE, body: { metadata } })
  }

  async remove(namespace: string, name: string): Promise<void> {
    const body = { gracePeriodSeconds: 0 }
    await this.http.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/pods/${name}`, body })
  }

  async pods(namespace: string, labelSelector = ''): Promise<readonly PodObject[]> {
    const path = `/api/v1/namespaces/${namespace}/pods`
    const list = await this.http.request({ method: 'GET', path, ...(labelSelector === '' ? {} : { query: { labelSelector } }) })
    return list.json<{ items: PodObject[] }>().items
  }

  async names(namespace: string): Promise<string[]> {
    return (await this.pods(namespace)).map(({ metadata }) => metadata.name).toSorted()
  }

  /** Resolves when exactly these pods are there. */
  left(namespace: string, names: readonly string[], timeoutMs = 30_000): Promise<void> {
    const wanted = JSON.stringify(names.toSorted())
    let last = ''
    const look = async () => {
      last = JSON.stringify(await this.names(namespace))
      return last === wanted || undefined
    }
    return eventually(look, timeoutMs, `only ${wanted} left in ${namespace}`).then(
      () => {},
      (error: Error) => {
        throw new Error(`${error.message}; there are ${last}`)
      },
    )
  }

  /**
   * Resolves when only so many are left. An API server that is killed, or whose caller goes, between the two steps of a deletion leaves the pod
   * with a deletionTimestamp; cleanup leaves such a pod alone, and the kubelet of its node deletes it, whom the test plays.
   *
   * @returns the fewest that were there without a deletionTimestamp, and how many were half deleted
   */
  async downTo(namespace: string, count: number, timeoutMs: number): Promise<{ fewest: number; halfDeleted: number }> {
    let fewest = Number.POSITIVE_INFINITY
    let there = 0
    let before = new Set<string>()
    const halves = new Set<string>()
    const settled = async () => {
      const pods = await this.pods(namespace)
      const half = pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
      there = pods.length
      fewest = Math.min(fewest, there - half.length)
      // A deletion that goes on is seen between its two steps as well, but not twice.
      for (const { metadata } of half.filter(({ metadata: { uid } }) => before.has(uid))) {
        halves.add(metadata.uid)
        await this.remove(namespace, metadata.name).catch(() => {})
      }
      before = new Set(half.map(({ metadata }) => metadata.uid))
      return there <= count || undefined
    }
    await eventually(settled, timeoutMs, `${count} pods left in ${namespace}`).catch(async (error: Error) => {
      const rules = await this.http.request({ method: 'GET', path: this.rulesPath(namespace) })
      const said = rules.json<{ items: { status?: CleanupStatus }[] }>().items.map(({ status }) => status)
      throw new Error(`${error.message}; there are ${there}, the PodCleanups say ${JSON.stringify(said)}`)
    })
    return { fewest, halfDeleted: halves.size }
  }

  /**
   * Resolves when passes of the controller have been over that began after the call, in a namespace where all pods go: each goes by a later pass
   * than the one before.
   */
  async passes(namespace: string): Promise<void> {
    for (let round = 0; round < 3; round++) {
      const name = `passed-${++this.#passed}`
      await this.finished(namespace, name, { phase: 'Succeeded' })
      const gone = async () => !(await this.names(namespace)).includes(name) || undefined
      await eventually(gone, 30_000, `${name} gone`)
    }
  }

  /** Creates an object of Kubernetes' own kinds. */
  async owner(namespace: string, path: string, object: { kind: string; apiVersion: string; metadata: object }): Promise<Owner> {
    const answer = await this.http.request({ method: 'POST', path: path.replace('{}', namespace), body: object })
    const { metadata } = answer.json<{ metadata: { name: string; uid: string } }>()
    return { apiVersion: object.apiVersion, kind: object.kind, name: metadata.name, uid: metadata.uid }
  }

  /** With one pod, unless told otherwise. */
  workload(
    namespace: string,
    kind: 'StatefulSet' | 'DaemonSet' | 'ReplicaSet',
    name: string,
    { held = false, owner }: { held?: boolean; owner?: Owner | undefined } = {},
  ): Promise<Owner> {
    const labels = { app: name }
    // A DaemonSet counts its pods by the nodes that fit.
    const spec = held && kind === 'DaemonSet' ? { nodeSelector: { 'example.com/none': 'x' } } : {}
    return this.owner(namespace, `/apis/apps/v1/namespaces/{}/${kind.toLowerCase()}s`, {
      apiVersion: 'apps/v1',
      kind,
      metadata: {
        ...{ name, labels },
        ...(held ? { finalizers: ['example.com/held'] } : {}),
        ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
      },
      ...{
        spec: {
          ...(kind === 'DaemonSet' ? {} : { replicas: held ? 0 : 1 }),
          ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
          selector: { matchLabels: labels },
          template: this.stage.kubelet.template(labels, spec),
        },
      },
    })
  }

  /** One without pods that is being deleted and held by a finalizer, so that its controller leaves the pod alone that is made for it then. */
  async heldWorkload(
    namespace: string,
    kind: 'StatefulSet' | 'DaemonSet' | 'ReplicaSet',
    name: string,
    of?: Owner,
  ): Promise<Owner> {
    const plural = `${kind.toLowerCase()}s`
    this.#held.push([plural, namespace, name])
    const owner = await this.workload(namespace, kind, name, { held: true, owner: of })
    const path = `/apis/apps/v1/namespaces/${namespace}/${plural}/${name}`
    await this.http.request({ method: 'DELETE', path, body: { propagationPolicy: 'Background' } })
    return owner
  }

  async job(namespace: string, name: string, spec: object = {}): Promise<Owner> {
    return this.owner(namespace, '/apis/batch/v1/namespaces/{}/jobs', {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name },
      ...{ spec: { ...spec, template: this.stage.kubelet.template({ app: name }, { restartPolicy: 'Never' }) } },
    })
  }

  async readJob(namespace: string, name: string) {
    const path = `/apis/batch/v1/namespaces/${namespace}/jobs/${name}`
    const answer = await this.http.request({ method: 'GET', path })
    return answer.json<{
      status: { succeeded?: number; failed?: number; active?: number; conditions?: { type: string; status: string }[] }
    }>().status
  }

  /** The first pod that a controller has made for it. */
  madeFor(namespace: string, name: string, except: readonly string[] = []): Promise<PodObject> {
    const look = async () =>
      (await this.pods(namespace, `app=${name}`)).find(({ metadata }) => !except.includes(metadata.uid)) ?? undefined
    return eventually(look, 30_000, `a pod of ${name}`)
  }

  /** A pod of a Job, which its controller has counted as ended. */
  async endedFor(namespace: string, job: string, phase: 'Succeeded' | 'Failed' = 'Succeeded'): Promise<PodObject> {
    const pod = await this.madeFor(namespace, job)
    await this.end(namespace, pod.metadata.name, { phase })
    const counted = async () =>
      (await this.pods(namespace, `app=${job}`)).find(
        ({ metadata }) => metadata.uid === pod.metadata.uid && metadata.finalizers === undefined,
      )
    return eventually(counted, 30_000, `pod ${pod.metadata.name} counted by Job ${job}`)
  }

  /** By a quota, which leaves no room for a record. */
  async refuseRecords(namespace: string): Promise<void> {
    const { bed, group } = this.stage
    await bed.create({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: QUOTA, namespace },
      spec: { hard: { [`count/podterminations.${group}`]: '0' } },
    })
    const probe = {
      apiVersion: `${group}/v1alpha1`,
      kind: 'PodTermination',
      metadata: { name: 'probe', namespace },
      pod: { namespace, name: 'probe', uid: 'probe' },
    }
    const inForce = async () => {
      const { code } = await bed.cluster.tryKubectl(['create', '--dry-run=server', '-f', '-'], { input: JSON.stringify(probe) })
      return code !== 0 || undefined
    }
    await eventually(inForce, 20_000, 'the quota in force')
  }

  async acceptRecords(namespace: string): Promise<void> {
    await this.stage.bed.kubectl('delete', 'resourcequota', QUOTA, '-n', namespace)
  }

  /** By an admission policy that lets nobody delete this pod. @returns what ends that */
  async forbidDeletion(namespace: string, name: string): Promise<() => Promise<void>> {
    const { bed } = this.stage
    const [policy, apiVersion] = [`${namespace}-${name}`, 'admissionregistration.k8s.io/v1']
    const kinds = ['validatingadmissionpolicy', 'validatingadmissionpolicybinding']
    await bed.create({
      ...{ apiVersion, kind: 'ValidatingAdmissionPolicy', metadata: { name: policy } },
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['DELETE'] }],
        },
        validations: [{ expression: `oldObject.metadata.name != '${name}'`, message: FORBIDDEN, reason: 'Forbidden' }],
      },
    })
    await bed.create({
      ...{ apiVersion, kind: 'ValidatingAdmissionPolicyBinding', metadata: { name: policy } },
      spec: { policyName: policy, validationActions: ['Deny'] },
    })
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`
    const inForce = () =>
      this.http.request({ method: 'DELETE', path, query: { dryRun: 'All' } }).then(
        () => undefined,
        (error: unknown) => (error instanceof KubeError && error.code === 'Forbidden') || undefined,
      )
    const end = async () => {
      for (const kind of kinds) await bed.cluster.tryKubectl(['delete', kind, policy, '--ignore-not-found'])
    }
    await eventually(inForce, 60_000, `the deletion of pod ${name} forbidden`).catch(async (error: Error) => {
      await end()
      throw error
    })
    return end
  }

  rulesPath(namespace: string, name = '', group = this.stage.group): string {
    return `/apis/${group}/v1alpha1/namespaces/${namespace}/podcleanups${name === '' ? '' : `/${name}`}`
  }

  /** Of all pods of the namespace as soon as they have finished, bare ones too, unless told otherwise. @returns its UID */
  async rule(namespace: string, name: string, spec: object, group = this.stage.group): Promise<string> {
    const body = {
      apiVersion: `${group}/v1alpha1`,
      kind: 'PodCleanup',
      metadata: { name },
      spec: { selector: {}, minAge: '0s', barePods: true, ...spec },
    }
    const answer = await this.http.request({ method: 'POST', path: this.rulesPath(namespace, '', group), body })
    return answer.json<{ metadata: { uid: string } }>().metadata.uid
  }

  async deleteRule(namespace: string, name: string): Promise<void> {
    await this.http.request({ method: 'DELETE', path: this.rulesPath(namespace, name) })
  }

  async changeRule(namespace: string, name: string, spec: object): Promise<void> {
    const path = this.rulesPath(namespace, name)
    await this.http.request({ method: 'PATCH', path, contentType: MERGE, body: { spec } })
  }

  /** Resolves when the PodCleanup says so. */
  statusOf(
    namespace: string,
    name: string,
    what: string,
    fits: (status: CleanupStatus) => boolean,
    { timeoutMs = 30_000, group = this.stage.group } = {},
  ): Promise<CleanupStatus> {
    let last: CleanupStatus | undefined
    const look = async () => {
      const answer = await this.http.request({ method: 'GET', path: this.rulesPath(namespace, name, group) })
      last = answer.json<{ status?: CleanupStatus }>().status
      return last !== undefined && fits(last) ? last : undefined
    }
    return eventually(look, timeoutMs, `PodCleanup ${name}: ${what}`).catch((error: Error) => {
      throw new Error(`${error.message}; it says ${JSON.stringify(last)}`)
    })
  }

  /** Events about an object, by its UID. */
  async events(namespace: string, uid: string): Promise<readonly EventObject[]> {
    const path = `/api/v1/namespaces/${namespace}/events`
    const list = await this.http.request({ method: 'GET', path, query: { fieldSelector: `involvedObject.uid=${uid}` } })
    return list.json<{ items: EventObject[] }>().items
  }

  /** What `gracewatch cleanup plan` says, through the address and with the rights of a controller. */
  async plan(front: Front, token: string, ...args: string[]): Promise<Planned> {
    const folder = mkdtempSync(join(tmpdir(), 'gracewatch-plan-'))
    const kubeconfig = join(folder, 'kubeconfig')
    writeFileSync(kubeconfig, kubeconfigOf({ server: front.url, token }), { mode: 0o600 })
    try {
      const child = spawn(
        process.execPath,
        [join(root, 'src/cli/main.ts'), 'cleanup', 'plan', '-o', 'json', '--kubeconfig', kubeconfig, ...args],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      )
      const text = { stdout: '', stderr: '' }
      for (const stream of ['stdout', 'stderr'] as const)
        child[stream].setEncoding('utf8').on('data', (part: string) => {
          text[stream] += part
        })
      const code = await new Promise((resolve) => child.once('close', resolve))
      expect({ code, stderr: text.stderr }).toMatchObject({ code: 0 })
      return JSON.parse(text.stdout) as Planned
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  /** Nobody else takes the finalizers away. */
  async free(): Promise<void> {
    for (const [plural, namespace, name] of this.#held) {
      const path = `/apis/apps/v1/namespaces/${namespace}/${plural}/${name}`
      const body = { metadata: { finalizers: null } }
      await this.http.request({ method: 'PATCH', path, contentType: MERGE, body }).catch(() => {})
    }
  }
}

export const kept = ({ kept: list = [] }: CleanupStatus): Record<string, number> =>
  Object.fromEntries(list.map(({ reason, count }) => [reason, count]))

export const condition = ({ conditions = [] }: CleanupStatus, type: string) => conditions.find((one) => one.type === type)

/** DELETEs of pods that a controller has asked for. */
export const deletes = (front: Front, namespace = '[^/]+', name = '[^/]+') =>
  front.calls('DELETE', new RegExp(`/namespaces/${namespace}/pods/${name}$`))

/** To be called at the top of a test file; the world is there from beforeAll on. */
export function useCleanup(slug: string): { readonly world: World } {
  const host = useStage(slug)
  let world: World | undefined
  beforeAll(async () => {
    await host.stage.brings('podcleanups')
    world = new World(host.stage)
  })
  // Before the stage's own, which deletes the namespaces.
  afterAll(() => world?.free())
  return {
    get world() {
      if (world === undefined) throw new Error('the world is there from beforeAll on')
      return world
    },
  }
}
