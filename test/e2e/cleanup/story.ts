/**
 * Cleanup on a real node, installed as a user does it, beside Kubernetes' own controllers: pods that were really evicted, failed and ran to
 * their ends. What goes is what `gracewatch cleanup plan` named, what is protected stays, of each Failed pod the record stands, and whoever owns
 * the pods does not notice. The tests are steps of one story.
 */
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Raw } from '../api.ts'
import { type Bed, conditionOf, type Stage } from '../gates/bed.ts'
import { deletesOf, sizeOf } from './audit.ts'
import { Workloads } from './workloads.ts'

/** Beside other tests, but not beside those of its own describe. */
const IN_ORDER = { concurrent: false }
const ROOT = resolve(import.meta.dirname, '../../..')
const GRACEWATCH = 'system:serviceaccount:gracewatch-system:gracewatch-controller'
const KCM = 'kube-controller-manager'
const MIN_AGE_SECONDS = 5
const YOUNG_SECONDS = 30
/** Long enough for a pass to tell of a pod that is to go by it. */
const TTL_SECONDS = 60
const RULES = ['web', 'nightly', 'task', 'young', 'rest'] as const
/** The pod of the first has its time. */
const IN_HASTE = ['young', 'web', 'nightly', 'task', 'rest'] as const

let bed: Bed
let stage: Stage
let workloads: Workloads
let auditFrom: number
/** Records before any pod was deleted, by the pod's UID. */
let before: ReadonlyMap<string, Raw>
let planned: Planned

interface Planned {
  pods: { name: string; action: string; reason: string; record: boolean; dryRun: boolean }[]
}

const pods = (app: string): Raw[] => present().filter((pod) => pod.metadata.labels?.app === app)
const finished = (pod: Raw): boolean => ['Succeeded', 'Failed'].includes(pod.status?.phase)
const nameOf = (pod: Raw): string => pod.metadata.name
const namesOf = (list: readonly Raw[]): string[] => list.map(nameOf).sort()

function present(): Raw[] {
  return bed.observations.podsIn(stage.namespace).flatMap(({ type, object }) => (type === 'DELETED' ? [] : [object]))
}

/** Every pod that there ever was, as its last line has it. */
const everyPod = (): Raw[] => bed.observations.podsIn(stage.namespace).map(({ object }) => object)

function until(what: string, seconds: number, is: () => boolean): Promise<true> {
  return bed.observations
    .waitFor(() => is() && (true as const), seconds, what)
    .catch((error: Error) => {
      const there = present().map((pod) => `${nameOf(pod)} ${pod.status?.phase} ${pod.status?.reason ?? ''}`)
      throw new Error(`${error.message}; pods: ${there.join(', ')}`)
    })
}

async function eventually<T>(what: string, seconds: number, ask: () => Promise<T | undefined>): Promise<T> {
  const late = performance.now() + seconds * 1000
  for (;;) {
    const found = await ask()
    if (found !== undefined) return found
    if (performance.now() > late) throw new Error(`${what}: not within ${seconds} s`)
    await new Promise((done) => setTimeout(done, 200))
  }
}

const statusOf = async (rule: string): Promise<Raw> => (await bed.api.get(stage.path('PodCleanup', rule))).status

/** The status of a PodCleanup once it is as wanted. */
async function settled(rule: string, seconds: number, is: (status: Raw) => boolean): Promise<Raw> {
  return eventually(`the status of PodCleanup ${rule}`, seconds, async () => {
    const status = await statusOf(rule)
    return status !== undefined && is(status) ? status : undefined
  }).catch(async (error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await statusOf(rule))}`)
  })
}

const keptIn = (status: Raw): Record<string, number> =>
  Object.fromEntries((status.kept ?? []).map(({ reason, count }: Raw) => [reason, count]))

const inOrder = (counts: Readonly<Record<string, number>>): [string, number][] => Object.entries(counts).sort()
const isSame = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean =>
  JSON.stringify(inOrder(a)) === JSON.stringify(inOrder(b))

async function records(): Promise<Map<string, Raw[]>> {
  const { items } = await bed.api.get(stage.path('PodTermination'))
  return Map.groupBy(items as Raw[], (record) => record.pod.uid) // as the API documents a list
}

/** Of each pod that Failed there is one that is Complete. */
async function recordsOf(failed: readonly Raw[]): Promise<Map<string, Raw>> {
  return eventually(`records of ${namesOf(failed).join(', ')}`, 60, async () => {
    const all = await records()
    const found = failed.flatMap(({ metadata: { uid } }): [string, Raw][] => {
      const [record] = all.get(uid) ?? []
      return record?.state === 'Complete' ? [[uid, record]] : []
    })
    return found.length === failed.length ? new Map(found) : undefined
  })
}

/** What a record says of how a pod ended, without what is estimated. */
const lasting = ({ metadata: { uid, creationTimestamp }, state, cause, outcome, finishedAt, containers }: Raw) => ({
  ...{ uid, creationTimestamp, state, cause, outcome, finishedAt },
  containers: containers.map(({ name, outcome: ofIt, exit, stopSignal }: Raw) => ({
    ...{ name, outcome: ofIt },
    ...(exit === undefined ? {} : { code: exit.code }),
    ...(stopSignal === undefined ? {} : { stopSignal: stopSignal.name }),
  })),
})

/** Makes a bare pod and waits for its end. */
async function runsOut(name: string, app: string, code: number, metadata: Raw = {}): Promise<void> {
  await stage.create(workloads.pod(name, app, workloads.ends(code), metadata))
  await stage.until(name, 'ended', finished)
}

/** What is to be done while nobody else needs the controller. */
async function begin(given: { readonly bed: Bed }): Promise<void> {
  bed = given.bed
  stage = await bed.stage('cleanup')
  workloads = new Workloads(stage)
  auditFrom = sizeOf(bed.cluster.auditLogPath)
  // What ends while nobody watches has a record from what is left of it.
  await bed.scaleController(0)
  await runsOut('task-1', 'task', 1)
  await bed.scaleController(2)
}

async function prepare(): Promise<void> {
  await stage.create(
    workloads.deployment('web', 2, workloads.evicted('web', 3)),
    workloads.statefulSet('db', workloads.evicted('db', 1, { waits: true })),
    workloads.daemonSet('log', workloads.evicted('log', 1, { waits: true })),
    workloads.job('once', workloads.ends(0)),
    workloads.job('broken', workloads.ends(1), { backoffLimit: 1 }),
    workloads.job('halfway', workloads.failsOnce('halfway'), { backoffLimit: 3 }),
    workloads.cronJob('nightly', workloads.ends(0)),
  )
  await Promise.all([
    ...[0, 1, 0, 1, 0].map((code, index) => runsOut(`task-${index + 2}`, 'task', code)),
    runsOut('task-kept', 'task', 1, { annotations: { 'gracewatch.dev/keep': '' } }),
    runsOut('task-held', 'task', 1, { finalizers: ['example.com/held'] }),
    runsOut('alone', 'alone', 1),
    ...[1, 2, 3, 4].map((index) => stage.kubectl('create', 'job', `nightly-${index}`, '--from=cronjob/nightly')),
  ])
  const ended = (app: string, count: number) => pods(app).filter(finished).length === count
  await until('the pods of nightly at their ends', 60, () => ended('nightly', 4))
  await until('three pods evicted, and two that run', 180, () => ended('web', 3) && pods('web').filter(isReady).length === 2)
  await until('what fails has failed', 60, () => ended('broken', 2) && ended('halfway', 1) && ended('once', 1))
  await until('db and log run', 60, () => [...pods('db'), ...pods('log')].filter(isReady).length === 2)
  const jobs = ['once', 'broken', 'nightly-1', 'nightly-2', 'nightly-3', 'nightly-4']
  for (const job of jobs) await eventually(`Job ${job} finished`, 60, async () => (await isFinished(job)) || undefined)
  // The Job controller takes its finalizer off what it has counted.
  await until('the finalizers of Jobs gone', 30, () => present().every(notCounted))
}

const isReady = (pod: Raw): boolean => conditionOf(pod, 'Ready')?.status === 'True'
const notCounted = (pod: Raw): boolean => !finished(pod) || !pod.metadata.finalizers?.includes('batch.kubernetes.io/job-tracking')

async function isFinished(job: string): Promise<boolean> {
  const { status } = await bed.api.get(stage.path('Job', job))
  return status.conditions?.some(({ type, status: is }: Raw) => ['Complete', 'Failed'].includes(type) && is === 'True') ?? false
}

function tests(): void {
  describe.concurrent('cleanup beside the controllers of Kubernetes', () => {
    beforeAll(prepare, 600_000)
    it('of each pod that Failed a record tells how, before anybody deletes it', IN_ORDER, async () => {
      const failed = present().filter((pod) => pod.status.phase === 'Failed')
      const counts = Map.groupBy(failed, (pod) => pod.metadata.labels.app)
      expect(Object.fromEntries([...counts].map(([app, its]) => [app, its.length]))).toEqual({
        ...{ web: 3, broken: 2, halfway: 1, alone: 1 },
        // 1, 3, 5, the one that is kept and the one that is held.
        task: 5,
      })
      before = await recordsOf(failed)
      const told = (pod: Raw) => before.get(pod.metadata.uid)
      for (const pod of pods('web').filter(finished)) {
        expect(pod.status.reason).toBe('Evicted')
        expect(told(pod)).toMatchObject({ cause: { type: 'Evicted' }, pod: { workload: { kind: 'Deployment', name: 'web' } } })
      }
      for (const pod of [...pods('broken'), ...pods('alone')]) expect(told(pod)).toMatchObject({ outcome: 'Failed' })
      // The one that nobody saw end says what is not known of it.
      const findings = (pod: Raw) => (told(pod)?.findings ?? []).map(({ type }: Raw) => type)
      expect(findings(stage.podNamed('task-1'))).toContain('EvidenceMissing')
      expect(findings(stage.podNamed('task-3'))).not.toContain('EvidenceMissing')
    })

    it(
      'on dry run the PodCleanups say what they would do, as gracewatch cleanup plan does, and nothing goes',
      IN_ORDER,
      async () => {
        const minAge = `${MIN_AGE_SECONDS}s`
        const app = (name: string) => ({ selector: { matchLabels: { app: name } }, minAge })
        // Those that are too young for the first pass would wait for one of its own accord.
        const oldEnough = () =>
          present()
            .filter(finished)
            .every((pod) => Date.now() - endOf(pod) > (MIN_AGE_SECONDS + 1) * 1000) || undefined
        await eventually('all ends some seconds ago', 30, async () => oldEnough())
        await runsOut('young', 'young', 1)
        await stage.create(
          workloads.cleanup('web', { ...app('web'), keep: { total: 1 } }),
          workloads.cleanup('nightly', { ...app('nightly'), keep: { perOwner: 1 }, finishedJobPods: true }),
          workloads.cleanup('task', { ...app('task'), keep: { total: 4 }, barePods: true }),
          workloads.cleanup('young', { ...app('young'), keep: { total: 0 }, barePods: true, minAge: `${YOUNG_SECONDS}s` }),
          workloads.cleanup('rest', { selector: { matchLabels: { group: 'rest' } }, minAge, keep: { total: 0 } }),
        )
        const said = {
          web: [3, 2, { WithinKeepTotal: 1 }],
          nightly: [4, 3, { WithinKeepPerOwner: 1 }],
          task: [8, 4, { KeepAnnotation: 1, HasFinalizers: 1, WithinKeepTotal: 2 }],
          young: [1, 0, { TooYoung: 1 }],
          rest: [5, 0, { JobFinished: 3, JobNotFinished: 1, BarePod: 1 }],
        } as const
        for (const rule of IN_HASTE) {
          const [candidates, toDelete, kept] = said[rule]
          await settled(rule, 60, (it) => it.candidates === candidates && it.toDelete === toDelete && isSame(keptIn(it), kept))
        }
        planned = await plan()
        expect(planned.pods.map(({ name }) => name).sort()).toEqual(namesOf(present().filter(finished)))
        const would = planned.pods.filter(({ name, action }) => action === 'Delete' && name !== 'young')
        expect(planned.pods.every(({ dryRun }) => dryRun)).toBe(true)
        const oldestFirst = (app: string) =>
          pods(app)
            .filter(finished)
            .sort((a, b) => endOf(a) - endOf(b) || nameOf(a).localeCompare(nameOf(b)))
            .map(nameOf)
        const free = oldestFirst('task').filter((name) => name !== 'task-kept' && name !== 'task-held')
        expect(free[0]).toBe('task-1')
        const expected = [...oldestFirst('web').slice(0, 2), ...oldestFirst('nightly').slice(0, 3), ...free.slice(0, 4)]
        expect(would.map(({ name }) => name).sort()).toEqual(expected.sort())
        const failed = (name: string) => stage.podNamed(name)?.status.phase === 'Failed'
        expect(would.filter(({ record }) => record).map(({ name }) => name)).toEqual(would.map(({ name }) => name).filter(failed))
        expect(deletesOf(bed.cluster.auditLogPath, stage.namespace, auditFrom).filter(({ user }) => user === GRACEWATCH)).toEqual(
          [],
        )
      },
    )

    it(
      'deletes what the plan named and nothing else, each by its UID and version, and none before its time',
      IN_ORDER,
      async () => {
        // The time of both passes meanwhile.
        await stage.create(workloads.job('short', workloads.ends(0), { ttlSecondsAfterFinished: TTL_SECONDS }))
        for (const rule of RULES) await bed.api.patch(stage.path('PodCleanup', rule), { spec: { dryRun: false } }, 'merge')
        await until('the pod of short at its end', 60, () => pods('short').some(finished))
        await settled('rest', 40, (status) => keptIn(status).JobFinished === 4)
        const statuses: Record<string, Raw> = {}
        const deleted = { web: 2, nightly: 3, task: 4, young: 1, rest: 0 } as const
        for (const rule of RULES)
          statuses[rule] = await settled(
            rule,
            YOUNG_SECONDS + 30,
            (it) => (it.deleted ?? 0) === deleted[rule] && it.toDelete === 0,
          )
        const others = planned.pods.filter(({ name }) => name !== 'young')
        const named = others.flatMap(({ name, action }) => (action === 'Delete' ? [name] : []))
        const stay = others.flatMap(({ name, action }) => (action === 'Keep' ? [name] : []))
        const calls = deletesOf(bed.cluster.auditLogPath, stage.namespace, auditFrom).filter(({ user }) => user === GRACEWATCH)
        expect(
          calls
            .filter(({ status }) => status === 200)
            .map(({ name }) => name)
            .sort(),
        ).toEqual([...named, 'young'].sort())
        for (const { preconditions, gracePeriodSeconds } of calls) {
          expect(preconditions?.uid).toBeTypeOf('string')
          expect(preconditions?.resourceVersion).toBeTypeOf('string')
          expect(gracePeriodSeconds).toBeUndefined()
        }
        expect(namesOf(present().filter((pod) => finished(pod) && pod.metadata.labels.app !== 'short'))).toEqual(stay.sort())
        for (const lines of bed.observations.pods.values()) {
          const last = lines.at(-1)
          if (last?.type !== 'DELETED' || last.object.metadata.namespace !== stage.namespace) continue
          const { app } = last.object.metadata.labels
          const minAge = app === 'young' ? YOUNG_SECONDS : MIN_AGE_SECONDS
          expect(last.arrivedAt / 1000 - endOf(last.object), nameOf(last.object)).toBeGreaterThanOrEqual(minAge * 1000)
        }
        for (const rule of RULES) {
          expect(statuses[rule].conditions).toContainEqual(expect.objectContaining({ type: 'Accepted', status: 'True' }))
          expect(statuses[rule].errors ?? []).toEqual([])
        }
        const { items } = await bed.api.get(stage.path('Event'))
        const told = items
          .filter(({ reason }: Raw) => reason === 'PodsDeleted')
          .map(({ involvedObject }: Raw) => involvedObject.name)
        expect([...new Set(told)].sort()).toEqual(['nightly', 'task', 'web', 'young'])
      },
    )

    it(
      'every Failed pod that went has its record; of those recorded as they ended it says the same as before',
      IN_ORDER,
      async () => {
        const gone = everyPod().filter((pod) => pod.status?.phase === 'Failed')
        const after = await records()
        for (const pod of gone) {
          const its = after.get(pod.metadata.uid) ?? []
          expect(its.length, nameOf(pod)).toBe(1)
          expect(its[0], nameOf(pod)).toMatchObject({ state: 'Complete', pod: { name: nameOf(pod) } })
          const known = before.get(pod.metadata.uid)
          // What the kubelet says late may be added to it; that the pod was deleted takes nothing away.
          if (known !== undefined) expect(lasting(its[0]), nameOf(pod)).toMatchObject(lasting(known))
        }
        // What Succeeded was not asked to be recorded.
        expect([...after.keys()].filter((uid) => !gone.some((pod) => pod.metadata.uid === uid))).toEqual([])
      },
    )

    it('a Job with ttlSecondsAfterFinished goes at its time, by its own controller', IN_ORDER, async () => {
      await until('the pod of short gone', TTL_SECONDS + 60, () => pods('short').length === 0)
      const gone = async () => (await bed.api.find(stage.path('Job', 'short'))) === undefined || undefined
      await eventually('Job short gone', 30, gone)
      const calls = deletesOf(bed.cluster.auditLogPath, stage.namespace, auditFrom).filter(({ name }) =>
        name.startsWith('short-'),
      )
      expect(calls.length).toBeGreaterThan(0)
      expect(calls.map(({ user }) => user)).not.toContain(GRACEWATCH)
      await settled('rest', 40, (status) => keptIn(status).JobFinished === 3)
    })

    it('a StatefulSet and a DaemonSet replace their evicted pods themselves', IN_ORDER, async () => {
      // While their controllers are away the evicted pods stand there, for the cleanup to see.
      await bed.cluster.stopPart(KCM)
      const old = [...pods('db'), ...pods('log')].map((pod) => pod.metadata.uid)
      try {
        workloads.go('db')
        workloads.go('log')
        await until('db and log evicted', 120, () =>
          [...pods('db'), ...pods('log')].every((pod) => pod.status.reason === 'Evicted'),
        )
        const status = await settled('rest', 40, ({ candidates }) => candidates === 7)
        expect(keptIn(status)).toEqual({
          OwnedByStatefulSet: 1,
          OwnedByDaemonSet: 1,
          JobFinished: 3,
          JobNotFinished: 1,
          BarePod: 1,
        })
        // And by a pass that comes after it.
        await runsOut('later', 'young', 1)
        await settled('young', 40, (it) => keptIn(it).TooYoung === 1)
        expect([...pods('db'), ...pods('log')].map((pod) => pod.metadata.uid)).toEqual(old)
      } finally {
        await bed.cluster.startPart(KCM)
      }
      await until('new pods of db and log', 120, () => {
        const now = [...pods('db'), ...pods('log')]
        return now.length === 2 && now.every((pod) => isReady(pod) && !old.includes(pod.metadata.uid))
      })
      const calls = deletesOf(bed.cluster.auditLogPath, stage.namespace, auditFrom).filter(({ name }) => /^(db|log)-/.test(name))
      expect(new Set(calls.filter(({ status }) => status === 200).map(({ user }) => user))).not.toContain(GRACEWATCH)
      await recordsOf(everyPod().filter((pod) => old.includes(pod.metadata.uid)))
    })

    it('the counts of Jobs stay right, and nobody made a pod anew', IN_ORDER, async () => {
      const job = async (name: string) => (await bed.api.get(stage.path('Job', name))).status
      for (let index = 1; index <= 4; index += 1) {
        const status = await job(`nightly-${index}`)
        expect(status).toMatchObject({
          succeeded: 1,
          conditions: expect.arrayContaining([expect.objectContaining({ type: 'Complete' })]),
        })
        expect(status.failed ?? 0).toBe(0)
      }
      expect(await job('once')).toMatchObject({ succeeded: 1 })
      expect(await job('broken')).toMatchObject({ failed: 2 })
      expect(await job('halfway')).toMatchObject({ failed: 1, active: 1 })
      expect(await isFinished('halfway')).toBe(false)
      const ever = (app: string) => everyPod().filter((pod) => pod.metadata.labels?.app === app).length
      expect(Object.fromEntries(['web', 'nightly', 'once', 'broken', 'halfway', 'task'].map((app) => [app, ever(app)]))).toEqual({
        ...{ web: 5, nightly: 4, once: 1, broken: 2, halfway: 2 },
        // The tasks are bare: nobody would.
        task: 8,
      })
      const { status } = await bed.api.get(stage.path('Deployment', 'web'))
      expect(status).toMatchObject({ replicas: 2, readyReplicas: 2 })
    })
  })
}

/** Milliseconds since the epoch, in whole seconds: when a pod finished, as far as it says so. */
function endOf(pod: Raw): number {
  const ends = (pod.status.containerStatuses ?? []).map(({ state }: Raw) => Date.parse(state.terminated?.finishedAt ?? ''))
  const known = ends.filter((at: number) => Number.isFinite(at) && at > 0)
  return known.length > 0 ? Math.max(...known) : Date.parse(pod.status.startTime ?? pod.metadata.creationTimestamp)
}

async function plan(): Promise<Planned> {
  const args = ['cleanup', 'plan', '-n', stage.namespace, '-o', 'json', '--kubeconfig', bed.cluster.kubeconfigPath]
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'src/cli/main.ts'), ...args])
  return JSON.parse(stdout) as Planned // its own documented form
}

export function story(given: { readonly bed: Bed }): void {
  beforeAll(() => begin(given), 180_000)
  // The finalizer would hold the namespace.
  afterAll(() =>
    bed?.api.patch(stage.path('Pod', 'task-held'), { metadata: { finalizers: null } }, 'merge').catch(() => undefined),
  )
  tests()
}
