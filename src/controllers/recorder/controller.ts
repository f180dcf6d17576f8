/** The recorder as a part of the program: its watches, its leadership, and what the leader does from time to time. */
import type { PodTermination } from '../../api/pod-termination.ts'
import type { EndpointSliceSnapshot, EventSnapshot, PodSnapshot } from '../../core/evidence.ts'

import type { Offset } from '../../core/termination/clocks.ts'
import { formatTime, MILLISECOND, type Micros, parseTime, SECOND } from '../../core/time.ts'
import { createRecordClient, RECORDS, type RecordClient } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import { decodeEndpointSlice } from '../../kube/decode/endpoint-slice.ts'
import { decodeEvent } from '../../kube/decode/event.ts'
import { withCleanupPart } from '../../kube/decode/finished-pod.ts'
import { decodePod } from '../../kube/decode/pod.ts'
import { parsePodBytes } from '../../kube/decode/pod-bytes.ts'
import { decodeGatePart } from '../../kube/decode/pod-gate.ts'
import { packPod } from '../../kube/decode/pod-pack.ts'
import { decodeTermination, type TerminationSnapshot } from '../../kube/decode/termination.ts'
import { KubeError } from '../../kube/errors.ts'
import { createEventWriter } from '../../kube/events.ts'
import type { KubeHttp } from '../../kube/http.ts'
import { LeaderElector } from '../../kube/lease.ts'
import type { Log } from '../../kube/log.ts'
import type { Controller } from '../../kube/operator.ts'
import { Reflector } from '../../kube/reflector.ts'
import type { Identified } from '../../kube/reflector-types.ts'
import { BegunRecords } from './begun.ts'
import { catchUp } from './catch-up.ts'
import { sampleServerClock } from './clock-samples.ts'
import { Missed } from './missed.ts'
import { Observers, type RecorderObserver } from './observer.ts'
import { Recorder, type RecorderSettings } from './recorder.ts'
import { Retention } from './retention.ts'
import { Warnings } from './warnings.ts'
import { WorkloadResolver } from './workloads.ts'

/** Annotation of the Lease, in the API server's time: what began before is recorded, or stands in a record that is still open. */
export const HIGH_WATER_MARK = 'gracewatch.dev/high-water-mark'

/** The only Events that tell of a container's end; the API server filters, so that the others cost nothing. */
export const EVENT_REASONS = ['Killing', 'FailedPreStopHook'] as const

const MARK_MS = 2000
const RETENTION_MS = 300_000
const FIRST_RETENTION_MS = 20_000
const WARNINGS_MS = 10_000
const BEGUN_MS = 5000
const CLOCK_MS = 240_000
const CATCH_UP_RETRY_MS = 5000
/** The API server is taken to deliver a change within this, as src/kube/horizon.ts has it. */
const SERVER_LAG = SECOND

export interface RecorderControllerSettings extends RecorderSettings {
  readonly podName: string
  readonly leaseName: string
  readonly leaseDurationMs: number
  readonly renewDeadlineMs: number
  readonly retryPeriodMs: number
  readonly gracefulRetentionMs: number
  readonly abnormalRetentionMs: number
  readonly maxRecordsPerNamespace: number
  readonly maxRecords: number
  readonly deletesPerSecond: number
  readonly catchUpMs: number
  readonly events: boolean
  /** Pods are kept with what readiness gates need of them. */
  readonly gates: boolean
  /** Finished pods are kept with what a cleanup needs of them. */
  readonly cleanup: boolean
}

export interface RecorderControllerOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly settings: RecorderControllerSettings
}

export class RecorderController implements Controller {
  readonly name = 'recorder'
  readonly pods: Reflector<PodSnapshot>
  readonly slices: Reflector<EndpointSliceSnapshot>
  readonly events: readonly Reflector<EventSnapshot>[]
  /** Records that are not Complete: where agents write. */
  readonly open: Reflector<TerminationSnapshot>
  readonly elector: LeaderElector
  readonly workloads: WorkloadResolver
  readonly #options: RecorderControllerOptions
  readonly #recorder: Recorder
  readonly #records: RecordClient
  readonly #warnings: Warnings | undefined
  readonly #retention: Retention
  readonly #begun: BegunRecords
  readonly #missed: Missed
  readonly #observers: Observers
  readonly #timers = new Set<NodeJS.Timeout>()
  #unobserve: (() => void) | undefined
  #stopping = false
  #watchedFrom: Micros = 0
  /** Up to when it watched, where it was told to stop. */
  #stoppedAt: Micros | undefined
  /** Counts terms of leadership, so that what an older one still has under way ends. */
  #term = 0
  #caughtUp = false

  constructor(options: RecorderControllerOptions) {
    const { http, clock, log, settings } = options
    this.#options = options
    this.#observers = new Observers(log)
    this.elector = new LeaderElector({
      http,
      clock,
      log,
      namespace: settings.namespace,
      name: settings.leaseName,
      identity: `${settings.podName}_${crypto.randomUUID()}`,
      leaseDurationMs: settings.leaseDurationMs,
      renewDeadlineMs: settings.renewDeadlineMs,
      retryPeriodMs: settings.retryPeriodMs,
      onStartedLeading: () => {
        this.#lead()
        this.#observers.onLeading(true)
      },
      onStoppedLeading: (reason) => {
        this.#observers.onLeading(false)
        this.#term++
        this.#caughtUp = false
        log.info({ reason }, 'no longer the leader')
      },
    })
    const guard = () => this.elector.guard()
    this.#records = createRecordClient({
      http,
      guard,
      onUnknownFields: (fields) =>
        log.warn(
          { fields },
          'the PodTermination CRD is older than this controller, fields are left out: apply the CRD of this version',
        ),
    })
    this.#warnings = settings.events
      ? new Warnings({ writer: createEventWriter({ http, instance: settings.podName, guard }), log, now: () => clock.now() })
      : undefined
    this.#retention = new Retention({
      http,
      records: this.#records,
      rules: {
        gracefulMs: settings.gracefulRetentionMs,
        abnormalMs: settings.abnormalRetentionMs,
        perNamespace: settings.maxRecordsPerNamespace,
        total: settings.maxRecords,
      },
      deletesPerSecond: settings.deletesPerSecond,
      log,
    })
    this.workloads = new WorkloadResolver({ http, log })
    this.#recorder = new Recorder({
      http,
      clock,
      log,
      settings,
      leadership: { isLeader: () => this.elector.isLeader(), dealtWithUntil: () => this.#markOnOurClock() },
      records: this.#records,
      workloads: this.workloads,
      warnings: this.#warnings,
      slice: (uid) => this.slices.get(uid),
      onVerdict: (record, news) => this.#observers.onVerdict(record, news),
    })
    const recorder = this.#recorder
    this.events = EVENT_REASONS.map((reason) =>
      this.#reflector('/api/v1/events', decodeEvent, {
        fieldSelector: `involvedObject.kind=Pod,reason=${reason}`,
        keep: 'none',
        onChange: (change) => {
          recorder.onEvent(change)
          this.#missed.onEvent(change)
        },
        onGap: (gap) => recorder.onGap('Event', gap),
      }),
    )
    this.slices = this.#reflector('/apis/discovery.k8s.io/v1/endpointslices', decodeEndpointSlice, {
      onChange: (change) => {
        recorder.onEndpointSlice(change)
        this.#observers.onEndpointSlice(change)
      },
      onGap: (gap) => recorder.onGap('EndpointSlice', gap),
    })
    // Those that are Complete, which are the many, are neither listed nor kept; what an agent adds to one is looked for.
    this.open = this.#reflector(RECORDS.everywhere, decodeTermination, {
      fieldSelector: 'state!=Complete',
      keep: 'none',
      onChange: (change) => {
        recorder.onRecord(change)
        this.#begun.onRecord(change)
      },
    })
    const decodeGated = settings.gates ? (raw: unknown) => ({ ...decodePod(raw), gate: decodeGatePart(raw) }) : decodePod
    const decode = settings.cleanup ? (raw: unknown) => withCleanupPart(raw, decodeGated(raw)) : decodeGated
    this.pods = this.#reflector('/api/v1/pods', decode, {
      parse: parsePodBytes,
      pack: packPod,
      onChange: (change) => {
        recorder.onPod(change)
        this.#missed.onPod(change)
        this.#observers.onPod(change)
      },
      onGap: (gap) => {
        recorder.onGap('Pod', gap)
        this.#missed.onGap(gap)
      },
    })
    this.#missed = new Missed({
      ...{ recorder, pods: this.pods, clock },
      watching: () => this.pods.stats.open,
      later: (ms, action) => this.#once(ms, action),
    })
    this.#begun = new BegunRecords({
      recorder,
      records: this.#records,
      pods: this.pods,
      clock,
      log,
      excludeNamespaces: settings.excludeNamespaces,
      deletesPerSecond: settings.writesPerSecond,
    })
  }

  /** Before start(). */
  observe(observer: RecorderObserver): void {
    this.#observers.add(observer)
  }

  /** The API server's clock on ours: its best estimate, the recorder's own until one is known. */
  serverNow(): Micros {
    return this.serverTime(this.#options.clock.now())
  }

  /** The same of another time of ours. */
  serverTime(at: Micros): Micros {
    const offset = this.apiOffset
    return offset === undefined ? at : Math.round(at + (offset.earliest + offset.latest) / 2)
  }

  /** The API server's clock less ours; the truth lies within. Undefined before its first answer. */
  get apiOffset(): Offset | undefined {
    return this.#recorder.apiClock.get(this.#options.clock.now())
  }

  clocksOf(node: string | undefined): ReturnType<Recorder['clocksOf']> {
    return this.#recorder.clocksOf(node)
  }

  ongoing(): ReturnType<Recorder['ongoing']> {
    return this.#recorder.ongoing()
  }

  /** For those of others who write records. */
  get recordCounts(): Recorder['counts'] {
    return this.#recorder.counts
  }

  /** What is to be recorded of the time before this replica led has been taken up. */
  get caughtUp(): boolean {
    return this.#caughtUp
  }

  inScope(namespace: string): boolean {
    return this.#recorder.inScope(namespace)
  }

  standing(uid: string): ReturnType<Recorder['standing']> {
    return this.#recorder.standing(uid)
  }

  recordOfRemains(pod: PodSnapshot): PodTermination | undefined {
    return this.#recorder.recordOfRemains(pod)
  }

  get stats() {
    const { size: open, deleted, recorded } = this.#begun
    const [expired, eventsFailed] = [this.#retention.deleted, this.#warnings?.failed ?? 0]
    return { ...this.#recorder.stats, begunByAgents: { open, deleted, recorded }, expired, eventsFailed }
  }

  /** Resolves when the caches are complete and this replica takes part in the election. */
  async start(): Promise<void> {
    const { http, clock } = this.#options
    this.#unobserve = http.onResponse((observation) => this.#recorder.observeResponse(observation))
    // Events and slices first: a termination that is under way finds its evidence waiting.
    for (const reflector of [...this.events, this.slices]) reflector.start()
    // Not waited for: without the CRD, pods are followed all the same.
    this.open.start()
    await Promise.all([...this.events, this.slices].map((reflector) => reflector.whenSynced()))
    if (this.#stopping) return
    this.pods.start()
    await this.pods.whenSynced()
    if (this.#stopping) return
    this.#watchedFrom = clock.now()
    this.elector.start()
    void this.#sampleClock()
    this.#every(CLOCK_MS, () => this.#sampleClock())
    this.#every(WARNINGS_MS, () => this.#leading() && this.#warnings?.flush())
    this.#every(MARK_MS, () => this.#mark())
    this.#every(BEGUN_MS, () => this.#begun.sweep(() => this.#leading() && this.#caughtUp))
    this.#every(RETENTION_MS, () => this.#retain())
    this.#once(FIRST_RETENTION_MS, () => this.#retain())
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#stoppedAt = this.#watchedTo()
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all([...this.events, this.slices, this.open, this.pods].map((reflector) => reflector.stop()))
    await this.#recorder.finish()
    if (this.elector.isLeader()) await this.#warnings?.close()
    this.#mark()
    // Ends what still tries to write, too.
    await this.elector.stop()
    await this.#recorder.stop()
    this.#unobserve?.()
    this.#options.log.info(this.stats, 'recorder stopped')
  }

  #reflector<T extends Identified>(
    path: string,
    decode: (raw: unknown) => T | undefined,
    rest: Pick<ConstructorParameters<typeof Reflector<T>>[0], 'onChange' | 'onGap' | 'fieldSelector' | 'keep' | 'parse' | 'pack'>,
  ): Reflector<T> {
    const { http, clock, log } = this.#options
    return new Reflector<T>({ http, clock, log, path, decode, ...rest })
  }

  #leading(): boolean {
    return !this.#stopping && this.elector.isLeader()
  }

  /** Runs the catch-up until it got through: while the API server is away that can take some tries. */
  #lead(): void {
    const { clock, log, settings } = this.#options
    const term = ++this.#term
    const stated = parseTime(this.elector.annotations[HIGH_WATER_MARK])
    const mark = this.#markOnOurClock()
    this.#begun.lead(stated)
    log.info({ highWaterMark: stated === undefined ? null : formatTime(stated) }, 'leading')
    let failures = 0
    const attempt = async () => {
      try {
        const count = await catchUp(
          {
            http: this.#options.http,
            recorder: this.#recorder,
            records: this.#records,
            clock,
            log,
            namespace: settings.namespace,
            pods: this.pods,
            missed: this.#missed,
            reach: settings.catchUpMs * MILLISECOND,
            onVerdict: (record, news) => this.#observers.onVerdict(record, news),
          },
          this.#watchedFrom,
          mark,
        )
        if (count > 0) log.info({ count }, 'terminations taken up that nobody had watched')
        if (term !== this.#term) return
        this.#caughtUp = true
        // What was refused while the records could not even be listed (no CRD yet) need not wait its time out.
        if (failures > 0) this.#recorder.takeOver(mark)
      } catch (error) {
        if (term !== this.#term || this.#stopping) return
        log[failures++ === 0 ? 'warn' : 'debug']({ err: error }, 'catch-up not finished, trying again')
        const retry = error instanceof KubeError ? error.retryAfterMs : undefined
        this.#once(retry ?? CATCH_UP_RETRY_MS, attempt)
      }
    }
    void attempt()
    this.#recorder.takeOver(mark)
  }

  /**
   * The mark moves only once what lies before it is recorded, and no further than Pods have certainly been watched. It is written
   * in the API server's time, since whoever reads it can run on another machine.
   */
  #mark(): void {
    const offset = this.#recorder.apiClock.get(this.#options.clock.now())
    if (!this.elector.isLeader() || !this.#caughtUp || offset === undefined) return
    const until = Math.min(this.#recorder.watchedUntil(), (this.#stoppedAt ?? this.#watchedTo()) - SERVER_LAG)
    this.elector.setAnnotation(HIGH_WATER_MARK, formatTime(Math.floor(until + offset.earliest)))
  }

  /** Up to when changes of Pods have arrived. */
  #watchedTo(): Micros {
    return this.#watching() ? this.#options.clock.now() : (this.pods.stats.lastAliveAt ?? 0)
  }

  /** The watch of Pods is open, as far as is known. */
  #watching(): boolean {
    const { phase, failuresInRow } = this.pods.stats
    return phase === 'Watching' && failuresInRow === 0
  }

  /** The mark of the Lease as last seen: no later than it was meant. */
  #markOnOurClock(): Micros | undefined {
    const stated = parseTime(this.elector.annotations[HIGH_WATER_MARK])
    return stated === undefined ? undefined : stated - (this.#recorder.apiClock.get(this.#options.clock.now())?.latest ?? 0)
  }

  async #retain(): Promise<void> {
    if (!this.#leading()) return
    try {
      await this.#retention.pass(() => this.#leading())
    } catch (error) {
      this.#options.log.warn({ err: error }, 'retention pass failed, the next one follows')
    }
  }

  async #sampleClock(): Promise<void> {
    const { http, clock } = this.#options
    await sampleServerClock({
      ...{ http, clock, estimate: this.#recorder.apiClock },
      wait: (ms) => new Promise<void>((resolve) => this.#once(ms, resolve)),
      stopping: () => this.#stopping,
    })
  }

  #once(ms: number, action: () => unknown): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#stopping) void action()
    }, ms)
    this.#timers.add(timer)
  }

  #every(ms: number, action: () => unknown): void {
    this.#once(ms, async () => {
      try {
        await action()
      } finally {
        if (!this.#stopping) this.#every(ms, action)
      }
    })
  }
}
