/** Two replicas: one writes, and the other goes on where it was stopped or killed. */
import { beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../waiting.ts'
import { type Running, type Stage, useStage } from './stage.ts'

const host = useStage('replicas')
let stage: Stage
let namespace: string
let leader: Running
let standby: Running

const start = () => stage.start({ own: stage.bed.namespace, namespaces: [namespace] })
const holder = async () => {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${stage.bed.namespace}/leases/gracewatch-controller`
  const lease = await stage.bed.http.request({ method: 'GET', path })
  return lease.json<{ spec: { holderIdentity?: string } }>().spec.holderIdentity
}

beforeAll(async () => {
  stage = host.stage
  namespace = await stage.namespace('pods')
  leader = await start()
  await leader.controller.leads()
  standby = await start()
  await standby.controller.ready()
})

describe('two replicas', () => {
  it('write one record, once: the standby follows and does not write', async () => {
    const pods = await Promise.all(['a', 'b', 'c'].map((name) => stage.kubelet.pod(namespace, name)))
    await Promise.all(pods.map((pod) => pod.delete().then(() => pod.finish())))
    await Promise.all(pods.map(({ uid }) => stage.records.complete(uid)))
    expect(leader.front.applies).toHaveLength(3)
    expect(standby.front.applies).toHaveLength(0)
    expect(standby.controller.said('leading')).toHaveLength(0)
    for (const { uid } of pods) expect(stage.records.states(uid)).toEqual(['Complete'])
  })

  it('hand over at once when the leader is told to stop, and the open termination is completed', async () => {
    const pod = await stage.kubelet.pod(namespace, 'handed-over')
    await pod.delete()
    await pod.killing()
    await stage.records.inState(pod.uid, 'Terminating')
    const stopping = leader.controller.stop()
    const at = performance.now()
    await standby.controller.leads()
    const ms = performance.now() - at
    console.log(`hand-over after SIGTERM: ${Math.round(ms)} ms`)
    expect(ms).toBeLessThan(2000)
    expect(await stopping).toMatchObject({ code: 0 })
    await pod.exit({ code: 0 })
    await pod.remove()
    const { record } = await stage.records.complete(pod.uid)
    expect(record).toMatchObject({ outcome: 'Graceful' })
    expect(record.findings ?? []).toEqual([])
    expect(stage.records.states(pod.uid)).toEqual(['Terminating', 'Complete'])
    leader = standby
    standby = await start()
    await standby.controller.ready()
  })

  it('are one when the leader is killed in mid-termination: the standby completes it from what it saw itself', async () => {
    const open = await stage.kubelet.pod(namespace, 'in-mid-termination')
    const quick = await stage.kubelet.pod(namespace, 'while-nobody-led')
    await open.delete()
    await open.killing()
    await stage.records.inState(open.uid, 'Terminating')
    const before = await holder()
    await leader.controller.kill()
    // Nobody leads for the time of the Lease; both ends fall into it.
    await open.exit({ code: 0 })
    await open.remove()
    await quick.delete()
    await quick.finish(1)
    expect(await holder()).toBe(before)
    await standby.controller.leads()
    const [ofOpen, ofQuick] = await Promise.all([stage.records.complete(open.uid), stage.records.complete(quick.uid)])
    expect(ofOpen.record).toMatchObject({ outcome: 'Graceful' })
    expect(ofOpen.record.findings ?? []).toEqual([])
    expect(ofQuick.record).toMatchObject({ outcome: 'Failed', containers: [{ name: 'app', exit: { code: 1 } }] })
    expect(ofQuick.record.findings ?? []).toEqual([])
    expect(stage.records.states(open.uid)).toEqual(['Terminating', 'Complete'])
    expect(stage.records.states(quick.uid)).toEqual(['Complete'])
    leader = standby
  })

  it('do not bring back what was recorded and then deleted when the leader changes', async () => {
    const pod = await stage.kubelet.pod(namespace, 'deleted-by-hand')
    standby = await start()
    await standby.controller.ready()
    await pod.delete()
    await pod.finish()
    const { record } = await stage.records.complete(pod.uid)
    await stage.highWaterMark(stage.bed.namespace, Date.now())
    await stage.bed.kubectl('delete', `podterminations.${stage.group}`, record.metadata.name, '-n', namespace)
    const last = await stage.kubelet.pod(namespace, 'sentinel')
    await last.delete()
    await leader.controller.kill()
    await last.finish()
    await stage.records.complete(last.uid)
    await eventually(() => (standby.controller.said('leading').length > 0 ? true : undefined), 1000, 'the standby leads')
    expect(stage.records.states(pod.uid)).toEqual(['Complete'])
  })
})
