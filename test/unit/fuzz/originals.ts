/** What the fuzz tests begin with: objects as API servers have written them, and some with everything in them that is read. */
import { readFixtures } from '../../replay/fixture.ts'
import { forcedKill } from '../render/records.ts'

export const fixtures = readFixtures()
const lines = fixtures.flatMap((fixture) => fixture.lines)

/** Lines of the watches, as the API server sent them. */
export const watchLines = lines.map(({ type, object }) => JSON.stringify({ type, object }))

/** The longest ones, and every n-th of the others. */
function some(resource: (typeof lines)[number]['resource'], count: number): unknown[] {
  const objects = lines.filter((line) => line.resource === resource).map(({ object }) => object)
  const sorted = objects.toSorted((a, b) => JSON.stringify(b).length - JSON.stringify(a).length)
  const step = Math.max(1, Math.floor(sorted.length / count))
  return sorted.filter((_, index) => index < 4 || index % step === 0)
}

const metadata = {
  uid: '84b61cdb-0c1f-4a52-9d4e-5c7f0b1f3a11',
  namespace: 'shop',
  name: 'web-1',
  resourceVersion: '812',
  generation: 3,
  creationTimestamp: '2026-11-24T21:00:00Z',
  finalizers: ['example.com/hold'],
  labels: { app: 'web', 'kubernetes.io/service-name': 'web' },
  annotations: {
    'kubernetes.io/config.mirror': '3f3d0ce5e45a8f2f56bb2a2f6b1b4a2e',
    'kubernetes.io/config.hash': '3f3d0ce5e45a8f2f56bb2a2f6b1b4a2e',
    'gracewatch.dev/keep': 'true',
  },
  ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'owner', controller: true }],
}

const ended = {
  exitCode: 137,
  reason: 'Error',
  message: 'told',
  startedAt: '2026-11-24T21:00:00Z',
  finishedAt: '2026-11-24T21:31:00Z',
  containerID: `containerd://${'c'.repeat(64)}`,
}

const fullPod = {
  metadata: { ...metadata, deletionTimestamp: '2026-11-24T21:31:30Z', deletionGracePeriodSeconds: 30 },
  spec: {
    nodeName: 'node-1',
    restartPolicy: 'Never',
    runtimeClassName: 'kata',
    terminationGracePeriodSeconds: 30,
    activeDeadlineSeconds: 600,
    hostNetwork: false,
    volumes: [{ name: 'data' }],
    readinessGates: [{ conditionType: 'example.com/ready' }],
    initContainers: [{ name: 'proxy', restartPolicy: 'Always', ports: [{ name: 'admin', containerPort: 15_000 }] }],
    containers: [
      {
        name: 'app',
        lifecycle: { stopSignal: 'SIGINT', preStop: { sleep: { seconds: 5 } } },
        ports: [{ name: 'web', containerPort: 8080 }],
        readinessProbe: { exec: { command: ['true'] } },
      },
      { name: 'hooked', lifecycle: { preStop: { exec: {} } } },
    ],
    ephemeralContainers: [{ name: 'debug' }],
  },
  status: {
    phase: 'Failed',
    reason: 'Evicted',
    message: 'The node was low on resource: memory.',
    startTime: '2026-11-24T21:00:01Z',
    observedGeneration: 3,
    podIP: '10.244.0.7',
    hostIP: '10.250.0.1',
    hostIPs: [{ ip: '10.250.0.1' }, { ip: 'fd00::1' }],
    conditions: [
      {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'EvictionByEvictionAPI',
        message: 'evicted',
        lastTransitionTime: '2026-11-24T21:30:59Z',
      },
      { type: 'ContainersReady', status: 'True', lastTransitionTime: '2026-11-24T21:01:00Z' },
      {
        type: 'example.com/ready',
        status: 'False',
        reason: 'Why',
        message: 'not yet',
        lastTransitionTime: '2026-11-24T21:01:00Z',
        observedGeneration: 3,
      },
    ],
    initContainerStatuses: [
      {
        name: 'proxy',
        restartCount: 0,
        containerID: 'containerd://1',
        state: { running: { startedAt: '2026-11-24T21:00:00Z' } },
      },
    ],
    containerStatuses: [
      {
        name: 'app',
        restartCount: 1,
        containerID: 'containerd://2',
        stopSignal: 'SIGINT',
        state: { terminated: ended },
        lastState: { terminated: ended },
      },
      { name: 'hooked', restartCount: 0, state: { waiting: { reason: 'CrashLoopBackOff' } } },
    ],
    ephemeralContainerStatuses: [{ name: 'debug', restartCount: 0, state: {} }],
  },
}

export const pods = [fullPod, fullPod, ...some('pods', 20)]
export const events = [
  {
    metadata: { ...metadata, name: 'web-1.18a5c2d3e4f50607' },
    involvedObject: { kind: 'Pod', namespace: 'shop', name: 'web-1', uid: 'u', fieldPath: 'spec.containers{app}' },
    reason: 'Killing',
    type: 'Normal',
    message: 'Stopping container app',
    count: 2,
    firstTimestamp: '2026-11-24T21:31:00Z',
    lastTimestamp: '2026-11-24T21:31:01Z',
    eventTime: '2026-11-24T21:31:00.123456Z',
    series: { count: 3, lastObservedTime: '2026-11-24T21:31:02.123456Z' },
    source: { component: 'kubelet', host: 'node-1' },
    reportingComponent: 'kubelet',
  },
  ...some('events', 6),
]
export const slices = [
  {
    metadata,
    endpoints: [
      {
        addresses: ['10.244.0.7'],
        conditions: { ready: true, serving: true, terminating: false },
        targetRef: { kind: 'Pod', namespace: 'shop', name: 'web-1', uid: 'u' },
      },
    ],
  },
  ...some('endpointslices', 4),
]

export const gates = [
  {
    metadata,
    spec: {
      selector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['a'] }] },
      conditionType: 'example.com/ready',
      checks: [
        { annotation: { key: 'example.com/registered', value: 'yes' } },
        { httpGet: { port: 'web', path: '/ready', headers: [{ name: 'X-A', value: 'b' }], interval: '5s', timeout: '1s' } },
        { condition: { apiVersion: 'batch/v1', kind: 'Job', name: 'migrate', type: 'Complete' } },
        { endpoints: {} },
        { handover: { maxForcedKills: 1, window: '10m', outcomes: ['ForcedKill'], maxHold: '30m' } },
      ],
      failOpenAfter: '5m',
      onDelete: 'Release',
    },
    status: {
      observedGeneration: 1,
      matched: 1,
      holds: [{ workload: { kind: 'Deployment', name: 'web' }, revision: 'r', since: '2026-11-24T21:00:00Z' }],
    },
  },
]

export const cleanups = [
  {
    metadata: { ...metadata, deletionTimestamp: undefined },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      phases: ['Succeeded', 'Failed'],
      reasons: ['Evicted'],
      keep: { total: 3, perOwner: 1 },
      olderThan: '24h',
      minAge: '60s',
      barePods: true,
      dryRun: false,
    },
    status: { observedGeneration: 1, candidates: 1, conditions: [] },
  },
]

export const jobs = [{ metadata, status: { conditions: [{ type: 'Complete', status: 'True' }] } }]
export const services = [{ metadata, spec: { type: 'ClusterIP', selector: { app: 'web' } } }]
export const records = [{ ...forcedKill(), metadata }]
