/** The types of what decoders return, as schemas: nothing more may be in it, and everything is of its type. */
import { z } from 'zod'
import type { NodePod } from '../../../src/agent/node-pod.ts'
import { cleanupSpecSchema, statusSchema } from '../../../src/api/pod-cleanup.ts'
import { gateSpecSchema, gateStatusSchema } from '../../../src/api/pod-readiness-gate.ts'
import type { FinishedPod, JobFacts } from '../../../src/core/cleanup/types.ts'
import type {
  ContainerSpec,
  ContainerStatus,
  EndpointSliceSnapshot,
  EventSnapshot,
  OwnerReference,
  PodCondition,
  PodSnapshot,
  TerminatedState,
} from '../../../src/core/evidence.ts'
import type { Condition, Gate, GatePart } from '../../../src/core/gates/types.ts'
import type { CleanupObject } from '../../../src/kube/decode/pod-cleanup.ts'
import type { ServiceSnapshot } from '../../../src/kube/decode/service.ts'
import type { TargetSnapshot } from '../../../src/kube/decode/target.ts'
import type { TerminationSnapshot } from '../../../src/kube/decode/termination.ts'
import type { Identified } from '../../../src/kube/reflector-types.ts'
import type { TerminationRow } from '../../../src/page/row.ts'

const text = z.string()
const name = text.min(1)
const integer = z.int()
const yes = z.literal(true)
const maybe = z.exactOptional
const map = <T>(value: z.ZodType<T>) =>
  z.custom<Readonly<Record<string, T>>>(
    (found) => typeof found === 'object' && found !== null && Object.values(found).every((one) => value.safeParse(one).success),
    'a map of values of one type',
  )

const identity = { uid: name, namespace: name, name, resourceVersion: name }
const podName = z.strictObject({ namespace: name, name, uid: name })

export const ownerReference: z.ZodType<OwnerReference> = z.strictObject({ apiVersion: name, kind: name, name, uid: name })

const containerSpec: z.ZodType<ContainerSpec> = z.strictObject({
  name,
  role: z.enum(['Main', 'Init', 'Sidecar', 'Ephemeral']),
  preStop: maybe(z.strictObject({ handler: z.enum(['Exec', 'HTTPGet', 'Sleep', 'TCPSocket']), seconds: maybe(integer) })),
  stopSignal: maybe(name),
})

const message = name.max(1024)

const terminatedState: z.ZodType<TerminatedState> = z.strictObject({
  exitCode: integer,
  reason: maybe(name),
  message: maybe(message),
  startedAt: maybe(name),
  finishedAt: maybe(name),
  containerID: maybe(name),
})

const containerStatus: z.ZodType<ContainerStatus> = z.strictObject({
  name,
  restartCount: integer,
  containerID: maybe(name),
  stopSignal: maybe(name),
  waiting: maybe(z.strictObject({ reason: maybe(name) })),
  running: maybe(z.strictObject({ startedAt: maybe(name) })),
  terminated: maybe(terminatedState),
  lastTerminated: maybe(terminatedState),
})

const podCondition: z.ZodType<PodCondition> = z.strictObject({
  type: z.enum(['DisruptionTarget', 'Ready', 'PodScheduled']),
  status: name,
  reason: maybe(name),
  message: maybe(message),
  lastTransitionTime: maybe(name),
})

export const podSnapshot: z.ZodType<PodSnapshot> = z.strictObject({
  ...identity,
  generation: maybe(integer),
  creationTimestamp: maybe(name),
  deletionTimestamp: maybe(name),
  deletionGracePeriodSeconds: maybe(integer),
  finalizers: z.array(name),
  owner: maybe(ownerReference),
  mirror: maybe(yes),
  nodeName: maybe(name),
  restartPolicy: name,
  graceSeconds: integer,
  activeDeadlineSeconds: maybe(integer),
  volumeCount: integer,
  containers: z.array(containerSpec),
  phase: name,
  reason: maybe(name),
  message: maybe(message),
  startTime: maybe(name),
  observedGeneration: maybe(integer),
  conditions: z.array(podCondition),
  statuses: z.array(containerStatus),
})

export const eventSnapshot: z.ZodType<EventSnapshot | undefined> = z.optional(
  z.strictObject({
    ...identity,
    reason: text,
    eventType: name,
    message: text.max(1024),
    count: integer,
    firstTimestamp: maybe(name),
    lastTimestamp: maybe(name),
    eventTime: maybe(name),
    component: maybe(name),
    host: maybe(name),
    pod: podName,
    container: maybe(name),
  }),
)

export const endpointSliceSnapshot: z.ZodType<EndpointSliceSnapshot> = z.strictObject({
  ...identity,
  service: maybe(name),
  endpoints: z.array(
    z.strictObject({
      podUid: name,
      podName: text,
      ready: z.boolean(),
      serving: z.boolean(),
      terminating: z.boolean(),
    }),
  ),
})

const condition: z.ZodType<Condition> = z.strictObject({
  type: name,
  status: z.enum(['True', 'False', 'Unknown']),
  reason: maybe(name),
  message: maybe(name),
  lastTransitionTime: maybe(name),
  observedGeneration: maybe(integer),
})

export const gatePart: z.ZodType<GatePart> = z.strictObject({
  labels: map(text),
  annotations: map(text.max(257)),
  readinessGates: z.array(name),
  conditions: z.array(condition),
  containersReady: maybe(yes),
  containersReadySince: maybe(name),
  podIP: maybe(name),
  hostIPs: z.array(name),
  hostNetwork: z.boolean(),
  ports: map(integer),
})

export const gate: z.ZodType<Gate> = z.strictObject({
  ...identity,
  generation: integer,
  creationTimestamp: name,
  deletionTimestamp: maybe(name),
  finalizers: z.array(name),
  spec: gateSpecSchema,
  status: maybe(gateStatusSchema.strict()),
})

export const finishedPod: z.ZodType<FinishedPod | undefined> = z.optional(
  z.strictObject({
    ...identity,
    phase: z.enum(['Succeeded', 'Failed']),
    reason: maybe(name),
    labels: map(text),
    finishedAt: z.number(),
    finishedSource: z.enum(['Containers', 'Conditions', 'StartTime', 'CreationTimestamp']),
    deleting: z.boolean(),
    finalizers: z.array(name),
    owner: maybe(ownerReference),
    mirror: maybe(yes),
    keep: maybe(text),
  }),
)

export const job: z.ZodType<JobFacts & Identified> = z.strictObject({ ...identity, finished: z.boolean() })

export const serviceSnapshot: z.ZodType<ServiceSnapshot> = z.strictObject({ ...identity, selector: maybe(map(text)) })

export const targetSnapshot: z.ZodType<TargetSnapshot> = z.strictObject({
  ...identity,
  conditions: z.map(name, z.strictObject({ status: name, reason: maybe(name) })),
})

export const terminationSnapshot: z.ZodType<TerminationSnapshot> = z.strictObject({
  ...identity,
  pod: podName,
  state: maybe(name),
  kernel: maybe(z.custom<object>((value) => typeof value === 'object' && value !== null)),
})

export const terminationRow: z.ZodType<TerminationRow> = z.strictObject({
  ...identity,
  pod: podName,
  workload: maybe(z.strictObject({ kind: name, name })),
  state: maybe(name),
  outcome: maybe(name),
  cause: maybe(name),
  // Micros: exact until the year 2255.
  startedAt: z.number(),
  finishedAt: maybe(z.number()),
  tookMs: maybe(integer),
  graceSeconds: maybe(integer),
  graceUsedPercent: maybe(integer),
  summary: maybe(name),
  findings: z.array(name),
  warning: z.boolean(),
})

export const nodePod: z.ZodType<NodePod> = z.strictObject({
  ...identity,
  configHash: maybe(name),
  deletionTimestamp: maybe(name),
  deletionGracePeriodSeconds: maybe(integer),
  phase: name,
  runtimeClass: maybe(name),
  containers: z.array(z.strictObject({ name, execPreStop: z.boolean(), execProbes: z.boolean() })),
  statuses: z.array(z.strictObject({ name, ids: z.array(name), running: maybe(name) })),
})

const rule = { uid: name, namespace: name, name }
export const cleanupObject: z.ZodType<CleanupObject> = z.strictObject({
  ...identity,
  generation: integer,
  rule: z.union([
    z.strictObject({ ...rule, spec: cleanupSpecSchema }),
    z.strictObject({ ...rule, problem: name }),
    z.undefined(),
  ]),
  status: z.union([statusSchema, z.undefined()]),
})
