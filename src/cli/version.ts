/** `gracewatch version`: what runs here. */
import { readFileSync } from 'node:fs'
import { UsageError } from './arguments.ts'
import { define } from './help.ts'

function run({ words }: { readonly words: readonly string[] }): void {
  if (words.length > 0) throw new UsageError(`version takes no arguments: leave "${words.join(' ')}" out`)
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string } // our own file
  process.stdout.write(`gracewatch ${version} (Node ${process.version})\n`)
}

export const command = define(
  { name: 'version', usage: '', text: 'Prints the version of this program and of its Node.', examples: [] },
  {},
  run,
)
