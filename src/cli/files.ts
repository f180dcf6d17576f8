import { readFileSync } from 'node:fs'
import { CommandError } from './arguments.ts'

/** A file that a person named; -: standard input. Throws CommandError that says why it cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const reason = { ENOENT: 'there is no such file', EISDIR: 'that is a folder', EACCES: 'it may not be read' }[String(code)]
    throw new CommandError(`cannot read ${file}: ${reason ?? (error instanceof Error ? error.message : String(error))}`)
  }
}
