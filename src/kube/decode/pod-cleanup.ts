import { cleanupSpecSchema } from '../../api/pod-cleanup.ts'
import type { CleanupRule, UnreadableRule } from '../../core/cleanup/types.ts'
import { asObject, metadataOf, optionalString } from './fields.ts'

/** A field that this version does not know might be one that keeps pods. */
const { keep, selector } = cleanupSpecSchema.shape
const exactSpec = cleanupSpecSchema.extend({ keep: keep.unwrap().strict().optional(), selector: selector.strict() }).strict()

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
