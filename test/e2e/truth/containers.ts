import { basename } from 'node:path'
import type { ContainerRole, PreStopHandler } from '../../../src/core/evidence.ts'
import type { Micros } from '../../../src/core/time.ts'
import type { Raw } from '../api.ts'
import type { Line } from '../watch.ts'
import type { ContainerProcesses } from './container-processes.ts'
import type { Interval } from './interval.ts'
import type { Signal } from './kernel-trace.ts'
import type { RuntimeEvents } from './runtime-events.ts'
import type { WallClock } from './wall-clock.ts'
import { timeOf, type Word } from './words.ts'

const SIGKILL = 9
const SIGTERM = 15
const SIGCHLD = 17
const SIGURG = 23
/** runc is a Go program: SIGURG is how its runtime preempts its own threads, PID 1's too before it becomes the container's. */
const NO_STOP_SIGNALS: ReadonlySet<number> = new Set([SIGCHLD, SIGURG])
const FROM_KERNEL = 128
const DROPPED = 1
/** How long a shim may take to learn of an exit on a busy machine. */
const NOTED_WITHIN: Micros = 300_000
const SIGNAL_NAMES: Record<number, string> = { 3: 'SIGQUIT', 9: 'SIGKILL', 10: 'SIGUSR1', 12: 'SIGUSR2', 15: 'SIGTERM' }

/** Where the process that sent a SIGKILL belongs; Node: it is this test. */
export type Place = 'Container' | 'Pod' | 'OtherPod' | 'Node'

/** What the kernel, the runtime and the workload tell about one container. */
export interface ContainerTruth {
  readonly name: string
  readonly role: ContainerRole
  /** Of its last run; absent where it never ran. */
  readonly id?: string
  readonly preStop?: { readonly handler: PreStopHandler; readonly seconds?: number }
  /** Runs of the preStop hook, by its own words: it had been started by then, and ended then. */
  readonly hooks: readonly { readonly startedBy: Micros; readonly ended?: Interval }[]
  readonly stopSignal?: {
    readonly signal: string
    readonly at: Interval
    /** Ignored: PID 1 has no handler, so the kernel dropped it. */
    readonly result: 'Delivered' | 'Ignored'
  }
  /** A process other than PID 1 got the stop signal as well. */
  readonly forwarded: boolean
  /** When the first of these got it. */
  readonly forwardedAt?: Interval
  readonly kill?: { readonly at: Interval; readonly by: 'Runtime' | 'OOM' | 'Other'; readonly from?: Place }
  readonly exit?: { readonly at: Interval; readonly how?: 'Exited' | 'Killed' | 'Dumped'; readonly code?: number }
  /** When the workload says that it took the signal. */
  readonly tookSignal?: Interval
}

type Kill = NonNullable<ContainerTruth['kill']>

export interface Instruments {
  readonly clock: WallClock
  readonly signals: readonly Signal[]
  readonly processes: ContainerProcesses
  readonly runtime: RuntimeEvents
  readonly wordsOf: (podUid: string, container: string) => readonly Word[]
}

export function containerTruths(lines: readonly Line[], instruments: Instruments): ContainerTruth[] {
  const spec: Raw = lines.at(-1)?.object.spec
  const uid: string = lines.at(-1)?.object.metadata.uid
  const entries: [Raw, ContainerRole][] = [
    ...(spec.initContainers ?? []).map((it: Raw) => [it, it.restartPolicy === 'Always' ? 'Sidecar' : 'Init']),
    ...spec.containers.map((it: Raw) => [it, 'Main']),
    ...(spec.ephemeralContainers ?? []).map((it: Raw) => [it, 'Ephemeral']),
  ]
  return entries.map(([container, role]) => {
    const id = lastContainerId(lines, container.name)
    const words = instruments.wordsOf(uid, container.name)
    const hook = hookOf(container)
    return {
      name: container.name,
      role,
      ...(hook === undefined ? {} : { preStop: hook }),
      hooks: hookRuns(words, instruments.clock),
      ...(id === undefined ? { forwarded: false } : { id, ...fromSignals(id, instruments) }),
      ...tookSignal(words),
    }
  })
}

/** The id of the last run of the container that the API showed. */
function lastContainerId(lines: readonly Line[], name: string): string | undefined {
  for (const { object } of lines.toReversed()) {
    const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = object.status ?? {}
    for (const status of [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses]) {
      if (status.name === name && status.containerID) return basename(status.containerID)
    }
  }
  return undefined
}

function hookOf(container: Raw): { handler: PreStopHandler; seconds?: number } | undefined {
  const preStop = container.lifecycle?.preStop
  if (preStop?.exec) return { handler: 'Exec' }
  if (preStop?.httpGet) return { handler: 'HTTPGet' }
  if (preStop?.tcpSocket) return { handler: 'TCPSocket' }
  if (preStop?.sleep) return { handler: 'Sleep', seconds: preStop.sleep.seconds }
  return undefined
}

function hookRuns(words: readonly Word[], clock: WallClock): ContainerTruth['hooks'] {
  const runs: { startedBy: Micros; ended?: Interval }[] = []
  for (const word of words) {
    if (word.what === 'hook-start') {
      const forked = word.startTicks === undefined ? undefined : clock.atBootTicks(word.startTicks)
      runs.push({ startedBy: Math.min(timeOf(word).latest, forked?.latest ?? Number.POSITIVE_INFINITY) })
    }
    const run = runs.at(-1)
    if (word.what === 'hook-end' && run !== undefined) run.ended = timeOf(word)
  }
  return runs
}

function tookSignal(words: readonly Word[]): { tookSignal?: Interval } {
  const word = words.find(({ what }) => what === 'signal')
  return word === undefined ? {} : { tookSignal: timeOf(word) }
}

/**
 * The stop signal and SIGKILL come from runc; SIGKILL of the OOM killer comes from the kernel (code 128) in the name of whoever
 * asked for memory. PID 1's death is the SIGCHLD that its shim gets. What other processes get when PID 1 dies is no kill.
 */
function fromSignals(
  id: string,
  { clock, signals, processes, runtime }: Instruments,
): Omit<ContainerTruth, 'name' | 'role' | 'id' | 'hooks'> {
  const first = processes.firstOf(id)
  if (first === undefined) return { forwarded: false, ...exitTruth(undefined, runtime.exitOf(id), clock) }
  const from = processes.learnedAt(id) - 1_000_000
  let stop: Signal | undefined
  let kill: Signal | undefined
  let exit: Signal | undefined
  let forwarded: Signal | undefined
  for (const signal of signals) {
    if (signal.mono < from) continue
    if (signal.target.pid === first) {
      // PID 1 of a namespace is out of the reach of those in it: the kernel drops what they send.
      if (signal.number === SIGKILL && signal.result !== DROPPED) kill ??= signal
      else if (signal.number !== SIGKILL && fromRuntime(signal, id, processes) && !NO_STOP_SIGNALS.has(signal.number))
        stop ??= signal
    } else if (stop !== undefined && (signal.number === SIGTERM || signal.number === stop.number)) {
      // What PID 1 of a namespace sends stays in it, whether anybody had a look at the receiver or not.
      if (signal.sender.pid === first || processes.of(signal.target.pid)?.containerId === id) forwarded ??= signal
    }
    if (
      signal.number === SIGCHLD &&
      processes.whoseFirst(signal.sender.pid) === id &&
      signal.target.comm.startsWith('containerd-shim')
    ) {
      exit = signal
      break
    }
  }
  const told = runtime.exitOf(id)
  return {
    forwarded: forwarded !== undefined,
    ...(forwarded && { forwardedAt: clock.at(forwarded.mono) }),
    ...(stop && {
      stopSignal: {
        signal: SIGNAL_NAMES[stop.number] ?? String(stop.number),
        at: clock.at(stop.mono),
        result: stop.result === DROPPED ? 'Ignored' : 'Delivered',
      } as const,
    }),
    ...(kill && { kill: { at: clock.at(kill.mono), ...killer(kill, id, processes) } }),
    ...exitTruth(exit, told, clock),
  }
}

/** The trace names a sender as it was last seen: a program that runc has just made way for in a container may still be called runc. */
const fromRuntime = ({ sender }: Signal, id: string, processes: ContainerProcesses): boolean =>
  sender.comm.startsWith('runc') && processes.of(sender.pid)?.containerId !== id

/**
 * The kernel names the thread that ended last as the sender. Where that one came and went unknown (a program of many threads that
 * ended by itself), the runtime's own time stands for it: the shim notes an exit a moment after it.
 */
function exitTruth(
  exit: Signal | undefined,
  told: { readonly code: number; readonly at: Micros } | undefined,
  clock: WallClock,
): Pick<ContainerTruth, 'exit'> {
  if (exit === undefined && told === undefined) return {}
  const code = told === undefined ? {} : { code: told.code }
  if (exit === undefined) {
    const at = told?.at ?? 0
    return { exit: { at: { earliest: at - NOTED_WITHIN, latest: at + 1 }, ...code } }
  }
  const how = exit.code === 1 ? 'Exited' : exit.code === 3 ? 'Dumped' : 'Killed'
  return { exit: { at: clock.at(exit.mono), how, ...code } }
}

function killer({ code, sender }: Signal, id: string, processes: ContainerProcesses): Omit<Kill, 'at'> {
  if (code === FROM_KERNEL) return { by: 'OOM' }
  if (sender.comm.startsWith('runc')) return { by: 'Runtime' }
  if (sender.pid === process.pid) return { by: 'Other', from: 'Node' }
  const from = processes.of(sender.pid)
  if (from === undefined) return { by: 'Other' }
  if (from.containerId === id) return { by: 'Other', from: 'Container' }
  return { by: 'Other', from: from.podUid === processes.podOf(id) ? 'Pod' : 'OtherPod' }
}
