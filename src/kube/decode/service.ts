import { asObject, compact, intern, metadataOf, optionalObject, optionalString, Shared } from './fields.ts'

/** A Service: which pods it selects. */
export interface ServiceSnapshot {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  /** Absent: it selects nobody (none given, or ExternalName). */
  readonly selector?: Readonly<Record<string, string>>
}

const selectors = new Shared<Readonly<Record<string, string>>>(10_000)

/** A raw core/v1 Service -> ServiceSnapshot. Throws DecodeError. */
export function decodeService(raw: unknown): ServiceSnapshot {
  const object = asObject(raw, 'object')
  const { uid, namespace, name, resourceVersion } = metadataOf(object)
  const spec = optionalObject(object, 'spec', '') ?? {}
  const external = optionalString(spec, 'type', 'spec') === 'ExternalName'
  const found: Record<string, string> = {}
  for (const [key, value] of Object.entries(external ? {} : (optionalObject(spec, 'selector', 'spec') ?? {})))
    if (typeof value === 'string') found[intern(key)] = intern(value)
  const selector = Object.keys(found).length === 0 ? undefined : selectors.get(JSON.stringify(found), () => found)
  return compact<ServiceSnapshot>({ uid, namespace, name, resourceVersion, selector })
}
