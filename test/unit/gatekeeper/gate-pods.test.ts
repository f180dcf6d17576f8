import { expect, test } from 'vitest'
import { GatePods } from '../../../src/controllers/gatekeeper/gate-pods.ts'
import { decodePod } from '../../../src/kube/decode/pod.ts'
import { NOW } from '../core/gates/builders.ts'

const status = (name: string, restartCount: number) => ({ name, restartCount, ready: true, image: 'i', imageID: 'i', state: {} })

const rawPod = (status: object, spec: object = {}) => ({
  metadata: { uid: 'pod-1', namespace: 'shop', name: 'web-1', resourceVersion: '10' },
  spec: { containers: [{ name: 'app', image: 'i' }], ...spec },
  status: { phase: 'Running', ...status },
})

function incarnationOf(raw: object): string | undefined {
  const pods = new GatePods()
  pods.onPod({ type: 'Added', object: decodePod(raw), arrivedAt: NOW })
  return pods.get('shop', 'pod-1')?.incarnation
}

test('a container that has restarted makes it another pod', () => {
  const before = incarnationOf(rawPod({ containerStatuses: [status('app', 0)] }))
  expect(before).toBeDefined()
  expect(incarnationOf(rawPod({ containerStatuses: [status('app', 1)] }))).not.toBe(before)
})

test('a container that somebody added to look into the pod does not, nor does its end', () => {
  const before = incarnationOf(rawPod({ containerStatuses: [status('app', 0)] }))
  const spec = { ephemeralContainers: [{ name: 'debugger', image: 'i' }] }
  const debugged = { containerStatuses: [status('app', 0)], ephemeralContainerStatuses: [status('debugger', 0)] }
  expect(incarnationOf(rawPod(debugged, spec))).toBe(before)
})
