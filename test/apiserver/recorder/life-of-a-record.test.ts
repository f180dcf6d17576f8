/**
 * How often a record is written, when, and how long it is kept. Versions are counted by a watch of the records, requests in front of
 * the API server, so that a write that changes nothing counts as well.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { delay } from '../waiting.ts'
import type { FakePod } from './kubelet.ts'
import { type Running, useStage } from './stage.ts'

const host = useStage('life')
const delays: number[] = []
let namespace: string
let running: Running

beforeAll(async () => {
  const { stage } = host
  namespace = await stage.namespace('pods')
  running = await stage.lead({ own: stage.bed.namespace, namespaces: [namespace] })
})

const pod = (name: string, options = {}) => host.stage.kubelet.pod(namespace, name, options)

/** Removes the pod and waits for its Complete record, which has to come within a second. */
async function completes(subject: FakePod, end: () => Promise<number>) {
  const removedAt = await end()
  const version = await host.stage.records.complete(subject.uid)
  const ms = version.at - removedAt
  delays.push(ms)
  expect(ms, 'from the removal to the Complete record').toBeLessThan(1000)
  return version.record
}

describe('a record', () => {
  it.concurrent('is written once for a termination that ends within 2 s', async () => {
    const subject = await pod('quick')
    await subject.delete()
    await subject.killing()
    await delay(700)
    await subject.exit({ code: 0 })
    const record = await completes(subject, () => subject.remove())
    expect(record).toMatchObject({ outcome: 'Graceful', cause: { type: 'Deleted' }, pod: { node: host.stage.kubelet.node } })
    expect(host.stage.records.states(subject.uid)).toEqual(['Complete'])
  })

  it.concurrent('is written twice for one that takes longer: while it is Terminating, 2 s after its start, and when it is over', async () => {
    const subject = await pod('long')
    const deletedAt = performance.now()
    await subject.delete()
    await subject.killing()
    const first = await host.stage.records.until(subject.uid, () => true, 'first')
    expect(first.record.state).toBe('Terminating')
    expect(first.at - deletedAt).toBeGreaterThan(1900)
    expect(first.at - deletedAt).toBeLessThan(3000)
    expect(first.record).not.toHaveProperty('outcome')
    await delay(1000)
    await subject.exit({ code: 143 })
    const record = await completes(subject, () => subject.remove())
    expect(record).toMatchObject({ outcome: 'Signalled' })
    expect(host.stage.records.states(subject.uid)).toEqual(['Terminating', 'Complete'])
  })

  it.concurrent('is written once more when it is overdue, with the reason', async () => {
    const subject = await pod('overdue', { grace: 1 })
    await subject.delete()
    const { record } = await host.stage.records.inState(subject.uid, 'Overdue')
    const stuck = record.findings?.find(({ type }) => type === 'StuckTerminating')
    expect(stuck).toMatchObject({ severity: 'Warning' })
    expect(stuck?.message).toContain(`the kubelet on ${host.stage.kubelet.node} has not taken the deletion in`)
    expect(record.summary).toContain('StuckTerminating')
    await completes(subject, () => subject.finish(0))
    expect(host.stage.records.states(subject.uid)).toEqual(['Terminating', 'Overdue', 'Complete'])
  })

  it.concurrent('is written once more when it is overdue by a finalizer, which the record names', async () => {
    const subject = await pod('held', { grace: 1, finalizers: ['example.dev/hold'] })
    await subject.delete()
    await subject.acknowledge()
    await subject.killing()
    await subject.exit({ code: 0, phase: 'Succeeded' })
    await subject.remove()
    const { record } = await host.stage.records.inState(subject.uid, 'Overdue')
    expect(record.findings?.find(({ type }) => type === 'StuckTerminating')?.message).toContain('finalizer example.dev/hold')
    expect(record).not.toHaveProperty('finishedAt')
    await completes(subject, async () => {
      await subject.release()
      return performance.now()
    })
    expect(host.stage.records.states(subject.uid)).toEqual(['Terminating', 'Overdue', 'Complete'])
  })

  it.concurrent('is written once more for what comes after it was complete: the kubelet stops what was deleted by force', async () => {
    const subject = await pod('forced', { preStop: { exec: { command: ['sleep', '1'] } } })
    const record = await completes(subject, async () => {
      await subject.delete(0)
      return performance.now()
    })
    expect(record).toMatchObject({ cause: { type: 'ForceDeleted' }, outcome: 'Lost' })
    await delay(300)
    await subject.killing()
    const later = await host.stage.records.nth(subject.uid, 2, 30_000)
    expect(record.timeline?.map(({ mark }) => mark)).not.toContain('PreStopStarted')
    expect(later.record.timeline?.map(({ mark }) => mark)).toContain('PreStopStarted')
    expect(host.stage.records.states(subject.uid)).toEqual(['Complete', 'Complete'])
  })

  it.concurrent('is deleted when it is too old or one too many, graceful ones first, no faster than the setting says, never an open one', async () => {
    const { stage } = host
    const [own, old] = await Promise.all([stage.namespace('old-own'), stage.namespace('old')])
    const { group, records } = await stage.crd('old')
    const args = ['--retention-graceful=1s', '--retention-abnormal=1h', '--records-per-namespace=5', '--deletes-per-second=4']
    const { controller, front } = await stage.lead({ own, namespaces: [old], group, args })
    const terminate = async (name: string, code: number) => {
      const subject = await stage.kubelet.pod(old, name)
      await subject.delete()
      await subject.finish(code)
      return records.complete(subject.uid)
    }
    const open = await Promise.all(['open-1', 'open-2'].map((name) => stage.kubelet.pod(old, name, { grace: 300 })))
    await Promise.all(open.map((subject) => subject.delete()))
    // Failed by 1 in the order of their names; creation times have whole seconds.
    const failed = Array.from({ length: 7 }, (_, index) => `failed-${index}`)
    await Promise.all(['good-1', 'good-2', 'good-3'].map((name) => terminate(name, 0)))
    await Promise.all(failed.slice(0, 4).map((name) => terminate(name, 1)))
    await delay(1000)
    await Promise.all(failed.slice(4).map((name) => terminate(name, 1)))
    await Promise.all(open.map(({ uid }) => records.inState(uid, 'Terminating')))
    const line = await controller.says('old records deleted', 40_000)
    expect(line).toMatchObject({ count: 7, due: 7 })
    const deleted = records.all.filter(({ type }) => type === 'DELETED').map(({ record }) => record.pod.name)
    expect(deleted.slice(0, 3).toSorted()).toEqual(['good-1', 'good-2', 'good-3'])
    expect(deleted.slice(3).toSorted()).toEqual(['failed-0', 'failed-1', 'failed-2', 'failed-3'])
    const times = front.calls('DELETE', /podterminations/).map(({ at }) => at)
    for (const [index, at] of times.entries()) expect(at - (times[index - 4] ?? -1000)).toBeGreaterThan(990)
  })

  it('is not written once more: each request was one of these writes', () => {
    console.log(`from the removal to the Complete record: ${delays.map((ms) => `${Math.round(ms)} ms`).join(', ')}`)
    const requests = running.front.applies.map(({ path }) => path.split('/').at(-1)?.split('.')[0])
    expect(requests.toSorted()).toEqual([
      'forced',
      'forced',
      'held',
      'held',
      'held',
      'long',
      'long',
      'overdue',
      'overdue',
      'overdue',
      'quick',
    ])
  })
})
