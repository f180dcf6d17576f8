/**
 * Every way in which a call to the API server can fail, as one closed set. The code is also the metric label. A KubeError's message
 * is one line for a person: it names the call and what the server or the network said, never headers or bodies.
 */

/**
 * Unauthorized 401, Forbidden 403, NotFound 404, AlreadyExists and Conflict 409 (told apart by the reason), Gone 410, Invalid 400
 * and 422, TooLarge 413, TooManyRequests 429, ServerError any other 5xx or unexpected status, Timeout (our deadline, 408, 504, or
 * the server's reason Timeout), Network (refused, reset, TLS, name look-up), Aborted (by the caller), BadResponse (the bytes are no
 * answer of an API server).
 */
export type KubeErrorCode =
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  | 'Conflict'
  | 'Gone'
  | 'Invalid'
  | 'TooLarge'
  | 'TooManyRequests'
  | 'ServerError'
  | 'Timeout'
  | 'Network'
  | 'Aborted'
  | 'BadResponse'

/** One entry of details.causes in an API server's Status: which field, and why. */
export interface StatusCause {
  readonly field?: string
  readonly message?: string
  readonly reason?: string
}

export interface KubeErrorFields {
  readonly status?: number | undefined
  readonly reason?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly causes?: readonly StatusCause[] | undefined
  readonly cause?: unknown
}

/** The same call may succeed later, with nothing changed by the caller. */
const RETRYABLE: ReadonlySet<KubeErrorCode> = new Set(['TooManyRequests', 'ServerError', 'Timeout', 'Network', 'BadResponse'])

export class KubeError extends Error {
  readonly code: KubeErrorCode
  // Declared only: what is absent has no key, as exactOptionalPropertyTypes has it.
  declare readonly status?: number
  /** The reason of the API server's Status, such as AlreadyExists or Expired. */
  declare readonly reason?: string
  readonly retryable: boolean
  /** What the server asked to wait, in milliseconds. */
  declare readonly retryAfterMs?: number
  declare readonly causes?: readonly StatusCause[]

  constructor(code: KubeErrorCode, message: string, fields: KubeErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause })
    this.name = 'KubeError'
    this.code = code
    this.retryable = RETRYABLE.has(code)
    if (fields.status !== undefined) this.status = fields.status
    if (fields.reason !== undefined) this.reason = fields.reason
    if (fields.retryAfterMs !== undefined) this.retryAfterMs = fields.retryAfterMs
    if (fields.causes !== undefined) this.causes = fields.causes
  }
}

/** An object that lacks what is needed, or has it in another form. `field` is its path, as spec.containers[0].name. */
export class DecodeError extends Error {
  readonly field: string
  readonly found: string

  constructor(field: string, expected: string, found: unknown) {
    const what = found === undefined ? 'nothing' : found === null ? 'null' : Array.isArray(found) ? 'a list' : `a ${typeof found}`
    super(`${field} must be ${expected}, found ${what}`)
    this.name = 'DecodeError'
    this.field = field
    this.found = what
  }
}
