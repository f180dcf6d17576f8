/** The agent as a whole: the trace and its care, the watch of the node's own pods, the clocks, and the records. */
import { ClockEstimate, offsetFromDate } from '../core/clock-estimate.ts'
import type { TraceLine } from '../core/kernel/parse.ts'
import type { Offset } from '../core/termination/clocks.ts'
import { MILLISECOND, type Micros } from '../core/time.ts'
import { createRecordClient } from '../kube/apply.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'
import { Reflector } from '../kube/reflector.ts'
import type { Change } from '../kube/reflector-types.ts'
import type { HealthCheck } from '../web/health.ts'
import { Collector } from './collector.ts'
import type { NodeClock } from './node-clock.ts'
import { decodeNodePod, type NodePod, rawId } from './node-pod.ts'
import { Processes } from './processes.ts'
import { Procfs } from './procfs.ts'
import { Reporter } from './reporter.ts'
import { Trace, TracefsError } from './tracefs.ts'

export interface AgentSettings {
  readonly nodeName: string
  readonly tracing: string
  readonly instance: string
  readonly bufferKilobytes: number
  readonly linesPerSecond: number
  readonly recordsNamespace: string
  readonly recordCompletions: boolean
  readonly namespaces: readonly string[]
  readonly excludeNamespaces: readonly string[]
}

export interface AgentOptions {
  readonly http: KubeHttp
  readonly clock: NodeClock
  readonly log: Log
  readonly settings: AgentSettings
}

const FIELD_MANAGER = 'gracewatch-agent'
/** How often the trace is asked whether it is well, and opened again where it is not. */
const CARE_MS = 10_000
/** Behind by more than this it is not ready. */
const BEHIND: Micros = 60_000_000
const CATCH_UP_MS = 1000
const TIDY_MS = 60_000
/** Ends that no line of the trace tells of by itself are looked for this often, and this soon after one that may be of theirs. */
const SETTLE_EVERY_MS = 5000
const SETTLE_SOON_MS = 20
/** A container that the API names is looked for after this, and taken for one that no trace can see after that. */
const SEARCH_MS = 300
const UNSEEN: Micros = 10_000_000
/** What ended of pods that live on is kept this long, in case that their end is told late. */
const KEEP: Micros = 60_000_000
const CLOCK_MS = 240_000
const CLOCK_SAMPLES = 8
const STOP_WRITES_MS = 5000

export class Agent {
  readonly pods: Reflector<NodePod>
  readonly reporter: Reporter
  readonly collector: Collector
  readonly #options: AgentOptions
  readonly #proc = new Procfs()
  readonly #processes: Processes
  readonly #apiClock = new ClockEstimate()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Containers that the API names and /proc has not shown, since when, and their runtime classes that have been told of. */
  readonly #unseen = new Map<string, Micros>()
  readonly #toldClasses = new Set<string>()
  readonly #endedAt = new Map<string, Micros>()
  #trace: Trace | undefined
  #tracedFrom: Micros | undefined
  /** Up to here everything was read. */
  #readUntil: Micros = 0
  #lastCatchUp: Promise<Micros> = Promise.resolve(0)
  #nextCatchUp: Promise<Micros> | undefined
  #traceError: TracefsError | undefined
  #searching = false
  #settling = false
  #stopping = false
  #unobserve: (() => void) | undefined

  constructor(options: AgentOptions) {
    const { http, clock, log, settings } = options
    this.#options = options
    const mono = () => clock.mono()
    this.#processes = new Processes(this.#proc, mono, {
      container: (container) => this.#unseen.delete(container.id),
      exec: (process, notBefore) => this.collector.exec(process, notBefore),
    })
    this.collector = new Collector({
      proc: this.#proc,
      processes: this.#processes,
      mono,
      log,
      onFact: (podUid, container) => {
        if (container.ended && !this.#endedAt.has(container.id)) this.#endedAt.set(container.id, mono())
        this.reporter.onFact(podUid)
      },
      onUnknownEnd: () => this.#settleSoon(),
    })
    this.reporter = new Reporter({
      node: settings.nodeName,
      clock,
      log,
      records: createRecordClient({
        http,
        fieldManager: FIELD_MANAGER,
        force: false,
        required: ['kernel'],
        onUnknownFields: (fields) =>
          log.warn(
            { fields },
            'the PodTermination CRD is older than this agent, fields are left out: apply the CRD of this version',
          ),
      }),
      collector: this.collector,
      processes: this.#processes,
      trace: { catchUp: () => this.#catchUp(), tracedFrom: () => this.#tracedFrom },
      apiClock: this.#apiClock,
      recordsNamespace: settings.recordsNamespace,
      recordCompletions: settings.recordCompletions,
      namespaces: settings.namespaces,
      excludeNamespaces: settings.excludeNamespaces,
    })
    this.pods = new Reflector<NodePod>({
      http,
      clock,
      log,
      path: '/api/v1/pods',
      fieldSelector: `spec.nodeName=${settings.nodeName}`,
      decode: decodeNodePod,
      onChange: (change) => this.#onPod(change),
    })
  }

  /** Never fails for want of a trace or an API server: both are tried again, and said in readyz. */
  async start(): Promise<void> {
    const { http, log } = this.#options
    this.#unobserve = http.onResponse(({ date }) => {
      const offset = date === undefined ? undefined : offsetFromDate(date.text, date.sentAt, date.receivedAt)
      if (offset !== undefined && date !== undefined) this.#apiClock.add(offset, date.receivedAt)
    })
    if (!this.#proc.seesAllProcesses()) {
      log.error({}, 'not in the PID namespace of the node: set hostPID, and do not run inside a node that is a container itself')
    }
    await this.#care()
    await this.#processes.scan()
    this.pods.start()
    this.#every(CARE_MS, () => this.#care())
    this.#every(TIDY_MS, () => this.#tidy())
    this.#every(SETTLE_EVERY_MS, () => this.#catchUp())
    void this.#sampleClock()
    this.#every(CLOCK_MS, () => this.#sampleClock())
  }

  /** Writes what is under way, and takes the trace instance down. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const timer of this.#timers) clearTimeout(timer)
    await this.pods.stop()
    await this.reporter.stop(STOP_WRITES_MS)
    this.#unobserve?.()
    const trace = this.#trace
    this.#trace = undefined
    await trace?.stop()
  }

  /** For /livez: only what a new start would help. */
  live(): HealthCheck[] {
    return [{ name: 'trace', check: () => (this.#traceError?.code === 'Failed' ? this.#traceError.message : undefined) }]
  }

  ready(): HealthCheck[] {
    const { clock } = this.#options
    return [
      {
        name: 'processes',
        check: () => (this.#proc.seesAllProcesses() ? undefined : 'not in the PID namespace of the node (hostPID)'),
      },
      {
        name: 'trace',
        check: () => {
          if (this.#traceError !== undefined) return this.#traceError.message
          if (this.#trace === undefined) return 'not open yet'
          const behind = clock.mono() - this.#readUntil
          return behind > BEHIND ? `not read for ${Math.round(behind / 1_000_000)} s` : undefined
        },
      },
    ]
  }

  /** Whether the trace is open. */
  get tracing(): boolean {
    return this.#trace !== undefined
  }

  /** The API server's clock less that of this process; the truth lies within. Undefined before its first answer. */
  get apiOffset(): Offset | undefined {
    return this.#apiClock.get(this.#options.clock.now())
  }

  /** Opens the trace where there is none, and asks it whether it is well. */
  async #care(): Promise<void> {
    const { clock, log } = this.#options
    if (this.#stopping) return
    try {
      if (this.#trace === undefined) return await this.#open()
      const before = this.#trace.stats.lines
      const back = await this.#trace.sync(CARE_MS / 2)
      const now = clock.mono()
      const changed = this.#trace.repair()
      if (changed !== undefined) {
        log.warn({ changed }, 'the trace was set right')
        this.collector.gap({ from: this.#readUntil, to: now, reason: changed, lost: 0 })
      } else if (!back && this.#trace.stats.lines === before) {
        log.warn({}, 'the trace gives nothing back, opening it again')
        await this.#close(new TracefsError('Failed', 'the trace gives nothing back'))
        return
      }
      // The lines that tell of a loss come with the next event of the CPU, which may take its time.
      const untold = this.#trace.overruns() - this.#trace.stats.lost
      if (untold > 0) this.collector.gap({ from: this.#readUntil, to: now, reason: "the kernel's buffer ran over", lost: 0 })
      if (back) this.#readUntil = now
    } catch (error) {
      await this.#close(error instanceof TracefsError ? error : new TracefsError('Failed', String(error), error))
    }
  }

  async #open(): Promise<void> {
    const { clock, log, settings } = this.#options
    try {
      const trace = await Trace.open({
        folder: settings.tracing,
        instance: settings.instance,
        bufferKilobytes: settings.bufferKilobytes,
        linesPerSecond: settings.linesPerSecond,
        onLines: (lines) => this.#onLines(lines),
        onFault: (error) => void this.#close(error),
      })
      this.#trace = trace
      trace.start()
      const now = clock.mono()
      if (this.#tracedFrom !== undefined)
        this.collector.gap({ from: this.#readUntil, to: now, reason: 'the trace was not open', lost: 0 })
      this.#tracedFrom ??= now
      this.#readUntil = now
      this.#traceError = undefined
      log.info({ instance: settings.instance, folder: settings.tracing }, 'tracing')
    } catch (error) {
      if (!(error instanceof TracefsError)) throw error
      if (this.#traceError?.message !== error.message)
        log.error({ code: error.code, error: error.message }, 'cannot trace, trying again')
      this.#traceError = error
    }
  }

  async #close(error: TracefsError): Promise<void> {
    const trace = this.#trace
    this.#trace = undefined
    this.#traceError = error
    this.#options.log.error({ code: error.code, error: error.message }, 'the trace was lost, trying again')
    await trace?.stop().catch(() => {}) // It is in pieces already.
  }

  #onLines(lines: readonly TraceLine[]): void {
    this.collector.take(lines)
  }

  /** Reads what there is, and settles which processes have ended. Calls that come while one is under way share the next. */
  #catchUp(): Promise<Micros> {
    this.#nextCatchUp ??= this.#lastCatchUp.then(async () => {
      this.#nextCatchUp = undefined
      const asked = this.#options.clock.mono()
      const dead = this.#processes.dead()
      if (await this.#trace?.sync(CATCH_UP_MS)) {
        this.#readUntil = asked
        this.collector.settle(dead, asked)
      }
      return this.#readUntil
    })
    this.#lastCatchUp = this.#nextCatchUp
    return this.#nextCatchUp
  }

  #settleSoon(): void {
    if (this.#settling) return
    this.#settling = true
    this.#once(SETTLE_SOON_MS, async () => {
      this.#settling = false
      await this.#catchUp()
    })
  }

  #onPod(change: Change<NodePod>): void {
    const { object: pod, type } = change
    this.reporter.onPod(change)
    if (type === 'Deleted' || type === 'Vanished') {
      for (const { ids } of pod.statuses) for (const id of ids) this.#unseen.delete(rawId(id))
      return
    }
    for (const container of this.#processes.containersOf(pod.uid)) if (!container.sandbox) this.#processes.meet(container)
    const missing = pod.statuses.flatMap(({ running }) =>
      running === undefined || this.#processes.container(rawId(running)) !== undefined ? [] : [rawId(running)],
    )
    if (missing.length === 0) return
    for (const id of missing) if (!this.#unseen.has(id)) this.#unseen.set(id, this.#options.clock.mono())
    this.#search()
  }

  /** A container whose start the trace did not show: from before, or from while it was not open. */
  #search(): void {
    if (this.#searching) return
    this.#searching = true
    this.#once(SEARCH_MS, async () => {
      this.#searching = false
      await this.#processes.scan()
      for (const id of this.#unseen.keys()) if (this.#processes.container(id) !== undefined) this.#unseen.delete(id)
    })
  }

  async #tidy(): Promise<void> {
    const now = this.#options.clock.mono()
    await this.#processes.scan()
    const { lastAliveAt } = this.pods.stats
    const watched = lastAliveAt !== undefined && this.#options.clock.now() - lastAliveAt < KEEP
    this.#processes.tidy((container) => {
      if (this.reporter.wants(container)) return true
      // While the API server is away, nobody can tell whether the pod is ending.
      const kept = !watched || now - (this.#endedAt.get(container.id) ?? now) < KEEP
      if (!kept) {
        this.collector.forget(container.id)
        this.#endedAt.delete(container.id)
      }
      return kept
    })
    for (const id of this.#endedAt.keys()) if (this.#processes.container(id) === undefined) this.#endedAt.delete(id)
    this.#tellUnseen(now)
  }

  /** Kata, gVisor and the like keep their processes out of the node's kernel. Said once a runtime class. */
  #tellUnseen(now: Micros): void {
    for (const pod of this.pods.values()) {
      const runtimeClass = pod.runtimeClass ?? ''
      if (this.#toldClasses.has(runtimeClass) || pod.deletionTimestamp !== undefined) continue
      const id = pod.statuses.find(({ running }) => now - (this.#unseen.get(rawId(running ?? '')) ?? now) > UNSEEN)?.running
      if (id === undefined) continue
      this.#toldClasses.add(runtimeClass)
      this.#options.log.warn(
        { runtimeClass, namespace: pod.namespace, pod: pod.name, container: id },
        'containers of this runtime class have no process on the node: nothing can be measured of them',
      )
    }
  }

  /** Asks for little, just when the server's second turns, so that its Date header tells more than a second. */
  async #sampleClock(): Promise<void> {
    const { http, clock } = this.#options
    for (let count = 0; count < CLOCK_SAMPLES && !this.#stopping; count++) {
      const wait = (this.#apiClock.bisect(clock.now()) - clock.now()) / MILLISECOND
      await new Promise<void>((resolve) => this.#once(Math.max(0, wait), resolve))
      // What comes back is observed like every other answer; without one the bounds stay wide.
      await http.request({ method: 'GET', path: '/version', timeoutMs: 2000 }).catch(() => undefined)
    }
  }

  #once(ms: number, action: () => unknown): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#stopping) void this.#guarded(action)
    }, ms)
    this.#timers.add(timer)
  }

  #every(ms: number, action: () => unknown): void {
    this.#once(ms, async () => {
      await this.#guarded(action)
      if (!this.#stopping) this.#every(ms, action)
    })
  }

  /** What goes wrong in passing must not end the process, nor the next turn. */
  async #guarded(action: () => unknown): Promise<void> {
    try {
      await action()
    } catch (err) {
      this.#options.log.error({ err }, 'a recurring task failed')
    }
  }
}
