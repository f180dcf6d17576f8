/**
 * Writes what was measured into the records of this node's pods: once when the pod's containers have ended, and from time to time while
 * that takes long. What cannot be written is kept and tried again, as long as there is room.
 */
import type { KernelFacts } from '../api/kernel.ts'
import { WorkQueue } from '../controllers/work-queue.ts'
import type { ClockEstimate } from '../core/clock-estimate.ts'
import type { TraceGap } from '../core/kernel/facts.ts'
import { type ContainerNaming, mergeKernel, summarisePod } from '../core/kernel/pod.ts'
import { recordName } from '../core/record-name.ts'
import { MILLISECOND, type Micros, parseTime, SECOND } from '../core/time.ts'
import type { PodTerminationObject, RecordClient } from '../kube/apply.ts'
import { KubeError } from '../kube/errors.ts'
import type { Log } from '../kube/log.ts'
import type { Change } from '../kube/reflector-types.ts'
import type { Refused } from '../kube/refusal.ts'
import type { Collector } from './collector.ts'
import type { NodeClock } from './node-clock.ts'
import { type NodePod, rawId } from './node-pod.ts'
import type { ContainerEntry, Processes } from './processes.ts'

/** What the agent knows of its own trace. */
export interface TraceState {
  /** Monotonic; undefined while nothing is traced yet. */
  tracedFrom(): Micros | undefined
  /** Reads what there is. @returns the time up to which everything has been read */
  catchUp(): Promise<Micros>
}

export interface ReporterOptions {
  readonly node: string
  readonly clock: NodeClock
  readonly log: Log
  readonly records: RecordClient
  readonly collector: Collector
  readonly processes: Processes
  readonly trace: TraceState
  readonly apiClock: ClockEstimate
  /** Gracewatch's own namespace, for records of namespaces that take no new objects. */
  readonly recordsNamespace: string
  readonly recordCompletions: boolean
  /** None: all. */
  readonly namespaces: readonly string[]
  readonly excludeNamespaces: readonly string[]
}

export interface ReporterStats {
  /** Pods that are ending. */
  readonly ending: number
  readonly written: number
  /** By reason. */
  readonly refused: Readonly<Record<string, number>>
  /** Endings given up unwritten, for there was no room or the API server would not have them. */
  readonly dropped: number
}

interface NamedContainer {
  readonly entry: ContainerEntry
  readonly naming: ContainerNaming
}

/** A pod whose end is under way, or over and not written yet. */
interface Ending {
  pod: NodePod
  /** Monotonic: when it became known, and no later than when it was asked for. */
  readonly since: Micros
  readonly endingFrom: Micros | undefined
  /** It was ending before this agent began: another one may have written. */
  mayExist: boolean
  before: KernelFacts | undefined
  /** The object is gone. */
  goneAt: Micros | undefined
  /** What the last write was made of; when the next may be. */
  written: string
  nextAt: Micros
  elsewhere: boolean
  fullName: boolean
  refusals: number
}

const WRITE_EVERY: Micros = 5 * SECOND
/** The last lines of one end come within this. */
const SETTLE_MS = 20
/** After the object is gone and all is written, in case that something more comes. */
const LINGER: Micros = 10 * SECOND
/** Containers that never end, of an object that is gone: this long they are waited for. */
const GIVE_UP: Micros = 3600 * SECOND
const RETRY_REFUSED_MS = 60_000
const MAX_REFUSALS = 3
const MAX_ENDINGS = 2000
const CONCURRENCY = 4
const BACKOFF_MAX_MS = 10_000

export class Reporter {
  readonly #options: ReporterOptions
  readonly #endings = new Map<string, Ending>()
  readonly #queue: WorkQueue
  #written = 0
  #dropped = 0
  readonly #refused: Record<string, number> = {}
  readonly #told = new Set<string>()
  #stopping = false

  constructor(options: ReporterOptions) {
    this.#options = options
    this.#queue = new WorkQueue({
      concurrency: CONCURRENCY,
      worker: (uid) => this.#reconcile(uid),
      backoffMaxMs: BACKOFF_MAX_MS,
      onError: (uid, error) =>
        options.log.warn(
          { uid, error: error instanceof Error ? error.message : String(error) },
          'record not written yet, trying again',
        ),
    })
  }

  get stats(): ReporterStats {
    return { ending: this.#endings.size, written: this.#written, refused: { ...this.#refused }, dropped: this.#dropped }
  }

  /** Whether what is known of this container is still to be written. */
  wants(container: ContainerEntry): boolean {
    return this.#endings.has(container.podUid)
  }

  onPod(change: Change<NodePod>): void {
    const pod = change.object
    // Static pods: deleting their mirror in the API ends nothing, and the recorder leaves them out.
    if (pod.configHash !== undefined || !this.#inScope(pod.namespace)) return
    const known = this.#endings.get(pod.uid)
    const gone = change.type === 'Deleted' || change.type === 'Vanished'
    if (known !== undefined) known.pod = pod
    else if (this.#isEnding(pod, gone)) this.#begin(change)
    const ending = this.#endings.get(pod.uid)
    if (ending === undefined) return
    if (gone) ending.goneAt ??= this.#options.clock.mono()
    this.#queue.add(pod.uid, { delayMs: SETTLE_MS })
  }

  /** Something became known of a container of this pod. */
  onFact(uid: string): void {
    if (this.#endings.has(uid)) this.#queue.add(uid, { delayMs: SETTLE_MS })
  }

  /** Writes what there is, as far as the API server answers in that time. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true
    for (const ending of this.#endings.values()) ending.nextAt = 0
    for (const uid of this.#endings.keys()) this.#queue.add(uid)
    await this.#queue.drain(timeoutMs)
    await this.#queue.stop()
  }

  #inScope(namespace: string): boolean {
    const { namespaces, excludeNamespaces } = this.#options
    return (namespaces.length === 0 || namespaces.includes(namespace)) && !excludeNamespaces.includes(namespace)
  }

  #isEnding(pod: NodePod, gone: boolean): boolean {
    if (pod.deletionTimestamp !== undefined || pod.phase === 'Failed') return true
    if (pod.phase === 'Succeeded') return this.#options.recordCompletions
    return gone
  }

  #begin({ object: pod, type }: Change<NodePod>): void {
    const { clock, processes, collector, log } = this.#options
    const since = clock.mono()
    const listed = type === 'Listed' || type === 'Vanished'
    const containers = processes.containersOf(pod.uid)
    // Nothing of it was seen and nothing of it runs: there will be nothing to say.
    if (containers.length === 0) return
    if (this.#endings.size >= MAX_ENDINGS) {
      const [oldest] = this.#endings.keys()
      if (oldest !== undefined) this.#drop(oldest)
      this.#dropped++
      if (this.#dropped === 1) log.warn({ max: MAX_ENDINGS }, 'too many pods are ending unwritten, the oldest are dropped')
    }
    const endingFrom = listed ? undefined : this.#askedAt(pod)
    this.#endings.set(pod.uid, {
      pod,
      since,
      endingFrom,
      mayExist: listed,
      before: undefined,
      goneAt: undefined,
      written: '',
      nextAt: since + WRITE_EVERY,
      elsewhere: false,
      fullName: false,
      refusals: 0,
    })
    // Before the signal comes: which handlers there are, and who is below.
    for (const container of containers) if (!container.sandbox) collector.look(container)
  }

  /**
   * deletionTimestamp is the API server's time of the request and the grace period, cut to a second: the request came no earlier than
   * the difference. On the monotonic clock.
   */
  #askedAt(pod: NodePod): Micros | undefined {
    const { apiClock, clock } = this.#options
    const deletion = parseTime(pod.deletionTimestamp)
    const offset = apiClock.get(clock.now())
    if (deletion === undefined || offset === undefined) return undefined
    const asked = deletion - (pod.deletionGracePeriodSeconds ?? 0) * SECOND - offset.latest
    const mono = clock.mono()
    return Math.floor(asked - (clock.wall(mono).latest - mono))
  }

  /** Brings one record up to date, if it is time. Throws KubeError for what may pass. */
  async #reconcile(uid: string): Promise<void> {
    const ending = this.#endings.get(uid)
    if (ending === undefined) return
    const { clock, trace, processes, collector } = this.#options
    const later = (at: Micros) => {
      if (!this.#stopping) this.#queue.add(uid, { delayMs: Math.max(1, (at - clock.mono()) / MILLISECOND) })
    }
    const runs = () => processes.containersOf(uid).some(({ sandbox, ended, first }) => !sandbox && !ended && first !== undefined)
    const tracedFrom = trace.tracedFrom()
    if (tracedFrom === undefined) return this.#ebb(uid, ending, runs(), later)
    if (runs() && clock.mono() < ending.nextAt) return later(ending.nextAt)

    const asked = clock.mono()
    const tracedUntil = await trace.catchUp()
    // Where the reader is behind, what it has not come to yet may be of this pod as well.
    const complete = !runs() && tracedUntil >= asked
    const seen = this.#named(ending).filter(({ entry }) => collector.has(entry.id))
    if (seen.length > 0 && (await this.#update(ending, seen, tracedUntil, tracedFrom, complete)) === 'Refused') return
    ending.nextAt = clock.mono() + WRITE_EVERY
    this.#ebb(uid, ending, runs(), later)
  }

  /** Writes if there is something new. Refused: the ending is dropped, or its next try is set. */
  async #update(
    ending: Ending,
    seen: readonly NamedContainer[],
    tracedUntil: Micros,
    tracedFrom: Micros,
    complete: boolean,
  ): Promise<'Stands' | 'Refused'> {
    const { collector } = this.#options
    const from = Math.min(ending.since, ending.endingFrom ?? ending.since)
    const gaps = collector.gapsSince(from)
    const versions = seen.map(({ entry, naming }) => [entry.id, collector.version(entry.id), naming.name])
    const made = JSON.stringify([complete, versions, gaps])
    if (made === ending.written) return 'Stands'
    if (ending.mayExist) {
      ending.before = await this.#stored(ending)
      ending.mayExist = false
    }
    if (!(await this.#write(ending, this.#summarise(ending, { seen, gaps, from, tracedUntil, tracedFrom, complete }))))
      return 'Refused'
    ending.written = made
    ending.refusals = 0
    return 'Stands'
  }

  /** What there is stands written: followed while it runs, kept for a little, then forgotten. */
  #ebb(uid: string, ending: Ending, runs: boolean, later: (at: Micros) => void): void {
    const now = this.#options.clock.mono()
    // A Failed pod stays until somebody deletes it, and one with a finalizer as long as that wants.
    const until = runs ? ending.since + GIVE_UP : Math.max(ending.nextAt, ending.goneAt ?? 0) + LINGER
    if (now >= until) this.#drop(uid)
    else later(Math.min(until, now + WRITE_EVERY))
  }

  #drop(uid: string): void {
    const ending = this.#endings.get(uid)
    if (ending === undefined) return
    for (const { id } of this.#options.processes.containersOf(uid)) this.#options.collector.forget(id)
    this.#endings.delete(uid)
    this.#queue.forget(uid)
  }

  /** Containers of the pod that are not its sandbox, with the names that its object gives their ids. */
  #named({ pod }: Ending): NamedContainer[] {
    const byId = new Map(pod.statuses.flatMap(({ name, ids }) => ids.map((id) => [rawId(id), { name, id }] as const)))
    return this.#options.processes
      .containersOf(pod.uid)
      .filter(({ sandbox }) => !sandbox)
      .map((entry) => {
        const found = byId.get(entry.id)
        const spec = pod.containers.find(({ name }) => name === found?.name)
        return {
          entry,
          naming: {
            ...(found === undefined ? {} : { name: found.name, containerID: found.id }),
            execPreStop: spec?.execPreStop ?? false,
            execProbes: spec?.execProbes ?? true,
          },
        }
      })
      .filter(({ entry, naming }) => naming.name !== undefined || entry.first?.comm !== 'pause')
  }

  #summarise(
    ending: Ending,
    of: {
      readonly seen: readonly NamedContainer[]
      readonly gaps: readonly TraceGap[]
      readonly from: Micros
      readonly tracedUntil: Micros
      readonly tracedFrom: Micros
      readonly complete: boolean
    },
  ): KernelFacts {
    const { clock, collector, apiClock, node } = this.#options
    const { seen, gaps, from, tracedUntil, tracedFrom, complete } = of
    const offset = apiClock.get(clock.now())
    const facts = summarisePod({
      node,
      containers: seen.map(({ entry, naming }) => ({ ...naming, evidence: collector.evidence(entry) })),
      tracedFrom,
      tracedUntil,
      complete,
      ...(ending.endingFrom === undefined ? {} : { endingFrom: ending.endingFrom }),
      gaps,
      wall: (mono) => clock.wall(mono),
      wallClockSet: clock.wallClockSet(from, tracedUntil),
      ...(offset === undefined ? {} : { apiServerClock: offset }),
    })
    return ending.before === undefined ? facts : mergeKernel(ending.before, facts)
  }

  /** @returns whether it stands; where it was refused for good the ending is dropped */
  async #write(ending: Ending, kernel: KernelFacts): Promise<boolean> {
    const { records, recordsNamespace, log } = this.#options
    for (;;) {
      let result: Awaited<ReturnType<RecordClient['apply']>>
      try {
        result = await records.apply(this.#object(ending, kernel))
      } catch (error) {
        // Not forced: fields of another manager are never taken over, and another UID is another pod's record.
        if (!(error instanceof KubeError) || error.code !== 'Conflict' || !error.message.includes('pod.uid')) throw error
        if (ending.fullName) throw error
        ending.fullName = true
        continue
      }
      if (result.result === 'Written') {
        this.#written++
        return true
      }
      const taken = result.reason === 'NamespaceTerminating' || result.reason === 'NamespaceNotFound'
      if (taken && !ending.elsewhere && ending.pod.namespace !== recordsNamespace) {
        ending.elsewhere = true
        continue
      }
      if (result.reason === 'Invalid' && !ending.fullName && result.message.includes('pod.uid')) {
        ending.fullName = true
        continue
      }
      this.#refuse(ending, result)
      log.debug({ uid: ending.pod.uid, reason: result.reason, error: result.message }, 'record refused')
      return false
    }
  }

  #object({ pod, elsewhere, fullName }: Ending, kernel: KernelFacts): PodTerminationObject {
    const { node, recordsNamespace } = this.#options
    const { namespace, name, uid } = pod
    return {
      metadata: {
        namespace: elsewhere ? recordsNamespace : namespace,
        name: recordName(pod, { ...(fullName ? { full: true } : {}), ...(elsewhere ? { prefix: namespace } : {}) }),
      },
      pod: { namespace, name, uid, node },
      kernel,
    }
  }

  #refuse(ending: Ending, refused: Refused): void {
    const { uid, namespace } = ending.pod
    this.#refused[refused.reason] = (this.#refused[refused.reason] ?? 0) + 1
    const key = `${namespace}/${refused.reason}`
    if (!this.#told.has(key)) {
      if (this.#told.size > 1000) this.#told.clear()
      this.#told.add(key)
      this.#options.log.warn({ namespace, reason: refused.reason, error: refused.message }, 'records refused')
    }
    ending.refusals++
    if (refused.retry === 'Never' || ending.refusals > MAX_REFUSALS) {
      this.#dropped++
      this.#drop(uid)
      return
    }
    ending.nextAt = this.#options.clock.mono() + RETRY_REFUSED_MS * MILLISECOND
    this.#queue.add(uid, { delayMs: RETRY_REFUSED_MS })
  }

  /** What an agent before this one wrote of this pod. */
  async #stored(ending: Ending): Promise<KernelFacts | undefined> {
    const { records, recordsNamespace, node } = this.#options
    const { pod } = ending
    for (const [namespace, elsewhere] of [
      [pod.namespace, false],
      [recordsNamespace, true],
    ] as const) {
      for (const full of [false, true]) {
        const name = recordName(pod, { ...(full ? { full } : {}), ...(elsewhere ? { prefix: pod.namespace } : {}) })
        const found = await records.get(namespace, name)
        if (found?.pod.uid !== pod.uid) continue
        ending.elsewhere = elsewhere
        ending.fullName = full
        return found.kernel?.node === node ? found.kernel : undefined
      }
    }
    return undefined
  }
}
