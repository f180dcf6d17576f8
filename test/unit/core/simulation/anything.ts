/** Facts as no cluster would give them: every field within what its API type allows, and no two of them in agreement. */
import fc from 'fast-check'
import type {
  ContainerSpec,
  ContainerStatus,
  EventSnapshot,
  Fact,
  PodCondition,
  PodSnapshot,
  TerminatedState,
} from '../../../../src/core/evidence.ts'
import { formatTime, type Micros, SECOND } from '../../../../src/core/time.ts'
import { EPOCH } from '../../builders.ts'

const NAMES = ['app', 'sidecar', 'x'.repeat(63), 'never-listed']
const REASONS = [
  'Killing',
  'FailedPreStopHook',
  'Completed',
  'Error',
  'OOMKilled',
  'ContainerStatusUnknown',
  'Unknown',
  'Evicted',
  'Terminated',
  'DeadlineExceeded',
  'Preempting',
  '',
]

/** A record of the given fields of which each may be missing. */
const some = <T extends object>(
  model: { [K in keyof T]-?: fc.Arbitrary<T[K]> },
  required: readonly (keyof T)[],
): fc.Arbitrary<T> => fc.record(model, { requiredKeys: [...required] as never[] }) as unknown as fc.Arbitrary<T> // fast-check loses which keys are required

const seconds = fc.oneof(fc.integer({ min: -30, max: 90 }), fc.integer({ min: -4000, max: 4000 }), fc.constant(-1_772_366_400))
const moment: fc.Arbitrary<Micros> = fc
  .tuple(seconds, fc.integer({ min: 0, max: 999_999 }))
  .map(([at, more]) => EPOCH + at * SECOND + more)
const arrival: fc.Arbitrary<Micros> = fc.oneof({ weight: 9, arbitrary: moment }, { weight: 1, arbitrary: fc.constant(0) })
const text = fc.oneof(
  { weight: 8, arbitrary: moment.map((at) => `${formatTime(at).slice(0, 19)}Z`) },
  { weight: 1, arbitrary: moment.map(formatTime) },
  { weight: 1, arbitrary: fc.constantFrom('', 'soon', '1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '2026-02-30T25:61:00Z') },
)
const version = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 1, max: 1200 }).map(String) },
  { weight: 1, arbitrary: fc.constantFrom('', 'x7', '0') },
)
const name = fc.constantFrom(...NAMES)
const reason = fc.constantFrom(...REASONS)
const uid = fc.constant('84b61cdb-3b4f-4c1e-9d3a-5a3f4c2b1a09')

const terminated = some<TerminatedState>(
  {
    exitCode: fc.oneof(fc.constantFrom(0, 1, 137, 143, 255, -1), fc.integer({ min: -2147483648, max: 2147483647 })),
    reason,
    message: fc.string(),
    startedAt: text,
    finishedAt: text,
    containerID: fc.constant('containerd://1'),
  },
  ['exitCode'],
)

const status = some<ContainerStatus>(
  {
    name,
    restartCount: fc.nat(5),
    containerID: fc.constant('containerd://1'),
    stopSignal: fc.constantFrom('SIGTERM', 'SIGINT', 'SIGRTMIN+3'),
    waiting: fc.record({ reason }),
    running: fc.record({ startedAt: text }),
    terminated,
    lastTerminated: terminated,
  },
  ['name', 'restartCount'],
)

const spec = some<ContainerSpec>(
  {
    name,
    role: fc.constantFrom('Main', 'Init', 'Sidecar', 'Ephemeral'),
    preStop: fc.record({ handler: fc.constantFrom('Exec', 'HTTPGet', 'Sleep', 'TCPSocket'), seconds: fc.nat(100) }),
    stopSignal: fc.constantFrom('SIGTERM', 'SIGUSR1', 'SIGRTMIN+3'),
  },
  ['name', 'role'],
)

const condition = some<PodCondition>(
  {
    type: fc.constantFrom('DisruptionTarget', 'Ready', 'PodScheduled'),
    status: fc.constantFrom('True', 'False', 'Unknown'),
    reason: fc.constantFrom('EvictionByEvictionAPI', 'DeletionByPodGC', 'TerminationByKubelet', 'PreemptionByScheduler', ''),
    message: fc.string({ maxLength: 3000 }),
    lastTransitionTime: text,
  },
  ['type', 'status'],
)

const grace = fc.oneof(fc.nat(60), fc.constantFrom(0, 1, 2_147_483_647))

// What gates and cleanups need of a pod says nothing of its end.
const pod = some<Omit<PodSnapshot, 'gate' | 'cleanup'>>(
  {
    uid,
    namespace: fc.constant('shop'),
    name: fc.constantFrom('web', 'y'.repeat(253)),
    resourceVersion: version,
    generation: fc.nat(4),
    creationTimestamp: text,
    deletionTimestamp: text,
    deletionGracePeriodSeconds: grace,
    finalizers: fc.array(fc.constantFrom('a/b', 'c/d'), { maxLength: 2 }),
    owner: fc.record({ apiVersion: fc.constant('apps/v1'), kind: fc.constant('ReplicaSet'), name: fc.constant('web'), uid }),
    mirror: fc.constant(true as const),
    nodeName: fc.constant('node-1'),
    restartPolicy: fc.constantFrom('Always', 'OnFailure', 'Never'),
    graceSeconds: grace,
    activeDeadlineSeconds: fc.nat(100),
    volumeCount: fc.nat(3),
    containers: fc.uniqueArray(spec, { maxLength: 4, selector: (item) => item.name }),
    phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'),
    reason,
    message: fc.string({ maxLength: 3000 }),
    startTime: text,
    observedGeneration: fc.nat(4),
    conditions: fc.array(condition, { maxLength: 3 }),
    statuses: fc.uniqueArray(status, { maxLength: 4, selector: (item) => item.name }),
  },
  [
    'uid',
    'namespace',
    'name',
    'resourceVersion',
    'finalizers',
    'restartPolicy',
    'graceSeconds',
    'volumeCount',
    'containers',
    'phase',
    'conditions',
    'statuses',
  ],
)

const event = some<EventSnapshot>(
  {
    uid: fc.constantFrom('e1', 'e2', 'e3'),
    resourceVersion: version,
    namespace: fc.constant('shop'),
    name: fc.oneof(
      moment.map((at) => `web.${(BigInt(at) * 1000n).toString(16)}`),
      fc.constantFrom('web.ffffffffffffffff', 'web.0000000000000000', 'web', 'web.by-hand'),
    ),
    reason,
    eventType: fc.constantFrom('Normal', 'Warning'),
    message: fc.oneof(
      name.map((item) => `Stopping container ${item}`),
      name.map((item) => `(combined from similar events): Stopping container ${item}`),
      fc.string(),
    ),
    count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant(0)),
    firstTimestamp: text,
    lastTimestamp: text,
    eventTime: text,
    component: fc.constant('kubelet'),
    host: fc.constant('node-1'),
    pod: fc.record({ namespace: fc.constant('shop'), name: fc.constant('web'), uid }),
    container: name,
  },
  ['uid', 'resourceVersion', 'namespace', 'name', 'reason', 'eventType', 'message', 'count', 'pod'],
)

const offset = fc.integer({ min: -20_000_000, max: 20_000_000 })

const fact: fc.Arbitrary<Fact> = fc.oneof(
  {
    weight: 5,
    arbitrary: some<Extract<Fact, { type: 'Pod' }>>(
      {
        type: fc.constant('Pod' as const),
        change: fc.constantFrom('Listed', 'Added', 'Modified', 'Modified', 'Deleted', 'Vanished'),
        arrivedAt: arrival,
        since: moment,
        pod,
      },
      ['type', 'change', 'arrivedAt', 'pod'],
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('Absent' as const),
      arrivedAt: arrival,
      pod: fc.record({ namespace: fc.constant('shop'), name: fc.constant('web'), uid }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('Event' as const), arrivedAt: arrival, listed: fc.boolean(), event }) },
  {
    weight: 4,
    arbitrary: some<Extract<Fact, { type: 'Endpoint' }>>(
      {
        type: fc.constant('Endpoint' as const),
        arrivedAt: arrival,
        listed: fc.boolean(),
        since: moment,
        service: fc.constantFrom('web', 'z'.repeat(63)),
        slice: fc.constantFrom('s1', 's2'),
        sliceVersion: version,
        present: fc.boolean(),
        ready: fc.boolean(),
        serving: fc.boolean(),
        terminating: fc.boolean(),
      },
      ['type', 'arrivedAt', 'listed', 'service', 'slice', 'sliceVersion', 'present', 'ready', 'serving', 'terminating'],
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('Workload' as const),
      workload: fc.record({ kind: fc.constantFrom('Deployment', 'Rollout'), name: fc.constant('web') }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('Gap' as const),
      resource: fc.constantFrom('Pod' as const, 'Event' as const, 'EndpointSlice' as const),
      from: moment,
      to: moment,
      reason: fc.constant('the watch was cut'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ clock: fc.constantFrom('APIServer' as const, 'Node' as const), one: offset, other: offset })
      .map(({ clock, one, other }) => ({
        type: 'Clock' as const,
        clock,
        earliest: Math.min(one, other),
        latest: Math.max(one, other),
      })),
  },
  {
    weight: 1,
    arbitrary: some<Extract<Fact, { type: 'Node' }>>(
      {
        type: fc.constant('Node' as const),
        arrivedAt: arrival,
        node: fc.constant('node-1'),
        exists: fc.boolean(),
        ready: fc.constantFrom('True', 'False', 'Unknown'),
      },
      ['type', 'arrivedAt', 'node', 'exists'],
    ),
  },
)

export const anyFacts: fc.Arbitrary<Fact[]> = fc.array(fact, { maxLength: 25 })
export const anyMoment = moment
