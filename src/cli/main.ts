/** The gracewatch command. Exit codes: 0 done, 1 failed, 2 wrong words. Errors are one line; a stack trace is a bug in here. */

import { nearest } from '../nearest.ts'
import { CommandError, UsageError } from './arguments.ts'
import { COMMANDS } from './commands.ts'
import { asksForHelp, mainHelp } from './help.ts'
import { asCalled } from './program.ts'

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined) {
    process.stderr.write(mainHelp())
    return 2
  }
  if (name === 'help' && rest.length > 0) return main([...rest, '--help'])
  if (name === 'help' || (name.startsWith('-') && asksForHelp(argv))) {
    process.stdout.write(mainHelp())
    return 0
  }
  if (name === '--version') return main(['version'])
  const entry = COMMANDS.get(name)
  if (entry === undefined) throw new UsageError(unknown(name))
  const command = await entry.load()
  return command(rest)
}

function unknown(name: string): string {
  if (name.startsWith('-')) return `flags come after the command: gracewatch COMMAND ${name}`
  const near = nearest(name, COMMANDS.keys())
  return `there is no command ${name}: ${near === undefined ? `choose from ${[...COMMANDS.keys()].join(', ')}` : `did you mean ${near}?`}`
}

// A reader that has seen enough (head, less) closes the pipe; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.exitCode = error instanceof UsageError ? 2 : 1
  const expected = error instanceof UsageError || error instanceof CommandError
  const message = error instanceof Error ? error.message.split('\n')[0] : String(error)
  const told = expected ? asCalled(message ?? '') : `this should not have happened, please report it: ${message}`
  process.stderr.write(`gracewatch: ${told}\n`)
}
