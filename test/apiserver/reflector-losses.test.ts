/** The reflector while a real API server is restarted, killed, stopped in its tracks, and made to forget. */
import { beforeAll, expect, test } from 'vitest'
import { useApiServer } from './connect.ts'
import { Pods, until, WatchedPods } from './watched-pods.ts'

const bed = useApiServer('losses')
beforeAll(() => new Pods(bed).possible())

const timings = { backoffBaseMs: 50, backoffMaxMs: 500 }

test('a restart of the API server: the watch goes on, and what it had to list again is told', async () => {
  const pods = new Pods(bed)
  await pods.create('before')
  const watched = await WatchedPods.of(bed, { timings })
  await bed.cluster.restartPart('kube-apiserver')
  await pods.create('after')
  await pods.delete('before')
  await until(() => watched.last('before') !== undefined && ['Deleted', 'Vanished'].includes(watched.last('before')?.type ?? ''))
  await until(() => watched.last('after') !== undefined)
  expect(watched.held()).toEqual(await pods.list())
  expect(watched.reflector.stats.failuresInRow).toBe(0)
  await pods.delete('after')
})

test('kill -9 of the API server is survived as well', async () => {
  const pods = new Pods(bed)
  await pods.create('survivor')
  const watched = await WatchedPods.of(bed, { timings })
  await bed.cluster.killPart('kube-apiserver')
  await until(() => (watched.reflector.stats.failures.Network ?? 0) >= 3)
  await bed.cluster.startPart('kube-apiserver')
  await pods.label('survivor', 'changed')
  const deleted = await pods.delete('survivor')
  await until(() => ['Deleted', 'Vanished'].includes(watched.last('survivor')?.type ?? ''))
  expect(watched.last('survivor')?.arrivedAt).toBeGreaterThan(deleted.notBefore)
  expect(watched.held()).toEqual(await pods.list())
})

test('a place that etcd has compacted away: the difference by UID, every bound true, and the gap', async () => {
  const pods = new Pods(bed)
  for (const name of ['gone', 'replaced', 'changed', 'same']) await pods.create(name)
  const watched = await WatchedPods.of(bed, { timings })
  const listed = watched.changes.length
  watched.wire.cut()
  const gone = await pods.delete('gone')
  const replaced = await pods.delete('replaced')
  const fresh = await pods.create('replaced')
  const changed = await pods.label('changed', 'yes')
  const added = await pods.create('new')
  await bed.cluster.compactEtcd()
  await bed.cluster.killPart('kube-apiserver')
  await bed.cluster.startPart('kube-apiserver')
  watched.wire.mend()
  await until(() => watched.gaps.length === 1)

  const changes = watched.changes.slice(listed)
  const byUid = (uid: string) => changes.filter(({ object }) => object.uid === uid)
  expect(byUid(gone.uid)).toMatchObject([{ type: 'Vanished' }])
  expect(byUid(replaced.uid)).toMatchObject([{ type: 'Vanished', replacedBy: fresh.uid }])
  expect(byUid(fresh.uid)).toMatchObject([{ type: 'Listed' }])
  expect(byUid(changed.uid)).toMatchObject([{ type: 'Listed', previous: { uid: changed.uid } }])
  expect(byUid(added.uid)).toMatchObject([{ type: 'Listed' }])
  expect(changes).toHaveLength(5)
  const order = changes.map(({ object }) => object.uid)
  expect(order.indexOf(replaced.uid)).toBe(order.indexOf(fresh.uid) - 1)
  for (const done of [gone, replaced, fresh, changed, added]) {
    const [change] = byUid(done.uid)
    // The deletion was done at some time between these two, and so at the latest before the one and at the earliest after the other.
    expect(change?.since).toBeLessThanOrEqual(done.notBefore)
    expect(change?.arrivedAt).toBeGreaterThanOrEqual(done.notAfter)
  }
  const [gap] = watched.gaps
  expect(gap?.from).toBeLessThanOrEqual(gone.notBefore)
  expect(gap?.to).toBeGreaterThanOrEqual(added.notAfter)
  expect(watched.held()).toEqual(await pods.list())
  for (const name of ['replaced', 'changed', 'same', 'new']) await pods.delete(name)
})

test('an API server that stands still: the watchdog notices, and nothing is lost when it goes on', async () => {
  const pods = new Pods(bed)
  await pods.create('patient')
  const watched = await WatchedPods.of(bed, { timings: { ...timings, inactivityMs: 2000, headersMs: 1000 } })
  await bed.cluster.pausePart('kube-apiserver')
  try {
    await until(() => (watched.reflector.stats.failures.Timeout ?? 0) >= 2)
  } finally {
    await bed.cluster.resumePart('kube-apiserver')
  }
  await pods.delete('patient')
  await until(() => ['Deleted', 'Vanished'].includes(watched.last('patient')?.type ?? ''))
  expect(watched.held()).toEqual(await pods.list())
  expect(watched.reflector.stats.lists).toBe(1)
})

test('an etcd that is away: the API server answers 5xx or hangs, and the watch comes back', async () => {
  const pods = new Pods(bed)
  await pods.create('kept')
  const watched = await WatchedPods.of(bed, { timings: { ...timings, serverTimeoutSeconds: [2, 2], headersMs: 2000 } })
  await bed.cluster.killPart('etcd')
  await new Promise((resolve) => setTimeout(resolve, 5000))
  await bed.cluster.startPart('etcd')
  await until(() => watched.reflector.stats.failuresInRow === 0)
  // The API server itself needs a moment to find etcd again.
  await expect
    .poll(
      () =>
        pods.delete('kept').then(
          () => true,
          () => false,
        ),
      { timeout: 30_000, interval: 500 },
    )
    .toBe(true)
  await until(() => ['Deleted', 'Vanished'].includes(watched.last('kept')?.type ?? ''))
  expect(watched.held()).toEqual(await pods.list())
})
