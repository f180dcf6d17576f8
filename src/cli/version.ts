/** `gracewatch version`: what runs here. */
import { productVersion } from '../version.ts'
import { UsageError } from './arguments.ts'
import { define } from './help.ts'

function run({ words }: { readonly words: readonly string[] }): void {
  if (words.length > 0) throw new UsageError(`version takes no arguments: leave "${words.join(' ')}" out`)
  process.stdout.write(`gracewatch ${productVersion()} (Node ${process.version})\n`)
}

export const command = define(
  { name: 'version', usage: '', text: 'Prints the version of this program and of its Node.', examples: [] },
  {},
  run,
)
