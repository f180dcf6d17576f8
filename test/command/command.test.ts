/** The command as a process: what it writes where, and how it ends. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { COMMANDS } from '../../src/cli/commands.ts'
import { evidenceLine } from '../../src/cli/evidence-file.ts'
import { assemble } from '../../src/core/termination/index.ts'
import { report } from '../../src/page/report.ts'
import { draw } from '../../src/render/draw.ts'
import { drawSvg } from '../../src/render/svg.ts'
import { displayWidth } from '../../src/render/text.ts'
import { CLOCKS, factsByLine } from '../replay/facts.ts'
import { readFixtures } from '../replay/fixture.ts'
import { forcedKill, graceful } from '../unit/render/records.ts'

const root = resolve(import.meta.dirname, '../..')
/** Fails the process if it loads what only commands with a cluster need. */
const NO_CLIENT = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({ resolve(specifier, context, next) {
    if (/client-node|k8s-operator|undici|pino/.test(specifier)) throw new Error('loaded ' + specifier)
    return next(specifier, context)
  } })`)}`

/** A process each, and so a test each. */
const HELPS = [['--help'], ...[...COMMANDS.keys()].map((name) => [name, '--help'])]

function gracewatch(args: readonly string[], input = '', timeZone = 'UTC') {
  const result = spawnSync(process.execPath, ['--import', NO_CLIENT, join(root, 'src/cli/main.ts'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, TZ: timeZone },
    input,
  })
  return { code: result.status, stdout: result.stdout, stderr: result.stderr }
}

let folder: string
let file: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracewatch-cli-'))
  file = join(folder, 'web.yaml')
  writeFileSync(
    file,
    stringify({ apiVersion: 'gracewatch.dev/v1alpha1', kind: 'PodTermination', metadata: { name: 'web' }, ...forcedKill() }),
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('draw', () => {
  it('draws a file for 100 columns, without colour in a pipe and without the client', () => {
    expect(gracewatch(['draw', file])).toEqual({ code: 0, stdout: `${draw(forcedKill()).join('\n')}\n`, stderr: '' })
  })

  it('draws standard input, for the columns and with the colours that are asked for', () => {
    const text = readFileSync(file, 'utf8')
    const { stdout } = gracewatch(['draw', '-', '--width=80', '--color=always', '-o', 'wide'], text)
    expect(stdout).toBe(`${draw(forcedKill(), { width: 80, colour: true, wide: true }).join('\n')}\n`)
  })

  it('writes times of day as the machine has them, with their offset, and in UTC when asked', () => {
    const { stdout } = gracewatch(['draw', file, '-o', 'wide'], '', 'Asia/Kolkata')
    expect(stdout).toMatch(/^deleted 2026-11-25 03:01:01\.2 \+05:30 by an API delete/m)
    expect(stdout).toMatch(/^ {2}03:01:01\.200 .* termination began$/m)
    expect(gracewatch(['draw', file, '--utc'], '', 'Asia/Kolkata').stdout).toBe(gracewatch(['draw', file]).stdout)
  })

  it('writes a drawing, or a page of its own, without the client', () => {
    expect(gracewatch(['draw', file, '-o', 'svg', '--utc'])).toEqual({
      code: 0,
      stdout: `${drawSvg(forcedKill())}\n`,
      stderr: '',
    })
    const several = stringify({ kind: 'List', items: [forcedKill(), graceful()] })
    const { code, stdout } = gracewatch(['draw', '-', '-o', 'html', '--utc'], several)
    expect([code, stdout]).toEqual([0, report([forcedKill(), graceful()], { title: '2 terminations', timeZone: 'UTC' })])
    const refused = gracewatch(['draw', '-', '-o', 'svg'], several)
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toBe('gracewatch: -o svg is a drawing of one record: -o html takes several\n')
  })

  it('draws every record of a List', () => {
    const { stdout } = gracewatch(['draw', '-'], stringify({ kind: 'List', items: [forcedKill(), graceful()] }))
    expect(stdout).toBe(`${[forcedKill(), graceful()].map((record) => draw(record).join('\n')).join('\n\n\n')}\n`)
  })
})

describe('replay', () => {
  const fixture = readFixtures().find(({ name }) => name.startsWith('03-'))
  const facts = fixture === undefined ? [] : [...factsByLine(fixture).flat(), ...CLOCKS]
  const now = fixture?.lines.at(-1)?.arrivedAt ?? 0
  const evidence = evidenceLine(facts, now)
  const record = assemble(facts, now)

  it('draws the record of a real termination out of its evidence, without the client', () => {
    expect(record?.outcome).toBe('ForcedKill')
    expect(gracewatch(['replay', '-', '--utc'], evidence)).toEqual({
      code: 0,
      stdout: `${record === undefined ? '' : draw(record).join('\n')}\n`,
      stderr: '',
    })
  })

  it('draws the examples that come with it, and names them', () => {
    const { code, stderr } = gracewatch(['replay'])
    expect(code).toBe(2)
    const [, names = ''] = /^gracewatch: name a file .* examples: (.*)\n$/.exec(stderr) ?? []
    expect(names.split(', ')).toContain('prestop-overran')
    const { stdout } = gracewatch(['replay', 'prestop-overran'])
    expect(stdout).toMatch(/ FORCED KILL\n[\s\S]*^WARNING PreStopOverran \(app\): /m)
  })

  it('writes the record as the recorder would have, for draw too', () => {
    const { stdout } = gracewatch(['replay', '-', '-o', 'yaml'], evidence)
    expect(stdout).toMatch(/^apiVersion: gracewatch\.dev\/v1alpha1\nkind: PodTermination\n/)
    expect(gracewatch(['draw', '-'], stdout).stdout).toBe(gracewatch(['replay', '-'], evidence).stdout)
  })
})

it('ends quietly when its reader has seen enough', async () => {
  const records = Array.from({ length: 200 }, () => forcedKill())
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'draw', '-'])
  child.stdin.on('error', () => undefined)
  child.stdin.end(JSON.stringify({ kind: 'List', items: records }))
  child.stdout.once('data', () => child.stdout.destroy())
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const code = await new Promise((done) => child.on('close', done))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

describe('what goes wrong is one line on standard error', () => {
  it.each<[string, string[], number, RegExp]>([
    ['a misspelt command', ['shwo', 'web'], 2, /^gracewatch: there is no command shwo: did you mean show\?\n$/],
    ['an unknown command', ['frobnicate'], 2, /^gracewatch: there is no command frobnicate: choose from list, summary, show, /],
    [
      'flags before the command',
      ['-n', 'shop', 'list'],
      2,
      /^gracewatch: flags come after the command: gracewatch COMMAND -n\n$/,
    ],
    ['no file', ['draw'], 2, /^gracewatch: name a file: gracewatch draw FILE/],
    ['a file that is not there', ['draw', '/nope.yaml'], 1, /^gracewatch: cannot read \/nope\.yaml: there is no such file\n$/],
    ['a folder', ['draw', '/'], 1, /^gracewatch: cannot read \/: that is a folder\n$/],
    [
      'no evidence',
      ['replay', join(root, 'README.md')],
      1,
      /^gracewatch: .*README\.md, line 1, is not JSON: gracewatch replay reads /,
    ],
    ['a file of something else', ['draw', join(root, 'package.json')], 1, /^gracewatch: .*package\.json is no PodTermination/],
    [
      'a width that is none',
      ['draw', '--width=wide', 'x'],
      2,
      /^gracewatch: --width wide: write a number of columns from 40 to 1000\n$/,
    ],
    ['an argument to version', ['version', 'now'], 2, /^gracewatch: version takes no arguments/],
  ])('%s', (_, args, code, message) => {
    const result = gracewatch(args)
    expect(result).toMatchObject({ code, stdout: '' })
    expect(result.stderr).toMatch(message)
  })
})

describe('help', () => {
  it('comes on standard output when asked for, and on standard error with exit code 2 when nothing is said', () => {
    const asked = gracewatch(['--help'])
    expect(asked).toMatchObject({ code: 0, stderr: '' })
    for (const name of COMMANDS.keys()) expect(asked.stdout).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'))
    expect(gracewatch([])).toEqual({ code: 2, stdout: '', stderr: asked.stdout })
    expect(gracewatch(['help']).stdout).toBe(asked.stdout)
  })

  it('tells about a command, before anything else that may be wrong with the words', () => {
    const help = gracewatch(['draw', '--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(/^Usage: gracewatch draw FILE/m)
    expect(gracewatch(['draw', '--frobnicate', '-h']).stdout).toBe(help.stdout)
    expect(gracewatch(['help', 'draw']).stdout).toBe(help.stdout)
  })

  it.each(HELPS)('of %j fits into 100 columns', (...args) => {
    // list, show and controller load the client for their help as well, as it stands beside their code.
    const { stdout } = spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), ...args], { encoding: 'utf8' })
    expect(stdout).toMatch(/\n$/)
    for (const line of stdout.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(100)
  })
})

describe('as a plugin of kubectl', () => {
  let bin: string
  const asPlugin = (...args: string[]) => spawnSync(join(bin, 'kubectl-gracewatch'), args, { encoding: 'utf8' })
  beforeAll(() => {
    bin = mkdtempSync(join(tmpdir(), 'gracewatch-plugin-'))
    // As npm links what package.json names.
    const { bin: names } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: Record<string, string> } // our own file
    for (const [name, path] of Object.entries(names)) symlinkSync(join(root, path), join(bin, name))
  })
  afterAll(() => rmSync(bin, { recursive: true, force: true }))

  it('speaks of itself as it was called', () => {
    const { stdout } = asPlugin('--help')
    expect(stdout).toMatch(/^Usage: kubectl gracewatch COMMAND \[ARGUMENTS\]$/m)
    expect(asPlugin('shwo').stderr).toMatch(/^gracewatch: there is no command shwo: did you mean show\?\n$/)
    expect(asPlugin('draw')).toMatchObject({
      status: 2,
      stderr: 'gracewatch: name a file: kubectl gracewatch draw FILE (- reads standard input)\n',
    })
  })

  it.each(HELPS)('does so in the help of %j, in 100 columns', (...args) => {
    const help = asPlugin(...args).stdout
    expect(help).toMatch(/\n$/)
    for (const line of help.split('\n')) expect(displayWidth(line), line).toBeLessThanOrEqual(100)
    // kubectl's own examples stand as they are.
    expect(help.replaceAll('kubectl gracewatch', '')).not.toMatch(/\bgracewatch [a-z]/)
  })

  it('does the same', () => {
    expect(asPlugin('draw', file, '--utc').stdout).toBe(gracewatch(['draw', file]).stdout)
  })
})

it('tells its version', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string } // our own file
  expect(gracewatch(['version']).stdout).toMatch(new RegExp(`^gracewatch ${version} \\(Node v24`))
  expect(gracewatch(['--version']).stdout).toBe(gracewatch(['version']).stdout)
})
