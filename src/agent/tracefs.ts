/**
 * A trace instance of the agent's own in tracefs. It is found again after a crash, emptied and used further; it is removed on a clean
 * stop; other instances and the top-level trace are never touched. One thread of Node's pool waits in read(2) for the kernel, so an
 * idle node costs nothing and a signal is read at once (docs/adr has the measurements); the instance's own trace_marker wakes that
 * thread for a stop, and tells, coming back in its turn, that all before it has been read.
 */
import { closeSync, constants, existsSync, openSync, read, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LineJoiner, type TraceLine } from '../core/kernel/parse.ts'

/**
 * What the kernel lets through. comm is the name of the target, COMM of the sender. The ends of processes (17) as they are told to
 * those that wait for containers and for the runtime's own commands, and the ends of kill and its like, which are gone before they can
 * be looked at, to their parents; and whatever runc or crun send, for it may be a stop signal of another number: but for 23, by which
 * Go's scheduler interrupts its own threads.
 */
export const FILTER =
  'sig==9||sig==15||(sig==17&&(comm~"containerd-shim*"||comm~"conmon*"||comm~"crio*"||COMM~"*kill*"))' +
  '||(sig!=17&&sig!=23&&(COMM~"runc*"||COMM~"crun*"||COMM~"youki*"))'
/**
 * Threads of the runtime's commands, as they end. The name that the trace gives to the sender of a signal is missing where the line was read
 * before the kernel had taken that off its CPU, or was being read just then; this event has the name in itself.
 */
export const COMMANDS_FILTER = 'comm=="runc"||comm=="crun"||comm=="youki"'
const SIGNALS = 'events/signal/signal_generate'
const COMMANDS = 'events/sched/sched_process_exit'
/** Not on kernels before 4.14. */
const VICTIMS = 'events/oom/mark_victim'

const FILTERS = [
  [SIGNALS, FILTER],
  [COMMANDS, COMMANDS_FILTER],
] as const

/**
 * NotMounted: the folder is no tracefs. NoPermission: not root, or a security module is in the way. ReadOnly: mounted so. Unsupported:
 * the kernel has no such tracepoint. Busy: another process reads this instance. Failed: anything else.
 */
export type TracefsErrorCode = 'NotMounted' | 'NoPermission' | 'ReadOnly' | 'Unsupported' | 'Busy' | 'Failed'

export class TracefsError extends Error {
  readonly code: TracefsErrorCode

  constructor(code: TracefsErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'TracefsError'
    this.code = code
  }
}

export interface TraceOptions {
  /** Where tracefs is mounted, such as /sys/kernel/tracing. */
  readonly folder: string
  /** Name of the instance. */
  readonly instance: string
  /** Ring buffer of each CPU. */
  readonly bufferKilobytes: number
  /** Lines that are read in a second, averaged; beyond that the kernel overwrites, and says so. */
  readonly linesPerSecond: number
  /** In the order of trace_pipe: by time, but for lines of different CPUs that were written within microseconds. */
  readonly onLines: (lines: readonly TraceLine[]) => void
  /** The loop ended by itself; the trace has to be opened again. */
  readonly onFault: (error: TracefsError) => void
}

export interface TraceStats {
  readonly lines: number
  readonly malformed: number
  readonly lost: number
  /** Times at which reading was held back for linesPerSecond. */
  readonly heldBack: number
}

const READ_BYTES = 65_536
/** A read that filled less of the kernel's own page than this found the end of the buffer. */
const DRAINED_BYTES = 2048
/** After that, what comes together is read together. */
const PAUSE_MS = 2
const BURST_SECONDS = 4
const HELD_BACK_MS = 100
const REMOVE_TRIES = 100
const REMOVE_WAIT_MS = 20
const STOP_MS = 2000
const MARK = 'gracewatch'

export class Trace {
  readonly #options: TraceOptions
  readonly #instance: string
  readonly #pipe: number
  readonly #marker: number
  readonly #joiner = new LineJoiner()
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES)
  readonly #waiting = new Map<string, () => void>()
  readonly #ended = Promise.withResolvers<void>()
  #rest = Buffer.alloc(0)
  #lines = 0
  #malformed = 0
  #lost = 0
  #heldBack = 0
  #budget: number
  #budgetAt = performance.now()
  #marks = 0
  #stopping = false

  private constructor(options: TraceOptions, pipe: number, marker: number) {
    this.#options = options
    this.#instance = instanceFolder(options)
    this.#pipe = pipe
    this.#marker = marker
    this.#budget = options.linesPerSecond * BURST_SECONDS
  }

  /** Makes or takes over the instance and switches it on. Throws TracefsError. */
  static async open(options: TraceOptions): Promise<Trace> {
    const folder = instanceFolder(options)
    const files: number[] = []
    try {
      if (!existsSync(join(options.folder, 'instances'))) {
        throw new TracefsError(
          'NotMounted',
          `${options.folder} is no tracefs: mount it on the node (mount -t tracefs tracefs /sys/kernel/tracing), then delete this pod, for a container does not see what is mounted after its start`,
        )
      }
      await mkdir(folder).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error
      })
      if (!existsSync(join(folder, SIGNALS))) {
        throw new TracefsError('Unsupported', 'the kernel has no tracepoint signal:signal_generate')
      }
      // First of all, so that another agent that reads this instance is found out before its trace is touched.
      files.push(openSync(join(folder, 'trace_pipe'), constants.O_RDONLY))
      configure(folder, options)
      files.push(openSync(join(folder, 'trace_marker'), constants.O_WRONLY))
      switchOn(folder)
      const [pipe = -1, marker = -1] = files
      return new Trace(options, pipe, marker)
    } catch (error) {
      for (const file of files) closeSync(file)
      throw asTracefsError(error, folder)
    }
  }

  /** Begins to read; whatever comes is given to onLines from now on. */
  start(): void {
    process.on('exit', this.#release)
    this.#read()
  }

  get stats(): TraceStats {
    return { lines: this.#lines, malformed: this.#malformed, lost: this.#lost, heldBack: this.#heldBack }
  }

  /** False where what was written into the instance does not come back in time: it is switched off, or far behind. */
  async sync(timeoutMs: number): Promise<boolean> {
    const text = `${MARK} ${process.pid} ${++this.#marks}`
    const back = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => back.resolve(false), timeoutMs)
    this.#waiting.set(text, () => back.resolve(true))
    try {
      writeSync(this.#marker, text)
      return await back.promise
    } catch {
      return false // EBADF while tracing_on is 0
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(text)
    }
  }

  /** Sets right what another program has changed in the instance. Returns what that was, as a part of a sentence. */
  repair(): string | undefined {
    const is = (file: string, text: string) => readFileSync(join(this.#instance, file), 'utf8').trim() === text
    try {
      const whole = FILTERS.every(([event, filter]) => is(`${event}/enable`, '1') && is(`${event}/filter`, filter))
      if (is('tracing_on', '1') && whole) return undefined
      for (const [event, filter] of FILTERS) writeFileSync(join(this.#instance, `${event}/filter`), filter)
      switchOn(this.#instance)
      return 'another program had changed the trace of the agent'
    } catch (error) {
      throw asTracefsError(error, this.#instance)
    }
  }

  /** Overwritten events by the kernel's own count, since the instance was switched on. */
  overruns(): number {
    let sum = 0
    for (const cpu of readdirSync(join(this.#instance, 'per_cpu'))) {
      const stats = readFileSync(join(this.#instance, 'per_cpu', cpu, 'stats'), 'utf8')
      sum += Number(/^overrun: (\d+)$/m.exec(stats)?.[1] ?? 0)
    }
    return sum
  }

  /** Reads what there still is, then removes the instance. */
  async stop(): Promise<void> {
    try {
      for (const [event] of FILTERS) writeFileSync(join(this.#instance, `${event}/enable`), '0')
    } catch {
      // Removed by somebody else, or read-only by now.
    }
    await this.sync(STOP_MS)
    this.#stopping = true
    this.#release()
    const ended = await Promise.race([this.#ended.promise.then(() => true), sleep(STOP_MS, false, { ref: false })])
    process.off('exit', this.#release)
    if (!ended) {
      // The thread would keep the process from ending. Nothing else of it is open any more.
      throw new TracefsError('Failed', `${this.#instance}: the trace cannot be woken for its end`)
    }
    closeSync(this.#marker)
    await removeInstance(this.#instance)
  }

  /** Wakes the thread that waits for the kernel. Node waits for it at every exit, also for that of an uncaught error. */
  readonly #release = () => {
    this.#stopping = true
    for (const [file, text] of [
      ['tracing_on', '1'],
      ['trace_marker', `${MARK} end`],
    ] as const) {
      try {
        writeFileSync(join(this.#instance, file), text)
      } catch {
        // The instance is gone, and the read with it.
      }
    }
  }

  #read(): void {
    read(this.#pipe, this.#buffer, 0, READ_BYTES, null, (error, bytes) => {
      if (error === null && bytes > 0) this.#take(this.#buffer.subarray(0, bytes))
      if (error === null && !this.#stopping) {
        // Zero bytes: the trace was switched off; it can be switched on again.
        const waitMs = bytes === 0 ? HELD_BACK_MS : this.#waitMs(bytes)
        if (waitMs === 0) this.#read()
        else setTimeout(() => (this.#stopping ? this.#end() : this.#read()), waitMs)
        return
      }
      this.#end()
      if (!this.#stopping) this.#options.onFault(asTracefsError(error, this.#instance))
    })
  }

  #end(): void {
    closeSync(this.#pipe)
    this.#ended.resolve()
  }

  #waitMs(bytes: number): number {
    const now = performance.now()
    const { linesPerSecond } = this.#options
    this.#budget = Math.min(this.#budget + ((now - this.#budgetAt) / 1000) * linesPerSecond, linesPerSecond * BURST_SECONDS)
    this.#budgetAt = now
    if (this.#budget < 0) {
      this.#heldBack++
      return HELD_BACK_MS
    }
    return bytes < DRAINED_BYTES ? PAUSE_MS : 0
  }

  #take(bytes: Buffer): void {
    const end = bytes.lastIndexOf(10)
    if (end === -1) {
      this.#rest = Buffer.concat([this.#rest, bytes])
      return
    }
    const text = Buffer.concat([this.#rest, bytes.subarray(0, end)]).toString('utf8')
    this.#rest = Buffer.from(bytes.subarray(end + 1))
    const lines = text.split('\n').flatMap((line) => this.#joiner.add(line))
    this.#lines += lines.length
    this.#budget -= lines.length
    for (const line of lines) {
      if (line.type === 'Malformed') this.#malformed++
      else if (line.type === 'Lost') this.#lost += line.count
    }
    this.#options.onLines(lines)
    for (const line of lines) if (line.type === 'Marker') this.#waiting.get(line.text)?.()
  }
}

const instanceFolder = ({ folder, instance }: TraceOptions) => join(folder, 'instances', instance)

/** All off and empty first: the instance may be one that was left over. */
function configure(folder: string, options: TraceOptions): void {
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text)
  write('tracing_on', '0')
  write('events/enable', '0')
  write('trace_clock', 'mono')
  write('buffer_size_kb', String(options.bufferKilobytes))
  write('trace', '')
  for (const [event, filter] of FILTERS) write(`${event}/filter`, filter)
}

function switchOn(folder: string): void {
  writeFileSync(join(folder, 'tracing_on'), '1')
  for (const [event] of FILTERS) writeFileSync(join(folder, `${event}/enable`), '1')
  if (existsSync(join(folder, VICTIMS))) writeFileSync(join(folder, `${VICTIMS}/enable`), '1')
}

/** The kernel lets go of an instance a moment after its last file was closed. */
async function removeInstance(folder: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await rmdir(folder)
      return
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      if (codeOf(error) !== 'EBUSY' || tries >= REMOVE_TRIES) throw asTracefsError(error, folder)
      await sleep(REMOVE_WAIT_MS)
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function asTracefsError(error: unknown, folder: string): TracefsError {
  if (error instanceof TracefsError) return error
  const said = error instanceof Error ? error.message : 'the trace ended'
  switch (codeOf(error)) {
    case 'EACCES':
    case 'EPERM':
      return new TracefsError(
        'NoPermission',
        `${folder}: ${said}: the agent has to be root of the node, and no security module (AppArmor, SELinux, lockdown) may be in the way`,
        error,
      )
    case 'EROFS':
      return new TracefsError('ReadOnly', `${folder}: ${said}: tracefs is mounted read-only for the agent`, error)
    case 'EBUSY':
      return new TracefsError('Busy', `${folder}: ${said}: another process reads this instance; is there a second agent?`, error)
    default:
      return new TracefsError('Failed', `${folder}: ${said}`, error)
  }
}
