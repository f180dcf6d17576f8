import { gateSpecSchema, gateStatusSchema } from '../../api/pod-readiness-gate.ts'
import type { Gate } from '../../core/gates/types.ts'
import { DecodeError } from '../errors.ts'
import { asObject, compact, metadataOf, optionalInteger, optionalString, requiredString, stringsOf } from './fields.ts'

const MAX_FIELD = 256

/**
 * A raw PodReadinessGate -> Gate. Throws DecodeError naming the first field that is not as the schema has it: an API server whose CRD is
 * of another version lets other things through. Of the status, which is our own, each field is taken that can be read.
 */
export function decodeGate(raw: unknown): Gate {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  const parsed = gateSpecSchema.safeParse(object.spec)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const path = ['spec', ...(issue?.path ?? [])]
    // Keys of maps stand in it, and can be as long as somebody likes.
    const field = path.join('.').slice(0, MAX_FIELD)
    throw new DecodeError(field, `as the schema has it (${issue?.message.slice(0, MAX_FIELD)})`, valueAt(object, path))
  }
  return compact<Gate>({
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    resourceVersion: metadata.resourceVersion,
    generation: optionalInteger(metadata.raw, 'generation', 'metadata') ?? 0,
    creationTimestamp: requiredString(metadata.raw, 'creationTimestamp', 'metadata'),
    deletionTimestamp: optionalString(metadata.raw, 'deletionTimestamp', 'metadata'),
    finalizers: stringsOf(metadata.raw, 'finalizers', 'metadata'),
    spec: parsed.data,
    status: statusOf(object.status),
  })
}

function statusOf(raw: unknown): Gate['status'] | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const fields = Object.entries(gateStatusSchema.shape).flatMap(([key, schema]) => {
    const parsed = schema.safeParse(Reflect.get(raw, key))
    return parsed.success && parsed.data !== undefined ? [[key, parsed.data]] : []
  })
  return Object.fromEntries(fields)
}

function valueAt(object: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined), object)
}
