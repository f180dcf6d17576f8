/**
 * Which workload a pod belongs to, over the chain of controlling owners: Pod, ReplicaSet, Deployment (or an Argo Rollout); Pod, Job,
 * CronJob; anything else is where the chain ends. Metadata only, by GET, once an owner: nothing is watched and no name is taken apart.
 */
import type { OwnerReference, PodSnapshot, Workload } from '../../core/evidence.ts'
import { KubeError } from '../../kube/errors.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'

/** Kinds that usually have an owner of their own, and where they are served. All others end the chain. */
const BETWEEN: Readonly<Record<string, string>> = {
  'apps/ReplicaSet': 'apis/apps/v1/namespaces/{namespace}/replicasets',
  'batch/Job': 'apis/batch/v1/namespaces/{namespace}/jobs',
}
const MAX_CACHED = 50_000
const CONCURRENCY = 4
/** After a failure that may pass, an owner is asked for again no sooner than this. */
const RETRY_MS = 5000

/** What the owner chain begins with. */
type OwnedPod = Pick<PodSnapshot, 'uid' | 'namespace' | 'name' | 'owner'>

interface Metadata {
  readonly metadata?: {
    readonly uid?: string
    readonly ownerReferences?: readonly (Partial<OwnerReference> & { readonly controller?: boolean })[]
  }
}

const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '')
const asWorkload = (owner: OwnerReference): Workload => ({
  kind: owner.kind,
  name: owner.name,
  uid: owner.uid,
  apiVersion: owner.apiVersion,
})

export interface WorkloadResolverOptions {
  readonly http: KubeHttp
  readonly log: Log
  readonly now?: () => number
}

export class WorkloadResolver {
  readonly #http: KubeHttp
  readonly #log: Log
  readonly #now: () => number
  /** By UID of the owner that a pod names; what was learnt first goes first. */
  readonly #cache = new Map<string, Workload>()
  readonly #asking = new Map<string, Promise<void>>()
  readonly #failed = new Map<string, number>()
  readonly #waiting: (() => void)[] = []
  #busy = 0
  #warned = false

  constructor(options: WorkloadResolverOptions) {
    this.#http = options.http
    this.#log = options.log
    this.#now = options.now ?? (() => performance.now())
  }

  /** At once, with what is known: the answer of an earlier look-up, or the pod's direct owner until there is one. */
  known(pod: OwnedPod): Workload {
    if (pod.owner === undefined) return { kind: 'Pod', name: pod.name, uid: pod.uid, apiVersion: 'v1' }
    return this.#cache.get(pod.owner.uid) ?? asWorkload(pod.owner)
  }

  /** True where known() is final. */
  settled(pod: OwnedPod): boolean {
    return pod.owner === undefined || !this.#between(pod.owner) || this.#cache.has(pod.owner.uid)
  }

  /**
   * Looks the owner up unless that was done. Called when a pod is first seen, since a Deployment and its ReplicaSet are gone before
   * their pods are. Never rejects: what cannot be found out leaves the direct owner.
   */
  async resolve(pod: OwnedPod): Promise<void> {
    const { owner } = pod
    if (owner === undefined || this.settled(pod)) return
    const failedAt = this.#failed.get(owner.uid)
    if (failedAt !== undefined && this.#now() - failedAt < RETRY_MS) return
    let asking = this.#asking.get(owner.uid)
    if (asking === undefined) {
      asking = this.#ask(owner, pod.namespace).finally(() => this.#asking.delete(owner.uid))
      this.#asking.set(owner.uid, asking)
    }
    await asking
  }

  #between(owner: OwnerReference): string | undefined {
    return BETWEEN[`${groupOf(owner.apiVersion)}/${owner.kind}`]
  }

  async #ask(owner: OwnerReference, namespace: string): Promise<void> {
    const path = this.#between(owner)
    if (path === undefined) return
    await this.#slot()
    try {
      const response = await this.#http.request({
        method: 'GET',
        path: `/${path.replace('{namespace}', namespace)}/${owner.name}`,
        accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
      })
      const { metadata } = response.json<Metadata>()
      // Another object under the same name is not the owner.
      const above =
        metadata?.uid === owner.uid ? metadata.ownerReferences?.find(({ controller }) => controller === true) : undefined
      const { apiVersion, kind, name, uid } = above ?? {}
      const complete = apiVersion !== undefined && kind !== undefined && name !== undefined && uid !== undefined
      this.#remember(owner.uid, complete ? { apiVersion, kind, name, uid } : asWorkload(owner))
    } catch (error) {
      const code = error instanceof KubeError ? error.code : 'BadResponse'
      if (code === 'NotFound') {
        this.#remember(owner.uid, asWorkload(owner))
        return
      }
      if (code === 'Forbidden' && !this.#warned) {
        this.#warned = true
        this.#log.warn({ kind: owner.kind, error: String(error) }, 'owner of pods may not be read, records name the direct owner')
      }
      if (this.#failed.size > MAX_CACHED) this.#failed.clear()
      this.#failed.set(owner.uid, this.#now())
    } finally {
      // A slot that is waited for goes on as it is, so that nobody takes it in between.
      const next = this.#waiting.shift()
      if (next === undefined) this.#busy--
      else next()
    }
  }

  #remember(uid: string, workload: Workload): void {
    this.#failed.delete(uid)
    this.#cache.set(uid, workload)
    if (this.#cache.size > MAX_CACHED) {
      const oldest = this.#cache.keys().next().value
      if (oldest !== undefined) this.#cache.delete(oldest)
    }
  }

  async #slot(): Promise<void> {
    if (this.#busy >= CONCURRENCY) return new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#busy++
  }
}
