/** What agents write into records: when the controller waits for it, what it makes of it, and what it does with what is not kept. */
import { beforeAll, describe, expect, it } from 'vitest'
import { recordName } from '../../../src/core/record-name.ts'
import type { StoredPodTermination } from '../../../src/kube/apply.ts'
import { delay } from '../waiting.ts'
import { Agent } from './agent.ts'
import type { FakePod } from './kubelet.ts'
import { type Running, type Stage, useStage } from './stage.ts'

const host = useStage('agent')
/** From the removal: SETTLE, and a write. */
const AT_ONCE_MS = 700
/** The controller waits for its agent up to 1 s after the end. */
const WAIT_MS = 1000
/** Left alone for 20 s, and looked at each 5 s; the trackers' 20 s beside. */
const LEFT_OVER_MS = 60_000
let stage: Stage
let agent: Agent
let namespace: string
let agents: string
let running: Running

beforeAll(async () => {
  stage = host.stage
  agent = new Agent(stage)
  namespace = await stage.namespace('pods')
  agents = await stage.namespace('agents')
  running = await stage.lead({ own: stage.bed.namespace, namespaces: [namespace], args: [`--agent-namespace=${agents}`] })
})

const missing = (record: StoredPodTermination) =>
  (record.findings ?? []).filter(({ type }) => type === 'EvidenceMissing').map(({ message }) => message)
const applies = ({ name }: FakePod) => running.front.applies.filter(({ path }) => path.includes(`/${name}.`)).length

/** A pod that has been deleted and whose container has ended; the object is still there. */
async function ended(name: string, code = 0, where = namespace): Promise<FakePod> {
  const pod = await stage.kubelet.pod(where, name)
  await pod.delete()
  await pod.killing()
  // So long did the shell go on that had not taken its signal.
  if (code === 137) await delay(5100)
  await pod.exit({ code })
  return pod
}

/** Removes it. @returns the Complete record, and how long it took from the removal */
async function completes(pod: FakePod) {
  const removedAt = await pod.remove()
  const version = await stage.records.complete(pod.uid)
  return { record: version.record, ms: version.at - removedAt }
}

describe('a node without an agent', () => {
  it('is not waited for', async () => {
    const { ms, record } = await completes(await ended('alone'))
    expect(ms).toBeLessThan(AT_ONCE_MS)
    expect(missing(record)).toEqual([])
  })
})

describe('a node with an agent', () => {
  beforeAll(async () => {
    await Agent.pod(stage, agents)
    // That it is Ready has to have arrived at the controller: what comes after it has.
    await completes(await ended('after-the-agent'))
  })

  it.concurrent('whose agent has said all before the end: one write, at once, with what it measured, which stays its own', async () => {
    const pod = await ended('in-time')
    await agent.saw(pod)
    const { ms, record } = await completes(pod)
    expect(ms).toBeLessThan(AT_ONCE_MS)
    expect(stage.records.states(pod.uid)).toEqual([undefined, 'Complete'])
    expect(record.containers?.[0]?.stopSignal).toMatchObject({ name: 'SIGTERM', result: 'Delivered' })
    expect(record.timeline?.find(({ mark }) => mark === 'StopSignal')).toMatchObject({ confidence: 'Measured', source: 'Kernel' })
    expect(missing(record)).toEqual([])
    const owners = managers(record, 'f:kernel')
    expect(owners).toEqual(['gracewatch-agent'])
    expect(managers(record, 'f:state')).toEqual(['gracewatch-controller'])
    expect(applies(pod)).toBe(1)
  })

  it.concurrent('whose agent says it a little after the end is waited for', async () => {
    const pod = await ended('a-little-later')
    const removedAt = await pod.remove()
    await delay(450)
    await agent.saw(pod)
    const saidAt = performance.now()
    const { at, record } = await stage.records.complete(pod.uid)
    expect(at - removedAt).toBeLessThan(WAIT_MS + 300)
    expect(at - saidAt).toBeLessThan(AT_ONCE_MS)
    expect(record.containers?.[0]?.stopSignal).toMatchObject({ result: 'Delivered' })
    expect(applies(pod)).toBe(1)
  })

  it.concurrent('whose agent says it late: the record is Complete after 1 s, says so, and is written once more', async () => {
    const pod = await ended('late', 137)
    const { ms, record } = await completes(pod)
    expect(ms).toBeGreaterThan(AT_ONCE_MS)
    expect(ms).toBeLessThan(WAIT_MS + 500)
    expect(missing(record).join(' ')).toContain(`agent on ${stage.kubelet.node}`)
    await delay(2000)
    await agent.saw(pod, 'ignored')
    const later = await stage.records.until(
      pod.uid,
      (version) => version.record.state === 'Complete' && version.record.containers?.[0]?.stopSignal?.result === 'Ignored',
      'the late facts folded in',
      30_000,
    )
    expect(missing(later.record)).toEqual([])
    // It took longer than 2 s, so there is one for Terminating.
    expect(applies(pod)).toBe(3)
  })

  it.concurrent('whose agent sees containers run on after the object is gone: they are folded in when they have ended', async () => {
    const pod = await stage.kubelet.pod(namespace, 'by-force')
    await pod.delete(0)
    const first = await stage.records.complete(pod.uid)
    expect(first.record).toMatchObject({ outcome: 'Lost', cause: { type: 'ForceDeleted' } })
    const { containers: _, ...soFar } = agent.facts(pod)
    await agent.write(pod, { ...soFar, complete: false })
    await delay(23_000)
    await agent.saw(pod)
    const whole = await stage.records.until(
      pod.uid,
      ({ record }) => record.containers?.[0]?.stopSignal?.result === 'Delivered',
      'what was measured of the end',
      60_000,
    )
    expect(whole.record.state).toBe('Complete')
  })

  it.concurrent('whose agent says nothing at all: Complete after 1 s, and once', async () => {
    const pod = await ended('silent')
    const { ms, record } = await completes(pod)
    expect(ms).toBeGreaterThan(AT_ONCE_MS)
    expect(ms).toBeLessThan(WAIT_MS + 500)
    expect(missing(record).join(' ')).toContain(`agent on ${stage.kubelet.node}`)
    await delay(25_000)
    expect(applies(pod)).toBe(1)
  })

  it.concurrent('is waited for by no pod of which nothing ever ran', async () => {
    const pod = await stage.kubelet.pod(namespace, 'never-ran', { running: false })
    await pod.delete(0)
    const removedAt = performance.now()
    const { at, record } = await stage.records.complete(pod.uid)
    expect(record.outcome).toBe('NeverStarted')
    expect(at - removedAt).toBeLessThan(AT_ONCE_MS)
  })

  it.concurrent('is believed of its own pods alone', async () => {
    const pod = await ended('of-another-node', 137)
    await agent.write(pod, agent.facts(pod, 'ignored', { node: 'some-other-node' }))
    const { record } = await completes(pod)
    expect(record.containers?.[0]?.stopSignal?.result).toBe('Unknown')
    const line = await running.controller.says('an agent of another node has written of this pod: what it says is not believed')
    expect(line).toMatchObject({ uid: pod.uid, node: 'some-other-node', podNode: stage.kubelet.node })
  })

  it.concurrent('writes on while a long termination runs, which costs no write of the controller', async () => {
    const pod = await stage.kubelet.pod(namespace, 'long')
    await pod.delete()
    await pod.killing()
    for (let count = 0; count < 5; count++) {
      await agent.write(pod, agent.facts(pod, 'delivered', { complete: false }))
      await delay(1000)
    }
    await pod.exit({ code: 0 })
    await agent.saw(pod)
    await completes(pod)
    expect(applies(pod)).toBe(2)
  })
})

describe('what a version does not know', () => {
  it('of a field is left out; a value that it cannot read is told of, and the record does without', async () => {
    const [own, pods] = await Promise.all([stage.namespace('newer-own'), stage.namespace('newer')])
    const { group, records } = await stage.crd('newer', (schema) => {
      const container = schema.properties.kernel?.properties.containers?.items
      const by = container?.properties.kill?.properties.by
      if (container === undefined || by?.enum === undefined) throw new Error('the schema has another form')
      by.enum.push('Hypervisor')
      // A field that is not there yet has a schema like any other.
      container.properties.frozen = { ...by, enum: ['Yes'] }
    })
    const { controller } = await stage.lead({ own, namespaces: [pods], group, args: [`--agent-namespace=${agents}`] })
    const newer = new Agent(stage, group)
    const [unknown, unread] = await Promise.all([ended('unknown-field', 137, pods), ended('unread-value', 137, pods)])
    const facts = (pod: FakePod) => newer.facts(pod, 'ignored')
    const changed = (pod: FakePod, change: (container: Record<string, unknown>) => object) => {
      const kernel = facts(pod)
      // Of a version to come, so no type has it.
      return {
        ...kernel,
        containers: kernel.containers?.map((container) => ({ ...container, ...change(container) })),
      } as typeof kernel
    }
    await newer.write(
      unknown,
      changed(unknown, () => ({ frozen: 'Yes' })),
    )
    await newer.write(
      unread,
      changed(unread, ({ kill }) => ({ kill: { ...(kill as object), by: 'Hypervisor' } })),
    )
    await Promise.all([unknown.remove(), unread.remove()])
    const [read, without] = await Promise.all([records.complete(unknown.uid), records.complete(unread.uid)])
    expect(read.record.containers?.[0]?.stopSignal?.result).toBe('Ignored')
    expect(without.record.containers?.[0]?.stopSignal?.result).toBe('Unknown')
    const line = await controller.says('what an agent has written cannot be read and is left out')
    expect(line).toMatchObject({ field: 'kernel.containers.0.kill.by', record: expect.stringContaining('unread-value') })
  })
})

describe('a record that only an agent has begun', () => {
  it.concurrent('is deleted where --record=Abnormal does not keep it, and kept where it does', async () => {
    const [own, pods] = await Promise.all([stage.namespace('abnormal-own'), stage.namespace('abnormal')])
    const args = ['--record=Abnormal', `--agent-namespace=${agents}`]
    const { controller, front } = await stage.lead({ own, namespaces: [pods], args })
    const [good, bad] = await Promise.all([ended('good', 0, pods), ended('bad', 137, pods)])
    await Promise.all([agent.saw(good), agent.saw(bad, 'ignored')])
    const name = recordName(good)
    await Promise.all([good.remove(), bad.remove()])
    expect((await stage.records.complete(bad.uid)).record.kernel).toBeDefined()
    await stage.records.deleted(name, LEFT_OVER_MS)
    // An agent that was cut off from the API server writes late.
    await agent.saw(good)
    await stage.records.until(
      good.uid,
      () => stage.records.all.filter(isDelete(name)).length === 2,
      'deleted again',
      LEFT_OVER_MS,
    )
    expect(stage.records.states(good.uid)).toEqual([undefined, undefined])
    expect(front.applies).toHaveLength(1)
    expect(stage.records.all.filter(({ type, record }) => type === 'DELETED' && record.pod.uid === bad.uid)).toEqual([])
    expect(controller.said('record that an agent began not settled')).toEqual([])
  })

  it.concurrent('is deleted in a namespace that is left out', async () => {
    const [own, pods] = await Promise.all([stage.namespace('excluding-own'), stage.namespace('excluded')])
    const { group, records } = await stage.crd('excluded')
    await stage.lead({ own, namespaces: [], group, args: [`--exclude-namespaces=${pods}`, '--events=false'] })
    const pod = await ended('left-out', 0, pods)
    await new Agent(stage, group).saw(pod)
    const { record } = await records.until(pod.uid, () => true, 'begun')
    await pod.remove()
    await records.deleted(record.metadata.name, LEFT_OVER_MS)
    expect(records.states(pod.uid)).toEqual([undefined])
  })

  it.concurrent('while no controller ran is completed with what it saw; of what was recorded and deleted it is deleted', async () => {
    const [own, pods] = await Promise.all([stage.namespace('away-own'), stage.namespace('away')])
    const before = await stage.lead({ own, namespaces: [pods], args: [`--agent-namespace=${agents}`] })
    const [recorded, unseen] = await Promise.all([ended('recorded', 0, pods), stage.kubelet.pod(pods, 'unseen')])
    await recorded.remove()
    const { record } = await stage.records.complete(recorded.uid)
    await stage.bed.kubectl('delete', `podterminations.${stage.group}`, record.metadata.name, '-n', pods)
    await agent.saw(recorded)
    await delay(2000)
    await stage.highWaterMark(own, Date.now())
    await before.controller.kill()
    // No Event of it either: only the agent knows.
    await unseen.delete(0)
    await agent.saw(unseen)
    await stage.lead({ own, namespaces: [pods], args: [`--agent-namespace=${agents}`] })
    const done = await stage.records.complete(unseen.uid, LEFT_OVER_MS)
    expect(done.record.pod).toMatchObject({ name: 'unseen', node: stage.kubelet.node })
    expect(done.record.kernel?.complete).toBe(true)
    expect(missing(done.record).join(' ')).toContain('no controller was running')
    expect(managers(done.record, 'f:kernel')).toEqual(['gracewatch-agent'])
    await stage.records.until(
      recorded.uid,
      () => stage.records.all.filter(isDelete(record.metadata.name)).length === 2,
      'deleted again',
      LEFT_OVER_MS,
    )
    expect(stage.records.states(recorded.uid)).toEqual(['Complete', undefined])
  })
})

describe('two replicas', () => {
  it('both know what the agent said: the one that takes over folds it in', async () => {
    const [own, pods] = await Promise.all([stage.namespace('two-own'), stage.namespace('two')])
    const args = [`--agent-namespace=${agents}`]
    const leader = await stage.lead({ own, namespaces: [pods], args })
    const standby = await stage.start({ own, namespaces: [pods], args })
    await standby.controller.ready()
    const pod = await stage.kubelet.pod(pods, 'handed-over')
    await pod.delete()
    await pod.killing()
    await stage.records.inState(pod.uid, 'Terminating')
    await leader.controller.kill()
    await agent.saw(pod)
    await pod.exit({ code: 0 })
    await pod.remove()
    const { record } = await stage.records.complete(pod.uid)
    expect(record.containers?.[0]?.stopSignal).toMatchObject({ result: 'Delivered' })
    expect(missing(record)).toEqual([])
    expect(standby.front.applies).toHaveLength(1)
  })
})

describe('500 pods at once', () => {
  it('cost one write each beside the agent’s, and no wait', async () => {
    const COUNT = 500
    const [own, pods] = await Promise.all([stage.namespace('mass-own'), stage.namespace('mass')])
    const args = [`--agent-namespace=${agents}`, '--events=false', '--writes-per-second=1000']
    const { front } = await stage.lead({ own, namespaces: [pods], args })
    const made: FakePod[] = []
    await inParallel(COUNT, async (index) => {
      made[index] = await stage.kubelet.pod(pods, `pod-${index}`)
    })
    const removedAt = new Map<string, number>()
    await inParallel(COUNT, async (index) => {
      const pod = made[index]
      if (pod === undefined) throw new Error('all have been made')
      await pod.delete()
      await pod.exit({ code: 0 })
      await agent.saw(pod)
      removedAt.set(pod.uid, await pod.remove())
    })
    await Promise.all(made.map(({ uid }) => stage.records.complete(uid, 30_000)))
    const delays = made
      .map(
        ({ uid }) =>
          (stage.records.of(uid).find(({ record }) => record.state === 'Complete')?.at ?? Infinity) - (removedAt.get(uid) ?? 0),
      )
      .toSorted((a, b) => a - b)
    const at = (share: number) => Math.round(delays[Math.floor(COUNT * share)] ?? Infinity)
    console.log(
      `${COUNT} with an agent, from the removal to the Complete record: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (the wait: at most 1000 ms)`,
    )
    // A termination that took longer than 2 s on this machine has one for Terminating.
    const states = made.flatMap(({ uid }) => stage.records.states(uid))
    expect(states.filter((state) => state === 'Complete')).toHaveLength(COUNT)
    expect(front.applies).toHaveLength(COUNT + made.filter(({ uid }) => stage.records.states(uid).includes('Terminating')).length)
    for (const { uid } of made) {
      const complete = stage.records.of(uid).at(-1)?.record
      expect(complete).toMatchObject({ state: 'Complete', kernel: { complete: true } })
      expect(complete?.containers?.[0]?.stopSignal?.result).toBe('Delivered')
    }
  })
})

const isDelete =
  (name: string) =>
  ({ type, record }: { type: string; record: StoredPodTermination }) =>
    type === 'DELETED' && record.metadata.name === name

/** Who owns a field of the record. */
function managers(record: StoredPodTermination, field: string): string[] {
  const { managedFields } = record.metadata as { managedFields?: readonly { manager: string; fieldsV1: object }[] } // of every object
  return (managedFields ?? []).filter(({ fieldsV1 }) => field in fieldsV1).map(({ manager }) => manager)
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async () => {
    for (let index = next++; index < count; index = next++) await work(index)
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}
