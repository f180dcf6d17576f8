import type { CheckResult, Gate, GatePod } from '../../core/gates/types.ts'
import type { Micros } from '../../core/time.ts'

/** Whom a checker tells, by UID: that the result for a pod, or what is said of a gate as a whole, may be another one. */
export interface Changed {
  readonly pod: (uid: string) => void
  readonly gate: (uid: string) => void
}

/**
 * What finds out whether one kind of check passes. It looks (polls, watches) by itself for the pods that it has been asked for, and tells
 * when the answer may be another one.
 */
export interface Checker<Check> {
  /** What is found now; begins to look where that has not begun. Never throws: what goes wrong is Unknown, with its reason. */
  result(gate: Gate, check: Check, pod: GatePod, now: Micros): CheckResult
  /** The pod is gone, or the gate, or it does not select the pod any more: nobody needs to look. */
  forget(gateUid: string, podUid: string): void
  /** The gate has changed: what its checks no longer ask for needs nobody to look. */
  changed?(gate: Gate): void
  /** What only concerns the gate as a whole, as sentences for its status (no permission, a port that no pod has). */
  problems(gateUid: string): readonly string[]
  stop(): Promise<void>
}
