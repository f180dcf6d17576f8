import { expect, test } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { Observers, type RecorderObserver } from '../../../src/controllers/recorder/observer.ts'
import type { EndpointSliceSnapshot, PodSnapshot } from '../../../src/core/evidence.ts'
import type { Change } from '../../../src/kube/reflector-types.ts'
import { aPod, micros } from '../builders.ts'

test('an observer that throws keeps nothing from those after it, and is logged', () => {
  const logged: string[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (_: object, text: string) => void logged.push(text) }
  const seen: unknown[] = []
  const fails = () => {
    throw new Error('no room')
  }
  const failing: RecorderObserver = { onPod: fails, onEndpointSlice: fails, onVerdict: fails, onLeading: fails }
  const watching: RecorderObserver = {
    onPod: (change) => seen.push(change),
    onEndpointSlice: (change) => seen.push(change),
    onVerdict: (record, news) => seen.push(record, news),
    onLeading: (leading) => seen.push(leading),
  }
  const observers = new Observers(log)
  observers.add(failing)
  observers.add(watching)

  const story = aPod().running().seen().removed({ at: 0 })
  const [first] = story.deliveries.flatMap(({ fact }) => (fact.type === 'Pod' ? [fact.pod] : []))
  if (first === undefined) throw new Error('the pod is seen')
  const pod: Change<PodSnapshot> = { type: 'Added', object: first, arrivedAt: micros(0) }
  const object = { uid: 's1', resourceVersion: '1', namespace: 'shop', name: 's1', endpoints: [] }
  const slice: Change<EndpointSliceSnapshot> = { type: 'Added', object, arrivedAt: micros(0) }
  const record: PodTermination = story.record()
  observers.onLeading(true)
  observers.onPod(pod)
  observers.onEndpointSlice(slice)
  observers.onVerdict(record, true)
  expect(seen).toEqual([true, pod, slice, record, true])
  expect(logged).toEqual(Array(4).fill('an observer failed'))
})
