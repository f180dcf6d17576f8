import type { Condition, ConditionStatus, GatePart } from '../../core/gates/types.ts'
import {
  asObject,
  compact,
  intern,
  listOf,
  optionalBoolean,
  optionalInteger,
  optionalObject,
  optionalString,
  type RawObject,
  requiredString,
  Shared,
} from './fields.ts'

/** The longest value that a check can ask for. */
const MAX_ANNOTATION = 256
/** Pods of one workload have the same labels, gates and ports. */
const labelMaps = new Shared<Readonly<Record<string, string>>>(20_000)
const portMaps = new Shared<Readonly<Record<string, number>>>(10_000)
const gateLists = new Shared<readonly string[]>(10_000)

const NONE: Readonly<Record<string, never>> = Object.freeze({})
const NO_STRINGS: readonly string[] = Object.freeze([])
const NO_CONDITIONS: readonly Condition[] = Object.freeze([])

/** What readiness gates need of a raw core/v1 Pod. Throws DecodeError. Reads no environment, no command and no arguments. */
export function decodeGatePart(raw: unknown): GatePart {
  const object = asObject(raw, 'object')
  const metadata = optionalObject(object, 'metadata', '') ?? {}
  const spec = optionalObject(object, 'spec', '') ?? {}
  const labels = stringsOf(optionalObject(metadata, 'labels', 'metadata'))
  const gates = listOf(spec, 'readinessGates', 'spec').map((entry, i) =>
    intern(requiredString(asObject(entry, `spec.readinessGates[${i}]`), 'conditionType', `spec.readinessGates[${i}]`)),
  )
  const part = {
    labels: labelMaps.get(JSON.stringify(labels), () => labels),
    annotations: NONE,
    readinessGates: NO_STRINGS,
    conditions: NO_CONDITIONS,
    hostIPs: NO_STRINGS,
    hostNetwork: optionalBoolean(spec, 'hostNetwork', 'spec') ?? false,
    ports: NONE,
  }
  if (gates.length === 0) return part
  const status = optionalObject(object, 'status', '') ?? {}
  const ports = portsOf(spec)
  const ready = containersReadyOf(status)
  return compact<GatePart>({
    ...part,
    annotations: stringsOf(optionalObject(metadata, 'annotations', 'metadata'), MAX_ANNOTATION),
    readinessGates: gateLists.get(gates.join(' '), () => gates),
    conditions: conditionsOf(status, gates),
    containersReady: ready === undefined ? undefined : true,
    containersReadySince: ready && (ready.since ?? optionalString(metadata, 'creationTimestamp', 'metadata')),
    podIP: optionalString(status, 'podIP', 'status'),
    hostIPs: hostIPsOf(status),
    ports: portMaps.get(JSON.stringify(ports), () => ports),
  })
}

/** Of longer values the beginning is kept, which equals nothing that a check can ask for. What is no string the API server would not have taken. */
function stringsOf(map: RawObject | undefined, longest = Number.POSITIVE_INFINITY): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [key, value] of Object.entries(map ?? {}))
    if (typeof value === 'string') found[intern(key)] = intern(value.length <= longest ? value : value.slice(0, longest + 1))
  return found
}

function conditionsOf(status: RawObject, types: readonly string[]): Condition[] {
  const list = listOf(status, 'conditions', 'status')
  return list.flatMap((raw, i) => {
    const path = `status.conditions[${i}]`
    const entry = asObject(raw, path)
    const type = requiredString(entry, 'type', path)
    if (!types.includes(type)) return []
    const condition = compact<Condition>({
      type: intern(type),
      status: statusOf(requiredString(entry, 'status', path)),
      reason: optionalString(entry, 'reason', path),
      message: optionalString(entry, 'message', path),
      lastTransitionTime: optionalString(entry, 'lastTransitionTime', path),
      observedGeneration: optionalInteger(entry, 'observedGeneration', path),
    })
    return [condition]
  })
}

/** Undefined where they are not. */
function containersReadyOf(status: RawObject): { readonly since: string | undefined } | undefined {
  for (const [i, raw] of listOf(status, 'conditions', 'status').entries()) {
    const path = `status.conditions[${i}]`
    const entry = asObject(raw, path)
    if (entry.type === 'ContainersReady' && entry.status === 'True')
      return { since: optionalString(entry, 'lastTransitionTime', path) }
  }
  return undefined
}

/** The API allows three; whatever else somebody may have written lets nobody in. */
const statusOf = (text: string): ConditionStatus => (text === 'True' || text === 'False' ? text : 'Unknown')

function hostIPsOf(status: RawObject): readonly string[] {
  const own = optionalString(status, 'hostIP', 'status')
  const all = listOf(status, 'hostIPs', 'status').map((entry, i) =>
    requiredString(asObject(entry, `status.hostIPs[${i}]`), 'ip', `status.hostIPs[${i}]`),
  )
  return [...new Set([...(own === undefined ? [] : [own]), ...all])].map(intern)
}

function portsOf(spec: RawObject): Record<string, number> {
  const found: Record<string, number> = {}
  for (const key of ['initContainers', 'containers']) {
    for (const [i, raw] of listOf(spec, key, 'spec').entries()) {
      const path = `spec.${key}[${i}]`
      for (const [j, port] of listOf(asObject(raw, path), 'ports', path).entries()) {
        const here = `${path}.ports[${j}]`
        const entry = asObject(port, here)
        const name = optionalString(entry, 'name', here)
        const number = optionalInteger(entry, 'containerPort', here)
        if (name !== undefined && number !== undefined) found[intern(name)] = number
      }
    }
  }
  return found
}
