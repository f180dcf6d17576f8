import { expect, test } from 'vitest'
import { decodeEndpointSlice } from '../../../../src/kube/decode/endpoint-slice.ts'

const metadata = {
  name: 'web-abcde',
  namespace: 'shop',
  uid: 's-1',
  resourceVersion: '5',
  labels: { 'kubernetes.io/service-name': 'web' },
}
const pod = (uid: string) => ({ kind: 'Pod', namespace: 'shop', name: `name-of-${uid}`, uid })
const decode = (conditions: unknown) =>
  decodeEndpointSlice({ metadata, endpoints: [{ addresses: ['10.0.0.1'], conditions, targetRef: pod('p') }] }).endpoints[0]

test('a slice with its endpoints that are pods', () => {
  expect(
    decodeEndpointSlice({
      metadata,
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.0.0.1'], conditions: { ready: false, serving: true, terminating: true }, targetRef: pod('p-1') },
        { addresses: ['10.0.0.2'], conditions: { ready: true } },
        { addresses: ['10.0.0.3'], targetRef: { kind: 'Node', name: 'n', uid: 'n' } },
      ],
    }),
  ).toStrictEqual({
    uid: 's-1',
    resourceVersion: '5',
    namespace: 'shop',
    name: 'web-abcde',
    service: 'web',
    endpoints: [{ podUid: 'p-1', podName: 'name-of-p-1', ready: false, serving: true, terminating: true }],
  })
})

test.each([
  [undefined, { ready: true, serving: true, terminating: false }],
  [{}, { ready: true, serving: true, terminating: false }],
  [
    { ready: null, serving: null, terminating: null },
    { ready: true, serving: true, terminating: false },
  ],
  [{ ready: false }, { ready: false, serving: false, terminating: false }],
  [
    { ready: false, serving: true, terminating: true },
    { ready: false, serving: true, terminating: true },
  ],
])('conditions %j mean %j', (conditions, meant) => {
  expect(decode(conditions)).toMatchObject(meant)
})

test('a slice of no Service, and one without endpoints', () => {
  const { labels, ...bare } = metadata
  expect(decodeEndpointSlice({ metadata: bare, endpoints: null })).toStrictEqual({
    uid: 's-1',
    resourceVersion: '5',
    namespace: 'shop',
    name: 'web-abcde',
    endpoints: [],
  })
})

test('what is wrong is named', () => {
  expect(() => decode({ ready: 'yes' })).toThrow(expect.objectContaining({ field: 'endpoints[0].conditions.ready' }))
})
