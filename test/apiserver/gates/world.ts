/** Gates, gated pods and what becomes of their conditions, on a real API server whose kubelet is the test. */
import { afterAll, beforeAll } from 'vitest'
import type { KubeHttp } from '../../../src/kube/http.ts'
import { type Stage, useStage } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'

export const TYPE = 'example.com/registered'
export const ANNOTATION = 'example.com/ok'
const IMAGE = 'registry.invalid/none:1'
const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'

export interface ConditionObject {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
  readonly observedGeneration?: number
}

export interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string }
  readonly status: { readonly conditions?: readonly ConditionObject[] }
}

export interface GateObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly finalizers?: readonly string[] }
  readonly status?: {
    readonly observedGeneration?: number
    readonly matched?: number
    readonly passing?: number
    readonly failing?: number
    readonly withoutGate?: number
    readonly conditions?: readonly ConditionObject[]
  }
}

export class World {
  readonly stage: Stage
  readonly http: KubeHttp

  constructor(stage: Stage) {
    this.stage = stage
    this.http = stage.bed.http
  }

  gatesPath(namespace: string, name = ''): string {
    return `/apis/${this.stage.group}/v1alpha1/namespaces/${namespace}/podreadinessgates${name === '' ? '' : `/${name}`}`
  }

  /** Of the annotation ANNOTATION=yes on pods with the label app=web, unless told otherwise. */
  async gate(namespace: string, name: string, spec: object = {}): Promise<void> {
    const checks = [{ annotation: { key: ANNOTATION, value: 'yes' } }]
    const body = {
      apiVersion: `${this.stage.group}/v1alpha1`,
      kind: 'PodReadinessGate',
      metadata: { name },
      spec: { selector: { matchLabels: { app: 'web' } }, conditionType: TYPE, checks, ...spec },
    }
    await eventually(
      () => this.http.request({ method: 'POST', path: this.gatesPath(namespace), body }).catch(() => undefined),
      60_000,
      `gate ${name} created`,
    )
  }

  async readGate(namespace: string, name: string): Promise<GateObject> {
    return (await this.http.request({ method: 'GET', path: this.gatesPath(namespace, name) })).json<GateObject>()
  }

  async deleteGate(namespace: string, name: string): Promise<void> {
    await this.http.request({ method: 'DELETE', path: this.gatesPath(namespace, name) })
  }

  /** Resolves when the gate says so. */
  statusOf(
    namespace: string,
    name: string,
    what: string,
    fits: (status: NonNullable<GateObject['status']>) => boolean,
  ): Promise<NonNullable<GateObject['status']>> {
    let last: GateObject['status']
    const look = async () => {
      last = (await this.readGate(namespace, name)).status
      return last !== undefined && fits(last) ? last : undefined
    }
    return eventually(look, 60_000, `gate ${name}: ${what}`).catch((error: Error) => {
      throw new Error(`${error.message}; it says ${JSON.stringify(last)}`)
    })
  }

  async pod(
    namespace: string,
    name: string,
    { gates = [TYPE], labels = { app: 'web' }, annotations = {} }: PodOptions = {},
  ): Promise<PodObject> {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels, annotations },
      spec: {
        nodeName: this.stage.kubelet.node,
        automountServiceAccountToken: false,
        readinessGates: gates.map((conditionType) => ({ conditionType })),
        containers: [{ name: 'app', image: IMAGE, ports: [{ name: 'http', containerPort: 8080 }] }],
      },
    }
    const path = `/api/v1/namespaces/${namespace}/pods`
    // The namespace's default account is made a moment after the namespace.
    const created = await eventually(
      () =>
        this.http.request({ method: 'POST', path, body }).catch((error: Error) => {
          if (/serviceaccount/.test(error.message)) return undefined
          throw error
        }),
      60_000,
      `pod ${name} accepted`,
    )
    return created.json<PodObject>()
  }

  async readPod(namespace: string, name: string): Promise<PodObject> {
    return (await this.http.request({ method: 'GET', path: this.#podPath(namespace, name) })).json<PodObject>()
  }

  async condition(namespace: string, name: string, type = TYPE): Promise<ConditionObject | undefined> {
    return (await this.readPod(namespace, name)).status.conditions?.find((condition) => condition.type === type)
  }

  /** Resolves when the condition is so. */
  until(namespace: string, name: string, status: string, reason?: string, type = TYPE): Promise<ConditionObject> {
    let last: ConditionObject | undefined
    const look = async () => {
      last = await this.condition(namespace, name, type)
      return last?.status === status && (reason === undefined || last.reason === reason) ? last : undefined
    }
    return eventually(look, 60_000, `${type} of pod ${name} ${status} ${reason ?? ''}`).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(last)}`)
    })
  }

  async annotate(namespace: string, name: string, annotations: Record<string, string | null>): Promise<void> {
    const body = { metadata: { annotations } }
    await this.http.request({ method: 'PATCH', path: this.#podPath(namespace, name), contentType: MERGE, body })
  }

  /** What a kubelet writes of a pod: conditions of its own, as a strategic merge patch. */
  async kubeletSays(namespace: string, name: string, conditions: readonly ConditionObject[], more: object = {}): Promise<void> {
    await this.http.request({
      method: 'PATCH',
      path: `${this.#podPath(namespace, name)}/status`,
      contentType: STRATEGIC,
      body: { status: { conditions, ...more } },
    })
  }

  async removePod(namespace: string, name: string): Promise<void> {
    await this.http.request({ method: 'DELETE', path: this.#podPath(namespace, name), body: { gracePeriodSeconds: 0 } })
  }

  #podPath(namespace: string, name: string): string {
    return `/api/v1/namespaces/${namespace}/pods/${name}`
  }

  /** The controllers are gone: nobody else takes the finalizers away. */
  async freeGates(): Promise<void> {
    const path = `/apis/${this.stage.group}/v1alpha1/podreadinessgates`
    const { items } = (await this.http.request({ method: 'GET', path })).json<{
      items: { metadata: { namespace: string; name: string } }[]
    }>()
    for (const { metadata } of items) {
      const body = { metadata: { finalizers: null } }
      const gate = this.gatesPath(metadata.namespace, metadata.name)
      await this.http.request({ method: 'PATCH', path: gate, contentType: MERGE, body }).catch(() => {})
    }
  }
}

interface PodOptions {
  readonly gates?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

/** To be called at the top of a test file; the world is there from beforeAll on. */
export function useGates(slug: string): { readonly world: World } {
  const host = useStage(slug)
  let world: World | undefined
  beforeAll(async () => {
    await host.stage.gates()
    world = new World(host.stage)
  })
  // Before the stage's own, which kills the controllers: what they leave is freed then, once they cannot put it on again.
  afterAll(async () => {
    await host.stage.stopControllers()
    await world?.freeGates()
  })
  return {
    get world() {
      if (world === undefined) throw new Error('the world is there from beforeAll on')
      return world
    },
  }
}
