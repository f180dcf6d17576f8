/**
 * Alerts and dashboard on a real node: the chart with every part switched on, scraped by a real Prometheus as docs/metrics.md has it. A pod
 * is force-killed, and the alert goes through a real Alertmanager to a webhook; it names the workload and resolves. A controller that starts
 * anew alerts nobody. Each panel of the dashboard shows something. The times of the rules are shortened; promtool has the real ones.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { ROWS } from '../../../src/dashboard/panels.ts'
import { CHART, helm } from '../../chart/helm.ts'
import { emptyForChart } from '../../chart/on-cluster.ts'
import { type Cluster, ensureCluster, terminalProgress } from '../../cluster/index.ts'
import { run } from '../../cluster/run.ts'
import { Alerting, quickRules } from '../../prometheus/alerting.ts'
import { scrapeConfig } from '../../prometheus/scrape-config.ts'
import { Prometheus } from '../../prometheus/server.ts'

const MINUTES = 60_000
/** As for the scenarios: what runs is somebody else's, and stays. */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const SYSTEM = 'gracewatch-system'
const SHOP = 'alerts-shop'
/** Has no room for records. */
const FULL = 'alerts-full'
/** Keeps the object of a pod. */
const FINALIZER = 'example.com/wait'
const ROOT = resolve(import.meta.dirname, '../../..')
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-alerts-'))

let cluster: Cluster
let alerting: Alerting
let prometheus: Prometheus
let busybox: string

const kubectl = (...args: string[]) => cluster.kubectl(args)
const create = (object: object) => cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) })

async function chart(command: 'install' | 'uninstall', ...args: string[]): Promise<void> {
  const { code, stderr } = await helm('4', [command, 'gracewatch', ...args, '-n', SYSTEM, '--wait', '--timeout=4m'], {
    env: { KUBECONFIG: cluster.kubeconfigPath },
  })
  if (code !== 0) throw new Error(stderr)
}

interface Workload {
  readonly name: string
  readonly script: string
  readonly graceSeconds: number
  readonly finalizer?: string
  readonly spec?: object
  readonly container?: object
}

async function deploy({ name, script, graceSeconds, finalizer, spec = {}, container = {} }: Workload): Promise<void> {
  const labels = { app: name }
  const containers = [{ name: 'app', image: busybox, command: ['sh', '-c', script], ...container }]
  const metadata = { labels, ...(finalizer === undefined ? {} : { finalizers: [finalizer] }) }
  const template = { metadata, spec: { terminationGracePeriodSeconds: graceSeconds, containers, ...spec } }
  await create({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: SHOP },
    spec: { replicas: 1, selector: { matchLabels: labels }, template },
  })
  await create({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: SHOP },
    spec: { selector: labels, ports: [{ port: 80 }] },
  })
}

interface Pods {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string }
    readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
  }[]
}

/** Names of its pods that run and stay. */
async function running(app: string): Promise<string[]> {
  const pods: Pods = JSON.parse(await kubectl('get', 'pods', '-l', `app=${app}`, '-n', SHOP, '-o', 'json'))
  const ready = ({ type, status }: { type: string; status: string }) => type === 'ContainersReady' && status === 'True'
  return pods.items.flatMap(({ metadata, status }) =>
    metadata.deletionTimestamp === undefined && status.conditions?.some(ready) ? [metadata.name] : [],
  )
}

/** Deletes its pod once it runs. That of a Deployment is there a little later, and kubectl does not wait for one that is not. */
async function remove(app: string, ...flags: string[]): Promise<void> {
  await expect.poll(() => running(app), { timeout: 2 * MINUTES, interval: 500 }).toHaveLength(1)
  await kubectl('delete', 'pods', ...(await running(app)), '-n', SHOP, ...flags)
}

/** The same, and returns when they are gone. */
const end = (app: string) => remove(app, '--timeout=120s')

/** Lets the pods go that FINALIZER keeps. */
async function release(...apps: readonly string[]): Promise<void> {
  const chosen = ['get', 'pods', '-l', `app in (${apps.join()})`, '-n', SHOP, '-o', 'name']
  const { stdout = '' } = (await cluster?.tryKubectl(chosen)) ?? {}
  const free = ['--type=merge', '-p', '{"metadata":{"finalizers":null}}']
  for (const pod of stdout.split('\n').filter(Boolean)) await cluster.tryKubectl(['patch', pod, '-n', SHOP, ...free])
}

beforeAll(async () => {
  if (EXTERNAL) return
  const progress = terminalProgress(process.stderr)
  cluster = await ensureCluster({ shape: 'node', progress, command: 'npm test -- e2e (alerts)' })
  const image = await emptyForChart(cluster, progress)
  await release('stuck', 'traced')
  await kubectl('delete', 'namespace', SHOP, FULL, '--ignore-not-found', '--timeout=180s')
  busybox = (await cluster.images()).find((reference) => reference.includes('/busybox:')) ?? ''
  const separator = image.lastIndexOf(':')
  const values = {
    image: { repository: image.slice(0, separator), tag: image.slice(separator + 1) },
    crds: { keep: false },
    ...{ agent: { enabled: true }, gates: { enabled: true }, cleanup: { enabled: true }, dashboard: { enabled: true } },
    page: { enabled: true },
    metrics: { readers: [{ name: 'prometheus', namespace: SHOP }] },
  }
  const file = join(folder, 'values.yaml')
  writeFileSync(file, stringify(values))
  await kubectl('create', 'namespace', SHOP)
  await kubectl('create', 'serviceaccount', 'prometheus', '-n', SHOP)
  await chart('install', CHART, '--create-namespace', `--values=${file}`)
  await kubectl('rollout', 'status', 'daemonset/gracewatch-agent', '-n', 'gracewatch-agent-system', '--timeout=180s')
  const token = (await kubectl('create', 'token', 'prometheus', '-n', SHOP, '--duration=2h')).trim()

  alerting = await Alerting.start()
  writeFileSync(join(folder, 'rules.yaml'), stringify(quickRules()))
  prometheus = await Prometheus.start({
    global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' },
    rule_files: [join(folder, 'rules.yaml')],
    alerting: alerting.config,
    scrape_configs: [scrapeConfig(cluster.kubeconfigPath, token)],
  })
}, 20 * MINUTES)

afterAll(async () => {
  rmSync(folder, { recursive: true })
  if (EXTERNAL) return
  await prometheus?.stop()
  await alerting?.stop()
  await release('stuck', 'traced')
  await cluster?.tryKubectl(['delete', 'namespace', SHOP, FULL, '--wait=false'])
  await chart('uninstall').catch((error: Error) => console.error(error.message))
  await cluster?.close()
}, 10 * MINUTES)

const statuses = (alert: string, workload: string) =>
  alerting.of(alert).flatMap(({ status, labels }) => (labels.workload === workload ? [status] : []))
const firings = (alert: string) => alerting.of(alert).filter(({ status }) => status === 'firing').length

describe.skipIf(EXTERNAL)('the alerts', () => {
  it('have both replicas and the agent scraped, as the page says', async () => {
    await expect.poll(() => prometheus.query('up == 1'), { timeout: MINUTES }).toHaveLength(3)
    const nodes = async () => (await prometheus.query('gracewatch_agent_tracing == 1')).map(({ metric }) => metric.node)
    await expect.poll(nodes, { timeout: MINUTES }).toEqual([cluster.nodeName])
    await expect.poll(() => prometheus.query('gracewatch_leader == 1'), { timeout: MINUTES }).toHaveLength(1)
  })

  it(
    'tell of the first forced kill of a workload and of its reason, and resolve',
    async () => {
      // Process 1 has no handler: the signal is dropped, and SIGKILL comes after the grace period.
      await deploy({ name: 'web', script: 'exec sleep 1000000', graceSeconds: 3 })
      await deploy({
        name: 'stuck',
        script: 'trap "exit 0" TERM; while :; do sleep 0.1; done',
        graceSeconds: 3,
        finalizer: FINALIZER,
      })
      await remove('stuck', '--wait=false')
      await end('web')

      await expect.poll(() => statuses('PodsForceKilled', 'web')[0], { timeout: MINUTES }).toBe('firing')
      const [alert] = alerting.of('PodsForceKilled')
      expect(alert?.labels).toMatchObject({ namespace: SHOP, workload_kind: 'Deployment', workload: 'web', severity: 'warning' })
      expect(alert?.annotations.description).toMatch(new RegExp(`^Deployment ${SHOP}/web: about [12] killed by force`))
      // The command of the description finds the record.
      const [, command = ''] = /kubectl (get podterminations .*)$/.exec(alert?.annotations.description ?? '') ?? []
      expect(await kubectl(...command.split(' '))).toMatch(/^web-\S+ .*ForcedKill/m)
      await expect.poll(() => statuses('StopSignalIgnored', 'web'), { timeout: MINUTES }).toContain('firing')
      expect(alerting.of('StopSignalIgnored')[0]?.labels.finding).toBe('StopSignalIgnored')

      await expect.poll(() => statuses('PodsForceKilled', 'web').at(-1), { timeout: 2 * MINUTES }).toBe('resolved')
    },
    6 * MINUTES,
  )

  it(
    'are silent while the controller starts anew, and after it',
    async () => {
      const before = firings('PodsForceKilled')
      await kubectl('rollout', 'restart', 'deployment/gracewatch-controller', '-n', SYSTEM)
      await kubectl('rollout', 'status', 'deployment/gracewatch-controller', '-n', SYSTEM, '--timeout=180s')
      await expect.poll(() => prometheus.query('gracewatch_leader == 1'), { timeout: MINUTES }).toHaveLength(1)
      // What the new leader counted a second time would have been told by then.
      await sleep(20_000)
      expect(firings('PodsForceKilled')).toBe(before)
      expect(alerting.of('RecorderBlind')).toEqual([])
    },
    6 * MINUTES,
  )

  it(
    'tell of a pod that is past its deadline and stays',
    async () => {
      await expect.poll(() => statuses('PodStuckTerminating', 'stuck')[0], { timeout: 2 * MINUTES }).toBe('firing')
    },
    3 * MINUTES,
  )

  it(
    'have it told how long a gate holds a pod',
    async () => {
      const condition = 'example.com/approved'
      await create({
        apiVersion: 'gracewatch.dev/v1alpha1',
        kind: 'PodReadinessGate',
        metadata: { name: 'approved', namespace: SHOP },
        spec: {
          selector: { matchLabels: { app: 'gated' } },
          conditionType: condition,
          checks: [{ annotation: { key: 'example.com/approved', value: 'yes' } }],
        },
      })
      const readinessGates = [{ conditionType: condition }]
      await deploy({
        name: 'gated',
        script: 'trap "exit 0" TERM; while :; do sleep 0.1; done',
        graceSeconds: 10,
        spec: { readinessGates },
      })
      const held = () => prometheus.query('max by (namespace, gate) (gracewatch_gate_longest_hold_seconds) > 5')
      await expect.poll(held, { timeout: MINUTES }).toMatchObject([{ metric: { namespace: SHOP, gate: 'approved' } }])
    },
    3 * MINUTES,
  )
})

/**
 * They show what does not happen here: an endpoint that is seen to be ready at the stop signal (the two are milliseconds apart, so that it
 * mostly is not known), a node without an agent, a brake that holds, evidence for which there is no room.
 */
const EMPTY = [
  'Endpoint lag by workload',
  'From the stop signal to the exit, as the API tells it',
  'Rollouts that the brake holds',
  'Evidence dropped',
]

/** Lets the pod of the gate's workload in. */
async function approve(): Promise<void> {
  await expect.poll(() => running('gated'), { timeout: 2 * MINUTES, interval: 500 }).toHaveLength(1)
  const [name = ''] = await running('gated')
  await kubectl('annotate', 'pod', name, 'example.com/approved=yes', '-n', SHOP)
  await kubectl('wait', `pod/${name}`, '--for=condition=Ready', '-n', SHOP, '--timeout=60s')
}

/** Finished pods that a rule may delete at once; their records are refused where the namespace has no room for any. */
async function finished(namespace: string, annotations: Readonly<Record<string, object>>): Promise<void> {
  for (const [name, own] of Object.entries(annotations)) {
    await create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: 'finished' }, annotations: own },
      spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: busybox, command: ['false'] }] },
    })
  }
  await create({
    apiVersion: 'gracewatch.dev/v1alpha1',
    kind: 'PodCleanup',
    metadata: { name: 'finished', namespace },
    spec: { selector: { matchLabels: { app: 'finished' } }, olderThan: '1s', minAge: '0s', barePods: true },
  })
}

describe.skipIf(EXTERNAL)('the dashboard', () => {
  it(
    'shows something in each panel, but for those of what does not happen here',
    async () => {
      const preStop = { exec: { command: ['sleep', '1'] } }
      await deploy({
        name: 'slow',
        script: 'trap "sleep 1; exit 0" TERM; while :; do sleep 0.1; done',
        graceSeconds: 20,
        container: { lifecycle: { preStop } },
      })
      await end('slow')
      // Prometheus sees no increase in what it meets first: the second is told.
      const measured = () => prometheus.query('gracewatch_container_prestop_duration_seconds_count{workload="slow"}')
      await expect.poll(measured, { timeout: MINUTES }).toHaveLength(1)
      await end('slow')
      await finished(SHOP, { finished: {}, kept: { 'gracewatch.dev/keep': '' } })
      await kubectl('create', 'namespace', FULL)
      await kubectl('create', 'quota', 'no-records', '-n', FULL, '--hard=count/podterminations.gracewatch.dev=0')
      await finished(FULL, { refused: {} })
      await approve()
      await end('web')
      const seen = (expr: string) => expect.poll(() => prometheus.query(expr), { timeout: MINUTES }).toHaveLength(1)
      await seen('gracewatch_gate_hold_duration_seconds_count > 0')
      await end('gated')
      await approve()
      // One is held from now on.
      await end('gated')
      // More signals than an agent can read, of the pod's own.
      const flood = 'n=0; while [ $n -lt 400000 ]; do kill -TERM 1; n=$((n+1)); done'
      await deploy({ name: 'flood', script: `trap "" TERM; ${flood}; exec sleep 1000000`, graceSeconds: 1 })
      await cluster.killPart('kube-apiserver')
      await cluster.startPart('kube-apiserver')

      const queries = ROWS.flatMap(({ panels }) => panels)
      const empty = async (): Promise<string[]> => {
        const found: string[] = []
        for (const { title, queries: asked } of queries) {
          const answers = await Promise.all(
            asked.map(({ expr }) =>
              prometheus.query(
                expr
                  .replaceAll('$__rate_interval', '5m')
                  .replaceAll('$__range', '30m')
                  .replaceAll(/\$(namespace|workload)/g, '.*'),
              ),
            ),
          )
          if (!answers.flat().some(({ value }) => Number.isFinite(value))) found.push(title)
        }
        return found.filter((title) => !EMPTY.includes(title))
      }
      await expect.poll(empty, { timeout: 2 * MINUTES, interval: 2000 }).toEqual([])
    },
    8 * MINUTES,
  )

  it('lies in the cluster, as the sidecar of Grafana reads it', async () => {
    const found = await kubectl(
      'get',
      'configmaps',
      '-A',
      '-l',
      'grafana_dashboard=1',
      '-o',
      'jsonpath={.items[*].data.gracewatch\\.json}',
    )
    expect(JSON.parse(found)).toMatchObject({ uid: 'gracewatch' })
  })
})

it.skipIf(EXTERNAL)(
  'the page of the controller shows all of it to who may port-forward, by the name of this machine alone',
  async () => {
    const env = { ...process.env, KUBECONFIG: cluster.kubeconfigPath }
    const args = ['port-forward', '-n', SYSTEM, 'deploy/gracewatch-controller', ':8085']
    const child = spawn(cluster.kubectlPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    const port = () => /127\.0\.0\.1:(\d+) -> 8085/.exec(said)?.[1]
    await expect.poll(port, { timeout: MINUTES, message: said }).toBeDefined()
    const list = await fetch(`http://localhost:${port()}/?namespace=${SHOP}&outcome=ForcedKill`)
    expect(list.status).toBe(200)
    expect(await list.text()).toMatch(new RegExp(`${SHOP}/web-[a-z0-9-]+`))
    const elsewhere = request({ port: port(), host: '127.0.0.1', headers: { host: 'gracewatch.example.com' } }).end()
    const [{ statusCode }] = await once(elsewhere, 'response')
    expect(statusCode).toBe(421)
  },
)

const gracewatch = (...args: string[]) =>
  run(process.execPath, [join(ROOT, 'src/cli/main.ts'), ...args, '-n', SHOP, '--kubeconfig', cluster.kubeconfigPath])

describe.skipIf(EXTERNAL)('the command', () => {
  it(
    'trace takes in what the agent measures',
    async () => {
      const spec = {
        terminationGracePeriodSeconds: 20,
        containers: [{ name: 'app', image: busybox, command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done'] }],
      }
      const metadata = { name: 'traced', namespace: SHOP, labels: { app: 'traced' }, finalizers: [FINALIZER] }
      await create({ apiVersion: 'v1', kind: 'Pod', metadata, spec })
      await expect.poll(() => running('traced'), { timeout: 2 * MINUTES, interval: 500 }).toEqual(['traced'])
      const traced = gracewatch('trace', '--delete', 'traced', '-y', '-o', 'json')
      traced.catch(() => {}) // told below
      const recorded = ['get', 'podterminations', '-n', SHOP, '--field-selector=pod.name=traced']
      const complete = () => kubectl(...recorded, '-o', 'jsonpath={.items[*].kernel.complete}')
      await expect.poll(complete, { timeout: MINUTES, interval: 500 }).toBe('true')
      // It is over when it is gone, and the agent has said all of it by then.
      await release('traced')
      const record = JSON.parse((await traced).trim().split('\n').at(-1) ?? '')
      expect(record).toMatchObject({ state: 'Complete', outcome: 'Graceful', pod: { name: 'traced', node: cluster.nodeName } })
      for (const mark of ['StopSignal', 'ContainerExited'])
        expect(record.timeline).toContainEqual(
          expect.objectContaining({ mark, container: 'app', source: 'Kernel', confidence: 'Measured' }),
        )
    },
    4 * MINUTES,
  )

  it('doctor finds controller, leader, agent and clocks as the chart has made them', async () => {
    // The clocks are in records that the agent has a part in, as the one above.
    const said = await gracewatch('doctor', '--width=200')
    expect(said).toMatch(/^ok +custom resources +podterminations, podreadinessgates, podcleanups$/m)
    expect(said).toMatch(/^ok +controller +2 of 2 Ready in gracewatch-system$/m)
    expect(said).toMatch(/^ok +leader +gracewatch-controller-\S+, renewed \d+ s ago$/m)
    expect(said).toMatch(/^ok +agent +Ready on 1 node$/m)
    expect(said).toMatch(/^ok +node clocks +1 node within 1 s$/m)
    expect(said).toMatch(new RegExp(`^ok +your rights +in ${SHOP}: list, .*; open; cleanup plan$`, 'm'))
    expect(said).not.toMatch(/^(FAILED|warning|unknown)/m)
  })
})

/** Those of which there is here what they look at. */
const LOOKED_AT = [
  'PodsForceKilled',
  'GracePeriodNearlyExhausted',
  'StopSignalIgnored',
  'PreStopHookOverran',
  'EndpointReadyAtStopSignal',
  'PodStuckTerminating',
  'GateHoldingTooLong',
  'CleanupFailing',
  'AgentLosingEvents',
  'RecorderBlind',
]

describe.skipIf(EXTERNAL)('the runbooks', () => {
  it.each(LOOKED_AT)('%s has commands that work as they are written', async (name) => {
    const chosen =
      name === 'PodStuckTerminating' ? 'pod.workload.name=stuck,state=Overdue' : 'pod.workload.name=web,outcome=ForcedKill'
    const found = await kubectl(
      'get',
      'podterminations',
      ...['-n', SHOP, `--field-selector=${chosen}`],
      '-o',
      'jsonpath={.items[0].metadata.name} {.items[0].pod.name}',
    )
    const [record = '', pod = ''] = found.trim().split(' ')
    const text = readFileSync(join(ROOT, `docs/runbooks/${name}.md`), 'utf8')
    const [, look = ''] = text.split('## What to look at')
    const [, script = ''] = /```sh\n(.*?)```/s.exec(look) ?? []
    expect(script).not.toBe('')
    const agents = ['get', 'pods', '-n', 'gracewatch-agent-system', '-l', 'app.kubernetes.io/component=agent', '-o', 'name']
    const agent = (await kubectl(...agents)).trim().replace('pod/', '')
    const filled = script
      // It takes a metrics server, which the cluster of the tests has not.
      .replaceAll(/^kubectl top .*\n/gm, '')
      .replaceAll('-n shop', `-n ${SHOP}`)
      .replaceAll('AGENT-POD', agent)
      .replaceAll('node-1', cluster.nodeName)
      .replaceAll(/\bNAME\b(?!:)/g, record)
      .replaceAll(/\bPOD\b(?!:)/g, pod)
      .replaceAll(/\bNODE\b(?!:)/g, cluster.nodeName)
    const env = { KUBECONFIG: cluster.kubeconfigPath, PATH: `${cluster.kubectlFolder}:${process.env.PATH}` }
    await expect(run('bash', ['-euo', 'pipefail', '-c', filled], { cwd: ROOT, env })).resolves.toMatch(/\S/)
  })
})
