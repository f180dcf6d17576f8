/**
 * The custom resource PodTermination. This zod schema is the one source of the TypeScript type, of crds/ and of the reference
 * page. Every string, list and number has a bound, so that CEL cost and object size have one too. Descriptions become the
 * texts of `kubectl explain`.
 */
import { z } from 'zod'
import { kernelSchema } from './kernel.ts'
import { text, time, values } from './parts.ts'

export { API_VERSION, GROUP, VERSION } from './group.ts'

export const MAX_TIMELINE = 512
export const MAX_CONTAINERS = 512
export const MAX_ENDPOINTS = 256
const MAX_FINDINGS = 256

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
  // What was proven goes before what follows from it.
  StopSignalIgnored: 'Warning',
  StopSignalNotForwarded: 'Warning',
  GraceExhausted: 'Warning',
  EndpointReadyAtStopSignal: 'Warning',
  GraceNearlyExhausted: 'Warning',
  StuckTerminating: 'Warning',
  NoDrainTime: 'Info',
  ProcessesLeftBehind: 'Info',
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

const name = text(253)

const workloadSchema = z.object({
  kind: text(63).describe('Kind of the workload that the owner chain ends in; Pod where the pod has no owner.'),
  name: name.describe('Name of the workload.'),
  uid: text(64).optional().describe('UID of the workload.'),
  apiVersion: text(253).optional().describe('API version of the workload as the owner reference gave it.'),
})

const podSchema = z.object({
  namespace: text(63).describe('Namespace of the pod.'),
  name: name.describe('Name of the pod.'),
  uid: text(64).meta({
    description: 'UID of the pod; never changes.',
    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'pod.uid never changes' }],
  }),
  node: name.optional().describe('Node that the pod was bound to; absent where it was never scheduled.'),
  graceSeconds: z.int().min(0).optional().describe('Grace period in force for this termination, in seconds.'),
  restartPolicy: text(32).optional().describe('restartPolicy of the pod.'),
  workload: workloadSchema.optional().describe('What the pod belonged to, over the chain of controlling owners.'),
})

export const containerSchema = z.object({
  name: text(63).describe('Name of the container.'),
  role: z.enum(['Main', 'Init', 'Sidecar', 'Ephemeral']).describe(
    values('What the container is to the pod.', {
      Main: 'one of spec.containers; these alone decide the outcome of the pod.',
      Init: 'an init container; decides the outcome only where no main container ever ran.',
      Sidecar: 'an init container with restartPolicy Always; stops after the main containers.',
      Ephemeral: 'a container added for debugging.',
    }),
  ),
  outcome: z.enum(OUTCOMES).optional().describe("How this container ended, in the words of the pod's outcome."),
  preStop: z
    .object({
      handler: z.enum(['Exec', 'HTTPGet', 'Sleep', 'TCPSocket']).describe('Kind of the preStop hook.'),
      startedAt: time.optional().describe('When the hook started (best estimate).'),
      finishedAt: time.optional().describe('When the hook ended (best estimate), where that is known.'),
      result: z.enum(['Succeeded', 'Failed', 'Overran', 'Unknown']).describe(
        values('How the hook ended.', {
          Succeeded: 'it ended, and the kubelet reported no failure.',
          Failed: 'the kubelet reported that it failed.',
          Overran: 'it was still running when the grace period ended.',
          Unknown: 'the evidence does not say.',
        }),
      ),
    })
    .optional()
    .describe('The preStop hook; absent where the container has none.'),
  stopSignal: z
    .object({
      name: text(32).describe('Signal that the runtime sends first; SIGTERM unless image or pod choose another.'),
      at: time.optional().describe('When it was sent (best estimate).'),
      result: z.enum(['Delivered', 'Ignored', 'Unknown']).describe(
        values('Whether PID 1 of the container took it. Only the kernel can tell: without the agent this is Unknown.', {
          Delivered: 'the kernel delivered it.',
          Ignored: 'the kernel dropped it, for PID 1 has no handler for it or ignores it.',
          Unknown: 'nobody looked.',
        }),
      ),
    })
    .optional()
    .describe('The stop signal; absent where none is known to have been sent.'),
  kill: z
    .object({
      at: time.optional().describe('When SIGKILL was sent (best estimate).'),
      by: z.enum(['Runtime', 'OOM', 'Other', 'Unknown']).describe(
        values('Who sent it.', {
          Runtime: 'the container runtime, for the grace period was over.',
          OOM: 'the kernel, for the memory limit was reached.',
          Other: 'somebody else, on the node or in the pod.',
          Unknown: 'the evidence does not say.',
        }),
      ),
    })
    .optional()
    .describe('SIGKILL; absent where none is known to have been sent. Exit code 137 alone proves none.'),
  exit: z
    .object({
      at: time.optional().describe('When the container exited (best estimate).'),
      code: z.int().min(-2147483648).max(2147483647).describe('Exit code as the runtime reported it.'),
      reason: text(256).optional().describe('Reason as the kubelet reported it.'),
    })
    .optional()
    .describe('The exit; absent while the container runs and where it was not seen.'),
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
  type: z.enum(FINDING_TYPES).describe(
    values<FindingType>('What was found.', {
      PreStopOverran: 'the preStop hook was still running when the grace period ended.',
      PreStopFailed: 'the kubelet reported that the preStop hook failed.',
      StopSignalIgnored: 'the kernel dropped the stop signal, for PID 1 has no handler for it or ignores it.',
      StopSignalNotForwarded: 'PID 1 did not pass the stop signal on to the processes below it, as npm, yarn and shells do not.',
      GraceExhausted: 'the process did not end between its stop signal and the end of the grace period, and was killed.',
      EndpointReadyAtStopSignal: 'a Service could still send new traffic to the pod when its stop signal came.',
      GraceNearlyExhausted: 'the container used over 80 % of the grace period, but was not killed.',
      StuckTerminating: 'the pod was past its deadline and still there; the message says what holds it.',
      NoDrainTime: 'the stop signal came less than 5 s after the endpoint left rotation, so proxies may still have sent traffic.',
      ProcessesLeftBehind:
        'PID 1 ended well, and the kernel killed processes below it that still ran and had never got the stop signal.',
      GraceShortened: 'a later delete asked for a shorter grace period.',
      ClockSkew: 'the clocks of the node and the API server were apart.',
      EvidenceMissing: 'something that would have been evidence was not seen; the message says what and why.',
      TimelineCut: 'the timeline had more marks than a record holds.',
    }),
  ),
  severity: z.enum(['Warning', 'Info']).describe('Warning: something to change. Info: something to know.'),
  container: text(63).optional().describe('Container that it is about.'),
  service: name.optional().describe('Service that it is about.'),
  message: text(1024).describe('What happened, with the numbers, and what to change.'),
})

export const markSchema = z.object({
  mark: z.enum(MARKS).describe(
    values<MarkType>('What happened.', {
      Terminating: 'the termination began: the API server took the delete, or the kubelet decided to end the pod.',
      GraceShortened: 'a later delete asked for a shorter grace period.',
      Acknowledged: 'the kubelet had taken the delete in.',
      PreStopStarted: 'the preStop hook started.',
      PreStopFinished: 'the preStop hook ended, or the kubelet stopped waiting for it.',
      StopSignal: 'the runtime sent the stop signal.',
      Kill: 'SIGKILL was sent.',
      ContainerExited: 'the container exited.',
      EndpointNotReady: 'the Service took the pod out of normal rotation.',
      EndpointTerminating: 'the endpoint was marked as terminating.',
      EndpointNotServing: 'the pod was no longer ready to serve, by its readiness.',
      EndpointRemoved: 'the endpoint was gone.',
      PodFinished: 'the phase of the pod became terminal.',
      Removed: 'the object was gone.',
    }),
  ),
  container: text(63).optional().describe('Container that it happened to.'),
  service: name.optional().describe('Service that it happened in.'),
  at: time.describe('Best estimate, on the clock named by clock.'),
  earliest: time.describe('The true time is not before this.'),
  latest: time.describe('The true time is not after this.'),
  source: z.enum(['APIServer', 'Kubelet', 'Event', 'EndpointSlice', 'Kernel', 'Recorder']).describe(
    values('Who says so.', {
      APIServer: 'a time that the API server wrote into the object.',
      Kubelet: 'the status that the kubelet wrote.',
      Event: 'an Event of the kubelet.',
      EndpointSlice: 'the EndpointSlices of the Service.',
      Kernel: "the trace of the node's kernel.",
      Recorder: 'the recorder, which saw the change arrive.',
    }),
  ),
  clock: z.enum(['APIServer', 'Node', 'Recorder']).describe('Whose clock the three times are read from.'),
  confidence: z.enum(['Measured', 'Reported', 'Observed', 'Inferred']).describe(
    values('How sure it is.', {
      Measured: 'the kernel trace saw it.',
      Reported: 'an API object states it, at the resolution of that object.',
      Observed: 'the recorder saw the change arrive; the arrival is the upper bound.',
      Inferred: 'it follows by rule from other marks and carries the bounds of that rule.',
    }),
  ),
  message: text(256).optional().describe('A word on this mark.'),
})

/** The record without apiVersion, kind and metadata: what core makes and the CRD describes. */
export const podTerminationSchema = z
  .object({
    pod: podSchema.describe('The pod that ended.'),
    state: z
      .enum(STATES)
      .optional()
      .describe(
        values<(typeof STATES)[number]>('How far the termination is.', {
          Terminating: 'it runs.',
          Overdue: 'it is past its deadline and not over.',
          Complete: 'it is over; never changes again.',
        }),
      ),
    cause: z
      .object({
        type: z.enum(CAUSES).describe(
          values<Cause>('Who ended the pod.', {
            Deleted: 'a delete through the API, by a person or a controller.',
            Evicted: 'the kubelet, under pressure on its node.',
            EvictedByAPI: 'the eviction API, as a drain uses it.',
            Preempted: 'the scheduler or the kubelet, for a pod of higher priority.',
            Tainted: 'a NoExecute taint.',
            NodeShutdown: 'the shutdown of the node.',
            NodeLost: 'nobody yet: the pod is past its deadline and its node does not answer.',
            DeadlineExceeded: 'the kubelet, for activeDeadlineSeconds was over.',
            ForceDeleted: 'a delete without grace, while its containers still ran.',
            GarbageCollected: 'the pod garbage collector, for its node was gone.',
            Completed: 'nobody: it ran to its end.',
            Unknown: 'the evidence does not say.',
          }),
        ),
        message: text(1024).optional().describe('What the API says about it.'),
      })
      .optional()
      .describe('Who ended the pod.'),
    outcome: z
      .enum(OUTCOMES)
      .optional()
      .describe(
        values<Outcome>('How the pod ended: the worst of its main containers. From worst to best:', {
          ForcedKill: 'SIGKILL, for the grace period was over.',
          OOMKilled: 'SIGKILL by the kernel, for the memory limit was reached.',
          Killed: 'another SIGKILL.',
          Lost: 'the end was not seen and cannot be known any more.',
          Failed: 'a non-zero exit that the stop signal does not explain.',
          Unknown: 'the evidence does not say.',
          Signalled: 'ended by the stop signal itself (143 for SIGTERM).',
          Graceful: 'exit 0.',
          NeverStarted: 'no container ever ran.',
        }),
      ),
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
    containers: z
      .array(containerSchema)
      .max(MAX_CONTAINERS)
      .optional()
      .meta({
        description: 'One entry a container, by its name.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    endpoints: z
      .array(endpointSchema)
      .max(MAX_ENDPOINTS)
      .optional()
      .meta({
        description: 'One entry a Service that the pod stood in, by its name.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['service'],
      }),
    findings: z.array(findingSchema).max(MAX_FINDINGS).optional().meta({
      description: 'What stood out, the gravest first.',
      'x-kubernetes-list-type': 'atomic',
    }),
    timeline: z.array(markSchema).max(MAX_TIMELINE).optional().meta({
      description: 'What happened, in causal order.',
      'x-kubernetes-list-type': 'atomic',
    }),
    kernel: kernelSchema
      .optional()
      .describe("What the agent on the pod's node measured in the kernel: the agent's own field, absent where none runs."),
  })
  .meta({
    description:
      'PodTermination records how one pod ended: when, by whose doing, how gracefully, and what there is to change. ' +
      'It is written by the Gracewatch controller and outlives the pod.',
    // On the whole object: a rule on the field itself would not run where the field is removed.
    'x-kubernetes-validations': [
      {
        rule: "!has(oldSelf.state) || oldSelf.state != 'Complete' || (has(self.state) && self.state == 'Complete')",
        message: 'a record that is Complete stays Complete',
        fieldPath: '.state',
      },
    ],
  })

export type PodTermination = z.infer<typeof podTerminationSchema>
export type ContainerEnd = z.infer<typeof containerSchema>
export type EndpointEnd = z.infer<typeof endpointSchema>
export type Finding = z.infer<typeof findingSchema>
export type Mark = z.infer<typeof markSchema>
export type MarkType = (typeof MARKS)[number]
export type Outcome = (typeof OUTCOMES)[number]
export type Cause = (typeof CAUSES)[number]
