/** What shells complete, written out whole: a Tab starts no program. */
import type { Flag, Flags } from './arguments.ts'

export interface Completed {
  readonly name: string
  readonly summary: string
  readonly flags: Flags
  /** Words that come after the name, as plan after cleanup. */
  readonly words: readonly string[]
}

const spellings = (name: string, { short }: Flag) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])]
const proposals = ({ choices, proposed }: Flag) => choices ?? proposed ?? []

export function bashScript(commands: readonly Completed[]): string {
  return `# bash completion of gracewatch
#   source <(gracewatch completion bash)
_gracewatch() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} words=
  # bash takes --flag=value apart.
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W ${quote(commands.map(({ name }) => name).join(' '))} -- "$cur"))
    return
  fi
  case "$command $prev" in
${commands.flatMap(bashValues).join('\n')}
  esac
  case $command in
${commands.map(bashWords).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _gracewatch gracewatch kubectl-gracewatch
`
}

function bashValues({ name, flags }: Completed): string[] {
  return Object.entries(flags)
    .filter(([, { value }]) => value !== undefined)
    .map(([flag, given]) => {
      const patterns = spellings(flag, given)
        .map((spelling) => `"${name} ${spelling}"`)
        .join('|')
      const words = proposals(given)
      // Of what is not known beforehand, bash completes file names.
      return words.length === 0
        ? `    ${patterns}) return ;;`
        : `    ${patterns}) COMPREPLY=($(compgen -W ${quote(words.join(' '))} -- "$cur")); return ;;`
    })
}

function bashWords({ name, flags, words }: Completed): string {
  const all = [...words, ...Object.entries(flags).flatMap(([flag, given]) => spellings(flag, given))]
  return `    ${name}) words=${quote(all.join(' '))} ;;`
}

/** kubectl asks a program of this name on the PATH what comes next, and reads a line a word and a last one of what to do with them. */
export function kubectlScript(commands: readonly Completed[]): string {
  const [, ...body] = bashScript(commands).split('\n')
  return `#!/usr/bin/env bash
# Completion of kubectl gracewatch: to be put on the PATH, executable, as kubectl_complete-gracewatch
#   gracewatch completion kubectl > kubectl_complete-gracewatch
${body.filter((line) => !line.startsWith('#') && !line.startsWith('complete ')).join('\n')}
COMP_WORDS=(gracewatch "$@")
COMP_CWORD=$#
# In one word here, where bash has three.
if [[ \${COMP_WORDS[COMP_CWORD]} == --*=* ]]; then
  flag=\${COMP_WORDS[COMP_CWORD]%%=*}
  COMP_WORDS=("\${COMP_WORDS[@]:0:COMP_CWORD}" "$flag" = "\${COMP_WORDS[COMP_CWORD]#*=}")
  COMP_CWORD=$((COMP_CWORD + 2))
fi
_gracewatch
for word in "\${COMPREPLY[@]}"; do echo "\${flag:+$flag=}$word"; done
echo :4
`
}

export function zshScript(commands: readonly Completed[]): string {
  return `#compdef gracewatch kubectl-gracewatch
# zsh completion of gracewatch
#   source <(gracewatch completion zsh)
_gracewatch() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map(zshArguments).join('\n')}
  esac
}
if [[ $funcstack[1] == _gracewatch ]]; then _gracewatch "$@"; else compdef _gracewatch gracewatch kubectl-gracewatch; fi
`
}

function zshArguments({ name, flags, words }: Completed): string {
  const rows = Object.entries(flags).map(([flag, given]) => {
    const { short, value, help } = given
    const text = `[${help.replace(/[[\]\\]/g, '\\$&')}]`
    const values = proposals(given)
    const action =
      value === undefined ? '' : `:${value.replace(/[:\\]/g, '\\$&')}:${values.length === 0 ? '' : `(${values.join(' ')})`}`
    const long = `--${flag}${value === undefined ? '' : '='}`
    if (short === undefined) return quote(`${long}${text}${action}`)
    return `${quote(`(-${short} --${flag})`)}{-${short},${long}}${quote(`${text}${action}`)}`
  })
  const rest = words.length === 0 ? "'*:file:_files'" : quote(`1:word:(${words.join(' ')})`)
  return `    ${name})\n      _arguments \\\n${[...rows, rest].map((row) => `        ${row}`).join(' \\\n')}\n      ;;`
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
