import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WorkloadResolver } from '../../../src/controllers/recorder/workloads.ts'
import type { OwnerReference } from '../../../src/core/evidence.ts'
import { aPod } from '../builders.ts'
import { cleanups, clientOf } from '../kube/support/http.ts'

const owner = (kind: string, name: string, apiVersion = 'apps/v1'): OwnerReference => ({
  apiVersion,
  kind,
  name,
  uid: `uid-${name}`,
})
const podOf = (of?: OwnerReference, name = 'web-1') => aPod({ name, ...(of === undefined ? {} : { owner: of }) }).pod

const REPLICA_SET = '/apis/apps/v1/namespaces/shop/replicasets/web-7d4b9c'
const JOB = '/apis/batch/v1/namespaces/shop/jobs/report-123'

type Reply = (request: IncomingMessage, response: ServerResponse) => void

const status =
  (code: number, reason: string): Reply =>
  (_, response) => {
    response.writeHead(code, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ kind: 'Status', status: 'Failure', code, reason, message: reason }))
  }

const metadata =
  (name: string, owners: readonly object[] = [], uid = `uid-${name}`): Reply =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ kind: 'PartialObjectMetadata', metadata: { name, uid, ownerReferences: owners } }))
  }

async function given(replies: Record<string, Reply>) {
  const asked: { path: string; accept: string | undefined }[] = []
  const server = createServer((request, response) => {
    asked.push({ path: request.url ?? '', accept: request.headers.accept })
    const reply = replies[request.url ?? ''] ?? status(404, 'NotFound')
    reply(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const warned: string[] = []
  const log = { debug() {}, info() {}, warn: (_: object, text: string) => warned.push(text), error() {} }
  const clock = { now: 0 }
  const http = clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) // a listening TCP server has one
  return { resolver: new WorkloadResolver({ http, log, now: () => clock.now }), asked, warned, clock, replies }
}

describe('the workload of a pod', () => {
  test('without an owner is the pod itself, and nobody is asked', async () => {
    const { resolver, asked } = await given({})
    await resolver.resolve(podOf())
    expect(resolver.known(podOf())).toMatchObject({ kind: 'Pod', name: 'web-1', apiVersion: 'v1' })
    expect(resolver.settled(podOf())).toBe(true)
    expect(asked).toEqual([])
  })

  test.each([
    ['StatefulSet', 'apps/v1'],
    ['DaemonSet', 'apps/v1'],
    ['Rollout', 'argoproj.io/v1alpha1'],
    ['ReplicationController', 'v1'],
    ['ReplicaSet', 'extensions.example.com/v1'],
  ])('of an owner %s (%s) is that owner, and nobody is asked', async (kind, apiVersion) => {
    const { resolver, asked } = await given({})
    const pod = podOf(owner(kind, 'web', apiVersion))
    await resolver.resolve(pod)
    expect(resolver.known(pod)).toEqual({ kind, name: 'web', uid: 'uid-web', apiVersion })
    expect(resolver.settled(pod)).toBe(true)
    expect(asked).toEqual([])
  })

  test('of a ReplicaSet is its Deployment, by one GET of metadata alone', async () => {
    const { resolver, asked } = await given({
      [REPLICA_SET]: metadata('web-7d4b9c', [{ ...owner('Deployment', 'web'), controller: true }]),
    })
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    expect(resolver.settled(pod)).toBe(false)
    expect(resolver.known(pod).kind).toBe('ReplicaSet')
    await resolver.resolve(pod)
    expect(resolver.known(pod)).toEqual({ kind: 'Deployment', name: 'web', uid: 'uid-web', apiVersion: 'apps/v1' })
    expect(resolver.settled(pod)).toBe(true)
    expect(asked).toEqual([{ path: REPLICA_SET, accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' }])
  })

  test("of a ReplicaSet can be somebody else's, as Argo's Rollout", async () => {
    const rollout = { ...owner('Rollout', 'web', 'argoproj.io/v1alpha1'), controller: true }
    const { resolver } = await given({ [REPLICA_SET]: metadata('web-7d4b9c', [rollout]) })
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    await resolver.resolve(pod)
    expect(resolver.known(pod)).toMatchObject({ kind: 'Rollout', apiVersion: 'argoproj.io/v1alpha1' })
  })

  test('of a ReplicaSet that nobody controls is the ReplicaSet', async () => {
    const { resolver } = await given({
      [REPLICA_SET]: metadata('web-7d4b9c', [{ ...owner('Deployment', 'web'), controller: false }]),
    })
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    await resolver.resolve(pod)
    expect(resolver.known(pod)).toMatchObject({ kind: 'ReplicaSet', name: 'web-7d4b9c' })
    expect(resolver.settled(pod)).toBe(true)
  })

  test('of a Job is its CronJob', async () => {
    const { resolver } = await given({
      [JOB]: metadata('report-123', [{ ...owner('CronJob', 'report', 'batch/v1'), controller: true }]),
    })
    const pod = podOf(owner('Job', 'report-123', 'batch/v1'))
    await resolver.resolve(pod)
    expect(resolver.known(pod)).toMatchObject({ kind: 'CronJob', name: 'report' })
  })

  test('is not that of another object that has the name of the owner now', async () => {
    const { resolver } = await given({
      [REPLICA_SET]: metadata('web-7d4b9c', [{ ...owner('Deployment', 'other'), controller: true }], 'another'),
    })
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    await resolver.resolve(pod)
    expect(resolver.known(pod)).toMatchObject({ kind: 'ReplicaSet', name: 'web-7d4b9c' })
  })
})

describe('how it is asked for', () => {
  const REPLY = metadata('web-7d4b9c', [{ ...owner('Deployment', 'web'), controller: true }])

  test('once for all pods of an owner, also where they ask together', async () => {
    const { resolver, asked } = await given({ [REPLICA_SET]: REPLY })
    const of = owner('ReplicaSet', 'web-7d4b9c')
    await Promise.all(Array.from({ length: 20 }, (_, index) => resolver.resolve(podOf(of, `web-${index}`))))
    await resolver.resolve(podOf(of, 'web-later'))
    expect(asked).toHaveLength(1)
    expect(resolver.known(podOf(of, 'web-later')).kind).toBe('Deployment')
  })

  test('four at a time', async () => {
    let open = 0
    let most = 0
    const slow: Reply = (request, response) => {
      most = Math.max(most, ++open)
      setTimeout(() => {
        open--
        metadata(request.url?.split('/').at(-1) ?? '')(request, response)
      }, 5)
    }
    const names = Array.from({ length: 30 }, (_, index) => `rs-${index}`)
    const { resolver } = await given(Object.fromEntries(names.map((name) => [REPLICA_SET.replace('web-7d4b9c', name), slow])))
    await Promise.all(names.map((name) => resolver.resolve(podOf(owner('ReplicaSet', name)))))
    expect(most).toBe(4)
  })

  test('an owner that is gone stays the answer, and is not asked for again', async () => {
    const { resolver, asked } = await given({})
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    await resolver.resolve(pod)
    await resolver.resolve(pod)
    expect(asked).toHaveLength(1)
    expect(resolver.settled(pod)).toBe(true)
    expect(resolver.known(pod)).toMatchObject({ kind: 'ReplicaSet', name: 'web-7d4b9c' })
  })

  test('a failure that may pass leaves the direct owner for now, and is tried again after 5 s', async () => {
    const { resolver, asked, clock, replies } = await given({ [REPLICA_SET]: status(500, 'InternalError') })
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    await resolver.resolve(pod)
    expect(resolver.settled(pod)).toBe(false)
    expect(resolver.known(pod).kind).toBe('ReplicaSet')
    replies[REPLICA_SET] = REPLY
    clock.now = 4999
    await resolver.resolve(pod)
    expect(asked).toHaveLength(1)
    clock.now = 5000
    await resolver.resolve(pod)
    expect(resolver.known(pod).kind).toBe('Deployment')
  })

  test('an answer without sense is a failure that may pass', async () => {
    const { resolver } = await given({ [REPLICA_SET]: (_, response) => response.end('<html>') })
    const pod = podOf(owner('ReplicaSet', 'web-7d4b9c'))
    await resolver.resolve(pod)
    expect(resolver.settled(pod)).toBe(false)
  })

  test('rights that are missing are told once, and the direct owner is named', async () => {
    const { resolver, warned } = await given({ [REPLICA_SET]: status(403, 'Forbidden'), [JOB]: status(403, 'Forbidden') })
    const pods = [podOf(owner('ReplicaSet', 'web-7d4b9c')), podOf(owner('Job', 'report-123', 'batch/v1'))]
    for (const pod of pods) await resolver.resolve(pod)
    expect(warned).toEqual(['owner of pods may not be read, records name the direct owner'])
    expect(pods.map((pod) => resolver.known(pod).kind)).toEqual(['ReplicaSet', 'Job'])
  })
})
