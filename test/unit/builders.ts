/**
 * The story of one pod's end, told by a test: what the API server, the kubelet and the endpoints controller wrote, when they wrote it
 * (seconds of true time, 0 being whatever the test calls so), and when it reached the recorder. The recorder's clock is true; the
 * node's and the API server's can be off. Steps are told in the order in which they were written, as resourceVersions count them.
 */
import type { PodTermination } from '../../src/api/pod-termination.ts'
import type {
  ChangeType,
  ContainerRole,
  ContainerSpec,
  ContainerStatus,
  EndpointFact,
  EventSnapshot,
  Fact,
  PodCondition,
  PodSnapshot,
  PreStopHandler,
} from '../../src/core/evidence.ts'
import { assemble } from '../../src/core/termination/index.ts'
import { formatTime, type Micros, parseTime, SECOND } from '../../src/core/time.ts'

/** True time 0: not on a whole second, as floors would not show. */
export const EPOCH: Micros = parseTime('2026-03-01T12:00:00.4Z') ?? 0
export const UID = '84b61cdb-3b4f-4c1e-9d3a-5a3f4c2b1a09'
const DELIVERY = 0.005

export const micros = (seconds: number): Micros => EPOCH + Math.round(seconds * SECOND)

/** A time of a record, back in seconds of true time. */
export const secondsOf = (text: string | undefined): number => ((parseTime(text) ?? Number.NaN) - EPOCH) / SECOND

export interface ContainerOptions {
  readonly name: string
  readonly role?: ContainerRole
  readonly preStop?: { readonly handler: PreStopHandler; readonly seconds?: number }
  readonly stopSignal?: string
}

export interface PodOptions {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly grace?: number
  readonly restartPolicy?: string
  /** null: never scheduled. */
  readonly node?: string | null
  readonly containers?: readonly (string | ContainerOptions)[]
  readonly finalizers?: readonly string[]
  readonly volumes?: number
  readonly activeDeadlineSeconds?: number
  readonly mirror?: boolean
  readonly owner?: PodSnapshot['owner']
}

/** When a step was written, and when it reached the recorder (5 ms later unless told). */
export interface When {
  readonly at: number
  readonly arrives?: number
}

/** One thing that reached the recorder, with the time at which it was written. */
export interface Delivery {
  readonly stream: 'Pod' | 'Event' | 'EndpointSlice'
  readonly writtenAt: Micros
  readonly fact: Extract<Fact, { type: 'Pod' | 'Event' | 'Endpoint' }>
}

const floorText = (at: Micros): string => `${formatTime(at).slice(0, 19)}Z`

export class PodStory {
  readonly deliveries: Delivery[] = []
  readonly #others: Fact[] = []
  readonly #statuses = new Map<string, ContainerStatus>()
  readonly #started = new Map<string, string>()
  readonly #combined = new Map<string, { name: string; uid: string; first: string; count: number }>()
  #conditions: PodCondition[] = []
  #pod: PodSnapshot
  /** Just before the number of digits changes: versions are compared as numbers, not as texts. */
  #version = 985
  #event = 0
  #api = 0
  #node = 0
  #knowsGeneration = true

  constructor(options: PodOptions = {}) {
    const containers = (options.containers ?? ['app']).map((item): ContainerSpec => {
      const { name, role = 'Main', preStop, stopSignal } = typeof item === 'string' ? { name: item } : item
      return { name, role, ...(preStop === undefined ? {} : { preStop }), ...(stopSignal === undefined ? {} : { stopSignal }) }
    })
    this.#pod = {
      uid: options.uid ?? UID,
      namespace: options.namespace ?? 'shop',
      name: options.name ?? 'web-7d4b9c-x2x9k',
      resourceVersion: '0',
      generation: 1,
      finalizers: options.finalizers ?? [],
      ...(options.owner === undefined ? {} : { owner: options.owner }),
      ...(options.mirror === true ? { mirror: true as const } : {}),
      ...(options.node === null ? {} : { nodeName: options.node ?? 'node-1' }),
      restartPolicy: options.restartPolicy ?? 'Always',
      graceSeconds: options.grace ?? 30,
      ...(options.activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds: options.activeDeadlineSeconds }),
      volumeCount: options.volumes ?? 1,
      containers,
      phase: 'Pending',
      observedGeneration: 1,
      conditions: [],
      statuses: [],
    }
    this.createdAt(-3600)
  }

  // --- clocks

  /** How far the clocks are ahead of the recorder's, in seconds. Told before any step that shows one of them. */
  clocks({ api = 0, node = 0 }: { api?: number; node?: number }): this {
    this.#api = Math.round(api * SECOND)
    this.#node = Math.round(node * SECOND)
    return this.createdAt(-3600)
  }

  /** The recorder has compared a clock: it knows the offset to lie so many seconds below and above the true one. */
  compared(clock: 'APIServer' | 'Node', below = 0.01, above = 0.01): this {
    const offset = clock === 'Node' ? this.#node : this.#api
    return this.also({
      type: 'Clock',
      clock,
      earliest: offset - Math.round(below * SECOND),
      latest: offset + Math.round(above * SECOND),
    })
  }

  nodeTime(at: number): Micros {
    return micros(at) + this.#node
  }

  recorderTime(at: number): Micros {
    return micros(at)
  }

  apiTime(at: number): Micros {
    return micros(at) + this.#api
  }

  // --- the pod before its end

  createdAt(at: number): this {
    return this.#set({ creationTimestamp: floorText(this.apiTime(at)) })
  }

  /** A kubelet older than 1.34. */
  withoutObservedGeneration(): this {
    this.#knowsGeneration = false
    const { observedGeneration: _, ...pod } = this.#pod
    this.#pod = pod
    return this
  }

  /** These containers run (all but init and ephemeral ones, unless named). */
  running(names: readonly string[] = this.#long(), { since = -3600, restarts = 0 } = {}): this {
    for (const name of names) {
      const startedAt = floorText(this.nodeTime(since))
      this.#started.set(name, startedAt)
      this.#statuses.set(name, { name, restartCount: restarts, running: { startedAt } })
    }
    return this.#set({ phase: 'Running', startTime: floorText(this.nodeTime(since)) })
  }

  /** It waits for its first start, or after a crash (then with the state it had). */
  waiting(name: string, reason: string, after?: { at: number; code: number; reason?: string; restarts?: number }): this {
    const lastTerminated =
      after === undefined ? undefined : this.#terminated(name, after.at, after.code, after.reason, after.at - 60)
    this.#statuses.set(name, {
      name,
      restartCount: after?.restarts ?? 0,
      waiting: { reason },
      ...(lastTerminated === undefined ? {} : { lastTerminated }),
    })
    return this
  }

  /** It ended, though the API does not say so before the next reported(). */
  exited(name: string, { at, code = 0, reason }: { at: number; code?: number; reason?: string }): this {
    const before = this.#statuses.get(name)
    this.#statuses.set(name, {
      name,
      restartCount: before?.restartCount ?? 0,
      ...(before?.stopSignal === undefined ? {} : { stopSignal: before.stopSignal }),
      terminated: this.#terminated(name, at, code, reason),
    })
    return this
  }

  /** The kubelet lost it: code 137 (or 255 by containerd), and no times. */
  lost(name: string, { code = 137, reason = 'ContainerStatusUnknown' } = {}): this {
    const restartCount = this.#statuses.get(name)?.restartCount ?? 0
    this.#statuses.set(name, { name, restartCount, terminated: { exitCode: code, reason } })
    return this
  }

  stopSignalOf(name: string, stopSignal: string): this {
    const before = this.#statuses.get(name) ?? { name, restartCount: 0 }
    this.#statuses.set(name, { ...before, stopSignal })
    return this
  }

  condition(
    type: string,
    reason: string | undefined,
    { at, status = 'True', message }: { at: number; status?: string; message?: string },
  ): this {
    this.#conditions = [
      ...this.#conditions.filter((item) => item.type !== type),
      {
        type,
        status,
        ...(reason === undefined ? {} : { reason }),
        ...(message === undefined ? {} : { message }),
        lastTransitionTime: floorText(this.apiTime(at)),
      },
    ]
    return this
  }

  phase(phase: string, reason?: string, message?: string): this {
    return this.#set({ phase, ...(reason === undefined ? {} : { reason }), ...(message === undefined ? {} : { message }) })
  }

  /** The recorder sees the pod for the first time, alive. */
  seen(when: When = { at: -60 }): this {
    return this.#write('Added', when)
  }

  // --- its end

  /** The API server takes a delete. Of a pod that is already being deleted only a shorter grace period counts (registry/rest). */
  deleted({ grace = this.#pod.graceSeconds, ...when }: When & { grace?: number }): this {
    const now = this.apiTime(when.at)
    const due = parseTime(this.#pod.deletionTimestamp)
    const before = this.#pod.deletionGracePeriodSeconds
    if (due === undefined || before === undefined) {
      return this.#set({
        deletionTimestamp: floorText(now + grace * SECOND),
        deletionGracePeriodSeconds: grace,
        generation: (this.#pod.generation ?? 1) + 1,
      }).#write('Modified', when)
    }
    if (grace >= before) return this
    const moved = due - before * SECOND + grace * SECOND
    return this.#set({
      deletionTimestamp: floorText(Math.max(moved, now)),
      deletionGracePeriodSeconds: moved < now && grace !== 0 ? 1 : grace,
    }).#write('Modified', when)
  }

  /** The kubelet's first status after the delete: it has taken it in. */
  acknowledged(when: When): this {
    if (!this.#knowsGeneration) return this
    return this.#set({ observedGeneration: this.#pod.generation ?? 1 }).#write('Modified', when)
  }

  /** The kubelet writes what it knows: the states of the containers, and a phase. */
  reported({ phase, ...when }: When & { phase?: string }): this {
    if (phase !== undefined) this.#set({ phase })
    if (this.#knowsGeneration) this.#set({ observedGeneration: this.#pod.generation ?? 1 })
    return this.#write('Modified', when)
  }

  /** The last DELETE with grace 0 (the kubelet's, or anybody's): the object is marked so, and goes unless a finalizer holds it. */
  removed(when: When): this {
    this.deleted({ ...when, grace: 0 })
    if (this.#pod.finalizers.length > 0) return this
    return this.gone({ at: when.at + 0.003, ...(when.arrives === undefined ? {} : { arrives: when.arrives + 0.003 }) })
  }

  gone(when: When): this {
    return this.#write('Deleted', when)
  }

  released(when: When): this {
    return this.#set({ finalizers: [] }).#write('Modified', when)
  }

  // --- how the recorder came to it

  /** What these steps write nobody sees. */
  unseen(steps: () => unknown): this {
    const seen = this.deliveries.length
    steps()
    this.deliveries.splice(seen)
    return this
  }

  /** The recorder finds the pod in a list. */
  listed({ since, ...when }: When & { since?: number }): this {
    return this.#write('Listed', when, since)
  }

  /** A list has it no more; what was told since the last step that arrived was not seen. */
  vanished({ since, ...when }: When & { since?: number }): this {
    const last = this.deliveries.filter(({ stream }) => stream === 'Pod').at(-1)
    if (last?.fact.type !== 'Pod') throw new Error('nobody has seen this pod')
    return this.#deliver('Pod', when, {
      type: 'Pod',
      change: 'Vanished',
      arrivedAt: micros(when.arrives ?? when.at),
      ...(since === undefined ? {} : { since: micros(since) }),
      pod: last.fact.pod,
    })
  }

  absent(at: number): this {
    const { namespace, name, uid } = this.#pod
    return this.also({ type: 'Absent', arrivedAt: micros(at), pod: { namespace, name, uid } })
  }

  gap(resource: 'Pod' | 'Event' | 'EndpointSlice', from: number, to: number, reason = 'the controller was not running'): this {
    return this.also({ type: 'Gap', resource, from: micros(from), to: micros(to), reason })
  }

  workload(kind: string, name: string): this {
    return this.also({ type: 'Workload', workload: { kind, name } })
  }

  nodeIs(ready: 'True' | 'False' | 'Unknown' | 'gone', at: number): this {
    return this.also({
      type: 'Node',
      arrivedAt: micros(at),
      node: this.#pod.nodeName ?? '',
      exists: ready !== 'gone',
      ...(ready === 'gone' ? {} : { ready }),
    })
  }

  also(fact: Fact): this {
    this.#others.push(fact)
    return this
  }

  // --- the kubelet's Events

  /** "Stopping container X"; `said` at (made) and written then unless `at` of the write differs. */
  killing(container: string, options: When & { written?: number; listed?: boolean; message?: string }): this {
    return this.event('Killing', container, { ...options, message: options.message ?? `Stopping container ${container}` })
  }

  preStopFailed(container: string, options: When & { written?: number; listed?: boolean }): this {
    return this.event('FailedPreStopHook', container, { ...options, message: 'PreStopHook failed' })
  }

  /**
   * A new Event. `at` is when the kubelet made it, `written` when the API server had it.
   *
   * @param options.again a version of the Event of that name: the same occurrence counted once more
   */
  event(
    reason: string,
    container: string,
    options: When & { written?: number; message: string; listed?: boolean; again?: boolean; combined?: boolean },
  ): this {
    const now = this.nodeTime(options.at)
    const key = options.combined === true ? reason : `${reason}/${container}`
    const known = options.again === true || options.combined === true ? this.#combined.get(key) : undefined
    const made = known ?? {
      name: `${this.#pod.name}.${(BigInt(now) * 1000n + 123n + BigInt(this.#event)).toString(16)}`,
      uid: `event-${this.#event++}`,
      first: floorText(now),
      count: 0,
    }
    const entry = { ...made, count: made.count + 1 }
    this.#combined.set(key, entry)
    const { namespace, name, uid } = this.#pod
    const event: EventSnapshot = {
      uid: entry.uid,
      resourceVersion: this.#next(),
      namespace,
      name: entry.name,
      reason,
      eventType: reason === 'Killing' ? 'Normal' : 'Warning',
      message: options.combined === true ? `(combined from similar events): ${options.message}` : options.message,
      count: entry.count,
      firstTimestamp: entry.first,
      lastTimestamp: floorText(now),
      component: 'kubelet',
      host: this.#pod.nodeName ?? '',
      pod: { namespace, name, uid },
      container,
    }
    const writtenAt = options.written ?? options.at
    const arrives = options.arrives ?? writtenAt + DELIVERY
    return this.#deliver(
      'Event',
      { at: writtenAt, arrives },
      {
        type: 'Event',
        arrivedAt: micros(arrives),
        listed: options.listed ?? false,
        event,
      },
    )
  }

  // --- its Services

  /** The state of the pod in one slice of a Service. `before`: how it stood long ago, when nobody counted. */
  endpoint(
    service: string,
    state:
      | 'ready'
      | 'terminating'
      | 'unready'
      | 'failing'
      | 'published'
      | 'gone'
      | Pick<EndpointFact, 'present' | 'ready' | 'serving' | 'terminating'>,
    when: When | 'before',
    { slice = `${service}-slice`, listed = false, since }: { slice?: string; listed?: boolean; since?: number } = {},
  ): this {
    const at = when === 'before' ? -3600 : when.at
    const arrives = when === 'before' ? undefined : (when.arrives ?? when.at + DELIVERY)
    return this.#deliver(
      'EndpointSlice',
      { at, ...(arrives === undefined ? {} : { arrives }) },
      {
        type: 'Endpoint',
        arrivedAt: arrives === undefined ? 0 : micros(arrives),
        listed: listed || when === 'before',
        ...(since === undefined ? {} : { since: micros(since) }),
        service,
        slice,
        sliceVersion: this.#next(),
        ...(typeof state === 'string' ? ENDPOINT[state] : state),
      },
    )
  }

  // --- what came of it

  facts(): Fact[] {
    return [...this.#others, ...this.deliveries.map(({ fact }) => fact)]
  }

  others(): readonly Fact[] {
    return this.#others
  }

  /** @param now seconds; default a little after the last delivery */
  assembled(now?: number): PodTermination | undefined {
    const last = Math.max(0, ...this.deliveries.map(({ fact }) => fact.arrivedAt))
    return assemble(this.facts(), now === undefined ? last + SECOND : micros(now))
  }

  record(now?: number): PodTermination {
    const record = this.assembled(now)
    if (record === undefined) throw new Error('no record came of these facts')
    return record
  }

  get pod(): PodSnapshot {
    return this.#snapshot()
  }

  #long(): string[] {
    return this.#pod.containers.filter(({ role }) => role === 'Main' || role === 'Sidecar').map(({ name }) => name)
  }

  #terminated(name: string, at: number, code: number, reason?: string, since?: number) {
    return {
      exitCode: code,
      reason: reason ?? (code === 0 ? 'Completed' : 'Error'),
      startedAt:
        since === undefined ? (this.#started.get(name) ?? floorText(this.nodeTime(-3600))) : floorText(this.nodeTime(since)),
      finishedAt: floorText(this.nodeTime(at)),
    }
  }

  #set(change: Partial<PodSnapshot>): this {
    this.#pod = { ...this.#pod, ...change }
    return this
  }

  #next(): string {
    return String(this.#version++)
  }

  #snapshot(): PodSnapshot {
    const statuses = this.#pod.containers.flatMap(({ name }) => this.#statuses.get(name) ?? [])
    return { ...this.#pod, conditions: this.#conditions, statuses }
  }

  #write(change: ChangeType, when: When, since?: number): this {
    const arrives = when.arrives ?? when.at + DELIVERY
    return this.#deliver(
      'Pod',
      { at: when.at, arrives },
      {
        type: 'Pod',
        change,
        arrivedAt: micros(arrives),
        ...(since === undefined ? {} : { since: micros(since) }),
        pod: { ...this.#snapshot(), resourceVersion: this.#next() },
      },
    )
  }

  #deliver(stream: Delivery['stream'], when: When, fact: Delivery['fact']): this {
    this.deliveries.push({ stream, writtenAt: micros(when.at), fact })
    return this
  }
}

const ENDPOINT = {
  ready: { present: true, ready: true, serving: true, terminating: false },
  terminating: { present: true, ready: false, serving: true, terminating: true },
  unready: { present: true, ready: false, serving: false, terminating: false },
  failing: { present: true, ready: false, serving: false, terminating: true },
  /** publishNotReadyAddresses: ready whatever the pod says. */
  published: { present: true, ready: true, serving: true, terminating: true },
  gone: { present: false, ready: false, serving: false, terminating: false },
} as const

export const aPod = (options: PodOptions = {}): PodStory => new PodStory(options)
