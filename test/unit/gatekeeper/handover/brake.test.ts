import { setTimeout as passed } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { HandoverBrake } from '../../../../src/controllers/gatekeeper/handover/brake.ts'
import { WorkloadResolver } from '../../../../src/controllers/recorder/workloads.ts'
import { decide } from '../../../../src/core/gates/decide.ts'
import type { GatePod } from '../../../../src/core/gates/types.ts'
import { createClock } from '../../../../src/kube/clock.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import type { KubeHttp } from '../../../../src/kube/http.ts'
import { aGate, aPod, condition, NOW } from '../../core/gates/builders.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const gate = aGate({ spec: { checks: [{ handover: {} }] } })
const check = gate.spec.checks[0]?.handover
if (check === undefined) throw new Error('the gate has no brake')

/** An API server that forbids everything: it is asked, and counted. */
function brakeWithout(rights: { asked: string[]; told: string[] }) {
  const http: KubeHttp = {
    request: async ({ path }) => {
      rights.asked.push(path)
      throw new KubeError('Forbidden', `GET ${path}: forbidden`)
    },
    stream: async ({ path }) => {
      throw new KubeError('Forbidden', `WATCH ${path}: forbidden`)
    },
    onResponse: () => () => {},
    close: async () => {},
  }
  return new HandoverBrake({
    http,
    clock: createClock(),
    log,
    serverNow: () => NOW,
    pods: () => [],
    workloads: new WorkloadResolver({ http, log }),
    records: { list: async function* () {} },
    events: undefined,
    changed: { pod: (uid) => rights.told.push(uid), gate: () => {} },
  })
}

const owner = (kind: string) => ({ apiVersion: 'apps/v1', kind, name: 'web-6d4b', uid: 'owner-1' })

test('an owner that may not be read is asked for once, and looked at again later, not at once', async () => {
  const seen = { asked: [] as string[], told: [] as string[] }
  const brake = brakeWithout(seen)
  const pod = aPod({ owner: owner('ReplicaSet') })
  const first = brake.result(gate, check, pod, NOW)
  await passed(20)
  expect(brake.result(gate, check, pod, NOW)).toEqual(first)
  await passed(20)
  expect(first).toMatchObject({ state: 'Unknown', pending: true, recheckAt: expect.any(Number) })
  expect(first.recheckAt).toBeGreaterThan(NOW)
  expect(seen.asked).toHaveLength(1)
  expect(seen.told).toEqual([])
  await brake.stop()
})

test('a pod that was let in is written once: what was said of it stays', async () => {
  const brake = brakeWithout({ asked: [], told: [] })
  const verdictOf = (pod: GatePod) => decide(gate, pod, [{ kind: 'handover', ...brake.result(gate, check, pod, NOW) }], NOW)
  const pod = aPod({ owner: owner('DaemonSet') })
  const first = verdictOf(pod)
  expect(first).toMatchObject({ status: 'True', reason: 'ChecksPassed' })
  const { reason = '', message = '' } = first ?? {}
  const letIn = { ...pod, conditions: [condition('True', { reason, message })] }
  expect(verdictOf(letIn)).toMatchObject({ status: 'True', reason, message })
  await brake.stop()
})
