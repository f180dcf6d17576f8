/** The pods of each workload in the namespaces that have a brake, terminated ones included until it is known how they ended. */
import type { OwnerReference, PodSnapshot } from '../../../core/evidence.ts'
import type { WorkloadPod } from '../../../core/gates/types.ts'
import { type Micros, parseTime, SECOND } from '../../../core/time.ts'
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

interface Member {
  readonly snapshot: PodSnapshot
  readonly facts: WorkloadPodFacts
}

export class Members {
  readonly #options: MembersOptions
  /** Namespaces that have a brake -> UID of the owner (of the pod, where it has none) -> pod UID: a workload has few owners, and many pods. */
  readonly #namespaces = new Map<string, Map<string, Map<string, Member>>>()

  constructor(options: MembersOptions) {
    this.#options = options
  }

  /** From now on the pods of this namespace are kept. */
  follow(namespace: string): void {
    if (this.#namespaces.has(namespace)) return
    this.#namespaces.set(namespace, new Map())
    for (const pod of this.#options.pods()) if (pod.namespace === namespace && pod.mirror !== true) this.#set(pod, false)
  }

  onPod({ type, object }: Change<PodSnapshot>): void {
    if (!this.#namespaces.has(object.namespace) || object.mirror === true) return
    this.#set(object, type === 'Deleted' || type === 'Vanished')
  }

  /** It is known how the pod ended. */
  verdict(namespace: string, uid: string): void {
    for (const pods of this.#namespaces.get(namespace)?.values() ?? []) {
      const known = pods.get(uid)
      if (known === undefined) continue
      pods.set(uid, { ...known, facts: { ...known.facts, verdict: true } })
      return
    }
  }

  /** Pods of one workload. Those that are gone go from the list when their end is known, or is not waited for any more. */
  of(namespace: string, workloadUid: string): WorkloadPodFacts[] {
    const found: WorkloadPodFacts[] = []
    for (const pods of this.#namespaces.get(namespace)?.values() ?? []) {
      const [first] = pods.values()
      // The chain of owners may have become known since the pod was seen first.
      if (first === undefined || this.#options.workloadOf(first.snapshot) !== workloadUid) continue
      for (const [uid, { snapshot, facts }] of pods) {
        if (this.#isPast(facts)) this.#remove(snapshot, uid)
        else found.push(facts)
      }
    }
    return found
  }

  /** Of each owner of which it is not known what it belongs to, one pod. */
  unsettled(namespace: string): PodSnapshot[] {
    const found: PodSnapshot[] = []
    for (const pods of this.#namespaces.get(namespace)?.values() ?? []) {
      const [first] = pods.values()
      if (first?.facts.owner !== undefined && !this.#options.settled(first.snapshot)) found.push(first.snapshot)
    }
    return found
  }

  #isPast({ gone, verdict, terminating }: WorkloadPodFacts): boolean {
    const { now, overdueSlack } = this.#options
    return gone === true && (verdict === true || now() >= (terminating?.deadline ?? 0) + overdueSlack)
  }

  #set(pod: PodSnapshot, gone: boolean): void {
    const owners = this.#namespaces.get(pod.namespace)
    if (owners === undefined) return
    const key = ownerOf(pod)
    const pods = owners.get(key)
    const before = pods?.get(pod.uid)?.facts
    const over = pod.phase === 'Succeeded' || pod.phase === 'Failed'
    // It was never begun to end it, or it had ended by itself before: nothing is waited for.
    if (gone && (before?.verdict === true || (over && before?.terminating === undefined))) {
      this.#remove(pod, pod.uid)
      return
    }
    const terminating =
      gone || pod.deletionTimestamp !== undefined ? (before?.terminating ?? terminatingOf(pod, this.#options.now())) : undefined
    const member: Member = {
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
    }
    if (pods === undefined) owners.set(key, new Map([[pod.uid, member]]))
    else pods.set(pod.uid, member)
  }

  #remove(pod: PodSnapshot, uid: string): void {
    const owners = this.#namespaces.get(pod.namespace)
    const key = ownerOf(pod)
    const pods = owners?.get(key)
    pods?.delete(uid)
    if (pods?.size === 0) owners?.delete(key)
  }
}

const ownerOf = ({ owner, uid }: PodSnapshot): string => owner?.uid ?? uid

/** deletionTimestamp is when SIGKILL is due, the grace period after the request; without one the pod went at once. */
function terminatingOf({ deletionTimestamp, deletionGracePeriodSeconds = 0 }: PodSnapshot, now: Micros) {
  const deadline = parseTime(deletionTimestamp) ?? now
  return { since: deadline - deletionGracePeriodSeconds * SECOND, deadline }
}
