/** What the programs of this project do alike as processes: bad settings, signals, exit codes. */
import type { Log } from './kube/log.ts'

/** A part that runs until it is stopped. */
export interface Runnable {
  start(): Promise<unknown>
  stop(): Promise<unknown>
}

/**
 * Starts the part and waits for SIGTERM or SIGINT.
 *
 * @param withinMs how long a stop may take: less than the Pod's own grace period, or we would be killed like those we record
 * @returns the exit code: 0 stopped in order, 1 not started, stopped with errors, or too late
 */
export async function untilStopped(part: Runnable, log: Log, withinMs: number): Promise<number> {
  const stopped = Promise.withResolvers<number>()
  const stop = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping')
    const late = setTimeout(() => {
      log.error({ withinMs }, 'stop took too long')
      stopped.resolve(1)
    }, withinMs)
    part
      .stop()
      .then(() => stopped.resolve(0))
      .catch((err: unknown) => {
        log.error({ err }, 'stopped with errors')
        stopped.resolve(1)
      })
      .finally(() => clearTimeout(late))
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  part.start().catch((err: unknown) => {
    log.error({ err }, 'start failed')
    stopped.resolve(1)
  })
  return await stopped.promise
}

/** Ends the process with the exit code of its main function; 1 and one line where that throws. */
export function exitWith(program: string, main: Promise<number>): void {
  main.then(
    (code) => process.exit(code),
    (error: unknown) => {
      process.stderr.write(`${program}: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exit(1)
    },
  )
}
