/** The gracewatch command against a real API server, as a process. Records lie in namespaces of the test's own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { API_VERSION, type PodTermination } from '../../src/api/pod-termination.ts'
import { recordObject } from '../../src/core/record-object.ts'
import { draw } from '../../src/render/draw.ts'
import { attachCluster, type Cluster, ensureCluster } from '../cluster/index.ts'
import { InstalledPackage } from '../command/support.ts'
import { evicted, forcedKill, graceful, overdue, terminating } from '../unit/render/records.ts'

const root = resolve(import.meta.dirname, '../..')
const suffix = Math.random().toString(36).slice(2, 8)
const shop = `gw-cli-${suffix}`
const empty = `gw-cli-${suffix}-empty`
const own = `gw-cli-${suffix}-own`
const gone = `gw-cli-${suffix}-gone`

let cluster: Cluster
let attached = true
let broughtCrd = false
let folder: string

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

interface Started {
  readonly child: ChildProcess
  /** What it has written so far. */
  readonly said: { stdout: string; stderr: string }
  readonly ended: Promise<Result>
}

function start(args: readonly string[]): Started {
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TZ: 'UTC' },
  })
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text
    })
  const ended = new Promise<Result>((done, fail) => {
    child.on('error', fail)
    child.on('close', (code) => done({ ...said, code }))
  })
  return { child, said, ended }
}

const gracewatch = (...args: string[]): Promise<Result> => start(args).ended
const withKubeconfig = (...args: string[]) => gracewatch(...args, '--kubeconfig', cluster.kubeconfigPath)

/** Of a service account that has no right. */
async function weakKubeconfig(): Promise<string> {
  const token = (await cluster.kubectl(['create', 'token', 'default', '-n', empty])).trim()
  const config = parse(readFileSync(cluster.kubeconfigPath, 'utf8')) as { users: { user: object }[] } // the harness's own file
  for (const entry of config.users) entry.user = { token }
  const file = join(folder, 'weak.json')
  writeFileSync(file, JSON.stringify(config))
  return file
}

const stored = (namespace: string, name: string, record: PodTermination) => ({
  apiVersion: API_VERSION,
  kind: 'PodTermination',
  // As the recorder labels it.
  metadata: { namespace, name, labels: recordObject(record).metadata.labels },
  ...record,
})
const inShop = (name: string, record: PodTermination) => ({ ...record, pod: { ...record.pod, namespace: shop, name } })

beforeAll(async () => {
  cluster = await attachCluster().catch(() => {
    attached = false
    return ensureCluster({ shape: 'control-plane' })
  })
  folder = await mkdtemp(join(tmpdir(), 'gracewatch-cli-'))
  const crd = 'podterminations.gracewatch.dev'
  broughtCrd = (await cluster.tryKubectl(['get', 'crd', crd])).code !== 0
  if (broughtCrd) await cluster.kubectl(['apply', '-f', join(root, `crds/${crd}.yaml`)])
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', `crd/${crd}`])
  for (const namespace of [shop, empty, own]) await cluster.kubectl(['create', 'namespace', namespace])
  // Established is not yet served.
  await vi.waitFor(() => cluster.kubectl(['get', crd, '-n', shop]), 30_000)
  const earlier = (record: PodTermination, startedAt: string) => ({ ...record, startedAt })
  const items = [
    stored(shop, 'web-7d4b9c-x2x9k.84b61cdb', inShop('web-7d4b9c-x2x9k', forcedKill())),
    stored(shop, 'db-0.11111111', inShop('db-0', earlier(evicted(), '2026-11-24T20:00:00.000000Z'))),
    stored(shop, 'db-0.22222222', inShop('db-0', earlier(graceful(), '2026-11-24T21:00:00.000000Z'))),
    stored(shop, 'stuck.33333333', inShop('stuck', earlier(overdue().record, '2026-11-24T22:00:00.000000Z'))),
    stored(own, `${gone}.last.44444444`, { ...graceful(), pod: { ...graceful().pod, namespace: gone, name: 'last' } }),
  ]
  await cluster.kubectl(['create', '--validate=strict', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  })
})

afterAll(async () => {
  if (cluster === undefined) return
  for (const namespace of [shop, empty, own]) await cluster.tryKubectl(['delete', 'namespace', namespace, '--wait=false'])
  if (broughtCrd) await cluster.tryKubectl(['delete', 'crd', 'podterminations.gracewatch.dev', '--wait=false'])
  if (!attached) await cluster.close()
  await rm(folder, { recursive: true, force: true })
})

describe('show', () => {
  it.each([['web-7d4b9c-x2x9k'], ['pod/web-7d4b9c-x2x9k'], ['pterm/web-7d4b9c-x2x9k.84b61cdb'], ['web-7d4b9c-x2x9k.84b61cdb']])(
    'draws %s',
    async (name) => {
      expect(await withKubeconfig('show', name, '-n', shop)).toEqual({
        code: 0,
        stdout: `${draw(inShop('web-7d4b9c-x2x9k', forcedKill())).join('\n')}\n`,
        stderr: '',
      })
    },
  )

  it('shows the last of several pods of one name, and how to see the others', async () => {
    const { stdout, stderr } = await withKubeconfig('show', 'db-0', '-n', shop)
    expect(stdout).toMatch(/ GRACEFUL\n/)
    expect(stderr).toBe('2 pods had this name; this is the last. The others: gracewatch show db-0.11111111\n')
    expect((await withKubeconfig('show', 'db-0.11111111', '-n', shop)).stdout).toMatch(/ FORCED KILL\n/)
  })

  it('draws what is not over up to the present', async () => {
    const { stdout } = await withKubeconfig('show', 'stuck', '-n', shop)
    expect(stdout).toMatch(/^deleted .*, still there after .* past its deadline$/ms)
    expect(stdout).toMatch(/ now$/m)
  })

  it('finds the record of a pod whose namespace is gone', async () => {
    const { code, stdout } = await withKubeconfig('show', 'last', '-n', gone)
    expect({ code, title: stdout.split('  ')[0] }).toEqual({ code: 0, title: `${gone}/last` })
  })

  it('writes a file that draw draws the same', async () => {
    const file = join(folder, 'web.yaml')
    const { stdout } = await withKubeconfig('show', 'web-7d4b9c-x2x9k', '-n', shop, '-o', 'yaml')
    writeFileSync(file, stdout)
    expect(parse(readFileSync(file, 'utf8'))).toMatchObject({
      apiVersion: API_VERSION,
      kind: 'PodTermination',
      metadata: { namespace: shop },
    })
    expect((await gracewatch('draw', file)).stdout).toBe((await withKubeconfig('show', 'web-7d4b9c-x2x9k', '-n', shop)).stdout)
  })

  it.each<[string, string[], RegExp]>([
    [
      'a misspelt pod',
      ['web-7d4b9c-x2x9j'],
      /^gracewatch: no pod web-7d4b9c-x2x9j has ended in namespace \S+, as far as records go: did you mean web-7d4b9c-x2x9k\?\n$/,
    ],
    ['the start of a name', ['web'], /: did you mean web-7d4b9c-x2x9k\?\n$/],
    ['a pod like no other', ['something-else-entirely'], /: gracewatch list -n \S+ shows those that have\n$/],
  ])('says what to do about %s', async (_, args, message) => {
    const result = await withKubeconfig('show', ...args, '-n', shop)
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toMatch(message)
  })

  it('says so where a namespace has no records at all', async () => {
    const { code, stderr } = await withKubeconfig('show', 'web', '-n', empty)
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `gracewatch: no pod web has ended in namespace ${empty}, as far as records go (there are no records in it; -n names another namespace)\n`,
    })
  })
})

describe('the package as npm installs it', () => {
  let installed: InstalledPackage
  beforeAll(async () => {
    installed = await InstalledPackage.in(folder)
  })
  const here = () => ['-n', shop, '--kubeconfig', cluster.kubeconfigPath]

  it.each([
    ['list', ['list', '-o', 'json']],
    ['show', ['show', 'web-7d4b9c-x2x9k']],
    ['summary', ['summary']],
  ])('says what the sources say: %s', async (_, args) => {
    const { code, stdout, stderr } = await installed.run('gracewatch', ...args, ...here())
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe((await gracewatch(...args, ...here())).stdout)
    expect(stdout).not.toBe('')
  })

  it('serves the page of a record, with your rights', async () => {
    const { child, output, ended } = installed.start('kubectl-gracewatch', 'open', ...here())
    try {
      await vi.waitFor(() => expect(output.stdout).toContain('\n'), 60_000)
      const { origin } = new URL(output.stdout)
      const first = await fetch(output.stdout.trim(), { redirect: 'manual' })
      const headers = { cookie: first.headers.get('set-cookie')?.split(';')[0] ?? '' }
      const page = await fetch(`${origin}/records/${shop}/web-7d4b9c-x2x9k.84b61cdb`, { headers })
      expect({ status: page.status, body: await page.text() }).toEqual({ status: 200, body: expect.stringContaining('<svg') })
    } finally {
      child.kill('SIGINT')
    }
    expect(await ended).toBe(0)
  })
})

describe('list', () => {
  it('lists a namespace, the last at the bottom, and the workloads that lost pods badly', async () => {
    const { code, stdout, stderr } = await withKubeconfig('list', '-n', shop)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [header = '', ...rows] = stdout.split('\n\n')[0]?.split('\n') ?? []
    expect(header.split(/ {2,}/)).toEqual(['AGE', 'POD', 'OUTCOME', 'CAUSE', 'GRACE', 'TOOK', 'FINDINGS'])
    expect(rows.map((row) => row.split(/ {2,}/)[1])).toEqual(['db-0', 'db-0', 'web-7d4b9c-x2x9k', 'stuck'])
    expect(stdout).toMatch(/^4 terminations: 2 ForcedKill, 1 Graceful, 1 Overdue$/m)
    expect(stdout).toMatch(new RegExp(`^ {2}2 of 4 {2}Deployment ${shop}/web {2}2 ForcedKill \\(PreStopOverran\\)$`, 'm'))
  })

  it('lists every namespace with its name', async () => {
    const { stdout } = await withKubeconfig('list', '-A', '-o', 'wide')
    for (const name of [`${shop}/web-7d4b9c-x2x9k`, `${gone}/last`]) expect(stdout).toContain(name)
    expect(stdout).toMatch(/ WORKLOAD +NODE$/m)
  })

  it.each<[string[], string[]]>([
    [['--outcome=forcedkill'], ['db-0.11111111', 'web-7d4b9c-x2x9k.84b61cdb']],
    [
      ['--outcome=ForcedKill,Graceful', '--workload=deploy/web', '--cause=Deleted'],
      // The last is overdue: its container has ended gracefully, and its object stays.
      ['db-0.22222222', 'web-7d4b9c-x2x9k.84b61cdb', 'stuck.33333333'],
    ],
    [['--outcome=Overdue'], ['stuck.33333333']],
    [['--outcome=Overdue,ForcedKill'], ['db-0.11111111', 'web-7d4b9c-x2x9k.84b61cdb', 'stuck.33333333']],
    [['--finding=StuckTerminating'], ['stuck.33333333']],
    [['--workload=sts/web'], []],
    // The others have been over for longer; this one never ends.
    [['--since=1ms'], ['stuck.33333333']],
  ])('chooses by %j', async (args, names) => {
    const { stdout } = await withKubeconfig('list', '-n', shop, '-o', 'json', ...args)
    const { items } = JSON.parse(stdout) as { items: { metadata: { name: string } }[] } // what kubectl writes
    expect(items.map(({ metadata }) => metadata.name)).toEqual(names)
  })

  it('says that there is nothing of what the flags ask for', async () => {
    expect(await withKubeconfig('list', '-n', shop, '--outcome=Lost')).toEqual({
      code: 0,
      stdout: '',
      stderr: `No terminations recorded in namespace ${shop} that are as the flags ask for.\n`,
    })
  })

  it('gives the records to other programs', async () => {
    const { stdout } = await withKubeconfig('list', '-n', shop, '-o', 'json')
    const { kind, items } = JSON.parse(stdout) as { kind: string; items: { metadata: { name: string } }[] } // what kubectl writes
    expect({ kind, names: items.map(({ metadata }) => metadata.name) }).toEqual({
      kind: 'List',
      names: ['db-0.11111111', 'db-0.22222222', 'web-7d4b9c-x2x9k.84b61cdb', 'stuck.33333333'],
    })
  })

  it('says on standard error that there is nothing', async () => {
    expect(await withKubeconfig('list', '-n', empty)).toEqual({
      code: 0,
      stdout: '',
      stderr: `No terminations recorded in namespace ${empty}.\n`,
    })
  })
})

describe('watch', () => {
  it('begins with what is under way, tells each step once, and ends at Ctrl-C', async () => {
    const args = ['watch', '-n', shop, '--kubeconfig', cluster.kubeconfigPath]
    const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [lines, errors]: [string[], string[]] = [[], []]
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
    createInterface({ input: child.stderr }).on('line', (line) => errors.push(line))
    const ended = new Promise<number | null>((done) => child.on('close', done))
    const words = () => lines.map((line) => line.split(/ {2,}/).slice(1, 3).join(' '))
    const until = (count: number) =>
      vi.waitFor(() => expect(lines.length, lines.join('\n')).toBeGreaterThanOrEqual(count), 60_000)
    try {
      await until(2)
      const live = inShop('live-0', terminating().record)
      const object = stored(shop, 'live-0.55555555', live)
      await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) })
      await until(3)
      // Not another step.
      await cluster.kubectl(['annotate', 'pterm', 'live-0.55555555', '-n', shop, 'seen=yes'])
      const over = stored(shop, 'live-0.55555555', inShop('live-0', forcedKill()))
      await cluster.kubectl(['replace', '-f', '-'], { input: JSON.stringify(over) })
      await until(4)
      expect(words()).toEqual(['POD OUTCOME', 'stuck Overdue', 'live-0 Terminating', 'live-0 ForcedKill'])
    } finally {
      child.kill('SIGINT')
      await cluster.tryKubectl(['delete', 'pterm', 'live-0.55555555', '-n', shop])
    }
    expect({ code: await ended, errors }).toEqual({ code: 0, errors: [] })
  })
})

describe('summary', () => {
  it('tells of a workload what its terminations say, and gives the numbers to other programs', async () => {
    const { code, stdout, stderr } = await withKubeconfig('summary', '-n', shop)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^Deployment ${shop}/web +3 +2 `, 'm'))
    expect(stdout).toMatch(/^ {2}How sure: the grace period low/m)
    const json = await withKubeconfig('summary', '-n', shop, '-o', 'json')
    expect(JSON.parse(json.stdout)).toMatchObject([
      { namespace: shop, workload: { kind: 'Deployment', name: 'web' }, terminations: 3, ongoing: 1, forced: 2 },
    ])
    expect((await withKubeconfig('summary', '-n', empty)).stderr).toBe(`No terminations recorded in namespace ${empty}.\n`)
  })
})

describe('trace', () => {
  /** Bound to no node, so that no kubelet has to end it. */
  const pod = (name: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: empty, labels: { app: 'traced' } } },
    spec: { schedulerName: 'nobody', containers: [{ name: 'app', image: 'none.invalid/none' }] },
  })
  const create = (name: string) => cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(pod(name)) })

  it('ends a pod, draws how, and keeps the evidence, of which replay makes the same', async () => {
    const file = join(folder, 'trace.jsonl')
    await create('traced-0')
    const { code, stdout, stderr } = await withKubeconfig('trace', '-n', empty, '--delete', 'traced-0', '-y', '--save', file)
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/traced-0 .* NEVER STARTED\n/) })
    expect(stderr).toMatch(/^Tracing pod traced-0; Ctrl-C ends it\.$/m)
    expect((await gracewatch('replay', file)).stdout.trim()).toBe(stdout.trim())
    expect((await cluster.tryKubectl(['get', 'pod', 'traced-0', '-n', empty])).code).not.toBe(0)
  })

  it('draws what it cannot keep, and ends', async () => {
    await create('traced-full')
    const traced = await withKubeconfig('trace', '-n', empty, '--delete', 'traced-full', '-y', '--save', '/dev/full')
    expect(traced).toMatchObject({ code: 1, stdout: expect.stringMatching(/traced-full .* NEVER STARTED\n/) })
    expect(traced.stderr).toMatch(/^gracewatch: cannot write \/dev\/full: ENOSPC[^\n]*$/m)
  })

  it('tells at Ctrl-C what is over and what is not', async () => {
    await create('traced-late')
    const kept = { ...pod('traced-kept'), metadata: { ...pod('traced-kept').metadata, finalizers: ['example.com/wait'] } }
    await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(kept) })
    const { child, said, ended } = start(['trace', '-n', empty, '--kubeconfig', cluster.kubeconfigPath])
    await vi.waitFor(() => expect(said.stderr).toContain('Ctrl-C ends it.'), 60_000)
    await cluster.kubectl(['delete', 'pod', 'traced-late', 'traced-kept', '-n', empty, '--wait=false'])
    // The other one, which no node has, is gone by then, but a moment ago: late Events would still be waited for.
    await vi.waitFor(() => expect(said.stderr).toContain('traced-kept is terminating'), 60_000)
    child.kill('SIGINT')
    expect({ code: await ended.then(({ code }) => code), stdout: said.stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/traced-late .* NEVER STARTED\n/),
    })
    expect(said.stderr).toMatch(/^1 termination was not over yet\.$/m)
    await cluster.kubectl(['patch', 'pod', 'traced-kept', '-n', empty, '--type=merge', '-p', '{"metadata":{"finalizers":null}}'])
  })

  it('follows the pods that labels select until it has seen enough, and no others', async () => {
    await create('traced-1')
    const args = ['-n', empty, 'app=traced', '--count=1', '-o', 'json', '--kubeconfig', cluster.kubeconfigPath]
    const { said, ended } = start(['trace', ...args])
    await vi.waitFor(() => expect(said.stderr).toMatch(/^Tracing pods with app=traced; Ctrl-C ends it\.$/m), 60_000)
    await cluster.kubectl(['delete', 'pod', 'traced-1', '-n', empty])
    const { code, stdout } = await ended
    expect({ code, record: JSON.parse(stdout) }).toMatchObject({
      code: 0,
      record: { kind: 'PodTermination', state: 'Complete', outcome: 'NeverStarted', pod: { name: 'traced-1' } },
    })
  })

  it.each<[string, string[], number, RegExp]>([
    [
      'a pod that is not there',
      ['--delete', 'nobody', '-y'],
      1,
      /^gracewatch: there is no pod nobody in namespace \S+: kubectl get pods/,
    ],
    ['a workload that is not there', ['deploy/nobody'], 1, /^gracewatch: there is no Deployment nobody in namespace \S+\n$/],
    [
      'a workload to delete',
      ['--delete', 'deploy/web'],
      2,
      /^gracewatch: --delete ends one pod: write gracewatch trace --delete NAME\n$/,
    ],
    ['labels that are none', ['=web'], 1, /^gracewatch: [^\n]*\n$/],
  ])('says what to do about %s', async (_, args, code, message) => {
    const result = await withKubeconfig('trace', '-n', empty, ...args)
    expect(result).toMatchObject({ code, stdout: '' })
    expect(result.stderr).toMatch(message)
  })

  it('does not delete without being told or asking', async () => {
    await create('traced-2')
    const { code, stderr } = await withKubeconfig('trace', '-n', empty, '--delete', 'traced-2')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^gracewatch: nobody is here to ask whether pod \S+\/traced-2 may be deleted: add -y$/m)
    await cluster.kubectl(['get', 'pod', 'traced-2', '-n', empty])
  })
})

describe('doctor', () => {
  it('tells of each part whether it is there, and ends with 1 where one that is needed is not', async () => {
    const { code, stdout, stderr } = await withKubeconfig('doctor', '-n', shop)
    // Whoever has this cluster too may have put a controller there.
    expect(stdout).toMatch(/^(?:FAILED +controller +no pod of it runs|\w+ +controller +.* Ready in )/m)
    expect({ code, stderr }).toEqual({ code: /^FAILED /m.test(stdout) ? 1 : 0, stderr: '' })
    expect(stdout).toMatch(/^ok +API server +Kubernetes v1\./)
    expect(stdout).toMatch(/^(?:ok|note) +custom resources +podterminations/m)
    expect(stdout).toMatch(new RegExp(`^ok +your rights +in ${shop}: list, show, summary; watch; trace; trace --delete`, 'm'))
  })

  it('tells of weak credentials what they are too weak for', async () => {
    const file = await weakKubeconfig()
    const { stdout } = await gracewatch('doctor', '-n', shop, '--kubeconfig', file)
    expect(stdout).toMatch(/^unknown +controller +not to be seen: /m)
    expect(stdout).toMatch(new RegExp(`^warning +your rights +in ${shop}: trace may not list pods, watch pods`, 'm'))
    expect(stdout).toMatch(/^- Trace cannot follow pods\./m)
  })
})

describe('what goes wrong is one line that says what to do', () => {
  it('credentials without the right', async () => {
    const file = await weakKubeconfig()
    const { code, stderr } = await gracewatch('list', '-n', shop, '--kubeconfig', file)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^gracewatch: .*cannot list resource "podterminations".*Ask for the right to get and list podterminations\.gracewatch\.dev.*\n$/,
    )
  })

  it('credentials that are not accepted', async () => {
    const config = parse(readFileSync(cluster.kubeconfigPath, 'utf8')) as { users: { user: object }[] } // the harness's own file
    for (const entry of config.users) entry.user = { token: 'expired' }
    const file = join(folder, 'expired.json')
    writeFileSync(file, JSON.stringify(config))
    const { code, stderr } = await gracewatch('list', '--kubeconfig', file)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^gracewatch: [^\n]*log in again\.\n$/)
  })

  it('a cluster that does not answer', async () => {
    const config = parse(readFileSync(cluster.kubeconfigPath, 'utf8')) as { clusters: { cluster: { server: string } }[] } // the harness's own file
    for (const entry of config.clusters) entry.cluster.server = 'https://127.0.0.1:1'
    const file = join(folder, 'away.json')
    writeFileSync(file, JSON.stringify(config))
    const { code, stderr } = await gracewatch('list', '--kubeconfig', file)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^gracewatch: [^\n]*127\.0\.0\.1:1[^\n]* reachable from here\?\n$/)
  })

  it.each<[string, string[], number, RegExp]>([
    [
      'a kubeconfig that is not there',
      ['list', '--kubeconfig', '/nope'],
      1,
      /^gracewatch: cannot read kubeconfig \/nope[^\n]*\n$/,
    ],
    ['no name', ['show'], 2, /^gracewatch: name the pod: [^\n]*\n$/],
    ['two names', ['show', 'one', 'two'], 2, /^gracewatch: one at a time: gracewatch show one\n$/],
    [
      'something that does not end',
      ['show', 'deploy/web'],
      2,
      /^gracewatch: a deploy has no termination of its own: write pod\/NAME\n$/,
    ],
    ['a name to list', ['list', 'web'], 2, /^gracewatch: list takes no name: gracewatch show web shows one termination\n$/],
    ['an outcome that there is not', ['list', '--outcome=Forced'], 2, /^gracewatch: --outcome Forced: [^\n]*\n$/],
    ['all and one namespace', ['list', '-A', '-n', 'shop'], 2, /^gracewatch: -A is every namespace and -n is one[^\n]*\n$/],
    ['a setting of the controller that there is not', ['controller', '--frobnicate'], 2, /frobnicate/],
  ])('%s', async (_, args, code, message) => {
    const result = await gracewatch(...args)
    expect(result).toMatchObject({ code, stdout: '' })
    expect(result.stderr).toMatch(message)
  })
})
