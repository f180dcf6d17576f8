/** A Pod as the agent needs it: which containers it has, under which ids, and whether it is ending. */
import {
  asObject,
  compact,
  intern,
  listOf,
  metadataOf,
  optionalInteger,
  optionalObject,
  optionalString,
  type RawObject,
  requiredString,
} from '../kube/decode/fields.ts'
import type { Identified } from '../kube/reflector-types.ts'

export interface NodeContainer {
  readonly name: string
  readonly execPreStop: boolean
  /** Startup, liveness or readiness probes of kind exec. */
  readonly execProbes: boolean
}

export interface NodePod extends Identified {
  /** Static pods: the hash of their manifest, which their cgroups are named by. */
  readonly configHash?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly phase: string
  readonly runtimeClass?: string
  readonly containers: readonly NodeContainer[]
  readonly statuses: readonly {
    readonly name: string
    /** Of the current instance and of the one before, as runtime://id. */
    readonly ids: readonly string[]
    /** The id of a container that runs. */
    readonly running?: string
  }[]
}

/** A raw core/v1 Pod -> NodePod. Throws DecodeError. Reads no environment, no command, no arguments, and one annotation. */
export function decodeNodePod(raw: unknown): NodePod {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  const spec = optionalObject(object, 'spec', '') ?? {}
  const status = optionalObject(object, 'status', '') ?? {}
  const annotations = optionalObject(metadata.raw, 'annotations', 'metadata') ?? {}
  const mirror = annotations['kubernetes.io/config.mirror'] !== undefined
  return compact<NodePod>({
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    resourceVersion: metadata.resourceVersion,
    configHash: mirror ? optionalString(annotations, 'kubernetes.io/config.hash', 'metadata.annotations') : undefined,
    deletionTimestamp: optionalString(metadata.raw, 'deletionTimestamp', 'metadata'),
    deletionGracePeriodSeconds: optionalInteger(metadata.raw, 'deletionGracePeriodSeconds', 'metadata'),
    phase: intern(optionalString(status, 'phase', 'status') ?? 'Unknown'),
    runtimeClass: optionalString(spec, 'runtimeClassName', 'spec'),
    containers: ['initContainers', 'containers', 'ephemeralContainers'].flatMap((key) =>
      listOf(spec, key, 'spec').map((entry, index) => containerOf(entry, `spec.${key}[${index}]`)),
    ),
    statuses: ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses'].flatMap((key) =>
      listOf(status, key, 'status').map((entry, index) => statusOf(entry, `status.${key}[${index}]`)),
    ),
  })
}

function containerOf(raw: unknown, path: string): NodeContainer {
  const entry = asObject(raw, path)
  const lifecycle = optionalObject(entry, 'lifecycle', path) ?? {}
  const isExec = (parent: RawObject, key: string, of: string) =>
    optionalObject(optionalObject(parent, key, of) ?? {}, 'exec', `${of}.${key}`) !== undefined
  return {
    name: intern(requiredString(entry, 'name', path)),
    execPreStop: isExec(lifecycle, 'preStop', `${path}.lifecycle`),
    execProbes: ['startupProbe', 'livenessProbe', 'readinessProbe'].some((key) => isExec(entry, key, path)),
  }
}

function statusOf(raw: unknown, path: string): NodePod['statuses'][number] {
  const entry = asObject(raw, path)
  const id = optionalString(entry, 'containerID', path)
  const state = optionalObject(entry, 'state', path) ?? {}
  const before = optionalObject(optionalObject(entry, 'lastState', path) ?? {}, 'terminated', `${path}.lastState`) ?? {}
  const lastId = optionalString(before, 'containerID', `${path}.lastState.terminated`)
  const running = optionalObject(state, 'running', `${path}.state`) === undefined ? undefined : id
  return compact<NodePod['statuses'][number]>({
    name: intern(requiredString(entry, 'name', path)),
    ids: [id, lastId].filter((one) => one !== undefined),
    running,
  })
}

/** runtime://id -> the runtime's own id, which cgroups are named by. */
export const rawId = (containerID: string): string => containerID.slice(containerID.lastIndexOf('/') + 1)
