/**
 * Follows every termination from its first sight to a little after its end: gathers what the watches bring into trackers, and has
 * each brought up to date (reconciler.ts) when its time has come. Every replica follows; only the leader writes.
 */

import type { PodTermination } from '../../api/pod-termination.ts'
import type { ClockEstimate } from '../../core/clock-estimate.ts'
import type {
  ClockFact,
  EndpointSliceSnapshot,
  EventSnapshot,
  Fact,
  GapFact,
  KernelFact,
  PodFact,
  PodSnapshot,
} from '../../core/evidence.ts'
import { isTerminal } from '../../core/termination/history.ts'
import { assemble } from '../../core/termination/index.ts'
import { MILLISECOND, type Micros, SECOND } from '../../core/time.ts'
import type { RecordClient } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { TerminationSnapshot } from '../../kube/decode/termination.ts'
import type { KubeHttp, ResponseObservation } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { Change, Gap } from '../../kube/reflector-types.ts'
import { RateLimit } from '../rate-limit.ts'
import { WorkQueue } from '../work-queue.ts'
import { AgentNodes } from './agents.ts'
import { ClockBook } from './clock-book.ts'
import { Decided } from './decided.ts'
import { EvidenceStore } from './evidence-store.ts'
import { KernelReader } from './kernel-facts.ts'
import { FIRST_WRITE, Reconciler, SETTLE } from './reconciler.ts'
import { Tracker } from './tracker.ts'
import type { Warnings } from './warnings.ts'
import type { WorkloadResolver } from './workloads.ts'
import { RecordCounts, RecordWriter } from './writer.ts'

/** What may still be written when the process stops. */
const FINISH_MS = 2000
/** Terminations of which a standby may keep each for an hour. */
const MANY = 5000
const MAX_TRACKERS = 200_000
/**
 * What arrives had happened up to this long before. The kubelet hears of a deletion by a watch of its own: its Killing Event, by which a
 * successor finds what is gone, can be older than the first sight of it here.
 */
const ARRIVAL: Micros = SECOND

export interface RecorderSettings {
  readonly namespaces: readonly string[]
  readonly excludeNamespaces: readonly string[]
  readonly record: 'All' | 'Abnormal'
  readonly recordCompletions: boolean
  readonly namespace: string
  /** The agent's own. */
  readonly agentNamespace: string
  readonly writeConcurrency: number
  readonly writesPerSecond: number
}

export interface Leadership {
  isLeader(): boolean
  /** Up to when a leader has dealt with everything that was over, on this recorder's clock; undefined where nobody has said so. */
  dealtWithUntil(): Micros | undefined
}

export interface RecorderOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly settings: RecorderSettings
  readonly leadership: Leadership
  readonly records: RecordClient
  readonly workloads: WorkloadResolver
  readonly warnings: Pick<Warnings, 'tell'> | undefined
  readonly slice: (uid: string) => EndpointSliceSnapshot | undefined
  /**
   * How a termination ended, once that is known, and again where it turns out to have been otherwise. Whether a record is kept or not.
   * No news: another leader had dealt with it before.
   */
  readonly onVerdict?: (record: PodTermination, news: boolean) => void
  /** Right before each verdict: what it was made from, and the time that `assemble` was told. */
  readonly onEvidence?: (facts: readonly Fact[], now: Micros) => void
  /** A standby that follows more terminations than this keeps none for an hour: those of a large cluster do not fit into its memory. */
  readonly many?: number
}

export interface RecorderStats {
  readonly tracked: number
  readonly written: number
  readonly refused: Readonly<Record<string, number>>
  /** Failures that may pass: what failed is tried again. */
  readonly retries: number
  readonly queue: { readonly depth: number; readonly backlog: number }
  readonly dropped: {
    readonly events: number
    readonly endpoints: number
    readonly kernel: number
    readonly facts: number
    readonly trackers: number
  }
  /** Nodes with an agent that is Ready; and what agents wrote that was left out. */
  readonly agents: { readonly nodes: number; readonly malformed: number; readonly foreign: number }
}

export class Recorder {
  /** Writes of records, also those of others that write some. */
  readonly counts = new RecordCounts()
  readonly #options: RecorderOptions
  readonly #trackers = new Map<string, Tracker>()
  readonly #evidence: EvidenceStore
  readonly #queue: WorkQueue
  readonly #clocks = new ClockBook()
  readonly #limit: RateLimit
  readonly #writer: RecordWriter
  readonly #agents: AgentNodes
  readonly #kernel: KernelReader
  readonly #decided = new Decided()
  readonly #reconciler: Reconciler
  #droppedFacts = 0
  #droppedTrackers = 0
  #retries = 0

  constructor(options: RecorderOptions) {
    this.#options = options
    this.#evidence = new EvidenceStore(options.slice)
    const { records, clock, log, settings } = options
    this.#agents = new AgentNodes(settings.agentNamespace)
    this.#kernel = new KernelReader(log)
    this.#limit = new RateLimit(settings.writesPerSecond)
    this.#writer = new RecordWriter({
      ...{ records, clock, log, namespace: settings.namespace, limit: this.#limit },
      counts: this.counts,
    })
    this.#reconciler = new Reconciler({
      ...options,
      writer: this.#writer,
      clocks: this.#clocks,
      agents: this.#agents,
      kernel: this.#kernel,
      decided: this.#decided,
      tooMany: () => this.#trackers.size > (options.many ?? MANY),
    })
    this.#queue = new WorkQueue({
      concurrency: options.settings.writeConcurrency,
      worker: (uid) => this.#reconcile(uid),
      onError: (uid, error) => {
        this.#retries++
        options.log.warn({ uid, error: String(error) }, 'record not written yet, trying again')
      },
    })
  }

  get stats(): RecorderStats {
    return {
      tracked: this.#trackers.size,
      written: this.counts.written,
      refused: this.counts.refused,
      retries: this.#retries,
      queue: { depth: this.#queue.depth, backlog: this.#queue.backlog },
      dropped: { ...this.#evidence.dropped, facts: this.#droppedFacts, trackers: this.#droppedTrackers },
      agents: { nodes: this.#agents.size, ...this.#kernel.refused },
    }
  }

  get evidence(): EvidenceStore {
    return this.#evidence
  }

  get apiClock(): ClockEstimate {
    return this.#clocks.api
  }

  clocksOf(node: string | undefined): ClockFact[] {
    return this.#clocks.facts(node, this.#options.clock.now())
  }

  /** Pods that are ending and not gone yet; overdue: past the deadline, as far as it has been looked at. */
  *ongoing(): Generator<{ readonly pod: PodSnapshot; readonly overdue: boolean }> {
    for (const { pod, gone, overAt, completedAt, overdue } of this.#trackers.values()) {
      if (pod === undefined || gone || completedAt !== undefined) continue
      // What has ended without being deleted stays, and is not waited for.
      if (overAt === undefined || pod.deletionTimestamp !== undefined) yield { pod, overdue }
    }
  }

  tracks(uid: string): boolean {
    return this.#trackers.has(uid)
  }

  /** True where the termination has been recorded, or left out, a while ago: a record of it that an agent begins now is one too many. */
  decided(uid: string): boolean {
    return this.#decided.has(uid, this.#options.clock.now())
  }

  /**
   * Whether the record of a pod that has ended stands: Pending while it is still to be written here; None where it is not, by the settings
   * or because it was refused, or where nothing is known of it any more.
   */
  standing(uid: string): 'Stands' | 'Pending' | 'None' {
    const tracker = this.#trackers.get(uid)
    if (tracker === undefined) return 'None'
    if (tracker.stands && tracker.written?.state === 'Complete') return 'Stands'
    return tracker.leftOut || tracker.closed || tracker.refusedIn !== undefined ? 'None' : 'Pending'
  }

  /** The record of a pod that has ended, from what is left of it. */
  recordOfRemains(pod: PodSnapshot): PodTermination | undefined {
    const now = this.#options.clock.now()
    const facts: Fact[] = [
      ...this.#evidence.take(pod.uid),
      { type: 'Pod', change: 'Listed', arrivedAt: now, pod },
      { type: 'Remains', arrivedAt: now },
      ...this.#clocks.facts(pod.nodeName, now),
      { type: 'Workload', workload: this.#options.workloads.known(pod) },
    ]
    return assemble(facts, now)
  }

  /** Terminations that no record speaks of yet began no earlier than this, and none that is not Complete was over: where a successor takes up. */
  watchedUntil(): Micros {
    let earliest = this.#options.clock.now() - ARRIVAL
    for (const tracker of this.#trackers.values()) {
      if (tracker.completedAt !== undefined || tracker.closed || tracker.leftOut) continue
      // Of what is over nothing may be taken for done before it is Complete, whatever is written of it.
      const from = tracker.written === undefined ? tracker.since - ARRIVAL : tracker.overAt
      if (from !== undefined) earliest = Math.min(earliest, from)
    }
    return earliest
  }

  observeResponse(observation: ResponseObservation): void {
    this.#clocks.observeResponse(observation)
  }

  onPod(change: Change<PodSnapshot>): void {
    this.#agents.onPod(change)
    const pod = change.object
    if (pod.mirror === true || !this.inScope(pod.namespace)) return
    const fact: PodFact = {
      type: 'Pod',
      change: change.type,
      arrivedAt: change.arrivedAt,
      ...(change.since === undefined ? {} : { since: change.since }),
      pod,
    }
    const tracker = this.#trackers.get(pod.uid)
    if (tracker !== undefined) {
      this.#add(tracker, fact)
      return
    }
    if (change.type !== 'Deleted' && change.type !== 'Vanished') void this.#options.workloads.resolve(pod)
    if (this.#begins(change)) this.track(fact, change.previous)
  }

  /** Whether this change is the first sight of a termination. */
  #begins({ type, object, previous, since }: Change<PodSnapshot>): boolean {
    if (previous !== undefined && isTerminal(previous)) return false
    if (type === 'Deleted' || type === 'Vanished') return !isTerminal(object) || previous !== undefined
    if (object.deletionTimestamp !== undefined) return true
    // What had ended before anybody watched is for the catch-up to judge; what a later list shows first came and ended in the gap before it.
    return isTerminal(object) && (type !== 'Listed' || previous !== undefined || since !== undefined)
  }

  /**
   * @param previous the version before, where one is known: it shows the pod before its end
   * @param notBefore the termination began no earlier; gaps before it are none of its
   */
  track(
    fact: Exclude<Fact, { type: 'Clock' | 'Workload' }> & { type: 'Pod' | 'Absent' },
    previous?: PodSnapshot,
    notBefore: Micros = fact.arrivedAt - ARRIVAL,
  ): void {
    const { uid, namespace } = fact.pod
    if (this.#trackers.size >= MAX_TRACKERS) {
      this.#droppedTrackers++
      return
    }
    const listed = fact.type === 'Absent' || fact.change === 'Listed'
    const tracker = new Tracker(uid, namespace, fact.arrivedAt, listed)
    this.#trackers.set(uid, tracker)
    // That it had arrived before is all that is known of the time of the version before.
    if (previous !== undefined) tracker.add({ type: 'Pod', change: 'Listed', arrivedAt: fact.arrivedAt, pod: previous })
    for (const known of this.#evidence.take(uid)) tracker.add(known)
    for (const gap of this.#evidence.gapsSince(notBefore)) tracker.add(gap)
    if (fact.type === 'Pod') void this.#options.workloads.resolve(fact.pod)
    this.#add(tracker, fact)
    const measured = this.#evidence.takeKernel(uid)
    if (measured !== undefined) this.#measured(tracker, measured)
  }

  onEvent(change: Change<EventSnapshot>): void {
    if (change.type === 'Deleted' || change.type === 'Vanished') return
    const { object } = change
    if (!this.inScope(object.pod.namespace)) return
    const fact = { type: 'Event', arrivedAt: change.arrivedAt, listed: change.type === 'Listed', event: object } as const
    const tracker = this.#trackers.get(object.pod.uid)
    if (tracker === undefined) this.#evidence.addEvent(fact)
    else this.#add(tracker, fact)
  }

  onEndpointSlice(change: Change<EndpointSliceSnapshot>): void {
    if (!this.inScope(change.object.namespace)) return
    for (const { uid, fact } of this.#evidence.endpointFacts(change)) {
      const tracker = this.#trackers.get(uid)
      if (tracker === undefined) this.#evidence.addEndpoint(uid, fact, change.arrivedAt)
      else this.#add(tracker, fact)
    }
  }

  /** A record as it stands: of interest is what an agent has put into it. */
  onRecord({ type, object, arrivedAt }: Change<TerminationSnapshot>): void {
    const { pod, kernel, namespace, name } = object
    if (type === 'Deleted' || type === 'Vanished' || kernel === undefined || !this.inScope(pod.namespace)) return
    const fact = this.#kernel.read(kernel, `${namespace}/${name}`, arrivedAt)
    if (fact === undefined) return
    const tracker = this.#trackers.get(pod.uid)
    if (tracker === undefined) this.#evidence.addKernel(pod.uid, fact)
    else this.#measured(tracker, fact)
  }

  onGap(resource: GapFact['resource'], gap: Gap): void {
    const fact: GapFact = { type: 'Gap', resource, ...gap }
    this.#evidence.addGap(fact)
    for (const tracker of this.#trackers.values()) if (tracker.completedAt === undefined) tracker.add(fact)
  }

  /**
   * Leadership came, or writes are possible again: what is under way is taken up.
   *
   * @param mark the high-water mark of the leader before, on this recorder's clock
   */
  takeOver(mark: Micros | undefined): void {
    for (const tracker of this.#trackers.values()) {
      tracker.notBefore = 0
      if (tracker.completedAt === undefined) {
        // Also what was begun here, in an earlier term: another leader may have completed it since.
        tracker.mayExist = true
        // Of what was not over by then, nothing says that the leader before got to its end.
        tracker.recordedBefore = mark !== undefined && tracker.overAt !== undefined && tracker.overAt < mark
      }
      this.#queue.add(tracker.uid)
    }
  }

  /** Writes the records of what is over, without waiting for what may still come: a successor knows less of it. */
  async finish(): Promise<void> {
    if (!this.#options.leadership.isLeader()) return
    this.#reconciler.finishing = true
    this.#limit.open()
    // What is under way without being over waits in the queue too, and is left as it is.
    await this.#queue.drain(FINISH_MS)
  }

  async stop(): Promise<void> {
    await this.#queue.stop()
  }

  inScope(namespace: string): boolean {
    const { namespaces, excludeNamespaces } = this.#options.settings
    return (namespaces.length === 0 || namespaces.includes(namespace)) && !excludeNamespaces.includes(namespace)
  }

  #add(tracker: Tracker, fact: Fact): void {
    tracker.add(fact)
    if (tracker.completedAt !== undefined) {
      tracker.changed = true
      return
    }
    // Terminations on one node often come together: what one says of its clock helps the others at once.
    if (fact.type === 'Event' && !fact.listed)
      this.#clocks.learn(
        this.#reconciler.factsOf(tracker, this.#clocks.facts(tracker.pod?.nodeName, fact.arrivedAt)),
        fact.arrivedAt,
      )
    const gone = fact.type === 'Absent' || (fact.type === 'Pod' && (fact.change === 'Deleted' || fact.change === 'Vanished'))
    if (gone) tracker.gone = true
    if (gone || (fact.type === 'Pod' && isTerminal(fact.pod))) {
      tracker.overAt = fact.arrivedAt
      this.#queue.add(tracker.uid, { delayMs: SETTLE / MILLISECOND })
    } else if (tracker.facts.length === 1 || tracker.written === undefined) {
      this.#queue.add(tracker.uid, {
        delayMs: Math.max(0, (tracker.since + FIRST_WRITE - this.#options.clock.now()) / MILLISECOND),
      })
    }
  }

  /** Our own writes come back with the same facts, which are no news. */
  #measured(tracker: Tracker, fact: KernelFact): void {
    if (!tracker.measured(fact)) return
    this.#kernel.check(fact.kernel, tracker.uid, tracker.pod?.nodeName)
    if (tracker.completedAt !== undefined) tracker.changed = true
    else if (tracker.overAt !== undefined)
      this.#queue.add(tracker.uid, { delayMs: Math.max(0, (tracker.overAt + SETTLE - this.#options.clock.now()) / MILLISECOND) })
  }

  async #reconcile(uid: string): Promise<void> {
    const tracker = this.#trackers.get(uid)
    if (tracker === undefined) return
    const next = await this.#reconciler.reconcile(tracker)
    if (next === 'Drop') this.#drop(tracker)
    else if (next !== 'Wait' && !this.#reconciler.finishing)
      this.#queue.add(uid, { delayMs: Math.max(1, (next - this.#options.clock.now()) / MILLISECOND) })
  }

  #drop(tracker: Tracker): void {
    this.#droppedFacts += tracker.dropped
    this.#trackers.delete(tracker.uid)
  }
}
