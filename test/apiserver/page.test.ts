/** `gracewatch open` on a real API server: with the rights of an account that may read one namespace, and with those of an administrator. */
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { API_VERSION, type PodTermination } from '../../src/api/pod-termination.ts'
import { kill, stateOf } from '../cluster/processes.ts'
import { keepPage } from '../demo/kept-page.ts'
import { forcedKill, graceful, terminating } from '../unit/render/records.ts'
import { established, useApiServer } from './connect.ts'
import { eventually } from './waiting.ts'

const root = resolve(import.meta.dirname, '../..')
const CRD = 'podterminations.gracewatch.dev'
const bed = useApiServer('page')
const other = `${bed.namespace}-other`
let folder: string
let reader: string
let broughtCrd = false

const write = (namespace: string, name: string, record: PodTermination) =>
  bed.create({
    apiVersion: API_VERSION,
    kind: 'PodTermination',
    metadata: { namespace, name },
    ...record,
    pod: { ...record.pod, namespace, name },
  })

beforeAll(async () => {
  broughtCrd = (await bed.cluster.tryKubectl(['get', 'crd', CRD])).code !== 0
  if (broughtCrd) await bed.kubectl('apply', '-f', join(root, `crds/${CRD}.yaml`))
  await established(bed, CRD)
  await bed.kubectl('create', 'namespace', other)
  await write(bed.namespace, 'mine', forcedKill())
  await write(other, 'theirs', graceful())
  const inOurs = ['-n', bed.namespace]
  await bed.kubectl('create', 'serviceaccount', 'reader', ...inOurs)
  await bed.kubectl('create', 'role', 'reader', '--verb=get,list,watch', `--resource=${CRD}`, ...inOurs)
  await bed.kubectl('create', 'rolebinding', 'reader', '--role=reader', `--serviceaccount=${bed.namespace}:reader`, ...inOurs)
  const token = (await bed.kubectl('create', 'token', 'reader', ...inOurs)).trim()
  const config = JSON.parse(await bed.kubectl('config', 'view', '--raw', '--minify', '-o', 'json'))
  config.users[0].user = { token }
  config.contexts[0].context.namespace = bed.namespace
  folder = mkdtempSync(join(tmpdir(), 'gracewatch-page-'))
  reader = join(folder, 'kubeconfig')
  writeFileSync(reader, JSON.stringify(config), { mode: 0o600 })
  const may = () =>
    bed.cluster.tryKubectl(['auth', 'can-i', 'list', CRD, ...inOurs, `--as=system:serviceaccount:${bed.namespace}:reader`])
  await eventually(async () => (await may()).code === 0 || undefined, 30_000, 'the rights of the reader')
})
afterAll(async () => {
  await bed.cluster.tryKubectl(['delete', 'namespace', other, '--wait=false', '--ignore-not-found'])
  if (broughtCrd) await bed.cluster.tryKubectl(['delete', 'crd', CRD, '--wait=false'])
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

interface Opened {
  readonly child: ChildProcess
  readonly said: { stdout: string; stderr: string }
  readonly ended: Promise<number | null>
}

function open(kubeconfig: string, ...args: string[]): Opened {
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'open', '--kubeconfig', kubeconfig, ...args])
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text
    })
  return { child, said, ended: new Promise((done) => child.on('close', done)) }
}

/** What a browser with the key gets. */
async function browse({ said }: Opened) {
  await expect.poll(() => said.stderr, { timeout: 60_000 }).toContain('until Ctrl-C')
  return await at(said.stdout.trim())
}

async function at(text: string) {
  const address = new URL(text)
  const first = await fetch(address, { redirect: 'manual' })
  const headers = { cookie: first.headers.get('set-cookie')?.split(';')[0] ?? '' }
  return (path: string) => fetch(`${address.origin}${path}`, { headers })
}

describe('who may read one namespace', () => {
  it('sees that one, and nothing of another, not even by its address', async () => {
    const opened = open(reader)
    const get = await browse(opened)
    expect(opened.said.stderr).toBe(`Shows namespace ${bed.namespace}, with your rights, until Ctrl-C.\n`)
    const list = await (await get('/')).text()
    expect(list).toContain(`${bed.namespace}/mine`)
    expect(list).not.toContain('theirs')
    expect((await get(`/records/${bed.namespace}/mine`)).status).toBe(200)
    const refused = await get(`/records/${other}/theirs`)
    expect(refused.status).toBe(404)
    expect(await refused.text()).not.toContain('node-1')
    opened.child.kill('SIGINT')
    expect(await opened.ended).toBe(0)
  })

  it.each([['-n', other], ['-A']])('is told in one line what is missing for %s', async (...args) => {
    const { said, ended } = open(reader, ...args)
    expect(await ended).toBe(1)
    expect(said.stdout).toBe('')
    expect(said.stderr).toMatch(/^gracewatch: [^\n]*forbidden[^\n]*Ask for the right to get and list podterminations[^\n]*\n$/i)
  })
})

describe('an administrator', () => {
  it('sees every namespace, and what comes and goes as it does', async () => {
    const opened = open(bed.cluster.kubeconfigPath)
    const get = await browse(opened)
    expect(opened.said.stderr).toBe('Shows all namespaces, with your rights, until Ctrl-C.\n')
    const list = await (await get(`/?namespace=${other}`)).text()
    expect(list).toContain(`${other}/theirs`)
    const events = /data-events="([^"]*)"/.exec(list)?.[1]?.replaceAll('&amp;', '&') ?? ''
    const stream = await get(events)
    const reading = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
    let told = ''
    const until = async (wanted: RegExp) => {
      while (!wanted.test(told)) {
        const { done, value } = (await reading?.read()) ?? { done: true, value: undefined }
        if (done) throw new Error(`the stream ended: ${told}`)
        told += value
      }
    }
    await write(other, 'late', terminating().record)
    await until(new RegExp(`event: row\\ndata: [^\\n]*${other}/late[^\\n]*Terminating`))
    await write(bed.namespace, 'elsewhere', graceful())
    await bed.kubectl('delete', 'pterm', 'late', '-n', other)
    await until(/event: gone\n/)
    expect(told).not.toContain(`"text":"${bed.namespace}/elsewhere"`)
    await reading?.cancel()
    opened.child.kill('SIGTERM')
    expect(await opened.ended).toBe(0)
  })
})

it('the page that the demo leaves up shows every namespace, one process of it, until the cluster is gone', async () => {
  const kubeconfig = join(folder, 'kept')
  copyFileSync(bed.cluster.kubeconfigPath, kubeconfig)
  const first = await keepPage(kubeconfig, folder)
  const { address, process } = await keepPage(kubeconfig, folder)
  onTestFinished(() => kill(process))
  expect(stateOf(first.process)).toBe('gone')
  const list = await (await (await at(address))('/')).text()
  for (const name of [`${bed.namespace}/mine`, `${other}/theirs`]) expect(list).toContain(name)
  rmSync(kubeconfig)
  await expect.poll(() => stateOf(process), { timeout: 60_000 }).toBe('gone')
})
