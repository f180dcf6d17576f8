import { expect, test } from 'vitest'
import { decide } from '../../../../src/core/gates/decide.ts'
import type { GatePod } from '../../../../src/core/gates/types.ts'
import { SECOND } from '../../../../src/core/time.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import { aGate, aPod, at, condition, NOW } from '../../core/gates/builders.ts'
import { answered, apiServer, brakeOn, killed, killedRecord, newPod, recordsOf, replicaSet, snapshot } from './web.ts'

const gate = aGate({ spec: { checks: [{ handover: {} }] } })
const check = gate.spec.checks[0]?.handover
if (check === undefined) throw new Error('the gate has no brake')

const owner = (kind: string) => ({ apiVersion: 'apps/v1', kind, name: 'web-6d4b', uid: 'owner-1' })
const forbidding = (asked: string[] = []) =>
  apiServer((path) => {
    asked.push(path)
    throw new KubeError('Forbidden', `GET ${path}: forbidden`)
  })
const known = apiServer((path) => replicaSet(path.split('/').at(-1) ?? ''))

test('an owner that may not be read is asked for once, and looked at again later, not at once; nobody can tell then', async () => {
  const asked: string[] = []
  const { brake, told } = brakeOn(forbidding(asked), { pods: () => [] })
  const pod = aPod({ owner: owner('ReplicaSet') })
  expect(brake.result(gate, check, pod, NOW)).toMatchObject({ state: 'Unknown', pending: true, recheckAt: expect.any(Number) })
  await answered()
  // failOpenAfter counts from here: it is no answer that is on its way.
  const second = brake.result(gate, check, pod, NOW)
  expect(second).toMatchObject({ state: 'Unknown', reason: 'WorkloadUnknown' })
  expect(second.pending).toBeUndefined()
  expect(second.recheckAt).toBeGreaterThan(NOW)
  await answered()
  expect(brake.result(gate, check, pod, NOW)).toEqual(second)
  await answered()
  expect(asked).toHaveLength(1)
  expect(told).toEqual(['pod-1'])
  await brake.stop()
})

test('a pod that was let in is written once: what was said of it stays', async () => {
  const { brake } = brakeOn(forbidding(), { pods: () => [] })
  const verdictOf = (pod: GatePod) => decide(gate, pod, [{ kind: 'handover', ...brake.result(gate, check, pod, NOW) }], NOW)
  const pod = aPod({ owner: owner('DaemonSet') })
  const first = verdictOf(pod)
  expect(first).toMatchObject({ status: 'True', reason: 'ChecksPassed' })
  const { reason = '', message = '' } = first ?? {}
  const letIn = { ...pod, conditions: [condition('True', { reason, message })] }
  expect(verdictOf(letIn)).toMatchObject({ status: 'True', reason, message })
  await brake.stop()
})

test('a pod that was let in is not held when another check has taken it out and lets it in again', async () => {
  const { brake } = brakeOn(known, { records: recordsOf([killedRecord]) })
  const of = (uid: string, part: Partial<GatePod> = {}) => brake.result(gate, check, { ...newPod, uid, ...part }, NOW)
  expect(of('n1', { conditions: [condition('True')] }).state).toBe('Pass')
  const out = { conditions: [condition('False', { reason: 'ProbeFailed' })] }
  await expect.poll(() => of('n2', out).reason).toBe('RolloutHeld')
  expect(of('n1', out)).toMatchObject({ state: 'Pass', reason: 'HandedOver' })
  // What is kept of a pod goes with it.
  brake.onPod({ type: 'Deleted', object: snapshot('n1', 'new'), arrivedAt: NOW })
  await expect.poll(() => of('n1', out).reason).toBe('RolloutHeld')
  await brake.stop()
})

test('records are read for a rollout alone: a workload of one revision costs no request but for its owner', async () => {
  const asked: string[] = []
  const reads: string[] = []
  const http = apiServer((path) => {
    asked.push(path)
    return replicaSet(path.split('/').at(-1) ?? '')
  })
  const { brake } = brakeOn(http, {
    pods: () => [snapshot('n1', 'new'), snapshot('n2', 'new')],
    records: recordsOf([], () => reads.push('records')),
  })
  await expect.poll(() => brake.result(gate, check, newPod, NOW).reason).toBe('NoOldRevision')
  expect(asked).toEqual(['/apis/apps/v1/namespaces/shop/replicasets/web-new'])
  expect(reads).toEqual([])
  await brake.stop()
})

test('right after a start no pod is let in, and no hold ends, before all owners in the namespace have been looked up', async () => {
  const answers = new Map<string, () => void>()
  // Each ReplicaSet of the Deployment is answered when the test says so.
  const http = apiServer(async (path) => {
    const name = path.split('/').at(-1) ?? ''
    await new Promise<void>((answer) => answers.set(name, answer))
    return replicaSet(name)
  })
  const holding = aGate({
    spec: { checks: [{ handover: {} }] },
    status: {
      holds: [
        {
          workload: { kind: 'Deployment', name: 'web', uid: 'deploy-1', apiVersion: 'apps/v1' },
          revision: 'new',
          since: at(-60),
          releaseSeen: 'before',
        },
      ],
    },
  })
  const { brake, told } = brakeOn(http, { records: recordsOf([killedRecord]) })
  const pod = { ...newPod, conditions: [condition('False', { reason: 'RolloutHeld' })] }
  const result = () => brake.result(holding, check, pod, NOW)
  const answer = async (name: string) => {
    await expect.poll(() => answers.has(name)).toBe(true)
    answers.get(name)?.()
    answers.delete(name)
    await answered()
  }

  expect(brake.holds(holding)).toHaveLength(1)
  expect(result()).toMatchObject({ state: 'Unknown', pending: true })
  await answer('web-new')
  // Its own workload is known, that of the old pod is not: it would be alone.
  expect(result()).toMatchObject({ state: 'Unknown', pending: true })
  expect(brake.holds(holding)).toHaveLength(1)
  await answer('web-old')
  expect(told).toContain('n1')
  // The records and the order of the revisions are read now.
  expect(result()).toMatchObject({ state: 'Unknown', pending: true })
  await answer('web-new')
  await answer('web-old')
  await expect.poll(() => result().reason).toBe('RolloutHeld')
  expect(brake.holds(holding)).toMatchObject([{ revision: 'new', since: at(-60) }])
  await brake.stop()
})

test('a new leader lets nobody in before it knows how those ended that went while nobody led', async () => {
  /** All that can be read has been read, and nothing of it tells of the old pod that was killed in between. */
  const settled = async () => {
    const { brake, told } = brakeOn(known)
    const result = (now = NOW) => brake.result(gate, check, newPod, now)
    await expect.poll(() => result(NOW + 3600 * SECOND).reason).toBe('HandoverAllowed')
    return { brake, result, told }
  }

  const quiet = await settled()
  const first = quiet.result()
  expect(first).toMatchObject({ state: 'Unknown', pending: true })
  // By itself it is looked at again when that time is over, and let in.
  expect(quiet.result(first.recheckAt)).toMatchObject({ state: 'Pass', reason: 'HandoverAllowed' })
  expect((first.recheckAt ?? 0) - NOW).toBeLessThan(10 * SECOND)
  await quiet.brake.stop()

  const { brake, result, told } = await settled()
  expect(result(NOW + SECOND)).toMatchObject({ pending: true })
  told.length = 0
  brake.onVerdict(killed)
  expect(told).toContain('n1')
  expect(result(NOW + 2 * SECOND)).toMatchObject({ state: 'Fail', reason: 'RolloutHeld' })
  await brake.stop()
})
