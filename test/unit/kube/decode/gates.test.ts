import { describe, expect, it } from 'vitest'
import { decodeGate } from '../../../../src/kube/decode/gate.ts'
import { decodeGatePart } from '../../../../src/kube/decode/pod-gate.ts'
import { DecodeError } from '../../../../src/kube/errors.ts'

const TYPE = 'example.com/registered'
const pod = (part: { metadata?: object; spec?: object; status?: object } = {}) => ({
  metadata: { name: 'web-1', labels: { app: 'web' }, annotations: { 'example.com/ok': 'yes' }, ...part.metadata },
  spec: {
    readinessGates: [{ conditionType: TYPE }, { conditionType: 'example.com/other' }],
    initContainers: [{ name: 'proxy', ports: [{ name: 'admin', containerPort: 15_000 }] }],
    containers: [
      {
        name: 'app',
        ports: [{ name: 'web', containerPort: 8080 }, { containerPort: 9090 }],
        env: [{ name: 'TOKEN', value: 'secret' }],
        args: ['--password=secret'],
      },
    ],
    ...part.spec,
  },
  status: {
    podIP: '10.244.0.7',
    hostIP: '10.250.0.1',
    hostIPs: [{ ip: '10.250.0.1' }, { ip: 'fd00::1' }],
    conditions: [
      { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady' },
      { type: 'ContainersReady', status: 'True', lastTransitionTime: '2026-11-26T11:59:00Z' },
      { type: TYPE, status: 'False', reason: 'Why', message: 'not yet', lastTransitionTime: '2026-11-26T12:00:00Z' },
      { type: 'example.com/nobody-asked', status: 'True' },
    ],
    ...part.status,
  },
})

describe('what the gates keep of a pod', () => {
  it('is what checks look at, and the conditions that the pod itself names', () => {
    expect(decodeGatePart(pod())).toEqual({
      labels: { app: 'web' },
      annotations: { 'example.com/ok': 'yes' },
      readinessGates: [TYPE, 'example.com/other'],
      conditions: [
        { type: TYPE, status: 'False', reason: 'Why', message: 'not yet', lastTransitionTime: '2026-11-26T12:00:00Z' },
      ],
      containersReady: true,
      containersReadySince: '2026-11-26T11:59:00Z',
      podIP: '10.244.0.7',
      hostIPs: ['10.250.0.1', 'fd00::1'],
      hostNetwork: false,
      ports: { web: 8080, admin: 15_000 },
    })
  })

  it('is nothing of environment and arguments', () => {
    expect(JSON.stringify(decodeGatePart(pod()))).not.toContain('secret')
  })

  it('is the labels alone where the pod names no condition', () => {
    expect(decodeGatePart(pod({ spec: { readinessGates: undefined, hostNetwork: true } }))).toEqual({
      labels: { app: 'web' },
      annotations: {},
      readinessGates: [],
      conditions: [],
      hostIPs: [],
      hostNetwork: true,
      ports: {},
    })
  })

  it('has not the containers ready before the kubelet says so', () => {
    const ready = (...conditions: object[]) => decodeGatePart(pod({ status: { conditions } })).containersReady
    expect(ready()).toBeUndefined()
    expect(ready({ type: 'ContainersReady', status: 'False' })).toBeUndefined()
    expect(ready({ type: 'Ready', status: 'True' })).toBeUndefined()
    expect(ready({ type: 'ContainersReady', status: 'True' })).toBe(true)
    const unwritten = pod({
      metadata: { creationTimestamp: '2026-11-26T11:00:00Z' },
      status: { conditions: [{ type: 'ContainersReady', status: 'True' }] },
    })
    expect(decodeGatePart(unwritten).containersReadySince).toBe('2026-11-26T11:00:00Z')
  })

  it('of a long annotation is its beginning: it equals nothing that can be asked for, and still drains', () => {
    const annotations = { 'gracewatch.dev/drain': 'x'.repeat(100_000), 'a/b': 'y'.repeat(256) }
    const part = decodeGatePart(pod({ metadata: { annotations } }))
    expect(part.annotations['gracewatch.dev/drain']).toBe('x'.repeat(257))
    expect(part.annotations['a/b']).toBe('y'.repeat(256))
  })

  it('takes a status that there is not for Unknown, and shares what pods of one workload have alike', () => {
    const [one, two] = [decodeGatePart(pod({ status: { conditions: [{ type: TYPE, status: 'Maybe' }] } })), decodeGatePart(pod())]
    expect(one.conditions).toEqual([{ type: TYPE, status: 'Unknown' }])
    expect(one.labels).toBe(two.labels)
    expect(one.readinessGates).toBe(two.readinessGates)
    expect(one.ports).toBe(two.ports)
  })

  it('names the field that is wrong', () => {
    expect(() => decodeGatePart(pod({ spec: { readinessGates: [{}] } }))).toThrow('spec.readinessGates[0].conditionType')
  })
})

describe('a gate', () => {
  const gate = (spec: object, rest: object = {}) => ({
    metadata: {
      name: 'lb',
      namespace: 'shop',
      uid: 'gate-1',
      resourceVersion: '7',
      generation: 3,
      creationTimestamp: '2026-11-26T12:00:00Z',
    },
    spec: { selector: {}, conditionType: TYPE, checks: [{ endpoints: {} }], ...spec },
    ...rest,
  })

  it('has the defaults also where the API server has not written them', () => {
    const { spec, generation, finalizers } = decodeGate(gate({ checks: [{ handover: {} }] }))
    expect({ generation, finalizers }).toEqual({ generation: 3, finalizers: [] })
    expect(spec).toMatchObject({ failOpenAfter: '10m', inject: false, onDelete: 'Release' })
    expect(spec.checks[0]?.handover).toEqual({
      maxForcedKills: 0,
      window: '10m',
      outcomes: ['ForcedKill'],
      waitForVerdict: true,
      maxHold: '30m',
    })
  })

  it('that another version of the CRD let through is refused by the field', () => {
    const refused = (spec: object) => {
      try {
        decodeGate(gate(spec))
      } catch (error) {
        return error instanceof DecodeError ? error.field : error
      }
      return undefined
    }
    expect(refused({ checks: [] })).toBe('spec.checks')
    expect(refused({ checks: [{ httpGet: { port: true } }] })).toBe('spec.checks.0.httpGet.port')
    expect(refused({ onDelete: 'Keep' })).toBe('spec.onDelete')
    // Fields that this version does not know are none of its business.
    expect(refused({ later: 1 })).toBeUndefined()
  })
})
