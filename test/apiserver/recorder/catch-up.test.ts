/** No controller at all for a while: what is recorded afterwards of the time in which nobody watched, and what is not. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { FakePod } from './kubelet.ts'
import { type Running, type Stage, useStage } from './stage.ts'

const host = useStage('catch-up')
let stage: Stage
let namespace: string
let running: Running
/** What happened before the first installation. */
let past: { ended: FakePod; failed: FakePod; terminating: FakePod }

const pod = (name: string, options = {}) => stage.kubelet.pod(namespace, name, options)
const lead = () => stage.lead({ own: stage.bed.namespace, namespaces: [namespace] })
const missing = (record: { findings?: readonly { type: string; message: string }[] | undefined }) =>
  (record.findings ?? []).filter(({ type }) => type === 'EvidenceMissing').map(({ message }) => message)

/** A termination from its beginning to its end, so that the record of it shows that all before it is done. */
async function terminated(name: string): Promise<FakePod> {
  const subject = await pod(name)
  await subject.delete()
  await subject.finish()
  return subject
}

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  const [ended, failed, terminating] = await Promise.all([
    terminated('ended-before'),
    pod('failed-before', { restartPolicy: 'Never' }),
    pod('terminating-before'),
  ])
  await failed.exit({ code: 1, phase: 'Failed' })
  await terminating.delete()
  await terminating.killing()
  past = { ended, failed, terminating }
  running = await lead()
})

describe('the first installation', () => {
  it('records nothing of the past, but the terminations that are under way', async () => {
    await past.terminating.exit({ code: 0 })
    await past.terminating.remove()
    const { record } = await stage.records.complete(past.terminating.uid)
    expect(record).toMatchObject({ outcome: 'Graceful', cause: { type: 'Deleted' } })
    expect(missing(record)).toEqual([expect.stringContaining('had begun when the recorder first saw it')])
    await stage.highWaterMark(stage.bed.namespace, Date.now())
    expect(new Set(stage.records.all.map(({ record: { pod } }) => pod.uid))).toEqual(new Set([past.terminating.uid]))
  })
})

describe('after a time in which no controller ran', () => {
  let whole: FakePod
  let open: FakePod
  let failed: FakePod
  let listed: FakePod
  let recorded: FakePod
  let taken: number

  beforeAll(async () => {
    open = await pod('open')
    failed = await pod('failed-while-away', { restartPolicy: 'Never' })
    whole = await pod('wholly-away')
    listed = await pod('still-there', { grace: 120 })
    recorded = await terminated('recorded-and-deleted')
    await open.delete()
    await open.killing()
    await stage.records.inState(open.uid, 'Terminating')
    const { record } = await stage.records.complete(recorded.uid)
    await stage.highWaterMark(stage.bed.namespace, Date.now())
    await stage.bed.kubectl('delete', `podterminations.${stage.group}`, record.metadata.name, '-n', namespace)
    await running.controller.kill()

    await open.exit({ code: 0 })
    await open.remove()
    await whole.delete()
    await whole.finish()
    await failed.exit({ code: 3, phase: 'Failed' })
    await listed.delete()
    await listed.killing()
    running = await lead()
    const line = await running.controller.says('terminations taken up that nobody had watched')
    taken = Number(line.count)
    for (const msg of ['records refused: one that was begun is not completed', 'record of another version left as it is'])
      expect(running.controller.said(msg)).toEqual([])
  })

  it('a whole termination is recorded from its Killing event, and the record says what is missing', async () => {
    const { record } = await stage.records.complete(whole.uid)
    expect(record).toMatchObject({ outcome: 'Lost', pod: { name: 'wholly-away', uid: whole.uid, node: stage.kubelet.node } })
    expect(missing(record)).toEqual([
      expect.stringMatching(/^nobody watched Pods from .* to .*: no controller was running\.$/),
      expect.stringContaining("only the kubelet's Events of the pod were left"),
    ])
    // Its end is somewhere in the time without a controller, so how long it took is not known.
    expect(record).not.toHaveProperty('tookMilliseconds')
    expect(stage.records.states(whole.uid)).toEqual(['Complete'])
  })

  it('a record that was open is completed, with what it said kept', async () => {
    const { record } = await stage.records.complete(open.uid)
    expect(record).toMatchObject({ outcome: 'Lost', state: 'Complete', pod: { workload: { kind: 'Pod' } } })
    expect(record.timeline?.map(({ mark }) => mark)).toEqual(expect.arrayContaining(['Terminating', 'Removed']))
    expect(missing(record)).toEqual([expect.stringContaining('gone when the recorder looked again')])
    expect(stage.records.states(open.uid)).toEqual(['Terminating', 'Complete'])
  })

  it('a pod that failed by itself is recorded', async () => {
    const { record } = await stage.records.complete(failed.uid)
    expect(record).toMatchObject({ outcome: 'Failed', containers: [{ exit: { code: 3 } }] })
    expect(missing(record)).toEqual([expect.stringContaining('no controller was running')])
  })

  it('a termination that goes on is followed from where it is', async () => {
    await stage.records.inState(listed.uid, 'Terminating')
    await listed.exit({ code: 0 })
    await listed.remove()
    const { record } = await stage.records.complete(listed.uid)
    expect(record).toMatchObject({ outcome: 'Graceful', pod: { graceSeconds: 120 } })
    expect(stage.records.states(listed.uid)).toEqual(['Terminating', 'Complete'])
  })

  it('what was recorded and then deleted does not come back, nor what was there before the first installation', async () => {
    const sentinel = await terminated('sentinel')
    await stage.records.complete(sentinel.uid)
    expect(taken).toBe(3)
    expect(stage.records.states(recorded.uid)).toEqual(['Complete'])
    expect(stage.records.of(past.ended.uid)).toEqual([])
    expect(stage.records.of(past.failed.uid)).toEqual([])
  })
})
