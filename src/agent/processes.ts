/**
 * Which process is whose. Kept ahead of the signals, because a killed process is gone before anybody can ask: at the start all of /proc
 * is looked through, and from then on the trace itself tells where to look, as each container and each exec ends with a runc whose
 * parent, the shim, now has a new child. What is still unknown when a signal names it is looked up then and there.
 */
import type { LookFact, Part, PidNamespace, ProcessView } from '../core/kernel/facts.ts'
import { type CgroupPlace, isDead, type ProcessStatus, type RuntimeName } from '../core/kernel/proc.ts'
import type { Micros } from '../core/time.ts'
import { IdCircle } from './id-circle.ts'
import type { Procfs } from './procfs.ts'

/** A process in a container. */
export interface Known {
  readonly pid: number
  readonly startTicks: number
  readonly parent: number
  readonly part: Part
  readonly container: ContainerEntry
  readonly comm: string
  /** When it became known, and when it was last seen to live. */
  readonly since: Micros
  aliveAt: Micros
}

export interface ContainerEntry {
  /** 64 hexadecimal digits. */
  readonly id: string
  /** As the cgroup has it. */
  readonly podUid: string
  readonly runtime?: RuntimeName
  /** The pause process of its pod, which no status names. */
  sandbox: boolean
  /** The shim, conmon, or what else its process is a child of; 0 while only processes below it are known. */
  shim: number
  pidNamespace: PidNamespace
  first?: Known
  /** Its process has ended, or is known to be gone. */
  ended: boolean
  metAt: Micros
}

/** Host: of the node, in no container. Gone: it is not there any more, or nobody can tell what it is going to be. */
export type Found = Known | 'Host' | 'Gone'

/** What makes containers and execs, and replaces itself by the program in the end. */
const HELPER = /^(runc|crun|youki)/
/** As such a helper can be called as well, having started itself anew from /proc/self/exe or from a file descriptor. */
const HELPER_ANEW = /^(exe|\d+)$/
const MAX_LOOKED_AT = 64
/** Of the tree of a container's processes, while some of them end. */
const MAX_WALKS = 3
const MEET_AGAIN: Micros = 5_000_000
/** Processes and containers that a node can have at once, with room to spare; beyond that the oldest are forgotten. */
const MAX_KNOWN = 65_536
const MAX_CONTAINERS = 8192
const MAX_THREADS = 32_768
/** Which parts of /proc are read between two looks at other work. */
const SCAN_STEP = 100
/** The kernel gives ids anew in a circle, so one that belonged to the node a moment ago still does. */
const HOST_FOR: Micros = 1_000_000
const MAX_HOSTS = 16_384
/** What is known is checked when so much of the circle of ids has been given. */
const CHECK_ROUND = 0.125
/** A parent that is ending hands its children on within microseconds. */
const PARENT_TRIES = 3

export class Processes {
  readonly #proc: Procfs
  readonly #mono: () => Micros
  readonly #onContainer: (container: ContainerEntry) => void
  readonly #onExec: (process: Known, notBefore: Micros) => void
  readonly #known = new Map<number, Known>()
  readonly #containers = new Map<string, ContainerEntry>()
  /** Threads of container processes, which can stand for them as the sender of their last signal. */
  readonly #threads = new Map<number, Known>()
  readonly #hosts = new Map<number, { readonly at: Micros; readonly startTicks: number }>()
  readonly ids: IdCircle
  /** How many processes had been started when all of what is known was last found to be there. */
  #checkedAt: number | undefined
  /** When the children of a shim were last read. */
  readonly #shims = new Map<number, Micros>()

  /**
   * @param on.container a container became known
   * @param on.exec a process was started in a container, at or after the time
   */
  constructor(
    proc: Procfs,
    mono: () => Micros,
    on: { container: (container: ContainerEntry) => void; exec: (process: Known, notBefore: Micros) => void },
  ) {
    this.#proc = proc
    this.#mono = mono
    this.#onContainer = on.container
    this.#onExec = on.exec
    this.ids = new IdCircle(proc, mono)
    this.#checkedAt = proc.started()
  }

  get size(): { readonly processes: number; readonly containers: number } {
    return { processes: this.#known.size, containers: this.#containers.size }
  }

  container(id: string): ContainerEntry | undefined {
    return this.#containers.get(id)
  }

  containersOf(podUid: string): ContainerEntry[] {
    return [...this.#containers.values()].filter((container) => container.podUid === podUid)
  }

  /** Looks through all of /proc, in steps so that signals are read in between. */
  async scan(): Promise<void> {
    let count = 0
    for (const pid of this.#proc.pids()) {
      if (!this.#known.has(pid)) this.#look(pid)
      if (++count % SCAN_STEP === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Whose this process is, by what is known of it, else by a look at it now. */
  find(pid: number): Found {
    const known = this.known(pid)
    if (known !== undefined) {
      const still = known.pid === pid ? this.#isStill(known) : this.#isThreadOf(known, pid)
      if (still === 'Gone' || still === 'Still') return still === 'Still' ? known : 'Gone'
    }
    const host = this.#hosts.get(pid)
    if (host !== undefined && this.#mono() - host.at < HOST_FOR) {
      const stat = this.#proc.stat(pid)
      if (stat === undefined || stat.startTicks === host.startTicks) return 'Host'
    }
    return this.#look(pid)
  }

  /** No other container of the pod has its PID namespace: an ephemeral container can have been put into it. */
  ownsNamespace(container: ContainerEntry): boolean {
    if (container.pidNamespace !== 'Container') return false
    return this.containersOf(container.podUid).every((other) => other === container || other.pidNamespace !== 'Pod')
  }

  /** The pod whose containers are children of this shim; undefined where that is not one and the same. */
  podOfShim(shim: number): string | undefined {
    const pods = new Set([...this.#containers.values()].filter((one) => one.shim === shim).map(({ podUid }) => podUid))
    const [pod] = pods
    return pods.size === 1 ? pod : undefined
  }

  /** Without a look at /proc. */
  known(pid: number): Known | undefined {
    return this.#known.get(pid) ?? this.#threads.get(pid)
  }

  /** Whether find() answers without a look at what nobody knew. */
  remembers(pid: number): boolean {
    const host = this.#hosts.get(pid)
    return this.known(pid) !== undefined || (host !== undefined && this.#mono() - host.at < HOST_FOR)
  }

  isShim(pid: number): boolean {
    return this.#shims.has(pid)
  }

  /** The shim that this is, or is a thread of: the kernel tells the thread that has started a process of its end. Else the id itself. */
  shimOf(pid: number): number {
    if (this.#shims.has(pid)) return pid
    const tgid = this.#proc.status(pid)?.tgid
    return tgid !== undefined && this.#shims.has(tgid) ? tgid : pid
  }

  /** A runtime's helper has ended and its shim was told: perhaps the shim has a new child. */
  lookBelow(shim: number): void {
    const before = this.#shims.get(shim) ?? 0
    const now = this.#mono()
    for (const pid of this.#proc.children(shim)) {
      if (this.#known.has(pid)) continue
      const found = this.#look(pid)
      if (typeof found !== 'string' && found.part === 'Exec') this.#onExec(found, before)
    }
    if (this.#shims.has(shim)) this.#shims.set(shim, now)
  }

  /** Processes that shims wait for, that have ended and whose end is not known yet. */
  dead(): Known[] {
    if (this.ids.round(this.#checkedAt) > CHECK_ROUND) this.#check()
    const now = this.#mono()
    const gone: Known[] = []
    for (const known of this.#known.values()) {
      if (known.part !== 'First' && known.part !== 'Exec') continue
      const stat = this.#proc.stat(known.pid)
      const there = stat !== undefined && stat.startTicks === known.startTicks
      // A main thread that has ended alone waits for the others: the process has not.
      if (there && (!isDead(stat.state) || this.#proc.threads(known.pid).length > 1)) known.aliveAt = now
      else gone.push(known)
    }
    return gone
  }

  /**
   * The container process and those below it, parents first; how many there were beyond what is looked at; and whether the kernel may
   * have been taking them away meanwhile, as it does while the first process of a PID namespace ends.
   */
  look(container: ContainerEntry): Pick<LookFact, 'processes' | 'more' | 'partial'> {
    const { first } = container
    if (first === undefined) return { processes: [], more: 0 }
    const now = this.#mono()
    this.#noteThreads(first)
    const processes: ProcessView[] = []
    const nsPids = new Map<number, number>()
    const asked = new Set([first.pid])
    const queue = [first.pid]
    const follow = (pid: number) => {
      const children = this.#proc.children(pid).filter((child) => !asked.has(child))
      for (const child of children) asked.add(child)
      queue.push(...children)
    }
    for (let walks = 1; ; walks++) {
      let ended = false
      for (let next = queue.shift(); next !== undefined && processes.length < MAX_LOOKED_AT; next = queue.shift()) {
        const view = this.#view(next, container, nsPids)
        if (view === undefined) {
          ended = true
          continue
        }
        if (next === first.pid) first.aliveAt = Math.max(first.aliveAt, now)
        processes.push(view)
        follow(next)
      }
      // The children of one that ends go to one that was asked for its own before (kernel/exit.c, forget_original_parent).
      ended ||= processes.some(({ pid }) => pid !== first.pid && (this.#proc.stat(pid)?.exiting ?? true))
      if (!ended || queue.length > 0 || walks === MAX_WALKS) break
      for (const { pid } of [...processes]) follow(pid)
      if (queue.length === 0) break
    }
    return { processes, more: queue.length, ...(this.#isEnding(first.pid) ? { partial: true } : {}) }
  }

  /**
   * Has the processes below be known before anybody sends them a signal: one that is killed may be gone when the trace is read. Of a
   * container that this is asked for time and again, as its pod changes, not each time.
   */
  meet(container: ContainerEntry): void {
    const now = this.#mono()
    if (container.ended || now - container.metAt < MEET_AGAIN) return
    container.metAt = now
    this.look(container)
  }

  /** No thread of it goes on. */
  #isEnding(pid: number): boolean {
    return this.#proc.threads(pid).every((thread) => this.#proc.stat(thread)?.exiting ?? true)
  }

  /** Its parent was told of its end. */
  ended(known: Known): void {
    if (known.part === 'First') known.container.ended = true
    this.#forget(known)
  }

  /** Takes out what has ended: processes that are gone, containers that `keep` does not want. */
  tidy(keep: (container: ContainerEntry) => boolean): void {
    this.#check()
    const inUse = new Set([...this.#known.values()].map(({ container }) => container))
    for (const container of [...this.#containers.values()]) {
      // Of one whose container process was never seen, what was seen below it is gone.
      const over = container.ended || (container.first === undefined && !inUse.has(container))
      if (!over || keep(container)) continue
      this.#containers.delete(container.id)
      if (container.first !== undefined) this.#forget(container.first)
    }
    for (const shim of this.#shims.keys()) if (this.#proc.stat(shim) === undefined) this.#shims.delete(shim)
    this.#hosts.clear()
  }

  #forget(known: Known): void {
    if (this.#known.get(known.pid) === known) this.#known.delete(known.pid)
    for (const [thread, owner] of this.#threads) if (owner === known) this.#threads.delete(thread)
  }

  /** Another: the id is another process's by now. Gone: the one that had it is gone, and it may not be the one that is known. */
  #isStill(known: Known): 'Still' | 'Another' | 'Gone' {
    const stat = this.#proc.stat(known.pid)
    // A shim is told of the ends of its children before they give their ids away, and then they are forgotten here.
    if (stat === undefined) return known.part === 'Below' && this.#hasGoneRound() ? 'Gone' : 'Still'
    if (stat.startTicks === known.startTicks) return 'Still'
    this.#forget(known)
    return 'Another'
  }

  #isThreadOf(owner: Known, thread: number): 'Still' | 'Another' | 'Gone' {
    const status = this.#proc.status(thread)
    if (status === undefined) return this.#hasGoneRound() ? 'Gone' : 'Still'
    if (status.tgid === owner.pid && this.#isStill(owner) === 'Still') return 'Still'
    this.#threads.delete(thread)
    return 'Another'
  }

  /** Whether an id can have been given anew since all that is known was last found to be there. */
  #hasGoneRound(): boolean {
    return this.ids.mayBeAnew(this.#checkedAt)
  }

  /** Forgets processes below and threads that are gone. */
  #check(): void {
    const started = this.#proc.started()
    for (const known of [...this.#known.values()]) {
      if (known.part === 'Below' && this.#proc.stat(known.pid)?.startTicks !== known.startTicks) this.#forget(known)
    }
    for (const [thread, owner] of this.#threads) {
      if (this.#proc.status(thread)?.tgid !== owner.pid) this.#threads.delete(thread)
    }
    this.#checkedAt = started
  }

  #look(pid: number): Found {
    const place = this.#proc.place(pid)
    if (place === 'Gone') return 'Gone'
    if (place === undefined) {
      this.#noteHost(pid)
      return 'Host'
    }
    const status = this.#proc.status(pid)
    if (status === undefined) return 'Gone'
    if (status.tgid !== pid) return this.#lookAtThread(pid, status)
    const stat = this.#proc.stat(pid)
    const comm = this.#proc.comm(pid)
    if (stat === undefined || comm === undefined) return 'Gone'
    return this.#learn(pid, status, stat.startTicks, comm, place)
  }

  /** Not of a process that a runtime has just started: that will be in a container when it is ready. */
  #noteHost(pid: number): void {
    const stat = this.#proc.stat(pid)
    if (stat === undefined || this.#isHelper(pid) || this.#isHelper(stat.parent)) return
    if (this.#hosts.size >= MAX_HOSTS) this.#hosts.clear()
    this.#hosts.set(pid, { at: this.#mono(), startTicks: stat.startTicks })
  }

  #isHelper(pid: number): boolean {
    const comm = this.#proc.comm(pid)
    return comm !== undefined && (HELPER.test(comm) || HELPER_ANEW.test(comm))
  }

  #lookAtThread(thread: number, { tgid }: ProcessStatus): Found {
    const owner = this.find(tgid)
    if (typeof owner !== 'string') this.#threads.set(thread, owner)
    return owner
  }

  #learn(pid: number, status: ProcessStatus, startTicks: number, comm: string, place: CgroupPlace): Found {
    const { nsPids } = status
    let { parent } = status
    let parentPlace = this.#proc.place(parent)
    // Children of a process that is ending get another parent; of that one nobody could say where it is.
    for (let tries = 1; parentPlace === 'Gone' && tries < PARENT_TRIES; tries++) {
      const again = this.#proc.status(pid)
      if (again === undefined) return 'Gone'
      parent = again.parent
      parentPlace = this.#proc.place(parent)
    }
    if (parentPlace === 'Gone') return 'Gone'
    const below = typeof parentPlace === 'object'
    const isInit = nsPids.length > 1 && nsPids.at(-1) === 1
    const now = this.#mono()
    const known = (part: Part, container: ContainerEntry): Known => ({
      pid,
      startTicks,
      parent,
      part,
      container,
      comm,
      since: now,
      aliveAt: now,
    })
    if (!below && HELPER.test(this.#proc.comm(parent) ?? '')) {
      // While a container or an exec is being made, children of runc's own stand in its cgroup; what stays is the shim's in the end. One that
      // has another name is the program of an exec already.
      const there = this.#containers.get(place.containerId)
      return there === undefined || isInit || HELPER.test(comm) || HELPER_ANEW.test(comm) ? 'Gone' : known('Exec', there)
    }
    const container = this.#containerOf(place, parent, below)
    const found = known(
      below ? 'Below' : isInit || this.#isOldest(pid, startTicks, parent, container) ? 'First' : 'Exec',
      container,
    )
    if (found.part === 'First') this.#setFirst(container, found, nsPids)
    if (this.#known.size >= MAX_KNOWN) this.#dropOldest(this.#known)
    this.#known.set(pid, found)
    if (found.part === 'Exec' || found.part === 'First') this.#shims.set(parent, this.#shims.get(parent) ?? this.#mono())
    return found
  }

  /** In the PID namespace of the pod or the node: of the shim's children in this cgroup the oldest is the container process. */
  #isOldest(pid: number, startTicks: number, shim: number, { id, first }: ContainerEntry): boolean {
    if (first !== undefined) return first.pid === pid || startTicks < first.startTicks
    return this.#proc.children(shim).every((other) => {
      if (other === pid) return true
      const place = this.#proc.place(other)
      if (typeof place !== 'object' || place.containerId !== id) return true
      const ticks = this.#proc.stat(other)?.startTicks
      return ticks === undefined || ticks > startTicks || (ticks === startTicks && other > pid)
    })
  }

  #setFirst(container: ContainerEntry, first: Known, nsPids: readonly number[]): void {
    const before = container.first
    container.first = first
    if (container.shim === 0) container.sandbox = this.#isSandbox(first.parent, container.id)
    container.shim = first.parent
    container.pidNamespace = nsPids.length === 1 ? 'Node' : nsPids.at(-1) === 1 ? 'Container' : 'Pod'
    if (before !== undefined && before.pid !== first.pid) this.#known.set(before.pid, { ...before, part: 'Exec' })
    this.#noteThreads(first)
  }

  #noteThreads(process: Known): void {
    for (const thread of this.#proc.threads(process.pid)) {
      if (thread === process.pid) continue
      if (this.#threads.size >= MAX_THREADS) this.#dropOldest(this.#threads)
      this.#threads.set(thread, process)
    }
  }

  #containerOf(place: CgroupPlace, parent: number, below: boolean): ContainerEntry {
    const there = this.#containers.get(place.containerId)
    if (there !== undefined) return there
    const container: ContainerEntry = {
      id: place.containerId,
      podUid: place.podUid,
      ...(place.runtime === undefined ? {} : { runtime: place.runtime }),
      sandbox: !below && this.#isSandbox(parent, place.containerId),
      shim: below ? 0 : parent,
      pidNamespace: 'Unknown',
      ended: false,
      metAt: Number.NEGATIVE_INFINITY,
    }
    if (this.#containers.size >= MAX_CONTAINERS) this.#dropOldest(this.#containers)
    this.#containers.set(container.id, container)
    this.#onContainer(container)
    // The one that was found first may be a process below; its ancestors are there as well.
    if (below) this.find(parent)
    return container
  }

  /** A shim is named after its pod's sandbox (-id); conmon says what its container is to the kubelet (-n k8s_POD_…). */
  #isSandbox(shim: number, containerId: string): boolean {
    const words = this.#proc.arguments(shim)
    const after = (flag: string) => words[words.indexOf(flag) + 1]
    if (words.includes('-id')) return after('-id') === containerId && !words.some((word) => word.includes('moby'))
    return words.includes('-n') && after('-n')?.startsWith('k8s_POD_') === true
  }

  #view(pid: number, container: ContainerEntry, nsPids: Map<number, number>): ProcessView | undefined {
    const status = this.#proc.status(pid)
    const comm = this.#proc.comm(pid)
    if (status === undefined || comm === undefined || isDead(status.state)) return undefined
    const found = this.find(pid)
    const startTicks = typeof found === 'object' ? found.startTicks : this.#proc.stat(pid)?.startTicks
    if (startTicks === undefined) return undefined
    const isFirst = container.first?.pid === pid
    const nsPid = status.nsPids.at(-1) ?? 0
    nsPids.set(pid, nsPid)
    const argv0 = isFirst ? this.#proc.argv0(pid) : undefined
    return {
      pid,
      nsPid,
      nsParent: isFirst ? 0 : (nsPids.get(status.parent) ?? 0),
      part: isFirst ? 'First' : typeof found === 'string' ? 'Below' : found.part,
      comm,
      ...(argv0 === undefined ? {} : { argv0 }),
      startedBefore: this.#proc.monoOfTick(startTicks + 1),
      signals: status.signals,
    }
  }

  #dropOldest<K>(map: Map<K, unknown>): void {
    for (const key of map.keys()) {
      map.delete(key)
      return
    }
  }
}
