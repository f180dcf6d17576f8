/**
 * Follows every termination from its first sight to a little after its end and writes its record. Gather (watches into trackers),
 * decide (core), act (one apply when the time has come). Every replica follows; only the leader writes.
 */
import type { PodTermination } from '../../api/pod-termination.ts'
import { ClockEstimate, offsetFromDate } from '../../core/clock-estimate.ts'
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
import { isAbnormal } from '../../core/record-object.ts'
import { isTerminal } from '../../core/termination/history.ts'
import { assemble, isPlainCompletion, nodeClock } from '../../core/termination/index.ts'
import { MILLISECOND, type Micros, parseTime, SECOND } from '../../core/time.ts'
import type { RecordClient } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { TerminationSnapshot } from '../../kube/decode/termination.ts'
import { KubeError } from '../../kube/errors.ts'
import type { KubeHttp, ResponseObservation } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { Change, Gap } from '../../kube/reflector-types.ts'
import { RateLimit } from '../rate-limit.ts'
import { WorkQueue } from '../work-queue.ts'
import { AgentNodes } from './agents.ts'
import { EvidenceStore } from './evidence-store.ts'
import { KernelReader } from './kernel-facts.ts'
import { Tracker } from './tracker.ts'
import type { Warnings } from './warnings.ts'
import type { WorkloadResolver } from './workloads.ts'
import { digestOf, isNews, RecordWriter } from './writer.ts'

/** A termination that is over by then costs one write. */
const FIRST_WRITE: Micros = 2 * SECOND
/** Events and endpoint changes of the last moment come within this after the object's removal. */
const SETTLE: Micros = 250 * MILLISECOND
/** How long after the end Complete is held back for what the node's agent has still to say. */
const AGENT_WAIT: Micros = SECOND
/** How long later facts are waited for: a force-deleted pod's kubelet still has its grace period to go. */
const LINGER: Micros = 20 * SECOND
/** An agent still sees containers run: its facts are looked for again and again, at ever longer intervals, up to this long. */
const MAX_LINGER: Micros = 320 * SECOND
/** A standby keeps what the leader should have written until a new leader surely had its turn. */
const STANDBY_KEEP: Micros = 120 * SECOND
/** What may still be written when the process stops. */
const FINISH_MS = 2000
const MAX_TRACKERS = 200_000
/** What an agent writes of a pod whose termination has been dealt with is known for that for this long. */
const KEEP_DECIDED: Micros = 900 * SECOND
const MAX_DECIDED = 20_000

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
}

export interface RecorderStats {
  readonly tracked: number
  readonly written: number
  readonly refused: Readonly<Record<string, number>>
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
  readonly #options: RecorderOptions
  readonly #trackers = new Map<string, Tracker>()
  readonly #evidence: EvidenceStore
  readonly #queue: WorkQueue
  readonly #api = new ClockEstimate()
  readonly #nodes = new Map<string, ClockEstimate>()
  readonly #limit: RateLimit
  readonly #writer: RecordWriter
  readonly #agents: AgentNodes
  readonly #kernel: KernelReader
  /** UIDs of pods whose record has been completed, or that get none, and since when; the oldest first. */
  readonly #decided = new Map<string, Micros>()
  #finishing = false
  #droppedFacts = 0
  #droppedTrackers = 0

  constructor(options: RecorderOptions) {
    this.#options = options
    this.#evidence = new EvidenceStore(options.slice)
    const { records, clock, log, settings } = options
    this.#agents = new AgentNodes(settings.agentNamespace)
    this.#kernel = new KernelReader(log)
    this.#limit = new RateLimit(settings.writesPerSecond)
    this.#writer = new RecordWriter({ records, clock, log, namespace: settings.namespace, limit: this.#limit })
    this.#queue = new WorkQueue({
      concurrency: options.settings.writeConcurrency,
      worker: (uid) => this.#reconcile(uid),
      onError: (uid, error) => options.log.warn({ uid, error: String(error) }, 'record not written yet, trying again'),
    })
  }

  get stats(): RecorderStats {
    return {
      tracked: this.#trackers.size,
      written: this.#writer.written,
      refused: this.#writer.refused,
      dropped: { ...this.#evidence.dropped, facts: this.#droppedFacts, trackers: this.#droppedTrackers },
      agents: { nodes: this.#agents.size, ...this.#kernel.refused },
    }
  }

  get evidence(): EvidenceStore {
    return this.#evidence
  }

  get apiClock(): ClockEstimate {
    return this.#api
  }

  tracks(uid: string): boolean {
    return this.#trackers.has(uid)
  }

  /** True where the termination has been recorded, or left out, a while ago: a record of it that an agent begins now is one too many. */
  decided(uid: string): boolean {
    const at = this.#decided.get(uid)
    return at !== undefined && this.#options.clock.now() - at < KEEP_DECIDED
  }

  /** Terminations that no record speaks of yet began no earlier than this: where a successor has to take up. */
  watchedUntil(): Micros {
    let earliest = this.#options.clock.now() - SECOND
    for (const tracker of this.#trackers.values()) {
      if (tracker.written === undefined && !tracker.closed && !tracker.leftOut) earliest = Math.min(earliest, tracker.since)
    }
    return earliest
  }

  observeResponse(observation: ResponseObservation): void {
    if (observation.date === undefined) return
    const { text, sentAt, receivedAt } = observation.date
    const offset = offsetFromDate(text, sentAt, receivedAt)
    if (offset !== undefined) this.#api.add(offset, receivedAt)
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
  #begins({ type, object, previous }: Change<PodSnapshot>): boolean {
    if (previous !== undefined && isTerminal(previous)) return false
    if (type === 'Deleted' || type === 'Vanished') return !isTerminal(object) || previous !== undefined
    if (object.deletionTimestamp !== undefined) return true
    // What had ended before anybody watched is for the catch-up to judge.
    return isTerminal(object) && (type !== 'Listed' || previous !== undefined)
  }

  /**
   * @param previous the version before, where one is known: it shows the pod before its end
   * @param notBefore the termination began no earlier; gaps before it are none of its
   */
  track(
    fact: Exclude<Fact, { type: 'Clock' | 'Workload' }> & { type: 'Pod' | 'Absent' },
    previous?: PodSnapshot,
    notBefore: Micros = fact.arrivedAt - SECOND,
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
      if (tracker.written === undefined) {
        tracker.mayExist = true
        tracker.recordedBefore = mark !== undefined && tracker.since < mark
      }
      this.#queue.add(tracker.uid)
    }
  }

  /** Writes the records of what is over, without waiting for what may still come: a successor knows less of it. */
  async finish(): Promise<void> {
    if (!this.#options.leadership.isLeader()) return
    this.#finishing = true
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
      this.#learnNodeClock(tracker, this.#clocks(tracker.pod?.nodeName, fact.arrivedAt), fact.arrivedAt)
    const over =
      fact.type === 'Absent' ||
      (fact.type === 'Pod' && (fact.change === 'Deleted' || fact.change === 'Vanished' || isTerminal(fact.pod)))
    if (over) {
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

  /** The agent of the pod's node has not said all yet, and has to: some container ran. */
  #awaitsAgent(tracker: Tracker, record: PodTermination): boolean {
    const node = tracker.pod?.nodeName
    const kernel = tracker.kernel?.kernel
    if ((kernel?.complete === true && kernel.node === node) || record.outcome === 'NeverStarted') return false
    return this.#agents.has(node, tracker.since)
  }

  #factsOf(tracker: Tracker, known: readonly ClockFact[]): Fact[] {
    const { workloads } = this.#options
    const { pod } = tracker
    const facts: Fact[] = [...tracker.facts, ...known]
    if (pod !== undefined) facts.push({ type: 'Workload', workload: workloads.known(pod) })
    return facts
  }

  #clocks(node: string | undefined, now: Micros): ClockFact[] {
    const known = node === undefined ? undefined : this.#nodes.get(node)
    return [...this.#api.fact('APIServer', now), ...(known?.fact('Node', now) ?? [])]
  }

  /** Brings one record up to date with its facts, if it is time and we lead. Throws KubeError for what may pass. */
  async #reconcile(uid: string): Promise<void> {
    const tracker = this.#trackers.get(uid)
    if (tracker === undefined) return
    const { clock, leadership, settings, workloads } = this.#options
    const now = clock.now()
    const later = (at: Micros) => {
      if (!this.#finishing) this.#queue.add(uid, { delayMs: Math.max(1, (at - clock.now()) / MILLISECOND) })
    }
    if (tracker.completedAt !== undefined && leadership.isLeader()) {
      if (now < tracker.lingersTo && !this.#finishing) return later(tracker.lingersTo)
      if (tracker.closed) return this.#drop(tracker)
      if (tracker.agentOwes) await this.#askAgent(tracker)
      if (!tracker.changed) return this.#lingerOn(tracker, later)
    }

    if (tracker.pod !== undefined && !workloads.settled(tracker.pod)) await workloads.resolve(tracker.pod)
    const clocks = tracker.clocks ?? this.#clocks(tracker.pod?.nodeName, now)
    const record = assemble(this.#factsOf(tracker, clocks), now)
    if (record === undefined || (isPlainCompletion(record) && !settings.recordCompletions)) {
      if (record !== undefined) this.#decide(tracker)
      this.#drop(tracker)
      return
    }
    const complete = record.state === 'Complete'
    if (complete) this.#learnNodeClock(tracker, clocks, now)
    if (!leadership.isLeader()) {
      if (now - tracker.since > STANDBY_KEEP && complete) this.#drop(tracker)
      else if (complete) later(tracker.since + STANDBY_KEEP + SECOND)
      return
    }
    if (complete) {
      // The Events and endpoint changes of the last moment are still on their way.
      const settledAt = (tracker.overAt ?? 0) + SETTLE
      if (now < settledAt && !this.#finishing) return later(settledAt)
      const agentBy = (tracker.overAt ?? 0) + AGENT_WAIT
      if (this.#awaitsAgent(tracker, record)) {
        if (now < agentBy && !this.#finishing) return later(agentBy)
        this.#oweAgent(tracker, now)
        await this.#complete(tracker, assemble(this.#factsOf(tracker, clocks), now) ?? record, clocks, later)
        return
      }
      await this.#complete(tracker, record, clocks, later)
      return
    }
    const due = tracker.since + FIRST_WRITE
    if (now < due || this.#finishing) {
      later(due)
      return
    }
    await this.#ongoing(tracker, record, clocks, later)
  }

  /** Terminating or Overdue: one write each. */
  async #ongoing(
    tracker: Tracker,
    record: PodTermination,
    clocks: readonly ClockFact[],
    later: (at: Micros) => void,
  ): Promise<void> {
    let current = record
    if (record.state === 'Overdue' && !tracker.nodeAsked) {
      tracker.nodeAsked = true
      await this.#askNode(tracker)
      const now = this.#options.clock.now()
      current = assemble(this.#factsOf(tracker, clocks), now) ?? record
    }
    const { state } = current
    const due = !tracker.closed && isNews(tracker, current) && !this.#writer.holdsBack(tracker, current)
    if (due && !this.#kept(current)) tracker.written = { state, digest: '' }
    else if (due && (await this.#writer.write(tracker, current)) && state === 'Overdue') await this.#tell(tracker, current)
    // The deadline and what it allows for are the core's to judge: it is asked again a little after.
    const deadline = parseTime(record.deadline)
    const now = this.#options.clock.now()
    if (state === 'Terminating') later(Math.max(now + SECOND, Math.min((deadline ?? now) + 5 * SECOND, now + 60 * SECOND)))
    else if (tracker.refusedIn === state && !tracker.closed) later(tracker.notBefore)
  }

  async #complete(
    tracker: Tracker,
    record: PodTermination,
    clocks: readonly ClockFact[],
    later: (at: Micros) => void,
  ): Promise<void> {
    if (tracker.completedAt !== undefined) {
      await this.#amend(tracker, record)
      return this.#lingerOn(tracker, later)
    }
    if (this.#writer.holdsBack(tracker, record)) return later(tracker.notBefore)
    // A record that was begun is completed, also where one that is begun now would not be kept.
    if (!this.#kept(record) && tracker.mayExist) await this.#writer.find(tracker, record)
    tracker.leftOut = !this.#kept(record) && !tracker.stands && !tracker.closed
    if (!tracker.leftOut && !tracker.closed && !(await this.#writer.write(tracker, record)) && !tracker.closed)
      return later(tracker.notBefore)
    tracker.completedAt = this.#options.clock.now()
    tracker.clocks = clocks
    tracker.lingersTo = tracker.completedAt + LINGER
    if (tracker.leftOut || tracker.stands) this.#decide(tracker)
    if (!tracker.leftOut) await this.#tell(tracker, record)
    later(tracker.lingersTo)
  }

  /** Facts that came after Complete. */
  async #amend(tracker: Tracker, record: PodTermination): Promise<void> {
    tracker.changed = false
    if ((tracker.leftOut && !this.#kept(record)) || digestOf(record) === tracker.written?.digest) return
    try {
      if (!(await this.#writer.write(tracker, record))) return
    } catch (error) {
      tracker.changed = true
      throw error
    }
    tracker.leftOut = false
    await this.#tell(tracker, record)
  }

  /** The end of a termination, unless its agent has more to say: containers of a pod deleted by force run on for a while. */
  #lingerOn(tracker: Tracker, later: (at: Micros) => void): void {
    const now = this.#options.clock.now()
    const completedAt = tracker.completedAt ?? now
    const runs = tracker.agentOwes && tracker.kernel?.kernel.complete === false
    if (!runs || this.#finishing || now - completedAt >= MAX_LINGER) this.#drop(tracker)
    else {
      tracker.lingersTo = now + Math.max(LINGER, now - completedAt)
      later(tracker.lingersTo)
    }
  }

  #decide(tracker: Tracker): void {
    this.#decided.delete(tracker.uid)
    this.#decided.set(tracker.uid, this.#options.clock.now())
    const [oldest] = this.#decided.keys()
    if (this.#decided.size > MAX_DECIDED && oldest !== undefined) this.#decided.delete(oldest)
  }

  /** The record says that something of the agent is missing, until it comes. */
  #oweAgent(tracker: Tracker, now: Micros): void {
    const node = tracker.pod?.nodeName
    if (tracker.agentOwes || node === undefined) return
    tracker.agentOwes = true
    tracker.add({ type: 'Agent', arrivedAt: now, node })
  }

  /** Looks for what the agent has added to the record since it was Complete: the watch shows no such record. */
  async #askAgent(tracker: Tracker): Promise<void> {
    const { clock } = this.#options
    const { namespace, name, uid } = tracker.pod ?? {}
    if (namespace === undefined || name === undefined || uid === undefined || !tracker.stands) return
    const stored = await this.#writer.read(tracker, { pod: { namespace, name, uid } })
    if (stored?.kernel === undefined || stored.pod.uid !== tracker.uid) return
    const fact = this.#kernel.read(stored.kernel, `${stored.metadata.namespace}/${stored.metadata.name}`, clock.now())
    if (fact !== undefined) this.#measured(tracker, fact)
  }

  async #tell(tracker: Tracker, record: PodTermination): Promise<void> {
    if (!tracker.closed) await this.#options.warnings?.tell(record, tracker.told)
  }

  #kept(record: PodTermination): boolean {
    return this.#options.settings.record === 'All' || isAbnormal(record)
  }

  async #askNode(tracker: Tracker): Promise<void> {
    const node = tracker.pod?.nodeName
    if (node === undefined) return
    const { http, clock } = this.#options
    try {
      const response = await http.request({ method: 'GET', path: `/api/v1/nodes/${node}` })
      const ready = readyOf(response.json())
      tracker.add({ type: 'Node', arrivedAt: clock.now(), node, exists: true, ...(ready === undefined ? {} : { ready }) })
    } catch (error) {
      if (error instanceof KubeError && error.code === 'NotFound')
        tracker.add({ type: 'Node', arrivedAt: clock.now(), node, exists: false })
      else this.#options.log.debug({ node, error: String(error) }, 'node not read')
    }
  }

  #learnNodeClock(tracker: Tracker, clocks: readonly ClockFact[], now: Micros): void {
    const learnt = nodeClock(this.#factsOf(tracker, clocks))
    if (learnt === undefined) return
    let estimate = this.#nodes.get(learnt.node)
    if (estimate === undefined) {
      estimate = new ClockEstimate()
      this.#nodes.set(learnt.node, estimate)
    }
    estimate.add(learnt.offset, now)
  }

  #drop(tracker: Tracker): void {
    this.#droppedFacts += tracker.dropped
    this.#trackers.delete(tracker.uid)
  }
}

function readyOf(node: unknown): 'True' | 'False' | 'Unknown' | undefined {
  const { status } = node as { status?: { conditions?: readonly { type: string; status: string }[] } } // GET of a core/v1 Node
  const found = status?.conditions?.find((condition) => condition.type === 'Ready')?.status
  return found === 'True' || found === 'False' || found === 'Unknown' ? found : undefined
}
