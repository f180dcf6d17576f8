/**
 * As much of an API server as the agent talks to: a watch of the node's pods, applies and reads of records, /version. It can be away.
 * That a real one takes these records as they are is shown by the tests of the whole cluster.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { KernelFacts } from '../../../src/api/kernel.ts'
import type { Certificate } from './agent-process.ts'
import type { Container } from './runtime.ts'

interface RecordBody {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly pod: Record<string, string>
  readonly kernel?: KernelFacts
}

export interface Apply {
  readonly path: string
  readonly query: URLSearchParams
  readonly body: RecordBody
  readonly at: number
}

export interface PodState {
  readonly deletedAt?: Date
  readonly grace?: number
  readonly phase?: string
  /** Of annotations that nobody reads, so that it is as large as pods are. */
  readonly ballast?: number
  /** Names of its containers. */
  readonly containers: Readonly<Record<string, Container>>
}

export class Api {
  readonly applies: Apply[] = []
  readonly records = new Map<string, RecordBody>()
  /** In place of the next applies. */
  readonly refusals: { readonly status: number; readonly body: unknown }[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #watchers = new Set<ServerResponse>()
  readonly #pods = new Map<string, object>()
  #port = 0
  #version = 100

  private constructor(certificate: Certificate | undefined) {
    const handle = (request: IncomingMessage, response: ServerResponse) => void this.#handle(request, response)
    this.#server = certificate === undefined ? createServer(handle) : createSecureServer(certificate, handle)
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** @param certificate for TLS */
  static async start(certificate?: Certificate): Promise<Api> {
    const api = new Api(certificate)
    await api.up()
    return api
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  async up(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port // a listening TCP server has one
  }

  async down(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#watchers.clear()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  /** The pod as it is now; told to whoever watches. */
  set(uid: string, state: PodState): void {
    const type = this.#pods.has(uid) ? 'MODIFIED' : 'ADDED'
    const pod = this.#pod(uid, state)
    this.#pods.set(uid, pod)
    this.#tell(type, pod)
  }

  remove(uid: string): void {
    const pod = this.#pods.get(uid)
    this.#pods.delete(uid)
    this.#tell('DELETED', { ...pod, metadata: { ...this.#metadata(pod), resourceVersion: String(++this.#version) } })
  }

  applied(uid: string): Apply[] {
    return this.applies.filter(({ body }) => body.pod.uid === uid)
  }

  #metadata(pod: object | undefined): object {
    return pod !== undefined && 'metadata' in pod && typeof pod.metadata === 'object' ? (pod.metadata ?? {}) : {}
  }

  #pod(uid: string, { deletedAt, grace = 30, phase = 'Running', ballast, containers }: PodState): object {
    const names = Object.keys(containers)
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        uid,
        namespace: 'shop',
        name: `pod-${uid.slice(0, 4)}`,
        resourceVersion: String(++this.#version),
        ...(ballast === undefined ? {} : { annotations: { ballast: 'x'.repeat(ballast) } }),
        ...(deletedAt === undefined
          ? {}
          : {
              deletionTimestamp: new Date(Math.floor((deletedAt.getTime() + grace * 1000) / 1000) * 1000).toISOString(),
              deletionGracePeriodSeconds: grace,
            }),
      },
      spec: { nodeName: 'node-1', containers: names.map((name) => ({ name })) },
      status: {
        phase,
        containerStatuses: names.map((name) => ({
          name,
          containerID: `containerd://${containers[name]?.id}`,
          state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
        })),
      },
    }
  }

  #tell(type: string, object: object): void {
    for (const watcher of this.#watchers) watcher.write(`${JSON.stringify({ type, object })}\n`)
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://api')
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    if (url.pathname === '/version') return answer(200, {})
    if (url.pathname === '/api/v1/pods') return this.#watch(url, response)
    if (request.method === 'GET') {
      const found = this.records.get(url.pathname)
      return found === undefined
        ? answer(404, { kind: 'Status', code: 404, reason: 'NotFound', message: 'not found' })
        : answer(200, found)
    }
    let text = ''
    for await (const chunk of request) text += chunk
    const refusal = this.refusals.shift()
    if (refusal !== undefined) return answer(refusal.status, refusal.body)
    const body = JSON.parse(text) as RecordBody // what the agent applies
    this.applies.push({ path: url.pathname, query: url.searchParams, body, at: performance.now() })
    const created = !this.records.has(url.pathname)
    const metadata = { ...body.metadata, uid: `uid of ${url.pathname}`, resourceVersion: String(++this.#version) }
    this.records.set(url.pathname, { ...body, metadata })
    answer(created ? 201 : 200, { ...body, metadata })
  }

  #watch(url: URL, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    const line = (type: string, object: object) => response.write(`${JSON.stringify({ type, object })}\n`)
    if (url.searchParams.get('sendInitialEvents') === 'true') {
      for (const pod of this.#pods.values()) line('ADDED', pod)
      line('BOOKMARK', {
        kind: 'Pod',
        apiVersion: 'v1',
        metadata: { resourceVersion: String(++this.#version), annotations: { 'k8s.io/initial-events-end': 'true' } },
      })
    } else {
      // Resumed: what was missed is told as changes.
      for (const pod of this.#pods.values()) line('MODIFIED', pod)
    }
    this.#watchers.add(response)
    response.once('close', () => this.#watchers.delete(response))
  }
}
