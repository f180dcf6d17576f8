/**
 * Readiness gates on the real cluster, as a user installs them: the kubelet takes the conditions up, and the endpoints follow. What needs the
 * cluster for itself (the controller going, the uninstall) comes after the others, which run side by side, each in a namespace of its own.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Raw } from '../api.ts'
import { type Bed, conditionOf, type Flip, type Stage, sinceNow } from './bed.ts'
import { figureOf } from './figures.ts'
import { Guide } from './guide.ts'
import { useGates } from './use-gates.ts'

const given = useGates('the tests of readiness gates')
const OK = 'example.com/ok'
const ANNOTATION = { annotation: { key: OK, value: 'yes' } }
const FLIPS = 8
/**
 * The kubelet looks at a pod again only once it has listed its containers anew, which it does every second. An annotation that changes is
 * such a look by itself, so that the condition that follows waits for up to a second; one that comes of a probe does not.
 */
const SETTLED_SECONDS = 2.5

let bed: Bed
let guide: Guide
const figures: string[] = []

beforeAll(async () => {
  bed = given.bed
  guide = await Guide.open(bed, 'docs/gates.md')
})

afterAll(async () => {
  if (figures.length > 0) console.log(`\nfrom the change of a check's truth:\n${figures.join('\n')}`)
  await guide?.close()
})

const passed = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1_000))
const isReady = (pod: Raw) => conditionOf(pod, 'Ready')?.status === 'True'

/** Every change of the status of a condition that the lines of the pod show, in order. */
function historyOf(stage: Stage, pod: string, type: string, uid?: string): string[] {
  const states = stage
    .linesOf(pod)
    .filter(({ object }) => uid === undefined || object.metadata.uid === uid)
    .map(({ object }) => String(conditionOf(object, type)?.status ?? 'missing'))
  return states.filter((state, index) => state !== states[index - 1])
}

describe.concurrent('side by side', () => {
  it('annotation: the condition and Ready follow it both ways', async () => {
    const stage = await bed.stage('annotation')
    await stage.create(stage.gate('ok', 'web', [ANNOTATION]), stage.pod('web', ['ok']))
    await stage.running('web')
    const held = await stage.condition('web', 'ok', 'False')
    expect(held.message).toContain(OK)
    expect(isReady(stage.podNamed('web'))).toBe(false)
    const to = (value: string | null) => async () => (await stage.annotate('web', { [OK]: value })).answeredAt
    const both = async (seconds: number, off: string | null): Promise<Flip[]> => {
      await passed(seconds)
      const on = await stage.flip('web', 'ok', 'True', to('yes'))
      await passed(seconds)
      return [on, await stage.flip('web', 'ok', 'False', to(off))]
    }
    const settled: Flip[] = []
    const inARow: Flip[] = []
    for (let flip = 0; flip < FLIPS; flip += 1) settled.push(...(await both(SETTLED_SECONDS, flip % 2 === 0 ? null : 'no')))
    for (let flip = 0; flip < FLIPS / 2 - 1; flip += 1) inARow.push(...(await both(0, null)))
    figures.push(figureOf('annotation', settled), figureOf('annotation, one right after the other', inARow))
    const flips = settled.length + inARow.length
    // One write for each flip, and none besides: each is a line of its own with another condition.
    const type = 'gates.example.com/ok'
    expect(historyOf(stage, 'web', type).filter((state) => state !== 'missing')).toHaveLength(flips + 1)
    const written = stage.linesOf('web').map(({ object }) => JSON.stringify(conditionOf(object, type)))
    // A removed annotation and one of another value are two messages.
    expect(written.filter((text, index) => text !== undefined && text !== written[index - 1])).toHaveLength(flips + 1)
  })

  it('httpGet: a pod that answers is let in, one that does not any more is taken out', async () => {
    const stage = await bed.stage('http')
    const www = stage.www('web')
    const check = { httpGet: { port: 'web', path: '/healthz', interval: '1s', failureThreshold: 1 } }
    await stage.create(stage.gate('answers', 'web', [check]), stage.pod('web', ['answers'], www.container, www.spec))
    await stage.running('web')
    await stage.condition('web', 'answers', 'False', 'ProbeFailed')
    await stage.until('web', 'told of the answer', (pod) =>
      conditionOf(pod, 'gates.example.com/answers')?.message.includes('404'),
    )
    const flips: Flip[] = []
    for (let flip = 0; flip < 4; flip += 1) {
      const now = (change: (file: string) => void) => async () => {
        change('healthz')
        return sinceNow()
      }
      flips.push(await stage.flip('web', 'answers', 'True', now(www.put)))
      flips.push(await stage.flip('web', 'answers', 'False', now(www.drop)))
    }
    figures.push(figureOf('httpGet, interval 1 s', flips))
  })

  it('httpGet: a port that no container has is Unknown, and fails open in time', async () => {
    const stage = await bed.stage('port')
    await stage.create(
      stage.gate('nowhere', 'web', [{ httpGet: { port: 'nowhere' } }], { failOpenAfter: '10s' }),
      stage.gate('never', 'web', [{ httpGet: { port: 'nowhere' } }], { failOpenAfter: 'Never' }),
      stage.pod('web', ['nowhere', 'never'], { ports: [{ name: 'web', containerPort: 8080 }] }),
    )
    const unknown = await stage.condition('web', 'nowhere', 'Unknown', 'PortNotFound')
    expect(unknown.message).toContain('nowhere')
    const open = await stage.condition('web', 'nowhere', 'True', 'FailedOpen')
    const waited = Date.parse(open.lastTransitionTime) - Date.parse(unknown.lastTransitionTime)
    // Both are in whole seconds.
    expect(waited).toBeGreaterThanOrEqual(9_000)
    expect(waited).toBeLessThanOrEqual(13_000)
    expect(conditionOf(stage.podNamed('web'), 'gates.example.com/never')?.status).toBe('Unknown')
    expect(isReady(stage.podNamed('web'))).toBe(false)
  })

  it('condition: waits for a Job that is not there, runs, and completes; and stays open when the Job has vanished', async () => {
    const stage = await bed.stage('job')
    const check = { condition: { apiVersion: 'batch/v1', kind: 'Job', name: 'migrate', type: 'Complete' } }
    await stage.create(stage.gate('migrated', 'web', [check], { failOpenAfter: 'Never' }), stage.pod('web', ['migrated']))
    await stage.running('web')
    const missing = await stage.condition('web', 'migrated', 'Unknown', 'TargetNotFound')
    expect(missing.message).toContain('migrate')
    const template = { spec: stage.podSpec([], { command: ['sleep', '3'] }, { restartPolicy: 'Never' }) }
    const metadata = { name: 'migrate', namespace: stage.namespace }
    await stage.create({ apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { template } })
    await stage.condition('web', 'migrated', 'False')
    await stage.condition('web', 'migrated', 'True')
    await stage.ready('web')
    expect(historyOf(stage, 'web', 'gates.example.com/migrated')).toEqual(expect.arrayContaining(['Unknown', 'False', 'True']))
    await stage.kubectl('delete', 'job', 'migrate')
    // Nobody can tell any more; what was let in stays in, and says so.
    await stage.until('web', 'told of the vanished Job', (pod) =>
      /cannot be evaluated/.test(conditionOf(pod, 'gates.example.com/migrated')?.message),
    )
    expect(isReady(stage.podNamed('web'))).toBe(true)
    await passed(2)
    expect(isReady(stage.podNamed('web'))).toBe(true)
  })

  it('condition: a kind that nobody has allowed says so, and recovers once somebody has', async () => {
    const stage = await bed.stage('forbidden')
    const role = `gate-targets-${stage.namespace}`
    const check = { condition: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name: 'data', type: 'Checked' } }
    await stage.create(
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'data', namespace: stage.namespace },
        spec: { accessModes: ['ReadWriteOnce'], storageClassName: '', resources: { requests: { storage: '1Mi' } } },
      },
      stage.gate('checked', 'web', [check]),
      stage.pod('web', ['checked']),
    )
    const forbidden = await stage.condition('web', 'checked', 'Unknown', 'TargetForbidden')
    expect(forbidden.message).toContain('gracewatch.dev/aggregate-to-gate-targets')
    try {
      const labels = { 'gracewatch.dev/aggregate-to-gate-targets': 'true' }
      const rules = [{ apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['get', 'list', 'watch'] }]
      const metadata = { name: role, labels }
      const object = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata, rules }
      await bed.api.create('/apis/rbac.authorization.k8s.io/v1/clusterroles', object)
      await stage.condition('web', 'checked', 'False', undefined, 90)
      const conditions = [{ type: 'Checked', status: 'True', lastTransitionTime: new Date().toISOString() }]
      await bed.api.patch(`${stage.path('PersistentVolumeClaim', 'data')}/status`, { status: { conditions } })
      await stage.condition('web', 'checked', 'True')
    } finally {
      await bed.cluster.tryKubectl(['delete', 'clusterrole', role, '--ignore-not-found'])
    }
  })

  it('endpoints: every Service that selects the pod has to have its address', async () => {
    const stage = await bed.stage('endpoints')
    // Without a node the pod has no address, and no EndpointSlice has it.
    const later = stage.pod('web', ['published'], {}, { schedulingGates: [{ name: 'example.com/later' }] })
    const service = (name: string) => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: stage.namespace },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    })
    await stage.create(service('one'), service('two'), stage.gate('published', 'web', [{ endpoints: {} }]), later)
    const held = await stage.condition('web', 'published', 'False')
    expect(held.message).toMatch(/one|two/)
    await bed.api.patch(stage.path('Pod', 'web'), { spec: { schedulingGates: null } }, 'merge')
    await stage.condition('web', 'published', 'True')
    const pod = await stage.ready('web')
    for (const name of ['one', 'two']) expect(stage.endpoint(name, pod.metadata.uid)).toBeDefined()
    // No Service selects it: there is nothing to wait for.
    await stage.create(stage.gate('alone', 'alone', [{ endpoints: {} }]), stage.pod('alone', ['alone']))
    await stage.condition('alone', 'alone', 'True')
    await stage.ready('alone')
  })

  it('a pod that is drained stops serving before it is deleted', async () => {
    const stage = await bed.stage('drain')
    await stage.create(
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: stage.namespace },
        spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
      stage.gate('ok', 'web', [{ annotation: { key: OK, value: 'yes' } }]),
      stage.pod('web', ['ok']),
    )
    await stage.running('web')
    await stage.annotate('web', { [OK]: 'yes' })
    const { metadata } = await stage.ready('web')
    const endpoint = (serving: boolean) =>
      bed.observations.waitFor(
        () => stage.endpoint('web', metadata.uid)?.conditions.serving === serving,
        30,
        `the endpoint of the pod ${serving ? 'serving' : 'not serving'}`,
      )
    await endpoint(true)
    await stage.annotate('web', { 'gracewatch.dev/drain': 'true' })
    const drained = await stage.condition('web', 'ok', 'False', 'Draining')
    await stage.kubectl('wait', 'pod', 'web', '--for=condition=Ready=false', '--timeout=30s')
    await endpoint(false)
    const at = stage.podNamed('web')
    expect(at.metadata.deletionTimestamp).toBeUndefined()
    expect(conditionOf(at, 'ContainersReady').status).toBe('True')
    expect(stage.endpoint('web', metadata.uid)?.conditions).toMatchObject({ ready: false, serving: false, terminating: false })
    expect(drained.message).toContain('gracewatch.dev/drain')
    await stage.annotate('web', { 'gracewatch.dev/drain': null })
    await stage.condition('web', 'ok', 'True')
    await endpoint(true)
    await stage.annotate('web', { 'gracewatch.dev/drain': 'now' })
    await endpoint(false)
    const lines = stage.linesOf('web').length
    await bed.api.delete(stage.path('Pod', 'web'))
    await bed.observations.waitFor(() => stage.linesOf('web').at(-1)?.type === 'DELETED', 60, 'the pod gone')
    // Nothing is written once the deletion has begun.
    const types = stage
      .linesOf('web')
      .slice(lines - 1)
      .map(({ object }) => JSON.stringify(conditionOf(object, 'gates.example.com/ok')))
    expect(new Set(types).size).toBe(1)
  })

  it('injection: a new Deployment waits for a gate that its template does not name, and no webhook is there', async () => {
    const stage = await bed.stage('inject')
    expect((await bed.api.get('/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations')).items).toEqual([])
    await stage.create(stage.gate('ok', 'web', [ANNOTATION], { inject: true }))
    // The admission's own cache of gates follows within a second or two.
    await passed(3)
    const metadata = { name: 'web', namespace: stage.namespace }
    const template = { metadata: { labels: { app: 'web' } }, spec: stage.podSpec([]) }
    const spec = { replicas: 2, selector: { matchLabels: { app: 'web' } }, template }
    await stage.create({ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec })
    const pods = () =>
      bed.observations.podsIn(stage.namespace).filter(({ object }) => conditionOf(object, 'ContainersReady')?.status === 'True')
    await bed.observations.waitFor(() => pods().length === 2, 60, 'the containers of both pods')
    for (const { object } of pods()) {
      expect(object.spec.readinessGates).toEqual([{ conditionType: 'gates.example.com/ok' }])
      expect(isReady(object)).toBe(false)
      await stage.condition(object.metadata.name, 'ok', 'False')
      await stage.annotate(object.metadata.name, { [OK]: 'yes' })
    }
    await bed.observations.waitFor(() => pods().every(({ object }) => isReady(object)), 60, 'both pods ready')
    const { matched, passing, withoutGate } = await stage.settledStatus('ok', ({ passing }) => passing === 2)
    expect({ matched, passing, withoutGate: withoutGate ?? 0 }).toEqual({ matched: 2, passing: 2, withoutGate: 0 })
  })

  it("a StatefulSet's pod that is made again under its name never has its predecessor's condition", async () => {
    const stage = await bed.stage('sts')
    const metadata = { name: 'db', namespace: stage.namespace }
    const template = { metadata: { labels: { app: 'db' } }, spec: stage.podSpec(['ok']) }
    const spec = { replicas: 1, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template }
    await stage.create(stage.gate('ok', 'db', [ANNOTATION]), { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata, spec })
    const uids: string[] = []
    for (let round = 0; round < 3; round += 1) {
      const pod = await stage.until('db-0', 'made again', ({ metadata }) => !uids.includes(metadata.uid))
      uids.push(pod.metadata.uid)
      await stage.until(
        'db-0',
        'held',
        (it) => it.metadata.uid === pod.metadata.uid && conditionOf(it, 'ContainersReady')?.status === 'True',
      )
      await stage.condition('db-0', 'ok', 'False')
      await stage.annotate('db-0', { [OK]: 'yes' })
      await stage.ready('db-0')
      // The flip to False and the end of the pod go together: what is on its way must not reach the next one.
      if (round === 1) void stage.annotate('db-0', { [OK]: 'no' }).catch(() => undefined)
      await bed.api.delete(stage.path('Pod', 'db-0'), round === 1 ? { gracePeriodSeconds: 0 } : {})
    }
    for (const uid of uids)
      expect(historyOf(stage, 'db-0', 'gates.example.com/ok', uid).slice(0, 3)).toEqual(['missing', 'False', 'True'])
  })

  it('five conditions of five writers and the kubelet at the same time: none is ever lost', async () => {
    const stage = await bed.stage('writers')
    const gates = ['a', 'b', 'own-1', 'own-2', 'own-3']
    const flag = stage.www('web')
    await stage.create(
      stage.gate('a', 'web', [{ annotation: { key: 'example.com/a', value: 'yes' } }]),
      stage.gate('b', 'web', [{ annotation: { key: 'example.com/b', value: 'yes' } }]),
      // The kubelet writes too: its probe passes and fails in turn.
      stage.pod(
        'web',
        gates,
        {
          ...flag.container,
          readinessProbe: { exec: { command: ['test', '-e', '/www/flag'] }, periodSeconds: 1, failureThreshold: 1 },
        },
        flag.spec,
      ),
    )
    await stage.condition('web', 'a', 'False')
    await stage.condition('web', 'b', 'False')
    const type = (gate: string) => `gates.example.com/${gate}`
    const status = (conditions: readonly Raw[]) => bed.api.patch(`${stage.path('Pod', 'web')}/status`, { status: { conditions } })
    for (const gate of gates.slice(2)) await status([{ type: type(gate), status: 'False' }])
    const rounds = 60
    const writer = async (write: (on: boolean) => unknown, pause: number, times = rounds) => {
      for (let round = 0; round < times; round += 1) {
        await write(round % 2 === 0)
        await passed(pause)
      }
    }
    await Promise.all([
      writer((on) => stage.annotate('web', { 'example.com/a': on ? 'yes' : 'no' }), 0.11),
      writer((on) => stage.annotate('web', { 'example.com/b': on ? 'yes' : 'no' }), 0.13),
      ...gates
        .slice(2)
        .map((gate, index) => writer((on) => status([{ type: type(gate), status: on ? 'True' : 'False' }]), 0.09 + index / 50)),
      // Longer than the period of the probe, or it might never see a change.
      writer((on) => (on ? flag.put('flag') : flag.drop('flag')), 1.3, 10),
    ])
    // Every writer ended with an even round's opposite: all False.
    for (const gate of ['a', 'b']) await stage.condition('web', gate, 'False')
    const lines = stage.linesOf('web')
    const all = [...gates.map(type), 'Ready', 'ContainersReady', 'Initialized', 'PodScheduled']
    const missing = (pod: Raw) => all.filter((it) => conditionOf(pod, it) === undefined)
    const whole = lines.findIndex(({ object }) => missing(object).length === 0)
    const lost = lines.slice(whole).flatMap(({ object }) => missing(object))
    expect(lines.length - whole).toBeGreaterThan(3 * rounds)
    expect(lost).toEqual([])
    // The kubelet wrote in the midst of it.
    expect(historyOf(stage, 'web', 'ContainersReady').length).toBeGreaterThan(4)
    const managers = new Set(stage.podNamed('web').metadata.managedFields.map(({ manager }: Raw) => manager))
    expect([...managers].some((manager) => /kubelet/.test(String(manager)))).toBe(true)
  })

  it('a gate that is deleted releases its pods, or leaves the condition where it says so', async () => {
    const stage = await bed.stage('deleted')
    await stage.create(
      stage.gate('releases', 'web', [ANNOTATION]),
      stage.gate('leaves', 'web', [{ annotation: { key: 'example.com/leave', value: 'yes' } }], { onDelete: 'Leave' }),
      stage.pod('web', ['releases', 'leaves']),
    )
    await stage.condition('web', 'releases', 'False')
    const left = await stage.condition('web', 'leaves', 'False')
    await stage.kubectl('delete', 'prg', 'releases', 'leaves', '--timeout=30s')
    expect((await stage.condition('web', 'releases', 'True', 'GateDeleted')).message).toContain('releases')
    await passed(1)
    expect(conditionOf(stage.podNamed('web'), 'gates.example.com/leaves')).toEqual(left)
  })

  it('gates that are wrong say so, and stop no other', async () => {
    const stage = await bed.stage('wrong')
    const refused = (gate: Raw) =>
      bed.api.create(stage.path('PodReadinessGate'), gate).then(
        () => 'taken',
        (error: Error) => error.message,
      )
    const badSelector = { selector: { matchExpressions: [{ key: 'app', operator: 'In' }] } }
    expect(await refused(stage.gate('selector', 'web', [ANNOTATION], badSelector))).toMatch(/values/)
    expect(await refused(stage.gate('port', 'web', [{ httpGet: { port: 0 } }]))).toMatch(/port/)
    expect(await refused(stage.gate('kubelets', 'web', [ANNOTATION], { conditionType: 'Ready' }))).toMatch(/conditionType/)
    await stage.create(
      stage.gate('older', 'web', [ANNOTATION], { conditionType: 'gates.example.com/shared' }),
      stage.pod('web', ['shared']),
    )
    await stage.condition('web', 'shared', 'False')
    // Creation times have whole seconds.
    await passed(1.1)
    const other = [{ annotation: { key: 'example.com/other', value: 'yes' } }]
    await stage.create(stage.gate('younger', 'web', other, { conditionType: 'gates.example.com/shared' }))
    for (const name of ['older', 'younger']) {
      const status = await stage.settledStatus(name, (it) => conditionOf({ status: it }, 'Conflicting')?.status === 'True')
      expect(conditionOf({ status }, 'Conflicting').message).toContain(name === 'older' ? 'younger' : 'older')
    }
    await stage.annotate('web', { 'example.com/other': 'yes' })
    await passed(2)
    expect(conditionOf(stage.podNamed('web'), 'gates.example.com/shared').status).toBe('False')
    await stage.annotate('web', { [OK]: 'yes' })
    await stage.condition('web', 'shared', 'True')
  })

  it('the guide: load-balancer registration by annotation, as it is written', async () => {
    const stage = await bed.stage('guide-lb')
    await guide.apply(stage, 'registration')
    const pods = () => bed.observations.podsIn(stage.namespace).filter(({ type }) => type !== 'DELETED')
    await bed.observations.waitFor(
      () =>
        pods().length === 2 && pods().every(({ object }) => conditionOf(object, 'lb.example.com/registered')?.status === 'False'),
      60,
      'both pods held',
    )
    await guide.run(stage, 'registration')
    expect(pods().every(({ object }) => isReady(object))).toBe(true)
  })

  it('the guide: waiting for a migration Job, as it is written', async () => {
    const stage = await bed.stage('guide-job')
    await guide.apply(stage, 'migration')
    await guide.run(stage, 'migration')
    const pods = bed.observations.podsIn(stage.namespace).filter(({ object }) => object.metadata.labels?.app === 'shop')
    expect(pods).toHaveLength(2)
    for (const { object } of pods) {
      const [held] = historyOf(stage, object.metadata.name, 'shop.example.com/migrated').filter((state) => state !== 'missing')
      expect(held).not.toBe('True')
    }
  })

  it('the guide: the brake, as it is written', async () => {
    const stage = await bed.stage('guide-brake')
    await guide.apply(stage, 'brake')
    const [rollout = '', release = ''] = guide.scripts('brake')
    await guide.script(stage, rollout)
    const { holds } = await stage.settledStatus('handover', (status) => status.holds?.[0]?.message !== undefined)
    expect(holds).toHaveLength(1)
    expect(holds[0].message).toContain('ForcedKill')
    await passed(5)
    const api = () =>
      bed.observations
        .podsIn(stage.namespace)
        .filter(({ type, object }) => type !== 'DELETED' && object.metadata.deletionTimestamp === undefined)
    const old = api().filter(({ object }) => object.spec.containers[0].env === undefined)
    expect(old).toHaveLength(3)
    expect(old.every(({ object }) => isReady(object))).toBe(true)
    await guide.script(stage, release)
    expect(api().filter(({ object }) => object.spec.containers[0].env === undefined)).toEqual([])
  })
})

describe('alone', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await bed.stage('alone')
    const www = stage.www('http')
    www.put('healthz')
    await stage.create(
      stage.gate('ok', 'web', [ANNOTATION]),
      stage.gate('answers', 'http', [{ httpGet: { port: 'web', path: '/healthz', interval: '1s' } }]),
      stage.gate('held', 'held', [ANNOTATION]),
      stage.pod('web', ['ok']),
      stage.pod('http', ['answers'], www.container, www.spec),
      stage.pod('held', ['held']),
    )
    await stage.running('web')
    await stage.annotate('web', { [OK]: 'yes' })
    for (const pod of ['web', 'http']) await stage.ready(pod)
    await stage.condition('held', 'held', 'False')
  })

  const flipsOf = (pod: string) => historyOf(stage, pod, 'Ready')

  it('the controller dies and comes back: nobody loses or gains readiness by it', async () => {
    const before = ['web', 'http', 'held'].map(flipsOf)
    for (const pod of bed.controllerPods())
      await bed.api.delete(`/api/v1/namespaces/gracewatch-system/pods/${pod.metadata.name}`, { gracePeriodSeconds: 0 })
    await bed.scaleController(2)
    // The new leader has looked at everything once it acts on a change.
    await stage.annotate('held', { [OK]: 'yes' })
    await stage.condition('held', 'held', 'True')
    await stage.ready('held')
    await stage.annotate('held', { [OK]: 'no' })
    await stage.condition('held', 'held', 'False')
    await passed(3)
    expect(['web', 'http'].map(flipsOf)).toEqual(before.slice(0, 2))
  })

  it('without a controller all gates are opened by hand, as the guide has it', async () => {
    await bed.scaleController(0)
    await stage.create(stage.pod('newcomer', ['ok', 'held'], {}, {}))
    await guide.run(stage, 'by-hand')
    for (const pod of ['web', 'http', 'held', 'newcomer']) await stage.ready(pod)
    expect(conditionOf(stage.podNamed('newcomer'), 'gates.example.com/ok').reason).toBe('OpenedByHand')
    // Their gates have finalizers, and nobody is there to take them off.
    await bed.deleteNamespaces([stage.namespace])
    await bed.scaleController(2)
    // It sees that the check fails.
    await stage.condition('held', 'held', 'False')
  })

  it('namespaces whose deletion began while no controller was there go once it is back', async () => {
    await bed.removeNamespaces([stage.namespace])
  })

  it('an uninstall with live gates, as the guide has it, releases the pods and leaves nothing', async () => {
    await guide.run(stage, 'uninstall')
    for (const [pod, gate] of [
      ['web', 'ok'],
      ['http', 'answers'],
      ['held', 'held'],
    ] as const) {
      await stage.condition(pod, gate, 'True', 'GateDeleted')
      await stage.ready(pod)
    }
    const left = await bed.cluster.kubectl([
      'get',
      'clusterrole,clusterrolebinding,mutatingadmissionpolicy,mutatingadmissionpolicybinding,priorityclass,namespace,crd',
      '-o',
      'name',
    ])
    const ours = /\/(gracewatch(-(?!agent)|$)|(podterminations|podreadinessgates)\.gracewatch\.dev$)/
    expect(left.split('\n').filter((name) => ours.test(name))).toEqual([])
  })
})
