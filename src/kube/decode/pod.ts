import type {
  ContainerRole,
  ContainerSpec,
  ContainerStatus,
  OwnerReference,
  PodCondition,
  PodSnapshot,
  TerminatedState,
} from '../../core/evidence.ts'
import { cut } from '../../core/gates/text.ts'
import {
  asObject,
  compact,
  intern,
  listOf,
  metadataOf,
  optionalBoolean,
  optionalInt32,
  optionalInteger,
  optionalObject,
  optionalString,
  type RawObject,
  requiredString,
  Shared,
  stringsOf,
} from './fields.ts'

/** The defaults of the API server (pkg/apis/core/v1/defaults.go), for objects that did not pass through it. */
const DEFAULT_GRACE_SECONDS = 30
const DEFAULT_RESTART_POLICY = 'Always'
/** Conditions that say something about an end. */
const CONDITIONS: ReadonlySet<string> = new Set(['DisruptionTarget', 'Ready', 'PodScheduled'])
/** Messages can be a container's own words of up to 12 KiB; the beginning is enough to read. */
const MAX_MESSAGE = 1024

/** Pods of one workload have the same containers: one list serves them all. */
const containerLists = new Shared<readonly ContainerSpec[]>(10_000)
const owners = new Shared<OwnerReference>(20_000)

/** A raw core/v1 Pod -> PodSnapshot. Throws DecodeError. Never reads env, args, command, or any annotation but config.mirror. */
export function decodePod(raw: unknown): PodSnapshot {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  const spec = optionalObject(object, 'spec', '') ?? {}
  const status = optionalObject(object, 'status', '') ?? {}
  const annotations = optionalObject(metadata.raw, 'annotations', 'metadata')
  const phase = optionalString(status, 'phase', 'status')
  return compact<PodSnapshot>({
    uid: metadata.uid,
    namespace: metadata.namespace,
    name: metadata.name,
    resourceVersion: metadata.resourceVersion,
    generation: optionalInteger(metadata.raw, 'generation', 'metadata'),
    creationTimestamp: optionalString(metadata.raw, 'creationTimestamp', 'metadata'),
    deletionTimestamp: optionalString(metadata.raw, 'deletionTimestamp', 'metadata'),
    deletionGracePeriodSeconds: optionalInteger(metadata.raw, 'deletionGracePeriodSeconds', 'metadata'),
    finalizers: finalizersOf(metadata.raw),
    owner: ownerOf(metadata.raw),
    mirror: annotations?.['kubernetes.io/config.mirror'] === undefined ? undefined : true,
    nodeName: shared(optionalString(spec, 'nodeName', 'spec')),
    restartPolicy: intern(optionalString(spec, 'restartPolicy', 'spec') ?? DEFAULT_RESTART_POLICY),
    graceSeconds: optionalInteger(spec, 'terminationGracePeriodSeconds', 'spec') ?? DEFAULT_GRACE_SECONDS,
    activeDeadlineSeconds: optionalInteger(spec, 'activeDeadlineSeconds', 'spec'),
    volumeCount: listOf(spec, 'volumes', 'spec').length,
    containers: containersOf(spec),
    phase: intern(phase ?? 'Unknown'),
    reason: shared(optionalString(status, 'reason', 'status')),
    message: messageOf(status, 'status'),
    startTime: optionalString(status, 'startTime', 'status'),
    observedGeneration: optionalInteger(status, 'observedGeneration', 'status'),
    conditions: conditionsOf(status),
    statuses: [
      ...statusesOf(status, 'initContainerStatuses'),
      ...statusesOf(status, 'containerStatuses'),
      ...statusesOf(status, 'ephemeralContainerStatuses'),
    ],
  })
}

/** The controlling owner of a raw object of any kind. Throws DecodeError. */
export function decodeOwner(raw: unknown): OwnerReference | undefined {
  return ownerOf(asObject(asObject(raw, 'object').metadata, 'metadata'))
}

const NO_FINALIZERS: readonly string[] = []

function finalizersOf(metadata: RawObject): readonly string[] {
  const list = stringsOf(metadata, 'finalizers', 'metadata')
  return list.length === 0 ? NO_FINALIZERS : list.map(intern)
}

function ownerOf(metadata: RawObject): OwnerReference | undefined {
  const list = listOf(metadata, 'ownerReferences', 'metadata')
  for (let i = 0; i < list.length; i++) {
    const path = `metadata.ownerReferences[${i}]`
    const entry = asObject(list[i], path)
    if (optionalBoolean(entry, 'controller', path) !== true) continue
    const owner: OwnerReference = {
      apiVersion: requiredString(entry, 'apiVersion', path),
      kind: requiredString(entry, 'kind', path),
      name: requiredString(entry, 'name', path),
      uid: requiredString(entry, 'uid', path),
    }
    return owners.get(`${owner.uid} ${owner.apiVersion} ${owner.kind} ${owner.name}`, () => owner)
  }
  return undefined
}

function containersOf(spec: RawObject): readonly ContainerSpec[] {
  const containers = [
    ...listOf(spec, 'initContainers', 'spec').map((entry, i) => containerOf(entry, `spec.initContainers[${i}]`, 'Init')),
    ...listOf(spec, 'containers', 'spec').map((entry, i) => containerOf(entry, `spec.containers[${i}]`, 'Main')),
    ...listOf(spec, 'ephemeralContainers', 'spec').map((entry, i) =>
      containerOf(entry, `spec.ephemeralContainers[${i}]`, 'Ephemeral'),
    ),
  ]
  return containerLists.get(JSON.stringify(containers), () => containers)
}

function containerOf(raw: unknown, path: string, listed: ContainerRole): ContainerSpec {
  const entry = asObject(raw, path)
  const lifecycle = optionalObject(entry, 'lifecycle', path)
  const sidecar = listed === 'Init' && optionalString(entry, 'restartPolicy', path) === 'Always'
  return compact<ContainerSpec>({
    name: intern(requiredString(entry, 'name', path)),
    role: sidecar ? 'Sidecar' : listed,
    preStop: lifecycle === undefined ? undefined : preStopOf(lifecycle, `${path}.lifecycle`),
    stopSignal: lifecycle === undefined ? undefined : shared(optionalString(lifecycle, 'stopSignal', `${path}.lifecycle`)),
  })
}

function preStopOf(lifecycle: RawObject, path: string): ContainerSpec['preStop'] {
  const preStop = optionalObject(lifecycle, 'preStop', path)
  if (preStop === undefined) return undefined
  const sleep = optionalObject(preStop, 'sleep', `${path}.preStop`)
  if (sleep !== undefined) {
    const seconds = optionalInteger(sleep, 'seconds', `${path}.preStop.sleep`)
    return seconds === undefined ? { handler: 'Sleep' } : { handler: 'Sleep', seconds }
  }
  if (optionalObject(preStop, 'exec', `${path}.preStop`) !== undefined) return { handler: 'Exec' }
  if (optionalObject(preStop, 'httpGet', `${path}.preStop`) !== undefined) return { handler: 'HTTPGet' }
  if (optionalObject(preStop, 'tcpSocket', `${path}.preStop`) !== undefined) return { handler: 'TCPSocket' }
  return undefined
}

function conditionsOf(status: RawObject): readonly PodCondition[] {
  const conditions: PodCondition[] = []
  const list = listOf(status, 'conditions', 'status')
  for (let i = 0; i < list.length; i++) {
    const path = `status.conditions[${i}]`
    const entry = asObject(list[i], path)
    const type = requiredString(entry, 'type', path)
    if (!CONDITIONS.has(type)) continue
    conditions.push(
      compact<PodCondition>({
        type: intern(type),
        status: intern(requiredString(entry, 'status', path)),
        reason: shared(optionalString(entry, 'reason', path)),
        message: messageOf(entry, path),
        lastTransitionTime: optionalString(entry, 'lastTransitionTime', path),
      }),
    )
  }
  return conditions
}

function statusesOf(status: RawObject, key: string): ContainerStatus[] {
  return listOf(status, key, 'status').map((raw, i) => {
    const path = `status.${key}[${i}]`
    const entry = asObject(raw, path)
    const state = optionalObject(entry, 'state', path) ?? {}
    const lastState = optionalObject(entry, 'lastState', path) ?? {}
    const waiting = optionalObject(state, 'waiting', `${path}.state`)
    const running = optionalObject(state, 'running', `${path}.state`)
    return compact<ContainerStatus>({
      name: intern(requiredString(entry, 'name', path)),
      restartCount: optionalInteger(entry, 'restartCount', path) ?? 0,
      containerID: optionalString(entry, 'containerID', path),
      stopSignal: shared(optionalString(entry, 'stopSignal', path)),
      waiting:
        waiting && compact<{ reason?: string }>({ reason: shared(optionalString(waiting, 'reason', `${path}.state.waiting`)) }),
      running:
        running && compact<{ startedAt?: string }>({ startedAt: optionalString(running, 'startedAt', `${path}.state.running`) }),
      terminated: terminatedOf(state, `${path}.state`),
      lastTerminated: terminatedOf(lastState, `${path}.lastState`),
    })
  })
}

function terminatedOf(state: RawObject, path: string): TerminatedState | undefined {
  const terminated = optionalObject(state, 'terminated', path)
  if (terminated === undefined) return undefined
  const here = `${path}.terminated`
  return compact<TerminatedState>({
    exitCode: optionalInt32(terminated, 'exitCode', here) ?? 0,
    reason: shared(optionalString(terminated, 'reason', here)),
    message: messageOf(terminated, here),
    startedAt: optionalString(terminated, 'startedAt', here),
    finishedAt: optionalString(terminated, 'finishedAt', here),
    containerID: optionalString(terminated, 'containerID', here),
  })
}

function messageOf(parent: RawObject, path: string): string | undefined {
  const message = optionalString(parent, 'message', path)
  return message === undefined ? undefined : cut(message, MAX_MESSAGE)
}

function shared(text: string | undefined): string | undefined {
  return text === undefined ? undefined : intern(text)
}
