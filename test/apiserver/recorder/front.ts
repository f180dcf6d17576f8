/**
 * An address in front of the API server for one controller: it counts what the controller asks for, and puts the group of the
 * test's own CRD in place of the product's, so that no controller that is installed in a shared cluster takes part in a test, and
 * no test deletes what that one wrote. Everything else passes through as it is, credentials and watches included.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Agent, request } from 'node:https'
import { GROUP } from '../../../src/api/pod-termination.ts'
import type { Cluster } from '../../cluster/index.ts'

export interface Call {
  readonly method: string
  /** As the controller wrote it, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** performance.now() of the request. */
  readonly at: number
  /** Undefined while there is no answer. */
  status: number | undefined
  /** performance.now() of the answer. */
  answeredAt: number | undefined
}

/** In the API server's place. */
export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: object
}

/** Called before a call goes on; what it returns is answered instead. */
type Before = (call: Call, body: string | undefined) => Promise<Answer | undefined> | Answer | undefined

export interface FrontOptions {
  readonly cluster: Cluster
  /** What stands for gracewatch.dev in the cluster. */
  readonly group: string
  /** Absent: any free one. */
  readonly port?: number
  /** Of who asks, where the client itself sends none: that of Go does so over TLS alone. */
  readonly token?: string
}

export class Front {
  readonly #server: Server
  readonly #agent: Agent
  readonly #group: string
  readonly #target: URL
  readonly #authorization: Readonly<Record<string, string>>
  readonly #calls: Call[] = []
  readonly #befores = new Set<{ method: string; path: RegExp; act: Before }>()
  #cut = false

  private constructor(options: FrontOptions) {
    this.#group = options.group
    this.#target = new URL(options.cluster.apiServerUrl)
    this.#authorization = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }
    this.#agent = new Agent({ keepAlive: true, ca: readFileSync(options.cluster.adminCertificate.ca) })
    this.#server = createServer((incoming, outgoing) => void this.#pass(incoming, outgoing))
    this.#server.on('connection', (socket) => {
      if (this.#cut) socket.resetAndDestroy()
    })
  }

  static async start(options: FrontOptions): Promise<Front> {
    const front = new Front(options)
    await new Promise<void>((resolve, reject) => {
      front.#server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve)
    })
    return front
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the front has been closed')
    return `http://127.0.0.1:${address.port}`
  }

  get all(): readonly Call[] {
    return this.#calls
  }

  calls(method: string, path: RegExp): readonly Call[] {
    return this.#calls.filter((call) => call.method === method && path.test(call.path))
  }

  /** Server-side applies of records. */
  get applies(): readonly Call[] {
    return this.calls('PATCH', /\/podterminations\//)
  }

  /** Delays calls, answers them, or does something before they go on. @returns what ends it */
  before(method: string, path: RegExp, act: Before): () => void {
    const before = { method, path, act }
    this.#befores.add(before)
    return () => this.#befores.delete(before)
  }

  /** The API server is away for this controller alone: breaks what is open, and refuses what comes. */
  cut(): void {
    this.#cut = true
    this.#server.closeAllConnections()
  }

  mend(): void {
    this.#cut = false
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#agent.destroy()
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = incoming
    const [asked = url, query = ''] = url.split('?')
    const made = { path: asked, query: new URLSearchParams(query), at: performance.now() }
    const call: Call = { method, ...made, status: undefined, answeredAt: undefined }
    this.#calls.push(call)
    const path = url.replace(`/apis/${GROUP}/`, `/apis/${this.#group}/`)
    const body = method === 'GET' ? undefined : await bodyOf(incoming)
    const moved = path === url ? body : body?.toString().replace(`"${GROUP}/v1`, `"${this.#group}/v1`)
    for (const before of this.#befores) {
      if (before.method !== method || !before.path.test(call.path)) continue
      const answer = await before.act(call, body?.toString())
      if (answer === undefined) continue
      call.status = answer.status
      call.answeredAt = performance.now()
      outgoing.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
      outgoing.end(JSON.stringify(answer.body))
      return
    }
    // Whoever asked may have gone while the call was held back.
    if (outgoing.destroyed) return
    const { host: _, 'content-length': __, ...headers } = incoming.headers
    const upstream = request(
      new URL(path, this.#target),
      {
        method,
        agent: this.#agent,
        headers: {
          ...{ ...headers, ...this.#authorization },
          ...(moved === undefined ? {} : { 'content-length': Buffer.byteLength(moved) }),
        },
      },
      (answer) => {
        call.status = answer.statusCode
        call.answeredAt = performance.now()
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        outgoing.flushHeaders()
        answer.pipe(outgoing)
        answer.on('error', () => outgoing.destroy())
      },
    )
    // What breaks on one side breaks on the other, as without anything between.
    upstream.on('error', () => outgoing.destroy())
    outgoing.on('close', () => upstream.destroy())
    upstream.end(moved)
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer) // nothing sets an encoding
  return Buffer.concat(chunks)
}
