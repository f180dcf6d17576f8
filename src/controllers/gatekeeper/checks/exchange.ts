/** One GET of a check: one connection, one answer, within one time, and nothing kept of it. */
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIPv6 } from 'node:net'

import { Agent as HttpAgent, request as httpRequest } from '../../../node-http.ts'

export interface ProbeRequest {
  readonly scheme: 'HTTP' | 'HTTPS'
  /** A literal; nothing is looked up. */
  readonly address: string
  readonly port: number
  readonly path: string
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  readonly userAgent: string
  /** For all of it: connection, TLS, head and body. */
  readonly timeoutMs: number
}

/**
 * `failure` says what happened as the end of a sentence ("GET … failed: …"), the same words for the same thing each time. `late`: the time
 * was over.
 */
export type ProbeAnswer = { readonly status: number } | { readonly failure: string; readonly late?: true }

/** As much of a body is read, so that a server that writes a small one is not cut off; the kubelet's probes read 10 KiB. */
export const MAX_BODY = 64 * 1024

// Agents of our own have no proxies. Nothing is kept of a connection, not a TLS session either: the next pod may have this address.
const http = new HttpAgent({ keepAlive: false })
const https = new HttpsAgent({ keepAlive: false, maxCachedSessions: 0, rejectUnauthorized: false })

/** As it stands in messages: without headers. */
export function urlOf({ scheme, address, port, path }: Pick<ProbeRequest, 'scheme' | 'address' | 'port' | 'path'>): string {
  return `${scheme.toLowerCase()}://${authority(address, port)}${path}`
}

/**
 * Resolves with the status once the body has ended or MAX_BODY of it has come. Redirects are answers like others. Rejects never; where
 * the signal aborts, the failure is of no interest to anybody.
 */
export function exchange(request: ProbeRequest, signal: AbortSignal): Promise<ProbeAnswer> {
  const { scheme, address, port, path, headers, userAgent, timeoutMs } = request
  return new Promise((resolve) => {
    const options = {
      agent: scheme === 'HTTPS' ? https : http,
      host: address,
      port,
      path,
      method: 'GET',
      setHost: false,
      // No SNI: the name would be an address, which RFC 6066 does not allow.
      servername: '',
      headers: {
        host: authority(address, port),
        'user-agent': userAgent,
        accept: '*/*',
        ...Object.fromEntries(headers.map(({ name, value }) => [name.toLowerCase(), value])),
        connection: 'close',
      },
    }
    let call: ReturnType<typeof httpRequest>
    try {
      call = scheme === 'HTTPS' ? httpsRequest(options) : httpRequest(options)
    } catch (thrown) {
      resolve({ failure: `it cannot be sent (${codeOf(thrown)})` })
      return
    }
    const end = (answer: ProbeAnswer) => {
      clearTimeout(deadline)
      signal.removeEventListener('abort', abort)
      resolve(answer)
      call.destroy()
    }
    const abort = () => end({ failure: 'it was given up' })
    const deadline = setTimeout(() => end({ failure: `no whole answer within ${timeoutMs / 1000} s`, late: true }), timeoutMs)
    signal.addEventListener('abort', abort, { once: true })
    // Also after the end: a connection that is destroyed may still have an error to tell.
    call.on('error', (error) => end({ failure: wordsFor(error) }))
    let answered = false
    // Also where the server wants to speak something else (101), which is no error to Node.
    call.on('close', () => answered || end({ failure: CLOSED }))
    call.on('response', (response) => {
      answered = true
      const answer = { status: response.statusCode ?? 0 }
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size >= MAX_BODY) end(answer)
      })
      response.on('end', () => end(answer))
      response.on('error', (error) => end({ failure: wordsFor(error) }))
    })
    if (signal.aborted) abort()
    else call.end()
  })
}

function authority(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

const CLOSED = 'the connection was closed before the answer was whole'
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  ETIMEDOUT: 'no connection',
  EHOSTUNREACH: 'no route to the pod',
  ENETUNREACH: 'no route to the pod',
  // As the kernel says it for a route that is blackholed or prohibited.
  EINVAL: 'no route to the pod',
  EACCES: 'no route to the pod',
}

/** The messages of errors have pointers, ports and byte counts in them, each of which would make another condition of the same finding. */
function wordsFor(error: Error): string {
  const code = codeOf(error)
  if (code.startsWith('HPE_')) return 'the answer is no HTTP'
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'no TLS connection could be made'
  return WORDS[code] ?? `the connection failed (${code})`
}

function codeOf(thrown: unknown): string {
  return typeof thrown === 'object' && thrown !== null && 'code' in thrown ? String(thrown.code) : 'unknown error'
}
