/** What the recorder gathers about a termination, from where, and which changes begin one. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parseTime, SECOND } from '../../../src/core/time.ts'
import { aPod, EPOCH, micros, type PodOptions, type PodStory, secondsOf, UID } from '../builders.ts'
import { Bench, refused } from './bench.ts'

afterEach(() => {
  vi.useRealTimers()
})

const UID_2 = '84b61cdb-0000-4c1e-9d3a-5a3f4c2b1a09'

const ended = (options: PodOptions = {}): PodStory =>
  aPod(options)
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('app', { at: 0.5 })
    .reported({ at: 0.6, phase: 'Succeeded' })
    .removed({ at: 0.8 })

const job = () => aPod({ restartPolicy: 'Never' }).running().exited('app', { at: 0, code: 3 }).phase('Failed')

const count = async (...stories: PodStory[]): Promise<number> => {
  const bench = new Bench()
  await bench.play(...stories)
  await bench.until(300)
  return bench.writes.filter(({ state }) => state === 'Complete').length
}

describe('what begins a termination', () => {
  test('an end that is seen as it comes, also where the pod was not seen before', async () => {
    expect(await count(job().reported({ at: 0.1 }))).toBe(1)
  })

  test('an end that a list shows of a pod that was seen alive', async () => {
    const pod = aPod({ restartPolicy: 'Never' }).running().seen().exited('app', { at: 0, code: 3 }).phase('Failed')
    expect(await count(pod.listed({ at: 5, since: -1 }))).toBe(1)
  })

  test('not an end that a list shows of a pod that nobody has seen before', async () => {
    expect(await count(job().listed({ at: 5 }))).toBe(0)
  })

  test('a removal of a pod that was not seen before, unless it had ended', async () => {
    expect(await count(aPod().running().removed({ at: 0 }))).toBe(1)
    expect(await count(job().gone({ at: 5 }))).toBe(0)
  })

  test('a pod that was alive and is gone from a list', async () => {
    expect(await count(aPod().running().seen().vanished({ at: 5, since: -1 }))).toBe(1)
  })

  test('not the removal of a pod that had ended when it was last seen, as that was recorded then', async () => {
    const pod = aPod({ restartPolicy: 'Never' }).running().seen().exited('app', { at: 0, code: 3 })
    expect(await count(pod.reported({ at: 0.1, phase: 'Failed' }).removed({ at: 200 }))).toBe(1)
  })
})

describe('evidence that came before', () => {
  test('of its endpoints: how they stood, and how they changed before its deletion arrived', async () => {
    const bench = new Bench()
    bench.compareAPIServer()
    const [ready, leaving] = [
      { podUid: UID, podName: 'web', ready: true, serving: true, terminating: false },
      { podUid: UID, podName: 'web', ready: false, serving: true, terminating: true },
    ]
    await bench.slice('web', -90, 3, [ready])
    await bench.slice('still', -90, 4, [ready])
    const pod = aPod({ containers: [{ name: 'app', preStop: { handler: 'Sleep', seconds: 8 } }] })
      .running()
      .seen()
    pod.deleted({ at: 0, arrives: 0.5 }).killing('app', { at: 0.1, arrives: 0.6 })
    const later = pod.deliveries.splice(1)
    await bench.play(pod)
    await bench.slice('web', 0.3, 987, [leaving])
    pod.deliveries.splice(0, 1, ...later)
    pod.exited('app', { at: 8.5 }).reported({ at: 8.6, phase: 'Succeeded' }).removed({ at: 8.8 })
    await bench.play(pod)
    await bench.until(100)
    const of = (service: string) => bench.last.endpoints?.find((end) => end.service === service)
    expect(of('web')?.readyAtStopSignal).toBe('False')
    expect(secondsOf(of('web')?.notReadyAt)).toBeCloseTo(0.3, 3)
    // Nobody saw it leave.
    expect(of('still')).toEqual({ service: 'still', readyAtStopSignal: 'Unknown' })
  })

  test('of when nobody watched, also of terminations under way', async () => {
    const bench = new Bench()
    const gap = (from: number, to: number) => ({ from: micros(from), to: micros(to), reason: 'stale' })
    bench.recorder.onGap('Event', gap(-60, -50))
    const pod = ended()
    const [seen, deleted, ...rest] = pod.deliveries
    if (seen === undefined || deleted === undefined) throw new Error('the story is too short')
    pod.deliveries.splice(0, Number.POSITIVE_INFINITY, seen, deleted)
    await bench.play(pod)
    bench.recorder.onGap('EndpointSlice', gap(0.05, 0.08))
    pod.deliveries.splice(0, Number.POSITIVE_INFINITY, ...rest)
    await bench.play(pod)
    await bench.until(100)
    expect(bench.last.findings?.filter(({ type }) => type === 'EvidenceMissing').map(({ message }) => message)).toEqual([
      'nobody watched EndpointSlices from 12:00:00.4Z to 12:00:00.4Z: stale.',
    ])
  })
})

describe('what an earlier termination has told', () => {
  /** A pod of which the Killing Event was lost, so that its stop is known by the clocks alone. */
  const lost = () => {
    const pod = aPod({ uid: UID_2, name: 'web-2', grace: 15 })
      .createdAt(-90_000)
      .running(['app'], { since: -80_000 })
      .seen({ at: 5 })
    return pod.deleted({ at: 6 }).exited('app', { at: 9.5 }).reported({ at: 9.6, phase: 'Succeeded' }).removed({ at: 9.8 })
  }
  const beganBy = (bench: Bench) => {
    const stop = bench.last.timeline?.find(({ mark }) => mark === 'StopSignal')
    return stop === undefined ? Number.NEGATIVE_INFINITY : secondsOf(stop.earliest)
  }

  test("of its node's clock narrows the bounds of the next one there", async () => {
    const alone = new Bench()
    alone.compareAPIServer()
    await alone.play(lost())
    await alone.until(100)
    const before = beganBy(alone)
    vi.useRealTimers()
    const bench = new Bench()
    bench.compareAPIServer()
    await bench.play(ended(), lost())
    await bench.until(100)
    expect(bench.last.pod.name).toBe('web-2')
    expect(beganBy(bench)).toBeGreaterThan(4)
    expect(beganBy(bench)).toBeGreaterThan(before + 0.3)
  })

  test("of another node's clock does not", async () => {
    const bench = new Bench()
    bench.compareAPIServer()
    await bench.play(ended({ node: 'node-9' }), lost())
    await bench.until(100)
    const alone = beganBy(bench)
    vi.useRealTimers()
    const other = new Bench()
    other.compareAPIServer()
    await other.play(lost())
    await other.until(100)
    expect(alone).toBe(beganBy(other))
  })
})

describe("the API server's clock", () => {
  test('is known to a second by the Date of one response, and not by a response without one', () => {
    const bench = new Bench()
    bench.recorder.observeResponse({ verb: 'GET', code: 'OK', seconds: 0.1 })
    expect(bench.recorder.apiClock.get(micros(0))).toBeUndefined()
    const date = { text: 'Sun, 01 Mar 2026 12:00:03 GMT', sentAt: micros(0), receivedAt: micros(0.1) }
    bench.recorder.observeResponse({ verb: 'GET', code: 'OK', seconds: 0.1, date })
    const offset = bench.recorder.apiClock.get(micros(0.1))
    const server = (parseTime('2026-03-01T12:00:03Z') ?? 0) - EPOCH
    expect(offset?.earliest).toBe(server - 0.1 * SECOND)
    expect(offset?.latest).toBe(server + SECOND)
  })
})

describe('the workload', () => {
  test('is looked up when the pod is first seen: its owners are gone before it is', async () => {
    const bench = new Bench()
    const rs = '/apis/apps/v1/namespaces/shop/replicasets/web-7d4b9c'
    const owner = { kind: 'ReplicaSet', name: 'web-7d4b9c', uid: 'rs-uid', apiVersion: 'apps/v1' }
    const deployment = { kind: 'Deployment', name: 'web', uid: 'deployment-uid', apiVersion: 'apps/v1', controller: true }
    bench.objects.set(rs, { metadata: { uid: 'rs-uid', ownerReferences: [deployment] } })
    const pod = ended({ owner })
    const [seen, ...rest] = pod.deliveries
    if (seen === undefined) throw new Error('the story is too short')
    pod.deliveries.splice(1)
    await bench.play(pod)
    await bench.until(-10)
    expect(bench.asked).toEqual([rs])
    bench.objects.delete(rs)
    pod.deliveries.splice(0, 1, ...rest)
    await bench.play(pod)
    await bench.until(100)
    expect(bench.last.pod.workload).toMatchObject({ kind: 'Deployment', name: 'web' })
    expect(bench.asked).toEqual([rs])
  })
})

describe('the node of a termination that is overdue', () => {
  const overdue = async (node: Bench['node']) => {
    const bench = new Bench()
    bench.node = node
    await bench.play(aPod({ grace: 5 }).running().seen().deleted({ at: 0 }))
    await bench.until(20)
    return [bench.last.cause?.type, bench.last.findings?.[0]?.message]
  }

  test.each([
    ['gone', 'NodeLost', 'node node-1 is gone'],
    ['False', 'NodeLost', 'node node-1 is not ready (False)'],
    ['True', 'Deleted', 'the kubelet on node-1 has not taken the deletion in'],
    // Nothing is known of it, so nothing is said.
    ['silent', 'Deleted', 'the kubelet on node-1 has not taken the deletion in'],
  ] as const)('that is %s gives the cause %s', async (node, cause, message) => {
    const [type, text] = await overdue(node)
    expect(type).toBe(cause)
    expect(text).toContain(message)
  })
})

describe('where a successor has to take up', () => {
  test('is just now, once the termination under way has its record', async () => {
    const bench = new Bench()
    await bench.play(aPod().running().seen().deleted({ at: 0 }))
    await bench.until(1.9)
    expect(bench.recorder.watchedUntil()).toBe(micros(0.005 - 1))
    await bench.until(5)
    expect(bench.recorder.watchedUntil()).toBe(micros(4))
  })

  test('is just now as well where that is refused for good', async () => {
    const bench = new Bench()
    bench.answer = () => refused('TooLarge')
    await bench.play(aPod().running().seen().deleted({ at: 0 }))
    await bench.until(5)
    expect(bench.recorder.watchedUntil()).toBe(micros(4))
  })
})

describe('a new leader', () => {
  test('writes what began after the mark of the one before', async () => {
    const bench = new Bench()
    bench.leading = false
    await bench.play(ended())
    await bench.until(30)
    bench.leading = true
    bench.recorder.takeOver(micros(-5))
    await bench.until(100)
    expect(bench.steps).toEqual(['30.0 Complete'])
  })

  test("knows the record also under the full UID, and in Gracewatch's own namespace", async () => {
    for (const [namespace, name] of [
      ['shop', `web-7d4b9c-x2x9k.${UID_2}`],
      ['gracewatch', 'shop.web-7d4b9c-x2x9k.84b61cdb'],
    ] as const) {
      const bench = new Bench()
      bench.leading = false
      const pod = ended({ uid: UID_2 })
      await bench.play(pod)
      await bench.until(5)
      // Another pod's record has the short name.
      if (namespace === 'shop') bench.leave(ended().record(), 'web-7d4b9c-x2x9k.84b61cdb')
      bench.leave(pod.record(), name, namespace)
      bench.leading = true
      bench.recorder.takeOver(undefined)
      await bench.until(100)
      expect(bench.steps, name).toEqual([])
      vi.useRealTimers()
    }
  })
})

test('a record that is invalid for another reason than its UID is not written under another name', async () => {
  const bench = new Bench()
  bench.answer = () => refused('Invalid', 'pod.node: Invalid value')
  await bench.play(ended())
  await bench.until(1000)
  expect(bench.writes.map(({ name }) => name)).toEqual(['web-7d4b9c-x2x9k.84b61cdb'])
})
