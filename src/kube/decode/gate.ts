import { gateSpecSchema } from '../../api/pod-readiness-gate.ts'
import type { Gate } from '../../core/gates/types.ts'
import { DecodeError } from '../errors.ts'
import { asObject, compact, listOf, metadataOf, optionalInteger, optionalString, requiredString } from './fields.ts'

/**
 * A raw PodReadinessGate -> Gate. Throws DecodeError naming the first field that is not as the schema has it: an API server whose CRD is
 * of another version lets other things through. The status is taken as it stands: it is our own, and of use only where it can be read.
 */
export function decodeGate(raw: unknown): Gate {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  const parsed = gateSpecSchema.safeParse(object.spec)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new DecodeError(['spec', ...(issue?.path ?? [])].join('.'), issue?.message ?? 'as the schema has it', object.spec)
  }
  const status = object.status
  return compact<Gate>({
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    resourceVersion: metadata.resourceVersion,
    generation: optionalInteger(metadata.raw, 'generation', 'metadata') ?? 0,
    creationTimestamp: requiredString(metadata.raw, 'creationTimestamp', 'metadata'),
    deletionTimestamp: optionalString(metadata.raw, 'deletionTimestamp', 'metadata'),
    finalizers: listOf(metadata.raw, 'finalizers', 'metadata').map(String),
    spec: parsed.data,
    status: typeof status === 'object' && status !== null ? status : undefined,
  })
}
