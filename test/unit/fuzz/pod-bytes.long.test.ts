/** The bytes of Pods, which are read without their managedFields: what decoders make of them is the same. More runs: support.ts. */
import { expect, test } from 'vitest'
import { decodeFinishedPod } from '../../../src/kube/decode/finished-pod.ts'
import { decodePod } from '../../../src/kube/decode/pod.ts'
import { parsePodBytes } from '../../../src/kube/decode/pod-bytes.ts'
import { decodeGatePart } from '../../../src/kube/decode/pod-gate.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import { parseBytes } from '../../../src/kube/lines.ts'
import { pods } from './originals.ts'
import { forAll, mutated, mutatedBytes, outcomeOf, TIMEOUT } from './support.ts'

const managedFields = [
  {
    manager: 'kubelet',
    operation: 'Update',
    time: '2026-11-27T11:43:40Z',
    fieldsV1: { 'f:status': { 'k:{"type":"Ready"}': {} } },
  },
]
/** A claim of a volume has metadata of its own, and they end as those of a Pod do. */
const claim = (metadata: object) => ({ name: 'data', ephemeral: { volumeClaimTemplate: { metadata, spec: {} } } })
const VOLUMES = [
  claim({ resourceVersion: '1', managedFields }),
  claim({ managedFields }),
  claim({ ownerReferences: [{ uid: 'x' }] }),
]

/** As API servers write them: managedFields last in metadata, metadata before spec. */
const withFields = pods.slice(0, 8).flatMap((pod) => {
  const { metadata, spec, status } = JSON.parse(JSON.stringify(pod))
  return [
    { metadata: { ...metadata, managedFields }, spec, status },
    { metadata: { ...metadata, managedFields }, spec: { ...spec, volumes: VOLUMES }, status },
    { metadata, spec: { ...spec, volumes: VOLUMES }, status },
  ]
})

const DECODERS = [decodePod, decodeGatePart, (raw: unknown) => decodeFinishedPod(raw)]

/** The decoded object, or the words of the error. */
function read(decode: (raw: unknown) => unknown, parse: (bytes: Uint8Array) => unknown, bytes: Uint8Array): unknown {
  const outcome = outcomeOf(() => decode(parse(bytes)))
  return 'value' in outcome ? outcome.value : String(outcome.error)
}

test('an object is decoded as it is with its managedFields, whatever is in it', { timeout: TIMEOUT }, async () => {
  await forAll(mutated(withFields), 1500, (object) => {
    const bytes = Buffer.from(JSON.stringify(object) ?? '')
    for (const decode of DECODERS) expect(read(decode, parsePodBytes, bytes)).toEqual(read(decode, parseBytes, bytes))
  })
})

test('bytes are read, or are a KubeError; what can be read whole is read the same', { timeout: TIMEOUT }, async () => {
  await forAll(mutatedBytes(withFields.map((pod) => JSON.stringify(pod))), 1000, (bytes) => {
    const whole = outcomeOf(() => parseBytes(bytes))
    const short = outcomeOf(() => parsePodBytes(bytes))
    if ('error' in short) expect(short.error).toBeInstanceOf(KubeError)
    if ('value' in whole)
      for (const decode of DECODERS) expect(read(decode, parsePodBytes, bytes)).toEqual(read(decode, parseBytes, bytes))
  })
})

test('the managedFields of a claim whose metadata no spec follows take nothing else with them', () => {
  const own = { name: 'web-1', namespace: 'shop', uid: 'u', resourceVersion: '7' }
  const volumes = [
    { name: 'a', ephemeral: { volumeClaimTemplate: { metadata: { name: 'a', managedFields } } } },
    { name: 'b', ephemeral: { volumeClaimTemplate: { metadata: { ownerReferences: [{ uid: 'x' }] }, spec: {} } } },
  ]
  const pod = { metadata: own, spec: { volumes, containers: [{ name: 'app' }] }, status: {} }
  expect(parsePodBytes(Buffer.from(JSON.stringify(pod)))).toEqual(pod)
})
