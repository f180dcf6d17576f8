/** The package as npm installs it: built, without TypeScript, in a folder that has nothing else. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { displayWidth } from '../../src/render/text.ts'
import { TestApiServer } from '../unit/kube/support/server.ts'
import { forcedKill, graceful } from '../unit/render/records.ts'
import { InstalledPackage, kubeconfigOf } from './support.ts'

const root = resolve(import.meta.dirname, '../..')
let folder: string
let installed: InstalledPackage

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gracewatch-package-'))
  installed = await InstalledPackage.in(folder)
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('has what was built, and neither sources nor tests', () => {
  for (const path of ['dist/cli/main.js', 'dist/main.js', 'examples', 'LICENSE', 'README.md'])
    expect(existsSync(join(installed.files, path)), path).toBe(true)
  expect(readdirSync(installed.files, { recursive: true }).filter((path) => /\.ts$|^test/.test(String(path)))).toEqual([])
})

it('draws a real termination without a cluster, at 80 columns', async () => {
  const { code, stdout, stderr } = await installed.run('gracewatch', 'replay', 'prestop-overran', '--width=80')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/ FORCED KILL\n/)
  for (const line of stdout.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(80)
})

it('names every command', async () => {
  const { stdout } = await installed.run('gracewatch', '--help')
  for (const name of COMMANDS.keys()) expect(stdout).toMatch(new RegExp(`^ {2}${name}\\b.* {2}`, 'm'))
})

it.each([...COMMANDS.keys()])('loads %s', async (name) => {
  expect(await installed.run('gracewatch', name, '--help')).toMatchObject({ code: 0, stderr: '' })
})

it('goes as far as to the kubeconfig, and is a plugin of kubectl', async () => {
  expect(await installed.run('kubectl-gracewatch', 'list', '--kubeconfig', '/nope')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^gracewatch: cannot read kubeconfig \/nope[^\n]*\n$/),
  })
  expect((await installed.run('kubectl-gracewatch', 'show')).stderr).toMatch(/kubectl gracewatch show NAME/)
})

describe('at an API server', () => {
  let server: TestApiServer
  let to: string
  const put = (name: string, record: PodTermination) => server.world.create(name, { ...record, pod: { ...record.pod, name } })
  beforeAll(async () => {
    server = await TestApiServer.start()
    to = `--kubeconfig=${join(folder, 'kubeconfig')}`
    writeFileSync(join(folder, 'kubeconfig'), kubeconfigOf(server.url))
    put('forced-0', forcedKill())
  })
  afterAll(() => server.stop())

  it('lists records', async () => {
    const { code, stdout, stderr } = await installed.run('gracewatch', 'list', to)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/ forced-0 +ForcedKill +Deleted +15 s +17\.4 s +PreStopOverran$/m)
    expect(stdout).toContain('\n1 termination: 1 ForcedKill\n')
  })

  it('draws one of them', async () => {
    const { code, stdout, stderr } = await installed.run('kubectl-gracewatch', 'show', 'forced-0', to)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^shop\/forced-0 .* FORCED KILL\n/)
  })

  it('watches', async () => {
    const { child, output, ended } = installed.start('gracewatch', 'watch', to)
    onTestFinished(() => void child.kill('SIGKILL'))
    await vi.waitFor(() => expect(server.watching).toBe(1), 15_000)
    put('new-0', graceful())
    await vi.waitFor(() => expect(output.stdout).toMatch(/ new-0 +Graceful /), 15_000)
    child.kill('SIGINT')
    expect(await ended).toBe(0)
  })

  it('serves the page, with its script', async () => {
    const { child, output, ended } = installed.start('gracewatch', 'open', to)
    onTestFinished(() => void child.kill('SIGKILL'))
    await vi.waitFor(() => expect(output.stdout).toContain('\n'), 15_000)
    const address = output.stdout.trim()
    const { origin } = new URL(address)
    const first = await fetch(address, { redirect: 'manual' })
    const headers = { cookie: first.headers.get('set-cookie')?.split(';')[0] ?? '' }
    expect(await (await fetch(`${origin}/`, { headers })).text()).toContain('href="/records/shop/forced-0"')
    const script = await (await fetch(`${origin}/live.js`, { headers })).text()
    expect(script).toContain('EventSource')
    expect(script.length).toBeGreaterThan(readFileSync(join(root, 'src/page/live.js'), 'utf8').length / 3)
    child.kill('SIGINT')
    expect(await ended).toBe(0)
  })
})
