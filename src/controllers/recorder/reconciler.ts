/** Brings the record of one termination up to date with its facts: what is written when, and what is still waited for. */
import type { PodTermination } from '../../api/pod-termination.ts'
import type { ClockFact, Fact } from '../../core/evidence.ts'
import { isAbnormal } from '../../core/record-object.ts'
import { assemble, isPlainCompletion } from '../../core/termination/index.ts'
import { MILLISECOND, type Micros, parseTime, SECOND } from '../../core/time.ts'
import { KubeError } from '../../kube/errors.ts'
import type { AgentNodes } from './agents.ts'
import type { ClockBook } from './clock-book.ts'
import type { Decided } from './decided.ts'
import type { KernelReader } from './kernel-facts.ts'
import { callObserver } from './observer.ts'
import type { RecorderOptions } from './recorder.ts'
import type { Tracker } from './tracker.ts'
import { digestOf, isNews, type RecordWriter } from './writer.ts'

/** A termination that is over by then costs one write. */
export const FIRST_WRITE: Micros = 2 * SECOND
/** Events and endpoint changes of the last moment come within this after the object's removal. */
export const SETTLE: Micros = 250 * MILLISECOND
/** How long after the end Complete is held back for what the node's agent has still to say. */
const AGENT_WAIT: Micros = SECOND
/** How long later facts are waited for: a force-deleted pod's kubelet still has its grace period to go. */
const LINGER: Micros = 20 * SECOND
/** An agent still sees containers run: its facts are looked for again and again, at ever longer intervals, up to this long. */
const MAX_LINGER: Micros = 320 * SECOND
/** A standby keeps what the leader should have written at least this long. */
const STANDBY_KEEP: Micros = 120 * SECOND
/** And where no leader has got to it, as where the Lease can be written by nobody, up to this long. */
const STANDBY_KEEP_UNWRITTEN: Micros = 3600 * SECOND

/** When to look at a termination again; Drop: it is done with; Wait: when it has a new fact. */
export type Next = Micros | 'Drop' | 'Wait'

export interface ReconcilerOptions
  extends Pick<RecorderOptions, 'http' | 'clock' | 'log' | 'settings' | 'workloads' | 'warnings' | 'onVerdict' | 'onEvidence'> {
  readonly leadership: RecorderOptions['leadership']
  readonly writer: RecordWriter
  readonly clocks: ClockBook
  readonly agents: AgentNodes
  readonly kernel: KernelReader
  readonly decided: Decided
  /** More terminations are followed than can be kept for long. */
  readonly tooMany: () => boolean
}

export class Reconciler {
  /** The process stops: what is over is written at once, nothing more is waited for. */
  finishing = false
  readonly #options: ReconcilerOptions

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Throws KubeError for what may pass. */
  async reconcile(tracker: Tracker): Promise<Next> {
    const { clock, leadership, settings, workloads, clocks: book, decided } = this.#options
    const { finishing } = this
    const now = clock.now()
    if (tracker.completedAt !== undefined && leadership.isLeader()) {
      if (now < tracker.lingersTo && !finishing) return tracker.lingersTo
      if (tracker.closed) return 'Drop'
      if (tracker.agentOwes && tracker.stands) await this.#askAgent(tracker)
      if (!tracker.changed) return this.#lingerOn(tracker)
    }

    if (tracker.pod !== undefined && !workloads.settled(tracker.pod)) await workloads.resolve(tracker.pod)
    const clocks = tracker.clocks ?? book.facts(tracker.pod?.nodeName, now)
    const record = assemble(this.factsOf(tracker, clocks), now)
    if (record === undefined || (isPlainCompletion(record) && !settings.recordCompletions)) {
      if (record !== undefined) decided.add(tracker.uid, now)
      return 'Drop'
    }
    const complete = record.state === 'Complete'
    if (complete) book.learn(this.factsOf(tracker, clocks), now)
    if (!leadership.isLeader()) {
      if (!complete) return 'Wait'
      const mark = leadership.dealtWithUntil()
      const dealtWith = mark !== undefined && tracker.overAt !== undefined && tracker.overAt < mark
      const brief = dealtWith || this.#options.tooMany()
      const until = (tracker.overAt ?? tracker.since) + (brief ? STANDBY_KEEP : STANDBY_KEEP_UNWRITTEN)
      return now > until ? 'Drop' : Math.min(until, now + STANDBY_KEEP) + SECOND
    }
    if (complete) {
      // The Events and endpoint changes of the last moment are still on their way.
      const settledAt = (tracker.overAt ?? 0) + SETTLE
      if (now < settledAt && !finishing) return settledAt
      if (!this.#awaitsAgent(tracker, record)) return await this.#complete(tracker, record, clocks)
      const agentBy = (tracker.overAt ?? 0) + AGENT_WAIT
      if (now < agentBy && !finishing) return agentBy
      // Before it is said that the agent was silent: the watch of records may be cut, as that of pods is now and then.
      await this.#askAgent(tracker)
      if (this.#awaitsAgent(tracker, record)) this.#oweAgent(tracker, now)
      return await this.#complete(tracker, assemble(this.factsOf(tracker, clocks), now) ?? record, clocks)
    }
    const due = tracker.since + FIRST_WRITE
    return now < due || finishing ? due : await this.#ongoing(tracker, record, clocks)
  }

  /** @param known what is known of the clocks */
  factsOf(tracker: Tracker, known: readonly ClockFact[]): Fact[] {
    const { workloads } = this.#options
    const { pod } = tracker
    const facts: Fact[] = [...tracker.facts, ...known]
    if (pod !== undefined) facts.push({ type: 'Workload', workload: workloads.known(pod) })
    return facts
  }

  /** Terminating or Overdue: one write each. */
  async #ongoing(tracker: Tracker, record: PodTermination, clocks: readonly ClockFact[]): Promise<Next> {
    const { clock, writer } = this.#options
    tracker.overdue = record.state === 'Overdue'
    let current = record
    if (record.state === 'Overdue' && !tracker.nodeAsked) {
      tracker.nodeAsked = true
      await this.#askNode(tracker)
      current = assemble(this.factsOf(tracker, clocks), clock.now()) ?? record
    }
    const { state } = current
    const due = !tracker.closed && isNews(tracker, current) && !writer.holdsBack(tracker, current)
    if (due && !this.#kept(current)) tracker.written = { state, digest: '' }
    else if (due && (await writer.write(tracker, current)) && state === 'Overdue') await this.#tell(tracker, current)
    // The deadline and what it allows for are the core's to judge: it is asked again a little after.
    const deadline = parseTime(record.deadline)
    const now = clock.now()
    if (state === 'Terminating') return Math.max(now + SECOND, Math.min((deadline ?? now) + 5 * SECOND, now + 60 * SECOND))
    return tracker.refusedIn === state && !tracker.closed ? tracker.notBefore : 'Wait'
  }

  async #complete(tracker: Tracker, record: PodTermination, clocks: readonly ClockFact[]): Promise<Next> {
    const { clock, writer, decided } = this.#options
    if (tracker.completedAt !== undefined) {
      await this.#amend(tracker, record, clocks)
      return this.#lingerOn(tracker)
    }
    if (writer.holdsBack(tracker, record)) return tracker.notBefore
    // A record that was begun is completed, also where one that is begun now would not be kept.
    if (!this.#kept(record) && tracker.mayExist) await writer.find(tracker, record)
    tracker.leftOut = !this.#kept(record) && !tracker.stands && !tracker.closed
    if (!tracker.leftOut && !tracker.closed && !(await writer.write(tracker, record)) && !tracker.closed) return tracker.notBefore
    tracker.completedAt = clock.now()
    tracker.clocks = clocks
    tracker.lingersTo = tracker.completedAt + LINGER
    if (tracker.leftOut || tracker.stands) decided.add(tracker.uid, clock.now())
    this.#tellObservers(tracker, record, clocks, !tracker.dealtWith)
    if (!tracker.leftOut) await this.#tell(tracker, record)
    return tracker.lingersTo
  }

  /** Facts that came after Complete. */
  async #amend(tracker: Tracker, record: PodTermination, clocks: readonly ClockFact[]): Promise<void> {
    tracker.changed = false
    if ((tracker.leftOut && !this.#kept(record)) || digestOf(record) === tracker.written?.digest) return
    try {
      if (!(await this.#options.writer.write(tracker, record))) return
    } catch (error) {
      tracker.changed = true
      throw error
    }
    tracker.leftOut = false
    this.#tellObservers(tracker, record, clocks, true)
    await this.#tell(tracker, record)
  }

  /** The end of a termination, unless its agent has more to say: containers of a pod deleted by force run on for a while. */
  #lingerOn(tracker: Tracker): Next {
    const now = this.#options.clock.now()
    const completedAt = tracker.completedAt ?? now
    const runs = tracker.agentOwes && tracker.kernel?.kernel.complete === false
    if (!runs || this.finishing || now - completedAt >= MAX_LINGER) return 'Drop'
    tracker.lingersTo = now + Math.max(LINGER, now - completedAt)
    return tracker.lingersTo
  }

  /** The agent of the pod's node has not said all yet, and has to: some container ran. */
  #awaitsAgent(tracker: Tracker, record: PodTermination): boolean {
    const node = tracker.pod?.nodeName
    const kernel = tracker.kernel?.kernel
    if ((kernel?.complete === true && kernel.node === node) || record.outcome === 'NeverStarted') return false
    return this.#options.agents.has(node, tracker.since)
  }

  /** The record says that something of the agent is missing, until it comes. */
  #oweAgent(tracker: Tracker, now: Micros): void {
    const node = tracker.pod?.nodeName
    if (tracker.agentOwes || node === undefined) return
    tracker.agentOwes = true
    tracker.add({ type: 'Agent', arrivedAt: now, node })
  }

  /** Looks for what the agent has put into the record: of one that is Complete the watch says nothing. */
  async #askAgent(tracker: Tracker): Promise<void> {
    const { clock, writer, kernel } = this.#options
    const { namespace, name, uid } = tracker.pod ?? {}
    if (namespace === undefined || name === undefined || uid === undefined) return
    const stored = await writer.read(tracker, { pod: { namespace, name, uid } })
    if (stored?.kernel === undefined || stored.pod.uid !== tracker.uid) return
    const fact = kernel.read(stored.kernel, `${stored.metadata.namespace}/${stored.metadata.name}`, clock.now())
    if (fact === undefined || !tracker.measured(fact)) return
    kernel.check(fact.kernel, tracker.uid, tracker.pod?.nodeName)
    tracker.changed = true
  }

  /** An observer that throws keeps nothing from the others, nor from Events: told of it once, it is not told again. */
  #tellObservers(tracker: Tracker, record: PodTermination, clocks: readonly ClockFact[], news: boolean): void {
    const { clock, log, onEvidence, onVerdict } = this.#options
    callObserver(log, () => onEvidence?.(this.factsOf(tracker, clocks), clock.now()))
    callObserver(log, () => onVerdict?.(record, news))
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
    const { http, clock, log } = this.#options
    try {
      const response = await http.request({ method: 'GET', path: `/api/v1/nodes/${node}` })
      const ready = readyOf(response.json())
      tracker.add({ type: 'Node', arrivedAt: clock.now(), node, exists: true, ...(ready === undefined ? {} : { ready }) })
    } catch (error) {
      if (error instanceof KubeError && error.code === 'NotFound')
        tracker.add({ type: 'Node', arrivedAt: clock.now(), node, exists: false })
      else log.debug({ node, error: String(error) }, 'node not read')
    }
  }
}

function readyOf(node: unknown): 'True' | 'False' | 'Unknown' | undefined {
  const { status } = node as { status?: { conditions?: readonly { type: string; status: string }[] } } // GET of a core/v1 Node
  const found = status?.conditions?.find((condition) => condition.type === 'Ready')?.status
  return found === 'True' || found === 'False' || found === 'Unknown' ? found : undefined
}
