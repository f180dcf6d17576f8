import { asObject, compact, intern, metadataOf, optionalObject, optionalString, requiredString } from './fields.ts'

/** A PodTermination as the watch of records shows it: whose it is, how far it is, and what an agent has put into it. */
export interface TerminationSnapshot {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string }
  /** Absent: only an agent has written it. */
  readonly state?: string
  /** As it came: it is checked where it is wanted. */
  readonly kernel?: unknown
}

/** A raw gracewatch.dev/v1alpha1 PodTermination -> TerminationSnapshot. Throws DecodeError. */
export function decodeTermination(raw: unknown): TerminationSnapshot {
  const object = asObject(raw, 'object')
  const { uid, namespace, name, resourceVersion } = metadataOf(object)
  const pod = asObject(object.pod, 'pod')
  const state = optionalString(object, 'state', '')
  return compact<TerminationSnapshot>({
    uid,
    namespace,
    name,
    resourceVersion,
    pod: {
      namespace: intern(requiredString(pod, 'namespace', 'pod')),
      name: requiredString(pod, 'name', 'pod'),
      uid: requiredString(pod, 'uid', 'pod'),
    },
    state: state === undefined ? undefined : intern(state),
    kernel: optionalObject(object, 'kernel', ''),
  })
}
