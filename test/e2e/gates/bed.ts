/** What the tests of readiness gates and of cleanup stand on: the cluster with either installed, their own watches, and a namespace for each test. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Micros } from '../../../src/core/time.ts'
import type { Cluster } from '../../cluster/index.ts'
import { Api, type Call, type Raw } from '../api.ts'
import { createNamespace, FOLDER_PREFIX, removeLeftovers } from '../leftovers.ts'
import { Observations } from '../observations.ts'
import type { Line } from '../watch.ts'

export const GATES = '/apis/gracewatch.dev/v1alpha1'
const SYSTEM = 'gracewatch-system'
const CONTROLLER = `/apis/apps/v1/namespaces/${SYSTEM}/deployments/gracewatch-controller`

const PATHS: Record<string, string> = {
  Pod: '/api/v1/namespaces/NS/pods',
  Service: '/api/v1/namespaces/NS/services',
  PersistentVolumeClaim: '/api/v1/namespaces/NS/persistentvolumeclaims',
  Deployment: '/apis/apps/v1/namespaces/NS/deployments',
  StatefulSet: '/apis/apps/v1/namespaces/NS/statefulsets',
  DaemonSet: '/apis/apps/v1/namespaces/NS/daemonsets',
  Job: '/apis/batch/v1/namespaces/NS/jobs',
  CronJob: '/apis/batch/v1/namespaces/NS/cronjobs',
  Event: '/api/v1/namespaces/NS/events',
  PodReadinessGate: `${GATES}/namespaces/NS/podreadinessgates`,
  PodCleanup: `${GATES}/namespaces/NS/podcleanups`,
  PodTermination: `${GATES}/namespaces/NS/podterminations`,
}

/** Wall clock with the resolution of the monotonic one; it compares arrivals within this process alone. */
const now = (): Micros => Math.round((performance.timeOrigin + performance.now()) * 1_000)

export const conditionOf = (pod: Raw | undefined, type: string): Raw | undefined =>
  pod?.status?.conditions?.find((condition: Raw) => condition.type === type)

export class Bed {
  readonly cluster: Cluster
  readonly api: Api
  readonly observations: Observations
  readonly busybox: string
  /** A folder of the test's own on the node. */
  readonly folder: string
  readonly #namespaces = new Set<string>()

  private constructor(cluster: Cluster, busybox: string) {
    this.cluster = cluster
    this.busybox = busybox
    this.folder = mkdtempSync(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`))
    this.api = new Api(cluster.kubeconfigPath, now)
    this.observations = new Observations(this.api, now, () => undefined)
  }

  static async start(cluster: Cluster): Promise<Bed> {
    const busybox = (await cluster.images()).find((reference) => reference.includes('/busybox:'))
    if (busybox === undefined) throw new Error('the cluster has no image of busybox')
    const bed = new Bed(cluster, busybox)
    await removeLeftovers(bed.api)
    await bed.observations.start()
    return bed
  }

  async stop(): Promise<void> {
    try {
      await this.removeNamespaces()
    } finally {
      await this.observations.stop()
      this.api.close()
      rmSync(this.folder, { recursive: true, force: true })
    }
  }

  /** A namespace of one test's own. */
  async stage(slug: string): Promise<Stage> {
    const namespace = `gw-gate-${slug}-${randomBytes(3).toString('hex')}`
    await createNamespace(this.api, namespace, () => this.#namespaces.add(namespace))
    return new Stage(this, namespace)
  }

  /** Begins to. */
  async deleteNamespaces(except: readonly string[] = []): Promise<string[]> {
    const names = [...this.#namespaces].filter((name) => !except.includes(name))
    for (const name of names) await this.api.delete(`/api/v1/namespaces/${name}`).catch(() => undefined)
    return names
  }

  /** Returns once they are gone, which shows that no gate holds its namespace. */
  async removeNamespaces(except: readonly string[] = []): Promise<void> {
    const names = await this.deleteNamespaces(except)
    await Promise.all(names.map((name) => this.#namespaceGone(name)))
    for (const name of names) this.#namespaces.delete(name)
  }

  async #namespaceGone(name: string): Promise<void> {
    for (let tries = 0; tries < 450; tries += 1) {
      if ((await this.api.find(`/api/v1/namespaces/${name}`)) === undefined) return
      await new Promise((done) => setTimeout(done, 200))
    }
    const { status } = await this.api.get(`/api/v1/namespaces/${name}`)
    throw new Error(`namespace ${name} is still there after 90 s: ${JSON.stringify(status?.conditions)}`)
  }

  /** Pods of the controller that are not terminating. */
  controllerPods(): Raw[] {
    return this.observations
      .podsIn(SYSTEM)
      .filter(({ type, object }) => type !== 'DELETED' && object.metadata.deletionTimestamp === undefined)
      .map(({ object }) => object)
  }

  /** So many replicas of the controller, all of them ready and none of another time left. */
  async scaleController(replicas: number): Promise<void> {
    await this.api.patch(CONTROLLER, { spec: { replicas } })
    await this.observations.waitFor(
      () => {
        const there = this.observations.podsIn(SYSTEM).filter(({ type }) => type !== 'DELETED')
        return there.length === replicas && there.every(({ object }) => conditionOf(object, 'Ready')?.status === 'True')
      },
      120,
      `${replicas} replicas of the controller`,
    )
  }
}

export interface Flip {
  /** The API server's answer to the change came at. */
  readonly changed: Micros
  /** The line with the condition arrived at, and the one with Ready. */
  readonly condition: Micros
  readonly ready: Micros
}

/** One test's namespace and what it does in it. */
export class Stage {
  readonly bed: Bed
  readonly namespace: string

  constructor(bed: Bed, namespace: string) {
    this.bed = bed
    this.namespace = namespace
  }

  path(kind: string, name?: string): string {
    const path = PATHS[kind]?.replace('NS', this.namespace)
    if (path === undefined) throw new Error(`no path is known for kind ${kind}: add it to PATHS in bed.ts`)
    return name === undefined ? path : `${path}/${name}`
  }

  async create(...objects: readonly Raw[]): Promise<void> {
    for (const object of objects) await this.bed.api.create(this.path(object.kind), object)
  }

  kubectl(...args: string[]): Promise<string> {
    return this.bed.cluster.kubectl(['-n', this.namespace, ...args])
  }

  /** A gate for the pods with the label app=`app`. */
  gate(name: string, app: string, checks: readonly Raw[], spec: Raw = {}): Raw {
    return {
      apiVersion: 'gracewatch.dev/v1alpha1',
      kind: 'PodReadinessGate',
      metadata: { name, namespace: this.namespace },
      spec: { selector: { matchLabels: { app } }, conditionType: `gates.example.com/${name}`, checks, ...spec },
    }
  }

  /** A pod that is Ready within a second or two, once the gates let it. */
  pod(name: string, gates: readonly string[], container: Raw = {}, spec: Raw = {}): Raw {
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: this.namespace, labels: { app: name } },
      spec: this.podSpec(gates, container, spec),
    }
  }

  podSpec(gates: readonly string[], container: Raw = {}, spec: Raw = {}): Raw {
    return {
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(gates.length === 0 ? {} : { readinessGates: gates.map((gate) => ({ conditionType: `gates.example.com/${gate}` })) }),
      containers: [
        {
          name: 'app',
          image: this.bed.busybox,
          command: ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.2; done'],
          resources: { requests: { cpu: '1m', memory: '4Mi' } },
          ...container,
        },
      ],
      ...spec,
    }
  }

  /** The newest pod of this name, as the last line had it. */
  podNamed(name: string): Raw | undefined {
    return this.bed.observations.podNamed(this.namespace, name)
  }

  /** All lines of the pods of this name, of every UID, in order. */
  linesOf(name: string): Line[] {
    return [...this.bed.observations.pods.values()]
      .filter(([first]) => first?.object.metadata.namespace === this.namespace && first.object.metadata.name === name)
      .flat()
      .sort((a, b) => a.arrivedAt - b.arrivedAt)
  }

  until(name: string, what: string, is: (pod: Raw) => boolean, seconds = 60): Promise<Raw> {
    return this.bed.observations
      .waitFor(
        () => {
          const pod = this.podNamed(name)
          return pod !== undefined && is(pod) && pod
        },
        seconds,
        `pod ${name}: ${what}`,
      )
      .catch((error: Error) => {
        const conditions = JSON.stringify(this.podNamed(name)?.status?.conditions, undefined, 1)
        throw new Error(`${error.message}; its conditions are ${conditions}`)
      })
  }

  /** Waits until the pod has the gate's condition so, and returns the condition. */
  async condition(pod: string, gate: string, status: string, reason?: string, seconds = 60): Promise<Raw> {
    const type = `gates.example.com/${gate}`
    const found = await this.until(
      pod,
      `${type} ${status} ${reason ?? ''}`,
      (it) => {
        const condition = conditionOf(it, type)
        return condition?.status === status && (reason === undefined || condition.reason === reason)
      },
      seconds,
    )
    return conditionOf(found, type)
  }

  ready(pod: string, status: 'True' | 'False' = 'True', seconds = 60): Promise<Raw> {
    return this.until(pod, `Ready ${status}`, (it) => conditionOf(it, 'Ready')?.status === status, seconds)
  }

  /** The pod's containers run, whatever its gates say. */
  running(pod: string): Promise<Raw> {
    return this.until(pod, 'its containers ready', (it) => conditionOf(it, 'ContainersReady')?.status === 'True')
  }

  annotate(pod: string, annotations: Readonly<Record<string, string | null>>): Promise<Call> {
    return this.bed.api.patch(this.path('Pod', pod), { metadata: { annotations } }, 'merge')
  }

  /** Does `change`, and says when the condition and Ready became `status`. */
  async flip(pod: string, gate: string, status: 'True' | 'False', change: () => Promise<Micros>): Promise<Flip> {
    const before = this.linesOf(pod).length
    const changed = await change()
    await this.condition(pod, gate, status)
    await this.ready(pod, status)
    const at = (type: string) =>
      this.linesOf(pod)
        .slice(before)
        .find(({ object }) => conditionOf(object, type)?.status === status)?.arrivedAt ?? Number.NaN
    return { changed, condition: at(`gates.example.com/${gate}`), ready: at('Ready') }
  }

  /** The pod as the Service's EndpointSlices have it now. */
  endpoint(service: string, uid: string): Raw | undefined {
    const newest = new Map<string, Line>()
    for (const line of this.bed.observations.slices.get(this.namespace) ?? []) newest.set(line.object.metadata.name, line)
    return [...newest.values()]
      .filter(({ type, object }) => type !== 'DELETED' && object.metadata.labels?.['kubernetes.io/service-name'] === service)
      .flatMap(({ object }) => object.endpoints ?? [])
      .find((endpoint: Raw) => endpoint.targetRef?.uid === uid)
  }

  /** A folder on the node that the test writes to and a container serves: see `httpServer`. */
  www(name: string): {
    readonly container: Raw
    readonly spec: Raw
    readonly put: (file: string) => void
    readonly drop: (file: string) => void
  } {
    const folder = join(this.bed.folder, this.namespace, name)
    mkdirSync(folder, { recursive: true })
    return {
      container: {
        command: ['httpd', '-f', '-p', '8080', '-h', '/www'],
        ports: [{ name: 'web', containerPort: 8080 }],
        volumeMounts: [{ name: 'www', mountPath: '/www' }],
      },
      spec: { volumes: [{ name: 'www', hostPath: { path: folder, type: 'Directory' } }] },
      put: (file) => writeFileSync(join(folder, file), 'ok\n'),
      drop: (file) => rmSync(join(folder, file), { force: true }),
    }
  }

  /** The gate's status once it is as wanted: it is written at most once a second. */
  async settledStatus(name: string, is: (status: Raw) => boolean): Promise<Raw> {
    for (let tries = 0; tries < 150; tries += 1) {
      const status = await this.gateStatus(name)
      if (status !== undefined && is(status)) return status
      await new Promise((done) => setTimeout(done, 200))
    }
    throw new Error(`the status of gate ${name} did not come in 30 s: ${JSON.stringify(await this.gateStatus(name))}`)
  }

  async gateStatus(name: string): Promise<Raw> {
    return (await this.bed.api.get(this.path('PodReadinessGate', name))).status
  }
}

export const sinceNow = now
