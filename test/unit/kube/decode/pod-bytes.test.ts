import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodePod } from '../../../../src/kube/decode/pod.ts'
import { parsePodBytes } from '../../../../src/kube/decode/pod-bytes.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import { parseBytes } from '../../../../src/kube/lines.ts'

const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value))

function entry(manager = 'kubelet', more: object = { subresource: 'status' }): object {
  const fieldsV1 = { 'f:status': { 'f:conditions': { '.': {}, 'k:{"type":"Ready"}': { '.': {}, 'f:type': {} } } } }
  return {
    ...{ manager, operation: 'Update', apiVersion: 'v1', time: '2026-11-27T11:43:40Z', fieldsType: 'FieldsV1', fieldsV1 },
    ...more,
  }
}

/** In the order of the API server's own JSON: managedFields end metadata, and spec follows. */
function aPod(managedFields: readonly object[] | undefined, more: { annotations?: object; spec?: object } = {}) {
  const { annotations = {}, spec = {} } = more
  const own = { name: 'web-1', namespace: 'shop', uid: 'b959e941', resourceVersion: '7', annotations }
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { ...own, finalizers: ['example.com/held'], ...(managedFields === undefined ? {} : { managedFields }) },
    spec: { containers: [{ name: 'app', image: 'shop:1' }], nodeName: 'node-1', ...spec },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  }
}

function without(pod: ReturnType<typeof aPod>): unknown {
  const { managedFields: _, ...metadata } = pod.metadata
  return { ...pod, metadata }
}

it('leaves out managedFields and nothing else, of a Pod and of an event of one', () => {
  const pod = aPod([entry('kube-controller-manager', {}), entry()])
  expect(parsePodBytes(bytesOf(pod))).toEqual(without(pod))
  expect(parsePodBytes(bytesOf({ type: 'ADDED', object: pod }))).toEqual({ type: 'ADDED', object: without(pod) })
})

it.each([
  ['there are none', aPod(undefined)],
  ['there are none, and a volume claim has some', aPod(undefined, { spec: volumeWith({ managedFields: [entry()] }) })],
  ['the list is empty', aPod([])],
  ['the list is empty, and something else ends as it would', aPod([], { spec: volumeWith({ ownerReferences: [{ uid: 'x' }] }) })],
])('of a Pod where %s the decoder reads the same', (_, pod) => {
  expect(decodePod(parsePodBytes(bytesOf(pod)))).toEqual(decodePod(pod))
  expect(parsePodBytes(bytesOf(pod))).toMatchObject({ metadata: { uid: 'b959e941' }, status: pod.status })
})

function volumeWith(metadata: object): object {
  return {
    volumes: [{ name: 'data', ephemeral: { volumeClaimTemplate: { metadata, spec: { accessModes: ['ReadWriteOnce'] } } } }],
  }
}

it('takes the whole where another server writes the keys of metadata in another order', () => {
  const { metadata, ...rest } = aPod([entry()], { spec: volumeWith({ ownerReferences: [{ uid: 'x' }] }) })
  const { annotations, finalizers, managedFields, ...after } = metadata
  const sorted = { metadata: { annotations, finalizers, managedFields, ...after }, ...rest }
  expect(parsePodBytes(bytesOf(sorted))).toEqual(sorted)
})

const TRAPS = [',"managedFields":[{', '}]},"spec":{', '}]},', '"resourceVersion":"', '\\', '"', '[{', 'ü€😀']

it('no text that a user can set is taken for structure', () => {
  const text = fc
    .array(fc.oneof(fc.constantFrom(...TRAPS), fc.string({ unit: 'grapheme' })), { maxLength: 6 })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, text, text, fc.array(text, { minLength: 1, maxLength: 3 }), (key, value, name, managers) => {
      const fields = managers.map((manager) => entry(manager, { fieldsV1: { [`f:${key}`]: { [`v:${value}`]: {} } } }))
      const pod = aPod(fields, { annotations: { [`a${key}`]: value }, spec: { hostname: name } })
      expect(decodePod(parsePodBytes(bytesOf(pod)))).toEqual(decodePod(pod))
      expect(parsePodBytes(bytesOf(pod))).toEqual(without(pod))
    }),
  )
})

it('what is no JSON fails as it does everywhere', () => {
  const whole = bytesOf(aPod([entry()]))
  for (const bytes of [whole.subarray(0, -1), whole.subarray(1), Buffer.from('{"type":')]) {
    expect(() => parsePodBytes(bytes)).toThrow(KubeError)
    expect(() => parsePodBytes(bytes)).toThrow(messageOf(() => parseBytes(bytes)))
  }
})

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return 'it did not throw'
}

it('a part of a longer buffer is read where it lies', () => {
  const pod = aPod([entry()])
  const padded = Buffer.concat([Buffer.from('xx'), bytesOf(pod), Buffer.from('yy')])
  expect(parsePodBytes(padded.subarray(2, -2))).toEqual(without(pod))
})
