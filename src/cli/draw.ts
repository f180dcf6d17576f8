/** `gracewatch draw`: records out of a file, without a cluster. */
import { type Parsed, UsageError } from './arguments.ts'
import { readText } from './files.ts'
import { type CommandHelp, define } from './help.ts'
import { PICTURES, writeDrawings } from './pictures.ts'
import { recordsIn } from './records.ts'
import { OUTPUT_FLAGS, outputOf, TIME_FLAGS } from './terminal.ts'

const flags = {
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['wide', ...PICTURES],
    help: 'wide: time, source and bounds of every mark; svg: a drawing; html: a page of its own.',
  },
  ...TIME_FLAGS,
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'draw',
  usage: 'FILE [FLAGS]',
  text: 'Draws every record in a file of YAML or JSON, as kubectl get -o yaml writes it. Needs no cluster; - reads standard input.',
  examples: [
    ['gracewatch draw web.yaml', ''],
    ['kubectl get pterm -n shop -o yaml | gracewatch draw -', 'all of a namespace'],
    ['gracewatch draw web.yaml -o svg > web.svg', 'as a picture'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [file, ...more] = words
  if (file === undefined) throw new UsageError('name a file: gracewatch draw FILE (- reads standard input)')
  if (more.length > 0) throw new UsageError(`one file at a time: gracewatch draw ${file}`)
  const output = outputOf(given)
  const where = file === '-' ? 'standard input' : file
  await writeDrawings(recordsIn(readText(file), where), given, output)
}

export const command = define(help, flags, run)
