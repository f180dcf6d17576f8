/** A Deployment `web` of two revisions, and an API server that knows what the test says of it. */
import { setTimeout as passed } from 'node:timers/promises'
import { HandoverBrake, type HandoverBrakeOptions } from '../../../../src/controllers/gatekeeper/handover/brake.ts'
import { WorkloadResolver } from '../../../../src/controllers/recorder/workloads.ts'
import type { PodSnapshot } from '../../../../src/core/evidence.ts'
import type { StoredPodTermination } from '../../../../src/kube/apply.ts'
import { createClock } from '../../../../src/kube/clock.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import type { KubeHttp } from '../../../../src/kube/http.ts'
import { aPod, at, NOW } from '../../core/gates/builders.ts'

/** Answers a GET with the object, or with the error that `get` throws; every watch is forbidden. */
export function apiServer(get: (path: string) => object | Promise<object>): KubeHttp {
  return {
    request: async ({ path }) => {
      const object = await get(path)
      return {
        status: 200,
        headers: new Map(),
        body: new Uint8Array(),
        sentAt: NOW,
        receivedAt: NOW,
        json: <T>() => object as T, // whoever asks names the type of what is at this path
        warnings: [],
      }
    },
    stream: async ({ path }) => {
      throw new KubeError('Forbidden', `WATCH ${path}: forbidden`)
    },
    onResponse: () => () => {},
    close: async () => {},
  }
}

/** The ReplicaSet of a revision; that of `new` has the higher number. */
export const replicaSet = (name: string) => ({
  metadata: {
    uid: `${name}-uid`,
    annotations: { 'deployment.kubernetes.io/revision': name === 'web-new' ? '2' : '1' },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'deploy-1', controller: true }],
  },
})
export const ownerOf = (revision: string) => {
  const name = `web-${revision}`
  return { apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid: `${name}-uid` }
}
const labelsOf = (revision: string) => ({ app: 'web', 'pod-template-hash': revision })

export function snapshot(uid: string, revision: string, part: Partial<PodSnapshot> = {}): PodSnapshot {
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
    gate: { ...gatePart, labels: labelsOf(revision) },
    ...part,
  }
}

/** The new pod, which asks: its containers are ready. */
export const newPod = aPod({ uid: 'n1', owner: ownerOf('new'), labels: labelsOf('new'), containersReady: true })

/** A pod of the Deployment that was killed by force 30 s ago. */
export const killed = {
  state: 'Complete',
  outcome: 'ForcedKill',
  finishedAt: at(-30),
  pod: { namespace: 'shop', name: 'web-o0', uid: 'o0', workload: { kind: 'Deployment', name: 'web', uid: 'deploy-1' } },
} as const

/** As it stands in the API. */
export const killedRecord: StoredPodTermination = {
  ...killed,
  metadata: { namespace: 'shop', name: 'web-o0.1', uid: 'record-1', resourceVersion: '1', creationTimestamp: at(-30) },
}

export const recordsOf = (records: readonly StoredPodTermination[], onRead = () => {}): HandoverBrakeOptions['records'] => ({
  list: async function* () {
    onRead()
    yield* records
  },
})

/** @returns the brake, and UIDs of pods that it wants to be looked at again */
export function brakeOn(http: KubeHttp, options: Partial<HandoverBrakeOptions> = {}) {
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const told: string[] = []
  const brake = new HandoverBrake({
    http,
    clock: createClock(),
    log,
    serverNow: () => NOW,
    pods: () => [snapshot('o1', 'old'), snapshot('n1', 'new')],
    workloads: new WorkloadResolver({ http, log }),
    records: recordsOf([]),
    events: undefined,
    changed: { pod: (uid) => told.push(uid), gate: () => {} },
    ...options,
  })
  return { brake, told }
}

/** What has been asked for is answered. */
export const answered = () => passed(20)
