/** Which revision of a workload is the newer one: numbers that its controller keeps, read once for each new pod of a revision. */
import { parseTime } from '../../../core/time.ts'
import { KubeError } from '../../../kube/errors.ts'
import type { KubeHttp } from '../../../kube/http.ts'
import type { WorkloadPodFacts } from './members.ts'

/** Where the controllers of ReplicaSets write it. A rollback gives an old ReplicaSet a new number. */
const REVISION_ANNOTATIONS = ['deployment.kubernetes.io/revision', 'rollout.argoproj.io/revision']
/** After a failure, no sooner than this. */
const RETRY_MS = 5000
const MAX_REVISIONS = 10_000

interface Known {
  readonly rank: number
  /** Pods that were there when it was read: one that has come since may be of a rollback. */
  readonly pods: ReadonlySet<string>
}

export class Revisions {
  readonly #http: KubeHttp
  readonly #onRead: (workloadUid: string) => void
  /** By workload UID and revision. */
  readonly #known = new Map<string, Known>()
  readonly #reading = new Set<string>()
  readonly #failed = new Map<string, { readonly at: number; readonly problem: string }>()

  /** @param onRead the order is known, or the reason why it is not */
  constructor(http: KubeHttp, onRead: (workloadUid: string) => void) {
    this.#http = http
    this.#onRead = onRead
  }

  /** The order of the revisions of these pods, or why it is not known; `pending`: it is being read. Begins to read what is missing. */
  of(
    workloadUid: string,
    pods: readonly WorkloadPodFacts[],
  ): { readonly ranks: ReadonlyMap<string, number> } | { readonly problem: string; readonly pending: boolean } {
    const ranks = new Map<string, number>()
    let pending = false
    let problem: string | undefined
    const revisions = Map.groupBy(pods, (pod) => pod.revision)
    // Nothing to put in order: a workload that is not rolling out costs no request, however often it is scaled.
    if (revisions.size < 2) return { ranks }
    for (const [revision, members] of revisions) {
      const key = `${workloadUid}/${revision}`
      const known = this.#known.get(key)
      if (known !== undefined && members.every(({ uid }) => known.pods.has(uid))) {
        ranks.set(revision, known.rank)
        continue
      }
      const failed = this.#failed.get(key)
      if (failed !== undefined && performance.now() - failed.at < RETRY_MS) problem = failed.problem
      else {
        pending = true
        void this.#read(key, workloadUid, members)
      }
    }
    if (problem !== undefined) return { problem, pending: false }
    return pending ? { problem: 'the order of the revisions is being read', pending } : { ranks }
  }

  async #read(key: string, workloadUid: string, members: readonly WorkloadPodFacts[]): Promise<void> {
    if (this.#reading.has(key)) return
    this.#reading.add(key)
    try {
      const rank = await this.#rank(members)
      if (this.#known.size >= MAX_REVISIONS) this.#known.clear()
      this.#known.set(key, { rank, pods: new Set(members.map(({ uid }) => uid)) })
      this.#failed.delete(key)
    } catch (error) {
      if (this.#failed.size >= MAX_REVISIONS) this.#failed.clear()
      const problem = `the order of the revisions cannot be read: ${error instanceof Error ? error.message : String(error)}`
      this.#failed.set(key, { at: performance.now(), problem })
    } finally {
      this.#reading.delete(key)
      this.#onRead(workloadUid)
    }
  }

  async #rank(members: readonly WorkloadPodFacts[]): Promise<number> {
    const [pod] = members
    const owner = pod?.owner
    if (pod !== undefined && owner?.apiVersion.startsWith('apps/') === true) {
      if (owner.kind === 'ReplicaSet') return this.#ofReplicaSet(pod.namespace, owner)
      if (owner.kind === 'StatefulSet') return this.#ofControllerRevision(pod.namespace, pod.revision)
      if (owner.kind === 'DaemonSet') return this.#ofControllerRevision(pod.namespace, `${owner.name}-${pod.revision}`)
    }
    // Nobody keeps a number: the revision whose pods came last.
    return Math.min(...members.map(({ creationTimestamp }) => parseTime(creationTimestamp) ?? 0))
  }

  async #ofReplicaSet(namespace: string, owner: { readonly name: string; readonly uid: string }): Promise<number> {
    const { metadata = {} } = await this.#get<{ metadata?: Metadata }>(
      `/apis/apps/v1/namespaces/${namespace}/replicasets/${owner.name}`,
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    )
    for (const annotation of REVISION_ANNOTATIONS) {
      const number = Number(metadata.annotations?.[annotation])
      if (Number.isSafeInteger(number) && number > 0) return number
    }
    return parseTime(metadata.creationTimestamp) ?? 0
  }

  async #ofControllerRevision(namespace: string, name: string): Promise<number> {
    const { revision = 0 } = await this.#get<{ revision?: number }>(
      `/apis/apps/v1/namespaces/${namespace}/controllerrevisions/${name}`,
    )
    return revision
  }

  /** What is gone is older than all that is there. */
  async #get<T extends object>(path: string, accept = 'application/json'): Promise<Partial<T>> {
    try {
      return (await this.#http.request({ method: 'GET', path, accept })).json<Partial<T>>()
    } catch (error) {
      if (error instanceof KubeError && error.code === 'NotFound') return {}
      throw error
    }
  }
}

interface Metadata {
  readonly creationTimestamp?: string
  readonly annotations?: Readonly<Record<string, string>>
}
