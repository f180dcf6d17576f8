/** What of an error is logged. */
export function errorFields(error: unknown, withStack: boolean): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) }
  const fields: Record<string, unknown> = { name: error.name, message: error.message }
  if ('code' in error) fields.code = error.code
  if ('status' in error) fields.status = error.status
  if (error.cause instanceof Error) fields.cause = error.cause.message
  if (withStack) fields.stack = error.stack
  return fields
}
