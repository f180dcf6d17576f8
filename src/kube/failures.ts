/** What servers and networks say when they fail -> KubeError. */
import { cut } from '../core/gates/text.ts'
import { KubeError, type KubeErrorCode, type StatusCause } from './errors.ts'

const MAX_MESSAGE = 600
/** A longer wait than this is not taken from a server. */
const MAX_RETRY_AFTER_MS = 120_000

/** The parts of a meta/v1 Status that matter here; every one may be missing. */
interface Status {
  readonly message?: string
  readonly reason?: string
  readonly code?: number
  readonly retryAfterSeconds?: number
  readonly causes?: readonly StatusCause[]
}

/** A response with a status from 300 on: the API server redirects nobody. `call` names the call, as "GET /api/v1/pods". */
export function fromResponse(call: string, status: number, headers: ReadonlyMap<string, string>, body: string): KubeError {
  const said = readStatus(parse(body))
  return new KubeError(codeOf(status, said), `${call}: ${status} ${oneLine(said.message ?? said.reason ?? body)}`.trim(), {
    status,
    reason: said.reason,
    retryAfterMs: retryAfter(headers.get('retry-after'), said.retryAfterSeconds),
    causes: said.causes,
  })
}

/** The Status that a watch sends in an event of type ERROR. */
export function fromStatusObject(call: string, raw: unknown): KubeError {
  const said = readStatus(raw)
  const status = said.code ?? 500
  return new KubeError(codeOf(status, said), `${call}: ${status} ${oneLine(said.message ?? said.reason ?? 'no message')}`, {
    status,
    reason: said.reason,
    retryAfterMs: retryAfter(undefined, said.retryAfterSeconds),
    causes: said.causes,
  })
}

/** Whatever was thrown between the request and the end of its response. */
export function fromThrown(call: string, thrown: unknown): KubeError {
  if (thrown instanceof KubeError) return thrown
  const first = firstOf(thrown)
  const code = codeProperty(first)
  const message = `${call}: ${oneLine(first instanceof Error ? first.message : String(first))}`
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') return new KubeError('Timeout', message, { cause: thrown })
  const noHttp = code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW' || fieldsOf(first).name === 'HTTPParserError'
  if (noHttp) return new KubeError('BadResponse', message, { cause: thrown })
  return new KubeError('Network', message, { cause: thrown })
}

/**
 * The server was asked for a version that it has not reached yet: one of several API servers lags, or etcd was restored from a
 * backup (apimachinery, pkg/api/errors, IsTooLargeResourceVersion).
 */
export function isVersionTooLarge(error: KubeError): boolean {
  return (
    (error.causes?.some((cause) => cause.reason === 'ResourceVersionTooLarge') ?? false) ||
    (error.code === 'Timeout' && error.message.includes('Too large resource version'))
  )
}

function codeOf(status: number, said: Status): KubeErrorCode {
  if (said.reason === 'Expired' || said.reason === 'Gone') return 'Gone'
  if (status < 400) return 'BadResponse'
  switch (status) {
    case 400:
    case 422:
      return 'Invalid'
    case 401:
      return 'Unauthorized'
    case 403:
      return 'Forbidden'
    case 404:
      return 'NotFound'
    case 408:
    case 504:
      return 'Timeout'
    case 409:
      return said.reason === 'AlreadyExists' ? 'AlreadyExists' : 'Conflict'
    case 410:
      return 'Gone'
    case 413:
      return 'TooLarge'
    case 429:
      return 'TooManyRequests'
    default:
      return said.reason === 'Timeout' ? 'Timeout' : 'ServerError'
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

function readStatus(raw: unknown): Status {
  const object = fieldsOf(raw)
  const details = fieldsOf(object.details)
  const causes = Array.isArray(details.causes) ? details.causes.map(readCause) : undefined
  return {
    ...(typeof object.message === 'string' && { message: object.message }),
    ...(typeof object.reason === 'string' && { reason: object.reason }),
    ...(typeof object.code === 'number' && { code: object.code }),
    ...(typeof details.retryAfterSeconds === 'number' && { retryAfterSeconds: details.retryAfterSeconds }),
    ...(causes !== undefined && { causes }),
  }
}

function readCause(raw: unknown): StatusCause {
  const { field, message, reason } = fieldsOf(raw)
  return {
    ...(typeof field === 'string' && { field }),
    ...(typeof message === 'string' && { message }),
    ...(typeof reason === 'string' && { reason }),
  }
}

function fieldsOf(raw: unknown): Record<string, unknown> {
  // Any object can be read by its keys; every value is checked where it is used.
  return typeof raw === 'object' && raw !== null ? (raw as Record<string, unknown>) : {}
}

function retryAfter(header: string | undefined, detailSeconds: number | undefined): number | undefined {
  const seconds = header !== undefined && /^\d+$/.test(header) ? Number(header) : detailSeconds
  return seconds === undefined || seconds <= 0 ? undefined : Math.min(seconds * 1000, MAX_RETRY_AFTER_MS)
}

/** Connecting to several addresses fails with an AggregateError, whose own message is empty. */
function firstOf(thrown: unknown): unknown {
  return thrown instanceof AggregateError && thrown.errors.length > 0 ? thrown.errors[0] : thrown
}

function codeProperty(thrown: unknown): string {
  const { code } = fieldsOf(thrown)
  return typeof code === 'string' ? code : ''
}

export function oneLine(text: string): string {
  return cut(text.replace(/\s+/g, ' ').trim(), MAX_MESSAGE)
}
