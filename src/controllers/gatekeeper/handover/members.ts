/** The pods of each workload in the namespaces that have a brake, terminated ones included until it is known how they ended. */
import type { OwnerReference, PodSnapshot } from '../../../core/evidence.ts'
import type { WorkloadPod } from '../../../core/gates/types.ts'
import { type Micros, parseTime } from '../../../core/time.ts'
import type { Change } from '../../../kube/reflector-types.ts'

export interface WorkloadPodFacts extends WorkloadPod {
  readonly namespace: string
  readonly owner?: OwnerReference
  readonly creationTimestamp?: string
}

export interface MembersOptions {
  readonly pods: () => Iterable<PodSnapshot>
  /** UID of the workload that the owner chain of the pod ends in, as far as it is known. */
  readonly workloadOf: (pod: PodSnapshot) => string
  /** Whether that is where the chain ends. */
  readonly settled: (pod: PodSnapshot) => boolean
  readonly now: () => Micros
  /** So long after its deadline the end of a pod is waited for. */
  readonly overdueSlack: Micros
}

/** As a person can write it: the hash that Deployment, StatefulSet and DaemonSet put on their pods, else the owner's UID. */
export function revisionOf({ gate, owner, uid }: Pick<PodSnapshot, 'gate' | 'owner' | 'uid'>): string {
  const labels = gate?.labels ?? {}
  return labels['pod-template-hash'] ?? labels['controller-revision-hash'] ?? owner?.uid ?? uid
}

export class Members {
  readonly #options: MembersOptions
  readonly #namespaces = new Set<string>()
  /** Pod UID -> pod; in namespaces that have a brake. */
  readonly #pods = new Map<string, { readonly snapshot: PodSnapshot; readonly facts: WorkloadPodFacts }>()

  constructor(options: MembersOptions) {
    this.#options = options
  }

  /** From now on the pods of this namespace are kept. */
  follow(namespace: string): void {
    if (this.#namespaces.has(namespace)) return
    this.#namespaces.add(namespace)
    for (const pod of this.#options.pods()) if (pod.namespace === namespace) this.#set(pod, false)
  }

  onPod({ type, object }: Change<PodSnapshot>): void {
    if (!this.#namespaces.has(object.namespace) || object.mirror === true) return
    this.#set(object, type === 'Deleted' || type === 'Vanished')
  }

  /** It is known how the pod ended. */
  verdict(uid: string): void {
    const known = this.#pods.get(uid)
    if (known !== undefined) this.#pods.set(uid, { ...known, facts: { ...known.facts, verdict: true } })
  }

  /** Pods of one workload. Those that are gone go from the list when their end is known, or is not waited for any more. */
  of(namespace: string, workloadUid: string): WorkloadPodFacts[] {
    const { workloadOf, now, overdueSlack } = this.#options
    const found: WorkloadPodFacts[] = []
    for (const [uid, { snapshot, facts }] of this.#pods) {
      if (facts.gone === true) {
        const late = now() >= (facts.terminating?.deadline ?? 0) + overdueSlack
        if (facts.verdict === true || late) {
          this.#pods.delete(uid)
          continue
        }
      }
      // The chain of owners may have become known since the pod was seen first.
      if (facts.namespace === namespace && workloadOf(snapshot) === workloadUid) found.push(facts)
    }
    return found
  }

  /** Of each owner of which it is not known what it belongs to, one pod. */
  unsettled(namespace: string): PodSnapshot[] {
    const found = new Map<string, PodSnapshot>()
    for (const { snapshot, facts } of this.#pods.values())
      if (facts.namespace === namespace && facts.owner !== undefined && !this.#options.settled(snapshot))
        found.set(facts.owner.uid, snapshot)
    return [...found.values()]
  }

  #set(pod: PodSnapshot, gone: boolean): void {
    const before = this.#pods.get(pod.uid)?.facts
    const deadline = deadlineOf(pod, this.#options.now())
    const over = pod.phase === 'Succeeded' || pod.phase === 'Failed'
    // It was never begun to end it, or it had ended by itself before: nothing is waited for.
    if (gone && (before?.verdict === true || (over && before?.terminating === undefined))) {
      this.#pods.delete(pod.uid)
      return
    }
    const terminating =
      gone || pod.deletionTimestamp !== undefined ? { deadline: before?.terminating?.deadline ?? deadline } : undefined
    this.#pods.set(pod.uid, {
      snapshot: pod,
      facts: {
        uid: pod.uid,
        name: pod.name,
        namespace: pod.namespace,
        revision: revisionOf(pod),
        ...(pod.owner === undefined ? {} : { owner: pod.owner }),
        ...(pod.creationTimestamp === undefined ? {} : { creationTimestamp: pod.creationTimestamp }),
        ...(terminating === undefined ? {} : { terminating }),
        ...(over && !gone && terminating === undefined ? { finished: true as const } : {}),
        ...(before?.verdict === true ? { verdict: true as const } : {}),
        ...(gone ? { gone: true as const } : {}),
      },
    })
  }
}

/** deletionTimestamp is when SIGKILL is due; without one the pod went at once. */
const deadlineOf = ({ deletionTimestamp }: PodSnapshot, now: Micros): Micros => parseTime(deletionTimestamp) ?? now
