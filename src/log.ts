/**
 * The log: JSON lines on stdout. Messages are constant, so that they can be counted and searched; what varies is a field. An
 * error goes in as `err` and comes out as its code, status and message: stacks stay for debug, response bodies never get here.
 */
import { type Logger, pino } from 'pino'

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

function errorFields(error: unknown, withStack: boolean): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) }
  const fields: Record<string, unknown> = { name: error.name, message: error.message }
  if ('code' in error) fields.code = error.code
  if ('status' in error) fields.status = error.status
  if (error.cause instanceof Error) fields.cause = error.cause.message
  if (withStack) fields.stack = error.stack
  return fields
}
