import { describe, expect, test } from 'vitest'
import { aPod, type PodStory } from '../builders.ts'
import { findingOf, holds, markOf, marksOf, typesOf } from './reading.ts'

/** Without a hook: the signal comes 30 ms after Killing, which is 0.1 s after the delete. */
const stopping = (pod: PodStory = aPod()): PodStory =>
  pod.compared('APIServer').compared('Node').running().endpoint('web', 'ready', 'before').seen()

const end = (pod: PodStory, at = 1.5) => pod.exited('app', { at }).reported({ at: at + 0.1, phase: 'Succeeded' })

const gone = (pod: PodStory, at = 1.63) =>
  pod
    .endpoint('web', 'gone', { at })
    .removed({ at: at + 0.2 })
    .record()

const of = (record: ReturnType<typeof gone>, service = 'web') => record.endpoints?.find((item) => item.service === service)

describe('the way out of a Service', () => {
  test('that leaves with the delete, before the signal', () => {
    const pod = stopping()
      .deleted({ at: 0 })
      .endpoint('web', 'terminating', { at: 0.02 })
      .acknowledged({ at: 0.1 })
      .killing('app', { at: 0.1 })
    const record = gone(end(pod))
    expect(of(record)?.readyAtStopSignal).toBe('False')
    expect(marksOf(record, 'web')).toEqual(['EndpointNotReady', 'EndpointTerminating', 'EndpointNotServing', 'EndpointRemoved'])
    expect(holds(markOf(record, 'EndpointNotReady', 'web'), 0.02)).toBe(true)
    // Its version is later than the delete's, whose time is known to the second.
    expect(markOf(record, 'EndpointNotReady', 'web')?.earliest).toBeGreaterThan(-0.5)
    expect(holds(markOf(record, 'EndpointRemoved', 'web'), 1.63)).toBe(true)
    expect(markOf(record, 'EndpointRemoved', 'web')?.earliest).toBeGreaterThan(0.4)
  })

  test('leaves no drain time where the signal follows at once', () => {
    const pod = stopping().deleted({ at: 0 }).endpoint('web', 'terminating', { at: 0.02 }).killing('app', { at: 0.1 })
    const record = gone(end(pod))
    expect(typesOf(record)).toEqual(['NoDrainTime'])
    expect(findingOf(record, 'NoDrainTime')).toMatchObject({ service: 'web', severity: 'Info' })
    expect(findingOf(record, 'NoDrainTime').message).toContain('about 0.1 s before the stop signal')
  })

  test('leaves enough where a sleep hook comes first', () => {
    const pod = stopping(aPod({ containers: [{ name: 'app', preStop: { handler: 'Sleep', seconds: 8 } }] }))
    pod.deleted({ at: 0 }).endpoint('web', 'terminating', { at: 0.02 }).killing('app', { at: 0.1 })
    const record = gone(end(pod, 9.5), 9.63)
    expect(of(record)?.readyAtStopSignal).toBe('False')
    expect(typesOf(record)).toEqual([])
  })

  test('says nothing of drain time where an exec hook may have taken any part of the time', () => {
    const pod = stopping(aPod({ containers: [{ name: 'app', preStop: { handler: 'Exec' } }] }))
    pod.deleted({ at: 0 }).endpoint('web', 'terminating', { at: 0.02 }).killing('app', { at: 0.1 })
    const record = gone(end(pod, 12.5), 12.63)
    expect(typesOf(record)).not.toContain('NoDrainTime')
    expect(of(record)?.readyAtStopSignal).toBe('Unknown')
  })

  test('that takes longer than the signal: the endpoint was still ready when it came', () => {
    const pod = stopping().deleted({ at: 0 }).acknowledged({ at: 0.1 }).killing('app', { at: 0.1 })
    pod.exited('app', { at: 0.5 }).reported({ at: 0.6 }).endpoint('web', 'terminating', { at: 2.2 })
    const record = gone(pod.reported({ at: 2.3, phase: 'Succeeded' }), 2.4)
    expect(of(record)?.readyAtStopSignal).toBe('True')
    const { message } = findingOf(record, 'EndpointReadyAtStopSignal')
    expect(Number(/left rotation (\d+) ms later/.exec(message)?.[1])).toBeGreaterThan(1900)
    expect(Number(/left rotation (\d+) ms later/.exec(message)?.[1])).toBeLessThan(2200)
  })

  test('with publishNotReadyAddresses the pod stays in rotation until it is gone', () => {
    const pod = stopping().deleted({ at: 0 }).endpoint('web', 'published', { at: 0.02 }).killing('app', { at: 0.1 })
    const record = gone(end(pod))
    expect(of(record)?.readyAtStopSignal).toBe('True')
    expect(markOf(record, 'EndpointNotReady', 'web')?.at).toBeCloseTo(markOf(record, 'EndpointRemoved', 'web')?.at ?? 0, 5)
    expect(holds(markOf(record, 'EndpointTerminating', 'web'), 0.02)).toBe(true)
  })

  test('of a pod that never was ready had no traffic to lose', () => {
    const pod = aPod()
      .compared('APIServer')
      .compared('Node')
      .running()
      .endpoint('web', 'unready', 'before')
      .seen()
      .deleted({ at: 0 })
    pod
      .endpoint('web', { present: true, ready: false, serving: false, terminating: true }, { at: 0.02 })
      .killing('app', { at: 0.1 })
    const record = gone(end(pod))
    expect(of(record)).toMatchObject({ readyAtStopSignal: 'False' })
    expect(of(record)?.notReadyAt).toBeUndefined()
    expect(typesOf(record)).toEqual([])
  })

  test('of which readiness had gone before the delete is False, though the change arrived later', () => {
    const pod = stopping().endpoint('web', 'unready', { at: -1, arrives: 0.8 }).deleted({ at: 0 }).killing('app', { at: 0.1 })
    const record = gone(end(pod))
    expect(of(record)?.readyAtStopSignal).toBe('False')
    expect(markOf(record, 'EndpointNotReady', 'web')).toBeUndefined()
  })

  test('of a probe that flaps is told by what it was when the signal came', () => {
    const pod = aPod({ restartPolicy: 'Never' }).compared('APIServer').compared('Node').running()
    pod.endpoint('web', 'ready', 'before').seen().killing('app', { at: 0 }).exited('app', { at: 20.2, code: 137 })
    pod.endpoint('web', 'unready', { at: -5 }).endpoint('web', 'ready', { at: 12 })
    const record = pod.phase('Failed', 'DeadlineExceeded').reported({ at: 20.3 }).endpoint('web', 'gone', { at: 20.4 }).record()
    expect(of(record)?.readyAtStopSignal).toBe('Unknown')
    expect(holds(markOf(record, 'EndpointNotReady', 'web'), 20.4)).toBe(true)
  })

  test('is as long as one of several slices of the Service names the pod', () => {
    const pod = aPod().compared('APIServer').compared('Node').running().seen()
    for (const slice of ['v4', 'v6']) pod.endpoint('web', 'ready', 'before', { slice })
    pod.deleted({ at: 0 }).endpoint('web', 'terminating', { at: 0.02 }, { slice: 'v4' }).killing('app', { at: 0.1 })
    pod
      .exited('app', { at: 1.5 })
      .endpoint('web', 'terminating', { at: 1.55 }, { slice: 'v6' })
      .reported({ at: 1.6, phase: 'Succeeded' })
    pod.endpoint('web', 'gone', { at: 1.7 }, { slice: 'v4' }).endpoint('web', 'gone', { at: 1.9 }, { slice: 'v6' })
    const record = pod.removed({ at: 2 }).record()
    expect(record.endpoints).toHaveLength(1)
    expect(holds(markOf(record, 'EndpointNotReady', 'web'), 1.55)).toBe(true)
    expect(holds(markOf(record, 'EndpointTerminating', 'web'), 0.02)).toBe(true)
    expect(holds(markOf(record, 'EndpointRemoved', 'web'), 1.9)).toBe(true)
    expect(holds(markOf(record, 'EndpointRemoved', 'web'), 1.7)).toBe(true)
  })

  test('is told for each Service of its own', () => {
    const pod = stopping().endpoint('admin', 'ready', 'before').deleted({ at: 0 })
    pod.endpoint('web', 'terminating', { at: 0.02 }).endpoint('admin', 'published', { at: 0.02 }).killing('app', { at: 0.1 })
    const record = gone(end(pod).endpoint('admin', 'gone', { at: 1.61 }))
    expect(record.endpoints?.map(({ service, readyAtStopSignal }) => [service, readyAtStopSignal])).toEqual([
      ['admin', 'True'],
      ['web', 'False'],
    ])
    expect(findingOf(record, 'EndpointReadyAtStopSignal').service).toBe('admin')
  })

  test('that was seen to be ready, but not seen to leave, is Unknown: the change may be on its way', () => {
    const pod = stopping().deleted({ at: 0 }).killing('app', { at: 0.1 })
    const record = end(pod).removed({ at: 1.8 }).record()
    expect(of(record)?.readyAtStopSignal).toBe('Unknown')
    expect(typesOf(record)).toEqual([])
  })

  test('that a gap hides is Unknown', () => {
    const pod = stopping().deleted({ at: 0 }).killing('app', { at: 0.1 }).gap('EndpointSlice', -1, 4)
    end(pod).endpoint('web', 'gone', { at: 4 }, { listed: true, since: -1 })
    const record = pod.removed({ at: 4.2 }).record()
    expect(of(record)?.readyAtStopSignal).toBe('Unknown')
    expect(holds(markOf(record, 'EndpointNotReady', 'web'), -0.5)).toBe(true)
    expect(findingOf(record, 'EvidenceMissing').message).toContain('nobody watched EndpointSlices')
  })

  test('may have gone and come back while nobody watched EndpointSlices; Pods or Events that nobody watched do not matter', () => {
    const late = (resource: 'EndpointSlice' | 'Event') => {
      const pod = stopping().deleted({ at: 0 }).killing('app', { at: 0.1 }).gap(resource, -0.2, 0.3)
      pod.exited('app', { at: 0.5 }).reported({ at: 0.6 }).endpoint('web', 'terminating', { at: 2.2 })
      return of(gone(pod.reported({ at: 2.3, phase: 'Succeeded' }), 2.4))?.readyAtStopSignal
    }
    expect(late('Event')).toBe('True')
    expect(late('EndpointSlice')).toBe('Unknown')
  })

  test('that the pod had left before is no part of its termination', () => {
    const pod = stopping().endpoint('web', 'gone', { at: -20 }).deleted({ at: 0 }).killing('app', { at: 0.1 })
    const record = end(pod).removed({ at: 1.8 }).record()
    expect(marksOf(record, 'web')).toEqual([])
  })

  test('is judged by the first signal to any main container', () => {
    const pod = aPod({ containers: [{ name: 'slow', preStop: { handler: 'Sleep', seconds: 8 } }, 'quick'] })
      .compared('APIServer')
      .compared('Node')
      .running()
      .endpoint('web', 'ready', 'before')
      .seen()
      .deleted({ at: 0 })
    for (const name of ['slow', 'quick']) pod.killing(name, { at: 0.1 })
    pod.exited('quick', { at: 0.4 }).endpoint('web', 'terminating', { at: 3 }).exited('slow', { at: 9.5 })
    const record = gone(pod.reported({ at: 9.6, phase: 'Succeeded' }), 9.7)
    expect(of(record)?.readyAtStopSignal).not.toBe('False')
  })
})
