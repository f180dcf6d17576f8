/** What a gate's condition on a pod should be, from what its checks found. */
import { parseDuration } from '../duration.ts'
import { formatTime, type Micros, parseTime, SECOND } from '../time.ts'
import type { CheckKind, CheckResult, Condition, Gate, GatePod, Verdict } from './types.ts'

/** Set by a person or a controller before it deletes the pod: the pod leaves rotation while it still serves. */
export const DRAIN = 'gracewatch.dev/drain'
const FAIL_OPEN_AFTER: Micros = 600 * SECOND
/** The API's limit is 32 KiB; this is as much as a person reads. */
const MAX_MESSAGE = 1024

export interface CheckedResult extends CheckResult {
  readonly kind: CheckKind
}

export const conditionOf = (pod: Pick<GatePod, 'conditions'>, type: string): Condition | undefined =>
  pod.conditions.find((condition) => condition.type === type)

/**
 * - The pod is drained: False.
 * - A check fails: False, with the first that does; the message counts the others.
 * - None fails, but one cannot be evaluated: a condition that is True stays True, for nobody knows anything against the pod. Another is
 *   Unknown, and True once it has been so for failOpenAfter, by its own lastTransitionTime: that outlives the controller.
 * - All pass: True.
 *
 * @param now on the API server's clock, as lastTransitionTime is
 */
export function decide(gate: Gate, pod: GatePod, results: readonly CheckedResult[], now: Micros): Verdict {
  const current = conditionOf(pod, gate.spec.conditionType)
  const recheckAt = earliest(results.map((result) => result.recheckAt))
  const verdict = (status: Verdict['status'], reason: string, message: string, again = recheckAt): Verdict => ({
    status,
    reason,
    message: message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE - 1)}…`,
    ...(again === undefined ? {} : { recheckAt: again }),
  })

  const drain = Object.hasOwn(pod.annotations, DRAIN) ? pod.annotations[DRAIN] : undefined
  if (drain !== undefined && drain !== 'false')
    return verdict('False', 'Draining', `the annotation ${DRAIN} takes the pod out of rotation; remove it to let the pod back in`)

  const failing = results.filter(({ state }) => state === 'Fail')
  const [failed] = failing
  if (failed !== undefined) return verdict('False', failed.reason, `${failed.kind}: ${failed.message}${more(failing)}`)

  const open = results.filter(({ state }) => state === 'Unknown')
  const [unknown] = open
  if (unknown === undefined) return verdict('True', 'ChecksPassed', passed(results))
  const what = `${unknown.kind}: ${unknown.message}${more(open)}`
  if (current?.status === 'True') {
    // Failed open, and still nobody can tell: it says so as long as that is so.
    const reason = current.reason === 'FailedOpen' ? 'FailedOpen' : unknown.reason
    return verdict('True', reason, `stays True, since it cannot be evaluated: ${what}`)
  }
  const after = failOpenAfter(gate)
  const since = current?.status === 'Unknown' ? parseTime(current.lastTransitionTime) : now
  if (after === undefined || since === undefined) return verdict('Unknown', unknown.reason, what)
  if (now - since < after) {
    const at = since + after
    return verdict(
      'Unknown',
      unknown.reason,
      `${what}; the gate opens at ${clock(since + after)} if it is so until then`,
      earliest([recheckAt, at]),
    )
  }
  return verdict('True', 'FailedOpen', `stays True, since it cannot be evaluated: ${what}`)
}

/** undefined: never. */
function failOpenAfter({ spec }: Gate): Micros | undefined {
  if (spec.failOpenAfter === 'Never') return undefined
  return spec.failOpenAfter === undefined ? FAIL_OPEN_AFTER : (parseDuration(spec.failOpenAfter) ?? FAIL_OPEN_AFTER)
}

const clock = (at: Micros): string => `${formatTime(at).slice(11, 19)} UTC`

const more = (results: readonly CheckedResult[]): string =>
  results.length < 2 ? '' : ` (so it is with ${results.length - 1} more of the checks)`

const passed = (results: readonly CheckedResult[]): string => results.map(({ kind, message }) => `${kind}: ${message}`).join('; ')

export const earliest = (times: readonly (Micros | undefined)[]): Micros | undefined => {
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}
