/**
 * The log: JSON lines on stdout. Messages are constant, so that they can be counted and searched; what varies is a field. An
 * error goes in as `err` and comes out as its code, status and message: stacks stay for debug, response bodies never get here.
 */
import { type Logger, pino } from 'pino'
import { errorFields } from './log-fields.ts'

export type { Logger } from 'pino'

export function createLogger(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: (error: unknown) => errorFields(error, level === 'debug' || level === 'trace') },
  })
}
