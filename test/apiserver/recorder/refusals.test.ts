/** Where a record cannot be written as it should be: what is done instead, what is told, and how often it is tried. */
import { beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../waiting.ts'
import type { LogLine } from './controller.ts'
import type { FakePod } from './kubelet.ts'
import { type Running, type Stage, useStage } from './stage.ts'

const host = useStage('refusals')
let stage: Stage
let running: Running
let full: string
let deleted: string
let taken: string

beforeAll(async () => {
  stage = host.stage
  ;[full, deleted, taken] = (await Promise.all(['full', 'deleted', 'taken'].map((label) => stage.namespace(label)))) as [
    string,
    string,
    string,
  ] // as many as labels
  running = await stage.lead({ own: stage.bed.namespace, namespaces: [full, deleted, taken], args: ['--log-level=debug'] })
})

async function terminate(namespace: string, name: string, code = 0): Promise<FakePod> {
  const pod = await stage.kubelet.pod(namespace, name)
  await pod.delete()
  await pod.finish(code)
  return pod
}

const refusedIn = ({ controller }: Running, namespace: string): readonly LogLine[] =>
  controller.said('records refused').filter((line) => line.namespace === namespace)
const appliesTo = ({ front }: Running, namespace: string) =>
  front.applies.filter(({ path }) => path.includes(`/namespaces/${namespace}/`))

describe('a namespace that is being deleted', () => {
  it.concurrent("takes no records: they stand in the controller's own namespace, under the namespace's name", async () => {
    const pods = await Promise.all(['one', 'two'].map((name) => stage.kubelet.pod(deleted, name)))
    // Deletes the pods itself.
    await stage.bed.kubectl('delete', 'namespace', deleted, '--wait=false')
    const isDeleted = (pod: FakePod) => () => stage.kubelet.deleted(pod)
    await Promise.all(pods.map((pod) => eventually(isDeleted(pod), 20_000, `pod ${pod.name} deleted`)))
    // The kubelet's Events are refused as well.
    await Promise.all(pods.map((pod) => pod.exit({ code: 0 }).then(() => pod.remove())))
    const found = await Promise.all(pods.map(({ uid }) => stage.records.complete(uid)))
    for (const [index, { record }] of found.entries()) {
      const pod = pods[index]
      expect(record.metadata.namespace).toBe(stage.bed.namespace)
      expect(record.metadata.name).toBe(`${deleted}.${pod?.name}.${pod?.uid.slice(0, 8)}`)
      expect(record).toMatchObject({ outcome: 'Graceful', pod: { namespace: deleted, name: pod?.name } })
    }
    expect(refusedIn(running, deleted)).toEqual([])
  })
})

describe('a quota of no records', () => {
  it.concurrent('is told once, costs one request a termination, and other namespaces go on', async () => {
    await stage.bed.create({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'none', namespace: full },
      spec: { hard: { [`count/podterminations.${stage.group}`]: '0' } },
    })
    const probe = {
      apiVersion: `${stage.group}/v1alpha1`,
      kind: 'PodTermination',
      metadata: { name: 'probe', namespace: full },
      pod: { namespace: full, name: 'probe', uid: 'probe' },
    }
    const inForce = async () => {
      const options = { input: JSON.stringify(probe) }
      const { code } = await stage.bed.cluster.tryKubectl(['create', '--dry-run=server', '-f', '-'], options)
      return code !== 0 || undefined
    }
    await eventually(inForce, 20_000, 'the quota in force')
    const names = ['a', 'b', 'c', 'd', 'e']
    const [long] = await Promise.all([stage.kubelet.pod(full, 'long'), ...names.map((name) => terminate(full, name))])
    await long.delete()
    await running.controller.says('record refused', 10_000, (line) => line.uid === long.uid)
    // What changes of it is no reason to try again.
    await long.acknowledge()
    await long.killing()
    await long.exit({ code: 0 })
    const elsewhere = await terminate(taken, 'not-refused')
    await stage.records.complete(elsewhere.uid)
    await long.remove()
    await eventually(() => appliesTo(running, full).length >= 7 || undefined, 5000, 'the last try')
    const after = await terminate(taken, 'sentinel')
    await stage.records.complete(after.uid)
    expect(appliesTo(running, full).map(({ status }) => status)).toEqual(Array(7).fill(403))
    expect(refusedIn(running, full)).toMatchObject([{ level: 'warn', reason: 'QuotaExceeded' }])
    expect(String(refusedIn(running, full)[0]?.error)).toMatch(/exceeded quota|status unknown for quota/)
    expect(stage.records.all.filter(({ record }) => record.metadata.namespace === full)).toEqual([])
  })
})

describe("a name that another pod's record holds", () => {
  it.concurrent('is left alone: the record takes the full UID into its name', async () => {
    const pod = await stage.kubelet.pod(taken, 'same')
    const short = `same.${pod.uid.slice(0, 8)}`
    const apiVersion = `${stage.group}/v1alpha1`
    const other = { namespace: taken, name: 'same', uid: `${pod.uid.slice(0, 8)}-another` }
    await stage.bed.create({ apiVersion, kind: 'PodTermination', metadata: { name: short, namespace: taken }, pod: other })
    await pod.delete()
    await pod.finish()
    const { record } = await stage.records.complete(pod.uid)
    expect(record.metadata.name).toBe(`same.${pod.uid}`)
    expect(stage.records.states(pod.uid)).toEqual(['Complete'])
    expect(stage.records.of(other.uid)).toHaveLength(1)
  })
})

describe('a CRD', () => {
  it.concurrent('that is older than the controller gets the records without what it does not know, and that is told once', async () => {
    const { group, records } = await stage.crd('older', (schema) => {
      delete schema.properties.took
      delete schema.properties.endpoints
      delete schema.properties.containers?.items.properties.stopSignal
    })
    const [own, namespace] = await Promise.all([stage.namespace('older-own'), stage.namespace('older')])
    const older = await stage.lead({ own, namespaces: [namespace], group })
    const pods = await Promise.all(['a', 'b', 'c'].map((name) => terminate(namespace, name)))
    for (const { uid } of pods) {
      const { record } = await records.complete(uid)
      expect(record).toMatchObject({ outcome: 'Graceful', containers: [{ name: 'app', exit: { code: 0 } }] })
      expect(record).not.toHaveProperty('took')
      expect(record.containers?.[0]).not.toHaveProperty('stopSignal')
    }
    const told = older.controller.lines.all.filter(({ msg }) => msg.includes('is older than this controller'))
    expect(told.flatMap(({ fields }) => fields).toSorted()).toEqual(['containers.stopSignal', 'endpoints', 'took'])
    const last = await terminate(namespace, 'd')
    await records.complete(last.uid)
    expect(older.front.applies.filter(({ path }) => path.includes('/d.'))).toHaveLength(1)
    expect(older.controller.said('records refused')).toEqual([])
  })

  it.concurrent('that is missing when the controller starts is told, and what was held back is recorded when it is there', async () => {
    const [own, namespace] = await Promise.all([stage.namespace('missing-own'), stage.namespace('missing')])
    const group = stage.groupName('missing')
    const late = await stage.lead({ own, namespaces: [namespace], group })
    const before = await terminate(namespace, 'before')
    const line = await late.controller.says('records refused')
    expect(line).toMatchObject({ level: 'warn', reason: 'NotInstalled', namespace })
    await late.controller.says('catch-up not finished, trying again')
    const { records } = await stage.crd('missing')
    const after = await terminate(namespace, 'after')
    const [ofBefore, ofAfter] = await Promise.all([records.complete(before.uid), records.complete(after.uid)])
    expect(ofBefore.record).toMatchObject({ outcome: 'Graceful' })
    expect(ofAfter.record).toMatchObject({ outcome: 'Graceful' })
    expect(late.controller.said('records refused')).toHaveLength(1)
    expect(late.controller.said('catch-up not finished, trying again').filter(({ level }) => level === 'warn')).toHaveLength(1)
  })
})

describe('a record of another version', () => {
  it.concurrent('is left as it is, and that is told', async () => {
    const { group, records } = await stage.crd('newer', (schema) => {
      schema.properties.state?.enum?.push('Paused')
    })
    const [own, namespace] = await Promise.all([stage.namespace('newer-own'), stage.namespace('newer')])
    const pod = { namespace, name: 'other', uid: '000000-made-by-hand' }
    const metadata = { name: 'other.000000-m', namespace }
    await stage.bed.create({ apiVersion: `${group}/v1alpha1`, kind: 'PodTermination', metadata, pod, state: 'Paused' })
    const newer = await stage.lead({ own, namespaces: [namespace], group })
    const line = await newer.controller.says('record of another version left as it is')
    expect(line).toMatchObject({ level: 'warn', record: `${namespace}/${metadata.name}` })
    const after = await terminate(namespace, 'goes-on')
    await records.complete(after.uid)
    expect(records.states('000000-made-by-hand')).toEqual(['Paused'])
  })
})
