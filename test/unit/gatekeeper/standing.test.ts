/** How long a gate has held a pod, by what the watch has shown and what the API server takes; test/apiserver/gates has a real one. */
import { beforeEach, describe, expect, it } from 'vitest'
import { Gatekeeper } from '../../../src/controllers/gatekeeper/gatekeeper.ts'
import type { Gate } from '../../../src/core/gates/types.ts'
import { type Micros, SECOND } from '../../../src/core/time.ts'
import { decodePod } from '../../../src/kube/decode/pod.ts'
import { decodeGatePart } from '../../../src/kube/decode/pod-gate.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { GateHandlers, GateObjects } from '../../../src/kube/gate-objects.ts'
import type { HttpResponse, KubeHttp } from '../../../src/kube/http.ts'
import { aGate, at, NOW, TYPE } from '../core/gates/builders.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
let handlers: GateHandlers
let writes: string[]
let refuses: boolean
let released: { gate: string; held: Micros }[]
let keeper: Gatekeeper

beforeEach(async () => {
  writes = []
  refuses = false
  released = []
  version = 10
  const http: Pick<KubeHttp, 'request'> = {
    async request({ method, path }) {
      writes.push(`${method} ${path.split('/').slice(-2).join('/')}`)
      if (refuses) throw new KubeError('Invalid', 'denied by the admission webhook')
      return { json: () => ({ metadata: { resourceVersion: '20' } }) } as HttpResponse // all that is read of it
    },
  }
  const gates: Pick<GateObjects, 'watch' | 'finalize' | 'writeStatus'> = {
    watch: async (wanted) => {
      handlers = wanted
    },
    finalize: async () => true,
    writeStatus: async () => {},
  }
  keeper = new Gatekeeper({
    http: http as KubeHttp, // nothing else is called
    gates: gates as GateObjects, // nothing else is called
    log,
    serverNow: () => NOW,
    isLeader: () => true,
    guard: () => new AbortController().signal,
    patchesPerSecond: 1000,
    checkers: () => ({}),
    onReleased: (gate, held) => released.push({ gate: gate.name, held }),
  })
  await keeper.start()
  return () => keeper.stop()
})

const ready = (seconds: number) => ({ type: 'ContainersReady', status: 'True', lastTransitionTime: at(seconds) })
const own = (status: string, seconds: number) => ({ type: TYPE, status, lastTransitionTime: at(seconds) })
let version: number
function see(
  conditions: readonly object[],
  spec: object = { readinessGates: [{ conditionType: TYPE }] },
  annotations = {},
): void {
  const raw = {
    metadata: {
      ...{ uid: 'pod-1', namespace: 'shop', name: 'web-1', resourceVersion: String(++version), labels: { app: 'web' } },
      ...{ creationTimestamp: at(-3000), annotations },
    },
    spec: { containers: [{ name: 'app' }], ...spec },
    status: { phase: 'Running', conditions },
  }
  keeper.onPod({ type: 'Modified', object: { ...decodePod(raw), gate: decodeGatePart(raw) }, arrivedAt: NOW })
}
const holdsFor = () => [...keeper.standing()].map(({ holdingSince }) => holdingSince && (NOW - holdingSince) / SECOND)

describe('how long a gate holds', () => {
  const gate: Gate = aGate({ creationTimestamp: at(-3600) })
  beforeEach(() => handlers.onGate(gate))

  it('a pod whose condition nobody could write: since its containers are ready', () => {
    see([])
    expect(holdsFor()).toEqual([undefined])
    see([ready(-700)])
    expect(holdsFor()).toEqual([700])
  })

  it('a pod that was there before the gate: since there is the gate', () => {
    handlers.onGate({ ...gate, creationTimestamp: at(-100), generation: 2 })
    see([ready(-700)])
    expect(holdsFor()).toEqual([100])
  })

  it('a pod that does not name the condition: not at all', () => {
    see([ready(-700)], {})
    expect(holdsFor()).toEqual([undefined])
  })

  it('a pod that took long to start: since it is the gate alone that it waits for', () => {
    see([own('False', -900)])
    expect(holdsFor()).toEqual([undefined])
    see([own('False', -900), ready(-5)])
    expect(holdsFor()).toEqual([5])
    see([own('False', -4), ready(-50)])
    expect(holdsFor()).toEqual([4])
    see([own('True', -4), ready(-50)])
    expect(holdsFor()).toEqual([undefined])
  })

  it('a pod whose condition is refused: on and on, and its time is measured when it is let in', async () => {
    keeper.onLeading(true)
    refuses = true
    see([ready(-700)])
    await expect.poll(() => keeper.stats.refused).toBe(1)
    expect(writes).toEqual(['PATCH web-1/status'])
    expect(holdsFor()).toEqual([700])
    refuses = false
    see([ready(-700)], undefined, { 'example.com/ok': 'yes' })
    await expect.poll(() => released).toEqual([{ gate: 'lb', held: 700 * SECOND }])
    expect(holdsFor()).toEqual([undefined])
  })
})
