/** Checks that follow from objects alone. */
import type { AnnotationCheck, ConditionCheck } from '../../api/pod-readiness-gate.ts'
import type { CheckResult, GatePod } from './types.ts'

export function annotationResult({ key, value }: AnnotationCheck, { annotations }: Pick<GatePod, 'annotations'>): CheckResult {
  const found = Object.hasOwn(annotations, key) ? annotations[key] : undefined
  if (found === value) return { state: 'Pass', reason: 'AnnotationFound', message: `${key} is ${JSON.stringify(value)}` }
  const is = found === undefined ? 'is not there' : `is ${JSON.stringify(shorten(found))}`
  return { state: 'Fail', reason: 'AnnotationMissing', message: `${key} ${is} and has to be ${JSON.stringify(value)}` }
}

/** What is known of the object that a condition is looked for on. */
export type Target =
  | {
      readonly state: 'Found'
      readonly conditions: readonly { readonly type: string; readonly status: string; readonly reason?: string }[]
    }
  /** Not there, not to be read, or not yet looked at: nobody can tell. */
  | { readonly state: 'Missing'; readonly reason: string; readonly message: string }

export function conditionResult(check: ConditionCheck, target: Target): CheckResult {
  if (target.state === 'Missing') return { state: 'Unknown', reason: target.reason, message: target.message }
  const { kind, name, type, status } = check
  const found = target.conditions.find((condition) => condition.type === type)
  const what = `${kind} ${name}`
  if (found?.status === status) return { state: 'Pass', reason: 'ConditionFound', message: `${what} has ${type}=${status}` }
  const why = found?.reason === undefined || found.reason === '' ? '' : ` (${shorten(found.reason)})`
  const is = found === undefined ? `does not have the condition ${type} yet` : `has ${type}=${found.status}${why}`
  return { state: 'Fail', reason: 'ConditionMissing', message: `${what} ${is} and has to have ${type}=${status}` }
}

/** @param services those whose selector selects the pod, and whether one of their EndpointSlices has it, ready or not */
export function endpointsResult(services: readonly { readonly name: string; readonly published: boolean }[]): CheckResult {
  if (services.length === 0) return { state: 'Pass', reason: 'NoService', message: 'no Service selects the pod' }
  const missing = services
    .filter(({ published }) => !published)
    .map(({ name }) => name)
    .toSorted()
  const names = services.map(({ name }) => name).toSorted()
  if (missing.length === 0)
    return { state: 'Pass', reason: 'Published', message: `the EndpointSlices of ${list(names)} have the pod` }
  return {
    state: 'Fail',
    reason: 'NotPublished',
    message: `no EndpointSlice of ${list(missing)} has the pod yet`,
  }
}

const list = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
const shorten = (text: string): string => (text.length <= 64 ? text : `${text.slice(0, 63)}…`)
