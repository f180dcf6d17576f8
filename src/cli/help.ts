/** The help texts: 100 columns at most, what one does first, examples that work. */
import { wrap } from '../render/text.ts'
import { type Flags, flagLines, type Parsed, parse } from './arguments.ts'
import { COMMANDS, type Command } from './commands.ts'
import { asCalled } from './program.ts'

export interface CommandHelp {
  readonly name: string
  /** The words after the name, as `NAME [FLAGS]`. */
  readonly usage: string
  readonly text: string
  /** Lines that stand as they are. */
  readonly legend?: readonly string[]
  readonly examples: readonly (readonly [command: string, meaning: string])[]
}

const COLUMNS = 100

export const asksForHelp = (argv: readonly string[]) => argv.includes('--help') || argv.includes('-h')

/** A command that answers --help, reads its flags and runs. What it returns is the exit code; nothing: 0. */
export function define<F extends Flags>(
  help: CommandHelp,
  flags: F,
  run: (given: Parsed<F>) => number | undefined | Promise<number> | void | Promise<void>,
): Command {
  const command = async (argv: readonly string[]) => {
    if (!asksForHelp(argv)) return (await run(parse(argv, flags, help.name))) ?? 0
    process.stdout.write(commandHelp(help, flags))
    return 0
  }
  return Object.assign(command, { flags, help: () => commandHelp(help, flags) })
}

const aligned = (rows: readonly (readonly [string, string])[]) => {
  const called = rows.map(([left, right]) => [asCalled(left), asCalled(right)] as const)
  const width = Math.max(...called.map(([left]) => left.length))
  return called.flatMap(([left, right]) => {
    const line = `  ${left.padEnd(width)}  ${right}`.trimEnd()
    return line.length <= COLUMNS ? [line] : [`  ${left}`, `      ${right}`]
  })
}

export function mainHelp(): string {
  return [
    'Gracewatch tells how your pods really end: a timeline, a cause and an outcome for every termination.',
    '',
    asCalled('Usage: gracewatch COMMAND [ARGUMENTS]'),
    '',
    ...aligned([...COMMANDS].map(([name, { usage, summary }]) => [`${name} ${usage}`.trim(), summary])),
    '',
    'Examples:',
    ...aligned([
      ['gracewatch list -A', 'what ended, and which workloads lose pods badly'],
      ['gracewatch show web-7d4b9c-x2x9k -n shop', 'how this one ended, and what to change'],
    ]),
    '',
    asCalled('gracewatch COMMAND --help tells more.'),
    '',
  ].join('\n')
}

function commandHelp({ name, usage, text, legend = [], examples }: CommandHelp, flags: Flags): string {
  const lines = flagLines({ ...flags, help: { short: 'h', help: 'This text.' } }, COLUMNS)
  return [
    ...wrap(asCalled(text), COLUMNS),
    '',
    ...(legend.length === 0 ? [] : [...legend.map((line) => `  ${line}`), '']),
    asCalled(`Usage: gracewatch ${name} ${usage}`.trim()),
    '',
    ...lines,
    ...(examples.length === 0 ? [] : ['', 'Examples:', ...aligned(examples)]),
    '',
  ].join('\n')
}
