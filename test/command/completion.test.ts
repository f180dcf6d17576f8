/** Completion as bash runs it: what a Tab offers, out of the scripts that the command writes. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/commands.ts'

const root = resolve(import.meta.dirname, '../..')
let folder: string

function gracewatch(...args: string[]) {
  return spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), ...args], { encoding: 'utf8' })
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gracewatch-completion-'))
  for (const shell of ['bash', 'zsh', 'kubectl']) {
    const { status, stdout, stderr } = gracewatch('completion', shell)
    expect({ status, stderr }, shell).toEqual({ status: 0, stderr: '' })
    writeFileSync(join(folder, shell), stdout)
  }
  chmodSync(join(folder, 'kubectl'), 0o755)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Of a locale that the machine does not have, bash complains. */
const env = { ...process.env, LC_ALL: 'C' }

/** What bash would offer after these words, which it has taken apart. */
function offered(...words: string[]): string[] {
  const script = `source ${join(folder, 'bash')}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gracewatch; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync('bash', ['-uc', script, 'bash', 'gracewatch', ...words], { encoding: 'utf8', env })
  expect(stderr).toBe('')
  return stdout.split('\n').filter((line) => line !== '')
}

describe('bash', () => {
  it('offers every command, and those that begin so', () => {
    expect(offered('')).toEqual([...COMMANDS.keys()])
    expect(offered('s')).toEqual(['summary', 'show'])
  })

  it('offers the flags of the command', () => {
    expect(offered('list', '--out')).toEqual(['--outcome', '--output'])
    expect(offered('show', '--out')).toEqual(['--output'])
    expect(offered('version', '-')).toEqual(['--help', '-h'])
  })

  it.each([
    [
      ['list', '-o', ''],
      ['wide', 'yaml', 'json'],
    ],
    [['list', '--output', 'y'], ['yaml']],
    [
      ['list', '--output', '='],
      ['wide', 'yaml', 'json'],
    ],
    [['list', '-A', '--outcome', '=', 'For'], ['ForcedKill']],
    [['summary', '--color', 'n'], ['never']],
    [['cleanup', 'p'], ['plan']],
    [['completion', 'z'], ['zsh']],
    // A name of the cluster's: none is known.
    [['list', '-n', ''], []],
  ])('offers the values of a flag: %j', (words, values) => {
    expect(offered(...words)).toEqual(values)
  })
})

it.each([
  [['list', '--output', 'y'], 'yaml\n:4\n'],
  [['list', '--output=y'], '--output=yaml\n:4\n'],
  [['sh'], 'show\n:4\n'],
])('answers kubectl: %j', (words, answer) => {
  const { stdout, stderr } = spawnSync(join(folder, 'kubectl'), words, { encoding: 'utf8' })
  expect({ stdout, stderr }).toEqual({ stdout: answer, stderr: '' })
})

it('says which shells it knows', () => {
  const { status, stderr } = gracewatch('completion', 'fish')
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: 'gracewatch: name the shell: gracewatch completion bash, zsh or kubectl\n',
  })
})
