/**
 * The custom resource PodReadinessGate: the condition that Gracewatch sets on the pods that it selects, and the checks that have to pass
 * for it. This zod schema is the one source of the TypeScript type, of crds/ and of the reference page.
 */
import { z } from 'zod'
import { OUTCOMES } from './pod-termination.ts'

const name = z.string().min(1).max(253)
const duration = z.string().max(32)

const selectorSchema = z.object({
  matchLabels: z.record(z.string(), z.string().max(63)).optional(),
  matchExpressions: z
    .array(
      z.object({
        key: z.string().max(317),
        operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: z.array(z.string().max(63)).max(64).optional(),
      }),
    )
    .max(16)
    .optional(),
})

const annotationCheck = z.object({ key: z.string().max(317), value: z.string().max(256) })
const httpGetCheck = z.object({
  port: z.union([z.int().min(1).max(65535), z.string().max(15)]),
  path: z.string().max(1024).optional(),
  scheme: z.enum(['HTTP', 'HTTPS']).optional(),
  headers: z
    .array(z.object({ name: z.string().max(256), value: z.string().max(1024) }))
    .max(16)
    .optional(),
  interval: duration.optional(),
  timeout: duration.optional(),
  successThreshold: z.int().min(1).max(100).optional(),
  failureThreshold: z.int().min(1).max(100).optional(),
})
const conditionCheck = z.object({
  apiVersion: z.string().max(317),
  kind: z.string().max(63),
  name,
  type: z.string().max(316),
  status: z.enum(['True', 'False', 'Unknown']).optional(),
})
const endpointsCheck = z.object({})
const handoverCheck = z.object({
  maxForcedKills: z.int().min(0).max(10_000).optional(),
  window: duration.optional(),
  outcomes: z.array(z.enum(OUTCOMES)).max(OUTCOMES.length).optional(),
  waitForVerdict: z.boolean().optional(),
  maxHold: duration.optional(),
})

export const gateSpecSchema = z.object({
  selector: selectorSchema,
  conditionType: z.string().max(316),
  checks: z
    .array(
      z.object({
        annotation: annotationCheck.optional(),
        httpGet: httpGetCheck.optional(),
        condition: conditionCheck.optional(),
        endpoints: endpointsCheck.optional(),
        handover: handoverCheck.optional(),
      }),
    )
    .min(1)
    .max(16),
  failOpenAfter: duration.optional(),
  inject: z.boolean().optional(),
  onDelete: z.enum(['Release', 'Leave']).optional(),
})

export type GateSpec = z.infer<typeof gateSpecSchema>
export type LabelSelector = z.infer<typeof selectorSchema>
export type AnnotationCheck = z.infer<typeof annotationCheck>
export type HttpGetCheck = z.infer<typeof httpGetCheck>
export type ConditionCheck = z.infer<typeof conditionCheck>
export type HandoverCheck = z.infer<typeof handoverCheck>
