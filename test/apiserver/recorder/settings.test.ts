/** The settings that choose what is recorded. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { FakePod, PodOptions } from './kubelet.ts'
import { type Stage, useStage } from './stage.ts'

const host = useStage('settings')
let stage: Stage

beforeAll(() => {
  stage = host.stage
})

async function terminate(namespace: string, name: string, code: number, options: PodOptions = {}): Promise<FakePod> {
  const pod = await stage.kubelet.pod(namespace, name, options)
  await pod.delete()
  await pod.finish(code)
  return pod
}

/** Ends by itself: nobody deletes it. */
async function ends(namespace: string, name: string, code: number): Promise<FakePod> {
  const pod = await stage.kubelet.pod(namespace, name, { restartPolicy: 'Never' })
  await pod.exit({ code, phase: code === 0 ? 'Succeeded' : 'Failed' })
  return pod
}

describe('of the pods that end', () => {
  it.concurrent('--record=Abnormal records what failed and what hangs, each state once, and nothing of what was graceful', async () => {
    const [own, namespace] = await Promise.all([stage.namespace('abnormal-own'), stage.namespace('abnormal')])
    const { front } = await stage.lead({ own, namespaces: [namespace], args: ['--record=Abnormal'] })
    const [good, signalled, bad, long, stuck] = await Promise.all([
      terminate(namespace, 'good', 0),
      terminate(namespace, 'signalled', 143),
      terminate(namespace, 'bad', 1),
      stage.kubelet.pod(namespace, 'long'),
      stage.kubelet.pod(namespace, 'stuck', { grace: 1 }),
    ])
    await Promise.all([long.delete(), stuck.delete()])
    await stage.records.complete(bad.uid)
    await stage.records.inState(stuck.uid, 'Overdue')
    await Promise.all([long.finish(), stuck.finish()])
    await stage.records.complete(stuck.uid)
    const sentinel = await terminate(namespace, 'sentinel', 1)
    await stage.records.complete(sentinel.uid)
    expect(stage.records.states(bad.uid)).toEqual(['Complete'])
    expect(stage.records.states(stuck.uid)).toEqual(['Overdue', 'Complete'])
    for (const { uid } of [good, signalled, long]) expect(stage.records.states(uid)).toEqual([])
    expect(front.applies).toHaveLength(4)
  })

  it.concurrent('--record=Abnormal completes a record that was begun when the setting was another one', async () => {
    const [own, namespace] = await Promise.all([stage.namespace('changed-own'), stage.namespace('changed')])
    const before = await stage.lead({ own, namespaces: [namespace] })
    const pod = await stage.kubelet.pod(namespace, 'begun')
    await pod.delete()
    await pod.killing()
    await stage.records.inState(pod.uid, 'Terminating')
    await before.controller.stop()
    await stage.lead({ own, namespaces: [namespace], args: ['--record=Abnormal'] })
    await pod.exit({ code: 0 })
    await pod.remove()
    const { record } = await stage.records.complete(pod.uid)
    expect(record).toMatchObject({ outcome: 'Graceful' })
    expect(stage.records.states(pod.uid)).toEqual(['Terminating', 'Complete'])
  })

  it.concurrent('plain completions are recorded with --record-completions, and only with it', async () => {
    const [own, asking, otherOwn, plain] = await Promise.all(
      ['asking-own', 'asking', 'plain-own', 'plain'].map((label) => stage.namespace(label)),
    )
    if (own === undefined || asking === undefined || otherOwn === undefined || plain === undefined)
      throw new Error('as many as labels')
    await Promise.all([
      stage.lead({ own, namespaces: [asking], args: ['--record-completions'] }),
      stage.lead({ own: otherOwn, namespaces: [plain] }),
    ])
    const [asked, failed, unasked, failedToo] = await Promise.all([
      ends(asking, 'asked', 0),
      ends(asking, 'failed', 2),
      ends(plain, 'unasked', 0),
      ends(plain, 'failed', 2),
    ])
    const { record } = await stage.records.complete(asked.uid)
    expect(record).toMatchObject({ outcome: 'Graceful', cause: { type: 'Completed' } })
    expect((await stage.records.complete(failed.uid)).record).toMatchObject({ outcome: 'Failed' })
    expect((await stage.records.complete(failedToo.uid)).record).toMatchObject({ outcome: 'Failed' })
    // Deleting a pod that had ended is no second termination.
    await Promise.all([asked.delete(), failed.delete(), unasked.delete(), failedToo.delete()])
    const sentinels = await Promise.all([terminate(asking, 'sentinel', 0), terminate(plain, 'sentinel', 0)])
    await Promise.all(sentinels.map(({ uid }) => stage.records.complete(uid)))
    for (const { uid } of [asked, failed, failedToo]) expect(stage.records.states(uid)).toEqual(['Complete'])
    expect(stage.records.states(unasked.uid)).toEqual([])
  })

  it.concurrent('--namespaces names those that are recorded, --exclude-namespaces those that are not', async () => {
    const [own, named, other] = await Promise.all(['chosen-own', 'named', 'other'].map((label) => stage.namespace(label)))
    const excludingOwn = await stage.namespace('excluding-own')
    if (own === undefined || named === undefined || other === undefined) throw new Error('as many as labels')
    const { group, records } = await stage.crd('excluding')
    await Promise.all([
      stage.lead({ own, namespaces: [named] }),
      // Of a shared cluster it also sees the pods of others; it tells them nothing.
      stage.lead({ own: excludingOwn, namespaces: [], group, args: [`--exclude-namespaces=${named}`, '--events=false'] }),
    ])
    const [inNamed, inOther] = await Promise.all([terminate(named, 'one', 1), terminate(other, 'two', 1)])
    await Promise.all([stage.records.complete(inNamed.uid), records.complete(inOther.uid)])
    const [later, laterOther] = await Promise.all([terminate(named, 'three', 1), terminate(other, 'four', 1)])
    await Promise.all([stage.records.complete(later.uid), records.complete(laterOther.uid)])
    expect(stage.records.of(inOther.uid)).toEqual([])
    expect(records.of(inNamed.uid)).toEqual([])
  })
})
