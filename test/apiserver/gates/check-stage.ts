/** A connection of a checker's own on the real API server, of which every request and open watch is counted. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { ConditionCheck } from '../../../src/api/pod-readiness-gate.ts'
import type { Gate, GatePod } from '../../../src/core/gates/types.ts'
import type { HttpRequest, HttpStream, KubeHttp } from '../../../src/kube/http.ts'
import { HttpClient } from '../../../src/kube/http-client.ts'
import { aGate, aPod } from '../../unit/core/gates/builders.ts'
import type { TestBed } from '../connect.ts'
import { Arrivals } from '../waiting.ts'

export const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
/** Tried again soon; the waits themselves are tested elsewhere. */
export const SOON = { backoffBaseMs: 100, backoffMaxMs: 500 }
const MERGE = 'application/merge-patch+json'

export class Counted implements KubeHttp {
  readonly #http: KubeHttp
  readonly requests: string[] = []
  readonly #open = new Set<string>()
  #opened = 0

  constructor(http: KubeHttp) {
    this.#http = http
  }

  /** Paths of the watches that are open. */
  get open(): string[] {
    return [...this.#open].map((entry) => entry.slice(entry.indexOf(' ') + 1))
  }

  request(request: HttpRequest) {
    this.requests.push(request.path)
    return this.#http.request(request)
  }

  async stream(request: HttpRequest): Promise<HttpStream> {
    this.requests.push(request.path)
    const stream = await this.#http.stream(request)
    const { fieldSelector } = request.query ?? {}
    const entry = `${++this.#opened} ${request.path}${fieldSelector === undefined ? '' : ` ${fieldSelector}`}`
    this.#open.add(entry)
    const open = this.#open
    async function* chunks() {
      try {
        yield* stream.chunks
      } finally {
        open.delete(entry)
      }
    }
    return { ...stream, chunks: chunks(), close: () => stream.close() }
  }

  onResponse(observer: Parameters<KubeHttp['onResponse']>[0]) {
    return this.#http.onResponse(observer)
  }

  close() {
    return this.#http.close()
  }
}

/** Who was told of what. */
export class Told {
  readonly pods = new Arrivals<string>()
  readonly gates: string[] = []
  readonly changed = { pod: (uid: string) => this.pods.add(uid), gate: (uid: string) => void this.gates.push(uid) }
}

/** An account of the test's namespace without any right, and its connection. */
export async function nobody(bed: TestBed, name: string): Promise<KubeHttp> {
  await bed.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: bed.namespace } })
  const token = (await bed.kubectl('create', 'token', name, '-n', bed.namespace)).trim()
  const config = parse(readFileSync(bed.cluster.kubeconfigPath, 'utf8')) as { clusters: { cluster: { server: string } }[] } // kubectl's own format
  const [entry] = config.clusters
  if (entry === undefined) throw new Error('the kubeconfig names no cluster')
  const credentials = { headers: { authorization: `Bearer ${token}` }, tls: { rejectUnauthorized: false } }
  return new HttpClient({
    server: entry.cluster.server,
    credentials: async () => credentials,
    clock: bed.clock,
    userAgent: 'checks',
  })
}

/** @returns what takes the right away again */
export async function allow(bed: TestBed, account: string, rule: object, clusterWide = false): Promise<() => Promise<void>> {
  const kind = clusterWide ? 'ClusterRole' : 'Role'
  const name = clusterWide ? `${bed.namespace}-${account}` : account
  const metadata = { name, ...(!clusterWide && { namespace: bed.namespace }) }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const subjects = [{ kind: 'ServiceAccount', name: account, namespace: bed.namespace }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name }
  await bed.create({ apiVersion, kind, metadata, rules: [{ ...rule, verbs: ['list', 'watch'] }] })
  await bed.create({ apiVersion, kind: `${kind}Binding`, metadata, subjects, roleRef })
  return async () => {
    for (const it of [`${kind}Binding`, kind]) await bed.kubectl('delete', it, name, '-n', bed.namespace)
  }
}

/** A claim that nobody binds, whose conditions are the test's. */
export class Claims {
  readonly #bed: TestBed

  constructor(bed: TestBed) {
    this.#bed = bed
  }

  async create(name: string): Promise<void> {
    await this.#bed.create({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace: this.#bed.namespace },
      spec: { accessModes: ['ReadWriteOnce'], storageClassName: '', resources: { requests: { storage: '1Mi' } } },
    })
  }

  async say(name: string, status: string, type = 'Checked'): Promise<void> {
    const conditions = [{ type, status, reason: `Was${status}`, lastTransitionTime: new Date().toISOString() }]
    const path = `/api/v1/namespaces/${this.#bed.namespace}/persistentvolumeclaims/${name}/status`
    await this.#bed.http.request({ method: 'PATCH', path, contentType: MERGE, body: { status: { conditions } } })
  }

  async delete(name: string): Promise<void> {
    // Its protection ends by a controller, which not every API server has.
    const path = `/api/v1/namespaces/${this.#bed.namespace}/persistentvolumeclaims/${name}`
    await this.#bed.http.request({ method: 'PATCH', path, contentType: MERGE, body: { metadata: { finalizers: null } } })
    await this.#bed.http.request({ method: 'DELETE', path })
  }
}

export const claimChecked = (name: string): Partial<ConditionCheck> => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  name,
  type: 'Checked',
})

export const gateOf = (bed: TestBed, uid: string, ...checks: object[]): Gate =>
  aGate({ uid, namespace: bed.namespace, spec: { checks } })
export const podOf = (bed: TestBed, uid: string, part: Partial<GatePod> = {}): GatePod =>
  aPod({ uid, namespace: bed.namespace, ...part })
