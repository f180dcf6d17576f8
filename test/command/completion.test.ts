/** Completion as bash, zsh and kubectl run it: what a Tab offers, out of the scripts that the command writes. */
import { execFile, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
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

/** Reads its zshrc in a terminal, types each line and a Tab as a person would, and goes on when the shell has answered. */
const TYPIST = `zmodload zsh/zpty || exit
zpty shell zsh -d -i || exit
zpty -r shell screen '*<0>*' || exit
answered=0
for line; do
  zpty -n -w shell "$line"$'\\t\\e=' || exit
  zpty -r shell screen "*<$((++answered))>*" || exit
done
`

/** Escape and = answers with what the line has become and what was offered, and leaves an empty line. */
const zshrc = (completion: string) => `autoload -Uz compinit
${completion}
setopt no_auto_list no_beep
typeset -a offered
compadd() {
  local -a matches
  # Those whose results go to an array offer nothing.
  if [[ \${@[1,(i)(-|--)]} != *-[OAD]* ]]; then builtin compadd -A matches "$@"; offered+=("\${matches[@]}"); fi
  builtin compadd "$@"
}
typeset -i answered
answer() {
  print -r -- "$BUFFER"$'\\t'"\${(pj: :)offered}" >> $ZDOTDIR/answers
  offered=() BUFFER=
  print -n "<$((++answered))>" > /dev/tty
}
zle -N answer
bindkey '\\e=' answer
zle-line-init() { print -n '<0>' > /dev/tty }
zle -N zle-line-init
`

it('is a script that zsh can read', () => {
  const { status, stdout, stderr } = spawnSync('zsh', ['-n', join(folder, 'zsh')], { encoding: 'utf8', env })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
})

describe.each([
  ['sourced', 'compinit -u -D\nsource $ZDOTDIR/sourced'],
  ['found in the fpath', 'fpath=($ZDOTDIR $fpath)\ncompinit -u -D'],
])('zsh, the script %s', (way, completion) => {
  const rows: [line: string, becomes: string, offers: string][] = [
    ['gracewatch ', 'gracewatch ', [...COMMANDS.keys()].join(' ')],
    ['gracewatch s', 'gracewatch s', 'summary show'],
    ['gracewatch sh', 'gracewatch show ', 'show'],
    ['kubectl-gracewatch sh', 'kubectl-gracewatch show ', 'show'],
    ['gracewatch list --out', 'gracewatch list --out', '--outcome --output'],
    ['gracewatch show --out', 'gracewatch show --output=', '--output'],
    ['gracewatch version --', 'gracewatch version --help ', '--help'],
    ['gracewatch list -o ', 'gracewatch list -o ', 'wide yaml json'],
    ['gracewatch list --output y', 'gracewatch list --output yaml ', 'yaml'],
    ['gracewatch list --output=y', 'gracewatch list --output=yaml ', 'yaml'],
    ['gracewatch list -A --outcome=For', 'gracewatch list -A --outcome=ForcedKill ', 'ForcedKill'],
    ['gracewatch summary --color n', 'gracewatch summary --color never ', 'never'],
    ['gracewatch cleanup p', 'gracewatch cleanup plan ', 'plan'],
    ['gracewatch completion z', 'gracewatch completion zsh ', 'zsh'],
    // A name of the cluster's: none is known.
    ['gracewatch list -n ', 'gracewatch list -n ', ''],
  ]
  let answers: string[]
  beforeAll(async () => {
    const ZDOTDIR = join(folder, way.replaceAll(' ', '-'))
    mkdirSync(ZDOTDIR)
    copyFileSync(join(folder, 'zsh'), join(ZDOTDIR, way === 'sourced' ? 'sourced' : '_gracewatch'))
    writeFileSync(join(ZDOTDIR, '.zshrc'), zshrc(completion))
    const typed = rows.map(([line]) => line)
    // In a folder with no file whose name could be offered.
    await promisify(execFile)('zsh', ['-f', '-c', TYPIST, 'zsh', ...typed], {
      cwd: ZDOTDIR,
      env: { ...env, ZDOTDIR, TERM: 'xterm' },
      // It waits for ever where the shell asks something.
      ...{ timeout: 60_000, killSignal: 'SIGKILL' },
    })
    answers = readFileSync(join(ZDOTDIR, 'answers'), 'utf8').split('\n')
  })

  it.each(rows.map(([line, becomes, offers], index) => ({ line, becomes, offers, index })))(
    'makes of "$line" and a Tab "$becomes", of: $offers',
    ({ becomes, offers, index }) => {
      expect(answers[index]?.split('\t')).toEqual([becomes, offers])
    },
  )
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
