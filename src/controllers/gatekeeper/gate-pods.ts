/** The pods as the gates see them: by namespace, and with the conditions that were written but have not come back by the watch yet. */
import type { PodSnapshot } from '../../core/evidence.ts'
import type { Condition, GatePart, GatePod } from '../../core/gates/types.ts'
import type { Change } from '../../kube/reflector-types.ts'
import { isOlder } from '../../kube/store.ts'

interface Written {
  /** Of the pod that has the condition. */
  readonly resourceVersion: string
  readonly condition: Condition
}

const EMPTY: GatePart = {
  labels: {},
  annotations: {},
  readinessGates: [],
  conditions: [],
  hostIPs: [],
  hostNetwork: false,
  ports: {},
}

export class GatePods {
  readonly #byNamespace = new Map<string, Map<string, PodSnapshot>>()
  /** By pod UID and condition type. */
  readonly #written = new Map<string, Map<string, Written>>()

  /** @returns the pod before the change, where one was known */
  onPod({ type, object }: Change<PodSnapshot>): GatePod | undefined {
    const pods = this.#byNamespace.get(object.namespace)
    const before = pods?.get(object.uid)
    if (type === 'Deleted' || type === 'Vanished') {
      pods?.delete(object.uid)
      if (pods?.size === 0) this.#byNamespace.delete(object.namespace)
      this.#written.delete(object.uid)
    } else if (pods === undefined) this.#byNamespace.set(object.namespace, new Map([[object.uid, object]]))
    else pods.set(object.uid, object)
    return before === undefined ? undefined : toGatePod(before)
  }

  /** Mirrors of static pods are left out: their kubelet knows them from a file. */
  get(namespace: string, uid: string): GatePod | undefined {
    const pod = this.#byNamespace.get(namespace)?.get(uid)
    return pod === undefined || pod.mirror === true ? undefined : this.#withWritten(toGatePod(pod))
  }

  *in(namespace: string): Generator<GatePod> {
    for (const pod of this.#byNamespace.get(namespace)?.values() ?? [])
      if (pod.mirror !== true) yield this.#withWritten(toGatePod(pod))
  }

  *all(): Generator<GatePod> {
    for (const namespace of this.#byNamespace.keys()) yield* this.in(namespace)
  }

  /** The API server has taken a condition: until the watch shows it, the pod is seen with it. */
  wrote(pod: GatePod, resourceVersion: string, condition: Condition): void {
    // It may have gone meanwhile.
    if (this.#byNamespace.get(pod.namespace)?.has(pod.uid) !== true) return
    let written = this.#written.get(pod.uid)
    if (written === undefined) {
      written = new Map()
      this.#written.set(pod.uid, written)
    }
    written.set(condition.type, { resourceVersion, condition })
  }

  #withWritten(pod: GatePod): GatePod {
    const written = this.#written.get(pod.uid)
    if (written === undefined) return pod
    const conditions = new Map(pod.conditions.map((condition) => [condition.type, condition]))
    for (const [type, { resourceVersion, condition }] of written) {
      if (isOlder(pod.resourceVersion, resourceVersion)) conditions.set(type, condition)
      else written.delete(type)
    }
    if (written.size === 0) this.#written.delete(pod.uid)
    return { ...pod, conditions: [...conditions.values()] }
  }
}

function toGatePod(pod: PodSnapshot): GatePod {
  const { uid, namespace, name, resourceVersion, phase, generation, deletionTimestamp, owner } = pod
  return {
    ...(pod.gate ?? EMPTY),
    uid,
    namespace,
    name,
    resourceVersion,
    phase,
    ...(generation === undefined ? {} : { generation }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(owner === undefined ? {} : { owner }),
    incarnation: incarnationOf(pod),
  }
}

/** Without those that a person has added to look into the pod (kubectl debug): they are none of what it serves with. */
function incarnationOf({ containers, statuses }: PodSnapshot): string {
  const added = new Set(containers.flatMap(({ name, role }) => (role === 'Ephemeral' ? [name] : [])))
  return statuses.flatMap(({ name, restartCount }) => (added.has(name) ? [] : [`${name}:${restartCount}`])).join(' ')
}

/** The kubelet heeds the condition no more. */
export const isOver = ({ phase, deletionTimestamp }: GatePod): boolean =>
  deletionTimestamp !== undefined || phase === 'Succeeded' || phase === 'Failed'
