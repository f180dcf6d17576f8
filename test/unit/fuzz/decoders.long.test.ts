/** Every decoder of objects of the API, given recorded ones with things removed, moved and replaced. More runs: support.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { decodeNodePod } from '../../../src/agent/node-pod.ts'
import { decodeEndpointSlice } from '../../../src/kube/decode/endpoint-slice.ts'
import { decodeEvent } from '../../../src/kube/decode/event.ts'
import { decodeFinishedPod, decodeJob } from '../../../src/kube/decode/finished-pod.ts'
import { decodeGate } from '../../../src/kube/decode/gate.ts'
import { decodeOwner, decodePod } from '../../../src/kube/decode/pod.ts'
import { decodeCleanupObject } from '../../../src/kube/decode/pod-cleanup.ts'
import { decodeGatePart } from '../../../src/kube/decode/pod-gate.ts'
import { decodeService } from '../../../src/kube/decode/service.ts'
import { decodeTarget } from '../../../src/kube/decode/target.ts'
import { decodeTermination } from '../../../src/kube/decode/termination.ts'
import { decodeRow } from '../../../src/page/row.ts'
import CASES from './corpus/objects.json' with { type: 'json' }
import * as originals from './originals.ts'
import * as shapes from './shapes.ts'
import { expectDecodes, forAll, mutated, nastyValue, TIMEOUT } from './support.ts'

const { pods, events, slices, gates, cleanups, jobs, services, records } = originals

const DECODERS: Readonly<Record<string, readonly [(raw: unknown) => unknown, z.ZodType, readonly unknown[]]>> = {
  decodePod: [decodePod, shapes.podSnapshot, pods],
  decodeNodePod: [decodeNodePod, shapes.nodePod, pods],
  decodeGatePart: [decodeGatePart, shapes.gatePart, pods],
  decodeFinishedPod: [(raw) => decodeFinishedPod(raw), shapes.finishedPod, pods],
  decodeOwner: [decodeOwner, z.optional(shapes.ownerReference), pods],
  decodeEvent: [decodeEvent, shapes.eventSnapshot, events],
  decodeEndpointSlice: [decodeEndpointSlice, shapes.endpointSliceSnapshot, slices],
  decodeGate: [decodeGate, shapes.gate, gates],
  decodeCleanupObject: [decodeCleanupObject, shapes.cleanupObject, cleanups],
  decodeJob: [decodeJob, shapes.job, jobs],
  decodeService: [decodeService, shapes.serviceSnapshot, services],
  decodeTarget: [decodeTarget, shapes.targetSnapshot, jobs],
  decodeTermination: [decodeTermination, shapes.terminationSnapshot, records],
  decodeRow: [decodeRow, shapes.terminationRow, records],
}

describe('a decoder returns what its type says, or names the field that is not so', () => {
  test.for(Object.entries(DECODERS))('%s', { timeout: TIMEOUT }, async ([, [decode, shape, objects]]) => {
    // As they came, all can be read: without this the rest would be about objects that no decoder takes.
    const read = objects.map((object) => shape.parse(decode(object)))
    expect(read[0]).toBeDefined()
    await forAll(fc.oneof({ weight: 9, arbitrary: mutated(objects) }, { weight: 1, arbitrary: nastyValue }), 800, (raw) => {
      expectDecodes(decode, shape, raw)
    })
  })

  test('a status of a gate that another version wrote is taken as far as it can be read', () => {
    const [gate] = gates
    const status = { holds: {}, conditions: [null], matched: 3, later: true }
    expect(decodeGate({ ...gate, status })).toMatchObject({ status: { matched: 3 } })
    expect(Object.keys(decodeGate({ ...gate, status }).status ?? {})).toEqual(['matched'])
  })

  test.for(CASES)('$name', ({ decoder, raw, field }) => {
    const [decode, shape] = DECODERS[decoder] ?? []
    if (decode === undefined || shape === undefined) throw new Error(`there is no ${decoder}`)
    expectDecodes(decode, shape, raw)
    expect(() => decode(raw)).toThrow(expect.objectContaining({ name: 'DecodeError', field }))
  })
})
