/** The rollout brake on the real cluster: what a person sees whose new revision rolls out over pods that do not stop. */
import { readFileSync } from 'node:fs'
import { delimiter, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type RunResult, tryRun } from '../../cluster/run.ts'
import { SEARCH_PATH } from '../../cluster/settings.ts'
import type { Raw } from '../api.ts'
import { conditionOf, type Stage } from './bed.ts'
import { useGates } from './use-gates.ts'

const given = useGates('the tests of the brake')
/** PID 1 without a handler: SIGTERM does nothing, and SIGKILL comes when the grace period is over. */
const DEAF = ['sleep', '1000000']
const WELL_BEHAVED = ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 0.2; done']
const GRACE_SECONDS = 5
const TYPE = 'gates.example.com/handover'
const told: string[] = []

afterAll(() => {
  if (told.length > 0) console.log(`\n${told.join('\n')}`)
})

const passed = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1_000))
const isReady = (pod: Raw) => conditionOf(pod, 'Ready')?.status === 'True'
const versionOf = (pod: Raw): string | undefined => pod.spec.containers[0].env?.[0]?.value

/** What the alert RolloutHeldByBrake leads to: its commands, of gate handover and Deployment web in namespace shop. */
const RUNBOOK = readFileSync(resolve(import.meta.dirname, '../../../docs/runbooks/RolloutHeldByBrake.md'), 'utf8')

class Rollout {
  readonly stage: Stage
  readonly kind: 'Deployment' | 'StatefulSet'
  readonly name = 'web'
  #template: Raw

  private constructor(stage: Stage, kind: 'Deployment' | 'StatefulSet', command: readonly string[]) {
    this.stage = stage
    this.kind = kind
    this.#template = {
      metadata: { labels: { app: this.name } },
      spec: stage.podSpec(
        ['handover'],
        { command, env: [{ name: 'VERSION', value: '1' }] },
        { terminationGracePeriodSeconds: GRACE_SECONDS },
      ),
    }
  }

  /** The workload with its first version, behind a Service, all of its pods ready, and a gate with these fields of the brake. */
  static async start(
    slug: string,
    {
      kind = 'Deployment',
      replicas,
      command,
      brake = {},
    }: { kind?: Rollout['kind']; replicas: number; command: readonly string[]; brake?: Raw },
  ): Promise<Rollout> {
    const stage = await given.bed.stage(slug)
    const rollout = new Rollout(stage, kind, command)
    const { name } = rollout
    const metadata = { name, namespace: stage.namespace }
    const spec = { replicas, selector: { matchLabels: { app: name } }, template: rollout.#template }
    await stage.create(
      { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: { app: name }, ports: [{ port: 80 }] } },
      stage.gate('handover', name, [{ handover: brake }]),
      { apiVersion: 'apps/v1', kind, metadata, spec: kind === 'StatefulSet' ? { serviceName: name, ...spec } : spec },
    )
    await rollout.ready('1', replicas)
    return rollout
  }

  /** Begins the rollout of another version. */
  async roll(version: string): Promise<void> {
    const containers = [{ name: 'app', env: [{ name: 'VERSION', value: version }] }]
    await given.bed.api.patch(this.stage.path(this.kind, this.name), { spec: { template: { spec: { containers } } } })
  }

  /** Living pods of a version. */
  pods(version: string): Raw[] {
    return given.bed.observations
      .podsIn(this.stage.namespace)
      .filter(({ type, object }) => type !== 'DELETED' && object.metadata.deletionTimestamp === undefined)
      .map(({ object }) => object)
      .filter((pod) => versionOf(pod) === version)
  }

  ready(version: string, count: number, seconds = 90): Promise<true> {
    const now = () => this.pods(version).filter(isReady).length
    return given.bed.observations
      .waitFor(() => now() >= count && (true as const), seconds, `${count} pods of version ${version} ready`)
      .catch((error: Error) => {
        const conditions = this.pods(version).map((pod) => JSON.stringify(conditionOf(pod, TYPE)))
        throw new Error(`${error.message}: ${now()} are; ${conditions.join(', ')}`)
      })
  }

  /** Waits until a pod of the version is held for bad ends, and returns its condition. */
  held(version: string): Promise<Raw> {
    const found = () =>
      this.pods(version)
        .map((pod) => conditionOf(pod, TYPE))
        .find((condition) => condition?.reason === 'RolloutHeld')
    return given.bed.observations.waitFor(found, 60, `a pod of version ${version} held`)
  }

  /** How many pods the Service sends traffic to. */
  serving(version: string): number {
    return this.pods(version).filter(({ metadata }) => this.stage.endpoint(this.name, metadata.uid)?.conditions.serving === true)
      .length
  }

  /** Messages of the Events about the workload with this reason. */
  async events(reason: string): Promise<Raw[]> {
    const { namespace } = this.stage
    const selector = `involvedObject.name=${this.name},involvedObject.kind=${this.kind},reason=${reason}`
    const { items } = await given.bed.api.get(
      `/api/v1/namespaces/${namespace}/events?fieldSelector=${encodeURIComponent(selector)}`,
    )
    return items
  }

  /** A command of the runbook, as a person types it. */
  async types(command: string): Promise<RunResult> {
    const { kubectlFolder, kubeconfigPath } = given.bed.cluster
    const typed = command.replace('-n shop', `-n ${this.stage.namespace}`)
    const env = { KUBECONFIG: kubeconfigPath, PATH: [kubectlFolder, SEARCH_PATH].join(delimiter) }
    return tryRun('bash', ['-c', typed], { env })
  }

  records(): Promise<Raw[]> {
    return given.bed.api
      .get(`/apis/gracewatch.dev/v1alpha1/namespaces/${this.stage.namespace}/podterminations`)
      .then(({ items }) => items)
  }
}

describe.concurrent('the brake', () => {
  it('stops a rollout after the first forced kill, lets scale-ups and replacements pass, and lets it go on once released', async () => {
    const rollout = await Rollout.start('brake', { replicas: 6, command: DEAF })
    const { stage } = rollout
    const started = performance.now()
    await rollout.roll('2')
    const condition = await rollout.held('2')
    told.push(`held ${((performance.now() - started) / 1_000).toFixed(1)} s after the new template: ${condition.message}`)

    // It stands: one step of the rollout was taken, by the Deployment's own maxUnavailable.
    await passed(2 * GRACE_SECONDS)
    expect(rollout.pods('1').filter(isReady)).toHaveLength(5)
    expect(rollout.serving('1')).toBe(5)
    expect(rollout.pods('2')).toHaveLength(3)
    expect(rollout.pods('2').filter(isReady)).toEqual([])
    const outcomes = (await rollout.records()).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['ForcedKill'])

    // It says so: on the pod, on the gate, and on the Deployment, with the command that ends it.
    const command = /kubectl annotate .*$/.exec(condition.message)?.[0] ?? ''
    const { holds = [], conditions = [], holding } = await stage.gateStatus('handover')
    expect(holds).toHaveLength(1)
    expect(holds[0]).toMatchObject({ workload: { kind: 'Deployment', name: 'web' } })
    expect(holds[0].message).toContain(command)
    expect(conditionOf({ status: { conditions } }, 'Holding')?.status).toBe('True')
    expect(holding).toBe(3)
    const events = await rollout.events('RolloutHeld')
    expect(events).toMatchObject([{ type: 'Warning', message: expect.stringContaining(command) }])
    told.push(`Event RolloutHeld: ${events[0]?.message}`)

    // A scale-up: the Deployment adds pods to both revisions; those of the old one are let in.
    await given.bed.api.patch(stage.path('Deployment', 'web'), { spec: { replicas: 9 } })
    await rollout.ready('1', 7)
    expect(rollout.pods('2').filter(isReady)).toEqual([])

    // A pod that is drained off its node: its ReplicaSet makes another, which is let in.
    const [victim] = rollout.pods('1').filter(isReady)
    const old = rollout.pods('1').filter(isReady).length
    const known = new Set(rollout.pods('1').map(({ metadata }) => metadata.uid))
    await given.bed.api.create(`${stage.path('Pod', victim.metadata.name)}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: victim.metadata.name, namespace: stage.namespace },
    })
    await given.bed.observations.waitFor(
      () => rollout.pods('1').some((pod) => !known.has(pod.metadata.uid) && isReady(pod)),
      60,
      'the replacement of the drained pod ready',
    )
    await rollout.ready('1', old)
    await passed(GRACE_SECONDS + 2)
    expect(rollout.pods('2').filter(isReady)).toEqual([])

    // The command of the message, as it stands there.
    const [program = '', ...args] = command.split(' ')
    expect(program).toBe('kubectl')
    await given.bed.cluster.kubectl(args)
    const released = performance.now()
    await stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=180s')
    expect(rollout.pods('1')).toEqual([])
    expect(rollout.pods('2').filter(isReady).length).toBe(9)
    told.push(`the other pods of 9 handed over ${((performance.now() - released) / 1_000).toFixed(1)} s after the release`)
    expect(await rollout.events('RolloutReleased')).toMatchObject([{ type: 'Normal' }])
    await stage.settledStatus('handover', (status) => conditionOf({ status }, 'Holding')?.status === 'False')
    // What was let in was never put out again.
    for (const lines of given.bed.observations.pods.values()) {
      if (lines[0]?.object.metadata.namespace !== stage.namespace) continue
      const states = lines
        .filter(({ type, object }) => type !== 'DELETED' && object.metadata.deletionTimestamp === undefined)
        .map(({ object }) => conditionOf(object, TYPE)?.status)
      const first = states.indexOf('True')
      if (first >= 0) expect(states.slice(first).every((state) => state === 'True')).toBe(true)
    }
  })

  it('does not stop the rollout of pods that end well', async () => {
    const rollout = await Rollout.start('well', { replicas: 4, command: WELL_BEHAVED })
    const started = performance.now()
    await rollout.roll('2')
    await rollout.stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=120s')
    told.push(
      `a rollout of 4 pods that end well took ${((performance.now() - started) / 1_000).toFixed(1)} s, one verdict after the other`,
    )
    expect(rollout.pods('1')).toEqual([])
    expect(await rollout.events('RolloutHeld')).toEqual([])
  })

  it('ends by itself once the window has passed', async () => {
    const rollout = await Rollout.start('window', { replicas: 2, command: DEAF, brake: { window: '20s' } })
    await rollout.roll('2')
    const { message } = await rollout.held('2')
    expect(message).toContain('20 s')
    await rollout.ready('2', 1, 60)
    // Each further bad end holds it again, for as long as its own window.
    await rollout.stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=120s')
  })

  it('ends after maxHold, for that revision for good', async () => {
    const rollout = await Rollout.start('max-hold', { replicas: 3, command: DEAF, brake: { maxHold: '10s' } })
    await rollout.roll('2')
    await rollout.held('2')
    await rollout.stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=120s')
    const { holds } = await rollout.stage.gateStatus('handover')
    expect(holds).toMatchObject([{ releasedBy: 'MaxHold' }])
    expect(await rollout.events('RolloutReleased')).toHaveLength(1)
  })

  it('stops a StatefulSet too: no further pod of it is touched', async () => {
    const rollout = await Rollout.start('sts-brake', { kind: 'StatefulSet', replicas: 3, command: DEAF })
    const before = rollout.pods('1').map(({ metadata }) => metadata.uid)
    await rollout.roll('2')
    const { message } = await rollout.held('2')
    expect(message).toContain('StatefulSet web')
    await passed(2 * GRACE_SECONDS)
    expect(rollout.pods('2').map(({ metadata }) => metadata.name)).toEqual(['web-2'])
    const old = rollout.pods('1')
    expect(old.map(({ metadata }) => metadata.name).toSorted()).toEqual(['web-0', 'web-1'])
    expect(old.every((pod) => isReady(pod) && before.includes(pod.metadata.uid))).toBe(true)
    await rollout.stage.kubectl('annotate', 'statefulset', 'web', 'gracewatch.dev/release=now')
    await rollout.ready('2', 3, 120)
  })

  it('is looked into and released by the commands of its runbook, as they are written', async () => {
    const rollout = await Rollout.start('runbook', { replicas: 4, command: DEAF })
    const { namespace } = rollout.stage
    await rollout.roll('2')
    const { message } = await rollout.held('2')
    await rollout.stage.settledStatus('handover', ({ holds }) => holds?.length === 1)
    const [record] = await rollout.records()
    const [, script = ''] = /## What to look at\n.*?```sh\n(.*?)```/s.exec(RUNBOOK) ?? []
    const [holds = '', records = '', one = '', status = '', ...others] = script.trim().split('\n')
    expect(others).toEqual([])
    const release = /kubectl annotate .*$/.exec(message)?.[0] ?? ''
    expect(await rollout.types(holds)).toMatchObject({ code: 0, stdout: expect.stringContaining(release) })
    expect(await rollout.types(records)).toMatchObject({ code: 0, stdout: expect.stringMatching(/ ForcedKill /) })
    const described = await rollout.types(one.replace('NAME', record.metadata.name))
    expect(described).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Outcome: +ForcedKill$/m) })
    // It waits, as the page says.
    expect(await rollout.types(status)).toMatchObject({ code: 1, stderr: expect.stringContaining('timed out waiting') })

    const [, written = ''] = /`(kubectl annotate [^`]+)`/.exec(RUNBOOK) ?? []
    const revision = /gracewatch\.dev\/release=(\S+)/.exec(release)?.[1] ?? ''
    const filled = written.replace('REVISION', revision)
    expect(filled.replace('-n shop', `-n ${namespace}`)).toBe(release)
    expect(await rollout.types(filled)).toMatchObject({ code: 0 })
    await rollout.stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=120s')
    expect(rollout.pods('1')).toEqual([])
  })

  it('lets a rollback pass, by the command of the runbook', async () => {
    const rollout = await Rollout.start('rollback', { replicas: 4, command: DEAF })
    await rollout.roll('2')
    await rollout.held('2')
    const [, undo = ''] = /`(kubectl rollout undo [^`]+)`/.exec(RUNBOOK) ?? []
    expect(await rollout.types(undo)).toMatchObject({ code: 0 })
    await rollout.stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=90s')
    expect(rollout.pods('1').filter(isReady)).toHaveLength(4)
  })
})

it('a hold outlives the controllers: nobody is let in by a new leader, and nobody is told twice', async () => {
  const rollout = await Rollout.start('restart', { replicas: 4, command: DEAF })
  await rollout.roll('2')
  await rollout.held('2')
  const before = await rollout.stage.settledStatus('handover', ({ holds }) => holds?.length === 1)
  for (const { metadata } of given.bed.controllerPods())
    await given.bed.api.delete(`/api/v1/namespaces/gracewatch-system/pods/${metadata.name}`, { gracePeriodSeconds: 0 })
  await given.bed.scaleController(2)
  // One of its own asks of the new leader, which is at work once it has answered.
  const { stage } = rollout
  await stage.create(stage.gate('witness', 'witness', [{ endpoints: {} }]), stage.pod('witness', ['witness']))
  await stage.condition('witness', 'witness', 'True')
  await passed(2 * GRACE_SECONDS)
  expect(rollout.pods('2').filter(isReady)).toEqual([])
  expect(rollout.pods('1').filter(isReady)).toHaveLength(3)
  const after = await stage.gateStatus('handover')
  expect(after.holds).toHaveLength(1)
  expect(after.holds[0].since).toBe(before.holds[0].since)
  expect((await rollout.events('RolloutHeld')).map(({ count = 1 }) => count)).toEqual([1])
  expect(await rollout.events('RolloutReleased')).toEqual([])
  await stage.kubectl('annotate', 'deployment', 'web', 'gracewatch.dev/release=now')
  await stage.kubectl('rollout', 'status', 'deployment/web', '--timeout=90s')
})
