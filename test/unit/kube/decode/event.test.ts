import { expect, test } from 'vitest'
import { decodeEvent } from '../../../../src/kube/decode/event.ts'

function anEvent() {
  return {
    metadata: { name: 'web-0.18a1b2c3d4e5f607', namespace: 'shop', uid: 'e-1', resourceVersion: '900' },
    involvedObject: {
      kind: 'Pod',
      namespace: 'shop',
      name: 'web-0',
      uid: 'p-1',
      apiVersion: 'v1',
      fieldPath: 'spec.containers{app}',
    },
    reason: 'Killing',
    message: 'Stopping container app',
    source: { component: 'kubelet', host: 'node-1' },
    firstTimestamp: '2026-11-24T21:31:01Z',
    lastTimestamp: '2026-11-24T21:31:03Z',
    count: 2,
    type: 'Normal',
    eventTime: null,
    reportingComponent: 'kubelet',
    reportingInstance: 'node-1',
  }
}

test('a kubelet event about a container', () => {
  expect(decodeEvent(anEvent())).toStrictEqual({
    uid: 'e-1',
    resourceVersion: '900',
    namespace: 'shop',
    name: 'web-0.18a1b2c3d4e5f607',
    reason: 'Killing',
    eventType: 'Normal',
    message: 'Stopping container app',
    count: 2,
    firstTimestamp: '2026-11-24T21:31:01Z',
    lastTimestamp: '2026-11-24T21:31:03Z',
    component: 'kubelet',
    host: 'node-1',
    pod: { namespace: 'shop', name: 'web-0', uid: 'p-1' },
    container: 'app',
  })
})

test('an event that was written through events.k8s.io', () => {
  const { firstTimestamp, lastTimestamp, count, source, ...rest } = anEvent()
  const event = decodeEvent({
    ...rest,
    firstTimestamp: null,
    source: {},
    eventTime: '2026-11-24T21:31:01.123456Z',
    reportingComponent: 'default-scheduler',
    series: { count: 7, lastObservedTime: '2026-11-24T21:32:01.000000Z' },
  })
  expect(event).toMatchObject({
    count: 7,
    eventTime: '2026-11-24T21:31:01.123456Z',
    lastTimestamp: '2026-11-24T21:32:01.000000Z',
    component: 'default-scheduler',
  })
  expect(event).not.toHaveProperty('firstTimestamp')
  expect(event).not.toHaveProperty('host')
})

test.each([
  ['spec.initContainers{log-ship}', 'log-ship'],
  ['spec.ephemeralContainers{debugger}', 'debugger'],
  ['spec.containers{a.b}', 'a.b'],
  ['spec', undefined],
  [undefined, undefined],
])('the container of the field path %s is %s', (fieldPath, container) => {
  expect(decodeEvent({ ...anEvent(), involvedObject: { ...anEvent().involvedObject, fieldPath } })?.container).toBe(container)
})

test('an event about anything but a pod with a UID is of no interest', () => {
  expect(decodeEvent({ ...anEvent(), involvedObject: { kind: 'Node', name: 'node-1', uid: 'node-1' } })).toBeUndefined()
  expect(decodeEvent({ ...anEvent(), involvedObject: { kind: 'Pod', name: 'web-0' } })).toBeUndefined()
})

test('what is wrong is named', () => {
  expect(() => decodeEvent({ ...anEvent(), involvedObject: 'web-0' })).toThrow(
    expect.objectContaining({ field: 'involvedObject' }),
  )
  expect(() => decodeEvent({ ...anEvent(), reason: 7 })).toThrow(expect.objectContaining({ field: 'reason' }))
})

test('an event of a static pod has the hash of its manifest for a UID, which no pod of the API has', () => {
  const event = anEvent()
  const involvedObject = { ...event.involvedObject, uid: '4d41d8cd98f00b204e9800998ecf8427' }
  expect(decodeEvent({ ...event, involvedObject })).toBeUndefined()
})
