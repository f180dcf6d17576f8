/** Flags as kubectl has them, read with one message for each thing that is wrong. */
import { parseArgs } from 'node:util'
import { nearest } from '../nearest.ts'
import { wrap } from '../render/text.ts'
import { asCalled } from './program.ts'

/** Wrong words on the command line: exit code 2. The message is one line and says what to write. */
export class UsageError extends Error {}

/** Anything else that a person can act on: exit code 1, one line. */
export class CommandError extends Error {}

export interface Flag {
  readonly short?: string
  /** What stands for the value in the help, as NAME; absent: a switch. */
  readonly value?: string
  /** The values that there are; absent: every value is taken. */
  readonly choices?: readonly string[]
  /** What a shell completes a value with, where others are taken too. */
  readonly proposed?: readonly string[]
  readonly help: string
}
export type Flags = Readonly<Record<string, Flag>>

/** Value of each flag that was given (a switch: true), and the other words in order. */
export interface Parsed<F extends Flags> {
  readonly flags: { readonly [K in keyof F]?: F[K] extends { value: string } ? string : true }
  readonly words: readonly string[]
}

/** Throws UsageError for an unknown flag, a flag without its value, one that is given twice, or a value that is no choice. */
export function parse<F extends Flags>(argv: readonly string[], known: F, command: string): Parsed<F> {
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { short, value }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short === undefined ? {} : { short }) },
    ]),
  )
  const { tokens } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: false, tokens: true })
  const words: string[] = []
  const flags: Record<string, string | true> = {}
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    // Every object seems to know `constructor`, which is no flag.
    const flag = Object.hasOwn(known, token.name) ? known[token.name] : undefined
    if (flag === undefined) throw new UsageError(unknownFlag(token.rawName, known, command))
    if (Object.hasOwn(flags, token.name)) throw new UsageError(`${token.rawName} is given twice: leave one`)
    flags[token.name] = readValue(token.rawName, token.value, flag)
  }
  return { flags: flags as Parsed<F>['flags'], words } // each value was made by the flag of its own name
}

function readValue(written: string, given: string | undefined, { value, choices }: Flag): string | true {
  if (value === undefined) {
    if (given !== undefined) throw new UsageError(`${written} is a switch and takes no value`)
    return true
  }
  const text = given?.replace(/^=/, '') // -n=shop, as kubectl allows it
  if (text === undefined || text === '' || (text.startsWith('-') && text !== '-'))
    throw new UsageError(`${written} has no value: write ${written} ${value}`)
  if (choices !== undefined && !choices.includes(text)) {
    const near = nearest(text, choices)
    throw new UsageError(
      `${written} ${text}: ${near === undefined ? `choose from ${choices.join(', ')}` : `did you mean ${near}?`}`,
    )
  }
  return text
}

function unknownFlag(written: string, known: Flags, command: string): string {
  const names = Object.entries(known).flatMap(([name, { short }]) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])])
  const near = written.startsWith('--')
    ? nearest(written, names)
    : names.find((name) => name.toLowerCase() === written.toLowerCase())
  return `unknown flag ${written}: ${near === undefined ? `gracewatch ${command} --help shows those there are` : `did you mean ${near}?`}`
}

/** The flags of a command, one a line where there is room, for its help. */
export function flagLines(flags: Flags, columns: number): string[] {
  const rows = Object.entries(flags).map(([name, { short, value, help }]) => {
    const long = `--${name}${value === undefined ? '' : `=${value}`}`
    return [short === undefined ? `    ${long}` : `-${short}, ${long}`, help] as const
  })
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.flatMap(([left, help]) =>
    wrap(asCalled(help), columns - width - 4).map((line, i) => `  ${(i === 0 ? left : '').padEnd(width)}  ${line}`),
  )
}
