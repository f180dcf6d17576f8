/** Which gates are a pod's, and which of two that want the same condition acts. */
import { matches, selectorProblem } from './selector.ts'
import type { Gate, GatePod } from './types.ts'

/** Whether the gate may have the pod at all; a selector that is wrong selects nothing. */
export function selects(gate: Gate, pod: Pick<GatePod, 'namespace' | 'labels'>): boolean {
  const { selector } = gate.spec
  return gate.namespace === pod.namespace && selectorProblem(selector) === undefined && matches(selector, pod.labels)
}

/** The older goes first; of the same second the one whose UID is smaller, so that every replica finds the same. */
function older(a: Gate, b: Gate): number {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp ? -1 : 1
  return a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0
}

export interface Acting {
  readonly gate: Gate
  /** Those that select the pod for the same condition and stand back. */
  readonly others: readonly Gate[]
}

/**
 * The gates that select a pod, by condition type. One that is being deleted acts only where no other is there for the condition: then it
 * releases the pod, or leaves it.
 */
export function actingOn(gates: Iterable<Gate>, pod: Pick<GatePod, 'namespace' | 'labels'>): ReadonlyMap<string, Acting> {
  const found = new Map<string, Gate[]>()
  for (const gate of gates) {
    if (!selects(gate, pod)) continue
    const same = found.get(gate.spec.conditionType)
    if (same === undefined) found.set(gate.spec.conditionType, [gate])
    else same.push(gate)
  }
  const acting = new Map<string, Acting>()
  for (const [type, all] of found) {
    const order = all.toSorted(older)
    const gate = order.find(({ deletionTimestamp }) => deletionTimestamp === undefined) ?? order[0]
    if (gate !== undefined) acting.set(type, { gate, others: order.filter((it) => it !== gate) })
  }
  return acting
}
