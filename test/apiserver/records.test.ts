/** Records and Events on a real API server: what is written, and what each refusal comes back as. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { createRecordClient, type PodTerminationObject, type RecordClient } from '../../src/kube/apply.ts'
import { KubeError } from '../../src/kube/errors.ts'
import { createEventWriter, eventName } from '../../src/kube/events.ts'
import type { KubeHttp } from '../../src/kube/http.ts'
import { createCrd, inGroup, useApiServer } from './connect.ts'

const bed = useApiServer('records')
const group = `r${bed.suffix}.gracewatch.dev`
const older = `o${bed.suffix}.gracewatch.dev`
let records: RecordClient
let http: KubeHttp

beforeAll(async () => {
  await createCrd(bed, group)
  http = inGroup(bed.http, group)
  records = createRecordClient({ http })
})
afterAll(async () => {
  await bed.cluster.tryKubectl(['delete', 'crd', `podterminations.${group}`, `podterminations.${older}`, '--wait=false'])
})

function record(name: string, more: Partial<PodTermination> = {}, namespace = bed.namespace): PodTerminationObject {
  return {
    metadata: { namespace, name, labels: { 'gracewatch.dev/outcome': 'Graceful' } },
    pod: { namespace, name: 'web', uid: `uid-of-${name}` },
    state: 'Terminating',
    ...more,
  }
}

describe('records', () => {
  it('creates, changes, and changes nothing when the same is written again', async () => {
    const first = await records.apply(record('a'))
    expect(first).toMatchObject({ result: 'Written', created: true })
    const second = await records.apply(record('a', { state: 'Complete', outcome: 'Graceful' }))
    expect(second).toMatchObject({ result: 'Written', created: false })
    expect(await records.apply(record('a', { state: 'Complete', outcome: 'Graceful' }))).toEqual(second)
    const stored = await records.get(bed.namespace, 'a')
    expect(stored).toMatchObject({ state: 'Complete', outcome: 'Graceful', pod: { uid: 'uid-of-a' } })
    const fields = await bed.kubectl(
      'get',
      `podterminations.${group}`,
      'a',
      '-n',
      bed.namespace,
      '-o',
      'yaml',
      '--show-managed-fields',
    )
    expect(fields).toMatch(/manager: gracewatch-controller\s+operation: Apply/)
  })

  it("leaves another field manager's fields alone", async () => {
    await records.apply(record('shared'))
    await http.request({
      method: 'PATCH',
      path: `/apis/gracewatch.dev/v1alpha1/namespaces/${bed.namespace}/podterminations/shared`,
      query: { fieldManager: 'agent', force: true },
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion: 'gracewatch.dev/v1alpha1',
        kind: 'PodTermination',
        metadata: { annotations: { agent: 'was here' }, name: 'shared' },
      },
    })
    await records.apply(record('shared', { state: 'Complete' }))
    const stored = await records.get(bed.namespace, 'shared')
    expect(stored).toMatchObject({ state: 'Complete', metadata: { annotations: { agent: 'was here' } } })
  })

  it('lists in pages, by namespace and selector, each once', async () => {
    const names = Array.from({ length: 105 }, (_, index) => `page-${String(index).padStart(3, '0')}`)
    for (let at = 0; at < names.length; at += 15)
      await Promise.all(names.slice(at, at + 15).map((name) => records.apply(record(name, { outcome: 'Lost' }))))
    const found: string[] = []
    for await (const { metadata, outcome } of records.list({ namespace: bed.namespace })) {
      if (outcome === 'Lost') found.push(metadata.name)
    }
    expect(found).toEqual(names)
    const selected: string[] = []
    for await (const { metadata } of records.list({ fieldSelector: 'pod.uid=uid-of-page-007' })) selected.push(metadata.name)
    expect(selected).toEqual(['page-007'])
  })

  it('deletes one object and no other of its name', async () => {
    await records.apply(record('gone'))
    const { uid } = (await records.get(bed.namespace, 'gone'))?.metadata ?? { uid: '' }
    expect(await records.delete({ namespace: bed.namespace, name: 'gone', uid: 'another' })).toBe(false)
    expect(await records.delete({ namespace: bed.namespace, name: 'gone', uid })).toBe(true)
    expect(await records.delete({ namespace: bed.namespace, name: 'gone', uid })).toBe(false)
    expect(await records.get(bed.namespace, 'gone')).toBeUndefined()
  })

  it('writes nothing where the guard refuses, and stops a write whose guard is withdrawn', async () => {
    const refusing = createRecordClient({
      http,
      guard: () => {
        throw new KubeError('Aborted', 'not the leader')
      },
    })
    await expect(refusing.apply(record('never'))).rejects.toMatchObject({ code: 'Aborted' })
    const term = new AbortController()
    const guarded = createRecordClient({ http, guard: () => term.signal })
    const write = guarded.apply(record('cut'))
    term.abort()
    await expect(write).rejects.toMatchObject({ code: 'Aborted' })
    expect(await records.get(bed.namespace, 'never')).toBeUndefined()
  })
})

describe('refusals', () => {
  const refused = (reason: string, retry: string) => ({ result: 'Refused', reason, retry })

  it('a value that the schema forbids, a list key that repeats, a rule of the CRD: Invalid', async () => {
    const odd = record('odd', { outcome: 'Odd' as 'Lost' }) // what a newer program may write
    expect(await records.apply(odd)).toMatchObject(refused('Invalid', 'Never'))
    const containers = [
      { name: 'app', role: 'Main' as const },
      { name: 'app', role: 'Main' as const },
    ]
    expect(await records.apply(record('twice', { containers }))).toMatchObject(refused('Invalid', 'Never'))
    await records.apply(record('done', { state: 'Complete' }))
    expect(await records.apply(record('done', { state: 'Terminating' }))).toMatchObject(refused('Invalid', 'Never'))
  })

  it('no such namespace, no such kind', async () => {
    expect(await records.apply(record('a', {}, `no-${bed.namespace}`))).toMatchObject(refused('NamespaceNotFound', 'Never'))
    const nowhere = createRecordClient({ http: inGroup(bed.http, `n${bed.suffix}.gracewatch.dev`) })
    expect(await nowhere.apply(record('a'))).toMatchObject(refused('NotInstalled', 'Later'))
  })

  it('a quota, a namespace that is being deleted', async () => {
    const namespace = `${bed.namespace}-full`
    await bed.kubectl('create', 'namespace', namespace)
    const object = { apiVersion: 'v1', kind: 'Pod', namespace, name: 'p', uid: 'u' }
    const event = { name: 'e', object, type: 'Warning', reason: 'R', message: 'm', count: 1, firstAt: 0, lastAt: 0 } as const
    const events = createEventWriter({ http, instance: 'test' })
    await bed.kubectl('create', 'quota', 'none', `--hard=count/podterminations.${group}=0`, '-n', namespace)
    // The quota controller has not counted this kind, which is new, when the first record comes. The API server takes a moment to
    // see the quota.
    let count = 0
    await expect
      .poll(() => records.apply(record(`r${count++}`, {}, namespace)), { timeout: 10_000 })
      .toMatchObject(refused('QuotaExceeded', 'Later'))
    await bed.kubectl('create', 'configmap', 'holds', '-n', namespace)
    const finalizers = (list: string) =>
      bed.kubectl('patch', 'configmap', 'holds', '-n', namespace, '-p', `{"metadata":{"finalizers":${list}}}`)
    await finalizers('["example.dev/hold"]')
    await bed.kubectl('delete', 'namespace', namespace, '--wait=false')
    try {
      expect(await records.apply(record('late', {}, namespace))).toMatchObject(refused('NamespaceTerminating', 'Never'))
      expect(await events.write(event)).toMatchObject(refused('NamespaceTerminating', 'Never'))
    } finally {
      await finalizers('[]')
    }
  })

  it('an older CRD: what it does not know is left out from then on, and said once', async () => {
    await createCrd(bed, older, (schema) => {
      delete schema.properties.took
      delete schema.properties.containers?.items.properties.kill
    })
    let requests = 0
    const told: (readonly string[])[] = []
    let now = 0
    const counting: KubeHttp = {
      ...inGroup(bed.http, older),
      request: (request) => {
        requests++
        return inGroup(bed.http, older).request(request)
      },
    }
    const client = createRecordClient({
      http: counting,
      onUnknownFields: (fields) => void told.push(fields),
      monotonic: () => now,
    })
    const full = (name: string) =>
      record(name, { took: '17.0s', containers: [{ name: 'app', role: 'Main', kill: { by: 'Runtime' } }] })
    expect(await client.apply(full('a'))).toMatchObject({ result: 'Written' })
    expect(told.flat().toSorted()).toEqual(['containers.kill', 'took'])
    requests = 0
    expect(await client.apply(full('b'))).toMatchObject({ result: 'Written' })
    expect(requests).toBe(1)
    expect(await client.get(bed.namespace, 'a')).toMatchObject({
      containers: [{ name: 'app', role: 'Main' }],
      state: 'Terminating',
    })
    now += 600_001
    expect(await client.apply(full('c'))).toMatchObject({ result: 'Written' })
    expect(requests).toBeGreaterThan(2)
    expect(told.flat()).toHaveLength(2)
  })
})

describe('Events', () => {
  it('are found by kubectl describe, and a second write of the same name counts up', async () => {
    const writer = createEventWriter({ http: bed.http, instance: 'replica-1' })
    await bed.kubectl('create', 'configmap', 'subject', '-n', bed.namespace)
    const uid = await bed.kubectl('get', 'configmap', 'subject', '-n', bed.namespace, '-o', 'jsonpath={.metadata.uid}')
    const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: bed.namespace, name: 'subject', uid }
    const at = Date.parse('2026-03-01T12:00:00Z') * 1000
    const event = { name: eventName('subject', 'PreStopOverran'), object, type: 'Warning', reason: 'PreStopOverran' } as const
    await writer.write({ ...event, message: 'once', count: 1, firstAt: at, lastAt: at })
    await writer.write({ ...event, message: 'x'.repeat(2000), count: 12, firstAt: at, lastAt: at + 90_000_000 })
    const list = await bed.kubectl('get', 'events', '-n', bed.namespace, '-o', 'json')
    expect(JSON.parse(list).items).toMatchObject([
      {
        involvedObject: { uid },
        reason: 'PreStopOverran',
        count: 12,
        firstTimestamp: '2026-03-01T12:00:00Z',
        lastTimestamp: '2026-03-01T12:01:30Z',
        message: `${'x'.repeat(1023)}…`,
        reportingComponent: 'gracewatch',
        reportingInstance: 'replica-1',
      },
    ])
    expect(await bed.kubectl('describe', 'configmap', 'subject', '-n', bed.namespace)).toContain('PreStopOverran')
  })
})
