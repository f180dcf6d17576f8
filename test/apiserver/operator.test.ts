/** The operator shell with a throw-away custom resource on a real API server. */
import type { ResourceEvent } from '@dot-i/k8s-operator'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { GracewatchOperator } from '../../src/kube/operator.ts'
import { useApiServer } from './connect.ts'

const bed = useApiServer('operator')
const group = `w${bed.suffix}.example.dev`
const FINALIZER = 'example.dev/clean-up'
const warnings: object[] = []
const log = { debug() {}, info() {}, error() {}, warn: (fields: object) => void warnings.push(fields) }
let operator: GracewatchOperator

beforeAll(async () => {
  const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  const version = { name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema: schema } }
  await bed.create({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `widgets.${group}` },
    spec: { group, scope: 'Namespaced', names: { plural: 'widgets', singular: 'widget', kind: 'Widget' }, versions: [version] },
  })
  await bed.kubectl('wait', '--for=condition=Established', `crd/widgets.${group}`, '--timeout=30s')
  operator = new GracewatchOperator({ http: bed.http, clock: bed.clock, log })
})
afterAll(async () => {
  await operator.stop()
  await bed.cluster.tryKubectl(['delete', 'crd', `widgets.${group}`, '--wait=false'])
})

const widget = (name: string) =>
  bed.create({ apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name, namespace: bed.namespace } })
const kubectl = (verb: string, name: string, ...more: string[]) =>
  bed.kubectl(verb, `widgets.${group}`, name, '-n', bed.namespace, ...more)

it('tells of objects, keeps one until its clean-up has been done, writes status, and shows conflicts', async () => {
  const log: string[] = []
  let attempts = 0
  let latest: ResourceEvent | undefined
  await widget('before')
  await operator.watchResource(group, 'v1', 'widgets', async (event) => {
    log.push(`${event.type} ${event.meta.name}`)
    latest = event
    if (event.type === 'DELETED') return
    await operator.handleResourceFinalizer(event, FINALIZER, async ({ meta }) => {
      attempts++
      if (attempts === 1) throw new Error('not yet')
      log.push(`cleaned up ${meta.name}`)
    })
  })
  const seen = (line: string) => expect.poll(() => log, { timeout: 20_000 }).toContain(line)
  await seen('MODIFIED before')
  expect(await kubectl('get', 'before', '-o', 'jsonpath={.metadata.finalizers}')).toBe(`["${FINALIZER}"]`)
  await widget('after')
  await seen('ADDED after')
  await seen('MODIFIED after')

  const event = latest
  if (event === undefined) throw new Error('an event came before')
  const written = await operator.setResourceStatus(event.meta, { phase: 'Good' })
  expect(written).toMatchObject({ name: 'after', kind: 'Widget', namespace: bed.namespace })
  expect(await kubectl('get', 'after', '-o', 'jsonpath={.status.phase}')).toBe('Good')
  expect(await operator.patchResourceStatus(written, { seen: 2 })).toMatchObject({ name: 'after' })
  expect(await kubectl('get', 'after', '-o', 'jsonpath={.status}')).toBe('{"phase":"Good","seen":2}')
  await expect(operator.setResourceStatus(event.meta, {})).rejects.toMatchObject({ code: 'Conflict' })
  await expect(operator.patchResourceStatus(event.meta, {})).rejects.toMatchObject({ code: 'Conflict' })

  await kubectl('delete', 'before', '--wait=false')
  await seen('cleaned up before')
  await seen('DELETED before')
  // The first attempt threw, which held the object until the second.
  expect(attempts).toBe(2)
  expect(warnings).toContainEqual(expect.objectContaining({ err: new Error('not yet') }))
  await kubectl('delete', 'after')
  await seen('DELETED after')
  expect([...operator.watches.values()].map(({ synced }) => synced)).toEqual([true])
})
