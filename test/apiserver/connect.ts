/** A connection to the shared cluster's API server, and a namespace and a CRD group of one test file's own. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { parse } from 'yaml'
import { GROUP } from '../../src/api/pod-termination.ts'
import { createClock, type RecorderClock } from '../../src/kube/clock.ts'
import { openConnection } from '../../src/kube/connection.ts'
import { KubeError } from '../../src/kube/errors.ts'
import type { HttpRequest, KubeHttp } from '../../src/kube/http.ts'
import { attachCluster, type Cluster, ensureCluster } from '../cluster/index.ts'
import { eventually } from './waiting.ts'

const CRDS = resolve(import.meta.dirname, '../../crds')

export interface TestBed {
  readonly cluster: Cluster
  /** As cluster-admin. */
  readonly http: KubeHttp
  readonly clock: RecorderClock
  /** Random letters, for names of the test's own. */
  readonly suffix: string
  readonly namespace: string
  kubectl(...args: string[]): Promise<string>
  create(object: object): Promise<string>
}

/** To be called at the top of a test file; what it gives is there from beforeAll on. */
export function useApiServer(slug: string): TestBed {
  // Begins with a letter: names of groups are made of it, and categories of those.
  const suffix = `t${Math.random().toString(36).slice(2, 7).padEnd(5, '0')}`
  const namespace = `gw-${slug}-${suffix}`
  let bed: { cluster: Cluster; http: KubeHttp; attached: boolean } | undefined
  const clock = createClock()
  const opened = () => {
    if (bed === undefined) throw new Error('the test bed is there from beforeAll on')
    return bed
  }
  beforeAll(async () => {
    let attached = true
    const cluster = await attachCluster().catch(() => {
      attached = false
      return ensureCluster({ shape: 'control-plane' })
    })
    const { http } = await openConnection({ kubeconfig: cluster.kubeconfigPath, clock })
    bed = { cluster, http, attached }
    await cluster.kubectl(['create', 'namespace', namespace])
  })
  afterAll(async () => {
    const { cluster, http, attached } = opened()
    await cluster.tryKubectl(['delete', 'namespace', namespace, '--wait=false'])
    await http.close()
    if (!attached) await cluster.close()
  })
  return {
    get cluster() {
      return opened().cluster
    },
    get http() {
      return opened().http
    },
    clock,
    suffix,
    namespace,
    kubectl: (...args) => opened().cluster.kubectl(args),
    create: (object) => opened().cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) }),
  }
}

/** A CRD of the project under another group, so that what is installed on a shared cluster is not touched; `change` may make it older. */
export async function createCrd(
  bed: TestBed,
  group: string,
  change: (schema: Schema) => void = () => {},
  plural = 'podterminations',
): Promise<string> {
  const file = join(CRDS, `${plural}.${GROUP}.yaml`)
  const crd = parse(readFileSync(file, 'utf8')) as Definition // our own file
  const name = `${plural}.${group}`
  crd.metadata.name = name
  crd.spec.group = group
  crd.spec.names.categories = [group.split('.')[0] ?? group]
  crd.spec.names.shortNames = []
  const [version] = crd.spec.versions
  if (version === undefined) throw new Error(`${file} has no version`)
  change(version.schema.openAPIV3Schema)
  await bed.create(crd)
  await established(bed, name)
  return name
}

/**
 * Waits until the API server serves what the CRD defines: one that is established is served a little later. `kubectl wait` fails on one
 * that has no conditions yet.
 */
export async function established(bed: TestBed, name: string): Promise<void> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`
  const isServed = async () => {
    const { spec, status } = (await bed.http.request({ method: 'GET', path })).json<Definition>()
    if (!status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True')) return undefined
    const collection = `/apis/${spec.group}/${spec.versions[0]?.name}/${spec.names.plural}`
    return bed.http.request({ method: 'GET', path: collection, query: { limit: 1 } }).catch((error: unknown) => {
      if (error instanceof KubeError && ['NotFound', 'TooManyRequests'].includes(error.code)) return undefined
      throw error
    })
  }
  await eventually(isServed, 60_000, `CRD ${name} served`)
}

export interface Schema {
  enum?: string[]
  properties: Record<string, Schema & { items: Schema }>
}

interface Definition {
  metadata: { name: string }
  status?: { conditions?: { type: string; status: string }[] | null }
  spec: {
    group: string
    names: { plural: string; categories: string[]; shortNames: string[] }
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[]
  }
}

/** The same connection for code that knows one group, with that group's name replaced on the way. */
export function inGroup(http: KubeHttp, group: string): KubeHttp {
  const moved = (request: HttpRequest): HttpRequest => {
    const body =
      request.body !== null && typeof request.body === 'object' && 'apiVersion' in request.body
        ? { ...request.body, apiVersion: String(request.body.apiVersion).replace(GROUP, group) }
        : request.body
    return { ...request, path: request.path.replace(`/apis/${GROUP}/`, `/apis/${group}/`), body }
  }
  return {
    request: (request) => http.request(moved(request)),
    stream: (request) => http.stream(moved(request)),
    onResponse: (observer) => http.onResponse(observer),
    close: () => http.close(),
  }
}

export const root = resolve(join(import.meta.dirname, '../..'))
