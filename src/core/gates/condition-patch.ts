/** From what the condition should be to what is written, which is nothing where it is so already. */
import type { Micros } from '../time.ts'
import { conditionOf } from './decide.ts'
import { wholeSeconds } from './text.ts'
import type { Condition, GatePod, Verdict } from './types.ts'

/** A strategic merge patch of pods/status: its conditions merge by type, so no other is touched. The UID makes it this pod's or a Conflict. */
export interface ConditionPatch {
  readonly metadata: { readonly uid: string }
  readonly status: { readonly conditions: readonly [Condition] }
}

/**
 * @param now on the API server's clock: the time of the flip, where it is one
 * @returns undefined where status, reason and message are the same, or the pod is being deleted: the kubelet then takes no notice
 */
export function conditionPatch(pod: GatePod, type: string, verdict: Verdict, now: Micros): ConditionPatch | undefined {
  if (pod.deletionTimestamp !== undefined) return undefined
  const current = conditionOf(pod, type)
  const { status, reason, message } = verdict
  if (current !== undefined && current.status === status && current.reason === reason && current.message === message)
    return undefined
  const flips = current?.status !== status
  const lastTransitionTime = flips ? wholeSeconds(now) : current?.lastTransitionTime
  return {
    metadata: { uid: pod.uid },
    status: {
      conditions: [
        {
          type,
          status,
          reason,
          message,
          ...(lastTransitionTime === undefined ? {} : { lastTransitionTime }),
          ...(pod.generation === undefined ? {} : { observedGeneration: pod.generation }),
        },
      ],
    },
  }
}
