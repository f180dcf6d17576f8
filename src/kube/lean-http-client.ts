/**
 * KubeHttp over node:https, for programs that have to be small: undici costs 13 MB of memory more. No proxies: this is for pods, whose
 * API server is a Service of their cluster.
 */
import type { Agent, IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Agent as HttpAgent, request as httpRequest } from '../node-http.ts'
import {
  ApiHttp,
  CONNECT_TIMEOUT_MS,
  type HttpClientOptions,
  KEEP_ALIVE_MS,
  TCP_KEEP_ALIVE_MS,
  type Transport,
  type TransportOptions,
  type TransportRequest,
  type TransportResponse,
} from './api-http.ts'
import { KubeError } from './errors.ts'

export class LeanHttpClient extends ApiHttp {
  constructor(options: Omit<HttpClientOptions, 'proxy'>) {
    super(options, (transport) => new NodeTransport(transport))
  }
}

class NodeTransport implements Transport {
  readonly #agents: Readonly<Record<string, Agent>>
  readonly #underWay = new Set<{ destroy(reason: Error): unknown }>()
  #retired = false

  constructor({ tls, maxConnections }: TransportOptions) {
    const pool = {
      keepAlive: true,
      keepAliveMsecs: TCP_KEEP_ALIVE_MS,
      maxSockets: maxConnections,
      // Of an idle socket; one that carries a request has its time-out taken away below.
      timeout: KEEP_ALIVE_MS,
    }
    this.#agents = { 'http:': new HttpAgent(pool), 'https:': new HttpsAgent({ ...pool, ...tls, ALPNProtocols: ['http/1.1'] }) }
  }

  request({ origin, path, method, headers, body, signal }: TransportRequest): Promise<TransportResponse> {
    const { protocol, hostname, port } = new URL(origin)
    const send = protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const request = send({
        agent: this.#agents[protocol],
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path,
        method,
        headers: body === undefined ? headers : { ...headers, 'content-length': Buffer.byteLength(body) },
        signal,
      })
      this.#underWay.add(request)
      // Of a request that is destroyed while it waits for a connection Node says nothing before its turn would have come.
      const aborted = () => reject(signal.reason)
      signal.addEventListener('abort', aborted, { once: true })
      const connecting = setTimeout(() => {
        const late = new KubeError('Timeout', `${method} ${path}: no connection within ${CONNECT_TIMEOUT_MS / 1000} s`)
        request.destroy(late)
        reject(late)
      }, CONNECT_TIMEOUT_MS)
      request.once('socket', (socket) => {
        if (!socket.connecting) clearTimeout(connecting)
        else socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
        // A watch is silent for minutes; the deadline of the call and the reflector's watchdog stand for this.
        request.setTimeout(0)
      })
      request.once('response', (response) => resolve(this.#answer(response)))
      request.on('error', reject)
      request.once('close', () => {
        clearTimeout(connecting)
        signal.removeEventListener('abort', aborted)
        // A server that wants to speak something else (101) is no error to Node, and no response either.
        reject(new KubeError('BadResponse', `${method} ${path}: the connection ended without an answer`))
        this.#underWay.delete(request)
        if (this.#retired && this.#underWay.size === 0) this.#closeIdle()
      })
      request.end(body)
    })
  }

  #answer(response: IncomingMessage): TransportResponse {
    // A request that has its response always has a status.
    return { status: response.statusCode ?? 0, headers: response.headers, body: response }
  }

  retire(): void {
    this.#retired = true
    if (this.#underWay.size === 0) this.#closeIdle()
  }

  async destroy(reason: Error): Promise<void> {
    for (const request of this.#underWay) request.destroy(reason)
    this.#closeIdle()
  }

  #closeIdle(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }
}
