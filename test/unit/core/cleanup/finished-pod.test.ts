/** When pods finished, read from objects as the API server has them (Kubernetes 1.37). */
import { describe, expect, it } from 'vitest'
import { parseTime } from '../../../../src/core/time.ts'
import { decodeFinishedPod } from '../../../../src/kube/decode/finished-pod.ts'

const metadata = {
  name: 'web-7d4b9c-x2x9k',
  namespace: 'shop',
  uid: '84b61cdb-3b4f-4c1e-9d3a-5a3f4c2b1a09',
  resourceVersion: '4711',
  creationTimestamp: '2026-03-01T12:00:00Z',
  labels: { app: 'web', 'pod-template-hash': '7d4b9c' },
  ownerReferences: [
    { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-7d4b9c', uid: 'rs-uid', controller: true, blockOwnerDeletion: true },
  ],
}
const spec = { containers: [{ name: 'app' }, { name: 'log' }] }
const pod = (status: object, more: object = {}) => decodeFinishedPod({ metadata: { ...metadata, ...more }, spec, status })
const at = (time: string) => parseTime(`2026-03-01T${time}Z`)
const condition = (type: string, status: string, time: string, reason?: string) => ({
  ...{ type, status, lastProbeTime: null, lastTransitionTime: `2026-03-01T${time}Z` },
  ...(reason === undefined ? {} : { reason }),
})
const ended = (name: string, time: string | null, exitCode = 0, reason = 'Completed') => ({
  name,
  ready: false,
  restartCount: 0,
  state: { terminated: { exitCode, reason, startedAt: '2026-03-01T12:00:02Z', finishedAt: time } },
})

describe('a finished pod', () => {
  it('finished with its last container', () => {
    const found = pod({
      phase: 'Failed',
      startTime: '2026-03-01T12:00:00Z',
      conditions: [condition('Ready', 'False', '12:30:09', 'PodFailed')],
      containerStatuses: [ended('app', '2026-03-01T12:30:05Z', 1, 'Error'), ended('log', '2026-03-01T12:30:08Z')],
      initContainerStatuses: [ended('setup', '2026-03-01T12:00:01Z')],
    })
    expect(found).toMatchObject({ finishedAt: at('12:30:08'), finishedSource: 'Containers', deleting: false, finalizers: [] })
    expect(found).toMatchObject({ phase: 'Failed', labels: metadata.labels, owner: { kind: 'ReplicaSet', uid: 'rs-uid' } })
  })

  it('when the kubelet evicted it: by its conditions, for it has no container statuses', () => {
    const found = pod({
      phase: 'Failed',
      reason: 'Evicted',
      message: 'The node was low on resource: memory. ',
      startTime: '2026-03-01T12:00:00Z',
      conditions: [
        condition('DisruptionTarget', 'True', '13:00:00', 'TerminationByKubelet'),
        condition('Ready', 'False', '13:00:02', 'PodFailed'),
        condition('PodScheduled', 'True', '12:00:00'),
      ],
    })
    expect(found).toMatchObject({ reason: 'Evicted', finishedAt: at('13:00:02'), finishedSource: 'Conditions' })
  })

  it('when the kubelet refused it: by startTime, which is when it did', () => {
    const found = pod({ phase: 'Failed', reason: 'Evicted', message: 'Pod was rejected', startTime: '2026-03-01T12:10:00Z' })
    expect(found).toMatchObject({ finishedAt: at('12:10:00'), finishedSource: 'StartTime' })
  })

  it('when its node was lost: not before what says so, though a container ended long ago and another seems to run', () => {
    const found = pod({
      phase: 'Failed',
      conditions: [condition('DisruptionTarget', 'True', '15:00:00', 'DeletionByPodGC')],
      containerStatuses: [
        ended('app', '2026-03-01T12:30:05Z'),
        { name: 'log', ready: true, restartCount: 0, state: { running: { startedAt: '2026-03-01T12:00:02Z' } } },
      ],
    })
    expect(found).toMatchObject({ finishedAt: at('15:00:00'), finishedSource: 'Conditions' })
  })

  it.each([null, '0001-01-01T00:00:00Z', '1970-01-01T00:00:00Z'])(
    'whose container was lost (finishedAt %s): by its conditions',
    (time) => {
      const lost = ended('app', time, 137, 'ContainerStatusUnknown')
      const found = pod({
        phase: 'Failed',
        conditions: [condition('Ready', 'False', '14:00:00', 'PodFailed')],
        containerStatuses: [lost, ended('log', '2026-03-01T12:30:08Z')],
      })
      expect(found).toMatchObject({ finishedAt: at('14:00:00'), finishedSource: 'Conditions' })
    },
  )

  it('of which nothing else is known: by its creation', () => {
    expect(pod({ phase: 'Failed' })).toMatchObject({ finishedAt: at('12:00:00'), finishedSource: 'CreationTimestamp' })
  })

  it('tells what protects it', () => {
    const found = pod(
      { phase: 'Succeeded' },
      {
        deletionTimestamp: '2026-03-01T13:00:00Z',
        finalizers: ['batch.kubernetes.io/job-tracking'],
        annotations: { 'gracewatch.dev/keep': '', 'kubernetes.io/config.mirror': 'hash' },
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'no-controller', uid: 'c' }],
      },
    )
    expect(found).toMatchObject({
      deleting: true,
      finalizers: ['batch.kubernetes.io/job-tracking'],
      keep: '',
      mirror: true,
    })
    expect(found).not.toHaveProperty('owner')
  })

  it.each(['Pending', 'Running', 'Unknown', undefined])('is none in phase %s', (phase) => {
    expect(pod({ phase, containerStatuses: [ended('app', '2026-03-01T12:30:05Z')] })).toBeUndefined()
  })
})
