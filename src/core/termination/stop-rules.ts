/**
 * What the kubelet does to a container and when, as far as its rules and its Events tell (pkg/kubelet/kuberuntime,
 * kuberuntime_container.go and kuberuntime_termination_order.go): its runs, the hook, the wait of a sidecar, StopContainer, and when
 * SIGKILL is due. All times on the node's clock.
 */
import { type Micros, SECOND } from '../time.ts'
import { type Clocks, type Interval, interval } from './clocks.ts'
import type { ContainerHistory } from './history.ts'
import type { KubeletEvents } from './kubelet-events.ts'
import type { Measured } from './measured.ts'

/** The kubelet raises what is left of the grace period to this before it calls StopContainer (minimumGracePeriodInSeconds). */
export const MINIMUM_STOP = 2 * SECOND

export interface ContainerContext {
  readonly clocks: Clocks
  readonly events: KubeletEvents
  /** The termination is not before this. */
  readonly notBefore: Micros
  /** Best estimate of its start, and the latest; positive infinity where that is not known. */
  readonly startAt: Micros
  readonly startBy: Micros
  /** When the kubelet is known to have taken the deletion in: the arrival, as an interval; undefined where it did not say so. */
  readonly acknowledged: Interval | undefined
  /** Smallest and largest grace period that the kubelet may have had in hand, in seconds; loweredBy: from then on the smallest. */
  readonly grace: { readonly low: number; readonly high: number; readonly loweredBy?: Micros }
  /** Somebody asked for the deletion: its first sight shows what ran then. */
  readonly asked: boolean
  /** The pod is asked or made to end; false for one that ran to its end. */
  readonly stopped: boolean
  /** Nothing can still be learnt of the containers: the object is gone or its phase is terminal. */
  readonly over: boolean
  readonly restartPolicy: string
  /** When the last version of the pod arrived, on the node's clock at the latest. */
  readonly lastSeen: Micros
  /** What the agent of the node measured of this container. */
  readonly measured: Measured | undefined
  /** When the kubelet was done with those containers that come before this one (sidecars only); undefined: not known. */
  readonly waitsFor: readonly (Interval | undefined)[]
}

export interface Hook {
  /** It ended, if it did, within these. */
  readonly ended: Interval | undefined
  readonly result: 'Succeeded' | 'Failed' | 'Overran' | 'Unknown'
  /** StopContainer came no earlier than this, and by that time, if the container was there for it. */
  readonly stopNotBefore: Micros
  readonly stopBy: Micros
  /** The hook is known not to have ended the container itself. */
  readonly outlived: boolean
}

export const wholeStop = (seconds: number): Micros => Math.max(seconds * SECOND, MINIMUM_STOP)

/** The kubelet hears of a change, and turns to all containers with what it knew when it began, within this. */
const TAKE_UP: Micros = 3 * SECOND

/** A kill in flight keeps its grace period, so a shorter one counts only for what began after it (kubernetes#83916). */
function graceAt(killing: Interval, context: ContainerContext): number {
  const { low, high, loweredBy } = context.grace
  return loweredBy !== undefined && killing.earliest >= loweredBy + TAKE_UP ? low : high
}

export function hookOf(
  container: ContainerHistory,
  killings: readonly Interval[],
  exit: Interval | undefined,
  forced: boolean,
  failedAt: Interval | undefined,
  plausible: boolean,
  context: ContainerContext,
): Hook {
  const { preStop } = container.spec
  const graceLow = Math.max(context.grace.low, 1) * SECOND
  const start = killings[0]?.earliest ?? context.notBefore
  // A kubelet that restarts, or tries again, runs the hook once more: what ends it belongs to the last run that began before.
  const last = runOf(killings, failedAt)
  // It turns to all containers at once, so the Killing of another one is near where that of this one is lost.
  const startBy = (last ?? context.events.firstKilling)?.latest ?? context.startBy
  const overBy = startBy + (last === undefined ? Math.max(context.grace.high, 1) : Math.max(graceAt(last, context), 1)) * SECOND
  if (preStop === undefined) {
    const stopBy = killings[0]?.latest ?? startBy
    return { ended: undefined, result: 'Unknown', stopNotBefore: start, stopBy, outlived: true }
  }

  if (preStop.handler === 'Sleep') {
    // A sleep ends by its time alone and does nothing to the container, so only an earlier exit keeps the signal from coming.
    const sleep = (preStop.seconds ?? 0) * SECOND
    const over = start + Math.min(sleep, graceLow)
    const stopBy = Math.min(overBy, startBy + sleep)
    const known: Hook = { ended: undefined, result: 'Unknown', stopNotBefore: over, stopBy, outlived: true }
    // Before its end is reported nobody knows that the container still runs: the kubelet writes one status for all of them, at the end.
    const lived = exit !== undefined && (forced || exit.earliest >= stopBy || (plausible && exit.latest >= stopBy))
    if (!lived || last === undefined) return known
    if (startBy + sleep >= overBy) return { ...known, result: 'Overran' }
    if (sleep >= graceLow) return known
    const latest = Math.max(over, exit.latest - (forced ? MINIMUM_STOP : 0))
    return { ...known, ended: interval(over, latest, last.at + sleep + 2000), result: 'Succeeded' }
  }

  const outlived = forced || (exit !== undefined && last !== undefined && exit.earliest >= overBy)
  if (failedAt !== undefined && last !== undefined && overranByReport(killings, failedAt, context)) {
    // The kubelet waits for the hook to the end of the grace period. An exec hook dies with its container then, which is reported as
    // its failure; one that ends well in the last 2 s is not reported at all, and so not told from one that had been in time.
    const over = killings.length === 1 ? last.earliest + graceLow : start
    return {
      ended: interval(over, failedAt.latest, failedAt.at),
      result: 'Overran',
      stopNotBefore: over,
      stopBy: overBy,
      outlived: true,
    }
  }
  if (failedAt !== undefined) {
    // Reported as soon as it had returned, before StopContainer unless the grace period had ended by then. The same is said of a hook
    // that ends PID 1 itself (kubernetes#39170).
    const inTime = killings.length === 1 && failedAt.latest < start + graceLow
    return {
      ended: interval(last?.earliest ?? context.notBefore, failedAt.latest, failedAt.at),
      result: 'Failed',
      stopNotBefore: inTime ? failedAt.earliest : start,
      stopBy: failedAt.latest,
      outlived: forced || exit === undefined || exit.earliest >= failedAt.latest,
    }
  }
  const unknown: Hook = { ended: undefined, result: 'Unknown', stopNotBefore: start, stopBy: overBy, outlived }
  if (forced && exit !== undefined && exit.latest < start + graceLow + MINIMUM_STOP) {
    // Killed before an overrun hook would have let it: the hook was over at least 2 s before SIGKILL.
    return { ...unknown, ended: interval(start, exit.latest - MINIMUM_STOP) }
  }
  return unknown
}

/** The kubelet's Killing Events follow its first status at once, where nothing is slow. */
const TURN_LATENCY: Micros = 250_000

/**
 * The kubelet had taken the deletion in long before the first Killing Event: then that one is of a later run (a restart, or a retry),
 * and the Event of the first was lost.
 */
export function runsOf(killings: readonly Interval[], context: ContainerContext): readonly Interval[] {
  const [first] = killings
  const { acknowledged, notBefore, startAt } = context
  // By the best estimate: where it is wrong the bounds are only wider than they have to be.
  if (first === undefined || acknowledged === undefined || first.earliest <= acknowledged.at + TURN_LATENCY) return killings
  return [interval(notBefore, first.latest, startAt), ...killings]
}

/** The run of the hook, or of the stop, that `at` belongs to: the last that began before. */
export const runOf = (killings: readonly Interval[], at: Interval | undefined): Interval | undefined =>
  killings.findLast(({ earliest }) => at === undefined || earliest <= at.latest)

/** The kubelet reported the hook only when it had no longer waited for it. */
export function overranByReport(
  killings: readonly Interval[],
  failedAt: Interval | undefined,
  context: ContainerContext,
): boolean {
  const run = runOf(killings, failedAt)
  if (failedAt === undefined || run === undefined) return false
  return failedAt.earliest >= run.latest + Math.max(graceAt(run, context), 1) * SECOND
}

/** When SIGKILL is due: at the end of the grace period, and no less than 2 s after a hook whose time is known. */
function due(container: ContainerHistory, began: Micros, grace: number, overran: boolean): Micros {
  const { preStop } = container.spec
  const waited = overran
    ? Math.max(grace, 1)
    : preStop?.handler === 'Sleep'
      ? Math.min(preStop.seconds ?? 0, Math.max(grace, 1))
      : 0
  return began + Math.max(wholeStop(grace), waited * SECOND + MINIMUM_STOP)
}

/** True where the container's end at this time with 137 is the runtime's SIGKILL: no other end is left once the grace is over. */
export function ranOutOfGrace(
  container: ContainerHistory,
  exit: Interval | undefined,
  killings: readonly Interval[],
  overran: boolean,
  context: ContainerContext,
): boolean {
  if (exit === undefined) return false
  if (killings.length === 0) return exit.latest >= due(container, context.startBy, context.grace.high, false)
  return killings.some((killing) => exit.latest >= due(container, killing.latest, graceAt(killing, context), overran))
}

/** A sidecar waits for its turn, but no longer than the grace period. */
export function turnOf(container: ContainerHistory, hook: Hook, killings: readonly Interval[], context: ContainerContext): Hook {
  if (container.spec.role !== 'Sidecar') return hook
  const last = killings.at(-1)
  const over = (killings[0]?.earliest ?? context.notBefore) + Math.max(context.grace.low, 1) * SECOND
  // What its hook took is counted in whole seconds, so the rest of a second comes on top.
  const rest = container.spec.preStop === undefined ? 0 : SECOND
  const overBy = last === undefined ? Number.POSITIVE_INFINITY : last.latest + Math.max(graceAt(last, context), 1) * SECOND + rest
  const turn = Math.max(...context.waitsFor.map((end) => end?.earliest ?? Number.NEGATIVE_INFINITY))
  const turnBy = Math.max(...context.waitsFor.map((end) => end?.latest ?? Number.POSITIVE_INFINITY))
  return {
    ...hook,
    stopNotBefore: Math.max(hook.stopNotBefore, Math.min(turn, over)),
    stopBy: Math.max(hook.stopBy, Math.min(turnBy, overBy)),
  }
}

/**
 * Whether the stop signal is known to have been sent to a container that its hook did not end. It is by the latest time that the
 * rules leave for it; where the clocks leave that open, only an end that looks like one by a signal tells. (An exit within the second
 * of the Killing Event may lie before it: the kubelet stops what its cache still believes to run.)
 *
 * @param turned the kubelet is known to have turned to this container: without its Killing Event it may not have been there any more
 */
export function signalFollows(exit: Interval | undefined, hook: Hook, plausible: boolean, turned: boolean): boolean {
  if (exit === undefined || !hook.outlived) return false
  return (turned && exit.earliest > hook.stopBy) || (plausible && exit.latest >= hook.stopBy)
}

/**
 * The hook where the kernel saw the stop signal or the end of the hook itself: the kubelet had turned to StopContainer by the one,
 * and the other is no matter of rules.
 *
 * @param killing when the kubelet turned to the container, where that is known
 * @param reported the kubelet reported the hook as failed
 */
export function measuredHook(
  container: ContainerHistory,
  hook: Hook,
  killing: Interval | undefined,
  reported: boolean,
  measured: Measured,
  context: ContainerContext,
): Hook {
  const { stop, preStop, exit } = measured
  // The kubelet's call of StopContainer comes after the hook, unless it had stopped waiting for it.
  const ended =
    stop === undefined || hook.ended === undefined || hook.result === 'Overran'
      ? hook.ended
      : interval(Math.min(hook.ended.earliest, stop.latest), Math.min(hook.ended.latest, stop.latest), hook.ended.at)
  const told = stop === undefined ? hook : { ...hook, ended, stopNotBefore: stop.earliest, stopBy: stop.latest, outlived: true }
  if (container.spec.preStop === undefined) return told
  if (preStop !== undefined) {
    const over = stop ?? exit
    if (stop !== undefined && preStop.earliest > stop.latest) return { ...told, ended: preStop, result: 'Overran' }
    // Of a hook that a signal ended nobody says whether it did what it should.
    const well = measured.facts.preStop?.how === 'Exited' && over !== undefined && preStop.latest < over.earliest
    return { ...told, ended: preStop, result: reported ? 'Failed' : well && killing !== undefined ? 'Succeeded' : 'Unknown' }
  }
  if (stop === undefined || killing === undefined || told.result !== 'Unknown') return told
  // Before the end of the grace period nothing but the end of the hook lets StopContainer begin.
  const early = stop.latest < killing.earliest + Math.max(context.grace.low, 1) * SECOND
  if (!early) return told
  return { ...told, ended: interval(Math.min(hook.stopNotBefore, stop.latest), stop.latest, stop.at), result: 'Succeeded' }
}
