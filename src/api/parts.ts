/** What the schemas of src/api are made of. */
import { z } from 'zod'

export const text = (max: number) => z.string().max(max)
/** RFC 3339 in UTC with six decimals. */
export const time = z.iso.datetime({ precision: 6 }).max(32)

/** A description that says what each value of an enum means, one a line, as `kubectl explain` prints it. */
export const values = <T extends string>(first: string, meanings: Record<T, string>) =>
  [first, ...Object.entries(meanings).map(([value, meaning]) => ` - ${value}: ${meaning}`)].join('\n')

const MAX_LABELS = 64

export const QUALIFIED_PREFIX = '[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*'
export const QUALIFIED_NAME = '[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?'
/** Six digits: what CEL reads as a duration ends at 292 years. */
const DURATION = '^([0-9]{1,6}([.][0-9]{1,6})?(ms|s|m|h))+$'

interface Rule {
  readonly rule: string
  readonly message: string
  /** Of the field below that is to be changed. */
  readonly fieldPath?: string
}
export const rules = (...list: readonly Rule[]) => ({ 'x-kubernetes-validations': list })
export const matching = (pattern: string, message: string): Rule => ({
  rule: `self.matches(${JSON.stringify(pattern)})`,
  message,
})

export const isDuration = (value: string) => `${value}.matches(${JSON.stringify(DURATION)})`

const durationMeta = (description: string, least: string) => ({
  description,
  ...rules({
    rule: `${isDuration('self')} && duration(self) >= duration('${least}')`,
    message: `write a duration of ${least} or more, as 90s, 10m or 1h30m`,
  }),
})

/** As Kubernetes writes it. */
export const optionalDuration = (description: string, least: string) =>
  z.string().max(32).optional().meta(durationMeta(description, least))
export const duration = (description: string, fallback: string, least: string) =>
  z.string().max(32).default(fallback).meta(durationMeta(description, least))

const labelValue = text(63).meta(
  rules(
    matching(
      `^(${QUALIFIED_NAME})?$`,
      'write the value of a label: letters, digits, and dashes, dots and underscores between them',
    ),
  ),
)

/** As metav1.LabelSelector. */
export const selectorSchema = z.object({
  matchLabels: z.record(z.string(), labelValue).optional().meta({
    description: 'Labels that a pod has to have, each with this value.',
    maxProperties: MAX_LABELS,
  }),
  matchExpressions: z
    .array(
      z
        .object({
          key: text(317).meta({
            description: 'Key of the label.',
            ...rules(
              matching(`^(${QUALIFIED_PREFIX}/)?${QUALIFIED_NAME}$`, 'write the key of a label, as app or example.com/tier'),
            ),
          }),
          operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('How the label has to be.'),
          values: z.array(labelValue).max(MAX_LABELS).optional().meta({
            description: 'Values for In and NotIn; none for the others.',
            'x-kubernetes-list-type': 'atomic',
          }),
        })
        .meta(
          rules({
            rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0",
            message: 'In and NotIn need values; Exists and DoesNotExist take none',
            fieldPath: '.values',
          }),
        ),
    )
    .max(16)
    .optional()
    .meta({ description: 'Requirements on labels, all of which have to hold.', 'x-kubernetes-list-type': 'atomic' }),
})
