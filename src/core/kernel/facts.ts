/** What the agent knows of one container: signals, ends and looks at its processes, each at a time of the monotonic clock. */
import type { Micros } from '../time.ts'
import type { RuntimeName, SignalMasks } from './proc.ts'

/**
 * Where a process stands, seen from the container that it sends a signal to. Kernel: nobody's decision but the kernel's (si_code says
 * so). Unknown: it was gone before it could be looked at, and nothing later told.
 */
export type Origin = 'Runtime' | 'Kernel' | 'Container' | 'Pod' | 'OtherPod' | 'Node' | 'Unknown'

/**
 * First: the process that the runtime started for the container and sends its signals to; PID 1 where the container has its own PID
 * namespace. Exec: started in the container from outside (hooks, probes, kubectl exec). Below: descends from First or Exec.
 */
export type Part = 'First' | 'Below' | 'Exec' | 'Unknown'

export interface Sender {
  readonly pid: number
  comm?: string
  /** Unknown may become known when the process ends and its parent is told. */
  origin: Origin
  /** Only where origin is Container. */
  part?: Part
}

export interface SignalFact {
  readonly type: 'Signal'
  readonly mono: Micros
  readonly number: number
  readonly code: number
  readonly result: number
  readonly sender: Sender
  readonly target: { readonly pid: number; readonly comm: string; readonly part: Part }
}

/** A process that the runtime waits for has ended, between earliest and latest. */
export interface ExitFact {
  readonly type: 'Exit'
  readonly pid: number
  readonly part: 'First' | 'Exec'
  readonly earliest: Micros
  readonly latest: Micros
  readonly how: 'Exited' | 'Killed' | 'Dumped' | 'Unknown'
}

export interface OomFact {
  readonly type: 'Oom'
  readonly mono: Micros
  readonly pid: number
  readonly part: Part
  readonly comm?: string
}

/** The runtime started a process in the container, between earliest and latest. */
export interface ExecFact {
  readonly type: 'Exec'
  readonly pid: number
  readonly earliest: Micros
  readonly latest: Micros
}

/** One process as a look at /proc showed it. */
export interface ProcessView {
  readonly pid: number
  /** In its own PID namespace. */
  readonly nsPid: number
  /** Of its parent, in the same namespace; 0 where that is outside of it. */
  readonly nsParent: number
  readonly part: Part
  readonly comm: string
  readonly argv0?: string
  /** It was started before this; the kernel tells that to 10 ms. */
  readonly startedBefore: Micros
  readonly signals: SignalMasks
}

/** The container's processes, parents first. */
export interface LookFact {
  readonly type: 'Look'
  /** Begun and ended; a process can have changed in between. */
  readonly from: Micros
  readonly to: Micros
  readonly processes: readonly ProcessView[]
  /** How many more there were than were looked at. */
  readonly more: number
  /** The container process was ending by then, and some of those below it may have been gone already. */
  readonly partial?: true
}

export type ContainerFact = SignalFact | ExitFact | OomFact | ExecFact | LookFact

export type PidNamespace = 'Container' | 'Pod' | 'Node' | 'Unknown'

export interface ContainerEvidence {
  /** 64 hexadecimal digits. */
  readonly containerId: string
  readonly runtime?: RuntimeName
  readonly pidNamespace: PidNamespace
  readonly facts: readonly ContainerFact[]
  /** Facts that there was no room for. */
  readonly dropped: number
}

/** Something may have gone unseen between the two. */
export interface TraceGap {
  /** Absent: from before anything was seen. */
  readonly from?: Micros
  readonly to: Micros
  /** A part of a sentence. */
  readonly reason: string
  /** How many events, where the kernel said. */
  readonly lost: number
}

/** Runtimes and what they leave with the container: all of them, by the names that the kernel has. */
const RUNTIME_COMM = /^(runc|crun|youki|containerd|conmon|dockerd|docker-init|crio)/

export const isRuntimeName = (comm: string): boolean => RUNTIME_COMM.test(comm)

/** The runtime's command itself. Not `runc:[2:INIT]`, which is the name that the program of a container has before it is started. */
const RUNTIME_COMMAND = /^(runc|crun|youki)$/

export const isRuntimeCommand = (comm: string): boolean => RUNTIME_COMMAND.test(comm)
