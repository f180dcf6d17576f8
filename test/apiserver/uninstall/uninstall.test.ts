/**
 * What runs before Gracewatch is uninstalled, and after its gates were switched off, on a real API server and in a group of its own: nothing is
 * left that waits for a controller.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FINALIZER } from '../../../src/kube/gate-objects.ts'
import { CONTROLLER, uninstall } from '../../../src/uninstall/uninstall.ts'
import { createCrd, inGroup, useApiServer } from '../connect.ts'
import { eventually } from '../waiting.ts'

const bed = useApiServer('uninstall')
const group = `${bed.suffix}.uninstall.example.com`
const OTHERS = 'example.com/still-needed'
const WITHOUT_FINALIZERS = ['--type=merge', '-p', '{"metadata":{"finalizers":null}}']
const lines: { readonly message: string; readonly fields: object }[] = []
const note = (fields: object, message: string) => void lines.push({ message, fields })
const log = { debug: note, info: note, warn: note, error: note }

const run = (settings: { deleteGates?: boolean; releaseWithinMs?: number; keepController?: boolean } = {}, among = group) => {
  lines.length = 0
  const all = { namespace: bed.namespace, deleteGates: false, releaseWithinMs: 1_000, keepController: false, ...settings }
  return uninstall({ http: inGroup(bed.http, among), log, settings: all })
}

const gate = (name: string, finalizers: readonly string[]) =>
  bed.create({
    apiVersion: `${group}/v1alpha1`,
    kind: 'PodReadinessGate',
    metadata: { name, namespace: bed.namespace, finalizers },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      conditionType: 'example.com/registered',
      checks: [{ annotation: { key: 'example.com/ok', value: 'yes' } }],
    },
  })

/** Name -> finalizers, of all gates. */
async function gates(): Promise<Record<string, readonly string[]>> {
  const path = `/apis/${group}/v1alpha1/podreadinessgates`
  const { items } = (await bed.http.request({ method: 'GET', path })).json<{
    items: { metadata: { name: string; finalizers?: string[] } }[]
  }>()
  return Object.fromEntries(items.map(({ metadata }) => [metadata.name, metadata.finalizers ?? []]))
}

/** Names of what there is of a kind in the namespace. */
const names = async (kind: string) => (await bed.kubectl('get', kind, '-n', bed.namespace, '-o', 'name')).trim()

beforeAll(async () => {
  await createCrd(bed, group, undefined, 'podreadinessgates')
  const labels = { 'app.kubernetes.io/name': 'gracewatch', 'app.kubernetes.io/component': 'controller' }
  const container = { name: 'controller', image: 'registry.invalid/none:1' }
  await bed.create({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: CONTROLLER, namespace: bed.namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } },
    },
  })
  await bed.create({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: CONTROLLER, namespace: bed.namespace },
    spec: { holderIdentity: 'somebody' },
  })
  await eventually(async () => (await names('pods')).split('\n').length === 2 || undefined, 60_000, 'two pods')
})

afterAll(async () => {
  await bed.cluster.tryKubectl(['delete', 'crd', `podreadinessgates.${group}`, '--wait=false'])
})

describe('what runs before Gracewatch is uninstalled', () => {
  it('leaves the controller and its Lease where gates alone are given up', async () => {
    await gate('given-up', [OTHERS, FINALIZER])
    await run({ keepController: true })
    expect(await gates()).toEqual({ 'given-up': [OTHERS] })
    expect(lines).toEqual([{ message: 'took the finalizer off gates', fields: { gates: 1 } }])
    expect((await names('pods')).split('\n')).toHaveLength(2)
    expect(await names('leases.coordination.k8s.io')).not.toBe('')
    expect(await bed.kubectl('get', 'deployment', CONTROLLER, '-n', bed.namespace, '-o', 'jsonpath={.spec.replicas}')).toBe('2')
    await run({ keepController: true })
    expect(lines).toEqual([])
    await bed.kubectl('patch', `podreadinessgates.${group}`, 'given-up', '-n', bed.namespace, ...WITHOUT_FINALIZERS)
    await bed.kubectl('delete', `podreadinessgates.${group}`, 'given-up', '-n', bed.namespace)
  })

  it('stops the controller, takes its own finalizer off every gate and no other, and removes the Lease', async () => {
    await gate('held', [FINALIZER])
    await gate('shared', [OTHERS, FINALIZER])
    await gate('free', [])
    await run()
    expect(await gates()).toEqual({ held: [], shared: [OTHERS], free: [] })
    expect(await names('pods')).toBe('')
    expect(await names(`leases.coordination.k8s.io`)).toBe('')
    expect(await bed.kubectl('get', 'deployment', CONTROLLER, '-n', bed.namespace, '-o', 'jsonpath={.spec.replicas}')).toBe('0')
    expect(lines.map(({ message }) => message)).toEqual([
      'stopped the controller',
      'took the finalizer off gates',
      'removed the Lease',
    ])
  })

  it('can be done again, and with nothing there', async () => {
    await run()
    expect(lines.map(({ message }) => message)).toEqual(['stopped the controller'])
    await bed.kubectl('delete', 'deployment', CONTROLLER, '-n', bed.namespace)
    await run()
    expect(lines).toEqual([])
    await run({ deleteGates: true }, `none.${group}`)
    expect(lines).toEqual([])
  })

  it('deletes the gates where it is told to, and where nobody releases their pods in time says so', async () => {
    await bed.kubectl('patch', `podreadinessgates.${group}`, 'shared', '-n', bed.namespace, ...WITHOUT_FINALIZERS)
    await gate('abandoned', [FINALIZER])
    await run({ deleteGates: true, releaseWithinMs: 700 })
    expect(await gates()).toEqual({})
    expect(lines).toEqual([
      { message: 'the pods of some gates were not released', fields: { left: 1, withinMs: 700 } },
      { message: 'took the finalizer off gates', fields: { gates: 1 } },
    ])
  })
})
