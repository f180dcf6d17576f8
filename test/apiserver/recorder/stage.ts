/** What the tests of the recorder stand on: a CRD, a node, namespaces and controller processes of the test file's own. */
import { afterAll, beforeAll } from 'vitest'
import { HIGH_WATER_MARK } from '../../../src/controllers/recorder/controller.ts'
import { createCrd, established, type Schema, type TestBed, useApiServer } from '../connect.ts'
import { eventually } from '../waiting.ts'
import { ControllerProcess } from './controller.ts'
import { Front } from './front.ts'
import { createIdentity } from './identity.ts'
import { Kubelet } from './kubelet.ts'
import { RecordWatch } from './records.ts'

export interface StartOptions {
  /** The controller's own namespace, which also holds its Lease. Made where it is not there. */
  readonly own: string
  /** Namespaces whose pods it records. */
  readonly namespaces: readonly string[]
  readonly name?: string
  readonly args?: readonly string[]
  /** Flags of its Lease. Default: SHORT_LEASE. None: the product's own, which a machine that stands still for two seconds does not lose. */
  readonly lease?: readonly string[]
  /** Default: the file's own CRD group. */
  readonly group?: string
  /** Rights left out, by resource. */
  readonly without?: string
  /** With readiness gates, and the rights that they need. */
  readonly gates?: boolean
  /** With cleanup, and the rights that it needs. */
  readonly cleanup?: boolean
  /** Manifests of further rights. */
  readonly rights?: readonly string[]
}

export interface Running {
  readonly controller: ControllerProcess
  readonly front: Front
}

/** Short, so that a test need not wait long for a leader that was killed. */
const SHORT_LEASE = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms']

export class Stage {
  readonly bed: TestBed
  /** What stands for gracewatch.dev. */
  readonly group: string
  readonly #kubelet: Kubelet
  readonly #records: RecordWatch
  readonly #tokens = new Map<string, Promise<string>>()
  readonly #controllers: ControllerProcess[] = []
  readonly #fronts: Front[] = []
  readonly #namespaces: string[] = []
  readonly #clusterRoles: string[] = []
  readonly #crds: string[]
  readonly #watches: RecordWatch[] = []
  #started = 0

  constructor(bed: TestBed, group: string, crd: string, kubelet: Kubelet, records: RecordWatch) {
    this.bed = bed
    this.group = group
    this.#kubelet = kubelet
    this.#records = records
    this.#crds = [crd]
  }

  get kubelet(): Kubelet {
    return this.#kubelet
  }

  get records(): RecordWatch {
    return this.#records
  }

  /** A new namespace; the label is a part of its name. */
  async namespace(label: string): Promise<string> {
    const name = `${this.bed.namespace}-${label}`
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
    await this.bed.http.request({ method: 'POST', path: '/api/v1/namespaces', body })
    this.#namespaces.push(name)
    return name
  }

  /** Another CRD in a group of its own, and the watch of its records. */
  async crd(label: string, change?: (schema: Schema) => void): Promise<{ group: string; records: RecordWatch }> {
    const group = this.groupName(label)
    this.#crds.push(await createCrd(this.bed, group, change))
    const records = await RecordWatch.start(this.bed.http, group)
    this.#watches.push(records)
    return { group, records }
  }

  /** The project's other CRD, in the same group. */
  async gates(): Promise<void> {
    this.#crds.push(await createCrd(this.bed, this.group, undefined, 'podreadinessgates'))
  }

  /** A further CRD of the project, in this group or another. */
  async brings(plural: string, group = this.group, change?: (schema: Schema) => void): Promise<void> {
    this.#crds.push(await createCrd(this.bed, group, change, plural))
  }

  /** A kind of custom owner, as Argo's Rollout is one. @returns its group */
  async rollouts(): Promise<string> {
    const group = this.groupName('rollouts')
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
    await this.bed.create({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `rollouts.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'rollouts', singular: 'rollout', kind: 'Rollout', listKind: 'RolloutList' },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    })
    this.#crds.push(`rollouts.${group}`)
    await established(this.bed, `rollouts.${group}`)
    return group
  }

  groupName(label: string): string {
    return `${label}${this.bed.suffix}.gracewatch.dev`
  }

  /** Starts a controller; it need not be ready yet. */
  async start(options: StartOptions): Promise<Running> {
    const group = options.group ?? this.group
    const front = await Front.start({ cluster: this.bed.cluster, group })
    this.#fronts.push(front)
    const token = await this.token(options.own, group, options)
    const controller = await ControllerProcess.start({
      server: front.url,
      token,
      namespace: options.own,
      name: options.name ?? `replica-${++this.#started}`,
      args: [
        ...options.namespaces.map((namespace) => `--namespaces=${namespace}`),
        ...(options.lease ?? SHORT_LEASE),
        ...(options.gates === true ? ['--gates'] : []),
        ...(options.cleanup === true ? ['--cleanup'] : []),
        ...(options.args ?? []),
      ],
    })
    this.#controllers.push(controller)
    return { controller, front }
  }

  /** Starts a controller that then leads. */
  async lead(options: StartOptions): Promise<Running> {
    const running = await this.start(options)
    await running.controller.ready()
    await running.controller.leads()
    return running
  }

  token(
    own: string,
    group: string,
    { without, gates = false, cleanup = false, rights = [] }: Pick<StartOptions, 'without' | 'gates' | 'cleanup' | 'rights'> = {},
  ): Promise<string> {
    let token = this.#tokens.get(own)
    if (token === undefined) {
      const options = { namespace: own, group, gates, cleanup, rights, ...(without === undefined ? {} : { without }) }
      token = createIdentity(this.bed, options).then((made) => {
        this.#clusterRoles.push(...made.clusterRoles)
        return made.token
      })
      this.#tokens.set(own, token)
    }
    return token
  }

  /** Waits until the Lease says that everything up to this time (ms since the epoch) is recorded. */
  async highWaterMark(own: string, past: number): Promise<void> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${own}/leases/gracewatch-controller`
    const reached = async () => {
      const lease = await this.bed.http.request({ method: 'GET', path })
      const { annotations } = lease.json<{ metadata: { annotations?: Record<string, string> } }>().metadata
      return Date.parse(annotations?.[HIGH_WATER_MARK] ?? '') > past || undefined
    }
    await eventually(reached, 60_000, `the high-water mark of ${own} past ${new Date(past).toISOString()}`)
  }

  async stopControllers(): Promise<void> {
    await Promise.all(this.#controllers.filter(({ running }) => running).map((controller) => controller.kill()))
  }

  async end(): Promise<void> {
    const { bed } = this
    await this.stopControllers()
    for (const front of this.#fronts) await front.close()
    for (const watch of [this.#records, ...this.#watches]) await watch.close()
    const names = [...this.#namespaces, bed.namespace]
    await bed.cluster.tryKubectl(['delete', 'crd', ...this.#crds, '--wait=false'])
    await bed.cluster.tryKubectl(['delete', 'namespace', ...names, '--wait=false'])
    await Promise.all(names.map((name) => this.#emptied(name)))
    await this.#kubelet.stop()
    const roles = this.#clusterRoles.flatMap((name) => [`clusterrole/${name}`, `clusterrolebinding/${name}`])
    if (roles.length > 0) await bed.cluster.tryKubectl(['delete', ...roles, '--wait=false'])
  }

  /** Nobody else removes the pods of a node without a kubelet, and they would keep their namespace. */
  async #emptied(namespace: string): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods`
    const { http } = this.bed
    const gone = async () => {
      const list = (await http.request({ method: 'GET', path })).json<{
        items: { metadata: { name: string; finalizers?: string[] } }[]
      }>()
      for (const { metadata } of list.items.filter((pod) => pod.metadata.finalizers !== undefined)) {
        const body = { metadata: { finalizers: null } }
        const contentType = 'application/merge-patch+json'
        await http.request({ method: 'PATCH', path: `${path}/${metadata.name}`, contentType, body }).catch(() => {})
      }
      if (list.items.length > 0) await http.request({ method: 'DELETE', path, body: { gracePeriodSeconds: 0 } }).catch(() => {})
      return list.items.length === 0 || undefined
    }
    await eventually(gone, 10_000, `pods of ${namespace} gone`).catch((error: Error) => console.error(error.message))
  }
}

/** To be called at the top of a test file; the stage is there from beforeAll on. */
export function useStage(slug: string): { readonly stage: Stage } {
  const bed = useApiServer(`rec-${slug}`)
  const holder: { stage?: Stage } = {}
  beforeAll(async () => {
    const group = `${slug.replace('-', '')}${bed.suffix}.gracewatch.dev`
    const [crd, kubelet] = await Promise.all([createCrd(bed, group), Kubelet.start(bed.http, bed.namespace)])
    holder.stage = new Stage(bed, group, crd, kubelet, await RecordWatch.start(bed.http, group))
  })
  afterAll(() => holder.stage?.end())
  return {
    get stage() {
      if (holder.stage === undefined) throw new Error('the stage is there from beforeAll on')
      return holder.stage
    },
  }
}
