/**
 * What runs before Gracewatch is uninstalled, and after its gates were switched off, on a real API server and in a group of its own: nothing is
 * left that waits for a controller, and where that cannot be, the controller goes on.
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
/** What a test does at a line of the log. */
let onLine: (message: string) => void = () => {}
const note = (fields: object, message: string) => {
  lines.push({ message, fields })
  onLine(message)
}
const log = { debug: note, info: note, warn: note, error: note }

const run = (
  settings: { deleteGates?: boolean; releaseWithinMs?: number; keepController?: boolean } = {},
  among = group,
  signal = new AbortController().signal,
) => {
  lines.length = 0
  const all = { namespace: bed.namespace, deleteGates: false, releaseWithinMs: 1_000, keepController: false, ...settings }
  return uninstall({ http: inGroup(bed.http, among), log, settings: all, signal })
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

/** What the Deployment of the controller is to have. */
const replicas = () => bed.kubectl('get', 'deployment', CONTROLLER, '-n', bed.namespace, '-o', 'jsonpath={.spec.replicas}')

/** Names of what there is of a kind in the namespace. */
const names = async (kind: string) => (await bed.kubectl('get', kind, '-n', bed.namespace, '-o', 'name')).trim()

/** What a Deployment is to have, it has a little later. */
const twoPods = () => eventually(async () => (await names('pods')).split('\n').length === 2 || undefined, 60_000, 'two pods')

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
  await twoPods()
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
    expect(await replicas()).toBe('2')
    await run({ keepController: true })
    expect(lines).toEqual([])
    await bed.kubectl('patch', `podreadinessgates.${group}`, 'given-up', '-n', bed.namespace, ...WITHOUT_FINALIZERS)
    await bed.kubectl('delete', `podreadinessgates.${group}`, 'given-up', '-n', bed.namespace)
  })

  it('does nothing where Helm has not installed the controller: kubectl runs what it takes for any other Job', async () => {
    await gate('applied', [FINALIZER])
    await run({ deleteGates: true })
    expect(lines).toEqual([
      {
        message: 'did nothing: Helm has not installed this controller, so it uninstalls none',
        fields: { namespace: bed.namespace, hint: expect.stringContaining('helm template --no-hooks') },
      },
    ])
    expect(await gates()).toEqual({ applied: [FINALIZER] })
    expect(await replicas()).toBe('2')
    expect(await names('leases.coordination.k8s.io')).not.toBe('')
    // As every object that helm has installed.
    await bed.kubectl('annotate', 'deployment', CONTROLLER, '-n', bed.namespace, 'meta.helm.sh/release-name=gracewatch')
  })

  it('starts the controller again where a step after it fails: the release stays, and somebody has to record', async () => {
    const policy = `finalizers-stay.${group}`
    const resourceRules = [{ apiGroups: [group], apiVersions: ['*'], resources: ['podreadinessgates'], operations: ['UPDATE'] }]
    const validations = [{ expression: 'false', message: 'nobody changes gates' }]
    const admission = { apiVersion: 'admissionregistration.k8s.io/v1' }
    const touch = ['label', `podreadinessgates.${group}`, 'applied', '-n', bed.namespace, 'touched=yes', '--dry-run=server']
    const denied = async () => (await bed.cluster.tryKubectl(touch)).stderr.includes('nobody changes gates')
    await bed.create({
      ...admission,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: policy },
      spec: { matchConstraints: { resourceRules }, validations },
    })
    try {
      await bed.create({
        ...admission,
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name: policy },
        spec: { policyName: policy, validationActions: ['Deny'] },
      })
      await eventually(async () => (await denied()) || undefined, 60_000, 'the policy in force')
      await expect(run()).rejects.toThrow(/nobody changes gates/)
      expect(lines).toEqual([
        { message: 'stopped the controller', fields: { namespace: bed.namespace } },
        {
          message: 'not everything could be done: the controller has its replicas again',
          fields: { namespace: bed.namespace, replicas: 2 },
        },
      ])
      expect(await replicas()).toBe('2')
      expect(await gates()).toEqual({ applied: [FINALIZER] })
      expect(await names('leases.coordination.k8s.io')).not.toBe('')
    } finally {
      await bed.kubectl('delete', 'validatingadmissionpolicybinding,validatingadmissionpolicy', policy, '--ignore-not-found')
    }
    // What it refuses it refuses for a moment more.
    await eventually(async () => !(await denied()) || undefined, 60_000, 'the policy out of force')
    await twoPods()
  })

  it('starts the controller again where it is told to stop half way, as a Job past its deadline is', async () => {
    const stop = new AbortController()
    onLine = (message) => message === 'stopped the controller' && stop.abort()
    try {
      await expect(run({}, group, stop.signal)).rejects.toMatchObject({ code: 'Aborted' })
    } finally {
      onLine = () => {}
    }
    expect(lines.map(({ message }) => message)).toEqual([
      'stopped the controller',
      'not everything could be done: the controller has its replicas again',
    ])
    expect(await replicas()).toBe('2')
    expect(await gates()).toEqual({ applied: [FINALIZER] })
    await bed.kubectl('patch', `podreadinessgates.${group}`, 'applied', '-n', bed.namespace, ...WITHOUT_FINALIZERS)
    await bed.kubectl('delete', `podreadinessgates.${group}`, 'applied', '-n', bed.namespace)
    await twoPods()
  })

  it('stops the controller, takes its own finalizer off every gate and no other, and removes the Lease', async () => {
    await gate('held', [FINALIZER])
    await gate('shared', [OTHERS, FINALIZER])
    await gate('free', [])
    await run()
    expect(await gates()).toEqual({ held: [], shared: [OTHERS], free: [] })
    expect(await names('pods')).toBe('')
    expect(await names(`leases.coordination.k8s.io`)).toBe('')
    expect(await replicas()).toBe('0')
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
