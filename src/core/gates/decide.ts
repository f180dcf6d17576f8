/** What a gate's condition on a pod should be, from what its checks found. */
import { parseDuration } from '../duration.ts'
import { type Micros, parseTime, SECOND } from '../time.ts'
import { cut, moment } from './text.ts'
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
 * @returns undefined while a check has not been looked at, and none fails: the condition stays as it is
 */
export function decide(gate: Gate, pod: GatePod, results: readonly CheckedResult[], now: Micros): Verdict | undefined {
  const current = conditionOf(pod, gate.spec.conditionType)
  const recheckAt = earliest(results.map((result) => result.recheckAt))
  const verdict = (status: Verdict['status'], reason: string, message: string, again = recheckAt): Verdict => ({
    status,
    reason,
    message: cut(message, MAX_MESSAGE),
    ...(again === undefined ? {} : { recheckAt: again }),
  })

  const drain = Object.hasOwn(pod.annotations, DRAIN) ? pod.annotations[DRAIN] : undefined
  if (drain !== undefined && drain !== 'false')
    return verdict('False', 'Draining', `the annotation ${DRAIN} takes the pod out of rotation; remove it to let the pod back in`)

  const failing = results.filter(({ state, pending }) => state === 'Fail' && pending !== true)
  const [failed] = failing
  if (failed !== undefined) return verdict('False', failed.reason, `${failed.kind}: ${failed.message}${more(failing)}`)

  // A controller that has just begun rewrites nothing before it knows better.
  if (results.some(({ pending }) => pending === true)) return undefined
  const open = results.filter(({ state }) => state === 'Unknown')
  const [unknown] = open
  if (unknown === undefined) {
    const stands = current?.status === 'True' && current.reason === 'ChecksPassed' && results.some(({ kept }) => kept === true)
    return verdict('True', 'ChecksPassed', (stands ? current.message : undefined) ?? passed(results))
  }
  const what = `${unknown.kind}: ${unknown.message}${more(open)}`
  const since = sinceOf(current, now)
  const stays = `cannot be evaluated since ${moment(since)} and stays True: ${what}`
  // Failed open, and still nobody can tell: it says so as long as that is so.
  if (current?.status === 'True') return verdict('True', current.reason === 'FailedOpen' ? 'FailedOpen' : unknown.reason, stays)
  const after = failOpenAfter(gate)
  if (after === undefined) return verdict('Unknown', unknown.reason, what)
  const opensAt = since + after
  if (now >= opensAt) return verdict('True', 'FailedOpen', stays)
  const until = `; if nothing changes, the gate opens at ${moment(opensAt)}`
  return verdict('Unknown', unknown.reason, `${what}${until}`, earliest([recheckAt, opensAt]))
}

const SINCE = /^cannot be evaluated since (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/

/** Since when nobody can tell: of an Unknown its lastTransitionTime; a condition that has stayed True says it in its message. */
function sinceOf(current: Condition | undefined, now: Micros): Micros {
  if (current?.status === 'Unknown') return parseTime(current.lastTransitionTime) ?? now
  const [, date, time] = (current?.status === 'True' ? SINCE.exec(current.message ?? '') : undefined) ?? []
  return date === undefined ? now : (parseTime(`${date}T${time}Z`) ?? now)
}

/** undefined: never. */
function failOpenAfter({ spec }: Gate): Micros | undefined {
  if (spec.failOpenAfter === 'Never') return undefined
  return spec.failOpenAfter === undefined ? FAIL_OPEN_AFTER : (parseDuration(spec.failOpenAfter) ?? FAIL_OPEN_AFTER)
}

const more = (results: readonly CheckedResult[]): string =>
  results.length < 2 ? '' : ` (so it is with ${results.length - 1} more of the checks)`

const passed = (results: readonly CheckedResult[]): string => results.map(({ kind, message }) => `${kind}: ${message}`).join('; ')

export const earliest = (times: readonly (Micros | undefined)[]): Micros | undefined => {
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}
