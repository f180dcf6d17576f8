import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Micros } from '../../../src/core/time.ts'

const INSTANCES = '/sys/kernel/tracing/instances'
const PREFIX = 'gracewatch-truth-'
/**
 * Whatever runc sends (a container may choose its own stop signal), and what others send of stop and kill signals and of deaths that a
 * containerd-shim is told of. COMM is the sender's name, comm the target's. The filter knows the sender's name for certain; the name that is
 * printed is looked up later, in a cache that misses one of twenty short-lived processes on a busy machine, or knows an earlier name.
 */
const FILTERS = {
  runc: 'COMM~"runc*"',
  others: '!(COMM~"runc*")&&(sig==9||sig==15||(sig==17&&comm~"containerd-shim*"))',
} as const
type Sender = keyof typeof FILTERS

export interface Signal {
  readonly number: number
  /** si_code: 0 sent by a process, 128 by the kernel; of SIGCHLD 1 exited, 2 killed, 3 dumped core. */
  readonly code: number
  /** 0 delivered, 1 ignored (the kernel dropped it), 2 already pending. */
  readonly result: number
  readonly sender: { readonly comm: string; readonly pid: number }
  readonly target: { readonly comm: string; readonly pid: number }
  /** CLOCK_MONOTONIC, cut to whole microseconds. */
  readonly mono: Micros
}

const LINE =
  /^\s*(.+)-(\d+)\s+\[\d+\]\s+\S+\s+(\d+)\.(\d{6}): signal_generate: sig=(\d+) errno=-?\d+ code=(-?\d+) comm=(.*) pid=(\d+) grp=\d+ res=(\d+)$/

/** One line of trace_pipe; undefined for the lines that tell of lost events and the like. */
function parseSignal(line: string): Signal | undefined {
  const match = LINE.exec(line)
  if (match === null) return undefined
  const [, senderComm = '', senderPid, seconds, micros, number, code, targetComm = '', targetPid, result] = match
  return {
    number: Number(number),
    code: Number(code),
    result: Number(result),
    sender: { comm: senderComm, pid: Number(senderPid) },
    target: { comm: targetComm, pid: Number(targetPid) },
    mono: Number(seconds) * 1_000_000 + Number(micros),
  }
}

/**
 * The kernel's own record of signals, in trace instances of this process alone. `cat` reads the pipes: the stamps are the
 * kernel's, so neither its speed nor that of this process's event loop matters, as long as no ring buffer overflows;
 * if one does, `lost` says so.
 */
export class KernelTrace {
  /** In the order in which they were sent. */
  readonly signals: Signal[] = []
  lost = 0
  readonly #pipes: readonly Pipe[]

  constructor(onSignal: (signal: Signal) => void) {
    removeStaleInstances()
    const take = (signal: Signal) => {
      // Two pipes are read, each in its order.
      const before = this.signals.findLastIndex(({ mono }) => mono <= signal.mono)
      this.signals.splice(before + 1, 0, signal)
      onSignal(signal)
    }
    this.#pipes = (['runc', 'others'] as const).map((sender) => new Pipe(sender, take, () => this.lost++))
  }

  async stop(): Promise<void> {
    for (const pipe of this.#pipes) await pipe.stop()
  }
}

class Pipe {
  readonly #folder: string
  readonly #reader: ChildProcess
  #rest = ''

  constructor(sender: Sender, onSignal: (signal: Signal) => void, onLost: () => void) {
    this.#folder = join(INSTANCES, `${PREFIX}${process.pid}-${sender}`)
    try {
      mkdirSync(this.#folder)
    } catch (error) {
      throw new Error(`${this.#folder} cannot be made: tracefs has to be mounted at /sys/kernel/tracing, and this needs root`, {
        cause: error,
      })
    }
    const write = (file: string, text: string) => writeFileSync(join(this.#folder, file), text)
    write('trace_clock', 'mono')
    write('events/signal/signal_generate/filter', FILTERS[sender])
    write('events/signal/signal_generate/enable', '1')
    this.#reader = spawn('cat', [join(this.#folder, 'trace_pipe')], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#reader.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) {
        const signal = parseSignal(line)
        if (signal !== undefined) onSignal(named(signal, sender))
        else if (line.includes('LOST')) onLost()
      }
    })
  }

  async stop(): Promise<void> {
    writeFileSync(join(this.#folder, 'events/signal/signal_generate/enable'), '0')
    const gone = new Promise((done) => this.#reader.once('close', done))
    this.#reader.kill('SIGKILL')
    await gone
    for (let tries = 0; ; tries += 1) {
      try {
        rmdirSync(this.#folder)
        return
      } catch (error) {
        // The kernel lets go of the pipe a moment after its reader has ended.
        if (tries === 50) throw error
        await sleep(20)
      }
    }
  }
}

/** With a name that agrees with what the filter knew. */
function named(signal: Signal, sender: Sender): Signal {
  const { comm, pid } = signal.sender
  if (comm.startsWith('runc') === (sender === 'runc')) return signal
  return { ...signal, sender: { comm: sender === 'runc' ? 'runc' : '<...>', pid } }
}

function removeStaleInstances(): void {
  for (const name of readdirSync(INSTANCES)) {
    if (!name.startsWith(PREFIX)) continue
    try {
      process.kill(Number.parseInt(name.slice(PREFIX.length), 10), 0)
    } catch {
      rmdirSync(join(INSTANCES, name))
    }
  }
}
