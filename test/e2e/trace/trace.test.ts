/** `gracewatch trace` on a real node in which nothing of Gracewatch is installed, and `replay` of what it has saved. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { type PodTermination, podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { type Micros, parseTime } from '../../../src/core/time.ts'
import { displayWidth } from '../../../src/render/text.ts'
import { removeInstalled } from '../../chart/on-cluster.ts'
import { type Cluster, ensureCluster, terminalProgress } from '../../cluster/index.ts'

const MAIN = resolve(import.meta.dirname, '../../../src/cli/main.ts')
const NAMESPACE = 'trace-shop'
const SECRET = 'only-the-app-may-know'
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-trace-'))
let cluster: Cluster

const GRACEFUL = 'trap "sleep 1; exit 0" TERM; while :; do sleep 0.1; done'
const podSpec = (image: string, script: string, graceSeconds: number, preStopSeconds?: number) => ({
  terminationGracePeriodSeconds: graceSeconds,
  containers: [
    {
      ...{ name: 'app', image, command: ['sh', '-c', script, SECRET], env: [{ name: 'SECRET', value: SECRET }] },
      ...(preStopSeconds !== undefined && { lifecycle: { preStop: { exec: { command: ['sleep', String(preStopSeconds)] } } } }),
    },
  ],
})

beforeAll(async () => {
  const progress = terminalProgress(process.stderr)
  cluster = await ensureCluster({ shape: 'node', progress, command: 'npm test -- e2e (trace)' })
  await removeInstalled(cluster, progress)
  await cluster.kubectl(['delete', 'crd', 'podterminations.gracewatch.dev', '--ignore-not-found', '--timeout=120s'])
  await cluster.kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=120s'])
  await cluster.kubectl(['create', 'namespace', NAMESPACE])
  const image = (await cluster.images()).find((reference) => reference.includes('/busybox:')) ?? ''
  const labels = { app: 'web' }
  const bare = (name: string, spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: NAMESPACE }, spec })
  const metadata = { name: 'web', namespace: NAMESPACE }
  const items = [
    {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec(image, GRACEFUL, 20) } },
    },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: labels, ports: [{ port: 80 }] } },
    // The hook takes all of the grace period, and nothing of the app minds the signal.
    bare('stubborn', podSpec(image, 'trap "" TERM; while :; do sleep 0.1; done', 3, 30)),
    bare('asked', podSpec(image, GRACEFUL, 20)),
  ]
  await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  // The pod of a Deployment is there a little later.
  await cluster.kubectl(['rollout', 'status', 'deployment/web', '-n', NAMESPACE, '--timeout=120s'])
  await cluster.kubectl(['wait', 'pods', '--all', '-n', NAMESPACE, '--for=condition=Ready', '--timeout=120s'])
  const ready = ['get', 'endpointslices', '-l', 'kubernetes.io/service-name=web', '-n', NAMESPACE, '-o']
  const path = 'jsonpath={.items[*].endpoints[*].conditions.ready}'
  await vi.waitFor(async () => expect(await cluster.kubectl([...ready, path])).toBe('true'), { timeout: 120_000, interval: 200 })
}, 900_000)
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await cluster?.tryKubectl(['delete', 'namespace', NAMESPACE, '--wait=false'])
  await cluster?.close()
}, 120_000)

interface Running {
  readonly said: { stdout: string; stderr: string }
  readonly ended: Promise<number | null>
  type(text: string): void
}

function start(command: string, args: readonly string[]): Running {
  const child = spawn(command, args, { env: { ...process.env, TZ: 'UTC', NO_COLOR: '1', KUBECONFIG: cluster.kubeconfigPath } })
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text
    })
  const ended = new Promise<number | null>((done, fail) => child.on('error', fail).on('close', done))
  return { said, ended, type: (text) => child.stdin.write(text) }
}

const gracewatch = (...args: string[]) => start(process.execPath, [MAIN, ...args])
const followed = (...args: string[]) => gracewatch('trace', '-n', NAMESPACE, ...args)
const saying = (running: Running, words: RegExp) =>
  vi.waitFor(() => expect(`${running.said.stdout}${running.said.stderr}`).toMatch(words), 60_000)

/** The last record of each pod. */
function recordsIn(yaml: string): Map<string, PodTermination> {
  const records = parseAllDocuments(yaml).map((document) => podTerminationSchema.parse(document.toJS()))
  return new Map(records.map((record) => [record.pod.name, record]))
}

const timeOf = (record: PodTermination | undefined, field: 'startedAt' | 'finishedAt'): Micros => parseTime(record?.[field]) ?? 0

it('follows a workload, and a namespace; replay of the evidence says the same, of which nothing is private', async () => {
  const [one, all] = [join(folder, 'web.jsonl'), join(folder, 'all.jsonl')]
  const web = followed('deploy/web', '--count=1', '--save', one)
  const every = followed('--count=2', '-o', 'yaml', '--save', all)
  await Promise.all([web, every].map((running) => saying(running, /; Ctrl-C ends it\.$/m)))
  const names = await cluster.kubectl([
    'get',
    'pods',
    '-l',
    'app=web',
    '-n',
    NAMESPACE,
    '-o',
    'jsonpath={.items[*].metadata.name}',
  ])
  const began = Date.now() * 1000
  await cluster.kubectl(['delete', 'pods', 'stubborn', names.trim(), '-n', NAMESPACE, '--timeout=120s'])
  expect({ codes: [await web.ended, await every.ended], said: web.said.stderr }).toMatchObject({ codes: [0, 0] })
  const gone = Date.now() * 1000

  expect(web.said.stdout).toMatch(new RegExp(`^${NAMESPACE}/${names.trim()} .* GRACEFUL\n`, 'm'))
  expect(web.said.stdout).toMatch(/ {2}exit 0 +app /)
  expect(web.said.stdout).toMatch(/^service web +[━○]/m)
  const replayed = gracewatch('replay', one)
  expect({ code: await replayed.ended, text: replayed.said.stdout.trim() }).toEqual({ code: 0, text: web.said.stdout.trim() })

  const records = recordsIn(every.said.stdout)
  expect(records.get(names.trim())).toMatchObject({
    ...{ state: 'Complete', outcome: 'Graceful', cause: { type: 'Deleted' } },
    pod: { workload: { kind: 'Deployment', name: 'web' } },
    containers: [{ name: 'app', outcome: 'Graceful', exit: { code: 0 } }],
    endpoints: [{ service: 'web' }],
  })
  const stubborn = records.get('stubborn')
  expect(stubborn).toMatchObject({
    ...{ state: 'Complete', outcome: 'ForcedKill', cause: { type: 'Deleted' }, summary: 'PreStopOverran' },
    containers: [{ name: 'app', preStop: { handler: 'Exec', result: 'Overran' }, exit: { code: 137 } }],
  })
  // One machine, one clock; but the API server writes whole seconds.
  expect(timeOf(stubborn, 'startedAt')).toBeGreaterThan(began - 2_000_000)
  expect(timeOf(stubborn, 'finishedAt') - timeOf(stubborn, 'startedAt')).toBeGreaterThan(3_000_000)
  expect(timeOf(stubborn, 'finishedAt')).toBeLessThan(gone + 2_000_000)
  const again = gracewatch('replay', all, '-o', 'yaml')
  expect(await again.ended).toBe(0)
  expect(recordsIn(again.said.stdout)).toEqual(records)
  expect(readFileSync(all, 'utf8')).not.toContain(SECRET)
})

it('asks before it ends a pod, and draws for the terminal that it has', async () => {
  const command = `stty cols 80; exec '${process.execPath}' '${MAIN}' trace -n ${NAMESPACE} --delete asked`
  // The terminal, which only a program of its own can make.
  const terminal = () => start('script', ['-qefc', command, '/dev/null'])
  const refused = terminal()
  await saying(refused, /Delete pod trace-shop\/asked \(grace 20 s\)\? \[y\/N\] /)
  refused.type('n\n')
  expect(await refused.ended).toBe(1)
  expect(refused.said.stdout).toContain('gracewatch: pod trace-shop/asked is left as it is')
  const pod = ['get', 'pod', 'asked', '-n', NAMESPACE, '-o', 'jsonpath={.metadata.deletionTimestamp}']
  expect(await cluster.kubectl(pod)).toBe('')

  const agreed = terminal()
  await saying(agreed, /\[y\/N\] /)
  agreed.type('y\n')
  expect(await agreed.ended).toBe(0)
  const lines = agreed.said.stdout.split(/\r?\n/)
  expect(lines.some((line) => /^trace-shop\/asked .* GRACEFUL$/.test(line))).toBe(true)
  // What is not drawn is what was asked.
  const drawn = lines.slice(lines.findIndex((line) => line.startsWith('trace-shop/asked')))
  expect(Math.max(...drawn.map(displayWidth))).toBeLessThanOrEqual(80)
  expect((await cluster.tryKubectl(pod)).code).not.toBe(0)
})
