/** The package as npm installs it: built, without TypeScript, in a folder that has nothing else. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { displayWidth } from '../../src/render/text.ts'

const root = resolve(import.meta.dirname, '../..')
/** With the Node of this test before any other of the machine. */
const PATH = `${dirname(process.execPath)}:${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`
let folder: string

const npm = (args: readonly string[], cwd: string) =>
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    encoding: 'utf8',
    // An install of the repository's own must not redirect this one.
    env: { ...process.env, PATH, npm_config_prefix: undefined, npm_config_local_prefix: undefined },
  })

function run(program: 'gracewatch' | 'kubectl-gracewatch', ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(join(folder, 'node_modules/.bin', program), args, {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH, HOME: folder },
  })
  return { status, stdout, stderr }
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracewatch-package-'))
  npm(['pack', '--pack-destination', folder], root)
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  npm(['init', '-y'], folder)
  npm(['install', join(folder, tarball ?? '')], folder)
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('has what was built, and neither sources nor tests', () => {
  const installed = join(folder, 'node_modules/gracewatch')
  for (const path of ['dist/cli/main.js', 'dist/main.js', 'examples', 'LICENSE', 'README.md'])
    expect(existsSync(join(installed, path)), path).toBe(true)
  expect(readdirSync(installed, { recursive: true }).filter((path) => /\.ts$|^test/.test(String(path)))).toEqual([])
})

it('draws a real termination without a cluster, at 80 columns', () => {
  const { status, stdout, stderr } = run('gracewatch', 'replay', 'prestop-overran', '--width=80')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/ FORCED KILL\n/)
  for (const line of stdout.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(80)
})

it('loads every command', () => {
  const { stdout } = run('gracewatch', '--help')
  const names = [...stdout.matchAll(/^ {2}([a-z]+)\b.* {2}/gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'gracewatch')
  expect(names.length).toBeGreaterThan(8)
  for (const name of names) expect(run('gracewatch', name, '--help'), name).toMatchObject({ status: 0, stderr: '' })
})

it('goes as far as to the kubeconfig, and is a plugin of kubectl', () => {
  expect(run('kubectl-gracewatch', 'list', '--kubeconfig', '/nope')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^gracewatch: cannot read kubeconfig \/nope[^\n]*\n$/),
  })
  expect(run('kubectl-gracewatch', 'show').stderr).toMatch(/kubectl gracewatch show NAME/)
})
