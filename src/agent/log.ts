/** The agent's log: lines as the controller's (src/log.ts), without pino, which would cost 2 MB of memory. */
import type { Log } from '../kube/log.ts'
import { errorFields } from '../log-fields.ts'

/** Least severe first; trace and fatal are levels of the setting that nothing is logged at. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type Level = (typeof LEVELS)[number]

export function createLeanLog(least: Level, write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  const withStack = LEVELS.indexOf(least) <= LEVELS.indexOf('debug')
  const at = (level: Level) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return () => {}
    return (fields: object, msg: string) => {
      const shown = 'err' in fields ? { ...fields, err: errorFields(fields.err, withStack) } : fields
      write(`${JSON.stringify({ level, time: new Date().toISOString(), ...shown, msg })}\n`)
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
