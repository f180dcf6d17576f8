/** From lines of the trace to facts of containers: who sent what to whom, who ended, what was lost on the way. */
import {
  type ContainerEvidence,
  type ContainerFact,
  isRuntimeCommand,
  isRuntimeName,
  type Sender,
  type SignalFact,
  type TraceGap,
} from '../core/kernel/facts.ts'
import type { SignalLine, ThreadExitLine, TraceLine } from '../core/kernel/parse.ts'
import { SIGCHLD, SIGKILL } from '../core/kernel/signals.ts'
import type { Micros } from '../core/time.ts'
import type { Log } from '../kube/log.ts'
import type { ContainerEntry, Found, Known, Processes } from './processes.ts'
import type { Procfs } from './procfs.ts'

export interface CollectorOptions {
  readonly proc: Procfs
  readonly processes: Processes
  readonly mono: () => Micros
  readonly log: Log
  /** Something became known of a container of this pod (UID as its cgroup has it). */
  readonly onFact: (podUid: string, container: ContainerEntry) => void
  /** A child of this shim has ended, and it takes settle() to tell which. */
  readonly onUnknownEnd: (shim: number) => void
}

export interface CollectorStats {
  readonly signals: number
  readonly exits: number
  readonly malformed: number
  readonly lost: number
  /** Signals whose receiver was not looked up, for too many came at once. */
  readonly notLookedUp: number
  /** Facts and containers that there was no room for. */
  readonly dropped: number
  readonly containers: number
}

interface ContainerRecord {
  readonly facts: ContainerFact[]
  dropped: number
  /** Changes with every fact, and with what becomes known of one. */
  version: number
  /** Of the last look. */
  lookedAt: Micros
}

interface GoneSender {
  readonly sender: Sender
  readonly container: ContainerEntry
  readonly mono: Micros
  /** How many processes had been started by then. */
  readonly started: number | undefined
}

interface ThreadEnd {
  readonly line: ThreadExitLine
  readonly started: number | undefined
}

const MAX_FACTS = 512
const MAX_RECORDS = 4096
const MAX_GAPS = 256
const MAX_SENDERS = 1024
/** Looks at processes that nobody knew yet: in a second, averaged, and at once. */
const LOOKUPS_PER_SECOND = 1000
const LOOKUPS_AT_ONCE = 4000
/** Refusals that are no further apart are told as one gap. */
const SAME_FLOOD: Micros = 1_000_000
/** A look that is younger says what a new one would. */
const LOOK_AGAIN: Micros = 2_000_000
const MAX_MALFORMED_SHOWN = 5
const MAX_ENDS = 64
const MAX_THREAD_ENDS = 4096
const SI_KERNEL = 128
/** Who waits for containers and for the runtime's commands, by the names that the trace's filter has. */
const RUNTIME_PARENT = /^(containerd-shim|conmon|crio)/
const RUNTIME_DAEMON = /^crio/
/** From the signal that a command of the runtime sends to its own end. */
const COMMAND_TAKES: Micros = 1_000_000

/** si_code of SIGCHLD; undefined where the process was only stopped or went on. */
const endOf = (code: number) => (['Exited', 'Killed', 'Dumped'] as const)[code - 1]

export class Collector {
  readonly #options: CollectorOptions
  readonly #records = new Map<string, ContainerRecord>()
  /** Senders that were gone before they could be looked at, and by when: their ends may tell. */
  #senders: GoneSender[] = []
  /** Of the last threads of the runtime's commands, by their ids. */
  readonly #threadEnds = new Map<number, ThreadEnd>()
  /** Ends that were told to a shim of something that nobody knew, by the shim. */
  readonly #ends = new Map<number, SignalLine[]>()
  /** Dead, and nothing told of it yet. */
  #missing: ReadonlySet<Known> = new Set()
  readonly #gaps: TraceGap[] = []
  /** Per CPU the time of the last line, and how many were lost since. */
  readonly #last = new Map<number, Micros>()
  readonly #losing = new Map<number, number>()
  #lookups = LOOKUPS_AT_ONCE
  #lookupsAt: Micros
  #signals = 0
  #exits = 0
  #malformed = 0
  #lost = 0
  #notLookedUp = 0
  #dropped = 0

  constructor(options: CollectorOptions) {
    this.#options = options
    this.#lookupsAt = options.mono()
  }

  get stats(): CollectorStats {
    return {
      signals: this.#signals,
      exits: this.#exits,
      malformed: this.#malformed,
      lost: this.#lost,
      notLookedUp: this.#notLookedUp,
      dropped: this.#dropped,
      containers: this.#records.size,
    }
  }

  take(lines: readonly TraceLine[]): void {
    const { mono } = this.#options
    const now = mono()
    this.#lookups = Math.min(LOOKUPS_AT_ONCE, this.#lookups + ((now - this.#lookupsAt) / 1_000_000) * LOOKUPS_PER_SECOND)
    this.#lookupsAt = now
    for (const line of lines) {
      if (line.type === 'Lost') {
        this.#lost += line.count
        this.#losing.set(line.cpu, (this.#losing.get(line.cpu) ?? 0) + line.count)
        continue
      }
      if (line.type === 'Malformed') {
        this.#malformed++
        if (this.#malformed <= MAX_MALFORMED_SHOWN) {
          this.#options.log.warn({ reason: line.reason, line: line.text }, 'a line of the trace was not understood')
        }
        continue
      }
      this.#heard(line.cpu, line.mono)
      if (line.type === 'OomVictim') this.#oom(line.mono, line.pid)
      else if (line.type === 'ThreadExit') this.#threadEnded(line)
      else if (line.type === 'Signal' && line.number === SIGCHLD) this.#end(line)
      else if (line.type === 'Signal') this.#signal(line)
    }
  }

  /**
   * Finds the ends of processes that were found dead, everything up to `now` having been read since, and `now` having been before they
   * were looked at. A process of several threads is told of by the last of them, which may be one that nobody had seen: so the end is
   * one of those that the shim was told of since the process was last seen to live. Where there is none, the second time, all that is
   * known is that it is gone.
   */
  settle(dead: readonly Known[], now: Micros): void {
    const missing = new Set<Known>()
    for (const known of dead) {
      if (this.#options.processes.known(known.pid) !== known) continue
      const ends = (this.#ends.get(known.parent) ?? []).filter(({ mono }) => mono >= known.aliveAt && mono <= now)
      const [first] = ends
      const last = ends.at(-1)
      if (first !== undefined && last !== undefined) {
        const [how = 'Unknown', ...others] = new Set(ends.map(({ code }) => endOf(code)))
        this.#ended(known, first.mono, last.mono, others.length > 0 ? 'Unknown' : how)
      } else if (this.#missing.has(known)) this.#ended(known, known.aliveAt, now, 'Unknown')
      else missing.add(known)
    }
    this.#missing = missing
    // What was told before is settled; a shim that is gone is not told any more.
    for (const [shim, ends] of this.#ends) {
      const left = ends.filter(({ mono }) => mono > now)
      if (left.length === 0) this.#ends.delete(shim)
      else this.#ends.set(shim, left)
    }
  }

  exec(known: Known, notBefore: Micros): void {
    this.#add(known.container, {
      type: 'Exec',
      pid: known.pid,
      earliest: Math.min(notBefore, known.since),
      latest: known.since,
    })
  }

  gap(gap: TraceGap): void {
    this.#gaps.push(gap)
    if (this.#gaps.length > MAX_GAPS) this.#gaps.splice(1, 1)
  }

  /** Those that reach into the time from `from` on. */
  gapsSince(from: Micros): TraceGap[] {
    return this.#gaps.filter(({ to }) => to >= from)
  }

  /** Looks at the container's processes, unless that has just been done. */
  look(container: ContainerEntry): void {
    const { mono, processes } = this.#options
    const record = this.#recordOf(container)
    const from = mono()
    if (container.ended || from - record.lookedAt < LOOK_AGAIN) return
    const found = processes.look(container)
    if (found.processes.length === 0) return
    record.lookedAt = from
    this.#add(container, { type: 'Look', from, to: mono(), ...found })
  }

  evidence(container: ContainerEntry): ContainerEvidence {
    const record = this.#records.get(container.id)
    return {
      containerId: container.id,
      ...(container.runtime === undefined ? {} : { runtime: container.runtime }),
      pidNamespace: container.pidNamespace,
      facts: record?.facts ?? [],
      dropped: record?.dropped ?? 0,
    }
  }

  version(containerId: string): number {
    return this.#records.get(containerId)?.version ?? 0
  }

  has(containerId: string): boolean {
    return this.#records.has(containerId)
  }

  forget(containerId: string): void {
    this.#records.delete(containerId)
  }

  #heard(cpu: number, mono: Micros): void {
    const lost = this.#losing.get(cpu)
    if (lost !== undefined) {
      this.#losing.delete(cpu)
      const from = this.#last.get(cpu)
      this.gap({ ...(from === undefined ? {} : { from }), to: mono, reason: `the kernel's buffer ran over`, lost })
    }
    this.#last.set(cpu, mono)
  }

  #signal(line: SignalLine): void {
    const target = this.#find(line.target.pid, line.mono)
    const container =
      typeof target === 'object' ? target.container : target === 'Gone' ? this.#onlyReach(line.sender.pid) : undefined
    if (container === undefined) {
      const was = target === 'Gone' ? this.#options.processes.known(line.target.pid) : undefined
      if (was !== undefined) this.gap({ from: line.mono, to: line.mono, reason: 'process ids were given anew', lost: 0 })
      return
    }
    // As PID 1 ends it sends SIGKILL to all of its namespace, and that takes in a last thread of its own.
    if (line.number === SIGKILL && line.code === SI_KERNEL && line.result === 1 && line.sender.pid === line.target.pid) return
    this.#signals++
    if (typeof target === 'object' && line.result !== 1) target.aliveAt = Math.max(target.aliveAt, line.mono)
    const part = typeof target === 'object' ? target.part : 'Unknown'
    const fact: SignalFact = {
      type: 'Signal',
      mono: line.mono,
      number: line.number,
      code: line.code,
      result: line.result,
      sender: this.#senderOf(line, container),
      target: { pid: line.target.pid, comm: line.target.comm, part },
    }
    this.#add(container, fact)
    // Now the processes below can still be seen, and what they do with signals.
    if (part === 'First' && line.number !== SIGKILL) this.look(container)
  }

  #oom(mono: Micros, pid: number): void {
    const target = this.#find(pid, mono)
    if (typeof target !== 'object') return
    this.#add(target.container, { type: 'Oom', mono, pid, part: target.part, comm: target.comm })
  }

  /** SIGCHLD: a process has ended, and its parent was told. */
  #end(line: SignalLine): void {
    const { processes, onUnknownEnd } = this.#options
    const how = endOf(line.code)
    if (how === undefined) return
    const known = processes.known(line.sender.pid)
    const shim = processes.shimOf(line.target.pid)
    const name = this.#nameAtEnd(line) ?? line.sender.comm
    if (known === undefined) this.#senderEnded(line, shim)
    if (known !== undefined && known.part !== 'Below' && known.parent === shim) {
      this.#ended(known, line.mono, line.mono, how)
      return
    }
    if (known !== undefined || (!processes.isShim(shim) && !RUNTIME_PARENT.test(line.target.comm))) return
    if (name !== undefined && isRuntimeName(name)) {
      this.#commandEnded(line, shim)
      processes.lookBelow(shim)
      return
    }
    const ends = this.#ends.get(shim) ?? []
    if (ends.length < MAX_ENDS) ends.push(line)
    this.#ends.set(shim, ends)
    // It may also be a command of the runtime whose name the kernel has not noted yet.
    processes.lookBelow(shim)
    onUnknownEnd(shim)
  }

  /** A thread of a command of the runtime: it may be one that has sent a signal, and that the trace had no name of. */
  #threadEnded(line: ThreadExitLine): void {
    for (const { sender, mono } of this.#senders) {
      if (sender.pid === line.pid && line.mono >= mono && line.mono - mono < COMMAND_TAKES) sender.comm = line.comm
    }
    // Anew, so that it is the youngest.
    this.#threadEnds.delete(line.pid)
    this.#threadEnds.set(line.pid, { line, started: this.#options.processes.ids.started() })
    if (this.#threadEnds.size <= MAX_THREAD_ENDS) return
    for (const oldest of this.#threadEnds.keys()) {
      this.#threadEnds.delete(oldest)
      break
    }
  }

  /**
   * The parent is told by the last thread, after that has ended. On a busy node a process waits longer for its turn between the two than
   * any bound in time would have it: what the id says is right for as long as it cannot have been given anew.
   */
  #nameAtEnd({ sender }: SignalLine): string | undefined {
    const end = this.#threadEnds.get(sender.pid)
    return end === undefined || this.#options.processes.ids.mayBeAnew(end.started) ? undefined : end.line.comm
  }

  /** The container that a process of this id can signal no other than: that of its PID namespace. */
  #onlyReach(pid: number): ContainerEntry | undefined {
    const { processes } = this.#options
    const sender = processes.known(pid) === undefined ? undefined : processes.find(pid)
    return typeof sender === 'object' && processes.ownsNamespace(sender.container) ? sender.container : undefined
  }

  /** A program that sent a signal has ended, and its parent was told: it was where its parent is. */
  #senderEnded(line: SignalLine, parent: number): void {
    const { processes } = this.#options
    const isIt = ({ sender, mono, started }: GoneSender) =>
      sender.pid === line.sender.pid && line.mono >= mono && !processes.ids.mayBeAnew(started)
    const mine = this.#senders.filter(isIt)
    if (mine.length === 0) return
    this.#senders = this.#senders.filter((gone) => !isIt(gone))
    for (const { sender, container } of mine) {
      sender.origin = this.#originByParent(line, parent, container, sender.comm)
      // What a process of the container has started stands below.
      if (sender.origin === 'Container' && !processes.isShim(parent)) sender.part = 'Below'
      this.#changed(container)
    }
  }

  #originByParent(line: SignalLine, parent: number, container: ContainerEntry, comm: string | undefined): Sender['origin'] {
    const { processes } = this.#options
    const found = processes.find(parent)
    if (typeof found === 'object') return originOf(found.container, container)
    const name = this.#nameAtEnd(line)
    if (name !== undefined && isRuntimeCommand(name)) return 'Runtime'
    if (processes.isShim(parent)) {
      // By its name alone it may be the shim's command, whose end was not seen, or a program of a container.
      if ([name, comm, line.sender.comm].some((it) => it !== undefined && isRuntimeCommand(it))) return 'Unknown'
      // A child of a shim is in a container of its pod: in this one, if it could name its process by an id of its namespace.
      const pod = processes.podOfShim(parent)
      if (pod === container.podUid) return processes.ownsNamespace(container) ? 'Container' : 'Unknown'
      return pod === undefined ? 'Unknown' : 'OtherPod'
    }
    // A child of the runtime is in a container, or is going to be.
    return found === 'Host' && !isRuntimeName(line.target.comm) ? 'Node' : 'Unknown'
  }

  /**
   * A command of the runtime has ended. It was the one that sent a signal a moment ago, if a thread that has ended under its name since did:
   * the threads of runc are many, so which of them the shim is told by says nothing; the others have one.
   */
  #commandEnded(line: SignalLine, shim: number): void {
    if (this.#senders.length === 0) return
    // CRI-O has its own commands for signals; conmon and the shims have those of their containers.
    const daemon = RUNTIME_DAEMON.test(line.target.comm) && this.#options.processes.find(shim) === 'Host'
    const ended = this.#nameAtEnd(line)
    this.#senders = this.#senders.filter(({ sender, container, mono: sent }) => {
      if (line.mono - sent > COMMAND_TAKES) return false
      const end = this.#threadEnds.get(sender.pid)?.line
      const isIt = end !== undefined && end.mono >= sent && end.comm === ended && isRuntimeCommand(end.comm)
      if (!isIt || (container.shim !== shim && !daemon) || (ended !== 'runc' && sender.pid !== line.sender.pid)) return true
      sender.origin = 'Runtime'
      this.#changed(container)
      return false
    })
  }

  #changed(container: ContainerEntry): void {
    this.#recordOf(container).version++
    this.#options.onFact(container.podUid, container)
  }

  #ended(known: Known, earliest: Micros, latest: Micros, how: 'Exited' | 'Killed' | 'Dumped' | 'Unknown'): void {
    this.#exits++
    this.#options.processes.ended(known)
    const part = known.part === 'First' ? 'First' : 'Exec'
    this.#add(known.container, { type: 'Exit', pid: known.pid, part, earliest, latest, how })
  }

  #senderOf(line: SignalLine, container: ContainerEntry): Sender {
    const { proc } = this.#options
    const { pid, comm } = line.sender
    const named = comm === undefined ? {} : { comm }
    if (pid === 0) return { pid, ...named, origin: 'Kernel' }
    const known = this.#find(pid, line.mono)
    if (typeof known === 'object') {
      const origin = originOf(known.container, container)
      return { pid, comm: proc.comm(pid) ?? comm ?? known.comm, origin, ...(origin === 'Container' ? { part: known.part } : {}) }
    }
    if (known === 'Host') {
      // The name in the trace can be one from before the program was started, or of another process that had the id; this one is not.
      const name = proc.comm(pid)
      if (name !== undefined) return { pid, comm: name, origin: isRuntimeName(name) ? 'Runtime' : 'Node' }
    }
    const sender: Sender = { pid, ...named, origin: 'Unknown' }
    if (this.#senders.length >= MAX_SENDERS) this.#senders.shift()
    this.#senders.push({ sender, container, mono: line.mono, started: this.#options.processes.ids.started() })
    return sender
  }

  /** By what is known, or by a look as long as there are not too many: NotAsked is said where there were. */
  #find(pid: number, mono: Micros): Found | 'NotAsked' {
    const { processes } = this.#options
    if (!processes.remembers(pid)) {
      if (this.#lookups < 1) {
        this.#notLookedUp++
        this.#refused(mono)
        return 'NotAsked'
      }
      this.#lookups--
    }
    return processes.find(pid)
  }

  /** One gap for a stretch of refusals. */
  #refused(mono: Micros): void {
    const reason = 'more signals came than could be looked into'
    const last = this.#gaps.at(-1)
    if (last?.reason === reason && mono - last.to < SAME_FLOOD) {
      this.#gaps[this.#gaps.length - 1] = { ...last, to: Math.max(last.to, mono) }
      return
    }
    this.gap({ from: mono, to: mono, reason, lost: 0 })
  }

  #recordOf({ id }: ContainerEntry): ContainerRecord {
    const there = this.#records.get(id)
    if (there !== undefined) return there
    if (this.#records.size >= MAX_RECORDS) {
      for (const oldest of this.#records.keys()) {
        this.#records.delete(oldest)
        this.#dropped++
        break
      }
    }
    const record: ContainerRecord = { facts: [], dropped: 0, version: 0, lookedAt: Number.NEGATIVE_INFINITY }
    this.#records.set(id, record)
    return record
  }

  #add(container: ContainerEntry, fact: ContainerFact): void {
    const record = this.#recordOf(container)
    if (record.facts.length >= roomFor(fact)) {
      record.dropped++
      this.#dropped++
      return
    }
    record.facts.push(fact)
    record.version++
    this.#options.onFact(container.podUid, container)
  }
}

/**
 * How many facts there may be for one more of this kind: a flood that a container sends to itself leaves room for what others send to it,
 * that for what may be the runtime's, and all of them for ends.
 */
function roomFor(fact: ContainerFact): number {
  if (fact.type !== 'Signal') return 4 * MAX_FACTS
  const { target, sender, code } = fact
  if (target.part !== 'First' || sender.origin === 'Container') return MAX_FACTS
  const unnamed = sender.origin === 'Unknown' && (sender.comm === undefined || isRuntimeName(sender.comm))
  return sender.origin === 'Runtime' || code === SI_KERNEL || unnamed ? 3 * MAX_FACTS : 2 * MAX_FACTS
}

function originOf(of: ContainerEntry, seenFrom: ContainerEntry): Sender['origin'] {
  if (of === seenFrom) return 'Container'
  return of.podUid === seenFrom.podUid ? 'Pod' : 'OtherPod'
}
