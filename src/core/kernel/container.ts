/** Facts of one container -> its entry in the record. Pure; the order of the facts does not matter. */
import type { KernelContainer, KernelProcess, KernelSignal } from '../../api/kernel.ts'
import { MAX_NOTES, MAX_OOM_KILLS } from '../../api/kernel-limits.ts'
import type { Interval } from '../termination/clocks.ts'
import { formatTime, MILLISECOND, type Micros } from '../time.ts'
import {
  type ContainerEvidence,
  type ContainerFact,
  type ExitFact,
  isRuntimeName,
  type LookFact,
  type OomFact,
  type ProcessView,
  type SignalFact,
  type TraceGap,
} from './facts.ts'
import { cleanName, type Disposition, dispositionOf } from './proc.ts'
import { SIGKILL, SIGTERM, signalName } from './signals.ts'

export interface ContainerContext {
  /** As the status names it, and its id with the runtime in front. */
  readonly name?: string
  readonly containerID?: string
  /** Its pod has an exec preStop hook for it. */
  readonly execPreStop: boolean
  /** It has probes that start processes in it, which cannot be told from a hook. */
  readonly execProbes: boolean
  /** The pod's end was not asked for before this; absent where that is not known. */
  readonly endingFrom?: Micros
  readonly now: Micros
  readonly gaps: readonly TraceGap[]
  readonly wall: (mono: Micros) => Interval
  /** Longest lists. */
  readonly room: { readonly processes: number; readonly signals: number }
}

/** A process that is ending drops what it is sent, as one does that has no handler (kernel/signal.c, prepare_signal). */
const ENDING: Micros = 100 * MILLISECOND
/** oom:mark_victim and the SIGKILL that goes with it come from one function of the kernel. */
const OOM_WITHIN: Micros = 100 * MILLISECOND

const byTime = (a: SignalFact, b: SignalFact) => a.mono - b.mono

class Facts {
  readonly signals: readonly SignalFact[]
  readonly exits: readonly ExitFact[]
  readonly ooms: readonly OomFact[]
  readonly looks: readonly LookFact[]
  readonly execs: readonly Extract<ContainerFact, { type: 'Exec' }>[]

  constructor(facts: readonly ContainerFact[]) {
    const of = <T extends ContainerFact['type']>(type: T) =>
      facts.filter((fact): fact is Extract<ContainerFact, { type: T }> => fact.type === type)
    this.signals = of('Signal').sort(byTime)
    this.exits = of('Exit').sort((a, b) => a.latest - b.latest)
    this.ooms = of('Oom').sort((a, b) => a.mono - b.mono)
    this.looks = of('Look').sort((a, b) => a.from - b.from)
    this.execs = of('Exec')
  }

  get exit(): ExitFact | undefined {
    return this.exits.find(({ part }) => part === 'First')
  }

  toFirst(): SignalFact[] {
    return this.signals.filter(({ target }) => target.part === 'First')
  }
}

export function summariseContainer(evidence: ContainerEvidence, context: ContainerContext): KernelContainer {
  const facts = new Facts(evidence.facts)
  const stop = stopSignalOf(facts, context.endingFrom)
  const notes: string[] = []
  const { exit } = facts
  const kill = killOf(facts, evidence)
  const process = processOf(facts, evidence, stop)
  const below = processesBelow(facts, stop, context)
  const passedOn = stop === undefined ? undefined : passedOnOf(facts, stop, context)
  const oomKills = facts.ooms.filter(({ part }) => part !== 'First').slice(0, MAX_OOM_KILLS)
  // Where process ids are the node's, an orphan becomes a child of the shim and looks like a hook.
  const preStop = evidence.pidNamespace === 'Node' ? undefined : preStopOf(facts, stop, context)
  const signals = signalsOf(facts, context)
  const gone = facts.toFirst().find(({ sender, code }) => sender.origin === 'Unknown' && code !== SI_KERNEL)
  if (gone !== undefined) notes.push(goneSender(gone, facts, evidence))
  if (evidence.dropped > 0) notes.push(`${evidence.dropped} facts had no room and were dropped`)
  return {
    ...(context.name === undefined ? {} : { name: context.name }),
    containerID: context.containerID ?? idOf(evidence),
    pidNamespace: evidence.pidNamespace,
    ...(process === undefined ? {} : { process }),
    ...(stop === undefined
      ? {}
      : {
          stopSignal: {
            number: stop.number,
            name: signalName(stop.number),
            ...moment(context.wall(stop.mono)),
            result: stopResult(facts, stop, evidence),
            ...senderName(stop),
          },
        }),
    ...(passedOn === undefined ? {} : { passedOn }),
    ...(below.processes.length === 0 ? {} : { processes: below.processes }),
    ...(below.more === 0 ? {} : { processesMore: below.more }),
    ...(kill === undefined ? {} : { kill: { ...moment(context.wall(kill.fact.mono)), by: kill.by, ...senderName(kill.fact) } }),
    ...(oomKills.length === 0
      ? {}
      : {
          oomKills: oomKills.map(({ mono, pid, comm }) => ({
            ...moment(context.wall(mono)),
            pid,
            ...(comm === undefined ? {} : { comm: cleanName(comm) }),
          })),
        }),
    ...(exit === undefined ? {} : { exit: { ...span(context, exit.earliest, exit.latest), how: exit.how } }),
    ...(preStop === undefined ? {} : { preStop }),
    ...(signals.shown.length === 0 ? {} : { signals: signals.shown }),
    ...(signals.more === 0 ? {} : { signalsMore: signals.more }),
    ...(notes.length === 0 ? {} : { notes: notes.slice(0, MAX_NOTES) }),
  }
}

const idOf = ({ runtime, containerId }: ContainerEvidence) =>
  runtime === undefined ? containerId : `${runtime}://${containerId}`

const moment = ({ at, earliest, latest }: Interval) => ({
  at: formatTime(at),
  earliest: formatTime(earliest),
  latest: formatTime(latest),
})

function span({ wall }: ContainerContext, earliest: Micros, latest: Micros) {
  const from = wall(earliest)
  const to = wall(latest)
  return moment({ earliest: from.earliest, at: earliest === latest ? from.at : to.at, latest: to.latest })
}

const senderName = ({ sender }: SignalFact) => (sender.comm === undefined ? {} : { sender: cleanName(sender.comm) })

/** The first that the runtime sent, other than SIGKILL, since the pod's end was asked for. */
function stopSignalOf(facts: Facts, endingFrom: Micros | undefined): SignalFact | undefined {
  return facts
    .toFirst()
    .find(
      ({ number, sender, mono }) =>
        sender.origin === 'Runtime' && number !== SIGKILL && (endingFrom === undefined || mono >= endingFrom),
    )
}

const namespaceInit = ({ pidNamespace }: ContainerEvidence) => pidNamespace === 'Container'

const viewOfFirst = (look: LookFact): ProcessView | undefined => look.processes.find(({ part }) => part === 'First')

/** Looks at the container process, those first that say what was when the signal came: the last before it, then the first after it. */
function looksAround(facts: Facts, mono: Micros): ProcessView[] {
  const before = facts.looks.filter(({ to }) => to <= mono).reverse()
  const after = facts.looks.filter(({ to }) => to > mono)
  return [...before, ...after].flatMap((look) => viewOfFirst(look) ?? [])
}

function stopResult(
  facts: Facts,
  stop: SignalFact,
  evidence: ContainerEvidence,
): NonNullable<KernelContainer['stopSignal']>['result'] {
  if (stop.result === 2) return 'Pending'
  if (stop.result !== 1) return 'Delivered'
  const disposition = dispositionAt(facts, evidence, stop)
  if (disposition === 'Ignored' || (disposition === 'Default' && namespaceInit(evidence))) return 'Ignored'
  const { exit } = facts
  const killed = facts.toFirst().some(({ number, result, mono }) => number === SIGKILL && result === 0 && mono <= stop.mono)
  const ending = exit !== undefined && exit.earliest <= stop.mono + ENDING
  // With a handler in every look: was it taken away for a moment, or was the program ending? Nobody knows.
  return killed || ending || looksAround(facts, stop.mono).length > 0 ? 'Unknown' : 'Ignored'
}

function processOf(facts: Facts, evidence: ContainerEvidence, stop: SignalFact | undefined): KernelContainer['process'] {
  const views = facts.looks.flatMap((look) => viewOfFirst(look) ?? [])
  const last = views.at(-1)
  const targeted = facts.toFirst().at(-1)
  if (last === undefined) {
    return targeted === undefined ? undefined : { comm: cleanName(targeted.target.comm), disposition: 'Unknown' }
  }
  return {
    comm: cleanName(last.comm),
    ...(last.argv0 === undefined ? {} : { argv0: last.argv0 }),
    disposition: stop === undefined ? dispositionOf(last.signals, SIGTERM) : dispositionAt(facts, evidence, stop),
  }
}

/** What the looks say, as far as the kernel's verdict on the signal allows it: a handler can be set or taken away in between. */
function dispositionAt(facts: Facts, evidence: ContainerEvidence, stop: SignalFact): Disposition | 'Unknown' {
  const keeps = (found: Disposition) => found === 'Handler' || found === 'Blocked'
  const possible = (found: Disposition) => {
    if (stop.result === 1) return !keeps(found)
    return keeps(found) || (found === 'Default' && !namespaceInit(evidence))
  }
  const dispositions = looksAround(facts, stop.mono).map(({ signals }) => dispositionOf(signals, stop.number, stop.result === 1))
  const found = dispositions.find(possible)
  if (found !== undefined) return found
  // While a program waits for a signal in sigtimedwait(2), as tini does, /proc shows that signal as not blocked (kernel/signal.c,
  // do_sigtimedwait); that the kernel kept it for a PID 1 without a handler says that it was.
  const waiting = stop.result === 0 && namespaceInit(evidence) && dispositions.length > 0
  return waiting && dispositions.every((one) => one === 'Default') ? 'Blocked' : 'Unknown'
}

const overlaps = (gap: TraceGap, from: Micros, to: Micros) => gap.to >= from && (gap.from ?? 0) <= to

/** A look that is older than this says little of what was below when the signal came. */
const RECENT: Micros = 1_000_000

/**
 * What was below when the signal came: what a look just before it showed, and what the first after it shows, but for what the shutdown
 * itself has started since. Without either, the last look before; that counts as well where the one after came as the process was ending.
 */
function lookAt(facts: Facts, stop: SignalFact): LookFact | undefined {
  const whole = facts.looks.filter((look) => viewOfFirst(look) !== undefined)
  const before = whole.findLast(({ to }) => to <= stop.mono)
  const found = whole.find(({ to }) => to > stop.mono)
  if (found === undefined) return before
  const after = {
    ...found,
    processes: found.processes.filter(({ part, startedBefore }) => part === 'First' || startedBefore <= stop.mono),
  }
  if (before === undefined || (before.to <= stop.mono - RECENT && found.partial === undefined)) return after
  const known = new Set(before.processes.map(({ pid }) => pid))
  const processes = [...before.processes, ...after.processes.filter(({ pid }) => !known.has(pid))]
  return { ...before, processes, more: Math.max(before.more, after.more) }
}

/** The stop signal, or SIGTERM, to processes below, by whomever. */
function signalsBelow(facts: Facts, stop: SignalFact): SignalFact[] {
  return facts.signals.filter(
    ({ number, mono, sender, target }) =>
      (number === stop.number || number === SIGTERM) &&
      mono >= stop.mono &&
      (target.part === 'Below' || target.part === 'Unknown') &&
      sender.pid !== target.pid,
  )
}

const passedOnSignals = (facts: Facts, stop: SignalFact): SignalFact[] =>
  signalsBelow(facts, stop).filter(
    ({ sender: { origin, part } }) => origin === 'Container' && (part === 'First' || part === 'Below'),
  )

function passedOnOf(facts: Facts, stop: SignalFact, context: ContainerContext): NonNullable<KernelContainer['passedOn']> {
  const passed = passedOnSignals(facts, stop)
  const [first] = passed
  const last = passed.at(-1)
  if (first !== undefined && last !== undefined) {
    return {
      result: 'PassedOn',
      first: moment(context.wall(first.mono)),
      last: moment(context.wall(last.mono)),
    }
  }
  const unknown = (reason: string) => ({ result: 'Unknown', reason }) as const
  const look = lookAt(facts, stop)
  if (look === undefined) return unknown('the container process was gone before the processes below it could be looked at')
  if (!look.processes.some(({ part }) => part === 'Below') && look.more === 0) {
    return look.partial
      ? unknown('the container process was ending as the processes below it were looked at')
      : { result: 'NothingBelow' }
  }
  if (stop.number !== SIGTERM) {
    return unknown(`below the container process SIGTERM is traced, ${signalName(stop.number)} is not`)
  }
  const nameless = signalsBelow(facts, stop).find(
    ({ sender: { origin, part } }) => origin === 'Unknown' || (origin === 'Container' && part === undefined),
  )
  if (nameless !== undefined)
    return unknown('a process below was sent one by a process that was gone before it could be looked at')
  const until = facts.exit?.latest ?? context.now
  const gap = context.gaps.find((one) => overlaps(one, stop.mono, until))
  return gap === undefined ? { result: 'NotPassedOn' } : unknown(gap.reason)
}

function processesBelow(facts: Facts, stop: SignalFact | undefined, { room, wall }: ContainerContext) {
  const look = stop === undefined ? facts.looks.findLast((one) => viewOfFirst(one) !== undefined) : lookAt(facts, stop)
  const views = look?.processes.filter(({ part }) => part === 'Below') ?? []
  const passed = stop === undefined ? [] : passedOnSignals(facts, stop)
  const processes = views.slice(0, room.processes).map((view): KernelProcess => {
    const signal = passed.find(({ target }) => target.pid === view.pid)
    // SIGKILL is dropped for none below PID 1 but those that are ending already (kernel/signal.c, prepare_signal).
    const left = facts.signals.some((fact) => fact.target.pid === view.pid && fact.result !== 1 && isNamespaceDeath(fact, facts))
    return {
      pid: view.nsPid,
      parent: view.nsParent,
      comm: cleanName(view.comm),
      ...(signal === undefined ? {} : { signalled: moment(wall(signal.mono)) }),
      ...(left ? { leftBehind: true } : {}),
    }
  })
  return { processes, more: views.length - processes.length + (look?.more ?? 0) }
}

const SI_KERNEL = 128

function oomOf(facts: Facts, { target, mono }: SignalFact): OomFact | undefined {
  return facts.ooms.find((oom) => oom.pid === target.pid && Math.abs(oom.mono - mono) <= OOM_WITHIN)
}

/** PID 1 of a namespace takes all others with it: the kernel sends them SIGKILL as it ends. */
function isNamespaceDeath(fact: SignalFact, facts: Facts): boolean {
  return fact.number === SIGKILL && fact.code === SI_KERNEL && fact.target.part !== 'First' && oomOf(facts, fact) === undefined
}

function killOf(
  facts: Facts,
  evidence: ContainerEvidence,
): { fact: SignalFact; by: NonNullable<KernelContainer['kill']>['by'] } | undefined {
  // A process of its own namespace cannot kill PID 1: that SIGKILL is dropped.
  const fact = facts.toFirst().find(({ number, result }) => number === SIGKILL && result !== 1)
  if (fact === undefined) return undefined
  if (fact.code !== SI_KERNEL) return { fact, by: senderOfKill(fact, evidence) }
  if (oomOf(facts, fact) !== undefined) return { fact, by: 'OOM' }
  return { fact, by: evidence.pidNamespace === 'Pod' && fact.sender.pid !== fact.target.pid ? 'Namespace' : 'Kernel' }
}

/** Why it is not told who sent a signal, and what the kernel's own verdict tells all the same. */
function goneSender(fact: SignalFact, facts: Facts, evidence: ContainerEvidence): string {
  const { exit } = facts
  const ending = exit !== undefined && exit.earliest <= fact.mono + ENDING
  const killed = facts.toFirst().some(({ number, result, mono }) => number === SIGKILL && result === 0 && mono <= fact.mono)
  // The only SIGKILL that the kernel drops for a process that is not ending.
  const inside = fact.number === SIGKILL && fact.result === 1 && namespaceInit(evidence) && !ending && !killed
  const by = fact.sender.comm === undefined ? 'a process' : `a process named ${cleanName(fact.sender.comm)}`
  return `${signalName(fact.number)} came from ${by}${inside ? ' in the same PID namespace' : ''} that was gone before it could be looked at`
}

/** From inside its own namespace PID 1 cannot be killed (kernel/signal.c, SIGNAL_UNKILLABLE). */
function senderOfKill({ sender }: SignalFact, evidence: ContainerEvidence): NonNullable<KernelContainer['kill']>['by'] {
  const named = sender.comm !== undefined && !isRuntimeName(sender.comm)
  return sender.origin === 'Unknown' && named && namespaceInit(evidence) ? 'Outside' : sender.origin
}

/** The one process that the runtime started in the container since the end was asked for and before the stop signal. */
function preStopOf(facts: Facts, stop: SignalFact | undefined, context: ContainerContext): KernelContainer['preStop'] {
  const { execPreStop, execProbes, endingFrom, gaps } = context
  if (!execPreStop || execProbes || endingFrom === undefined) return undefined
  const until = stop?.mono ?? facts.exit?.latest ?? context.now
  const candidates = facts.execs.filter(({ earliest, latest }) => latest >= endingFrom && earliest <= until)
  const [hook] = candidates
  if (hook === undefined || candidates.length > 1 || gaps.some((gap) => overlaps(gap, endingFrom, until))) return undefined
  const exit = facts.exits.find(({ part, pid }) => part === 'Exec' && pid === hook.pid)
  if (exit === undefined || exit.how === 'Unknown') return undefined
  return { ...span(context, exit.earliest, exit.latest), how: exit.how }
}

const RESULTS = ['Delivered', 'Ignored', 'Pending', 'Lost', 'Delivered'] as const

/** Those to the container process first, then the earliest; shown in the order of their times. */
function signalsOf(facts: Facts, { wall, room }: ContainerContext): { shown: KernelSignal[]; more: number } {
  const ranked = [...facts.toFirst(), ...facts.signals.filter(({ target }) => target.part !== 'First')].slice(0, room.signals)
  const shown = ranked.sort(byTime).map(
    (fact): KernelSignal => ({
      number: fact.number,
      name: signalName(fact.number),
      ...moment(wall(fact.mono)),
      from: fact.code === SI_KERNEL ? 'Kernel' : fact.sender.origin,
      ...senderName(fact),
      to: fact.target.part,
      target: cleanName(fact.target.comm),
      result: RESULTS[fact.result] ?? 'Lost',
    }),
  )
  return { shown, more: facts.signals.length - shown.length }
}
