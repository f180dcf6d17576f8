/**
 * KubeHttp over whatever carries it: a deadline on every call, credentials that are read again when they age, errors of one kind. The
 * connections are a Transport's: undici's (http-client.ts), or Node's own where memory counts (lean-http-client.ts).
 */
import type { Readable } from 'node:stream'
import type { Micros } from '../core/time.ts'
import type { RecorderClock } from './clock.ts'
import { KubeError } from './errors.ts'
import { fromResponse, fromThrown } from './failures.ts'
import type { HttpRequest, HttpResponse, HttpStream, KubeHttp, ResponseObservation } from './http.ts'
import { Slots } from './slots.ts'

/** What node:tls takes. Never changed in place: another object means other connections. */
export interface TlsMaterial {
  readonly ca?: string | Buffer
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly pfx?: string | Buffer
  readonly passphrase?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

/** Never changed in place either: the same object after a 401 means that there is nothing else to try. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>
  readonly tls: TlsMaterial
}

/** One request as it goes out. */
export interface TransportRequest {
  readonly origin: string
  /** With the query. */
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | undefined
  readonly signal: AbortSignal
}

export interface TransportResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readable
}

/** Connections that were made with one TLS material: HTTP/1.1, kept open while idle, bounded in number. */
export interface Transport {
  /** Resolves at the head of the response; rejects where the signal aborts before, and its body fails where it does after. */
  request(request: TransportRequest): Promise<TransportResponse>
  /** What is carried is finished; nothing new is taken. */
  retire(): void
  /** Ends what is carried and what is still connecting. */
  destroy(reason: Error): Promise<void>
}

export interface TransportOptions {
  readonly tls: TlsMaterial
  readonly proxy?: string | undefined
  readonly maxConnections: number
}

export interface HttpClientOptions {
  /** Such as https://10.96.0.1:443, with a path where the API server stands behind one. */
  readonly server: string
  /** Asked before every call. `rejected`: the API server answered 401 to what was given last. */
  readonly credentials: (rejected: boolean) => Promise<Credentials>
  readonly clock: RecorderClock
  readonly userAgent: string
  /** URL of an http, https or socks5 proxy. */
  readonly proxy?: string | undefined
  /** All connections; of these, how many can be streams. Default 16 and 10: however many watches there are, calls get through. */
  readonly maxConnections?: number
  readonly maxStreams?: number
}

const DEFAULT_TIMEOUT_MS = 15_000
export const CONNECT_TIMEOUT_MS = 10_000
/** Below the 90 s after which an API server closes an idle connection (apiserver, pkg/server/secure_serving.go). */
export const KEEP_ALIVE_MS = 60_000
export const TCP_KEEP_ALIVE_MS = 30_000
const MAX_BODY = 64 * 1024 * 1024
const MAX_ERROR_BODY = 64 * 1024

interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: Readable
  readonly sentAt: Micros
  readonly receivedAt: Micros
}

/** One call under way. */
interface Call {
  readonly name: string
  readonly verb: string
  /** Aborted with a KubeError: by the caller, the deadline, or the end of the client. */
  readonly controller: AbortController
  readonly startedMs: number
  answer?: Answer
  release(): void
}

export class ApiHttp implements KubeHttp {
  readonly #options: HttpClientOptions
  readonly #open: (options: TransportOptions) => Transport
  readonly #origin: string
  readonly #prefix: string
  readonly #streams: Slots
  readonly #observers = new Set<(observation: ResponseObservation) => void>()
  readonly #calls = new Set<Call>()
  #tls: TlsMaterial | undefined
  #transport: Transport | undefined
  #closed = false

  constructor(options: HttpClientOptions, open: (options: TransportOptions) => Transport) {
    const url = new URL(options.server)
    this.#options = options
    this.#open = open
    this.#origin = url.origin
    this.#prefix = url.pathname.replace(/\/+$/, '')
    this.#streams = new Slots(options.maxStreams ?? 10)
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    const call = this.#begin(request, request.method)
    const deadline = startDeadline(call, request.timeoutMs)
    try {
      const answer = await this.#send(call, request)
      const body = await collect(answer.body, MAX_BODY, call.name)
      this.#observe(call, 'OK')
      return {
        status: answer.status,
        headers: answer.headers,
        sentAt: answer.sentAt,
        receivedAt: answer.receivedAt,
        body,
        warnings: warningsOf(answer.headers),
        // The caller names the type of this path's answer; decoders check what they read.
        json: <T>() => parseJson(body, call.name) as T,
      }
    } catch (thrown) {
      throw this.#failed(call, thrown)
    } finally {
      clearTimeout(deadline)
      call.release()
    }
  }

  async stream(request: HttpRequest): Promise<HttpStream> {
    const call = this.#begin(request, 'WATCH')
    const deadline = startDeadline(call, request.timeoutMs)
    let end = () => call.release()
    try {
      const giveBack = await this.#streams.take(call.controller.signal)
      end = () => {
        call.release()
        giveBack()
      }
      const { body, status, headers, sentAt, receivedAt } = await this.#send(call, request)
      this.#observe(call, 'OK')
      let closed = false
      return {
        status,
        headers,
        sentAt,
        receivedAt,
        chunks: chunksOf(body, call, end, () => closed),
        close() {
          closed = true
          body.destroy()
          end()
        },
      }
    } catch (thrown) {
      end()
      throw this.#failed(call, thrown)
    } finally {
      clearTimeout(deadline)
    }
  }

  onResponse(observer: (observation: ResponseObservation) => void): () => void {
    this.#observers.add(observer)
    return () => this.#observers.delete(observer)
  }

  async close(): Promise<void> {
    this.#closed = true
    const reason = new KubeError('Aborted', 'the connection to the API server was closed')
    for (const call of [...this.#calls]) call.controller.abort(reason)
    await this.#transport?.destroy(reason)
  }

  #begin(request: HttpRequest, verb: string): Call {
    const controller = new AbortController()
    const name = `${request.method} ${request.path}`
    const { signal } = request
    const abort = () => controller.abort(new KubeError('Aborted', `${name}: aborted`))
    const call: Call = {
      name,
      verb,
      controller,
      startedMs: performance.now(),
      release: () => {
        signal?.removeEventListener('abort', abort)
        this.#calls.delete(call)
      },
    }
    this.#calls.add(call)
    if (this.#closed || signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
    return call
  }

  /** Resolves at the head of a good response; sends again, once, where the answer is 401 and there are other credentials. */
  async #send(call: Call, request: HttpRequest): Promise<Answer> {
    const { signal } = call.controller
    const credentials = await unlessAborted(this.#options.credentials(false), signal)
    let answer = await this.#attempt(call, request, credentials)
    if (answer.status === 401) {
      const renewed = await unlessAborted(this.#options.credentials(true), signal)
      if (renewed !== credentials) {
        await collectStart(answer.body)
        answer = await this.#attempt(call, request, renewed)
      }
    }
    if (answer.status < 300) return answer
    throw fromResponse(call.name, answer.status, answer.headers, textOf(await collectStart(answer.body)))
  }

  async #attempt(call: Call, request: HttpRequest, credentials: Credentials): Promise<Answer> {
    const { body } = request
    const { signal } = call.controller
    signal.throwIfAborted()
    const transport = this.#connections(credentials.tls)
    const sentAt = this.#options.clock.now()
    const response = await transport.request({
      origin: this.#origin,
      path: `${this.#prefix}${request.path}${queryOf(request.query)}`,
      method: request.method,
      headers: {
        accept: request.accept ?? 'application/json',
        'user-agent': this.#options.userAgent,
        ...(body !== undefined && { 'content-type': request.contentType ?? 'application/json' }),
        ...credentials.headers,
      },
      body: body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
      signal,
    })
    // An abort between head and first read has no other listener, and an unheard error ends the process.
    response.body.on('error', () => {})
    const receivedAt = this.#options.clock.now()
    call.answer = {
      status: response.status,
      headers: headersOf(response.headers),
      body: response.body,
      sentAt,
      receivedAt,
    }
    return call.answer
  }

  /** The connections for this TLS material. Those made with older material finish what they carry and close then. */
  #connections(tls: TlsMaterial): Transport {
    if (this.#transport !== undefined && this.#tls === tls) return this.#transport
    this.#transport?.retire()
    this.#tls = tls
    this.#transport = this.#open({ tls, proxy: this.#options.proxy, maxConnections: this.#options.maxConnections ?? 16 })
    return this.#transport
  }

  #failed(call: Call, thrown: unknown): KubeError {
    const { signal } = call.controller
    const error = signal.aborted && signal.reason instanceof KubeError ? signal.reason : fromThrown(call.name, thrown)
    this.#observe(call, error.code)
    return error
  }

  #observe(call: Call, code: ResponseObservation['code']): void {
    if (this.#observers.size === 0) return
    const { answer } = call
    const text = answer?.headers.get('date')
    const observation: ResponseObservation = {
      verb: call.verb,
      code,
      seconds: (performance.now() - call.startedMs) / 1000,
      ...(answer !== undefined && { status: answer.status }),
      ...(answer !== undefined && text !== undefined && { date: { text, sentAt: answer.sentAt, receivedAt: answer.receivedAt } }),
    }
    for (const observer of this.#observers) observer(observation)
  }
}

function startDeadline(call: Call, timeoutMs = DEFAULT_TIMEOUT_MS): NodeJS.Timeout {
  return setTimeout(
    () => call.controller.abort(new KubeError('Timeout', `${call.name}: no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  )
}

async function* chunksOf(body: Readable, call: Call, end: () => void, isClosed: () => boolean): AsyncGenerator<Uint8Array> {
  try {
    // The body is read as bytes: nothing sets an encoding on it.
    for await (const chunk of body as AsyncIterable<Uint8Array>) yield chunk
  } catch (thrown) {
    if (isClosed()) return
    const { signal } = call.controller
    throw signal.aborted && signal.reason instanceof KubeError ? signal.reason : fromThrown(call.name, thrown)
  } finally {
    end()
  }
}

async function collect(body: Readable, max: number, name: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > max) throw new KubeError('BadResponse', `${name}: the answer is longer than ${max} bytes`)
    chunks.push(chunk)
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
}

/** The beginning of a body that is only read for its message; a longer one costs its connection. */
async function collectStart(body: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_ERROR_BODY) break
  }
  return Buffer.concat(chunks)
}

/** Settles as the promise does, or rejects with the signal's reason if that comes first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function queryOf(query: HttpRequest['query']): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(name, String(value))
  }
  return parameters.size === 0 ? '' : `?${parameters}`
}

function headersOf(raw: Readonly<Record<string, string | string[] | undefined>>): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(raw)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value)
  }
  return headers
}

/** RFC 9110 (former 7234) warnings as the API server writes them: 299 - "text", several joined by commas. */
function warningsOf(headers: ReadonlyMap<string, string>): string[] {
  const warnings: string[] = []
  for (const match of (headers.get('warning') ?? '').matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)) {
    warnings.push((match[1] ?? '').replace(/\\(.)/g, '$1'))
  }
  return warnings
}

function parseJson(body: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(textOf(body))
  } catch (cause) {
    throw new KubeError('BadResponse', `${name}: the answer is no JSON`, { cause })
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
