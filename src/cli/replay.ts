/** `gracewatch replay`: the records out of the evidence of a trace, made by the same core, without a cluster. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { recordObject } from '../core/record-object.ts'
import { type Parsed, UsageError } from './arguments.ts'
import { recordsFromEvidence } from './evidence-file.ts'
import { readText } from './files.ts'
import { type CommandHelp, define } from './help.ts'
import { PICTURES, writeDrawings } from './pictures.ts'
import { printed } from './records.ts'
import { OUTPUT_FLAGS, outputOf, TIME_FLAGS } from './terminal.ts'

const flags = {
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['wide', ...PICTURES, 'yaml', 'json'],
    help: 'wide: time, source and bounds of every mark; svg: a drawing; html: a page of its own; yaml, json: the records.',
  },
  ...TIME_FLAGS,
  ...OUTPUT_FLAGS,
} as const

const help: CommandHelp = {
  name: 'replay',
  usage: 'FILE [FLAGS]',
  text:
    'Makes the records from the evidence that gracewatch trace --save has kept, as this version judges it, and draws them. Needs no cluster; ' +
    '- reads standard input. With such a file a wrong verdict can be reported: it holds names, times and states of pods, and neither ' +
    'arguments nor environment nor logs. FILE may also be the name of a real termination that comes with this program; without one, ' +
    'the names of these are listed.',
  examples: [
    ['gracewatch trace -n shop deploy/web --save web.jsonl', 'keeps the evidence'],
    ['gracewatch replay web.jsonl', ''],
    ['gracewatch replay prestop-overran', 'a real one, to look at'],
    ['gracewatch replay web.jsonl -o yaml', 'the records'],
  ],
}

async function run({ words, flags: given }: Parsed<typeof flags>): Promise<void> {
  const [file, ...more] = words
  if (file === undefined)
    throw new UsageError(
      `name a file (- reads standard input)${examples().length === 0 ? '' : `, or one of the examples: ${examples().join(', ')}`}`,
    )
  if (more.length > 0) throw new UsageError(`one file at a time: gracewatch replay ${file}`)
  const output = outputOf(given)
  const records = recordsFromEvidence(readText(pathOf(file)), file === '-' ? 'standard input' : file)
  const { output: format } = given
  if (format === 'yaml' || format === 'json') {
    const texts = records.map((record) => printed(recordObject(record), format))
    output.write(texts.join(format === 'yaml' ? '---\n' : ''))
    return
  }
  await writeDrawings(records, given, output)
}

/** Real terminations that come with this program. */
const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url))
const ENDING = '.jsonl'

const examples = (): string[] =>
  existsSync(EXAMPLES)
    ? readdirSync(EXAMPLES)
        .filter((name) => name.endsWith(ENDING))
        .map((name) => name.slice(0, -ENDING.length))
        .sort()
    : []

/** A file goes before an example of its name. */
const pathOf = (file: string): string =>
  file !== '-' && !existsSync(file) && examples().includes(file) ? join(EXAMPLES, `${file}${ENDING}`) : file

export const command = define(help, flags, run)
