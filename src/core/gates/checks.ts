/** The check that follows from the pod alone. */
import type { AnnotationCheck } from '../../api/pod-readiness-gate.ts'
import { cut } from './text.ts'
import type { CheckResult, GatePod } from './types.ts'

export function annotationResult({ key, value }: AnnotationCheck, { annotations }: Pick<GatePod, 'annotations'>): CheckResult {
  const found = Object.hasOwn(annotations, key) ? annotations[key] : undefined
  if (found === value) return { state: 'Pass', reason: 'AnnotationFound', message: `${key} is ${JSON.stringify(value)}` }
  const is = found === undefined ? 'is not there' : `is ${JSON.stringify(cut(found, 64))}`
  return { state: 'Fail', reason: 'AnnotationMissing', message: `${key} ${is} and has to be ${JSON.stringify(value)}` }
}
