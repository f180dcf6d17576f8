/**
 * The metrics port: HTTPS alone, and /metrics alone, for those whom the access lets in. It is apart from the health port, which the
 * kubelet asks without a token.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

import type { Log } from '../kube/log.ts'
import type { ListenAddress } from '../settings-table.ts'
import type { Access, MetricsAccess } from './metrics-access.ts'
import type { Certificate } from './metrics-files.ts'

export interface MetricsServer {
  readonly port: number
  /** Ends open connections too. May be called more than once. */
  close(): Promise<void>
}

export interface Exposition {
  readonly contentType: string
  /** As it stands now. */
  scrape(): Promise<Scrape>
}

export interface Scrape {
  readonly text: string
  /** The text has been handed over to whoever asked for it. */
  delivered?(): void
}

export interface MetricsServerOptions {
  readonly address: ListenAddress
  readonly certificate: Certificate
  /** Undefined: everybody who reaches the port. */
  readonly access: MetricsAccess | undefined
  readonly exposition: Exposition
  readonly log: Log
}

const PATH = '/metrics'
/** Connections on which nothing has been told yet: with one more the oldest of them goes. */
const MAX_STRANGERS = 64
/** In all: those over MAX_STRANGERS are left for those who read the metrics. */
const MAX_CONNECTIONS = 128
/** For the handshake, and then for the headers. */
const HEADERS_MS = 5000
/** How often Node looks for connections whose time is over. */
const LOOK_MS = 1000
const REQUEST_MS = 10_000
const KEEP_ALIVE_MS = 90_000
/** Below this, packing costs more than it saves. */
const GZIP_FROM = 1024
const STATUS: Readonly<Record<Exclude<Access, 'Allowed'>, readonly [number, string]>> = {
  Unauthorized: [401, 'a bearer token is needed that the API server knows\n'],
  Forbidden: [403, `forbidden: it takes a ClusterRole that allows get on the nonResourceURL ${PATH}\n`],
  Unavailable: [503, 'the API server could not be asked who may read the metrics, try again\n'],
}
const pack = promisify(gzip)

/** Listens until close(). Rejects, in words for the settings, where the address cannot be had. */
export function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { certificate, log } = options
  const { host, port } = options.address
  // By the client, whom the connection and the TLS upon it have in common. The oldest first.
  const strangers = new Map<string, Socket>()
  const server = createServer(
    {
      ...certificate.current,
      minVersion: 'TLSv1.2',
      handshakeTimeout: HEADERS_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: LOOK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => {
      answer(options, request, response, () => strangers.delete(clientOf(request.socket))).catch((err: unknown) => {
        log.error({ err }, 'metrics could not be told')
        if (response.headersSent) response.destroy()
        else plain(response, 500, 'the metrics could not be put together: the log says why\n')
      })
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  server.on('connection', (socket: Socket) => {
    const client = clientOf(socket)
    if (strangers.size >= MAX_STRANGERS) strangers.values().next().value?.destroy()
    strangers.set(client, socket)
    socket.once('close', () => strangers.get(client) === socket && strangers.delete(client))
  })
  // Connections that are open keep what they began with.
  certificate.watch((pair) => server.setSecureContext(pair))
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      certificate.close()
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${error.message})`
      reject(new Error(`${host ?? ''}:${port} ${why}: write another --metrics-address`, { cause: error }))
    })
    server.listen(port, host, () => {
      resolve({
        port: (server.address() as AddressInfo).port, // a server that listens on a port has one
        close: () => {
          certificate.close()
          return new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          })
        },
      })
    })
  })
}

async function answer(
  { access, exposition }: MetricsServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  letIn: () => void,
): Promise<void> {
  if (request.url?.split('?')[0] !== PATH) return plain(response, 404, `not found: there is ${PATH}\n`)
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(response, 405, 'only GET and HEAD\n')
  const allowed = (await access?.check(request.headers.authorization, PATH, request.socket.remoteAddress ?? '')) ?? 'Allowed'
  if (allowed !== 'Allowed') {
    if (allowed === 'Unauthorized') response.setHeader('www-authenticate', 'Bearer')
    return plain(response, ...STATUS[allowed])
  }
  letIn()
  const scrape = await exposition.scrape()
  const { text } = scrape
  const packed = text.length >= GZIP_FROM && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  const body = packed ? await pack(text) : text
  response.on('finish', () => request.method === 'GET' && scrape.delivered?.())
  response
    .writeHead(200, {
      'content-type': exposition.contentType,
      'cache-control': 'no-store',
      vary: 'accept-encoding',
      ...(packed ? { 'content-encoding': 'gzip' } : {}),
    })
    .end(body)
}

/** Who is told nothing keeps no connection. */
function plain(response: ServerResponse, status: number, text: string): void {
  response
    .writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', connection: 'close' })
    .end(text)
}

const clientOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
