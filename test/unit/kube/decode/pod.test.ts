import { describe, expect, test } from 'vitest'
import { decodePod } from '../../../../src/kube/decode/pod.ts'
import { DecodeError } from '../../../../src/kube/errors.ts'

/** As a kubelet of v1.37 leaves it, shortened; env, args and annotations are there to be left out. */
function aPod() {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      name: 'web-7d4b9c-x2x9k',
      namespace: 'shop',
      uid: '84b61cdb-0000-4000-8000-000000000001',
      resourceVersion: '4711',
      generation: 2,
      creationTimestamp: '2026-11-24T21:30:00Z',
      deletionTimestamp: '2026-11-24T21:31:16Z',
      deletionGracePeriodSeconds: 15,
      annotations: { secret: 'do not keep', 'kubernetes.io/config.seen': 'x' },
      labels: { app: 'web' },
      finalizers: ['example.com/keep'],
      ownerReferences: [
        { apiVersion: 'v1', kind: 'ConfigMap', name: 'other', uid: 'cm', controller: false },
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web-7d4b9c',
          uid: 'rs-1',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [{ manager: 'kubelet' }],
    },
    spec: {
      nodeName: 'node-1',
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 15,
      activeDeadlineSeconds: 3600,
      volumes: [{ name: 'a' }, { name: 'b' }],
      initContainers: [
        { name: 'migrate', image: 'x' },
        { name: 'log-ship', image: 'x', restartPolicy: 'Always', lifecycle: { preStop: { sleep: { seconds: 3 } } } },
      ],
      containers: [
        {
          name: 'app',
          image: 'x',
          command: ['/bin/app', '--password=hunter2'],
          args: ['hunter2'],
          env: [{ name: 'TOKEN', value: 'hunter2' }],
          lifecycle: { preStop: { exec: { command: ['sleep', '20'] } }, stopSignal: 'SIGUSR1' },
        },
        { name: 'http', lifecycle: { preStop: { httpGet: { path: '/', port: 80 } } } },
        { name: 'tcp', lifecycle: { preStop: { tcpSocket: { port: 80 } } } },
      ],
      ephemeralContainers: [{ name: 'debugger', image: 'x' }],
    },
    status: {
      phase: 'Running',
      observedGeneration: 2,
      startTime: '2026-11-24T21:30:01Z',
      conditions: [
        { type: 'Ready', status: 'False', reason: 'ContainersNotReady', lastTransitionTime: '2026-11-24T21:31:02Z' },
        { type: 'Initialized', status: 'True', lastTransitionTime: '2026-11-24T21:30:02Z' },
        { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' },
      ],
      initContainerStatuses: [
        {
          name: 'migrate',
          restartCount: 0,
          containerID: 'containerd://1',
          state: {
            terminated: { exitCode: 0, reason: 'Completed', startedAt: null, finishedAt: null, containerID: 'containerd://1' },
          },
        },
        { name: 'log-ship', restartCount: 0, state: { running: { startedAt: '2026-11-24T21:30:03Z' } } },
      ],
      containerStatuses: [
        {
          name: 'app',
          restartCount: 3,
          containerID: 'containerd://2',
          stopSignal: 'SIGUSR1',
          state: {
            terminated: {
              exitCode: 137,
              reason: 'Error',
              message: 'the last words',
              startedAt: '2026-11-24T21:30:03Z',
              finishedAt: '2026-11-24T21:31:18Z',
              containerID: 'containerd://2',
            },
          },
          lastState: { terminated: { exitCode: 1, reason: 'Error', finishedAt: '2026-11-24T21:30:03Z' } },
        },
        { name: 'http', restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } },
      ],
      ephemeralContainerStatuses: [{ name: 'debugger', restartCount: 0, state: { running: {} } }],
    },
  }
}

describe('decodePod', () => {
  test('reads what an end needs, and nothing else', () => {
    expect(decodePod(aPod())).toStrictEqual({
      uid: '84b61cdb-0000-4000-8000-000000000001',
      namespace: 'shop',
      name: 'web-7d4b9c-x2x9k',
      resourceVersion: '4711',
      generation: 2,
      creationTimestamp: '2026-11-24T21:30:00Z',
      deletionTimestamp: '2026-11-24T21:31:16Z',
      deletionGracePeriodSeconds: 15,
      finalizers: ['example.com/keep'],
      owner: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-7d4b9c', uid: 'rs-1' },
      nodeName: 'node-1',
      restartPolicy: 'Always',
      graceSeconds: 15,
      activeDeadlineSeconds: 3600,
      volumeCount: 2,
      containers: [
        { name: 'migrate', role: 'Init' },
        { name: 'log-ship', role: 'Sidecar', preStop: { handler: 'Sleep', seconds: 3 } },
        { name: 'app', role: 'Main', preStop: { handler: 'Exec' }, stopSignal: 'SIGUSR1' },
        { name: 'http', role: 'Main', preStop: { handler: 'HTTPGet' } },
        { name: 'tcp', role: 'Main', preStop: { handler: 'TCPSocket' } },
        { name: 'debugger', role: 'Ephemeral' },
      ],
      phase: 'Running',
      startTime: '2026-11-24T21:30:01Z',
      observedGeneration: 2,
      conditions: [
        { type: 'Ready', status: 'False', reason: 'ContainersNotReady', lastTransitionTime: '2026-11-24T21:31:02Z' },
        { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' },
      ],
      statuses: [
        {
          name: 'migrate',
          restartCount: 0,
          containerID: 'containerd://1',
          terminated: { exitCode: 0, reason: 'Completed', containerID: 'containerd://1' },
        },
        { name: 'log-ship', restartCount: 0, running: { startedAt: '2026-11-24T21:30:03Z' } },
        {
          name: 'app',
          restartCount: 3,
          containerID: 'containerd://2',
          stopSignal: 'SIGUSR1',
          terminated: {
            exitCode: 137,
            reason: 'Error',
            message: 'the last words',
            startedAt: '2026-11-24T21:30:03Z',
            finishedAt: '2026-11-24T21:31:18Z',
            containerID: 'containerd://2',
          },
          lastTerminated: { exitCode: 1, reason: 'Error', finishedAt: '2026-11-24T21:30:03Z' },
        },
        { name: 'http', restartCount: 0, waiting: { reason: 'ContainerCreating' } },
        { name: 'debugger', restartCount: 0, running: {} },
      ],
    })
  })

  test('never keeps a secret of the spec', () => {
    expect(JSON.stringify(decodePod(aPod()))).not.toMatch(/hunter2|do not keep/)
  })

  test('is content with metadata alone', () => {
    expect(decodePod({ metadata: { uid: 'u', namespace: 'n', name: 'p', resourceVersion: '1' } })).toStrictEqual({
      uid: 'u',
      namespace: 'n',
      name: 'p',
      resourceVersion: '1',
      finalizers: [],
      restartPolicy: 'Always',
      graceSeconds: 30,
      volumeCount: 0,
      containers: [],
      phase: 'Unknown',
      conditions: [],
      statuses: [],
    })
  })

  test('knows a static pod by its mirror annotation', () => {
    const pod = aPod()
    Object.assign(pod.metadata.annotations, { 'kubernetes.io/config.mirror': 'hash' })
    expect(decodePod(pod).mirror).toBe(true)
  })

  test('keeps a grace period of 0', () => {
    const pod = aPod()
    pod.spec.terminationGracePeriodSeconds = 0
    pod.metadata.deletionGracePeriodSeconds = 0
    expect(decodePod(pod)).toMatchObject({ graceSeconds: 0, deletionGracePeriodSeconds: 0 })
  })

  test('shares the container list of pods that have the same', () => {
    expect(decodePod(aPod()).containers).toBe(decodePod(aPod()).containers)
  })

  test('cuts messages that go on', () => {
    const pod = aPod()
    Object.assign(pod.status, { message: 'x'.repeat(5000) })
    expect(decodePod(pod).message).toHaveLength(1024)
  })

  test.each([
    ['object', null],
    ['object', []],
    ['metadata', {}],
    ['metadata.uid', { metadata: { namespace: 'n', name: 'p', resourceVersion: '1' } }],
    ['metadata.resourceVersion', { metadata: { uid: 'u', namespace: 'n', name: 'p', resourceVersion: 1 } }],
    ['spec', { ...aPod(), spec: 'x' }],
    ['spec.containers', { ...aPod(), spec: { containers: {} } }],
    ['spec.containers[1].name', { ...aPod(), spec: { containers: [{ name: 'a' }, {}] } }],
    ['spec.terminationGracePeriodSeconds', { ...aPod(), spec: { terminationGracePeriodSeconds: '15' } }],
    ['status.containerStatuses[0].state', { ...aPod(), status: { containerStatuses: [{ name: 'a', state: 7 }] } }],
    [
      'status.containerStatuses[0].state.terminated.exitCode',
      { ...aPod(), status: { containerStatuses: [{ name: 'a', state: { terminated: { exitCode: 1.5 } } }] } },
    ],
  ])('names the field that is wrong: %s', (field, raw) => {
    expect(() => decodePod(raw)).toThrow(expect.objectContaining({ name: 'DecodeError', field }))
    expect(() => decodePod(raw)).toThrow(DecodeError)
  })
})
