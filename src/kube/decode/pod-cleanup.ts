import { type CleanupStatus, cleanupSpecSchema, statusSchema } from '../../api/pod-cleanup.ts'
import type { CleanupRule, UnreadableRule } from '../../core/cleanup/types.ts'
import type { Identified } from '../reflector-types.ts'
import { asObject, metadataOf, optionalInteger, optionalString } from './fields.ts'

/** A field that this version does not know might be one that keeps pods. */
const { keep, selector } = cleanupSpecSchema.shape
const exactSpec = cleanupSpecSchema.extend({ keep: keep.unwrap().strict().optional(), selector: selector.strict() }).strict()

/** A PodCleanup as the controller watches it. */
export interface CleanupObject extends Identified {
  readonly generation: number
  /** Undefined for one that is being deleted. */
  readonly rule: CleanupRule | UnreadableRule | undefined
  /** As it was written last; undefined where there is none, or another version's. */
  readonly status: CleanupStatus | undefined
}

/** A raw PodCleanup -> what the controller needs of it. Throws DecodeError where even its metadata cannot be read. */
export function decodeCleanupObject(raw: unknown): CleanupObject {
  const object = asObject(raw, 'object')
  const { uid, namespace, name, resourceVersion, raw: metadata } = metadataOf(object)
  const status = statusSchema.safeParse(object.status)
  return {
    uid,
    namespace,
    name,
    resourceVersion,
    generation: optionalInteger(metadata, 'generation', 'metadata') ?? 0,
    rule: decodePodCleanup(raw),
    status: status.success ? status.data : undefined,
  }
}

/**
 * A raw PodCleanup -> rule; undefined for one that is being deleted. A spec that is not as the schema has it (an API server whose CRD is of
 * another version lets other things through) is an UnreadableRule. Throws DecodeError where even its metadata cannot be read.
 */
export function decodePodCleanup(raw: unknown): CleanupRule | UnreadableRule | undefined {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  if (optionalString(metadata.raw, 'deletionTimestamp', 'metadata') !== undefined) return undefined
  const { uid, namespace, name } = metadata
  const parsed = exactSpec.safeParse(object.spec)
  if (parsed.success) return { uid, namespace, name, spec: parsed.data }
  const [issue] = parsed.error.issues
  return { uid, namespace, name, problem: `${['spec', ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'cannot be read'}` }
}
