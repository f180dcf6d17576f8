import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { parse } from 'yaml'
import type { Micros } from '../../src/core/time.ts'

/** An object of the API as it came over the wire; the test reads the fields that it knows to be there. */
// biome-ignore lint/suspicious/noExplicitAny: the schema is the API server's; the test states its own expectations of it
export type Raw = any

export interface Call {
  readonly sentAt: Micros
  readonly answeredAt: Micros
  readonly status: number
  readonly body: Raw
}

interface Credentials {
  readonly server: URL
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** Only what the test cluster's own kubeconfig has: a CA and a client certificate, in files or inline. */
function credentialsOf(kubeconfig: string): Credentials {
  const config: Raw = parse(readFileSync(kubeconfig, 'utf8'))
  const context = config.contexts.find((entry: Raw) => entry.name === config['current-context'])?.context
  const cluster = config.clusters.find((entry: Raw) => entry.name === context?.cluster)?.cluster
  const user = config.users.find((entry: Raw) => entry.name === context?.user)?.user
  const read = (owner: Raw, field: string): Buffer => {
    if (owner?.[`${field}-data`]) return Buffer.from(owner[`${field}-data`], 'base64')
    if (owner?.[field]) return readFileSync(owner[field])
    throw new Error(`${kubeconfig} has no ${field} for its current context: the test client needs a client certificate`)
  }
  return {
    server: new URL(cluster.server),
    ca: read(cluster, 'certificate-authority'),
    cert: read(user, 'client-certificate'),
    key: read(user, 'client-key'),
  }
}

export class ApiError extends Error {
  readonly status: number
  constructor(call: { method: string; path: string; status: number; message: string }) {
    super(`${call.method} ${call.path}: ${call.status} ${call.message}`)
    this.status = call.status
  }
}

/** The test's own client of the API server: plain HTTPS with the admin's certificate, and none of the product's code. */
export class Api {
  readonly #credentials: Credentials
  readonly #agent: Agent
  readonly #now: () => Micros

  constructor(kubeconfig: string, now: () => Micros) {
    this.#credentials = credentialsOf(kubeconfig)
    this.#now = now
    const { ca, cert, key } = this.#credentials
    this.#agent = new Agent({ keepAlive: true, maxSockets: 40, ca, cert, key })
  }

  close(): void {
    this.#agent.destroy()
  }

  /** Throws ApiError on any status of 400 and above. */
  async call(method: string, path: string, body?: Raw, contentType = 'application/json'): Promise<Call> {
    const sentAt = this.#now()
    const response = await this.#open(method, path, body, contentType, 30_000)
    const text = await textOf(response)
    const answeredAt = this.#now()
    const status = response.statusCode ?? 0
    let parsed: Raw
    try {
      parsed = JSON.parse(text)
    } catch {
      parsed = { message: text.slice(0, 300) }
    }
    if (status >= 400) throw new ApiError({ method, path, status, message: String(parsed.message) })
    return { sentAt, answeredAt, status, body: parsed }
  }

  async get(path: string): Promise<Raw> {
    return (await this.call('GET', path)).body
  }

  /** The object, or undefined where the API server knows none. */
  async find(path: string): Promise<Raw | undefined> {
    try {
      return await this.get(path)
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined
      throw error
    }
  }

  create(path: string, object: Raw): Promise<Call> {
    return this.call('POST', path, object)
  }

  delete(path: string, options: Raw = {}): Promise<Call> {
    return this.call('DELETE', path, { apiVersion: 'v1', kind: 'DeleteOptions', ...options })
  }

  patch(path: string, patch: Raw, kind: 'merge' | 'strategic-merge' = 'strategic-merge'): Promise<Call> {
    return this.call('PATCH', path, patch, `application/${kind}-patch+json`)
  }

  /** A watch's response; its body goes on until it is destroyed. */
  async stream(path: string): Promise<IncomingMessage> {
    const response = await this.#open('GET', path, undefined, 'application/json', 0)
    if (response.statusCode === 200) return response
    const message = (await textOf(response)).slice(0, 300)
    throw new ApiError({ method: 'GET', path, status: response.statusCode ?? 0, message })
  }

  #open(method: string, path: string, body: Raw, contentType: string, timeout: number): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((done, fail) => {
      const request = httpsRequest(
        new URL(path, this.#credentials.server),
        {
          method,
          agent: this.#agent,
          timeout,
          headers: payload === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(payload) },
        },
        done,
      )
      request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer in ${timeout / 1000} s`)))
      request.on('error', fail)
      request.end(payload)
    })
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8')
  let text = ''
  for await (const chunk of response) text += chunk
  return text
}
