/** KubeHttp over undici: one pool of HTTP/1.1 connections, through a proxy where there is one. */
import type { Readable } from 'node:stream'
import { Agent, buildConnector, type Dispatcher, ProxyAgent } from 'undici'
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

export type { Credentials, HttpClientOptions } from './api-http.ts'

export class HttpClient extends ApiHttp {
  constructor(options: HttpClientOptions) {
    super(options, (transport) => new UndiciTransport(transport))
  }
}

class UndiciTransport implements Transport {
  readonly #dispatcher: Dispatcher
  readonly #connecting = new Set<Readable>()

  constructor({ tls, proxy, maxConnections }: TransportOptions) {
    const pool = {
      allowH2: false,
      connections: maxConnections,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    }
    const socket = { allowH2: false, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS, timeout: CONNECT_TIMEOUT_MS }
    this.#dispatcher =
      proxy === undefined
        ? new Agent({ ...pool, connect: this.#tracked(buildConnector({ ...socket, ...tls })) })
        : new ProxyAgent({ ...pool, uri: proxy, requestTls: { ...socket, ...tls }, proxyTls: socket })
  }

  async request({ origin, path, method, headers, body, signal }: TransportRequest): Promise<TransportResponse> {
    const response = await this.#dispatcher.request({
      origin,
      path,
      // undici's type lists the methods; KubeHttp's are among them.
      method: method as Dispatcher.HttpMethod,
      headers,
      body: body ?? null,
      signal,
      // The deadline of the call and the reflector's watchdog stand for these.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    return { status: response.statusCode, headers: response.headers, body: response.body }
  }

  retire(): void {
    this.#dispatcher.close().catch(() => {})
  }

  async destroy(reason: Error): Promise<void> {
    for (const socket of this.#connecting) socket.destroy(reason)
    await this.#dispatcher.destroy(reason)
  }

  /** Knows the sockets that are still connecting, which destroying a pool does not reach. */
  #tracked(connect: buildConnector.connector): buildConnector.connector {
    // undici's connector returns its socket, which its types leave out; the pool uses that to give up a connection nobody waits for.
    const open = connect as (...all: Parameters<buildConnector.connector>) => Readable
    return (options, callback) => {
      const socket = open(options, (...result) => {
        this.#connecting.delete(socket)
        callback(...result)
      })
      this.#connecting.add(socket)
      socket.once('close', () => this.#connecting.delete(socket))
      return socket
    }
  }
}
