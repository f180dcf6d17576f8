/** Which nodes have an agent that works, as the pods of its namespace tell. */
import type { PodSnapshot } from '../../core/evidence.ts'
import type { Micros } from '../../core/time.ts'
import type { Change } from '../../kube/reflector-types.ts'

/** Name of the agent's container (deploy/agent/daemonset.yaml): its namespace may hold other pods, as those of an injected proxy's jobs. */
const CONTAINER = 'agent'
/** Nodes that had an agent once are forgotten past this number. */
const MAX_LEFT = 5000

export class AgentNodes {
  readonly #namespace: string
  /** Node -> UIDs of its Ready agents; two at a time while one takes over from another. */
  readonly #ready = new Map<string, Set<string>>()
  /** Node -> when its last Ready agent went. */
  readonly #left = new Map<string, Micros>()

  /** @param namespace the agent's own */
  constructor(namespace: string) {
    this.#namespace = namespace
  }

  onPod({ type, object, arrivedAt }: Change<PodSnapshot>): void {
    const { namespace, nodeName, uid, conditions, containers } = object
    if (namespace !== this.#namespace || nodeName === undefined || !containers.some(({ name }) => name === CONTAINER)) return
    const gone = type === 'Deleted' || type === 'Vanished'
    const ready = !gone && conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True')
    const agents = this.#ready.get(nodeName)
    if (ready) {
      if (agents === undefined) this.#ready.set(nodeName, new Set([uid]))
      else agents.add(uid)
      return
    }
    if (agents?.delete(uid) !== true || agents.size > 0) return
    this.#ready.delete(nodeName)
    this.#left.delete(nodeName)
    this.#left.set(nodeName, arrivedAt)
    const [oldest] = this.#left.keys()
    if (this.#left.size > MAX_LEFT && oldest !== undefined) this.#left.delete(oldest)
  }

  /** Whether an agent was Ready there at some time from `since` on. */
  has(node: string | undefined, since: Micros): boolean {
    if (node === undefined) return false
    return this.#ready.has(node) || (this.#left.get(node) ?? Number.NEGATIVE_INFINITY) >= since
  }

  /** Nodes that have one now. */
  get size(): number {
    return this.#ready.size
  }
}
