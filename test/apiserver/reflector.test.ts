/** The reflector on a real API server that is well. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { openConnection } from '../../src/kube/connection.ts'
import { decodeEndpointSlice } from '../../src/kube/decode/endpoint-slice.ts'
import { decodeEvent } from '../../src/kube/decode/event.ts'
import { decodePod } from '../../src/kube/decode/pod.ts'
import { KubeError } from '../../src/kube/errors.ts'
import type { KubeHttp } from '../../src/kube/http.ts'
import { Reflector } from '../../src/kube/reflector.ts'
import type { Identified } from '../../src/kube/reflector-types.ts'
import { useApiServer } from './connect.ts'
import { Pods, until, WatchedPods } from './watched-pods.ts'

const bed = useApiServer('reflector')
beforeAll(() => new Pods(bed).possible())

const log = { debug() {}, info() {}, warn() {}, error() {} }

test('a streaming list, then changes in order, each within its bounds', async () => {
  const pods = new Pods(bed)
  const first = await pods.create('listed')
  const watched = await WatchedPods.of(bed)
  expect(watched.told('listed')).toEqual(['Listed listed'])
  expect(watched.reflector.stats).toMatchObject({ lists: 1, watches: 1, failures: {} })
  expect(watched.last('listed')?.object).toMatchObject({ uid: first.uid, graceSeconds: 30, phase: 'Pending' })

  const created = await pods.create('watched')
  const labelled = await pods.label('watched', 'a')
  const deleted = await pods.delete('watched')
  await until(() => watched.last('watched')?.type === 'Deleted')
  // The API server may change it once more on its way out.
  const told = watched.changes.filter(({ object }) => object.name === 'watched')
  expect([...new Set(told.map(({ type }) => type))]).toEqual(['Added', 'Modified', 'Deleted'])
  const arrivals = [told[0]?.arrivedAt, told[1]?.arrivedAt, told.at(-1)?.arrivedAt]
  for (const [i, done] of [created, labelled, deleted].entries()) {
    // It cannot arrive before it was asked for, and does so about when the answer does.
    expect(arrivals[i]).toBeGreaterThan(done.notBefore)
    expect(arrivals[i]).toBeLessThan(done.notAfter + 1_000_000)
  }
  expect(watched.held()).toEqual(await pods.list())
  expect(watched.gaps).toEqual([])
  await pods.delete('listed')
})

test('pages tell the same where streams are refused', async () => {
  const pods = new Pods(bed)
  for (const name of ['p-1', 'p-2', 'p-3', 'p-4', 'p-5']) await pods.create(name)
  const limits: unknown[] = []
  const http: KubeHttp = {
    request: (request) => bed.http.request(request),
    onResponse: (observer) => bed.http.onResponse(observer),
    close: async () => {},
    async stream(request) {
      if (request.query?.sendInitialEvents) throw new KubeError('Invalid', 'sendInitialEvents is forbidden', { status: 422 })
      limits.push(request.query?.limit)
      return bed.http.stream(request)
    },
  }
  const watched = await WatchedPods.of(bed, { http, timings: { pageSize: 2 } })
  expect(limits.slice(0, 3)).toEqual([2, 2, 2])
  expect(watched.held()).toEqual(await pods.list())
  await pods.delete('p-3')
  await until(() => watched.last('p-3')?.type === 'Deleted')
  expect(watched.held()).toEqual(await pods.list())
  for (const name of ['p-1', 'p-2', 'p-4', 'p-5']) await pods.delete(name)
})

test('a watch that the server ends is followed by the next, from its last bookmark and without a gap', async () => {
  const pods = new Pods(bed)
  const watched = await WatchedPods.of(bed, { timings: { serverTimeoutSeconds: [5, 5] } })
  // A server that has not seen a single change of a pod since its start has no place to tell of, and sends no bookmark.
  await pods.create('before')
  await pods.delete('before')
  // A bookmark ends the list; others come shortly before an end, not always.
  await until(() => watched.reflector.stats.watches >= 3 && watched.reflector.stats.bookmarks >= 2, 60_000)
  await pods.create('after')
  await pods.delete('after')
  await until(() => watched.last('after')?.type === 'Deleted')
  expect(watched.reflector.stats).toMatchObject({ lists: 1, failures: {} })
  expect(watched.gaps).toEqual([])
})

test('a cut wire loses nothing: a pod that was replaced under its name meanwhile is Deleted and Added', async () => {
  const pods = new Pods(bed)
  const old = await pods.create('db-0')
  const watched = await WatchedPods.of(bed, { timings: { backoffBaseMs: 50, backoffMaxMs: 200 } })
  watched.wire.cut()
  const deleted = await pods.delete('db-0')
  const fresh = await pods.create('db-0')
  await until(() => (watched.reflector.stats.failures.Network ?? 0) >= 3)
  watched.wire.mend()
  await until(() => watched.last('db-0')?.object.uid === fresh.uid)
  // Controllers of the cluster may have changed it besides.
  const told = watched.told('db-0').filter((text) => !text.startsWith('Modified'))
  expect(told).toEqual(['Listed db-0', 'Deleted db-0', 'Added db-0'])
  const gone = watched.changes.find(({ type }) => type === 'Deleted')
  expect(gone?.object.uid).toBe(old.uid)
  expect(gone?.arrivedAt).toBeGreaterThan(deleted.notBefore)
  expect(watched.gaps).toEqual([])
  await pods.delete('db-0')
})

test('everything that the cluster has can be decoded', async () => {
  const kinds: [string, (raw: unknown) => Identified | undefined][] = [
    ['/api/v1/pods', decodePod],
    ['/api/v1/events', decodeEvent],
    ['/apis/discovery.k8s.io/v1/endpointslices', decodeEndpointSlice],
  ]
  for (const [path, decode] of kinds) {
    const errors: unknown[] = []
    const options = { http: bed.http, clock: bed.clock, path, decode, log, onChange: () => {} }
    const reflector = new Reflector<Identified>({ ...options, onError: (error) => errors.push(error) })
    reflector.start()
    await reflector.whenSynced()
    await reflector.stop()
    expect(errors, path).toEqual([])
    if (path.endsWith('slices')) expect(reflector.size).toBeGreaterThan(0)
  }
})

test('a service account: refused until it has the right, and its token replaced while it watches', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gracewatch-account-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const inNamespace = (...args: string[]) => bed.kubectl('-n', bed.namespace, ...args)
  const newToken = async () => writeFile(join(folder, 'token'), await inNamespace('create', 'token', 'watcher'))
  await inNamespace('create', 'serviceaccount', 'watcher')
  await newToken()
  await copyFile(bed.cluster.adminCertificate.ca, join(folder, 'ca.crt'))
  await writeFile(join(folder, 'namespace'), bed.namespace)
  const { hostname, port } = new URL(bed.cluster.apiServerUrl)
  const { http } = await openConnection({ inCluster: true, host: hostname, port, directory: folder })
  onTestFinished(() => http.close())

  const watched = WatchedPods.of(bed, {
    http,
    timings: { serverTimeoutSeconds: [2, 2], backoffBaseMs: 100, backoffMaxMs: 500 },
    onError: (error) => errors.push(error),
  })
  const errors: unknown[] = []
  await until(() => errors.length >= 2)
  expect(errors[0]).toMatchObject({ code: 'Forbidden', status: 403 })
  expect(String(errors[0])).toContain('cannot watch resource "pods"')
  await inNamespace('create', 'role', 'watcher', '--verb=get,list,watch', '--resource=pods')
  await inNamespace('create', 'rolebinding', 'watcher', '--role=watcher', `--serviceaccount=${bed.namespace}:watcher`)
  const { reflector, changes, gaps } = await watched

  // An account made anew makes the tokens of the old one invalid, within the 10 s for which the API server remembers them.
  await inNamespace('delete', 'serviceaccount', 'watcher')
  await inNamespace('create', 'serviceaccount', 'watcher')
  await until(() => (reflector.stats.failures.Unauthorized ?? 0) > 0, 60_000)
  await newToken()
  const pods = new Pods(bed)
  await pods.create('late')
  await pods.delete('late')
  await until(() => changes.findLast(({ object }) => object.name === 'late')?.type === 'Deleted')
  expect(reflector.stats.lists).toBe(1)
  expect(gaps).toEqual([])
})
