/** A reflector of one namespace's pods on the real API server, through a wire that the test can cut, with all that it tells kept. */
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { PodSnapshot } from '../../src/core/evidence.ts'
import type { Micros } from '../../src/core/time.ts'
import { decodePod } from '../../src/kube/decode/pod.ts'
import type { KubeHttp } from '../../src/kube/http.ts'
import { HttpClient } from '../../src/kube/http-client.ts'
import { Reflector } from '../../src/kube/reflector.ts'
import type { Change, Gap, ReflectorOptions } from '../../src/kube/reflector-types.ts'
import type { TestBed } from './connect.ts'

/** A relay in front of the API server. */
export class Wire {
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((near) => this.#relay(near))
  readonly #target: URL
  #cut = false

  private constructor(target: string) {
    this.#target = new URL(target)
  }

  static async to(target: string): Promise<Wire> {
    const wire = new Wire(target)
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve))
    return wire
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the wire is not laid')
    return address.port
  }

  /** Resets what there is and refuses what comes. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  mend(): void {
    this.#cut = false
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #relay(near: Socket): void {
    if (this.#cut) {
      near.resetAndDestroy()
      return
    }
    const far = connect(Number(this.#target.port), this.#target.hostname)
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  }
}

export class WatchedPods {
  readonly changes: Change<PodSnapshot>[] = []
  readonly gaps: Gap[] = []
  readonly errors: unknown[] = []
  readonly wire: Wire
  readonly http: KubeHttp
  readonly reflector: Reflector<PodSnapshot>

  private constructor(bed: TestBed, wire: Wire, options: Partial<ReflectorOptions<PodSnapshot>>) {
    const files = bed.cluster.adminCertificate
    const tls = {
      ca: readFileSync(files.ca),
      cert: readFileSync(files.certificate),
      key: readFileSync(files.key),
      servername: 'kubernetes.default',
    }
    const credentials = { headers: {}, tls }
    this.wire = wire
    this.http = new HttpClient({
      server: `https://127.0.0.1:${wire.port}`,
      clock: bed.clock,
      userAgent: 'gracewatch-test',
      credentials: async () => credentials,
    })
    this.reflector = new Reflector<PodSnapshot>({
      http: this.http,
      clock: bed.clock,
      path: `/api/v1/namespaces/${bed.namespace}/pods`,
      decode: decodePod,
      onChange: (change) => this.changes.push(change),
      onGap: (gap) => this.gaps.push(gap),
      onError: (error) => this.errors.push(error),
      log: { debug() {}, info() {}, warn() {}, error() {} },
      ...options,
    })
  }

  /** Synced, and ended with the test. */
  static async of(bed: TestBed, options: Partial<ReflectorOptions<PodSnapshot>> = {}): Promise<WatchedPods> {
    const watched = new WatchedPods(bed, await Wire.to(bed.cluster.apiServerUrl), options)
    onTestFinished(async () => {
      await watched.reflector.stop()
      await watched.http.close()
      await watched.wire.close()
    })
    watched.reflector.start()
    await watched.reflector.whenSynced()
    return watched
  }

  /** "Added web-0", for the pods with these names. */
  told(...names: string[]): string[] {
    return this.changes.filter(({ object }) => names.includes(object.name)).map(({ type, object }) => `${type} ${object.name}`)
  }

  last(name: string): Change<PodSnapshot> | undefined {
    return this.changes.findLast(({ object }) => object.name === name)
  }

  /** What the reflector holds, and what the API server has: the same at the end of every test. */
  held(): string[] {
    return [...this.reflector.values()].map(({ uid, resourceVersion }) => `${uid}@${resourceVersion}`).sort()
  }
}

/** Makes pods that no scheduler takes: they stay as they are, and are gone as soon as they are deleted. */
export class Pods {
  readonly #bed: TestBed
  readonly #path: string

  constructor(bed: TestBed) {
    this.#bed = bed
    this.#path = `/api/v1/namespaces/${bed.namespace}/pods`
  }

  /** A new namespace takes pods when its service account is there. */
  async possible(): Promise<void> {
    const path = `/api/v1/namespaces/${this.#bed.namespace}/serviceaccounts/default`
    const end = performance.now() + 30_000
    for (;;) {
      const error = await this.#bed.http.request({ method: 'GET', path }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      if (error === undefined) return
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** @returns when it was done, between the two times */
  async create(name: string): Promise<Done> {
    const spec = { schedulerName: 'nobody', containers: [{ name: 'app', image: 'none' }] }
    return this.#call({ method: 'POST', path: this.#path, body: { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec } })
  }

  async label(name: string, value: string): Promise<Done> {
    const body = { metadata: { labels: { value } } }
    return this.#call({ method: 'PATCH', path: `${this.#path}/${name}`, body, contentType: 'application/merge-patch+json' })
  }

  async delete(name: string): Promise<Done> {
    return this.#call({ method: 'DELETE', path: `${this.#path}/${name}`, query: { gracePeriodSeconds: 0 } })
  }

  async list(): Promise<string[]> {
    const response = await this.#bed.http.request({ method: 'GET', path: this.#path })
    const { items } = response.json<{ items: { metadata: { uid: string; resourceVersion: string } }[] }>()
    return items.map(({ metadata }) => `${metadata.uid}@${metadata.resourceVersion}`).sort()
  }

  async #call(request: Parameters<KubeHttp['request']>[0]): Promise<Done> {
    const response = await this.#bed.http.request(request)
    const { metadata } = response.json<{ metadata: { uid: string } }>()
    return { uid: metadata.uid, notBefore: response.sentAt, notAfter: response.receivedAt }
  }
}

export interface Done {
  readonly uid: string
  readonly notBefore: Micros
  readonly notAfter: Micros
}

export async function until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never came true: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
