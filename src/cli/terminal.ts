/** Where the output goes: a terminal with its width and colours, or a pipe. */
import { UsageError } from './arguments.ts'
import { asCalled } from './program.ts'

export interface Output {
  write(text: string): void
  /** A hint beside the result, on standard error. */
  hint(text: string): void
  /** Columns of the terminal; undefined for a pipe. */
  readonly columns: number | undefined
  readonly colour: boolean
}

export const OUTPUT_FLAGS = {
  color: {
    value: 'WHEN',
    choices: ['auto', 'always', 'never'],
    help: 'Colours: auto (where the terminal has them), always, never.',
  },
  width: { value: 'COLUMNS', help: 'Columns to draw for; without it those of the terminal, 100 in a pipe.' },
} as const

export const TIME_FLAGS = { utc: { help: 'Times of day in UTC; without it local, with their offset.' } } as const

/** The time zone that times of day are written in. */
export function timeZoneOf(flags: { readonly utc?: true }): string {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions()
  return flags.utc === true || timeZone === 'Etc/UTC' ? 'UTC' : timeZone
}

/** A drawing in a pipe, or in a terminal that does not say how wide it is. */
export const DEFAULT_WIDTH = 100

/** standard output of this process, with what the flags ask for. */
export function outputOf(flags: { readonly color?: string; readonly width?: string }): Output {
  const { stdout } = process
  const columns = flags.width === undefined ? (stdout.isTTY ? stdout.columns || DEFAULT_WIDTH : undefined) : widthOf(flags.width)
  // hasColors knows NO_COLOR and what the terminal can do.
  const colour = flags.color === 'always' || (flags.color !== 'never' && stdout.isTTY && stdout.hasColors())
  return {
    write: (text) => void stdout.write(text),
    hint: (text) => void process.stderr.write(`${asCalled(text)}\n`),
    columns,
    colour,
  }
}

function widthOf(text: string): number {
  const width = Number(text)
  if (!/^\d+$/.test(text) || width < 40 || width > 1000)
    throw new UsageError(`--width ${text}: write a number of columns from 40 to 1000`)
  return width
}
