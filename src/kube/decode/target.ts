import { asObject, compact, intern, listOf, metadataOf, optionalObject, optionalString, requiredString } from './fields.ts'

/** Any object of a namespace, and its conditions. */
export interface TargetSnapshot {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  /** Of the first entry of each type, by type. */
  readonly conditions: ReadonlyMap<string, TargetCondition>
}

export interface TargetCondition {
  readonly status: string
  readonly reason?: string
}

/** A raw object with status.conditions as the API conventions have them -> TargetSnapshot. Throws DecodeError. */
export function decodeTarget(raw: unknown): TargetSnapshot {
  const object = asObject(raw, 'object')
  const { uid, namespace, name, resourceVersion } = metadataOf(object)
  const status = optionalObject(object, 'status', '') ?? {}
  const conditions = new Map<string, TargetCondition>()
  for (const [i, item] of listOf(status, 'conditions', 'status').entries()) {
    const path = `status.conditions[${i}]`
    const entry = asObject(item, path)
    const type = intern(requiredString(entry, 'type', path))
    if (conditions.has(type)) continue
    conditions.set(
      type,
      compact<TargetCondition>({
        status: intern(optionalString(entry, 'status', path) ?? 'Unknown'),
        reason: optionalString(entry, 'reason', path),
      }),
    )
  }
  return { uid, namespace, name, resourceVersion, conditions }
}
