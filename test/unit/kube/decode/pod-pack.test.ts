import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ContainerSpec, ContainerStatus, PodCondition, PodSnapshot, TerminatedState } from '../../../../src/core/evidence.ts'
import { decodePod } from '../../../../src/kube/decode/pod.ts'
import { packPod } from '../../../../src/kube/decode/pod-pack.ts'
import { readFixtures } from '../../../replay/fixture.ts'

const unpacked = (pod: PodSnapshot) => packPod(pod)?.unpack(pod.uid, pod.resourceVersion)

/** Every field that a snapshot can have: one that is added does not compile here until it has a place. */
type Every<T> = { readonly [K in keyof T]-?: fc.Arbitrary<Exclude<T[K], undefined>> }
const some = <T>(fields: Every<T>, required: readonly (keyof T & string)[]) =>
  fc.record(fields, { requiredKeys: required as never[], noNullPrototype: true }) as fc.Arbitrary<T> // its own types want the keys as a literal

const text = fc.oneof(
  fc.string({ minLength: 1, unit: 'binary' }),
  fc.constantFrom('=', '=AA', 'a', '0', 'Ready', 'containerd://'),
)
const word = fc.oneof(fc.constantFrom('Always', 'Running', 'Ready', 'True', 'Error', 'Completed'), text)
const count = fc.oneof(fc.nat(), fc.maxSafeInteger())
const time = fc.oneof(
  fc.nat(4_000_000_000).map((seconds) => `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`),
  fc.constantFrom('2026-11-27T11:50:37Z', '2026-11-27T11:50:37.5Z', '2026-11-27T12:50:37+01:00', '2026-02-30T00:00:00Z', '2026'),
  fc.constantFrom('+012026-11-27T11:50:37Z', '0001-01-01T00:00:00Z', '-000001-01-01T00:00:00Z', '1'),
  text,
)
const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 })
const id = fc.oneof(
  hex.map((digits) => `containerd://${digits}`),
  fc.constantFrom(`containerd://${'A'.repeat(64)}`, `cri-o://${'a'.repeat(64)}`, 'docker://x'),
  text,
)
const name = fc.constantFrom('app', 'proxy', 'a', '0')
const terminated = some<TerminatedState>(
  { exitCode: fc.integer(), reason: word, message: text, startedAt: time, finishedAt: time, containerID: id },
  ['exitCode'],
)
const status = some<ContainerStatus>(
  {
    ...{ name, restartCount: count, containerID: id, stopSignal: word },
    waiting: fc.record({ reason: word }, { requiredKeys: [], noNullPrototype: true }),
    running: fc.record({ startedAt: time }, { requiredKeys: [], noNullPrototype: true }),
    ...{ terminated, lastTerminated: terminated },
  },
  ['name', 'restartCount'],
)
const condition = some<PodCondition>({ type: word, status: word, reason: word, message: text, lastTransitionTime: time }, [
  'type',
  'status',
])
const container: fc.Arbitrary<ContainerSpec> = fc.record({ name, role: fc.constantFrom('Main', 'Init', 'Sidecar', 'Ephemeral') })
const pods = some<PodSnapshot>(
  {
    ...{ uid: text, namespace: text, name: text, resourceVersion: text, nodeName: text },
    ...{ generation: count, observedGeneration: count, deletionGracePeriodSeconds: count, activeDeadlineSeconds: count },
    ...{
      creationTimestamp: time,
      deletionTimestamp: time,
      startTime: time,
      mirror: fc.constant(true),
      finalizers: fc.array(text),
    },
    owner: fc.record({ apiVersion: text, kind: text, name: text, uid: text }, { noNullPrototype: true }),
    ...{ restartPolicy: word, graceSeconds: count, volumeCount: count, phase: word, reason: word, message: text },
    ...{ containers: fc.array(container), conditions: fc.array(condition), statuses: fc.array(status) },
    ...{ gate: fc.constant(undefined as never), cleanup: fc.constant(undefined as never) },
  },
  [
    ...(['uid', 'namespace', 'name', 'resourceVersion', 'finalizers', 'restartPolicy', 'graceSeconds'] as const),
    ...(['volumeCount', 'containers', 'phase', 'conditions', 'statuses'] as const),
  ],
).map(({ gate: _gate, cleanup: _cleanup, ...pod }) => pod)

describe('a packed pod', () => {
  it('is the snapshot that it was, whatever it says', () => {
    let packed = 0
    fc.assert(
      fc.property(pods, (pod) => {
        const again = unpacked(pod)
        if (again === undefined) return
        packed++
        expect(again).toStrictEqual(pod)
      }),
      { numRuns: 2000 },
    )
    // What is kept whole says something that no API server does.
    expect(packed).toBeGreaterThan(500)
  })

  it('is the snapshot that it was, of each version of each pod that was recorded of a real kubelet', () => {
    const versions = readFixtures().flatMap(({ lines }) => lines.filter(({ resource }) => resource === 'pods'))
    expect(versions.length).toBeGreaterThan(100)
    for (const { object } of versions) {
      const pod = decodePod(object)
      expect(unpacked(pod)).toStrictEqual(pod)
    }
  })

  it('has its containers and its owner in common with others', () => {
    const pod = decodePod({
      metadata: { uid: 'u', namespace: 'n', name: 'p', resourceVersion: '1', ownerReferences: [OWNER] },
      spec: { containers: [{ name: 'app' }] },
    })
    const again = unpacked(pod)
    expect(again?.containers).toBe(pod.containers)
    expect(again?.owner).toBe(pod.owner)
  })
})

const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'o', controller: true }

it('one that readiness gates or a cleanup read more of is kept whole', () => {
  const pod = decodePod({ metadata: { uid: 'u', namespace: 'n', name: 'p', resourceVersion: '1' }, spec: {} })
  expect(packPod(pod)).toBeDefined()
  expect(packPod({ ...pod, cleanup: { labels: {} } })).toBeUndefined()
  const gate = { labels: {}, annotations: {}, readinessGates: [], conditions: [], hostIPs: [], hostNetwork: false, ports: {} }
  expect(packPod({ ...pod, gate })).toBeUndefined()
})
