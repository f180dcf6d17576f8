import { setTimeout as passed } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { HandoverBrake } from '../../../../src/controllers/gatekeeper/handover/brake.ts'
import { WorkloadResolver } from '../../../../src/controllers/recorder/workloads.ts'
import type { PodSnapshot } from '../../../../src/core/evidence.ts'
import { decide } from '../../../../src/core/gates/decide.ts'
import type { GatePod } from '../../../../src/core/gates/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import type { StoredPodTermination } from '../../../../src/kube/apply.ts'
import { createClock } from '../../../../src/kube/clock.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import type { KubeHttp } from '../../../../src/kube/http.ts'
import { aGate, aPod, at, condition, NOW } from '../../core/gates/builders.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const gate = aGate({ spec: { checks: [{ handover: {} }] } })
const check = gate.spec.checks[0]?.handover
if (check === undefined) throw new Error('the gate has no brake')

/** An API server that forbids everything: it is asked, and counted. */
function brakeWithout(rights: { asked: string[]; told: string[] }) {
  const http: KubeHttp = {
    request: async ({ path }) => {
      rights.asked.push(path)
      throw new KubeError('Forbidden', `GET ${path}: forbidden`)
    },
    stream: async ({ path }) => {
      throw new KubeError('Forbidden', `WATCH ${path}: forbidden`)
    },
    onResponse: () => () => {},
    close: async () => {},
  }
  return new HandoverBrake({
    http,
    clock: createClock(),
    log,
    serverNow: () => NOW,
    pods: () => [],
    workloads: new WorkloadResolver({ http, log }),
    records: { list: async function* () {} },
    events: undefined,
    changed: { pod: (uid) => rights.told.push(uid), gate: () => {} },
  })
}

const owner = (kind: string) => ({ apiVersion: 'apps/v1', kind, name: 'web-6d4b', uid: 'owner-1' })

test('an owner that may not be read is asked for once, and looked at again later, not at once; nobody can tell then', async () => {
  const seen = { asked: [] as string[], told: [] as string[] }
  const brake = brakeWithout(seen)
  const pod = aPod({ owner: owner('ReplicaSet') })
  expect(brake.result(gate, check, pod, NOW)).toMatchObject({ state: 'Unknown', pending: true, recheckAt: expect.any(Number) })
  await passed(20)
  // failOpenAfter counts from here: it is no answer that is on its way.
  const second = brake.result(gate, check, pod, NOW)
  expect(second).toMatchObject({ state: 'Unknown', reason: 'WorkloadUnknown' })
  expect(second.pending).toBeUndefined()
  expect(second.recheckAt).toBeGreaterThan(NOW)
  await passed(20)
  expect(brake.result(gate, check, pod, NOW)).toEqual(second)
  await passed(20)
  expect(seen.asked).toHaveLength(1)
  expect(seen.told).toEqual(['pod-1'])
  await brake.stop()
})

test('a pod that was let in is written once: what was said of it stays', async () => {
  const brake = brakeWithout({ asked: [], told: [] })
  const verdictOf = (pod: GatePod) => decide(gate, pod, [{ kind: 'handover', ...brake.result(gate, check, pod, NOW) }], NOW)
  const pod = aPod({ owner: owner('DaemonSet') })
  const first = verdictOf(pod)
  expect(first).toMatchObject({ status: 'True', reason: 'ChecksPassed' })
  const { reason = '', message = '' } = first ?? {}
  const letIn = { ...pod, conditions: [condition('True', { reason, message })] }
  expect(verdictOf(letIn)).toMatchObject({ status: 'True', reason, message })
  await brake.stop()
})

test('right after a start no pod is let in, and no hold ends, before all owners in the namespace have been looked up', async () => {
  const replicaSet = (name: string) => ({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid: `${name}-uid` })
  const answers = new Map<string, () => void>()
  const http: KubeHttp = {
    // Each ReplicaSet of the Deployment is answered when the test says so, and the newer one has the higher number.
    request: async ({ path }) => {
      const name = path.split('/').at(-1) ?? ''
      await new Promise<void>((answer) => answers.set(name, answer))
      const metadata = {
        uid: `${name}-uid`,
        annotations: { 'deployment.kubernetes.io/revision': name === 'web-new' ? '2' : '1' },
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'deploy-1', controller: true }],
      }
      return {
        status: 200,
        headers: new Map(),
        body: new Uint8Array(),
        sentAt: NOW,
        receivedAt: NOW,
        json: <T>() => ({ metadata }) as T, // whoever asks for a ReplicaSet's metadata names their type
        warnings: [],
      }
    },
    stream: async ({ path }) => {
      throw new KubeError('Forbidden', `WATCH ${path}: forbidden`)
    },
    onResponse: () => () => {},
    close: async () => {},
  }
  const told: string[] = []
  const snapshot = (uid: string, revision: string): PodSnapshot => {
    const { labels: _, ...gatePart } = aPod()
    return {
      uid,
      namespace: 'shop',
      name: `web-${uid}`,
      resourceVersion: '1',
      finalizers: [],
      owner: replicaSet(`web-${revision}`),
      restartPolicy: 'Always',
      graceSeconds: 30,
      volumeCount: 0,
      containers: [],
      phase: 'Running',
      conditions: [],
      statuses: [],
      gate: { ...gatePart, labels: { app: 'web', 'pod-template-hash': revision } },
    }
  }
  const holding = aGate({
    spec: { checks: [{ handover: {} }] },
    status: {
      holds: [
        {
          workload: { kind: 'Deployment', name: 'web', uid: 'deploy-1', apiVersion: 'apps/v1' },
          revision: 'new',
          since: at(-60),
          releaseSeen: 'before',
        },
      ],
    },
  })
  const brake = new HandoverBrake({
    http,
    clock: createClock(),
    log,
    serverNow: () => NOW,
    pods: () => [snapshot('o1', 'old'), snapshot('n1', 'new')],
    workloads: new WorkloadResolver({ http, log }),
    records: {
      list: async function* () {
        yield {
          metadata: { namespace: 'shop', name: 'web-o0.1', uid: 'record-1', resourceVersion: '1', creationTimestamp: at(-30) },
          state: 'Complete',
          outcome: 'ForcedKill',
          finishedAt: at(-30),
          pod: { namespace: 'shop', name: 'web-o0', uid: 'o0', workload: { kind: 'Deployment', name: 'web', uid: 'deploy-1' } },
        } satisfies StoredPodTermination
      },
    },
    events: undefined,
    changed: { pod: (uid) => told.push(uid), gate: () => {} },
  })
  const pod = aPod({
    uid: 'n1',
    owner: replicaSet('web-new'),
    labels: { app: 'web', 'pod-template-hash': 'new' },
    containersReady: true,
    conditions: [condition('False', { reason: 'RolloutHeld' })],
  })
  const result = () => brake.result(holding, check, pod, NOW)
  const answer = async (name: string) => {
    await expect.poll(() => answers.has(name)).toBe(true)
    answers.get(name)?.()
    answers.delete(name)
    await passed(5)
  }

  expect(brake.holds(holding)).toHaveLength(1)
  expect(result()).toMatchObject({ state: 'Unknown', pending: true })
  await answer('web-new')
  // Its own workload is known, that of the old pod is not: it would be alone.
  expect(result()).toMatchObject({ state: 'Unknown', pending: true })
  expect(brake.holds(holding)).toHaveLength(1)
  await answer('web-old')
  expect(told).toContain('n1')
  // The records and the order of the revisions are read now.
  expect(result()).toMatchObject({ state: 'Unknown', pending: true })
  await answer('web-new')
  await answer('web-old')
  await expect.poll(() => result().reason).toBe('RolloutHeld')
  expect(brake.holds(holding)).toMatchObject([{ revision: 'new', since: at(-60) }])
  await brake.stop()
})

test('a new leader lets nobody in before it knows how those ended that went while nobody led', async () => {
  const http: KubeHttp = {
    request: async ({ path }) => {
      const name = path.split('/').at(-1) ?? ''
      const metadata = {
        uid: `${name}-uid`,
        annotations: { 'deployment.kubernetes.io/revision': name === 'web-new' ? '2' : '1' },
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'deploy-1', controller: true }],
      }
      return {
        status: 200,
        headers: new Map(),
        body: new Uint8Array(),
        sentAt: NOW,
        receivedAt: NOW,
        json: <T>() => ({ metadata }) as T, // whoever asks for a ReplicaSet's metadata names their type
        warnings: [],
      }
    },
    stream: async ({ path }) => {
      throw new KubeError('Forbidden', `WATCH ${path}: forbidden`)
    },
    onResponse: () => () => {},
    close: async () => {},
  }
  const ownerOf = (revision: string) => ({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: `web-${revision}`,
    uid: `web-${revision}-uid`,
  })
  const snapshot = (uid: string, revision: string): PodSnapshot => {
    const { labels: _, ...gatePart } = aPod()
    return {
      uid,
      namespace: 'shop',
      name: `web-${uid}`,
      resourceVersion: '1',
      finalizers: [],
      owner: ownerOf(revision),
      restartPolicy: 'Always',
      graceSeconds: 30,
      volumeCount: 0,
      containers: [],
      phase: 'Running',
      conditions: [],
      statuses: [],
      gate: { ...gatePart, labels: { app: 'web', 'pod-template-hash': revision } },
    }
  }
  const asking = aPod({
    uid: 'n1',
    owner: ownerOf('new'),
    labels: { app: 'web', 'pod-template-hash': 'new' },
    containersReady: true,
  })
  /** All that can be read has been read, and nothing of it tells of the old pod that was killed in between. */
  const settled = async () => {
    const told: string[] = []
    const brake = new HandoverBrake({
      http,
      clock: createClock(),
      log,
      serverNow: () => NOW,
      pods: () => [snapshot('o1', 'old'), snapshot('n1', 'new')],
      workloads: new WorkloadResolver({ http, log }),
      records: { list: async function* () {} },
      events: undefined,
      changed: { pod: (uid) => told.push(uid), gate: () => {} },
    })
    const result = (now = NOW) => brake.result(gate, check, asking, now)
    await expect.poll(() => result(NOW + 3600 * SECOND).reason).toBe('HandoverAllowed')
    return { brake, result, told }
  }

  const quiet = await settled()
  const first = quiet.result()
  expect(first).toMatchObject({ state: 'Unknown', pending: true })
  // By itself it is looked at again when that time is over, and let in.
  expect(quiet.result(first.recheckAt)).toMatchObject({ state: 'Pass', reason: 'HandoverAllowed' })
  expect((first.recheckAt ?? 0) - NOW).toBeLessThan(10 * SECOND)
  await quiet.brake.stop()

  const { brake, result, told } = await settled()
  expect(result(NOW + SECOND)).toMatchObject({ pending: true })
  told.length = 0
  brake.onVerdict({
    state: 'Complete',
    outcome: 'ForcedKill',
    finishedAt: at(-5),
    pod: { namespace: 'shop', name: 'web-o0', uid: 'o0', workload: { kind: 'Deployment', name: 'web', uid: 'deploy-1' } },
  })
  expect(told).toContain('n1')
  expect(result(NOW + 2 * SECOND)).toMatchObject({ state: 'Fail', reason: 'RolloutHeld' })
  await brake.stop()
})
