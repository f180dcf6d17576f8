/** `gracewatch completion`: what a shell completes. */

import { type Parsed, UsageError } from './arguments.ts'
import { COMMANDS } from './commands.ts'
import { bashScript, type Completed, kubectlScript, zshScript } from './completion-scripts.ts'
import { type CommandHelp, define } from './help.ts'

const SCRIPTS = { bash: bashScript, zsh: zshScript, kubectl: kubectlScript } as const

const help: CommandHelp = {
  name: 'completion',
  usage: 'bash|zsh|kubectl',
  text:
    'Writes the script by which a shell completes commands, flags and their values. kubectl completes its plugins by a program of its own: ' +
    'put that on the PATH, executable, as kubectl_complete-gracewatch.',
  examples: [
    ['source <(gracewatch completion bash)', 'in ~/.bashrc: in every shell'],
    ['gracewatch completion zsh > ~/.zsh/_gracewatch', 'a folder of $fpath; from the next zsh on'],
    ['gracewatch completion kubectl > ~/bin/kubectl_complete-gracewatch', ''],
  ],
}

async function run({ words }: Parsed<Record<never, never>>): Promise<void> {
  const [shell, ...more] = words
  const script = Object.entries(SCRIPTS).find(([name]) => name === shell)?.[1]
  if (script === undefined || more.length > 0) throw new UsageError('name the shell: gracewatch completion bash, zsh or kubectl')
  const commands: Completed[] = []
  for (const [name, { summary, words: fixed = [], load }] of COMMANDS) {
    const { flags = {} } = await load()
    commands.push({ name, summary, flags: { ...flags, help: { short: 'h', help: 'What the command does.' } }, words: fixed })
  }
  process.stdout.write(script(commands))
}

export const command = define(help, {}, run)
