/**
 * The custom resource PodTermination. This zod schema is the one source of the TypeScript type, of crds/ and of the reference
 * page. Every string, list and number has a bound, so that CEL cost and object size have one too. Descriptions become the
 * texts of `kubectl explain`.
 */
import { z } from 'zod'

export const GROUP = 'gracewatch.dev'
export const VERSION = 'v1alpha1'
export const API_VERSION = `${GROUP}/${VERSION}`
export const MAX_TIMELINE = 512
export const MAX_CONTAINERS = 512
export const MAX_ENDPOINTS = 256
export const MAX_FINDINGS = 256

export const CAUSES = [
  'Deleted',
  'Evicted',
  'EvictedByAPI',
  'Preempted',
  'Tainted',
  'NodeShutdown',
  'NodeLost',
  'DeadlineExceeded',
  'ForceDeleted',
  'GarbageCollected',
  'Completed',
  'Unknown',
] as const
/** Worst first: the outcome of a pod is the worst of its main containers. */
export const OUTCOMES = [
  'ForcedKill',
  'OOMKilled',
  'Killed',
  'Lost',
  'Failed',
  'Unknown',
  'Signalled',
  'Graceful',
  'NeverStarted',
] as const
export const STATES = ['Terminating', 'Overdue', 'Complete'] as const
export const FINDINGS = {
  PreStopOverran: 'Warning',
  PreStopFailed: 'Warning',
  StopSignalIgnored: 'Warning',
  StopSignalNotForwarded: 'Warning',
  EndpointReadyAtStopSignal: 'Warning',
  GraceNearlyExhausted: 'Warning',
  StuckTerminating: 'Warning',
  NoDrainTime: 'Info',
  GraceShortened: 'Info',
  ClockSkew: 'Info',
  EvidenceMissing: 'Info',
  TimelineCut: 'Info',
} as const satisfies Record<string, 'Warning' | 'Info'>
export type FindingType = keyof typeof FINDINGS
const FINDING_TYPES = Object.keys(FINDINGS) as [FindingType, ...FindingType[]] // Object.keys forgets the literal keys
export const MARKS = [
  'Terminating',
  'GraceShortened',
  'Acknowledged',
  'PreStopStarted',
  'PreStopFinished',
  'StopSignal',
  'Kill',
  'ContainerExited',
  'EndpointNotReady',
  'EndpointTerminating',
  'EndpointNotServing',
  'EndpointRemoved',
  'PodFinished',
  'Removed',
] as const

const text = (max: number) => z.string().max(max)
const time = z.iso.datetime({ precision: 6 }).max(32)
const name = text(253)

export const workloadSchema = z.object({
  kind: text(63).describe('Kind of the workload that the owner chain ends in; Pod where the pod has no owner.'),
  name: name.describe('Name of the workload.'),
  uid: text(64).optional().describe('UID of the workload.'),
  apiVersion: text(253).optional().describe('API version of the workload as the owner reference gave it.'),
})

export const podSchema = z.object({
  namespace: text(63).describe('Namespace of the pod.'),
  name: name.describe('Name of the pod.'),
  uid: text(64).describe('UID of the pod; never changes.'),
  node: name.optional().describe('Node that the pod was bound to; absent where it was never scheduled.'),
  graceSeconds: z.int().min(0).optional().describe('Grace period in force for this termination, in seconds.'),
  restartPolicy: text(32).optional().describe('restartPolicy of the pod.'),
  workload: workloadSchema.optional().describe('What the pod belonged to, over the chain of controlling owners.'),
})

export const containerSchema = z.object({
  name: text(63).describe('Name of the container.'),
  role: z.enum(['Main', 'Init', 'Sidecar', 'Ephemeral']).describe('Main containers decide the outcome of the pod.'),
  outcome: z.enum(OUTCOMES).optional().describe('How this container ended.'),
  preStop: z
    .object({
      handler: z.enum(['Exec', 'HTTPGet', 'Sleep', 'TCPSocket']).describe('Kind of the preStop hook.'),
      startedAt: time.optional().describe('When the hook started (best estimate).'),
      finishedAt: time.optional().describe('When the hook ended (best estimate), where that is known.'),
      result: z
        .enum(['Succeeded', 'Failed', 'Overran', 'Unknown'])
        .describe('Overran: it was still running when the grace period ended.'),
    })
    .optional(),
  stopSignal: z
    .object({
      name: text(32).describe('Signal that the runtime sends first; SIGTERM unless image or pod choose another.'),
      at: time.optional().describe('When it was sent (best estimate).'),
      result: z.enum(['Delivered', 'Ignored', 'Unknown']).describe('Whether PID 1 took it; only the kernel can tell.'),
    })
    .optional(),
  kill: z
    .object({
      at: time.optional().describe('When SIGKILL was sent (best estimate).'),
      by: z.enum(['Runtime', 'OOM', 'Other', 'Unknown']).describe('Who sent it.'),
    })
    .optional(),
  exit: z
    .object({
      at: time.optional().describe('When the container exited (best estimate).'),
      code: z.int().min(-2147483648).max(2147483647).describe('Exit code as the runtime reported it.'),
      reason: text(256).optional().describe('Reason as the kubelet reported it.'),
    })
    .optional(),
  restarts: z.int().min(0).optional().describe('Restarts before this end.'),
})

export const endpointSchema = z.object({
  service: name.describe('Name of the Service.'),
  notReadyAt: time.optional().describe('When the pod left normal rotation (best estimate).'),
  notServingAt: time.optional().describe('When the pod stopped serving, as its readiness says (best estimate).'),
  removedAt: time.optional().describe('When the endpoint was gone (best estimate).'),
  readyAtStopSignal: z
    .enum(['True', 'False', 'Unknown'])
    .describe('Whether the endpoint was still ready when the first main container got its stop signal.'),
})

export const findingSchema = z.object({
  type: z.enum(FINDING_TYPES).describe('What was found.'),
  severity: z.enum(['Warning', 'Info']).describe('Warning: something to change.'),
  container: text(63).optional().describe('Container that it is about.'),
  service: name.optional().describe('Service that it is about.'),
  message: text(1024).describe('What happened, with the numbers, and what to change.'),
})

export const markSchema = z.object({
  mark: z.enum(MARKS).describe('What happened.'),
  container: text(63).optional().describe('Container that it happened to.'),
  service: name.optional().describe('Service that it happened in.'),
  at: time.describe('Best estimate, on the clock named by clock.'),
  earliest: time.describe('The true time is not before this.'),
  latest: time.describe('The true time is not after this.'),
  source: z.enum(['APIServer', 'Kubelet', 'Event', 'EndpointSlice', 'Kernel', 'Recorder']).describe('Who says so.'),
  clock: z.enum(['APIServer', 'Node', 'Recorder']).describe('Whose clock the three times are read from.'),
  confidence: z
    .enum(['Measured', 'Reported', 'Observed', 'Inferred'])
    .describe('Measured by the kernel, reported by an API object, observed as a change arriving, or inferred by rule.'),
  message: text(256).optional().describe('A word on this mark.'),
})

/** The record without apiVersion, kind and metadata: what core makes and the CRD describes. */
export const podTerminationSchema = z.object({
  pod: podSchema.describe('The pod that ended.'),
  state: z.enum(STATES).optional().describe('Terminating while it runs, Overdue past its deadline, Complete at the end.'),
  cause: z
    .object({
      type: z.enum(CAUSES).describe('Who ended the pod.'),
      message: text(1024).optional().describe('What the API says about it.'),
    })
    .optional(),
  outcome: z.enum(OUTCOMES).optional().describe('How the pod ended: the worst of its main containers.'),
  startedAt: time.optional().describe('When the termination began (best estimate).'),
  deadline: time.optional().describe('When SIGKILL is due: startedAt and the grace period.'),
  finishedAt: time.optional().describe('When the object was gone, or its phase terminal where nobody deletes it.'),
  tookMilliseconds: z.int().min(0).optional().describe('From startedAt to finishedAt, in milliseconds.'),
  graceUsedPercent: z
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe('Share of the grace period that the slowest main container used, from its Killing event to its exit.'),
  summary: text(128).optional().describe('First finding and the number of others, for the printer column.'),
  took: text(32).optional().describe('tookMilliseconds for a reader.'),
  containers: z.array(containerSchema).max(MAX_CONTAINERS).optional().describe('One entry a container.'),
  endpoints: z.array(endpointSchema).max(MAX_ENDPOINTS).optional().describe('One entry a Service.'),
  findings: z.array(findingSchema).max(MAX_FINDINGS).optional().describe('What stood out, the gravest first.'),
  timeline: z.array(markSchema).max(MAX_TIMELINE).optional().describe('What happened, in causal order.'),
})

export type PodTermination = z.infer<typeof podTerminationSchema>
export type ContainerEnd = z.infer<typeof containerSchema>
export type EndpointEnd = z.infer<typeof endpointSchema>
export type Finding = z.infer<typeof findingSchema>
export type Mark = z.infer<typeof markSchema>
export type MarkType = (typeof MARKS)[number]
export type Outcome = (typeof OUTCOMES)[number]
export type Cause = (typeof CAUSES)[number]
