/**
 * Lines of a tracefs trace_pipe, as the kernel writes them with trace_clock mono: strictly, for a line that is half understood is
 * worse than one that is counted as not understood. Nothing here knows processes or containers.
 */
import type { Micros } from '../time.ts'

/** One `signal:signal_generate`. Process ids are those of the initial PID namespace. */
export interface SignalLine {
  readonly type: 'Signal'
  readonly cpu: number
  /** CLOCK_MONOTONIC, cut to whole microseconds. */
  readonly mono: Micros
  /** The thread that was running; absent comm: the kernel had forgotten its name (`<...>`). */
  readonly sender: { readonly pid: number; readonly comm?: string }
  readonly number: number
  /** si_code: 0 and below sent by a process, 128 by the kernel; of SIGCHLD 1 exited, 2 killed, 3 dumped core. */
  readonly code: number
  /** To the whole process, not to one thread of it. */
  readonly group: boolean
  /** 0 delivered, 1 ignored, 2 pending already, 3 queue full, 4 delivered without its information (trace/events/signal.h). */
  readonly result: number
  readonly target: { readonly pid: number; readonly comm: string }
}

/** `oom:mark_victim`: the process that the kernel kills for want of memory. */
export interface OomVictimLine {
  readonly type: 'OomVictim'
  readonly cpu: number
  readonly mono: Micros
  readonly pid: number
}

/** `sched:sched_process_exit`: a thread ends, with its name at that time. */
export interface ThreadExitLine {
  readonly type: 'ThreadExit'
  readonly cpu: number
  readonly mono: Micros
  readonly pid: number
  readonly comm: string
}

/** What this instance's trace_marker was given. */
export interface MarkerLine {
  readonly type: 'Marker'
  readonly cpu: number
  readonly mono: Micros
  readonly text: string
}

/** The ring buffer of a CPU was overwritten before it was read. */
export interface LostLine {
  readonly type: 'Lost'
  readonly cpu: number
  readonly count: number
}

export interface MalformedLine {
  readonly type: 'Malformed'
  /** NoHeader: no process, CPU and time in front. UnknownEvent. Fields: the event's own part is not as the kernel writes it. */
  readonly reason: 'NoHeader' | 'UnknownEvent' | 'Fields'
  /** Cut to 200 characters. */
  readonly text: string
}

export type TraceLine = SignalLine | OomVictimLine | ThreadExitLine | MarkerLine | LostLine | MalformedLine

/**
 * A comm can hold anything but NUL, so the pid is what stands before the CPU's bracket, whatever came before. None of the spaces in front is
 * given back to it, or a line of spaces alone would take time by the square of its length.
 */
const HEADER = /^ *(?! )(.*)-(\d{1,10}) +\[(\d{1,6})\] \S+ +(\d{1,12})\.(\d{6}): ([a-z_]+): (.*)$/s
/** Signals are 1 to 64, which is also what a record takes. */
const SIGNAL = /^sig=([1-9]|[1-5]\d|6[0-4]) errno=-?\d+ code=(-?\d{1,10}) comm=(.*) pid=(\d{1,10}) grp=([01]) res=(\d{1,3})$/s
const VICTIM = /^pid=(\d{1,10})(?: |$)/
const THREAD = /^comm=(.*) pid=(\d{1,10}) prio=-?\d+(?: |$)/s
const LOST = /^CPU:(\d{1,6}) \[LOST (\d{1,15}) EVENTS\]$/
const MAX_SHOWN = 200

/** @param text one line without its end; a comm may have put a line break into it (see LineJoiner) */
export function parseTraceLine(text: string): TraceLine {
  const header = HEADER.exec(text)
  if (header === null) {
    const lost = LOST.exec(text)
    return lost === null ? malformed('NoHeader', text) : { type: 'Lost', cpu: Number(lost[1]), count: Number(lost[2]) }
  }
  const [, comm = '', pid, cpu, seconds, micros, event, fields = ''] = header
  const at = { cpu: Number(cpu), mono: Number(seconds) * 1_000_000 + Number(micros) }
  if (!Number.isSafeInteger(at.mono)) return malformed('NoHeader', text)
  switch (event) {
    case 'signal_generate': {
      const match = SIGNAL.exec(fields)
      if (match === null) return malformed('Fields', text)
      const [, number, code, targetComm = '', targetPid, group, result] = match
      return {
        type: 'Signal',
        ...at,
        sender: comm === '<...>' ? { pid: Number(pid) } : { pid: Number(pid), comm },
        number: Number(number),
        code: Number(code),
        group: group === '1',
        result: Number(result),
        target: { pid: Number(targetPid), comm: targetComm },
      }
    }
    case 'mark_victim': {
      const match = VICTIM.exec(fields)
      return match === null ? malformed('Fields', text) : { type: 'OomVictim', ...at, pid: Number(match[1]) }
    }
    case 'sched_process_exit': {
      const match = THREAD.exec(fields)
      return match === null
        ? malformed('Fields', text)
        : { type: 'ThreadExit', ...at, comm: match[1] ?? '', pid: Number(match[2]) }
    }
    case 'tracing_mark_write':
      return { type: 'Marker', ...at, text: fields }
    default:
      return malformed('UnknownEvent', text)
  }
}

function malformed(reason: MalformedLine['reason'], text: string): MalformedLine {
  return { type: 'Malformed', reason, text: text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text }
}

/** A comm has at most 15 bytes, so no line is broken into more pieces than this. */
const MAX_PIECES = 16
/** Longer than any line that the traced events can make. */
const MAX_LINE = 1024

/**
 * Puts lines together again that the name of the target broke: a program can have a line break in its comm, and must not get its
 * signals lost by it. (A break in the sender's name leaves the rest of the line whole.)
 */
export class LineJoiner {
  #pieces: string[] = []

  /** The results that are certain now: none while the line may go on in the next one. */
  add(text: string): TraceLine[] {
    const line = parseTraceLine(text)
    if (this.#pieces.length === 0) return this.#first(line, text)
    if (line.type !== 'Malformed') return [...this.flush(), line]
    const whole = [...this.#pieces, text].join('\n')
    const joined = parseTraceLine(whole)
    if (joined.type !== 'Malformed') {
      this.#pieces = []
      return [joined]
    }
    // The piece begins a record of its own, or the record that was begun can no longer be one.
    if (line.reason === 'Fields' || this.#pieces.length >= MAX_PIECES || whole.length > MAX_LINE)
      return [...this.flush(), ...this.#first(line, text)]
    this.#pieces.push(text)
    return []
  }

  /** What was kept back, as what it is by itself. */
  flush(): TraceLine[] {
    if (this.#pieces.length === 0) return []
    const text = this.#pieces.join('\n')
    this.#pieces = []
    return [parseTraceLine(text)]
  }

  #first(line: TraceLine, text: string): TraceLine[] {
    if (line.type !== 'Malformed' || line.reason !== 'Fields') return [line]
    this.#pieces = [text]
    return []
  }
}
