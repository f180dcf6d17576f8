/** What a gate says of itself: how its pods are, and what only the controller can see. */
import { type GateCondition, type GateStatus, MAX_HOLDS, type StoredHold } from '../../api/pod-readiness-gate.ts'
import type { Micros } from '../time.ts'
import { conditionOf } from './decide.ts'
import { selectorProblem } from './selector.ts'
import { cut, wholeSeconds } from './text.ts'
import type { Gate, GatePod } from './types.ts'

/** Bounds of the schema: a status over them would be refused as a whole. */
const MAX_MESSAGE = 2048
const MAX_HOLD_MESSAGE = 1024

export interface GateFacts {
  /** Pods that it selects, neither ended nor being deleted. */
  readonly pods: readonly GatePod[]
  /** Names of gates that select some of the same pods for the same condition, and whether this one acts. */
  readonly conflicts: readonly { readonly name: string; readonly acts: boolean }[]
  /** Sentences of the checkers about the gate as a whole, and of refused writes. */
  readonly problems: readonly string[]
  readonly holds: readonly StoredHold[]
  /** Whether the API server can add the condition to new pods; undefined where the gate does not ask for it or nobody knows. */
  readonly canInject: boolean | undefined
}

/** @returns the status, with the times of those conditions kept that are as they were */
export function statusOf(gate: Gate, facts: GateFacts, now: Micros): GateStatus {
  const { conditionType, inject } = gate.spec
  const named = facts.pods.filter(({ readinessGates }) => readinessGates.includes(conditionType))
  const having = (status: string) => named.filter((pod) => conditionOf(pod, conditionType)?.status === status)
  const [passing, unknown] = [having('True').length, having('Unknown').length]
  const held = named.filter((pod) => {
    const condition = conditionOf(pod, conditionType)
    return condition?.status === 'False' && condition.reason === 'RolloutHeld'
  }).length
  const withoutGate = facts.pods.length - named.length
  const holding = facts.holds.filter(({ releasedAt }) => releasedAt === undefined)

  const conditions: GateCondition[] = []
  const say = (type: GateCondition['type'], status: GateCondition['status'], reason: string, message: string) => {
    const before = gate.status?.conditions?.find((condition) => condition.type === type)
    const kept = before?.status === status ? before.lastTransitionTime : undefined
    conditions.push({
      type,
      status,
      reason,
      message: cut(message, MAX_MESSAGE),
      lastTransitionTime: kept ?? wholeSeconds(now),
      observedGeneration: gate.generation,
    })
  }

  const problem = selectorProblem(gate.spec.selector)
  if (problem === undefined) say('Accepted', 'True', 'Accepted', 'the gate acts on the pods that it selects')
  else say('Accepted', 'False', 'InvalidSelector', `${problem}; the gate selects no pod`)
  if (facts.conflicts.length > 0) {
    const acts = facts.conflicts.every((conflict) => conflict.acts)
    const names = facts.conflicts.map(({ name }) => name).toSorted()
    say(
      'Conflicting',
      'True',
      acts ? 'OlderGateActs' : 'YoungerGateWaits',
      `${names.join(', ')} ${names.length === 1 ? 'selects' : 'select'} some of the same pods for ${conditionType}: ` +
        `the older gate acts${acts ? ', which is this one' : ', which is not this one'}. Let one of them have another conditionType, or another selector`,
    )
  }
  if (facts.problems.length > 0)
    say('Evaluable', 'False', 'CheckNotEvaluable', [...new Set(facts.problems)].toSorted().join('; '))
  else say('Evaluable', 'True', 'Evaluable', 'what the checks look at can be looked at')
  if (gate.spec.checks.some(({ handover }) => handover !== undefined)) {
    const [first] = holding
    if (first === undefined) say('Holding', 'False', 'NotHolding', 'no rollout is held')
    else say('Holding', 'True', 'RolloutHeld', holding.map(({ message = '' }) => message).join('; '))
  }
  injecting()

  return {
    observedGeneration: gate.generation,
    matched: facts.pods.length,
    passing,
    // Without a condition the kubelet takes it for False.
    failing: named.length - passing - unknown,
    unknown,
    withoutGate,
    holding: held,
    ...(facts.holds.length === 0 ? {} : { holds: storable(facts.holds) }),
    conditions,
  }

  function injecting(): void {
    const template = `name ${conditionType} in spec.readinessGates of the pod template`
    const lacking = withoutGate === 1 ? '1 pod that the gate selects does' : `${withoutGate} pods that the gate selects do`
    if (!inject) {
      if (withoutGate > 0) say('Injecting', 'False', 'NotAsked', `${lacking} not name the condition: ${template}, or set inject`)
      return
    }
    if (facts.canInject === false) {
      say('Injecting', 'False', 'NotSupported', `this API server has no MutatingAdmissionPolicies (Kubernetes 1.36): ${template}`)
      return
    }
    if (withoutGate > 0)
      say(
        'Injecting',
        'False',
        'PodsWithoutGate',
        `${lacking} not name the condition: those that were there before the gate have to be made anew; of newer ones, look whether the policy of deploy/gates is installed`,
      )
    else say('Injecting', 'True', 'Injecting', 'new pods get the condition into spec.readinessGates')
  }
}

/** Those that hold first, the youngest of them too: one that is not stored begins anew with the next leader. */
function storable(holds: readonly StoredHold[]): StoredHold[] {
  const released = ({ releasedAt }: StoredHold) => (releasedAt === undefined ? 0 : 1)
  return holds
    .toSorted((a, b) => released(a) - released(b) || (a.since < b.since ? 1 : a.since > b.since ? -1 : 0))
    .slice(0, MAX_HOLDS)
    .map((hold) => (hold.message === undefined ? hold : { ...hold, message: cut(hold.message, MAX_HOLD_MESSAGE) }))
}

/** Whether a write of the status would change anything. */
export function sameStatus(a: GateStatus | undefined, b: GateStatus): boolean {
  return a !== undefined && JSON.stringify(ordered(a)) === JSON.stringify(ordered(b))
}

/** The API server gives the fields back in another order. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, ordered(item)]),
  )
}
