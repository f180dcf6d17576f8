/** `npm run cluster -- COMMAND`: the embedded cluster at the terminal. Results go to standard output, all else to standard error. */

import { COMMANDS, HELP, UsageError } from './commands.ts'
import { ClusterError, messageOf } from './errors.ts'
import { assertFundamentals } from './machine.ts'
import { terminalProgress } from './progress.ts'
import { readSettings } from './settings.ts'

async function main(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words
  if (name === undefined || ['help', '--help', '-h'].includes(name) || rest.some((word) => word === '--help' || word === '-h')) {
    const toErrors = name === undefined
    ;(toErrors ? process.stderr : process.stdout).write(HELP)
    return toErrors ? 2 : 0
  }
  const command = COMMANDS.get(name)
  if (!command) throw new UsageError(`there is no command "${name}": choose from ${[...COMMANDS.keys()].join(', ')}`)
  assertFundamentals()
  return command({
    args: rest,
    settings: readSettings(),
    progress: terminalProgress(process.stderr),
    print: (text) => process.stdout.write(`${text}\n`),
  })
}

// Who reads the output may have enough of it (`status | head -1`).
process.stdout.on('error', () => process.exit())

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const expected = error instanceof ClusterError
  process.stderr.write(`cluster: ${expected || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message)}\n`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
