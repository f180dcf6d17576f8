/**
 * What the agent of the pod's node measured of each container, as intervals on the node's clock. An agent's word is checked like any
 * other: what contradicts itself is left out, and what was not seen is denied only where nothing can have gone unseen.
 */
import type { KernelContainer, KernelFacts } from '../../api/kernel.ts'
import { type Micros, parseTime } from '../time.ts'
import type { Clocks, Interval } from './clocks.ts'
import type { ContainerHistory } from './history.ts'

export interface Measured {
  readonly facts: KernelContainer
  /** Stop signal, SIGKILL and end of the container process; end of its exec hook. */
  readonly stop: Interval | undefined
  readonly kill: Interval | undefined
  readonly exit: Interval | undefined
  readonly preStop: Interval | undefined
  /** It is a later run of the container than the one that the pod's last status is about. */
  readonly later: boolean
  /** What was left out: parts of the container's facts whose times cannot be true. */
  readonly distrusted: readonly string[]
  /** Whether nothing that was sent to the container process from then to its end can have gone unseen. */
  readonly whole: (from: Micros) => boolean
}

interface Moment {
  readonly at: string
  readonly earliest: string
  readonly latest: string
}

/** @returns undefined where the texts are no times, or cross */
export function momentOf({ at, earliest, latest }: Moment): Interval | undefined {
  const [low, best, high] = [parseTime(earliest), parseTime(at), parseTime(latest)]
  if (low === undefined || best === undefined || high === undefined || low > best || best > high) return undefined
  return { earliest: low, at: best, latest: high }
}

/** The runtime's own id, whether its name stands in front or not. */
const idOf = (containerID: string): string => containerID.slice(containerID.lastIndexOf('/') + 1)

/**
 * By the container's id. An entry of that name with another id is an earlier run, unless the pod's last status is about a run that had
 * not ended: then nobody saw the pod since, and it is a later one.
 */
function entryOf(
  kernel: KernelFacts,
  { spec, status, lastStart }: ContainerHistory,
): { facts: KernelContainer; later: boolean } | undefined {
  const entries = kernel.containers ?? []
  const told = status?.containerID ?? status?.terminated?.containerID
  const id = told === undefined ? undefined : idOf(told)
  const same = entries.find(({ containerID }) => idOf(containerID) === id)
  if (same !== undefined) return { facts: same, later: false }
  const named = entries.filter(({ name }) => name === spec.name)
  const [facts] = named
  if (facts === undefined || named.length > 1) return undefined
  if (id === undefined) return { facts, later: false }
  const ended = facts.exit === undefined ? undefined : momentOf(facts.exit)
  const earlier = status?.terminated !== undefined || (ended !== undefined && ended.latest < lastStart)
  return earlier ? undefined : { facts, later: true }
}

/** @returns undefined where the facts name no such container */
export function measure(kernel: KernelFacts | undefined, container: ContainerHistory): Measured | undefined {
  const entry = kernel === undefined ? undefined : entryOf(kernel, container)
  if (kernel === undefined || entry === undefined) return undefined
  const { facts } = entry
  const distrusted: string[] = []
  const take = (what: string, moment: Moment | undefined): Interval | undefined => {
    const found = moment === undefined ? undefined : momentOf(moment)
    if (moment !== undefined && found === undefined) distrusted.push(what)
    return found
  }
  const exit = take('exit', facts.exit)
  // What was sent to a process that had ended did nothing to it.
  const before = (sent: Interval | undefined) =>
    sent === undefined || (exit !== undefined && sent.earliest > exit.latest) ? undefined : sent
  const ended = facts.exit?.how === 'Exited'
  const kill = before(take('SIGKILL', facts.kill))
  return {
    ...entry,
    exit,
    stop: before(take('stop signal', facts.stopSignal)),
    // It came while the process was ending itself.
    kill: ended ? undefined : kill,
    preStop: take('end of the preStop hook', facts.preStop),
    distrusted,
    // What was left out may be the very signal that is asked for.
    whole: (from) =>
      distrusted.length === 0 &&
      exit !== undefined &&
      facts.exit?.how !== 'Unknown' &&
      facts.notes === undefined &&
      unbroken(kernel, from, exit.latest),
  }
}

/**
 * The node's clock by what its agent knows of the API server's, to some hundredths of a second: without it no more is known than the
 * API's whole seconds allow. Where the two contradict each other a clock was set, and nothing is added.
 */
export function comparedByAgent(clocks: Clocks, kernel: KernelFacts | undefined): Clocks {
  if (kernel?.apiServerClock === undefined || kernel.wallClockSet === true) return clocks
  const { earliestMicroseconds: earliest, latestMicroseconds: latest } = kernel.apiServerClock
  if (earliest > latest) return clocks
  const api = clocks.offset('APIServer')
  return clocks.with('Node', { earliest: api.earliest - latest, latest: api.latest - earliest })
}

export interface MeasuredMark extends Interval {
  readonly mark: 'StopSignal' | 'Kill' | 'ContainerExited'
  readonly container: string
}

/**
 * Marks of a pod of which nobody has the object any more, by the names that the agent knew. A name that stands there twice had an
 * earlier run, and which of its signals were of this termination cannot be told.
 */
export function marksOfAbsent(kernel: KernelFacts | undefined): MeasuredMark[] {
  const entries = kernel?.containers ?? []
  return entries.flatMap(({ name, stopSignal, kill, exit }) => {
    if (name === undefined || entries.filter((other) => other.name === name).length > 1) return []
    const end = exit === undefined ? undefined : momentOf(exit)
    const mark = (what: MeasuredMark['mark'], moment: Moment | undefined): MeasuredMark[] => {
      const at = moment === undefined ? undefined : momentOf(moment)
      return at === undefined || (end !== undefined && at.earliest > end.latest) ? [] : [{ mark: what, container: name, ...at }]
    }
    return [
      ...mark('StopSignal', stopSignal),
      ...(exit?.how === 'Exited' ? [] : mark('Kill', kill)),
      ...mark('ContainerExited', exit),
    ]
  })
}

/** The trace was read all the time, and the kernel threw nothing away. */
function unbroken(kernel: KernelFacts, from: Micros, to: Micros): boolean {
  const [since, until] = [parseTime(kernel.tracedFrom), parseTime(kernel.tracedUntil)]
  if (since === undefined || until === undefined || since > from || until < to || kernel.lostEvents > 0) return false
  return !(kernel.gaps ?? []).some((gap) => {
    const begun = gap.from === undefined ? Number.NEGATIVE_INFINITY : parseTime(gap.from)
    const over = parseTime(gap.to)
    return begun === undefined || over === undefined || (begun <= to && over >= from)
  })
}

/**
 * The container as its status and the kernel together show it: what the kernel saw to run did run, and when it ended, before the
 * termination or in it, is known.
 *
 * @param notBefore the termination is not before this, and began by `startBy`; on the node's clock
 */
export function asMeasured(
  container: ContainerHistory,
  measured: Measured | undefined,
  notBefore: Micros,
  startBy: Micros,
): ContainerHistory {
  if (measured === undefined) return container
  const { exit, stop } = measured
  const during = stop !== undefined ? stop.latest >= notBefore : exit !== undefined && exit.earliest > startBy
  const before = exit !== undefined && exit.latest < notBefore
  const { status } = container
  return {
    ...container,
    // The status is about an earlier run.
    ...(measured.later && status !== undefined
      ? { status: { name: status.name, restartCount: status.restartCount }, terminatedIn: undefined }
      : {}),
    started: true,
    neverRan: false,
    ...(before ? { endedBefore: true, endedUnseen: false } : during ? { endedBefore: false, endedUnseen: false } : {}),
  }
}
