/** Label selectors as the API server reads them (metav1.LabelSelector): all requirements have to hold, an empty one selects everything. */
import type { LabelSelector } from '../../api/pod-readiness-gate.ts'

type Labels = Readonly<Record<string, string>>

export function matches(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector
  for (const [key, value] of Object.entries(matchLabels)) if (labelOf(labels, key) !== value) return false
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labelOf(labels, key)
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      // A key that is absent has none of the values.
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      default:
        return false
    }
  })
}

/** Of the labels alone: `constructor` is no label. */
const labelOf = (labels: Labels, key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)

const NAME = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$/
const PREFIX = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/

const isKey = (key: string): boolean => {
  const slash = key.indexOf('/')
  return slash === -1 ? NAME.test(key) : PREFIX.test(key.slice(0, slash)) && NAME.test(key.slice(slash + 1))
}

const isValue = (value: string) => value === '' || NAME.test(value)

/** What is wrong with a selector that the schema let through, as a sentence; such a one selects nothing. */
export function selectorProblem({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string | undefined {
  for (const [key, value] of Object.entries(matchLabels)) {
    if (!isKey(key)) return `spec.selector.matchLabels: "${key}" is no label key`
    if (!isValue(value)) return `spec.selector.matchLabels["${key}"]: "${value}" is no label value`
  }
  for (const [index, { key, operator, values = [] }] of matchExpressions.entries()) {
    const path = `spec.selector.matchExpressions[${index}]`
    if (!isKey(key)) return `${path}.key: "${key}" is no label key`
    for (const value of values) if (!isValue(value)) return `${path}.values: "${value}" is no label value`
    const needsValues = operator === 'In' || operator === 'NotIn'
    if (needsValues && values.length === 0) return `${path}: operator ${operator} needs values`
    if (!needsValues && values.length > 0) return `${path}: operator ${operator} takes no values`
  }
  return undefined
}
