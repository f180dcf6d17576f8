/** The head of a record, its states on the way, and what is said of an object that does not go. */
import { describe, expect, test } from 'vitest'
import { MAX_TIMELINE } from '../../../src/api/pod-termination.ts'
import { aPod, type PodOptions, type PodStory, secondsOf } from '../builders.ts'
import { endOf, findingOf, holds, markOf, typesOf } from './reading.ts'

const stopping = (options: PodOptions = {}) =>
  aPod(options)
    .compared('APIServer')
    .compared('Node')
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })

describe('a record of a pod that ended without a delete', () => {
  const evicted = ({ finalizers = [] }: PodOptions = {}) =>
    aPod({ grace: 15, finalizers })
      .compared('APIServer')
      .compared('Node')
      .running()
      .seen()
      .exited('app', { at: 3.5, code: 143 })
      .phase('Failed', 'Evicted', 'The node was low on resource: memory.')
      .reported({ at: 3.7 })
  const failed = () =>
    aPod({ restartPolicy: 'Never' }).running().seen().exited('app', { at: 3.5, code: 1 }).reported({ at: 3.7, phase: 'Failed' })

  test.each<[string, () => PodStory, (pod: PodStory) => unknown]>([
    ['is written to', evicted, (pod) => pod.reported({ at: 5 })],
    ['loses its finalizer', () => evicted({ finalizers: ['example.com/held'] }), (pod) => pod.released({ at: 5 })],
    ['is deleted, by a cleanup for one', evicted, (pod) => pod.removed({ at: 5 })],
    ['is deleted with a grace period', evicted, (pod) => pod.deleted({ at: 5 }).acknowledged({ at: 5.1 }).removed({ at: 5.2 })],
    ['goes while nobody watches', evicted, (pod) => pod.vanished({ at: 9, since: 4 })],
    ['is deleted after it failed', failed, (pod) => pod.removed({ at: 5 })],
    ['goes while nobody watches, after it failed', failed, (pod) => pod.vanished({ at: 9, since: 4 })],
  ])('stays what it is when the pod %s', (_, make, happens) => {
    const pod = make()
    const before = pod.record()
    expect(before.state).toBe('Complete')
    happens(pod)
    expect(pod.record()).toEqual(before)
  })
})

describe('the head of a record', () => {
  const graceful = () =>
    stopping({ grace: 15 })
      .workload('Deployment', 'web')
      .exited('app', { at: 3.5 })
      .reported({ at: 3.6, phase: 'Succeeded' })
      .removed({ at: 3.9 })

  test('names the pod, its node, its grace period and its workload', () => {
    expect(graceful().record().pod).toEqual({
      namespace: 'shop',
      name: 'web-7d4b9c-x2x9k',
      uid: '84b61cdb-3b4f-4c1e-9d3a-5a3f4c2b1a09',
      node: 'node-1',
      graceSeconds: 15,
      restartPolicy: 'Always',
      workload: { kind: 'Deployment', name: 'web' },
    })
  })

  test('tells from when to when, how long, and how much of the grace period was used', () => {
    const record = graceful().record()
    expect(secondsOf(record.startedAt)).toBeCloseTo(0, 1)
    expect(secondsOf(record.finishedAt)).toBeCloseTo(3.908, 3)
    expect(secondsOf(record.deadline) - secondsOf(record.startedAt)).toBeCloseTo(15, 6)
    expect(record.tookMilliseconds).toBeGreaterThan(3850)
    expect(record.tookMilliseconds).toBeLessThan(3950)
    expect(record.took).toBe('3.9s')
    // 3.4 s of 15 s, to the second of finishedAt.
    expect(record.graceUsedPercent).toBeGreaterThanOrEqual(19)
    expect(record.graceUsedPercent).toBeLessThanOrEqual(27)
  })

  test('counts the grace period as used by the slowest main container', () => {
    const containers: PodOptions['containers'] = ['app', 'slow', { name: 'mesh', role: 'Sidecar' }]
    const pod = stopping({ grace: 20, containers }).killing('slow', { at: 0.1 }).killing('mesh', { at: 0.1 })
    pod.exited('app', { at: 1.6 }).exited('slow', { at: 10.6 }).exited('mesh', { at: 19.6 })
    const record = pod.reported({ at: 19.7, phase: 'Succeeded' }).removed({ at: 19.9 }).record()
    expect(record.graceUsedPercent).toBeGreaterThanOrEqual(52)
    expect(record.graceUsedPercent).toBeLessThanOrEqual(56)
  })

  test('has a summary of the first finding and the number of the others', () => {
    expect(graceful().record().summary).toBeUndefined()
    const one = stopping({ grace: 5 }).exited('app', { at: 5.2, code: 137 }).reported({ at: 5.3, phase: 'Failed' })
    expect(one.removed({ at: 5.5 }).record().summary).toBe('GraceExhausted')
    const two = stopping({ grace: 5 })
      .deleted({ at: 1, grace: 3 })
      .exited('app', { at: 5.2, code: 137 })
      .reported({ at: 5.3, phase: 'Failed' })
    expect(two.removed({ at: 5.5 }).record().summary).toBe('GraceExhausted,+1')
  })

  test('stands in causal order, though the estimates of two clocks say otherwise', () => {
    const pod = stopping({ grace: 15 }).endpoint('web', 'ready', 'before').exited('app', { at: 3.5 })
    // It was gone before the object was, but the news of it came later.
    const left = pod.reported({ at: 3.6, phase: 'Succeeded' }).endpoint('web', 'gone', { at: 3.7, arrives: 5 })
    const record = left.removed({ at: 3.9 }).record()
    const marks = record.timeline?.map(({ mark }) => mark)
    expect(marks?.[0]).toBe('Terminating')
    expect(marks?.at(-1)).toBe('Removed')
    expect(record.timeline?.at(-1)).toMatchObject({ source: 'APIServer', confidence: 'Observed' })
    expect(marks?.indexOf('StopSignal')).toBeLessThan(marks?.indexOf('ContainerExited') ?? 0)
  })

  test('counts the marks that a record has no room for', () => {
    const names = Array.from({ length: 300 }, (_, index) => `c${index}`)
    const pod = aPod({ containers: names }).compared('APIServer').compared('Node').running().seen().deleted({ at: 0 })
    for (const name of names) pod.killing(name, { at: 0.1 }).exited(name, { at: 2.5 })
    const record = pod.reported({ at: 2.6, phase: 'Succeeded' }).removed({ at: 2.8 }).record()
    expect(record.timeline).toHaveLength(MAX_TIMELINE)
    // 300 signals, 300 exits; Terminating, Acknowledged, PodFinished and Removed.
    expect(findingOf(record, 'TimelineCut').message).toContain(`${604 - MAX_TIMELINE} marks are left out`)
    expect(record.containers).toHaveLength(300)
  })
})

describe('a termination on its way', () => {
  test('is Terminating, without an outcome, and knows its deadline', () => {
    const record = stopping({ grace: 15 }).record(2)
    expect(record).toMatchObject({ state: 'Terminating', cause: { type: 'Deleted' } })
    expect(record.outcome).toBeUndefined()
    expect(record.finishedAt).toBeUndefined()
    expect(endOf(record, 'app').outcome).toBeUndefined()
    expect(secondsOf(record.deadline)).toBeCloseTo(15, 1)
    expect(record.timeline?.map(({ mark }) => mark)).toEqual(['Terminating', 'Acknowledged'])
  })

  test('has the outcome of a container as soon as that is reported', () => {
    const pod = stopping({ containers: ['app', 'other'] })
      .killing('other', { at: 0.1 })
      .exited('app', { at: 2.5 })
      .reported({ at: 2.6 })
    expect(pod.record(3).containers?.map(({ outcome }) => outcome)).toEqual(['Graceful', undefined])
  })

  test('is Complete by its phase alone where nobody deletes it', () => {
    const pod = aPod({ restartPolicy: 'Never' }).running().seen().killing('app', { at: 0 }).exited('app', { at: 2.5, code: 143 })
    const record = pod.phase('Failed', 'DeadlineExceeded').reported({ at: 2.6 }).record()
    expect(record).toMatchObject({ state: 'Complete', outcome: 'Signalled' })
    expect(secondsOf(record.finishedAt)).toBeCloseTo(2.605, 3)
  })
})

describe('an object that does not go', () => {
  const late = (record: ReturnType<typeof aPod.prototype.record>) => findingOf(record, 'StuckTerminating').message

  test('is Overdue only after what an orderly forced kill may take past the deadline', () => {
    const pod = stopping({ grace: 10 })
    expect(pod.record(14).state).toBe('Terminating')
    expect(pod.record(15.5)).toMatchObject({ state: 'Overdue' })
    expect(typesOf(pod.record(14))).toEqual([])
  })

  test('gets as much more for each sidecar', () => {
    const pod = aPod({ grace: 10, containers: ['app', { name: 'one', role: 'Sidecar' }, { name: 'two', role: 'Sidecar' }] })
      .compared('APIServer')
      .running()
      .seen()
      .deleted({ at: 0 })
    expect(pod.record(18.5).state).toBe('Terminating')
    expect(pod.record(19.5).state).toBe('Overdue')
  })

  test('because of a finalizer says which', () => {
    const pod = stopping({ grace: 3, finalizers: ['example.com/hold'] })
      .exited('app', { at: 0.5 })
      .reported({ at: 0.6, phase: 'Succeeded' })
      .removed({ at: 0.8 })
    const record = pod.record(20)
    expect(record.state).toBe('Overdue')
    expect(late(record)).toContain('the finalizer example.com/hold keeps the object')
  })

  test('that a finalizer held and then let go is Complete, and says for how long it was held', () => {
    const pod = stopping({ grace: 3, finalizers: ['example.com/hold'] })
      .exited('app', { at: 0.5 })
      .reported({ at: 0.6, phase: 'Succeeded' })
      .removed({ at: 0.8 })
    const record = pod.released({ at: 25 }).gone({ at: 25.001 }).record()
    expect(record).toMatchObject({ state: 'Complete', outcome: 'Graceful' })
    expect(late(record)).toMatch(
      /it was gone 22\.\d s after its deadline: the containers had ended, but the finalizer example.com\/hold/,
    )
  })

  test('because its node is gone says so, and what to do', () => {
    const record = stopping({ grace: 3 }).nodeIs('gone', 10).record(20)
    expect(late(record)).toContain('node node-1 is gone, so nobody stops the containers')
  })

  test('because its node is not ready says so', () => {
    const record = stopping({ grace: 3 }).nodeIs('Unknown', 10).record(20)
    expect(late(record)).toContain('node node-1 is not ready (Unknown)')
  })

  test('because the kubelet has not taken the deletion in says so', () => {
    const record = aPod({ grace: 3 }).running().seen().deleted({ at: 0 }).nodeIs('True', 10).record(20)
    expect(late(record)).toContain('the kubelet on node-1 has not taken the deletion in')
  })

  test('because a container has not ended names it', () => {
    const record = stopping({ grace: 3 }).nodeIs('True', 10).record(20)
    expect(late(record)).toContain('app had not ended')
  })

  test('though its containers have ended points to the kubelet and its volumes', () => {
    const record = stopping({ grace: 3, volumes: 2 })
      .exited('app', { at: 0.5 })
      .reported({ at: 0.6, phase: 'Succeeded' })
      .record(20)
    expect(late(record)).toContain(
      'the containers had ended, but the kubelet on node-1 had not removed the object. Its 2 volumes',
    )
  })
})

describe('a termination that was not seen from its beginning', () => {
  test('first seen in a list, as the recorder started: the beginning is where the object says, and that it was late is told', () => {
    const pod = aPod({ grace: 30 }).compared('APIServer').compared('Node').running()
    pod.unseen(() => pod.deleted({ at: 0 }).acknowledged({ at: 0.1 }))
    pod
      .listed({ at: 9 })
      .killing('app', { at: 0.1, arrives: 9, listed: true })
      .exited('app', { at: 12.5 })
      .reported({ at: 12.6, phase: 'Succeeded' })
    const record = pod.removed({ at: 12.8 }).record()
    expect(holds(markOf(record, 'Terminating'), 0)).toBe(true)
    expect((markOf(record, 'Terminating')?.latest ?? 9) - (markOf(record, 'Terminating')?.earliest ?? 0)).toBeLessThanOrEqual(1)
    expect(record).toMatchObject({ outcome: 'Graceful', pod: { graceSeconds: 30 } })
    expect(findingOf(record, 'EvidenceMissing').message).toContain('had begun when the recorder first saw it')
  })

  test('whose object was gone in the end when nobody watched keeps the ends that were reported before', () => {
    const pod = stopping({ grace: 15 }).exited('app', { at: 2.5 }).reported({ at: 2.6 }).gap('Pod', 2.7, 9)
    const record = pod.vanished({ at: 9, since: 2.7 }).record()
    expect(record).toMatchObject({ state: 'Complete', outcome: 'Graceful', cause: { type: 'Deleted' } })
    expect(markOf(record, 'Removed')?.earliest).toBeCloseTo(2.7, 3)
    expect(record.timeline?.at(-1)).toMatchObject({ mark: 'Removed', source: 'Recorder', confidence: 'Observed' })
    expect(record.tookMilliseconds).toBeUndefined()
  })

  test('first seen in a list with the last delete: its beginning lies anywhere in its life, and it does not say how long it took', () => {
    const pod = aPod().compared('APIServer').compared('Node').running().exited('app', { at: 3.5 })
    pod.unseen(() => pod.deleted({ at: 0 }).reported({ at: 3.6, phase: 'Succeeded' }).deleted({ at: 3.8, grace: 0 }))
    const record = pod.listed({ at: 4 }).gone({ at: 4.5 }).record()
    expect(holds(markOf(record, 'Terminating'), 0)).toBe(true)
    expect(record.pod.graceSeconds).toBeUndefined()
    expect(record.deadline).toBeUndefined()
    expect(record.tookMilliseconds).toBeUndefined()
    expect(record.outcome).toBe('Graceful')
  })

  test('vanished in a gap: gone between the last sight and the list, the ends Lost', () => {
    const pod = stopping().gap('Pod', 1, 60, 'the watch was cut').vanished({ at: 60, since: 1 })
    const record = pod.record()
    expect(record).toMatchObject({ state: 'Complete', cause: { type: 'Deleted' }, outcome: 'Lost' })
    expect(markOf(record, 'Removed')).toMatchObject({ earliest: 1, latest: 60 })
    expect(endOf(record, 'app').outcome).toBe('Lost')
    const messages = record.findings?.filter(({ type }) => type === 'EvidenceMissing').map(({ message }) => message)
    expect(messages?.[0]).toBe('nobody watched Pods from 12:00:01.4Z to 12:01:00.4Z: the watch was cut.')
    expect(messages?.[1]).toContain('the end of app was not seen')
  })

  test('vanished though it had never been seen to be deleted: what had ended in its last version may have run again', () => {
    const pod = aPod({ restartPolicy: 'Always' }).running().seen().exited('app', { at: -30, code: 1 }).reported({ at: -29.9 })
    const record = pod.gap('Pod', -20, 40).vanished({ at: 40, since: -20 }).record()
    expect(endOf(record, 'app')).toMatchObject({ outcome: 'Lost' })
    expect(markOf(record, 'ContainerExited', 'app')).toBeUndefined()
  })

  test('of which only Events are left tells what they tell', () => {
    const record = aPod().killing('app', { at: 0, listed: true, arrives: 300 }).absent(301).record()
    expect(record.containers).toEqual([])
    expect(secondsOf(record.startedAt)).toBeCloseTo(0, 1)
    expect(findingOf(record, 'EvidenceMissing').message).toContain("only the kubelet's Events of the pod were left")
  })

  test('a gap before it or after it is none of its', () => {
    const pod = stopping()
      .gap('Event', -50, -40)
      .gap('Event', 70, 80)
      .exited('app', { at: 1.5 })
      .reported({ at: 1.6, phase: 'Succeeded' })
    expect(typesOf(pod.removed({ at: 1.8 }).record())).toEqual([])
  })
})
