/**
 * An HTTP server on loopback that answers list and watch for a World as kube-apiserver does, and fails in every way that a test asks
 * for. What it serves well is only as much as a reflector needs; the same tests run against the real one in test/apiserver.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type RawObject, World, type WorldEvent } from './world.ts'

export interface Exchange {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly response: ServerResponse
  readonly socket: Socket
}

/** Answers one request in place of the server. Returns false to leave it to the server after all. */
export type Answer = (exchange: Exchange) => boolean | undefined

interface Watcher {
  readonly exchange: Exchange
  readonly send: (event: WorldEvent) => void
  /** What came while the connection pretends to be alive is lost. */
  dead: boolean
}

export const PODS = '/api/v1/pods'

export class TestApiServer {
  readonly world = new World()
  readonly requests: Exchange[] = []
  /** Taken one by one by the requests that come, before the server's own answers. */
  readonly answers: Answer[] = []
  streamingLists = true
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #watchers = new Set<Watcher>()
  readonly #snapshots = new Map<number, RawObject[]>()
  #held: WorldEvent[] | undefined
  #onRequest: () => void = () => {}

  private constructor() {
    this.#server = createServer((request, response) => this.#handle(request, response))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      socket.on('error', () => {})
    })
    this.world.onEvent((event) => {
      if (this.#held !== undefined) {
        this.#held.push(event)
        return
      }
      for (const watcher of this.#watchers) if (!watcher.dead) watcher.send(event)
    })
  }

  static async start(): Promise<TestApiServer> {
    const server = new TestApiServer()
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    // A listening TCP server has an AddressInfo.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get watching(): number {
    return this.#watchers.size
  }

  get connections(): number {
    return this.#sockets.size
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** The queries of the requests so far that were watches from a version. */
  get resumes(): string[] {
    return this.requests.flatMap(({ query }) => (query.has('watch') ? [query.get('resourceVersion') ?? 'list'] : []))
  }

  /** Resolves when the request with this number (from 1) has come. */
  async requested(number: number): Promise<Exchange> {
    for (;;) {
      const exchange = this.requests[number - 1]
      if (exchange !== undefined) return exchange
      await new Promise<void>((resolve) => {
        const before = this.#onRequest
        this.#onRequest = () => {
          before()
          resolve()
        }
      })
    }
  }

  /** Writes bytes to every open watch, whatever they are. */
  write(text: string | Uint8Array): void {
    for (const { exchange } of this.#watchers) exchange.response.write(text)
  }

  /** Keeps back what the world tells, until it is released in whatever order. */
  hold(): { readonly count: number; release(order: (events: WorldEvent[]) => WorldEvent[]): void } {
    const events: WorldEvent[] = []
    this.#held = events
    return {
      get count() {
        return events.length
      },
      release: (order) => {
        this.#held = undefined
        for (const event of order(events)) for (const watcher of this.#watchers) watcher.send(event)
      },
    }
  }

  bookmark(): void {
    this.write(bookmarkLine(this.world.version))
  }

  /** Ends every open watch as the server does after timeoutSeconds. */
  endWatches(): void {
    for (const { exchange } of this.#watchers) exchange.response.end()
    this.#watchers.clear()
  }

  resetWatches(): void {
    for (const { exchange } of this.#watchers) exchange.socket.resetAndDestroy()
    this.#watchers.clear()
  }

  /** The connections stay open, but nothing comes through them any more. */
  freezeWatches(): void {
    for (const watcher of this.#watchers) watcher.dead = true
    this.#watchers.clear()
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://server')
    const exchange: Exchange = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      response,
      socket: request.socket,
    }
    this.requests.push(exchange)
    const told = this.#onRequest
    this.#onRequest = () => {}
    told()
    const answer = this.answers.shift()
    if (answer !== undefined && answer(exchange) !== false) return
    if (url.searchParams.has('watch')) this.#watch(exchange)
    else this.#list(exchange)
  }

  #watch(exchange: Exchange): void {
    const { query, response } = exchange
    const initial = query.get('sendInitialEvents') === 'true'
    if (initial && !this.streamingLists) {
      fail(422, 'Invalid', 'sendInitialEvents is forbidden')(exchange)
      return
    }
    const from = Number(query.get('resourceVersion') ?? 0)
    if (!initial && from < this.world.compacted) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(errorLine(410, 'Expired', `too old resource version: ${from} (${this.world.compacted})`))
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const send = ({ type, object }: WorldEvent) => response.write(line(type, object))
    if (initial) {
      for (const object of this.world.objects.values()) response.write(line('ADDED', object))
      response.write(bookmarkLine(this.world.version, true))
    } else {
      for (const event of this.world.since(from)) send(event)
    }
    const watcher: Watcher = { exchange, send, dead: false }
    this.#watchers.add(watcher)
    response.once('close', () => this.#watchers.delete(watcher))
  }

  /** All pages of one list show the world as it was at the first. */
  #list(exchange: Exchange): void {
    const { query, response } = exchange
    const limit = Number(query.get('limit') ?? 0) || Number.POSITIVE_INFINITY
    const [version = this.world.version, start = 0] = query.get('continue')?.split(':').map(Number) ?? []
    if (start > 0 && version < this.world.compacted) {
      fail(410, 'Expired', 'The provided continue parameter is too old')(exchange)
      return
    }
    const all = this.#snapshots.get(version) ?? [...this.world.objects.values()]
    this.#snapshots.set(version, all)
    const more = start + limit < all.length
    json(response, 200, {
      kind: 'List',
      apiVersion: 'v1',
      metadata: { resourceVersion: String(version), ...(more && { continue: `${version}:${start + limit}` }) },
      items: all.slice(start, start + limit),
    })
  }
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

export function fail(
  status: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
  details = {},
): Answer {
  return ({ response }) => {
    json(response, status, { kind: 'Status', status: 'Failure', code: status, reason, message, details }, headers)
    return true
  }
}

export function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`
}

export function errorLine(code: number, reason: string, message: string): string {
  return line('ERROR', { kind: 'Status', status: 'Failure', code, reason, message })
}

export function bookmarkLine(version: number, ends = false): string {
  const metadata = { resourceVersion: String(version), ...(ends && { annotations: { 'k8s.io/initial-events-end': 'true' } }) }
  return line('BOOKMARK', { kind: 'Pod', metadata })
}
