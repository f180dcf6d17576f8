/** Reads of /proc, synchronous: each is one small file that the kernel makes on the spot, and a process may be gone a moment later. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import {
  type CgroupPlace,
  type ProcessStat,
  type ProcessStatus,
  parseArgv0,
  parseCgroup,
  parseStat,
  parseStatus,
} from '../core/kernel/proc.ts'
import type { Micros } from '../core/time.ts'

/** Inode of the initial PID namespace, the same in every Linux (include/linux/proc_ns.h, PROC_PID_INIT_INO). */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]'
/** argv[0] is cut to less; what follows it is not to be read where that can be helped. */
const ARGV0_BYTES = 128

/** USER_HZ is 100 on every Linux that Kubernetes runs on. */
const TICK: Micros = 10_000

/** What the kernel begins with. */
const LEAST_PID_MAX = 32_768

export class Procfs {
  readonly #root: string
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC: how long the machine has been suspended, to a tick. */
  readonly #suspended: Micros

  constructor(root = '/proc') {
    this.#root = root
    const mono = Number(process.hrtime.bigint() / 1000n)
    const boot = Number(this.#text('uptime')?.split(' ')[0] ?? Number.NaN) * 1_000_000
    this.#suspended = Number.isNaN(boot) || Math.abs(boot - mono) <= 2 * TICK ? 0 : Math.round((boot - mono) / TICK) * TICK
  }

  /** The monotonic time at which this tick since boot began. */
  monoOfTick(tick: number): Micros {
    return tick * TICK - this.#suspended
  }

  /** The trace names processes by their ids in the initial namespace: elsewhere none of them can be found. */
  seesAllProcesses(): boolean {
    try {
      return readlinkSync(`${this.#root}/self/ns/pid`) === INITIAL_PID_NAMESPACE
    } catch {
      return false
    }
  }

  /** How many processes and threads were ever started: ids are given in a circle of `pidMax`. Undefined where that cannot be read. */
  started(): number | undefined {
    const count = Number(/^processes (\d+)$/m.exec(this.#text('stat') ?? '')?.[1] ?? Number.NaN)
    return Number.isNaN(count) ? undefined : count
  }

  pidMax(): number {
    return Number(this.#text('sys/kernel/pid_max') ?? LEAST_PID_MAX) || LEAST_PID_MAX
  }

  pids(): number[] {
    return numbersIn(this.#root)
  }

  threads(pid: number): number[] {
    return numbersIn(`${this.#root}/${pid}/task`)
  }

  /** 'Gone': there is no such process, or it is ending and its cgroup not to be seen any more. Undefined: it is in no container of Kubernetes. */
  place(pid: number): CgroupPlace | 'Gone' | undefined {
    const text = this.#text(`${pid}/cgroup`)
    if (text === undefined) return 'Gone'
    const place = parseCgroup(text)
    if (place !== undefined) return place
    // Asked after the cgroup was read: what is not ending now was not ending then.
    return (this.stat(pid)?.exiting ?? true) ? 'Gone' : undefined
  }

  status(pid: number): ProcessStatus | undefined {
    const text = this.#text(`${pid}/status`)
    return text === undefined ? undefined : parseStatus(text)
  }

  stat(pid: number): ProcessStat | undefined {
    const text = this.#text(`${pid}/stat`)
    return text === undefined ? undefined : parseStat(text)
  }

  comm(pid: number): string | undefined {
    return this.#text(`${pid}/comm`)?.replace(/\n$/, '')
  }

  argv0(pid: number): string | undefined {
    let file: number | undefined
    try {
      file = openSync(`${this.#root}/${pid}/cmdline`, 'r')
      const bytes = Buffer.alloc(ARGV0_BYTES)
      const length = readSync(file, bytes, 0, ARGV0_BYTES, 0)
      return parseArgv0(bytes.toString('utf8', 0, length))
    } catch {
      return undefined
    } finally {
      if (file !== undefined) closeSync(file)
    }
  }

  /** Words of the command line of a process of the node. Never asked for a process of a container. */
  arguments(pid: number): string[] {
    return this.#text(`${pid}/cmdline`)?.split('\0') ?? []
  }

  /** Direct children, those of all threads. */
  children(pid: number): number[] {
    return this.threads(pid).flatMap(
      (thread) =>
        this.#text(`${pid}/task/${thread}/children`)
          ?.split(' ')
          .filter((word) => word !== '')
          .map(Number) ?? [],
    )
  }

  #text(path: string): string | undefined {
    try {
      return readFileSync(`${this.#root}/${path}`, 'utf8')
    } catch {
      return undefined
    }
  }
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}
