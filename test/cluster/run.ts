import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { ClusterError } from './errors.ts'
import { helperEnvironment } from './settings.ts'

export interface RunOptions {
  /** Written to standard input, which is closed otherwise. */
  readonly input?: string | undefined
  readonly cwd?: string | undefined
  /** Added to the harness's own environment; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Called with each line of output and errors as it comes, for progress. */
  readonly onLine?: ((line: string) => void) | undefined
}

export interface RunResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end and returns how it went, whatever its exit code. Throws only if it cannot be started. */
export async function tryRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...helperEnvironment(), ...options.env },
  })
  const out: string[] = []
  const err: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text))
  if (options.onLine) for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', options.onLine)
  // A command that ends without reading its input is judged by its exit code, not by the broken pipe.
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  const code = await new Promise<number>((done, fail) => {
    child.on('error', (error) => fail(new ClusterError(`${command} could not be started: ${error.message}`)))
    child.on('close', (status, signal) => done(status ?? (signal === null ? 1 : 128)))
  })
  return { code, stdout: out.join(''), stderr: err.join('') }
}

/** Runs a command and returns its standard output. Throws ClusterError with the command and the end of its errors. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await tryRun(command, args, options)
  if (result.code !== 0) throw new ClusterError(failureOf(command, args, result))
  return result.stdout
}

/** The message of a failed command: what ran, its exit code, and the last lines that it wrote. */
export function failureOf(command: string, args: readonly string[], result: RunResult): string {
  const said = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-12).join('\n')
  return `${command} ${args.join(' ')} ended with exit code ${result.code}${said === '' ? '' : `:\n${said}`}`
}
