/**
 * Leader election on a coordination.k8s.io/v1 Lease. A standby asks every retry period; the leader renews every retry period and
 * stops by itself at the renew deadline, which is before any standby may take over.
 *
 * No clock of another machine is ever read: how old another holder's renewal is, is measured from when this process saw it change,
 * on the monotonic clock, and the own renewal counts from when its request was sent. A process that was stopped (SIGSTOP, a frozen
 * container) or whose event loop was blocked past its deadline therefore finds itself not leading at its next guard(), before a
 * timer has run.
 */
import { formatTime } from '../core/time.ts'
import { sleep } from './backoff.ts'
import type { RecorderClock } from './clock.ts'
import { KubeError } from './errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from './http.ts'
import type { Log } from './log.ts'

export interface LeaderElectorOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly namespace: string
  readonly name: string
  /** Unique to this process, not only to the pod: a restarted container must not take itself for the holder. */
  readonly identity: string
  /** Whole seconds, in ms. */
  readonly leaseDurationMs: number
  readonly renewDeadlineMs: number
  readonly retryPeriodMs: number
  /** Called synchronously; leadership may have ended again by the time a promise made here settles. */
  readonly onStartedLeading: () => void
  /** `reason` is a sentence part. */
  readonly onStoppedLeading: (reason: string) => void
  /** Milliseconds on a clock that runs on while the process is stopped. Default performance.now. */
  readonly monotonic?: () => number
  /** In [0, 1). Default Math.random. */
  readonly random?: () => number
}

export interface LeaderElectorStats {
  readonly leading: boolean
  /** As last seen; undefined before the first answer and where nobody holds the Lease. */
  readonly holder: string | undefined
  readonly renewals: number
  /** How often this process became the leader. */
  readonly terms: number
  /** Failed attempts by error code. */
  readonly failures: Readonly<Record<string, number>>
  /** Milliseconds since the last attempt that got an answer from the API server; undefined before the first. */
  readonly lastContactAgoMs: number | undefined
}

interface Lease {
  readonly apiVersion: 'coordination.k8s.io/v1'
  readonly kind: 'Lease'
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly annotations?: Readonly<Record<string, string>>
    readonly managedFields?: unknown
  }
  readonly spec?: {
    readonly holderIdentity?: string | null
    readonly leaseDurationSeconds?: number | null
    readonly acquireTime?: string | null
    readonly renewTime?: string | null
    readonly leaseTransitions?: number | null
  }
}

interface Term {
  readonly writes: AbortController
  /** Monotonic. */
  until: number
  timer: NodeJS.Timeout | undefined
}

const JITTER = 0.2
const RELEASE_TIMEOUT_MS = 3000
const MIN_DELAY_MS = 20
/** An attempt that meets a conflict reads the Lease again; three in a row is contention, which waits. */
const MAX_ROUNDS = 3
/** Refusals that do not pass by themselves: a standby asks more and more rarely. */
const LASTING = new Set(['Forbidden', 'Unauthorized', 'Invalid', 'NotFound', 'TooLarge', 'Gone'])

export class LeaderElector {
  readonly #options: LeaderElectorOptions
  readonly #monotonic: () => number
  readonly #random: () => number
  readonly #path: string
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #term: Term | undefined
  #lease: Lease | undefined
  /** When this process saw the Lease's spec change last (monotonic). */
  #changedAt = 0
  #pending = new Map<string, string>()
  #failuresInRow = 0
  #lastCode: string | undefined
  #failures: Record<string, number> = {}
  #renewals = 0
  #terms = 0
  #contactAt: number | undefined
  #releaseBy: number | undefined
  /** Until then a released Lease is left to a replica that has been watching for longer: it looks once every retry period. */
  #warmAt = 0

  constructor(options: LeaderElectorOptions) {
    this.#options = options
    this.#monotonic = options.monotonic ?? (() => performance.now())
    this.#random = options.random ?? Math.random
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`
  }

  start(): void {
    if (this.#running !== undefined) throw new Error('a LeaderElector starts once')
    this.#warmAt = this.#monotonic() + this.#options.retryPeriodMs * (1 + JITTER)
    this.#running = this.#run()
  }

  /**
   * Stops leading at once, then hands the Lease over, so that a standby need not wait for it to run out. Resolves within 3 s also
   * where the API server does not answer. Call it when the last write has been made.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  isLeader(): boolean {
    return this.#currentTerm() !== undefined
  }

  /** Whether somebody is known to hold the Lease in time: this process, or another one that has been seen to renew it. */
  isHeld(): boolean {
    return this.isLeader() || (this.#lease !== undefined && this.#heldByAnother(this.#lease))
  }

  /**
   * To be called right before each write; hand the signal to the write, which it aborts when leadership ends.
   * Throws KubeError Aborted where this process does not lead.
   */
  guard(): AbortSignal {
    const term = this.#currentTerm()
    if (term === undefined) throw new KubeError('Aborted', `not the leader: ${this.stats.holder ?? 'nobody'} holds the Lease`)
    return term.writes.signal
  }

  /** Of the Lease as last seen, with what setAnnotation has changed since. */
  get annotations(): Readonly<Record<string, string>> {
    return { ...this.#lease?.metadata.annotations, ...Object.fromEntries(this.#pending) }
  }

  /** Of the Lease as last seen. */
  get leaseUid(): string | undefined {
    return this.#lease?.metadata.uid
  }

  /** Written with the next renewal, or with the release. Without effect unless leading, and forgotten when leadership ends. */
  setAnnotation(key: string, value: string): void {
    if (this.#currentTerm() !== undefined) this.#pending.set(key, value)
  }

  get stats(): LeaderElectorStats {
    return {
      leading: this.isLeader(),
      holder: this.#lease?.spec?.holderIdentity || undefined,
      renewals: this.#renewals,
      terms: this.#terms,
      failures: { ...this.#failures },
      lastContactAgoMs: this.#contactAt === undefined ? undefined : this.#monotonic() - this.#contactAt,
    }
  }

  /** The term, unless its time has run out, which needs no timer to be noticed. */
  #currentTerm(): Term | undefined {
    if (this.#term !== undefined && this.#monotonic() >= this.#term.until) {
      this.#endTerm('the Lease could not be renewed in time')
    }
    return this.#term
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const startedAt = this.#monotonic()
      let delay: number
      try {
        await this.#acquireOrRenew()
        this.#failuresInRow = 0
        this.#lastCode = undefined
        delay = this.#delayAfterSuccess(startedAt)
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        delay = this.#delayAfterFailure(error)
      }
      await sleep(Math.max(MIN_DELAY_MS, delay), this.#stopping.signal)
    }
  }

  async #acquireOrRenew(): Promise<void> {
    // The holder knows the version that it wrote itself; a conflict tells where that is no longer true.
    let lease = this.#isMine(this.#lease) ? this.#lease : await this.#read()
    for (let round = 0; round < MAX_ROUNDS; round++) {
      // A Lease that is gone says nothing about its holder, who goes on until it notices.
      const known = lease ?? this.#lease
      if (known !== undefined && this.#heldByAnother(known)) {
        this.#endTerm(`${known.spec?.holderIdentity} has taken the Lease`)
        return
      }
      if (lease !== undefined && this.#isForWarmer(lease)) return
      const sentAt = this.#monotonic()
      try {
        const written = await this.#write(lease)
        this.#renewed(written, sentAt)
        return
      } catch (error) {
        const code = error instanceof KubeError ? error.code : undefined
        // Deleted by somebody, or made by another replica in the meantime.
        if (lease !== undefined && code === 'NotFound') lease = undefined
        else if (code === 'Conflict' || code === 'AlreadyExists') lease = await this.#read()
        else throw error
      }
    }
    throw new KubeError('Conflict', `Lease ${this.#options.name}: every write met another one`)
  }

  async #read(): Promise<Lease | undefined> {
    try {
      const response = await this.#request({ method: 'GET', path: `${this.#path}/${this.#options.name}` })
      const lease = response.json<Lease>()
      this.#see(lease)
      return lease
    } catch (error) {
      if (error instanceof KubeError && error.code === 'NotFound') return undefined
      throw error
    }
  }

  /** Writes the Lease in this process's name over the version that was read, or creates it. */
  async #write(lease: Lease | undefined): Promise<Lease> {
    const now = formatTime(this.#options.clock.now())
    const mine = this.#isMine(lease)
    return this.#put(lease, {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#options.leaseDurationMs / 1000),
      acquireTime: (mine && lease?.spec?.acquireTime) || now,
      renewTime: now,
      leaseTransitions: lease === undefined ? 0 : (lease.spec?.leaseTransitions ?? 0) + (mine ? 0 : 1),
    })
  }

  async #put(lease: Lease | undefined, spec: Lease['spec']): Promise<Lease> {
    const { name, namespace } = this.#options
    const { managedFields: _, ...metadata } = lease?.metadata ?? { name, namespace }
    const pending = new Map(this.#pending)
    // A Lease that somebody deleted comes back with the annotations that it had.
    const annotations = { ...(lease ?? this.#lease)?.metadata.annotations, ...Object.fromEntries(pending) }
    const body = { ...lease, apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...metadata, annotations }, spec }
    const request: HttpRequest =
      lease === undefined ? { method: 'POST', path: this.#path, body } : { method: 'PUT', path: `${this.#path}/${name}`, body }
    const response = await this.#request(request)
    for (const [key, value] of pending) if (this.#pending.get(key) === value) this.#pending.delete(key)
    const written = response.json<Lease>()
    this.#see(written)
    return written
  }

  /** A call that ends by the renew deadline, or by that of the release. */
  async #request(request: HttpRequest): Promise<HttpResponse> {
    const ends = this.#releaseBy ?? this.#term?.until ?? Number.POSITIVE_INFINITY
    const response = await this.#options.http.request({
      ...request,
      timeoutMs: Math.max(MIN_DELAY_MS, Math.min(this.#options.renewDeadlineMs / 2, ends - this.#monotonic())),
      ...(this.#releaseBy === undefined ? { signal: this.#stopping.signal } : {}),
    })
    this.#contactAt = this.#monotonic()
    return response
  }

  #see(lease: Lease): void {
    // Annotations may change without the holder being alive, so only the spec counts.
    if (JSON.stringify(lease.spec) !== JSON.stringify(this.#lease?.spec)) this.#changedAt = this.#monotonic()
    this.#lease = lease
  }

  #isMine(lease: Lease | undefined): boolean {
    return lease?.spec?.holderIdentity === this.#options.identity
  }

  #heldByAnother(lease: Lease): boolean {
    return !this.#isMine(lease) && Boolean(lease.spec?.holderIdentity) && this.#monotonic() < this.#runsOutAt(lease)
  }

  #isForWarmer(lease: Lease): boolean {
    return !lease.spec?.holderIdentity && this.#monotonic() < this.#warmAt
  }

  #runsOutAt(lease: Lease): number {
    const stated = lease.spec?.leaseDurationSeconds
    return this.#changedAt + (stated ? stated * 1000 : this.#options.leaseDurationMs)
  }

  #renewed(lease: Lease, sentAt: number): void {
    this.#renewals++
    const until = sentAt + this.#options.renewDeadlineMs
    if (this.#currentTerm() === undefined) {
      // The answer came too late to be of use; the next attempt renews.
      if (this.#monotonic() >= until) return
      this.#beginTerm(lease, until)
    } else if (this.#term !== undefined) {
      this.#term.until = until
      this.#arm(this.#term)
    }
  }

  #beginTerm(lease: Lease, until: number): void {
    this.#terms++
    this.#term = { writes: new AbortController(), until, timer: undefined }
    this.#arm(this.#term)
    this.#options.log.info({ identity: this.#options.identity, transitions: lease.spec?.leaseTransitions }, 'became leader')
    this.#call(() => this.#options.onStartedLeading())
  }

  /** Writes in flight are aborted at the deadline; a timer that fires early is set again. */
  #arm(term: Term): void {
    clearTimeout(term.timer)
    const left = Math.max(1, Math.ceil(term.until - this.#monotonic()))
    term.timer = setTimeout(() => this.#currentTerm() === term && this.#arm(term), left)
  }

  #endTerm(reason: string): void {
    const term = this.#term
    if (term === undefined) return
    this.#term = undefined
    clearTimeout(term.timer)
    this.#pending.clear()
    term.writes.abort(new KubeError('Aborted', `no longer the leader: ${reason}`))
    this.#options.log.warn({ reason }, 'stopped leading')
    this.#call(() => this.#options.onStoppedLeading(reason))
  }

  #call(handler: () => void): void {
    try {
      handler()
    } catch (err) {
      this.#options.log.error({ err }, 'leader election handler failed')
    }
  }

  #delayAfterSuccess(startedAt: number): number {
    const { retryPeriodMs } = this.#options
    if (this.#term !== undefined) return startedAt + retryPeriodMs - this.#monotonic()
    const jittered = retryPeriodMs * (1 + JITTER * this.#random())
    if (this.#lease === undefined) return jittered
    if (this.#isForWarmer(this.#lease)) return this.#warmAt - this.#monotonic()
    if (!this.#heldByAnother(this.#lease)) return jittered
    // Take over when it runs out, not up to a period later.
    return Math.min(jittered, this.#runsOutAt(this.#lease) - this.#monotonic() + retryPeriodMs * JITTER * this.#random())
  }

  #delayAfterFailure(error: unknown): number {
    const { leaseDurationMs, retryPeriodMs, log } = this.#options
    const code = error instanceof KubeError ? error.code : 'BadResponse'
    const retryAfterMs = error instanceof KubeError ? error.retryAfterMs : undefined
    this.#failures[code] = (this.#failures[code] ?? 0) + 1
    this.#failuresInRow++
    // Once for each kind of failure: the next one of the same kind says nothing new.
    log[code === this.#lastCode ? 'debug' : 'warn']({ err: error, leading: this.isLeader() }, 'Lease attempt failed')
    this.#lastCode = code
    const term = this.#currentTerm()
    const doubled = retryPeriodMs * 2 ** Math.min(this.#failuresInRow - 1, 10)
    const own =
      LASTING.has(code) && term === undefined ? Math.max(retryPeriodMs, Math.min(doubled, leaseDurationMs)) : retryPeriodMs
    const wanted = (retryAfterMs ?? own) * (1 + JITTER * this.#random())
    if (term === undefined) return wanted
    const left = term.until - this.#monotonic()
    if (retryAfterMs === undefined) return Math.min(wanted, Math.max(left / 2, retryPeriodMs / 4))
    // A leader that was told to wait past its deadline asks once more before it.
    return left > retryPeriodMs ? Math.max(retryPeriodMs, Math.min(wanted, left - retryPeriodMs)) : wanted
  }

  async #stop(): Promise<void> {
    const pending = new Map(this.#currentTerm() === undefined ? [] : this.#pending)
    this.#stopping.abort()
    this.#endTerm('this process is shutting down')
    await this.#running
    if (this.#running === undefined || this.#contactAt === undefined) return
    this.#pending = pending
    try {
      await this.#release()
    } catch (err) {
      this.#options.log.warn({ err }, 'Lease not released; a standby takes over when it runs out')
    }
  }

  /** Reads first: a renewal that was cut off by stop() may have been written. */
  async #release(): Promise<void> {
    this.#releaseBy = this.#monotonic() + RELEASE_TIMEOUT_MS
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const lease = await this.#read()
      if (lease === undefined || !this.#isMine(lease)) return
      const now = formatTime(this.#options.clock.now())
      try {
        const { acquireTime = now, leaseTransitions = 0 } = lease.spec ?? {}
        const spec = { holderIdentity: '', leaseDurationSeconds: 1, acquireTime, renewTime: now, leaseTransitions }
        await this.#put(lease, spec)
        this.#options.log.info({}, 'released the Lease')
        return
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 'Conflict')) throw error
      }
    }
  }
}
