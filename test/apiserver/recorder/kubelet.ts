/**
 * Plays the kubelet of a node that is none: its pods run, get their Killing events, end and are removed when the test says so, each
 * step by the same call that a kubelet makes. Nothing else serves the node's name, so a termination takes as long as the test wants.
 */
import type { KubeHttp } from '../../../src/kube/http.ts'
import { eventually } from '../waiting.ts'

const RENEW_MS = 10_000
const IMAGE = 'registry.invalid/none:1'

export interface PodOptions {
  readonly grace?: number
  readonly containers?: readonly string[]
  readonly preStop?: { readonly exec: { readonly command: readonly string[] } }
  readonly finalizers?: readonly string[]
  readonly owner?: { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly uid: string }
  readonly restartPolicy?: 'Always' | 'Never'
  /** False: Pending, nothing ever ran. */
  readonly running?: boolean
}

/** What the tests read of a Pod. */
export interface PodObject {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly generation?: number
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly spec: { readonly containers: readonly { readonly name: string }[]; readonly nodeName?: string }
}

const floored = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** The wall clock of a node, which need not be right. The test itself goes by the true time. */
export class NodeClock {
  /** Milliseconds; below 0 it is behind. */
  readonly ahead: number

  constructor(ahead = 0) {
    this.ahead = ahead
  }

  now(): number {
    return Date.now() + this.ahead
  }
}

export class Kubelet {
  readonly node: string
  readonly clock: NodeClock
  readonly #http: KubeHttp
  readonly #timer: NodeJS.Timeout

  private constructor(http: KubeHttp, node: string, clock: NodeClock) {
    this.#http = http
    this.node = node
    this.clock = clock
    this.#timer = setInterval(() => void this.#renew().catch(() => {}), RENEW_MS)
    this.#timer.unref()
  }

  /** Registers the node, taken out for everything that does not name it, and keeps it Ready. */
  static async start(http: KubeHttp, node: string, clock = new NodeClock()): Promise<Kubelet> {
    const kubelet = new Kubelet(http, node, clock)
    const taints = [{ key: 'gracewatch.dev/test', value: 'true', effect: 'NoSchedule' }]
    await http.request({
      method: 'POST',
      path: '/api/v1/nodes',
      body: { apiVersion: 'v1', kind: 'Node', metadata: { name: node }, spec: { taints } },
    })
    const lease = { metadata: { name: node, namespace: 'kube-node-lease' } }
    const renewTime = kubelet.#renewTime
    await http.request({
      method: 'POST',
      path: '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases',
      body: {
        ...lease,
        spec: { holderIdentity: node, leaseDurationSeconds: 40, renewTime },
      },
    })
    await kubelet.ready('True')
    return kubelet
  }

  /** Status of the node's condition Ready. */
  async ready(status: 'True' | 'False' | 'Unknown'): Promise<void> {
    const now = floored(this.clock.now())
    const ready = { type: 'Ready', status, reason: 'Test', lastHeartbeatTime: now, lastTransitionTime: now }
    const capacity = { cpu: '64', memory: '64Gi', pods: '2000' }
    await this.#http.request({
      method: 'PATCH',
      path: `/api/v1/nodes/${this.node}/status`,
      contentType: 'application/strategic-merge-patch+json',
      body: { status: { conditions: [ready], capacity, allocatable: capacity } },
    })
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#http.request({ method: 'DELETE', path: `/api/v1/nodes/${this.node}` }).catch(() => {})
    await this.#http.request({ method: 'DELETE', path: this.#leasePath }).catch(() => {})
  }

  /** A pod that runs, unless told otherwise. */
  async pod(namespace: string, name: string, options: PodOptions = {}): Promise<FakePod> {
    const { grace = 30, containers = ['app'], owner, finalizers, restartPolicy = 'Always' } = options
    const lifecycle = options.preStop === undefined ? {} : { lifecycle: { preStop: options.preStop } }
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name,
        namespace,
        ...(finalizers === undefined ? {} : { finalizers }),
        ...(owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
      },
      spec: {
        ...this.podSpec(grace),
        restartPolicy,
        containers: containers.map((container) => ({ name: container, image: IMAGE, ...lifecycle })),
      },
    }
    // The namespace's default account is made a moment after the namespace.
    const created = await eventually(
      () =>
        this.#http.request({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, body }).catch((error: Error) => {
          if (/serviceaccount/.test(error.message)) return undefined
          throw error
        }),
      60_000,
      `pod ${name} accepted`,
    )
    const pod = this.adopt(created.json<PodObject>())
    if (options.running !== false) await pod.run()
    return pod
  }

  /** True once somebody has asked for the pod's deletion; undefined before. */
  async deleted({ namespace, name }: FakePod): Promise<true | undefined> {
    const answer = await this.#http.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}/pods/${name}` })
    return answer.json<PodObject>().metadata.deletionTimestamp === undefined ? undefined : true
  }

  /** For a pod that a controller made. */
  adopt(object: PodObject): FakePod {
    return new FakePod(this.#http, this, object)
  }

  /** What a pod needs in its spec to be one of this kubelet's. */
  podSpec(grace = 30): object {
    return { nodeName: this.node, terminationGracePeriodSeconds: grace, automountServiceAccountToken: false }
  }

  /** A template for those who make pods. */
  template(labels: Readonly<Record<string, string>>, spec: object = {}): object {
    const containers = [{ name: 'app', image: IMAGE }]
    return { metadata: { labels }, spec: { ...this.podSpec(), containers, tolerations: [{ operator: 'Exists' }], ...spec } }
  }

  get #renewTime(): string {
    return new Date(this.clock.now()).toISOString().replace('Z', '000Z')
  }

  get #leasePath(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${this.node}`
  }

  async #renew(): Promise<void> {
    await this.#http.request({
      method: 'PATCH',
      path: this.#leasePath,
      contentType: 'application/merge-patch+json',
      body: { spec: { renewTime: this.#renewTime } },
    })
  }
}

export interface Exit {
  readonly code: number
  readonly reason?: string
  /** Also the pod's phase, as the kubelet reports it in the same PATCH or the next. */
  readonly phase?: 'Succeeded' | 'Failed'
}

export class FakePod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly #http: KubeHttp
  readonly #node: string
  readonly #clock: NodeClock
  readonly #containers: readonly string[]
  #startedAt = ''

  constructor(http: KubeHttp, { node, clock }: Pick<Kubelet, 'node' | 'clock'>, { metadata, spec }: PodObject) {
    this.#http = http
    this.#node = node
    this.#clock = clock
    this.namespace = metadata.namespace
    this.name = metadata.name
    this.uid = metadata.uid
    this.#containers = spec.containers.map(({ name }) => name)
  }

  /** All its containers run. */
  async run(): Promise<void> {
    this.#startedAt = floored(this.#clock.now())
    const ready = { type: 'Ready', status: 'True', lastTransitionTime: this.#startedAt }
    await this.#status({
      phase: 'Running',
      startTime: this.#startedAt,
      observedGeneration: 1,
      conditions: [ready],
      containerStatuses: this.#statuses({ running: { startedAt: this.#startedAt } }),
    })
  }

  /** What somebody asks for; a grace of 0 removes the object at once. */
  async delete(grace?: number): Promise<void> {
    await this.#delete(grace === undefined ? {} : { gracePeriodSeconds: grace })
  }

  /** The kubelet has seen the deletion. */
  async acknowledge(): Promise<void> {
    await this.#status({ observedGeneration: 2 })
  }

  /** The kubelet's Event, named and timed as the kubelet does. */
  async killing(container = this.#containers[0] ?? ''): Promise<void> {
    const now = this.#clock.now()
    const nanoseconds = BigInt(now) * 1_000_000n + BigInt(Math.floor(Math.random() * 1_000_000))
    const time = floored(now)
    await this.#http.request({
      method: 'POST',
      path: `/api/v1/namespaces/${this.namespace}/events`,
      body: {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${this.name}.${nanoseconds.toString(16)}`, namespace: this.namespace },
        involvedObject: {
          apiVersion: 'v1',
          kind: 'Pod',
          namespace: this.namespace,
          name: this.name,
          uid: this.uid,
          fieldPath: `spec.containers{${container}}`,
        },
        type: 'Normal',
        reason: 'Killing',
        message: `Stopping container ${container}`,
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
        source: { component: 'kubelet', host: this.#node },
        reportingComponent: 'kubelet',
        reportingInstance: this.#node,
      },
    })
  }

  /** All its containers have ended. */
  async exit({ code, reason = code === 0 ? 'Completed' : 'Error', phase }: Exit): Promise<void> {
    const finishedAt = floored(this.#clock.now())
    await this.#status({
      ...(phase === undefined ? {} : { phase }),
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: phase === undefined ? 'ContainersNotReady' : 'PodCompleted',
          lastTransitionTime: finishedAt,
        },
      ],
      containerStatuses: this.#statuses({ terminated: { exitCode: code, reason, startedAt: this.#startedAt, finishedAt } }),
    })
  }

  /** The kubelet's own last delete. Resolves when the object is gone; returns performance.now() of the answer. */
  async remove(): Promise<number> {
    await this.#delete({ gracePeriodSeconds: 0 })
    return performance.now()
  }

  /** Takes its finalizers away. */
  async release(): Promise<void> {
    await this.#http.request({
      method: 'PATCH',
      path: this.#path,
      contentType: 'application/merge-patch+json',
      body: { metadata: { uid: this.uid, finalizers: null } },
    })
  }

  /** A deleted pod comes to its end in the kubelet's order of calls. */
  async finish(code = 0): Promise<number> {
    await this.killing()
    await this.exit({ code })
    return this.remove()
  }

  async #delete(options: object): Promise<void> {
    await this.#http.request({ method: 'DELETE', path: this.#path, body: { preconditions: { uid: this.uid }, ...options } })
  }

  async #status(status: object): Promise<void> {
    await this.#http.request({
      method: 'PATCH',
      path: `${this.#path}/status`,
      contentType: 'application/strategic-merge-patch+json',
      body: { metadata: { uid: this.uid }, status },
    })
  }

  #statuses(state: object): object[] {
    return this.#containers.map((name) => ({
      name,
      state,
      image: IMAGE,
      imageID: '',
      ready: 'running' in state,
      restartCount: 0,
      containerID: `containerd://${this.uid}-${name}`,
    }))
  }

  get #path(): string {
    return `/api/v1/namespaces/${this.namespace}/pods/${this.name}`
  }
}
