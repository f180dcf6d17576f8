/** The checks condition and endpoints on a real API server: what they find, whom they tell, and what they watch for it. */
import { afterEach, describe, expect, test } from 'vitest'
import type { ConditionCheck } from '../../../src/api/pod-readiness-gate.ts'
import { EndpointsChecker, MISSING_FOR } from '../../../src/controllers/gatekeeper/checks/endpoints.ts'
import { ConditionChecker, type ConditionOptions } from '../../../src/controllers/gatekeeper/checks/target.ts'
import type { EndpointSliceSnapshot } from '../../../src/core/evidence.ts'
import type { CheckResult, Gate, GatePod } from '../../../src/core/gates/types.ts'
import { SECOND } from '../../../src/core/time.ts'
import { decodeEndpointSlice } from '../../../src/kube/decode/endpoint-slice.ts'
import type { KubeHttp } from '../../../src/kube/http.ts'
import { Reflector } from '../../../src/kube/reflector.ts'
import { condition } from '../../unit/core/gates/builders.ts'
import { established, useApiServer } from '../connect.ts'
import { delay, eventually } from '../waiting.ts'
import { allow, Claims, Counted, claimChecked, gateOf, nobody, podOf, SILENT, SOON, Told } from './check-stage.ts'

const bed = useApiServer('gate-checks')
const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const WITHIN = 15_000

describe('condition', () => {
  class Stage {
    readonly told = new Told()
    readonly http: Counted
    readonly checker: ConditionChecker

    constructor(http: KubeHttp = bed.http, options: Partial<ConditionOptions> = {}) {
      this.http = new Counted(http)
      this.checker = new ConditionChecker({
        http: this.http,
        clock: bed.clock,
        log: SILENT,
        changed: this.told.changed,
        timings: SOON,
        lookAgainMs: { base: 200, max: 500 },
        ...options,
      })
      cleanups.push(() => this.checker.stop())
    }

    result(gate: Gate, pod: GatePod): CheckResult {
      const check = gate.spec.checks.find(({ condition }) => condition !== undefined)?.condition
      if (check === undefined) throw new Error('the gate has no check condition')
      return this.checker.result(gate, check, pod)
    }

    /** Looks again only when the pod is told of. */
    async until(gate: Gate, pod: GatePod, fits: Partial<CheckResult>): Promise<CheckResult> {
      const is = () => Object.entries(fits).every(([key, value]) => this.result(gate, pod)[key as keyof CheckResult] === value) // keys of fits
      this.told.pods.all.length = 0
      if (!is()) await this.told.pods.first((uid) => uid === pod.uid && is(), WITHIN, `${pod.uid}: ${JSON.stringify(fits)}`)
      return this.result(gate, pod)
    }
  }

  const gate = (uid: string, check: Partial<ConditionCheck>) => gateOf(bed, uid, { condition: check })

  test('a target that is created, changes, is deleted and made anew; one watch for all who wait, none once nobody does', async () => {
    const claims = new Claims(bed)
    const stage = new Stage()
    const gates = [gate('g1', claimChecked('data')), gate('g2', { ...claimChecked('data'), status: 'False' })] as const
    const pods = ['p1', 'p2', 'p3'].map((uid) => podOf(bed, uid))
    const [pod] = pods
    if (pod === undefined) throw new Error('no pod')
    expect(stage.result(gates[0], pod)).toMatchObject({ state: 'Unknown', pending: true })
    for (const it of gates) for (const each of pods) stage.result(it, each)
    const what = 'PersistentVolumeClaim data'
    const missing = `there is no ${what} in the namespace ${bed.namespace}`
    expect(await stage.until(gates[0], pod, { reason: 'TargetNotFound' })).toEqual({
      state: 'Unknown',
      reason: 'TargetNotFound',
      message: missing,
    })
    expect(stage.checker.problems('g1')).toEqual([`checks.condition: ${missing}`])

    await claims.create('data')
    const without = await stage.until(gates[0], pod, { state: 'Fail' })
    expect(without).toEqual({
      state: 'Fail',
      reason: 'ConditionMissing',
      message: `${what} has no condition Checked yet; it has to be True`,
    })
    expect(stage.checker.problems('g1')).toEqual([])
    await claims.say('data', 'False')
    const wrong = await stage.until(gates[0], pod, {
      message: `${what} has the condition Checked=False (WasFalse); it has to be True`,
    })
    expect(wrong.state).toBe('Fail')
    expect(stage.result(gates[1], pod)).toMatchObject({ state: 'Pass' })
    // Everybody is told.
    stage.told.pods.all.length = 0
    await claims.say('data', 'True')
    for (const { uid } of pods) await stage.told.pods.first((told) => told === uid, WITHIN, `${uid} told`)
    expect(await stage.until(gates[0], pod, { state: 'Pass' })).toMatchObject({
      reason: 'ConditionMet',
      message: `${what} has the condition Checked=True`,
    })
    expect(new Set(stage.told.gates)).toEqual(new Set(['g1', 'g2']))

    // A change that is none of the conditions' tells nobody.
    stage.told.pods.all.length = 0
    await bed.kubectl('label', 'pvc', 'data', 'changed=yes', '-n', bed.namespace)
    await delay(300)
    expect(stage.told.pods.all).toEqual([])

    await claims.delete('data')
    await stage.until(gates[0], pod, { reason: 'TargetNotFound' })
    await claims.create('data')
    await stage.until(gates[0], pod, { state: 'Fail' })
    await claims.say('data', 'True')
    await stage.until(gates[0], pod, { state: 'Pass' })

    const watch = `/api/v1/namespaces/${bed.namespace}/persistentvolumeclaims metadata.name=data`
    expect(stage.http.open).toEqual([watch])
    expect(stage.http.requests.filter((path) => path.endsWith('persistentvolumeclaims'))).toHaveLength(1)
    const before = stage.http.requests.length
    await delay(1500)
    expect(stage.http.requests).toHaveLength(before)

    for (const { uid } of pods) stage.checker.forget('g1', uid)
    for (const { uid } of pods.slice(1)) stage.checker.forget('g2', uid)
    expect(stage.http.open).toEqual([watch])
    stage.checker.forget('g2', 'p1')
    expect(stage.checker.size).toBe(0)
    await eventually(() => stage.http.open.length === 0 || undefined, WITHIN, 'the watch closed')
    // Whoever asks again has it looked at again.
    expect(stage.result(gates[0], pod)).toMatchObject({ pending: true })
    await stage.until(gates[0], pod, { state: 'Pass' })
    await claims.delete('data')
  })

  test('a right that is missing, granted, taken away and granted again', async () => {
    const claims = new Claims(bed)
    await claims.create('guarded')
    await claims.say('guarded', 'True')
    const http = await nobody(bed, 'reader')
    cleanups.push(() => http.close())
    // Watches end soon, since a right that was taken does not end one.
    const stage = new Stage(http, { timings: { ...SOON, serverTimeoutSeconds: [2, 2] } })
    const [it, pod] = [gate('g', claimChecked('guarded')), podOf(bed, 'p')]
    const forbidden = await stage.until(it, pod, { reason: 'TargetForbidden' })
    const sentence =
      'the controller may not read PersistentVolumeClaim guarded: grant list and watch of persistentvolumeclaims by a ClusterRole ' +
      'with the label gracewatch.dev/aggregate-to-gate-targets: "true"'
    expect(forbidden).toEqual({ state: 'Unknown', reason: 'TargetForbidden', message: sentence })
    expect(stage.checker.problems('g')).toEqual([`checks.condition: ${sentence}`])
    const rule = { apiGroups: [''], resources: ['persistentvolumeclaims'] }
    const take = await allow(bed, 'reader', rule)
    await stage.until(it, pod, { state: 'Pass' })
    expect(stage.checker.problems('g')).toEqual([])
    await take()
    await stage.until(it, pod, { reason: 'TargetForbidden' })
    // What changed meanwhile is not missed.
    await claims.say('guarded', 'False')
    await allow(bed, 'reader', rule)
    await stage.until(it, pod, { state: 'Fail' })
  })

  test('a right to this one object is enough', async () => {
    const claims = new Claims(bed)
    await claims.create('mine')
    await claims.say('mine', 'True')
    const http = await nobody(bed, 'narrow')
    cleanups.push(() => http.close())
    await allow(bed, 'narrow', { apiGroups: [''], resources: ['persistentvolumeclaims'], resourceNames: ['mine'] })
    const stage = new Stage(http)
    await stage.until(gate('g', claimChecked('mine')), podOf(bed, 'p'), { state: 'Pass' })
    await stage.until(gate('g', claimChecked('other')), podOf(bed, 'p'), { reason: 'TargetForbidden' })
  })

  test('a kind that is not there, is installed, and is removed', async () => {
    const group = `gw-${bed.suffix}.example.com`
    const check = { apiVersion: `${group}/v1`, kind: 'Certificate', name: 'web', type: 'Ready' }
    const stage = new Stage()
    const [it, pod] = [gate('g', check), podOf(bed, 'p')]
    expect(await stage.until(it, pod, { reason: 'UnknownKind' })).toMatchObject({
      state: 'Unknown',
      message: `the API server does not serve ${group}/v1`,
    })
    const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
    const crd = `certificates.${group}`
    await bed.create({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: crd },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'certificates', kind: 'Certificate' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
      },
    })
    cleanups.push(() => bed.cluster.tryKubectl(['delete', 'crd', crd, '--ignore-not-found']))
    await established(bed, crd)
    await stage.until(it, pod, { reason: 'TargetNotFound' })
    const metadata = { name: 'web', namespace: bed.namespace }
    await bed.create({
      ...check,
      metadata,
      name: undefined,
      type: undefined,
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    })
    await stage.until(it, pod, { state: 'Pass' })
    await bed.kubectl('delete', 'crd', crd)
    await stage.until(it, pod, { reason: 'UnknownKind' })
    await eventually(() => stage.http.open.length === 0 || undefined, WITHIN, 'the watch closed')
    stage.checker.forget('g', 'p')
    const before = stage.http.requests.length
    await delay(800)
    // Nobody looks for it any more.
    expect(stage.http.requests).toHaveLength(before)
  })

  test.each([
    [{ apiVersion: 'v1', kind: 'Job', name: 'x', type: 'Complete' }, 'the API server has no kind Job in v1'],
    [{ apiVersion: 'batch/v9', kind: 'Job', name: 'x', type: 'Complete' }, 'the API server does not serve batch/v9'],
    [
      { apiVersion: 'v1', kind: 'Node', name: 'x', type: 'Ready' },
      "objects of the kind Node are in no namespace: name one of the pod's namespace",
    ],
    [{ apiVersion: 'v1', kind: 'Binding', name: 'x', type: 'Ready' }, 'objects of the kind Binding cannot be watched'],
  ])('%j is Unknown, and says why', async (check, message) => {
    const stage = new Stage()
    const [it, pod] = [gate('g', check), podOf(bed, 'p')]
    expect(await stage.until(it, pod, { reason: 'UnknownKind' })).toEqual({ state: 'Unknown', reason: 'UnknownKind', message })
    expect(stage.checker.problems('g')).toEqual([`checks.condition: ${message}`])
  })

  test('an API server that does not answer leaves it Unknown, and is asked again', async () => {
    let away = true
    const http: KubeHttp = {
      request: (request) => (away ? Promise.reject(new Error('away')) : bed.http.request(request)),
      stream: (request) => bed.http.stream(request),
      onResponse: (observer) => bed.http.onResponse(observer),
      close: async () => {},
    }
    const stage = new Stage(http)
    const [it, pod] = [gate('g', claimChecked('nowhere')), podOf(bed, 'p')]
    const message = 'the kinds of v1 could not be read: away'
    expect(await stage.until(it, pod, { message })).toEqual({ state: 'Unknown', reason: 'TargetUnreadable', message })
    away = false
    await stage.until(it, pod, { reason: 'TargetNotFound' })
  })

  test('no more targets than connections; who found no room gets the first that is free', async () => {
    const stage = new Stage(bed.http, { maxTargets: 2 })
    const pod = podOf(bed, 'p3')
    for (const name of ['one', 'two']) stage.result(gate('g', claimChecked(name)), podOf(bed, `p-${name}`))
    const third = gate('g', claimChecked('three'))
    expect(stage.result(third, pod)).toMatchObject({ state: 'Unknown', reason: 'TooManyTargets' })
    expect(stage.checker.size).toBe(2)
    stage.told.pods.all.length = 0
    stage.checker.forget('g', 'p-one')
    expect(stage.told.pods.all).toContain('p3')
    await stage.until(third, pod, { reason: 'TargetNotFound' })
  })

  test('a gate that asks for another target leaves the one before alone', async () => {
    const stage = new Stage()
    const pod = podOf(bed, 'p')
    await stage.until(gate('g', claimChecked('before')), pod, { reason: 'TargetNotFound' })
    const after = gate('g', claimChecked('after'))
    stage.checker.changed(after)
    await stage.until(after, pod, { reason: 'TargetNotFound' })
    expect(stage.checker.size).toBe(1)
    const watch = `/api/v1/namespaces/${bed.namespace}/persistentvolumeclaims metadata.name=after`
    await eventually(() => stage.http.open.join() === watch || undefined, WITHIN, 'one watch')
    stage.checker.changed(gateOf(bed, 'g', { endpoints: {} }))
    expect(stage.checker.size).toBe(0)
  })

  test('eight targets at once, and all of it ends with the checker', async () => {
    const stage = new Stage()
    for (let i = 0; i < 8; i++) stage.result(gate(`g${i}`, claimChecked(`t${i}`)), podOf(bed, `p${i}`))
    await eventually(() => stage.http.open.length === 8 || undefined, WITHIN, 'eight watches')
    await stage.checker.stop()
    expect(stage.http.open).toEqual([])
    const before = [stage.http.requests.length, stage.told.pods.all.length]
    await delay(700)
    expect([stage.http.requests.length, stage.told.pods.all.length]).toEqual(before)
  })
})

describe('endpoints', () => {
  class Stage {
    readonly told = new Told()
    readonly http: Counted
    readonly slices: Reflector<EndpointSliceSnapshot>
    readonly checker: EndpointsChecker
    now = 1000 * SECOND

    constructor(http: KubeHttp = bed.http) {
      this.http = new Counted(http)
      this.slices = new Reflector<EndpointSliceSnapshot>({
        http: bed.http,
        clock: bed.clock,
        log: SILENT,
        path: `/apis/discovery.k8s.io/v1/namespaces/${bed.namespace}/endpointslices`,
        decode: decodeEndpointSlice,
        onChange: (change) => this.checker.onEndpointSlice(change),
      })
      this.checker = new EndpointsChecker({
        http: this.http,
        clock: bed.clock,
        log: SILENT,
        changed: this.told.changed,
        slices: this.slices,
        timings: SOON,
      })
      this.slices.start()
      cleanups.push(
        () => this.slices.stop(),
        () => this.checker.stop(),
      )
    }

    result(pod: GatePod, gateUid = 'g'): CheckResult {
      return this.checker.result(gateOf(bed, gateUid, { endpoints: {} }), {}, pod, this.now)
    }

    async until(pod: GatePod, fits: Partial<CheckResult>): Promise<CheckResult> {
      const is = () => Object.entries(fits).every(([key, value]) => this.result(pod)[key as keyof CheckResult] === value) // keys of fits
      this.told.pods.all.length = 0
      if (!is()) await this.told.pods.first((uid) => uid === pod.uid && is(), WITHIN, `${pod.uid}: ${JSON.stringify(fits)}`)
      return this.result(pod)
    }
  }

  const service = (name: string, spec: object) =>
    bed.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: bed.namespace },
      spec: { ports: [{ port: 80 }], ...spec },
    })
  const remove = (kind: string, name: string) => bed.kubectl('delete', kind, name, '-n', bed.namespace)

  /** As the endpoints controller writes it; the pods are the test's, so that nobody else does. */
  const publish = (name: string, of: string, uids: readonly string[], ready = false) =>
    bed.cluster.kubectl(['apply', '--server-side', '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, namespace: bed.namespace, labels: { 'kubernetes.io/service-name': of } },
        addressType: 'IPv4',
        endpoints: uids.map((uid, i) => ({
          addresses: [`10.244.0.${i + 5}`],
          conditions: { ready },
          targetRef: { kind: 'Pod', namespace: bed.namespace, name: uid, uid },
        })),
      }),
    })

  test('every Service that selects the pod has to have it, ready or not', async () => {
    const stage = new Stage()
    const pod = podOf(bed, 'p1', { labels: { app: 'shop', tier: 'web' } })
    expect(stage.result(pod)).toMatchObject({ state: 'Unknown', pending: true })
    expect(await stage.until(pod, { state: 'Pass' })).toEqual({
      state: 'Pass',
      reason: 'NoService',
      message: 'no Service selects the pod',
    })
    await service('other', { selector: { app: 'other' } })
    await service('named', { type: 'ExternalName', externalName: 'example.com', selector: { app: 'shop' } })
    await service('bare', {})
    await service('one', { selector: { app: 'shop' } })
    expect(await stage.until(pod, { state: 'Fail' })).toEqual({
      state: 'Fail',
      reason: 'NotPublished',
      message: 'the Service one selects the pod, but has it in no EndpointSlice yet',
    })
    await service('two', { clusterIP: 'None', selector: { app: 'shop', tier: 'web' } })
    await stage.until(pod, { message: 'the Services one, two select the pod, but have it in no EndpointSlice yet' })
    await publish('one-a', 'one', ['somebody'])
    await publish('one-b', 'one', ['p1'])
    await stage.until(pod, { message: 'the Service two selects the pod, but has it in no EndpointSlice yet' })
    await publish('two-a', 'two', ['somebody', 'p1'])
    await stage.until(pod, { reason: 'Published' })
    // Ready or not is nothing to it, and tells nobody.
    stage.told.pods.all.length = 0
    await publish('two-a', 'two', ['somebody', 'p1'], true)
    await delay(300)
    expect(stage.told.pods.all).toEqual([])

    await publish('one-b', 'one', [])
    await stage.until(pod, { state: 'Fail' })
    await remove('service', 'one')
    await stage.until(pod, { state: 'Pass' })
    await bed.kubectl('patch', 'service', 'other', '-n', bed.namespace, '-p', '{"spec":{"selector":{"app":"shop"}}}')
    await stage.until(pod, { state: 'Fail' })
    await bed.kubectl('patch', 'service', 'other', '-n', bed.namespace, '-p', '{"spec":{"selector":{"app":"other"}}}')
    await stage.until(pod, { state: 'Pass' })
    await remove('endpointslice', 'two-a')
    await stage.until(pod, { state: 'Fail' })

    for (const name of ['two', 'other', 'named', 'bare']) await remove('service', name)
    await stage.until(pod, { reason: 'NoService' })
  })

  test('a pod that serves is not taken out by a new Service for as long as that takes to have its EndpointSlices', async () => {
    const stage = new Stage()
    const serving = podOf(bed, 'serving', { labels: { app: 'api' }, conditions: [condition('True')] })
    await stage.until(serving, { reason: 'NoService' })
    await service('new', { selector: { app: 'api' } })
    const until = stage.now + MISSING_FOR
    const waiting = await stage.until(serving, { recheckAt: until })
    expect(waiting).toMatchObject({ state: 'Pass', reason: 'Published' })
    // One that was not let in yet waits.
    expect(stage.result(podOf(bed, 'starting', { labels: { app: 'api' } }))).toMatchObject({ state: 'Fail' })
    stage.now = until - 1
    expect(stage.result(serving)).toMatchObject({ state: 'Pass', recheckAt: until })
    stage.now = until
    expect(stage.result(serving)).toMatchObject({ state: 'Fail', reason: 'NotPublished' })
    await publish('new-a', 'new', ['serving'])
    expect(await stage.until(serving, { state: 'Pass' })).not.toHaveProperty('recheckAt')
    // The next time, all of it is counted anew.
    await publish('new-a', 'new', [])
    await stage.until(serving, { state: 'Pass', recheckAt: stage.now + MISSING_FOR })
    await remove('service', 'new')
    await remove('endpointslice', 'new-a')
  })

  test('Services are watched while somebody asks, by one watch', async () => {
    const stage = new Stage()
    await stage.slices.whenSynced()
    await delay(200)
    expect(stage.http.requests).toEqual([])
    for (const gateUid of ['g', 'h']) for (const uid of ['a', 'b']) stage.result(podOf(bed, uid), gateUid)
    await stage.until(podOf(bed, 'a'), { reason: 'NoService' })
    expect(stage.http.open).toEqual(['/api/v1/services'])
    const before = stage.http.requests.length
    await delay(1000)
    expect(stage.http.requests).toHaveLength(before)
    for (const uid of ['a', 'b']) stage.checker.forget('g', uid)
    stage.checker.forget('h', 'a')
    expect(stage.checker.watching).toBe(true)
    // The gate has no such check any more.
    stage.checker.changed(gateOf(bed, 'h', { annotation: { key: 'a', value: 'b' } }))
    expect(stage.checker.watching).toBe(false)
    await eventually(() => stage.http.open.length === 0 || undefined, WITHIN, 'the watch closed')
    await stage.until(podOf(bed, 'a'), { reason: 'NoService' })
  })

  test('without the right to read Services nobody can tell, until it is granted', async () => {
    const http = await nobody(bed, 'blind')
    cleanups.push(() => http.close())
    const stage = new Stage(http)
    const pod = podOf(bed, 'p')
    const message = 'the controller may not read Services: grant it list and watch of services, as deploy/gates does'
    expect(await stage.until(pod, { message })).toEqual({ state: 'Unknown', reason: 'ServicesUnreadable', message })
    expect(stage.checker.problems('g')).toHaveLength(1)
    expect(stage.told.gates).toContain('g')
    const take = await allow(bed, 'blind', { apiGroups: [''], resources: ['services'] }, true)
    cleanups.push(take)
    await stage.until(pod, { reason: 'NoService' })
    expect(stage.checker.problems('g')).toEqual([])
  })
})
