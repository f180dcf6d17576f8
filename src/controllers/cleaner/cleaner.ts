/**
 * Cleanup as a part of the program: watches PodCleanups and Jobs beside the recorder's pods, plans, and acts on the plan as the leader. A pass
 * begins soon after a change and every 20 s, and acts for some seconds at most; what it did not get to is in the next plan.
 */
import type { CleanupStatus } from '../../api/pod-cleanup.ts'
import { finishedPod } from '../../core/cleanup/finished-pod.ts'
import { plan } from '../../core/cleanup/plan.ts'
import type { FinishedPod, JobFacts, Plan, RuleReport, Threshold } from '../../core/cleanup/types.ts'
import type { PodSnapshot, Workload } from '../../core/evidence.ts'
import { MILLISECOND, type Micros } from '../../core/time.ts'
import { CLEANUPS_PATH, writeCleanupStatus } from '../../kube/cleanup-status.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import { decodeJob } from '../../kube/decode/finished-pod.ts'
import { type CleanupObject, decodeCleanupObject } from '../../kube/decode/pod-cleanup.ts'
import { KubeError } from '../../kube/errors.ts'
import { type EventWriter, eventName, type KubernetesEvent } from '../../kube/events.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { Controller } from '../../kube/operator.ts'
import { Reflector } from '../../kube/reflector.ts'
import type { Change, Identified } from '../../kube/reflector-types.ts'
import { RateLimit } from '../rate-limit.ts'
import type { RecorderObserver } from '../recorder/observer.ts'
import { type Acted, act, Held, nothing } from './pass.ts'
import type { RecordKeeper } from './record-keeper.ts'
import { deletedMessage, type FullStatus, isNews, passOf, type RulePass, refusedMessage, statusOf } from './report.ts'

const EVERY_MS = 20_000
/** From a change to the pass that takes it in: changes come in bunches. */
const SOON_MS = 1000
/** Planning is to take a twentieth of the time at most; this is the longest that it makes a pass wait after the plan before it. */
const REST = 20
const LONGEST_REST_MS = 8000
/** A pass that is longer is cut here and planned anew. */
const ACTS_FOR_MS = 8000
/** The times in a status alone are not worth more writes. */
const RENEW_MS = 60_000
const STATUS_AT_ONCE = 4

/** What this part uses of the recorder. */
export interface CleanerHost {
  readonly pods: {
    get(uid: string): PodSnapshot | undefined
    /** All that have finished, and others. */
    unpacked(): Iterable<PodSnapshot>
    readonly synced: boolean
    readonly stats: { readonly open: boolean }
  }
  readonly workloads: {
    known(pod: PodSnapshot): Workload
    settled(pod: PodSnapshot): boolean
    resolve(pod: PodSnapshot): Promise<void>
  }
  readonly elector: { isLeader(): boolean; guard(): AbortSignal; readonly leaseUid: string | undefined }
  /** What ended while nobody led has been taken up, from better evidence than what this part would record from. */
  readonly caughtUp: boolean
  inScope(namespace: string): boolean
  serverNow(): Micros
}

export interface CleanerOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly host: CleanerHost
  readonly keeper: RecordKeeper
  readonly events: EventWriter | undefined
  readonly threshold: Threshold | undefined
  readonly dryRun: boolean
  readonly deletesPerSecond: number
  readonly concurrency: number
  /** After each pass, also where there was nothing to plan by. */
  readonly onPass?: (planned: Plan, acted: Acted) => void
  /** Where Events about the threshold go. */
  readonly lease: { readonly namespace: string; readonly name: string }
}

export interface CleanerStats {
  readonly rules: number
  readonly finished: number
  readonly passes: number
  readonly deleted: number
  readonly recorded: number
  readonly statusWrites: number
}

/** What is remembered of a PodCleanup, or of the threshold. */
interface Book {
  deleted: number
  status: FullStatus | undefined
  statusAt: number
  refusing: boolean
  readonly told: Map<string, { count: number; readonly firstAt: Micros }>
}

export class Cleaner implements Controller, RecorderObserver {
  readonly name = 'cleaner'
  readonly cleanups: Reflector<CleanupObject>
  readonly jobs: Reflector<JobFacts & Identified>
  readonly #options: CleanerOptions
  readonly #limit: RateLimit
  readonly #held = new Held()
  readonly #books = new Map<string, Book>()
  #timer: NodeJS.Timeout | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #running: Promise<void> | undefined
  /** Something has changed while a pass was under way. */
  #again = false
  #stopping = false
  /** Counts what makes a plan an old one: a pass by it ends. */
  #generation = 0
  /** UIDs of what the pass that is under way may delete. */
  #going: ReadonlySet<string> = new Set()
  /** When the last plan was begun, and how long it took. */
  #plannedAt = Number.NEGATIVE_INFINITY
  #planMs = 0
  /** The API server has asked to be left alone until then. */
  #pausedTo = 0
  #finished = 0
  #passes = 0
  #deleted = 0
  #statusWrites = 0

  constructor(options: CleanerOptions) {
    const { http, clock, log } = options
    this.#options = options
    this.#limit = new RateLimit(options.deletesPerSecond)
    this.cleanups = new Reflector<CleanupObject>({
      ...{ http, clock, log, path: CLEANUPS_PATH, decode: decodeCleanupObject },
      onChange: (change) => this.#onCleanup(change),
    })
    this.jobs = new Reflector<JobFacts & Identified>({
      ...{ http, clock, log, path: '/apis/batch/v1/jobs', decode: decodeJob },
      onChange: ({ object, previous }) => {
        if (object.finished !== previous?.finished) this.#soon()
      },
    })
  }

  get stats(): CleanerStats {
    return {
      rules: this.cleanups.size,
      finished: this.#finished,
      passes: this.#passes,
      deleted: this.#deleted,
      recorded: this.#options.keeper.written,
      statusWrites: this.#statusWrites,
    }
  }

  /** Not waited for: without the CRD, or without the right to read Jobs, terminations are recorded all the same. */
  async start(): Promise<void> {
    this.cleanups.start()
    this.jobs.start()
    this.#after(SOON_MS)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    await Promise.all([this.cleanups.stop(), this.jobs.stop(), this.#running])
    this.#options.log.info(this.stats, 'cleaner stopped')
  }

  onPod({ type, object, previous }: Change<PodSnapshot>): void {
    if (type === 'Deleted' || type === 'Vanished') {
      this.#options.keeper.forget(object.uid)
      // Somebody else has deleted one of those that were to stay: another has to stay in its place.
      if (object.cleanup !== undefined && !this.#going.has(object.uid)) this.#generation++
    }
    if (object.cleanup !== undefined || previous?.cleanup !== undefined) this.#soon()
  }

  onEndpointSlice(): void {}

  onVerdict(): void {}

  onLeading(leading: boolean): void {
    // Another leader has counted on meanwhile: what it wrote comes by the watch.
    this.#books.clear()
    if (leading) this.#soon()
  }

  #onCleanup({ type, object, previous }: Change<CleanupObject>): void {
    const gone = type === 'Deleted' || type === 'Vanished'
    if (gone) this.#books.delete(object.uid)
    // Of status alone nothing depends.
    if (!gone && object.generation === previous?.generation && object.rule !== undefined) return
    this.#generation++
    this.#held.clear(object.namespace)
    this.#soon()
  }

  /** For a change. While a pass acts, planning rests: what came meanwhile does not wait for that a second time. */
  #soon(): void {
    const restedAt = this.#plannedAt + Math.min(LONGEST_REST_MS, this.#planMs * REST)
    this.#after(Math.max(SOON_MS, restedAt - performance.now()))
  }

  /** The next pass begins in so many milliseconds, or sooner. */
  #after(ms: number): void {
    const dueAt = Math.max(performance.now() + ms, this.#pausedTo)
    if (this.#stopping || dueAt >= this.#dueAt) return
    clearTimeout(this.#timer)
    this.#dueAt = dueAt
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY
      // What has changed since the one that is under way was planned is in the next one.
      this.#again = this.#running !== undefined
      if (this.#again) return
      this.#running = this.#run().finally(() => {
        this.#running = undefined
      })
    }, dueAt - performance.now())
  }

  async #run(): Promise<void> {
    let next = EVERY_MS
    try {
      next = await this.#pass()
    } catch (error) {
      this.#options.log.warn({ err: error }, 'cleanup pass failed, the next one follows')
    }
    const again = this.#again || this.#dueAt < Number.POSITIVE_INFINITY
    this.#again = false
    clearTimeout(this.#timer)
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#after(next)
    if (again) this.#soon()
  }

  /** What a plan would be made of is there, and fresh: a rule that is not known yet may be one that keeps pods. */
  #ready(): boolean {
    const { host } = this.#options
    const fresh = ({ synced, stats }: CleanerHost['pods'] | Reflector<CleanupObject>) => synced && stats.open
    return host.elector.isLeader() && host.caughtUp && fresh(host.pods) && fresh(this.cleanups)
  }

  /** @returns in how many milliseconds the next one is due */
  async #pass(): Promise<number> {
    const { host, threshold, log } = this.#options
    if (!this.#ready()) return host.elector.isLeader() ? SOON_MS : EVERY_MS
    const generation = this.#generation
    const rules = [...this.cleanups.values()].flatMap(({ rule }) => rule ?? []).filter(({ namespace }) => host.inScope(namespace))
    if (rules.length === 0 && threshold === undefined) {
      this.#options.onPass?.({ verdicts: [], reports: [] }, nothing())
      return EVERY_MS
    }
    await this.#learnOwners(rules)
    const began = performance.now()
    const planned = this.#plan(rules, threshold)
    this.#plannedAt = began
    this.#planMs = performance.now() - began
    const verdicts = planned.verdicts.filter(({ action, dryRun }) => action === 'Delete' && !dryRun)
    const proceed = () =>
      !this.#stopping && generation === this.#generation && performance.now() - began < ACTS_FOR_MS && this.#ready()
    this.#going = new Set(verdicts.map(({ pod }) => pod.uid))
    const { http } = this.#options
    const guard = () => host.elector.guard()
    const acted = await act(
      {
        ...{ http, guard, keeper: this.#options.keeper, limit: this.#limit, concurrency: this.#options.concurrency },
        podOf: (uid) => host.pods.get(uid),
        now: () => performance.now(),
      },
      this.#held,
      verdicts,
      proceed,
    )
    this.#passes++
    this.#deleted += acted.deleted.length
    this.#options.onPass?.(planned, acted)
    if (acted.deleted.length > 0 || acted.failed.length > 0)
      log.info(
        {
          deleted: acted.deleted.length,
          toDelete: verdicts.length,
          refused: acted.refused.length,
          failed: acted.failed.length,
          error: acted.failed[0]?.error.message,
        },
        'cleanup pass',
      )
    const next = this.#nextAfter(acted, verdicts.length)
    if (!this.#stopping && host.elector.isLeader()) await this.#tell(planned, acted, next)
    return next
  }

  #nextAfter(acted: Acted, toDelete: number): number {
    const { cutBy } = acted
    if (cutBy !== undefined && cutBy.code !== 'Aborted') {
      const pause = cutBy.retryAfterMs ?? (cutBy.code === 'TooManyRequests' ? SOON_MS : 0)
      this.#pausedTo = performance.now() + pause
      return Math.max(pause, SOON_MS)
    }
    const settled = acted.deleted.length + acted.refused.length + acted.failed.length + acted.failing.length
    if (settled < toDelete && acted.deleted.length > 0) return SOON_MS
    return acted.pending.length > 0 ? SOON_MS * 2 : EVERY_MS
  }

  #plan(rules: Parameters<typeof plan>[0]['rules'], threshold: Threshold | undefined): Plan {
    const { host, dryRun } = this.#options
    const perOwner = countedByOwner(rules)
    const pods: FinishedPod[] = []
    // One that has finished is not packed.
    for (const pod of host.pods.unpacked()) {
      if (pod.cleanup === undefined || !host.inScope(pod.namespace)) continue
      const found = finishedPod(pod, pod.cleanup, perOwner.has(pod.namespace) ? this.#workloadOf(pod) : undefined)
      if (found !== undefined) pods.push(found)
    }
    this.#finished = pods.length
    const jobs = new Map([...this.jobs.values()].map(({ uid, finished }) => [uid, { finished }]))
    return plan({ pods, jobs, rules, dryRun, now: host.serverNow(), ...(threshold === undefined ? {} : { threshold }) })
  }

  /** What the owners of finished pods belong to, where a rule counts by that. Once an owner; what cannot be found out is asked again later. */
  async #learnOwners(rules: Parameters<typeof plan>[0]['rules']): Promise<void> {
    const { workloads, pods } = this.#options.host
    const perOwner = countedByOwner(rules)
    if (perOwner.size === 0) return
    const asked = new Set<string>()
    const answers: Promise<void>[] = []
    for (const pod of pods.unpacked()) {
      const { owner } = pod
      if (pod.cleanup === undefined || owner === undefined || !perOwner.has(pod.namespace) || asked.has(owner.uid)) continue
      asked.add(owner.uid)
      if (!workloads.settled(pod)) answers.push(workloads.resolve(pod))
    }
    await Promise.all(answers)
  }

  /** As long as it is not known, pods are counted by their direct owners, of which more stay. */
  #workloadOf(pod: PodSnapshot): FinishedPod['workload'] {
    const { workloads } = this.#options.host
    if (pod.owner === undefined || !workloads.settled(pod)) return undefined
    const { kind, name, uid } = workloads.known(pod)
    return uid === undefined ? undefined : { kind, name, uid }
  }

  async #tell({ reports }: Plan, acted: Acted, nextMs: number): Promise<void> {
    const { host, clock } = this.#options
    const now = host.serverNow()
    const next = now + nextMs * MILLISECOND
    const objects = new Map([...this.cleanups.values()].map((object) => [object.uid, object]))
    const left = reports.values()
    const work = async () => {
      for (const report of left) {
        const object = report.uid === undefined ? undefined : objects.get(report.uid)
        // Deleted meanwhile.
        if (report.uid !== undefined && object === undefined) continue
        await this.#tellOf(passOf(report, acted), object, { now, next, eventAt: clock.now() })
      }
    }
    await Promise.all(Array.from({ length: STATUS_AT_ONCE }, work))
  }

  async #tellOf(
    pass: RulePass,
    object: CleanupObject | undefined,
    { now, next, eventAt }: { now: Micros; next: Micros; eventAt: Micros },
  ): Promise<void> {
    const { http, host, log } = this.#options
    const book = this.#bookOf(pass.report, object?.status)
    book.deleted += pass.deleted.length
    try {
      if (object !== undefined) {
        const { generation } = object
        const status = statusOf(pass, object.status, { generation, deleted: book.deleted, now, next })
        const old = performance.now() - book.statusAt >= RENEW_MS
        if (old || isNews(status, book.status)) {
          const written = await writeCleanupStatus(http, () => host.elector.guard(), object, status)
          if (written) this.#statusWrites++
          book.status = status
          book.statusAt = performance.now()
        }
      }
      if (pass.deleted.length > 0) await this.#event(book, pass, object, 'PodsDeleted', deletedMessage(pass.deleted), eventAt)
      const refusing = pass.refused.length > 0
      if (refusing && !book.refusing)
        await this.#event(book, pass, object, 'RecordRefused', refusedMessage(pass.refused), eventAt)
      book.refusing = refusing
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      if (error.code !== 'Aborted') log.warn({ rule: pass.report.name, error: error.message }, 'status of a cleanup not written')
    }
  }

  #bookOf({ uid = '' }: RuleReport, status: CleanupStatus | undefined): Book {
    let book = this.#books.get(uid)
    if (book === undefined) {
      const refusing = status?.conditions?.some(({ type, status: is }) => type === 'RecordRefused' && is === 'True') ?? false
      book = { deleted: status?.deleted ?? 0, status: undefined, statusAt: Number.NEGATIVE_INFINITY, refusing, told: new Map() }
      this.#books.set(uid, book)
    }
    return book
  }

  /** On the PodCleanup; about the threshold on the controller's Lease, which everybody can find. */
  async #event(
    book: Book,
    { report }: RulePass,
    object: CleanupObject | undefined,
    reason: 'PodsDeleted' | 'RecordRefused',
    message: string,
    at: Micros,
  ): Promise<void> {
    const { events, lease, host, log } = this.#options
    if (events === undefined) return
    const told = book.told.get(reason) ?? { count: 0, firstAt: at }
    told.count++
    book.told.set(reason, told)
    const about: KubernetesEvent['object'] | undefined =
      object !== undefined
        ? { apiVersion: 'gracewatch.dev/v1alpha1', kind: 'PodCleanup', ...nameOf(object) }
        : { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', ...lease, uid: host.elector.leaseUid ?? '' }
    const result = await events.write({
      name: eventName(about.name, `${report.uid ?? report.name}/${reason}`),
      object: about,
      type: reason === 'PodsDeleted' ? 'Normal' : 'Warning',
      reason,
      message: object === undefined ? `The threshold: ${message}` : message,
      count: told.count,
      firstAt: told.firstAt,
      lastAt: at,
    })
    if (result.result === 'Refused') log.debug({ rule: report.name, reason, error: result.message }, 'Event refused')
  }
}

/** Namespaces in which a rule counts by workload. */
const countedByOwner = (rules: Parameters<typeof plan>[0]['rules']): ReadonlySet<string> =>
  new Set(rules.flatMap((rule) => ('spec' in rule && rule.spec.keep?.perOwner !== undefined ? [rule.namespace] : [])))

const nameOf = ({ uid, namespace, name }: CleanupObject) => ({ uid, namespace, name })
