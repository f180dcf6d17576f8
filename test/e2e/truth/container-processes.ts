import { readdirSync, readFileSync } from 'node:fs'
import type { Micros } from '../../../src/core/time.ts'
import { monotonic } from './wall-clock.ts'

export interface ContainerProcess {
  readonly pid: number
  readonly podUid: string
  readonly containerId: string
  /** It is PID 1 of a namespace of its own. */
  readonly first: boolean
}

/** cgroupfs: `/kubepods/…/pod<uid>/<id>`; systemd: `…-pod<uid with _>.slice/cri-containerd-<id>.scope`. */
const CGROUP = /pod([0-9a-f]{8}[-_][0-9a-f_-]{27})(?:\.slice)?\/(?:cri-containerd-)?([0-9a-f]{64})/

/** Undefined where the process is gone or belongs to no pod. */
function describe(pid: number): ContainerProcess | undefined {
  try {
    const match = CGROUP.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
    if (match?.[1] === undefined || match[2] === undefined) return undefined
    const inner = /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return { pid, podUid: match[1].replaceAll('_', '-'), containerId: match[2], first: inner === '1' }
  } catch {
    return undefined
  }
}

/**
 * Which container a process id belongs to. Asked while the process lives and remembered after, since /proc forgets a killed
 * process at once.
 */
export class ContainerProcesses {
  readonly #known = new Map<number, ContainerProcess>()
  /** PID 1 by container id. */
  readonly #first = new Map<string, number>()
  readonly #learnedAt = new Map<string, Micros>()
  /** Threads of PID 1, which share its life: the one that ends last is named as the sender of its SIGCHLD. */
  readonly #threads = new Map<number, string>()

  scan(): void {
    for (const name of readdirSync('/proc')) {
      const pid = Number(name)
      if (Number.isInteger(pid)) this.#look(pid)
    }
  }

  /** Remembers the process while it may still be there. */
  of(pid: number): ContainerProcess | undefined {
    return this.#known.get(pid) ?? this.#look(pid)
  }

  /** The container whose PID 1 this thread belongs to; its main thread has the process's own id. */
  whoseFirst(thread: number): string | undefined {
    return this.#threads.get(thread)
  }

  /** Notes which threads PID 1 has now. */
  noteThreads(containerId: string): void {
    const pid = this.#first.get(containerId)
    if (pid === undefined) return
    this.#threads.set(pid, containerId)
    try {
      for (const name of readdirSync(`/proc/${pid}/task`)) this.#threads.set(Number(name), containerId)
    } catch {
      // It has ended already.
    }
  }

  podOf(containerId: string): string | undefined {
    const pid = this.#first.get(containerId)
    return pid === undefined ? undefined : this.#known.get(pid)?.podUid
  }

  /** The oldest process of a container that has the process ids of the node, where none is PID 1. */
  oldestOf(containerId: string): number | undefined {
    this.scan()
    const pids = [...this.#known.values()].filter((it) => it.containerId === containerId).map(({ pid }) => pid)
    return pids.length === 0 ? undefined : Math.min(...pids)
  }

  firstOf(containerId: string): number | undefined {
    return this.#first.get(containerId)
  }

  /** From the runtime's own word: the process that it started as the container's first. */
  learn(containerId: string, pid: number): void {
    this.#setFirst(containerId, pid)
    this.#look(pid)
  }

  /** When the container's first process became known (monotonic): signals to its pid from before were another process's. */
  learnedAt(containerId: string): Micros {
    return this.#learnedAt.get(containerId) ?? 0
  }

  #look(pid: number): ContainerProcess | undefined {
    const found = describe(pid)
    if (found === undefined) return undefined
    // runc's own helper stands in the container's namespaces before the container's program replaces it: same pid, same place.
    this.#known.set(pid, found)
    if (found.first) this.#setFirst(found.containerId, pid)
    return found
  }

  #setFirst(containerId: string, pid: number): void {
    this.#first.set(containerId, pid)
    if (!this.#learnedAt.has(containerId)) this.#learnedAt.set(containerId, monotonic())
    this.noteThreads(containerId)
  }
}
