/**
 * Pods as a busy cluster has them: 3 containers with probes, environment and mounts, annotations of the usual tools, an owner, and the
 * managedFields that the API server makes of a controller's POST and a kubelet's PATCH. No kubelet runs them: the bench plays theirs.
 */
import type { KubeHttp } from '../../src/kube/http.ts'
import { inParallel } from './parallel.ts'

/** Writers at once: more than an API server on a few cores can use. */
const WRITERS = 32
const PODS_OF_A_WORKLOAD = 50
const GRACE_SECONDS = 30
const STRATEGIC = 'application/strategic-merge-patch+json'

export interface BenchPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

interface Owner {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
}

interface Made {
  readonly metadata: { readonly name: string; readonly uid: string }
}

const floored = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** Hex digits that differ from pod to pod, and are the same in every run. */
function hex(seed: number, length: number): string {
  let state = (seed + 1) * 2_654_435_761
  let text = ''
  while (text.length < length) {
    state = Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9
    text += (state >>> 0).toString(16).padStart(8, '0')
  }
  return text.slice(0, length)
}

export class Population {
  readonly label: string
  readonly #http: KubeHttp
  readonly #namespaces: readonly string[]
  readonly #nodes: readonly string[]
  readonly #owners = new Map<number, Promise<Owner>>()
  readonly #alive: BenchPod[] = []
  #made = 0

  constructor(http: KubeHttp, label: string, namespaces: readonly string[], nodes: readonly string[]) {
    this.#http = http
    this.label = label
    this.#namespaces = namespaces
    this.#nodes = nodes
  }

  get size(): number {
    return this.#alive.length
  }

  /** Makes pods until so many run. */
  async grow(size: number): Promise<void> {
    const from = this.#made
    const more = size - this.size
    this.#made += more
    const pods = await inParallel(WRITERS, more, (index) => this.#runningPod(from + index))
    this.#alive.push(...pods)
  }

  /** Pods that run, to be ended by the caller: they are the population's no more. */
  take(count: number): BenchPod[] {
    if (count > this.size) throw new Error(`${count} pods were wanted of ${this.size}`)
    return this.#alive.splice(0, count)
  }

  /** Something about one of the pods changes that has nothing to do with its end. */
  async touch(turn: number): Promise<void> {
    const pod = this.#alive[turn % this.size]
    if (pod === undefined) throw new Error('there is no pod')
    const annotations = { 'autoscaling.example.com/last-seen': String(turn) }
    await this.#http.request({
      method: 'PATCH',
      path: pathOf(pod),
      contentType: STRATEGIC,
      body: { metadata: { uid: pod.uid, annotations } },
    })
  }

  /** Bytes of JSON of one of the pods, as a list or a watch sends it. */
  async jsonBytes(): Promise<number> {
    const pod = this.#alive[Math.floor(this.size / 2)]
    if (pod === undefined) return 0
    return (await this.#http.request({ method: 'GET', path: pathOf(pod) })).body.length
  }

  /** Everything that was made, while no controller is there that would make it anew. */
  async clear(): Promise<void> {
    for (const namespace of this.#namespaces) {
      const core = `/api/v1/namespaces/${namespace}/pods`
      const apps = `/apis/apps/v1/namespaces/${namespace}`
      for (const path of [`${apps}/deployments`, `${apps}/replicasets`, core])
        await this.#http.request({ method: 'DELETE', path, body: { gracePeriodSeconds: 0 }, timeoutMs: 300_000 })
    }
  }

  async #runningPod(index: number): Promise<BenchPod> {
    const namespace = this.#namespaces[index % this.#namespaces.length] ?? ''
    const workload = Math.floor(index / this.#namespaces.length / PODS_OF_A_WORKLOAD) * this.#namespaces.length
    const owner = await this.#ownerOf(workload + (index % this.#namespaces.length), namespace)
    const node = this.#nodes[index % this.#nodes.length] ?? ''
    const created = await this.#http.request({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods`,
      query: { fieldManager: 'kube-controller-manager' },
      body: podObject(index, owner, node, this.label),
      timeoutMs: 60_000,
    })
    const { name, uid } = created.json<Made>().metadata
    const pod = { namespace, name, uid }
    await writeStatus(this.#http, pod, runningStatus(index), { fieldManager: 'kubelet' })
    return pod
  }

  #ownerOf(workload: number, namespace: string): Promise<Owner> {
    let owner = this.#owners.get(workload)
    if (owner === undefined) {
      owner = makeWorkload(this.#http, namespace, `shop-${workload}`)
      this.#owners.set(workload, owner)
    }
    return owner
  }
}

const pathOf = ({ namespace, name }: BenchPod) => `/api/v1/namespaces/${namespace}/pods/${name}`

async function writeStatus(http: KubeHttp, pod: BenchPod, status: object, query = {}): Promise<void> {
  const body = { metadata: { uid: pod.uid }, status }
  await http.request({ method: 'PATCH', path: `${pathOf(pod)}/status`, contentType: STRATEGIC, query, body, timeoutMs: 60_000 })
}

export interface Ending {
  readonly pod: BenchPod
  /** performance.now() of the request to delete it, and of the answer that it is gone. */
  readonly deletedAt: number
  readonly removedAt: number
}

/** A graceful termination, as fast as the API server takes it: somebody deletes the pod, its containers exit 0, its kubelet removes it. */
export async function endGracefully(http: KubeHttp, pod: BenchPod): Promise<Ending> {
  const remove = (options: object) =>
    http.request({
      method: 'DELETE',
      path: pathOf(pod),
      body: { preconditions: { uid: pod.uid }, ...options },
      timeoutMs: 60_000,
    })
  const deletedAt = performance.now()
  await remove({})
  await writeStatus(http, pod, endedStatus(pod.uid))
  await remove({ gracePeriodSeconds: 0 })
  return { pod, deletedAt, removedAt: performance.now() }
}

/** A Deployment with its ReplicaSet, as the record names them. */
async function makeWorkload(http: KubeHttp, namespace: string, name: string): Promise<Owner> {
  const labels = { app: name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'app', image: IMAGES.app }] } }
  const spec = { replicas: PODS_OF_A_WORKLOAD, selector: { matchLabels: labels }, template }
  const make = async (plural: string, metadata: object): Promise<Owner> => {
    const path = `/apis/apps/v1/namespaces/${namespace}/${plural}`
    const answer = await http.request({ method: 'POST', path, body: { metadata, spec } })
    const made = answer.json<Made & { kind: string }>()
    return { apiVersion: 'apps/v1', kind: made.kind, name: made.metadata.name, uid: made.metadata.uid }
  }
  const deployment = await make('deployments', { name, labels })
  return make('replicasets', { name: `${name}-${hex(7, 9)}`, labels, ownerReferences: [{ ...deployment, controller: true }] })
}

const CONTAINERS = ['app', 'proxy', 'log-shipper'] as const
type ContainerName = (typeof CONTAINERS)[number]
const IMAGES: Readonly<Record<ContainerName, string>> = {
  app: 'registry.example.com/shop/backend:2026.11.3',
  proxy: 'registry.example.com/mesh/proxy:1.27.1',
  'log-shipper': 'registry.example.com/observability/fluent-bit:4.2.0',
}

function podObject(index: number, owner: Owner, node: string, label: string): object {
  const [key = '', value = ''] = label.split('=')
  const app = owner.name.replace(/-[0-9a-f]+$/, '')
  return {
    metadata: {
      name: `${owner.name}-${hex(index, 5)}${index}`,
      labels: {
        [key]: value,
        app,
        'app.kubernetes.io/name': app,
        'app.kubernetes.io/instance': `${app}-production`,
        'app.kubernetes.io/version': '2026.11.3',
        'app.kubernetes.io/managed-by': 'Helm',
        'pod-template-hash': hex(7, 9),
      },
      annotations: {
        'checksum/config': hex(owner.name.length, 64),
        'kubectl.kubernetes.io/default-container': 'app',
        'kubectl.kubernetes.io/restartedAt': '2026-11-20T08:15:30+01:00',
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': '9102',
        'prometheus.io/path': '/metrics',
        'mesh.example.com/status': JSON.stringify({
          initContainers: null,
          containers: ['proxy'],
          volumes: ['mesh-certificates'],
          imagePullSecrets: null,
          revision: 'stable',
        }),
      },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
    },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: GRACE_SECONDS,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 10_001, fsGroup: 10_001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: CONTAINERS.map(containerObject),
      volumes: [
        { name: 'config', configMap: { name: `${app}-config` } },
        { name: 'mesh-certificates', emptyDir: { medium: 'Memory' } },
        { name: 'mesh-data', emptyDir: {} },
        { name: 'logs', emptyDir: { sizeLimit: '512Mi' } },
      ],
      tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'shop', effect: 'NoSchedule' }],
    },
  }
}

function containerObject(name: ContainerName): object {
  const probe = (path: string) => ({ httpGet: { path, port: 'http' }, periodSeconds: 10, timeoutSeconds: 2, failureThreshold: 3 })
  const serves = {
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: probe('/ready'),
    livenessProbe: probe('/healthy'),
    env: [{ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector.observability.svc:4317' }],
  }
  return {
    name,
    image: IMAGES[name],
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    ...(name === 'app' ? { ...serves, lifecycle: { preStop: { sleep: { seconds: 5 } } } } : {}),
    volumeMounts: [{ name: 'config', mountPath: '/etc/config', readOnly: true }],
  }
}

const addressOf = (index: number) => `10.${Math.floor(index / 65_536) % 256}.${Math.floor(index / 256) % 256}.${index % 256}`

function runningStatus(index: number): object {
  const now = floored(Date.now())
  const condition = (type: string) => ({ type, status: 'True', lastProbeTime: null, lastTransitionTime: now })
  return {
    phase: 'Running',
    observedGeneration: 1,
    startTime: now,
    hostIP: addressOf(index % 250),
    podIP: addressOf(index),
    podIPs: [{ ip: addressOf(index) }],
    qosClass: 'Burstable',
    conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(condition),
    containerStatuses: CONTAINERS.map((name, place) => ({
      name,
      image: IMAGES[name],
      imageID: `${IMAGES[name].split(':')[0]}@sha256:${hex(place, 64)}`,
      containerID: `containerd://${hex(index * CONTAINERS.length + place, 64)}`,
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: now } },
    })),
  }
}

function endedStatus(uid: string): object {
  const finishedAt = floored(Date.now())
  const condition = (type: string) => ({
    type,
    status: 'False',
    reason: 'PodCompleted',
    lastProbeTime: null,
    lastTransitionTime: finishedAt,
  })
  return {
    phase: 'Succeeded',
    observedGeneration: 2,
    conditions: ['Ready', 'ContainersReady'].map(condition),
    containerStatuses: CONTAINERS.map((name) => ({
      name,
      image: IMAGES[name],
      imageID: '',
      containerID: `containerd://${uid}-${name}`,
      ready: false,
      started: false,
      restartCount: 0,
      state: { terminated: { exitCode: 0, reason: 'Completed', startedAt: finishedAt, finishedAt } },
    })),
  }
}
