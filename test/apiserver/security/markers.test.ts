/**
 * What a workload keeps in its pods (environment, arguments, commands, headers, names of Secrets, its own last words) stands in nothing that
 * the product gives out: records, log, Events, metrics, page, command, saved evidence.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root } from '../connect.ts'
import { MetricsPort } from '../metrics/scrape.ts'
import { freePort, kubeconfigOf } from '../recorder/controller.ts'
import { Front } from '../recorder/front.ts'
import type { FakePod, PodObject } from '../recorder/kubelet.ts'
import { type Running, useStage } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'
import { Marks, markedPod, markedStatuses } from './marked.ts'
import { Scenes } from './scenes.ts'

const host = useStage('marks')
const GATE = 'example.com/asked'
/** Letters that nothing else is made of. */
const marks = new Marks(`qz${Math.random().toString(36).slice(2, 10).padEnd(8, 'x')}zq`)
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-marks-'))
const kubeconfig = join(folder, 'kubeconfig')
const saved = join(folder, 'saved.jsonl')

let scenes: Scenes
let namespace: string
let running: Running
let port: MetricsPort
let page: number
let front: Front
let traced: string
let planned: string
/** As the API server had them, with all that was planted. */
const accepted: string[] = []

const seconds = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`
const pods = () => `/api/v1/namespaces/${namespace}/pods`

async function create(name: string, gates: readonly string[] = []): Promise<FakePod> {
  const { bed, kubelet } = host.stage
  const body = markedPod(name, marks, kubelet.podSpec(), { gates })
  const made = (await bed.http.request({ method: 'POST', path: pods(), body })).json<PodObject>()
  return kubelet.adopt(made)
}

/** All its containers have failed, and have said why; so has the kubelet. */
async function fail(pod: FakePod, phase?: 'Failed'): Promise<void> {
  const { http } = host.stage.bed
  const now = Date.now()
  const path = `${pods()}/${pod.name}`
  await http.request({
    method: 'PATCH',
    path: `${path}/status`,
    contentType: 'application/strategic-merge-patch+json',
    body: {
      status: {
        ...(phase === undefined ? {} : { phase }),
        ...markedStatuses(pod.name, marks, seconds(now - 5000), seconds(now)),
      },
    },
  })
  for (const reason of ['FailedPreStopHook', 'Unhealthy', 'Failed']) {
    const words = [`hook ([sh -c ${marks.at(`${pod.name}-${reason}-command`)}])`, marks.at(`${pod.name}-${reason}-output`)]
    await http.request({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/events`,
      body: {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${pod.name}.${reason.toLowerCase()}`, namespace },
        involvedObject: {
          ...{ apiVersion: 'v1', kind: 'Pod', namespace, name: pod.name, uid: pod.uid },
          fieldPath: `spec.containers{${pod.name}-exec}`,
        },
        ...{ type: 'Warning', reason, count: 1, firstTimestamp: seconds(now), lastTimestamp: seconds(now) },
        message: `Exec lifecycle ${words[0]} failed - error: command exited with 1, message: "${words[1]}"`,
        source: { component: 'kubelet', host: host.stage.kubelet.node },
        reportingComponent: 'kubelet',
        reportingInstance: host.stage.kubelet.node,
      },
    })
  }
  accepted.push(JSON.stringify((await http.request({ method: 'GET', path })).json()))
}

/** What a command of `gracewatch` writes, on both streams. */
async function gracewatch(...args: string[]): Promise<string> {
  // A replay asks nobody.
  const asked = args[0] === 'replay' ? [] : ['--kubeconfig', kubeconfig]
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), ...args, ...asked], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect({ code, args }, text).toEqual({ code: 0, args })
  return text
}

beforeAll(async () => {
  const { stage } = host
  scenes = await Scenes.start(stage, ['own', 'pods'])
  namespace = scenes.in('pods')
  port = await MetricsPort.reserve()
  page = await freePort()
  const own = scenes.in('own')
  running = await stage.lead({
    ...{ own, namespaces: [namespace], lease: [], gates: true, cleanup: true },
    args: [...port.args, `--page-port=${page}`, '--log-level=debug'],
  })
  front = await Front.start({ cluster: stage.bed.cluster, group: stage.group })
  writeFileSync(kubeconfig, kubeconfigOf({ server: front.url, token: await stage.token(own, stage.group) }), { mode: 0o600 })
  const headers = [{ name: 'X-Api-Key', value: marks.at('gate-header') }]
  accepted.push(headers[0]?.value ?? '')
  await scenes.gates.gate(namespace, 'asks', {
    selector: { matchLabels: { app: 'marked' } },
    conditionType: GATE,
    checks: [{ httpGet: { port: 8080, headers, interval: '1s', timeout: '500ms', failureThreshold: 1 } }],
  })
  const [deleted, finished, gated] = [await create('deleted'), await create('finished'), await create('gated', [GATE])]
  const trace = gracewatch('trace', '-n', namespace, '--count=1', `--save=${saved}`, '-o', 'wide')
  const watched = (path: RegExp) => () =>
    front.calls('GET', path).some(({ status, query }) => status === 200 && query.get('watch') === 'true') || undefined
  for (const path of [/\/pods$/, /\/events$/]) await eventually(watched(path), 60_000, `${path} watched by the trace`)
  await deleted.delete()
  await deleted.killing(`deleted-exec`)
  await fail(deleted)
  await deleted.remove()
  await stage.records.complete(deleted.uid, 60_000)
  traced = await trace
  // An address for documentation, where nobody answers.
  await scenes.gates.kubeletSays(namespace, 'gated', [], { podIP: '192.0.2.1', podIPs: [{ ip: '192.0.2.1' }] })
  const asked = async () => (await scenes.gates.condition(namespace, 'gated', GATE))?.message?.includes('192.0.2.1') || undefined
  await eventually(asked, 60_000, 'the gated pod asked')
  await fail(gated)
  await fail(finished, 'Failed')
  planned = await gracewatch('cleanup', 'plan', '-n', namespace, '-o', 'json')
  await scenes.cleanups.rule(namespace, 'all', { keep: { total: 0 } })
  await scenes.cleanups.left(namespace, ['gated'], 60_000)
  await stage.records.complete(finished.uid, 60_000)
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await front?.close()
  await host.stage.stopControllers()
  await scenes.gates.freeGates()
})

it('the marks are where they were planted, and the search finds them', () => {
  const found = new Set(marks.in(accepted.join('\n')))
  // Those in Events are not in the pods.
  const inPods = [...marks.planted].filter((mark) => !/-(FailedPreStopHook|Unhealthy|Failed)-/.test(mark))
  expect(inPods.length).toBeGreaterThan(200)
  expect(inPods.filter((mark) => !found.has(mark))).toEqual([])
  for (const shift of ['', 'a', 'ab'])
    expect(marks.in(Buffer.from(`${shift}${inPods[0]}`).toString('base64'))).toEqual([expect.stringMatching(/^base64 /)])
})

it.each<[what: string, text: () => string | Promise<string>, has: string]>([
  ['records, every version of them', () => JSON.stringify(host.stage.records.all), 'finished'],
  [
    'the log at level debug',
    () => `${running.controller.lines.all.map((line) => JSON.stringify(line)).join('\n')}\n${running.controller.text}`,
    'caches complete',
  ],
  [
    'Events of the product',
    async () => {
      const path = `/api/v1/namespaces/${namespace}/events`
      const { items } = (await host.stage.bed.http.request({ method: 'GET', path })).json<{
        items: { reportingComponent: string }[]
      }>()
      return JSON.stringify(items.filter(({ reportingComponent }) => reportingComponent === 'gracewatch'))
    },
    'PreStopFailed',
  ],
  ['metrics', () => port.text(), 'gracewatch_pod_terminations_total'],
  [
    'the status of the gate and of the PodCleanup, and the condition of the pod',
    async () => {
      const { status } = await scenes.gates.readGate(namespace, 'asks')
      const cleanup = await scenes.cleanups.statusOf(namespace, 'all', 'written', () => true)
      return JSON.stringify([status, cleanup, await scenes.gates.condition(namespace, 'gated', GATE)])
    },
    'conditions',
  ],
  ['a trace', () => traced, 'deleted'],
  ['the evidence that a trace saves', () => readFileSync(saved, 'utf8'), 'deleted'],
  ['a replay', () => gracewatch('replay', saved, '-o', 'yaml'), 'deleted'],
  ['list', () => gracewatch('list', '-n', namespace, '-o', 'wide'), 'finished'],
  ['list as JSON', () => gracewatch('list', '-n', namespace, '-o', 'json'), 'finished'],
  ['show', () => gracewatch('show', 'deleted', '-n', namespace, '-o', 'wide'), 'deleted'],
  ['show as YAML', () => gracewatch('show', 'deleted', '-n', namespace, '-o', 'yaml'), 'deleted'],
  ['summary', () => gracewatch('summary', '-n', namespace, '-o', 'json'), 'deleted'],
  ['a plan of the cleanup', () => planned, 'finished'],
])('%s: none of it', async (_, give, has) => {
  const text = await give()
  expect(text).toContain(has)
  expect(marks.in(text)).toEqual([])
})

it('the page, with every page that it leads to: none of it', async () => {
  const address = `http://127.0.0.1:${page}`
  const read = new Map<string, string>()
  const open = ['/']
  for (let path = open.shift(); path !== undefined; path = open.shift()) {
    if (read.has(path)) continue
    const text = await (await fetch(`${address}${path}`)).text()
    read.set(path, text)
    for (const [, href = ''] of text.matchAll(/href="(\/[^"]*)"/g)) open.push(href.replaceAll('&amp;', '&'))
  }
  const paths = [...read.keys()]
  expect(paths.some((path) => path.startsWith('/records/'))).toBe(true)
  expect(paths.some((path) => path.startsWith('/workloads/'))).toBe(true)
  expect([...read].flatMap(([path, text]) => marks.in(text).map((mark) => `${path}: ${mark}`))).toEqual([])
})
