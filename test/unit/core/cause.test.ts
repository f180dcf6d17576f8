import { describe, expect, test } from 'vitest'
import { aPod, type PodStory } from '../builders.ts'
import { typesOf } from './reading.ts'

/** A quick graceful end of the container `app`, from the kubelet's turn to the object's removal. */
const endsGracefully = (pod: PodStory): PodStory =>
  pod
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('app', { at: 0.5 })
    .reported({ at: 0.6, phase: 'Succeeded' })
    .removed({ at: 0.8 })

const deleted = (pod = aPod()) => pod.running().seen().deleted({ at: 0 })

describe('cause: who ended the pod', () => {
  test('a delete by a person or a controller, which the API does not tell apart, is Deleted', () => {
    expect(endsGracefully(deleted()).record().cause).toEqual({ type: 'Deleted' })
  })

  test.each([
    ['EvictionByEvictionAPI', 'EvictedByAPI'],
    ['PreemptionByScheduler', 'Preempted'],
    ['DeletionByTaintManager', 'Tainted'],
    ['DeletionByDeviceTaintManager', 'Tainted'],
    ['DeletionByPodGC', 'GarbageCollected'],
  ])('a delete after the condition DisruptionTarget with reason %s is %s, in the words of the condition', (reason, cause) => {
    const pod = aPod().running().seen().condition('DisruptionTarget', reason, { at: -0.02, message: 'said the API' })
    const record = endsGracefully(pod.reported({ at: -0.02 }).deleted({ at: 0 })).record()
    expect(record.cause).toEqual({ type: cause, message: 'said the API' })
  })

  test('a condition DisruptionTarget that is False says nothing', () => {
    const pod = aPod().running().seen().condition('DisruptionTarget', 'EvictionByEvictionAPI', { at: -5, status: 'False' })
    expect(endsGracefully(pod.reported({ at: -5 }).deleted({ at: 0 })).record().cause?.type).toBe('Deleted')
  })

  test('an eviction of a pod that somebody had deleted before is none', () => {
    const pod = deleted().condition('DisruptionTarget', 'EvictionByEvictionAPI', { at: 0.05 }).reported({ at: 0.05 })
    expect(endsGracefully(pod).record().cause?.type).toBe('Deleted')
  })

  test('an eviction that a list shows with an older delete is none, by their times', () => {
    const pod = aPod().running().seen().gap('Pod', -1, 8)
    pod.unseen(() => pod.deleted({ at: 0 }).condition('DisruptionTarget', 'EvictionByEvictionAPI', { at: 6 }))
    expect(pod.listed({ at: 8, since: -1 }).record().cause?.type).toBe('Deleted')
  })

  test.each([
    [0.5, 'EvictedByAPI'],
    [0.7, 'Deleted'],
  ])('whole seconds tell which of the two came first only where they differ: an eviction at %d s', (at, cause) => {
    // 0.4 s of its second had gone by when the delete came, so 0.5 s is in the same one and 0.7 s in the next.
    const pod = aPod().running().seen().gap('Pod', -1, 8)
    pod.unseen(() => pod.deleted({ at: 0 }).condition('DisruptionTarget', 'EvictionByEvictionAPI', { at }))
    expect(pod.listed({ at: 8, since: -1 }).record().cause?.type).toBe(cause)
  })

  test('the kubelet under pressure is Evicted: no delete, phase Failed, reason Evicted', () => {
    const record = aPod()
      .running()
      .seen()
      .killing('app', { at: 0 })
      .exited('app', { at: 0.5, code: 143 })
      .phase('Failed', 'Evicted', 'The node was low on resource: memory.')
      .reported({ at: 0.7 })
      .record()
    expect(record).toMatchObject({
      state: 'Complete',
      cause: { type: 'Evicted', message: 'The node was low on resource: memory.' },
      outcome: 'Signalled',
    })
    expect(record.deadline).toBeUndefined()
  })

  test('the kubelet under pressure is Evicted by its condition, where a delete came on top', () => {
    const pod = aPod().running().seen().condition('DisruptionTarget', 'TerminationByKubelet', { at: -0.1 }).reported({ at: -0.1 })
    expect(endsGracefully(pod.deleted({ at: 0 })).record().cause?.type).toBe('Evicted')
  })

  test.each([
    ['Terminated', 'NodeShutdown'],
    ['DeadlineExceeded', 'DeadlineExceeded'],
    ['Preempting', 'Preempted'],
  ])('a pod that the kubelet ended with reason %s is %s', (reason, cause) => {
    const pod = aPod({ restartPolicy: 'Never' }).running().seen().killing('app', { at: 0 }).exited('app', { at: 1, code: 143 })
    expect(pod.phase('Failed', reason).reported({ at: 1.1 }).record().cause?.type).toBe(cause)
  })

  test('an object that goes while its containers still run is ForceDeleted, and their ends are Lost', () => {
    const record = aPod().running().seen().removed({ at: 0 }).record()
    expect(record).toMatchObject({ cause: { type: 'ForceDeleted' }, outcome: 'Lost', state: 'Complete' })
    expect(typesOf(record)).toEqual(['EvidenceMissing'])
  })

  test('a force delete on top of a graceful one is ForceDeleted as well', () => {
    const record = deleted().acknowledged({ at: 0.1 }).killing('app', { at: 0.1 }).removed({ at: 3 }).record()
    expect(record.cause?.type).toBe('ForceDeleted')
  })

  test('grace 0 in the last object of an orderly end is no force delete', () => {
    const pod = endsGracefully(deleted())
    expect(pod.pod.deletionGracePeriodSeconds).toBe(0)
    expect(pod.record().cause?.type).toBe('Deleted')
  })

  test('podgc sets the phase to Failed first while containers look running: that is Lost, not Failed', () => {
    const record = aPod()
      .running()
      .seen()
      .condition('DisruptionTarget', 'DeletionByPodGC', { at: 0 })
      .reported({ at: 0, phase: 'Failed' })
      .removed({ at: 0.01 })
      .record()
    expect(record).toMatchObject({ cause: { type: 'GarbageCollected' }, outcome: 'Lost' })
  })

  test('a silent node whose kubelet never took the deletion in is NodeLost once the deadline has passed', () => {
    const pod = deleted(aPod({ grace: 30 }))
    expect(pod.record(34).cause?.type).toBe('Deleted')
    expect(pod.nodeIs('Unknown', 36).record(40)).toMatchObject({ state: 'Overdue', cause: { type: 'NodeLost' } })
  })

  test('a silent node that had taken the deletion in before is not NodeLost', () => {
    const pod = deleted(aPod({ grace: 30 }))
      .acknowledged({ at: 0.1 })
      .nodeIs('Unknown', 36)
    expect(pod.record(40).cause?.type).toBe('Deleted')
  })

  test('a pod that ran to its end is Completed, a plain one where it succeeded', () => {
    const ended = (code: number) =>
      aPod({ restartPolicy: 'Never' })
        .running()
        .seen()
        .exited('app', { at: 0, code })
        .reported({ at: 0.1, phase: code === 0 ? 'Succeeded' : 'Failed' })
        .record()
    expect(ended(0)).toMatchObject({ cause: { type: 'Completed' }, outcome: 'Graceful', state: 'Complete' })
    expect(ended(3)).toMatchObject({ cause: { type: 'Completed' }, outcome: 'Failed' })
  })

  test('deleting a pod that had ended before is no second termination: it stays Completed', () => {
    const pod = aPod({ restartPolicy: 'Never' })
      .running()
      .seen()
      .exited('app', { at: -20 })
      .reported({ at: -19.9, phase: 'Succeeded' })
    const record = pod.removed({ at: 0 }).record()
    expect(record.cause?.type).toBe('Completed')
    expect(record.timeline?.map(({ mark }) => mark)).not.toContain('Terminating')
  })

  test('where a list shows a pod that is deleted and has ended, of a kind that can end by itself, nobody knows which came first', () => {
    const pod = aPod({ restartPolicy: 'Never' }).running().exited('app', { at: -0.4 }).phase('Succeeded')
    pod.unseen(() => pod.deleted({ at: 0, grace: 0 }))
    expect(pod.listed({ at: 1 }).record().cause).toMatchObject({ type: 'Unknown' })
  })

  test('what ended after the time that the delete gave had not ended before it', () => {
    const pod = aPod({ restartPolicy: 'Never', grace: 3 }).compared('APIServer').compared('Node').running()
    pod
      .unseen(() => pod.deleted({ at: 0 }))
      .exited('app', { at: 5.2, code: 137 })
      .phase('Failed')
    expect(pod.listed({ at: 6 }).record()).toMatchObject({ cause: { type: 'Deleted' } })
  })

  test('where a list shows it and no container tells a time, nobody knows either', () => {
    const pod = aPod({ restartPolicy: 'Never' }).phase('Failed')
    pod.unseen(() => pod.deleted({ at: 0 }))
    expect(pod.listed({ at: 1 }).record().cause).toMatchObject({ type: 'Unknown' })
  })

  test('a pod that always restarts its containers has no end of its own, so the delete came first', () => {
    const pod = aPod({ restartPolicy: 'Always' }).running().exited('app', { at: -0.4 }).phase('Succeeded')
    pod.unseen(() => pod.deleted({ at: 0, grace: 0 }))
    expect(pod.listed({ at: 1 }).record().cause).toEqual({ type: 'Deleted' })
  })

  test('a pod that vanished while nobody watched has an Unknown cause', () => {
    const record = aPod().running().seen().gap('Pod', -10, 10).vanished({ at: 10, since: -10 }).record()
    expect(record).toMatchObject({ cause: { type: 'Unknown' }, outcome: 'Lost' })
  })

  test("a pod of which only the kubelet's Events are left has an Unknown cause", () => {
    const record = aPod().killing('app', { at: 0, listed: true, arrives: 60 }).absent(61).record()
    expect(record).toMatchObject({ cause: { type: 'Unknown' }, outcome: 'Lost', state: 'Complete' })
    expect(record.pod.node).toBe('node-1')
    expect(record.tookMilliseconds).toBeUndefined()
  })
})

describe('what is no termination of ours', () => {
  test('a living pod gives no record', () => {
    expect(aPod().running().seen().assembled()).toBeUndefined()
  })

  test("a static pod's mirror gives none, whatever becomes of it", () => {
    expect(aPod({ mirror: true }).running().seen().removed({ at: 0 }).assembled()).toBeUndefined()
  })

  test('an absent pod without a Killing Event gives none', () => {
    expect(aPod().event('Pulled', 'app', { at: 0, message: 'pulled' }).absent(1).assembled()).toBeUndefined()
  })

  test('no facts at all give none', () => {
    expect(aPod().assembled()).toBeUndefined()
  })
})
