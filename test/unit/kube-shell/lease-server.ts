/**
 * The Lease part of an API server, in memory and in virtual time: resource versions, conflicts, create and update as the real one
 * has them, and a script of what goes wrong. test/apiserver/lease.test.ts runs the elector against the real one.
 */
import { KubeError, type KubeErrorCode } from '../../../src/kube/errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from '../../../src/kube/http.ts'

export interface StoredLease {
  metadata: { name: string; namespace: string; resourceVersion: string; annotations?: Record<string, string> }
  spec: {
    holderIdentity?: string
    leaseDurationSeconds?: number
    acquireTime?: string
    renewTime?: string
    leaseTransitions?: number
  }
}

export interface Fault {
  /** Only requests with this method; any where absent. */
  readonly method?: HttpRequest['method']
  readonly code?: KubeErrorCode
  readonly retryAfterMs?: number
  /** How long the answer takes. */
  readonly delayMs?: number
  /** The write is made although its answer is an error. */
  readonly applied?: true
}

const STATUS: Partial<Record<KubeErrorCode, number>> = {
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  TooManyRequests: 429,
  ServerError: 500,
}

export class LeaseServer {
  lease: StoredLease | undefined
  readonly requests: { method: string; at: number }[] = []
  #faults: Fault[] = []
  #always = new Map<string, Fault>()
  #version = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** The next requests that match meet these, one each. */
  next(...faults: Fault[]): void {
    this.#faults.push(...faults)
  }

  /** Every request of this replica meets this, until heal() is called. */
  always(identity: string, fault: Fault): void {
    this.#always.set(identity, fault)
  }

  heal(): void {
    this.#always.clear()
  }

  /** What a holder leaves behind that has died or sits elsewhere. */
  hold(spec: StoredLease['spec'], annotations: Record<string, string> = {}): void {
    const resourceVersion = String(++this.#version)
    this.lease = {
      metadata: { name: 'gracewatch-controller', namespace: 'gracewatch-system', resourceVersion, annotations },
      spec,
    }
  }

  edit(change: (lease: StoredLease) => void): void {
    if (this.lease === undefined) throw new Error('there is no Lease to edit')
    change(this.lease)
    this.lease.metadata.resourceVersion = String(++this.#version)
  }

  connection(identity: string): KubeHttp {
    return {
      request: (request) => this.#request(identity, request),
      stream: () => Promise.reject(new Error('the elector opens no stream')),
      onResponse: () => () => {},
      close: async () => {},
    }
  }

  async #request(identity: string, request: HttpRequest): Promise<HttpResponse> {
    this.requests.push({ method: request.method, at: this.#now() })
    const index = this.#faults.findIndex((fault) => fault.method === undefined || fault.method === request.method)
    const fault = index === -1 ? this.#always.get(identity) : this.#faults.splice(index, 1)[0]
    if (fault?.applied) this.#serve(request)
    await this.#wait(fault?.delayMs ?? 1, request)
    if (fault?.code !== undefined) {
      const { code, retryAfterMs } = fault
      throw new KubeError(code, `scripted ${code}`, { retryAfterMs, status: STATUS[code] })
    }
    return this.#serve(request)
  }

  /** As the real connection does: its own deadline, and the caller's signal, cut the wait short. */
  #wait(ms: number, { timeoutMs = 15_000, signal }: HttpRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: KubeError) => {
        clearTimeout(answer)
        signal?.removeEventListener('abort', aborted)
        if (error) reject(error)
        else resolve()
      }
      const aborted = () => finish(new KubeError('Aborted', 'aborted by the caller'))
      const answer =
        ms > timeoutMs
          ? setTimeout(() => finish(new KubeError('Timeout', 'no answer in time')), timeoutMs)
          : setTimeout(() => finish(), ms)
      if (signal?.aborted) aborted()
      else signal?.addEventListener('abort', aborted)
    })
  }

  #serve({ method, body }: HttpRequest): HttpResponse {
    if (method === 'GET') {
      if (this.lease === undefined) throw new KubeError('NotFound', 'leases "l" not found', { status: 404 })
      return answer(this.lease)
    }
    const written = structuredClone(body) as StoredLease // the elector's own type is private to it
    if (method === 'POST') {
      if (this.lease !== undefined) throw new KubeError('AlreadyExists', 'leases "l" already exists', { status: 409 })
    } else {
      if (this.lease === undefined) throw new KubeError('NotFound', 'leases "l" not found', { status: 404 })
      if (written.metadata.resourceVersion !== this.lease.metadata.resourceVersion)
        throw new KubeError('Conflict', 'the object has been modified', { status: 409 })
    }
    written.metadata.resourceVersion = String(++this.#version)
    this.lease = written
    return answer(written)
  }
}

function answer(value: unknown): HttpResponse {
  const text = JSON.stringify(value)
  return {
    status: 200,
    headers: new Map(),
    body: new TextEncoder().encode(text),
    sentAt: 0,
    receivedAt: 0,
    json: () => JSON.parse(text),
    warnings: [],
  }
}
