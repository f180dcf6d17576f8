/**
 * Keeps a copy of one collection of the API server and tells of every change, in order, whatever happens to the connection. Lists
 * (by stream where the server can, by pages where not), watches from there, resumes from the last version after any break, and lists
 * again where the place was lost; it then reports the difference by UID, and the gap.
 */
import type { Micros } from '../core/time.ts'
import { sleep } from './backoff.ts'
import { DecodeError, KubeError } from './errors.ts'
import { isVersionTooLarge } from './failures.ts'
import { Horizon } from './horizon.ts'
import type { HttpStream } from './http.ts'
import { endsInitialEvents, eventsOf, identityOf, listPages, openWatch, type RawEvent, type RawObject } from './list-watch.ts'
import type {
  Change,
  Gap,
  Identified,
  ReflectorOptions,
  ReflectorPhase,
  ReflectorStats,
  ReflectorTimings,
} from './reflector-types.ts'
import { Retry } from './retry.ts'
import { isOlder, Store, type WatchType } from './store.ts'
import { Watchdog } from './watchdog.ts'

const DEFAULTS: ReflectorTimings = {
  backoffBaseMs: 500,
  backoffMaxMs: 30_000,
  serverTimeoutSeconds: [300, 600],
  inactivityMs: 90_000,
  initialEventsMs: 20_000,
  headersMs: 15_000,
  pageMs: 60_000,
  pageSize: 500,
  random: Math.random,
}

const TICK_MS = 1000
/** Failures at one resume point after which it is given up for a new list. */
const MAX_STUCK = 3
/** How long pages are used, once the server has refused a streaming list or was silent in one, before it is asked again. */
const PAGES_AFTER_REFUSAL_MS = 3_600_000
const PAGES_AFTER_SILENCE_MS = 60_000
/** Beyond this, undecodable objects are logged at debug only. */
const MAX_DECODE_WARNINGS = 20
type Counters = { -readonly [K in keyof ReflectorStats]: ReflectorStats[K] }

export class Reflector<T extends Identified> {
  readonly #options: ReflectorOptions<T>
  readonly #timings: ReflectorTimings
  readonly #store: Store<T>
  readonly #horizon = new Horizon()
  readonly #retry: Retry
  readonly #stopping = new AbortController()
  readonly #firstList = Promise.withResolvers<void>()
  readonly #failures: Record<string, number> = {}
  readonly #counters: Counters
  #running: Promise<void> | undefined
  #synced = false
  /** Where to resume; undefined: a list is due. */
  #version: string | undefined
  /** Why a list is due although there was one before. */
  #lossReason: string | undefined
  #firstAskedAt: Micros | undefined
  #pagesUntilMs = 0
  /** Failures at this resume point. */
  #stuck = 0
  /** Whether the watch that is open, or was last, told anything. */
  #progress = false

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.#timings = { ...DEFAULTS, ...options.timings }
    this.#store = new Store(options.keep !== 'none', options.pack)
    this.#retry = new Retry(this.#timings.backoffBaseMs, this.#timings.backoffMaxMs, this.#timings.random)
    this.#counters = {
      phase: 'Idle',
      lists: 0,
      relists: 0,
      watches: 0,
      gaps: 0,
      events: 0,
      bookmarks: 0,
      duplicates: 0,
      decodeErrors: 0,
      handlerErrors: 0,
      failures: this.#failures,
      failuresInRow: 0,
      open: false,
    }
    this.#firstList.promise.catch(() => {})
  }

  /** Begins to list and watch. Once only. */
  start(): void {
    if (this.#running !== undefined) throw new Error(`the reflector of ${this.#options.path} was started before`)
    this.#running = this.#run()
  }

  /** Ends whatever is under way. When it resolves, nothing is open and no handler will be called again. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.#counters.phase = 'Stopped'
    this.#firstList.reject(new KubeError('Aborted', `the reflector of ${this.#options.path} was stopped`))
  }

  get(uid: string): T | undefined {
    return this.#store.get(uid)
  }

  values(): Iterable<T> {
    return this.#store.values()
  }

  /** Those of them that are kept as they are. */
  unpacked(): Iterable<T> {
    return this.#store.unpacked()
  }

  get size(): number {
    return this.#store.size
  }

  /** True from the first complete list on. */
  get synced(): boolean {
    return this.#synced
  }

  get stats(): ReflectorStats {
    return { ...this.#counters, failures: { ...this.#failures }, duplicates: this.#store.duplicates }
  }

  /** Resolves at the first complete list; rejects with KubeError Aborted where the reflector is stopped before. */
  whenSynced(): Promise<void> {
    return this.#firstList.promise
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const startedMs = performance.now()
      this.#progress = false
      let failure: unknown
      try {
        if (this.#version !== undefined || startedMs >= this.#pagesUntilMs) await this.#stream()
        else await this.#listByPages()
      } catch (thrown) {
        failure = thrown
      }
      if (signal.aborted) break
      const delayMs = this.#assess(failure, performance.now() - startedMs)
      if (delayMs > 0) this.#phase('BackingOff')
      await sleep(delayMs, signal)
    }
  }

  async #listByPages(): Promise<void> {
    const { signal } = this.#stopping
    this.#phase('Listing')
    this.#store.beginList()
    this.#firstAskedAt ??= this.#options.clock.now()
    const { pageSize, pageMs } = this.#timings
    const list = await listPages(
      this.#options,
      { size: pageSize, timeoutMs: pageMs, signal },
      (item) => this.#listItem(item),
      (arrivedAt) => {
        this.#counters.lastAliveAt = arrivedAt
      },
    )
    if (!signal.aborted) this.#listComplete(list.resourceVersion, list.sentAt, this.#options.clock.now())
  }

  /** A watch from the resume point, or a streaming list that goes on as one. */
  async #stream(): Promise<void> {
    const { signal } = this.#stopping
    const { serverTimeoutSeconds, headersMs, random } = this.#timings
    const [least, most] = serverTimeoutSeconds
    this.#phase(this.#version === undefined ? 'Listing' : 'Watching')
    if (this.#version === undefined) this.#firstAskedAt ??= this.#options.clock.now()
    const stream = await openWatch(this.#options, {
      resourceVersion: this.#version,
      timeoutSeconds: Math.round(least + (most - least) * random()),
      headersMs,
      signal,
    })
    this.#counters.watches++
    this.#counters.open = this.#version !== undefined
    const silence = { error: undefined as KubeError | undefined }
    const watchdog = this.#guardAgainstSilence(stream, silence)
    try {
      this.#horizon.opened()
      if (this.#version === undefined) this.#store.beginList()
      const arrived = (arrivedAt: Micros) => {
        watchdog.reset()
        this.#counters.lastAliveAt = arrivedAt
        this.#horizon.arrived(arrivedAt)
      }
      for await (const event of eventsOf(this.#options, stream, arrived)) {
        if (signal.aborted) return
        this.#event(event, stream.sentAt)
      }
      if (silence.error !== undefined) throw silence.error
      if (this.#version === undefined && !signal.aborted) {
        throw new KubeError('BadResponse', `WATCH ${this.#options.path}: the initial events ended before their end`)
      }
    } catch (thrown) {
      throw silence.error ?? thrown
    } finally {
      this.#counters.open = false
      watchdog.stop()
      stream.close()
    }
  }

  /** Closes the stream when it is silent for too long, and keeps the horizon's time. */
  #guardAgainstSilence(stream: HttpStream, silence: { error: KubeError | undefined }): Watchdog {
    const { inactivityMs, initialEventsMs } = this.#timings
    return new Watchdog({
      tickMs: Math.min(TICK_MS, inactivityMs / 4, initialEventsMs / 4),
      limitMs: () => (this.#version === undefined ? initialEventsMs : inactivityMs),
      onTick: () => this.#horizon.tick(this.#options.clock.now()),
      onSilent: (limitMs) => {
        if (this.#version === undefined) this.#pagesUntilMs = performance.now() + PAGES_AFTER_SILENCE_MS
        silence.error = new KubeError('Timeout', `WATCH ${this.#options.path}: nothing came for ${limitMs / 1000} s`)
        stream.close()
      },
    })
  }

  #event({ type, raw, arrivedAt }: RawEvent, askedAt: Micros): void {
    const listing = this.#version === undefined
    const { resourceVersion } = identityOf(raw)
    if (type === 'BOOKMARK') {
      this.#counters.bookmarks++
      if (!listing) this.#horizon.bookmark()
      else if (resourceVersion !== undefined && endsInitialEvents(raw)) {
        this.#listComplete(resourceVersion, askedAt, arrivedAt)
        this.#phase('Watching')
        this.#counters.open = true
      } else throw new KubeError('Invalid', `WATCH ${this.#options.path}: a bookmark came that does not end the initial events`)
    } else {
      this.#counters.events++
      this.#counters.lastEventAt = arrivedAt
      if (listing && type === 'ADDED') this.#listItem({ raw, arrivedAt })
      else if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') this.#change(type, raw, arrivedAt)
      if (listing) return
    }
    this.#progress = true
    this.#well()
    this.#advance(resourceVersion)
  }

  /** Moves the resume point on, never back. */
  #advance(version: string | undefined): void {
    if (version === undefined || this.#version === undefined || isOlder(version, this.#version)) return
    this.#version = version
    this.#stuck = 0
  }

  #listItem({ raw, arrivedAt }: RawObject): void {
    const object = this.#decode(raw)
    if (object === undefined) {
      const { uid } = identityOf(raw)
      if (uid !== undefined) this.#store.markSeen(uid)
      return
    }
    const { until } = this.#horizon
    this.#tell(this.#store.listed(object, arrivedAt, until ?? this.#firstAskedAt, until))
  }

  #change(type: WatchType, raw: unknown, arrivedAt: Micros): void {
    const object = this.#decode(raw)
    if (object !== undefined) {
      this.#tell(this.#store.watched(type, object, arrivedAt, this.#horizon.until))
      return
    }
    const { uid, resourceVersion } = identityOf(raw)
    if (uid !== undefined && type === 'DELETED') this.#tell(this.#store.deletedUnread(uid, resourceVersion, arrivedAt))
  }

  #listComplete(version: string, askedAt: Micros, arrivedAt: Micros): void {
    const from = this.#horizon.until
    const reason = this.#lossReason
    this.#version = version
    this.#lossReason = undefined
    this.#stuck = 0
    this.#counters.lists++
    const vanished = this.#store.endList(version, arrivedAt, from ?? this.#firstAskedAt)
    if (reason !== undefined && from !== undefined) {
      this.#counters.relists++
      this.#counters.gaps++
      const gap: Gap = { from, to: arrivedAt, reason }
      this.#guard(() => this.#options.onGap?.(gap))
    }
    this.#tell(vanished)
    this.#horizon.listed(askedAt)
    this.#well()
    if (this.#synced) return
    this.#synced = true
    this.#firstList.resolve()
    this.#guard(() => this.#options.onSynced?.())
  }

  /** Undefined: of no interest, or not decodable, which is counted and told. */
  #decode(raw: unknown): T | undefined {
    try {
      return this.#options.decode(raw)
    } catch (error) {
      this.#counters.decodeErrors++
      const fields = {
        path: this.#options.path,
        uid: identityOf(raw).uid,
        field: error instanceof DecodeError ? error.field : undefined,
        detail: error instanceof Error ? error.message : String(error),
      }
      const level = this.#counters.decodeErrors <= MAX_DECODE_WARNINGS ? 'warn' : 'debug'
      this.#options.log[level](fields, 'an object could not be decoded and is left out')
      this.#guard(() => this.#options.onError?.(error))
      return undefined
    }
  }

  #tell(changes: readonly Change<T>[]): void {
    for (const change of changes) {
      if (this.#stopping.signal.aborted) return
      this.#guard(() => this.#options.onChange(change), change.object.uid)
    }
  }

  /** Nothing that a handler throws reaches the stream. */
  #guard(handler: () => void, uid?: string): void {
    try {
      handler()
    } catch (error) {
      this.#counters.handlerErrors++
      this.#options.log.error({ path: this.#options.path, uid, err: error }, 'a handler of changes failed')
      try {
        this.#options.onError?.(error)
      } catch {
        // Counted and logged above; a failing error handler has nobody left to tell.
      }
    }
  }

  /** Takes in how a list or a watch ended, and says how long to wait before the next. */
  #assess(thrown: unknown, livedMs: number): number {
    if (thrown === undefined && this.#counters.phase === 'Listing') return 0
    const error = thrown instanceof KubeError ? thrown : undefined
    if (this.#version === undefined && error?.code === 'Invalid' && performance.now() >= this.#pagesUntilMs) {
      this.#refused(error.message)
      return 0
    }
    if (thrown !== undefined) this.#checkLoss(error)
    const delayMs = this.#retry.after({
      failed: thrown !== undefined,
      code: error?.code,
      retryAfterMs: error?.retryAfterMs,
      livedMs,
      progress: this.#progress,
    })
    if (thrown !== undefined) this.#report(thrown, error, delayMs)
    return delayMs
  }

  /** Whether the resume point is lost, so that only a new list helps. An undefined error is none of the server's. */
  #checkLoss(error: KubeError | undefined): void {
    if (this.#version === undefined) return
    if (error === undefined) {
      if (++this.#stuck >= MAX_STUCK) this.#lose('the watch failed again and again at one place')
    } else if (error.code === 'Gone') {
      this.#lose('the watch was cut and its place was compacted away')
    } else if (error.code === 'Invalid') {
      this.#lose('the API server refused the version that the watch had reached')
    } else if (isVersionTooLarge(error)) {
      if (++this.#stuck >= MAX_STUCK) this.#lose('the API server does not know the version that the watch had reached')
    } else if (error.code === 'BadResponse') {
      if (++this.#stuck >= MAX_STUCK) this.#lose('the API server answered with data that cannot be read')
    }
  }

  #lose(reason: string): void {
    this.#version = undefined
    this.#lossReason = reason
    this.#stuck = 0
  }

  /** This server cannot list by stream. */
  #refused(detail: string): void {
    this.#pagesUntilMs = performance.now() + PAGES_AFTER_REFUSAL_MS
    this.#options.log.info({ path: this.#options.path, detail }, 'the server does not list by stream, listing by pages')
  }

  #report(failure: unknown, error: KubeError | undefined, delayMs: number): void {
    const code = error?.code ?? 'Internal'
    const detail = failure instanceof Error ? failure.message : String(failure)
    this.#failures[code] = (this.#failures[code] ?? 0) + 1
    this.#counters.failuresInRow++
    const fields = {
      path: this.#options.path,
      code,
      detail,
      delayMs: Math.round(delayMs),
      failuresInRow: this.#counters.failuresInRow,
    }
    if (error === undefined) this.#options.log.error({ ...fields, err: failure }, 'the reflector failed, trying again')
    else if (this.#counters.lastError === detail) this.#options.log.debug(fields, 'list or watch failed, trying again')
    else this.#options.log.warn(fields, 'list or watch failed, trying again')
    this.#counters.lastError = detail
    this.#guard(() => this.#options.onError?.(failure))
  }

  /** The server answers as it should. */
  #well(): void {
    if (this.#counters.failuresInRow === 0) return
    this.#options.log.info({ path: this.#options.path, failures: this.#counters.failuresInRow }, 'list and watch work again')
    this.#counters.failuresInRow = 0
    delete this.#counters.lastError
  }

  #phase(phase: ReflectorPhase): void {
    this.#counters.phase = phase
  }
}
