/**
 * One container's end out of its status, the kubelet's Events and the grace arithmetic. All times on the node's clock.
 *
 * The arithmetic (pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer): the Killing Event, then the hook, then a
 * sidecar's wait, then StopContainer with what is left of the grace period in whole seconds spent, never less than 2 s. So
 * SIGKILL comes no earlier than Killing + grace, and at least 2 s after the stop signal.
 */
import type { ContainerEnd, MarkType, Outcome } from '../../api/pod-termination.ts'
import type { Confidence, Source } from '../evidence.ts'
import { formatTime, type Micros, parseTime, SECOND } from '../time.ts'
import { type Clocks, type Interval, interval } from './clocks.ts'
import type { ContainerHistory } from './history.ts'
import type { KubeletEvents } from './kubelet-events.ts'

/** The kubelet raises what is left of the grace period to this before it calls StopContainer (minimumGracePeriodInSeconds). */
export const MINIMUM_STOP = 2 * SECOND

/** From the kubelet's decision to the signal, and from SIGKILL to the exit, where nothing is slow: for estimates, never for bounds. */
const RUNTIME_LATENCY: Micros = 40_000
const KILL_LATENCY: Micros = 5_000

/** finishedAt is when the runtime's shim heard of the exit; seen 0.1 ms to some ms late, allowed for with more. */
const REAP_LATENCY: Micros = 100_000

export interface ContainerMark extends Interval {
  readonly mark: MarkType
  readonly source: Source
  readonly confidence: Confidence
}

export interface ContainerResult {
  readonly end: ContainerEnd
  readonly marks: readonly ContainerMark[]
  readonly killing: Interval | undefined
  readonly stop: Interval | undefined
  /** It may have got its stop signal, and not before this. */
  readonly stopNotBefore: Micros | undefined
  /** The stop signal follows from the Killing Event by time alone: no hook that ends by itself, no wait for other containers. */
  readonly stopDirect: boolean
  readonly kill: Interval | undefined
  readonly exit: Interval | undefined
  /** When the kubelet was done with it. */
  readonly done: Interval | undefined
  /** Its end was looked for and could not be seen: why, as a part of a sentence. */
  readonly missing: string | undefined
  /** How long after its start the kubelet reported the hook as failed, by the best estimates. */
  readonly preStopFailedAfter: Micros | undefined
}

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
  /** When the kubelet was done with those containers that come before this one (sidecars only); undefined: not known. */
  readonly waitsFor: readonly (Interval | undefined)[]
}

/** Numbers of the signals that images use as STOPSIGNAL, for 128 + n. */
const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
  SIGWINCH: 28,
  SIGPWR: 30,
}

/** When the container ended, by its status alone: finishedAt is floored to a second, the report of it came later. */
function reportedExit(container: ContainerHistory, context: ContainerContext): Interval | undefined {
  const terminated = container.status?.terminated
  if (terminated === undefined) return undefined
  const arrived = container.terminatedIn?.arrivedAt
  const latest = arrived === undefined ? context.lastSeen : context.clocks.latest(arrived, 'Recorder', 'Node')
  const finished = parseTime(terminated.finishedAt)
  // ContainerStatusUnknown comes with null times, which the API writes as none or as the epoch.
  if (finished === undefined || finished <= 0) return undefined
  const earliest = finished - REAP_LATENCY
  return interval(
    earliest,
    latest >= finished ? Math.min(latest, finished + SECOND) : finished + SECOND,
    Math.max(finished, (finished + Math.min(latest, finished + SECOND)) / 2),
  )
}

interface Hook {
  /** It ended, if it did, within these. */
  readonly ended: Interval | undefined
  readonly result: 'Succeeded' | 'Failed' | 'Overran' | 'Unknown'
  /** StopContainer came no earlier than this, and by that time, if the container was there for it. */
  readonly stopNotBefore: Micros
  readonly stopBy: Micros
  /** The hook is known not to have ended the container itself. */
  readonly outlived: boolean
}

const wholeStop = (seconds: number): Micros => Math.max(seconds * SECOND, MINIMUM_STOP)

/** A kill in flight keeps its grace period, so a shorter one counts only for what began after it (kubernetes#83916). */
function graceAt(killing: Interval, context: ContainerContext): number {
  const { low, high, loweredBy } = context.grace
  return loweredBy !== undefined && killing.earliest >= loweredBy ? low : high
}

function hookOf(
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
    // Reported as soon as it had returned. The same is said of a hook that ends PID 1 itself (kubernetes#39170).
    return {
      ended: interval(last?.earliest ?? context.notBefore, failedAt.latest, failedAt.at),
      result: 'Failed',
      stopNotBefore: start,
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
function runsOf(killings: readonly Interval[], context: ContainerContext): readonly Interval[] {
  const [first] = killings
  const { acknowledged, notBefore, startAt } = context
  // By the best estimate: where it is wrong the bounds are only wider than they have to be.
  if (first === undefined || acknowledged === undefined || first.earliest <= acknowledged.at + TURN_LATENCY) return killings
  return [interval(notBefore, first.latest, startAt), ...killings]
}

/** The run of the hook, or of the stop, that `at` belongs to: the last that began before. */
const runOf = (killings: readonly Interval[], at: Interval | undefined): Interval | undefined =>
  killings.findLast(({ earliest }) => at === undefined || earliest <= at.latest)

/** The kubelet reported the hook only when it had no longer waited for it. */
function overranByReport(killings: readonly Interval[], failedAt: Interval | undefined, context: ContainerContext): boolean {
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
function ranOutOfGrace(
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
function turnOf(container: ContainerHistory, hook: Hook, killings: readonly Interval[], context: ContainerContext): Hook {
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
function signalFollows(exit: Interval | undefined, hook: Hook, plausible: boolean, turned: boolean): boolean {
  if (exit === undefined || !hook.outlived) return false
  return (turned && exit.earliest > hook.stopBy) || (plausible && exit.latest >= hook.stopBy)
}

function outcomeOf(container: ContainerHistory, forced: boolean, signalled: 'Yes' | 'No' | 'Maybe'): Outcome {
  const { status, started, neverRan } = container
  const ended = status?.terminated ?? (status?.waiting !== undefined ? status.lastTerminated : undefined)
  // The kubelet writes the same of a container that it lost and of one that it never started.
  if (!started) return neverRan ? 'NeverStarted' : 'Unknown'
  if (ended === undefined || ended.reason === 'ContainerStatusUnknown') return 'Lost'
  if (ended.exitCode === 255 && ended.reason === 'Unknown') return 'Lost'
  if (forced) return 'ForcedKill'
  if (ended.exitCode === 0) return 'Graceful'
  if (signalled !== 'No') return signalled === 'Yes' ? 'Signalled' : 'Unknown'
  if (ended.reason === 'OOMKilled') return 'OOMKilled'
  // SIGKILL from somewhere, or a program that exits 137: only the kernel can tell.
  if (ended.exitCode === 137) return 'Unknown'
  return 'Failed'
}

export function endOfContainer(container: ContainerHistory, context: ContainerContext): ContainerResult {
  const { spec, status } = container
  const marks: ContainerMark[] = []
  const terminated = status?.terminated
  const seen = context.events.killings(spec.name)
  const killings = runsOf(seen, context)
  const killing = killings[0]
  const preStopFailedAt = context.events.preStopFailures(spec.name).at(-1)
  const raw = reportedExit(container, context)
  const running =
    context.stopped &&
    container.started &&
    status?.waiting === undefined &&
    // A Killing event shows what no earlier version of the pod was there to show.
    (!container.endedBefore || (!context.asked && container.endedUnseen && killings.length > 0))
  const code = terminated?.exitCode
  const known = terminated !== undefined && terminated.reason !== 'ContainerStatusUnknown'
  /** Ending by itself with 0 in just that second is not what such a container does. */
  const alwaysRuns = spec.role === 'Sidecar' || context.restartPolicy === 'Always'
  const signalName = status?.stopSignal ?? spec.stopSignal ?? 'SIGTERM'
  const stopCode = 128 + (SIGNALS[signalName] ?? 15)
  const overran = spec.preStop !== undefined && overranByReport(killings, preStopFailedAt, context)
  const forced = running && known && code === 137 && ranOutOfGrace(container, raw, killings, overran, context)
  const signalCode = running && known && code === stopCode && !forced
  const plausible = signalCode || (code === 0 && alwaysRuns)
  const ofHook = hookOf(container, killings, raw, forced, preStopFailedAt, plausible, context)
  const hook = turnOf(container, ofHook, killings, context)
  const { stopNotBefore } = hook
  // The kubelet goes through a sleep hook and a sidecar's wait also where the container has ended meanwhile.
  const waited = spec.role === 'Sidecar' || spec.preStop?.handler === 'Sleep' ? hook.stopBy : Number.NEGATIVE_INFINITY
  // A hook can send PID 1 the same signal; what ended before either could not have come of them.
  const before =
    raw !== undefined && raw.latest < (killing ?? context.events.firstKilling ?? { earliest: context.notBefore }).earliest
  const after = killing !== undefined || raw === undefined || raw.latest >= ofHook.stopBy
  const unseen = known && code === stopCode && container.endedUnseen
  const signalled = signalCode && !before ? (after ? 'Yes' : 'Maybe') : unseen ? 'Maybe' : 'No'
  const stopped = running && known && (forced || signalFollows(raw, hook, plausible, killing !== undefined))

  let kill: Interval | undefined
  let exit = raw
  let stop: Interval | undefined
  const began = killing?.at ?? Math.max(context.startAt, context.notBefore)
  const whole = wholeStop(context.grace.low)
  const direct =
    spec.role !== 'Sidecar' && (spec.preStop === undefined || spec.preStop.handler === 'Sleep' || hook.result === 'Overran')
  // A kill this late says that the hook left nothing but the last 2 s; that is likely enough for the estimate, not for a bound.
  const lateKill = forced && raw !== undefined && raw.latest > began + context.grace.high * SECOND + SECOND
  if (raw !== undefined && stopped) {
    // Without a hook the timer of the kill is the grace period itself; with one, what it left, and 2 s at least.
    const timer = spec.preStop === undefined && spec.role !== 'Sidecar' ? whole : MINIMUM_STOP
    const ruled = killing === undefined ? Math.max(stopNotBefore, began) : Math.max(stopNotBefore, hook.stopBy)
    const guess = direct ? ruled : lateKill ? began + whole : undefined
    stop = interval(
      stopNotBefore,
      forced ? raw.latest - timer : raw.latest,
      guess === undefined ? undefined : guess + RUNTIME_LATENCY,
    )
    if (raw.earliest < stop.earliest) exit = interval(stop.earliest, raw.latest)
  }
  if (raw !== undefined && forced) {
    const earliest = Math.max((killing?.earliest ?? context.notBefore) + whole, stopNotBefore + MINIMUM_STOP)
    const guess =
      stop === undefined || !(direct || lateKill) ? undefined : Math.max(stop.at + MINIMUM_STOP, began + whole + RUNTIME_LATENCY)
    // Not bounded by the exit's floor, since a process may take its time to die; but most do not.
    const floor = Math.max(earliest, raw.earliest + REAP_LATENCY)
    kill = interval(
      Math.min(earliest, raw.latest),
      raw.latest,
      guess === undefined ? (floor + raw.latest) / 2 : Math.max(guess, floor),
    )
    exit = interval(Math.max(raw.earliest, kill.earliest), raw.latest, kill.at + KILL_LATENCY)
  }

  const run = runOf(killings, preStopFailedAt)
  const inferred = { source: 'Kubelet', confidence: 'Inferred' } as const
  if (spec.preStop !== undefined && running && killing !== undefined) {
    const said = killing === seen[0] ? ({ source: 'Event', confidence: 'Reported' } as const) : inferred
    marks.push({ mark: 'PreStopStarted', ...killing, ...said })
    if (hook.ended !== undefined) {
      const reported = hook.result === 'Failed' || (hook.result === 'Overran' && preStopFailedAt !== undefined)
      marks.push({
        mark: 'PreStopFinished',
        ...hook.ended,
        ...(reported ? { source: 'Event', confidence: 'Reported' } : inferred),
      })
    }
  }
  if (stop !== undefined) marks.push({ mark: 'StopSignal', ...stop, ...inferred })
  if (kill !== undefined) marks.push({ mark: 'Kill', ...kill, ...inferred })
  if (exit !== undefined && known) {
    marks.push({ mark: 'ContainerExited', ...exit, source: 'Kubelet', confidence: 'Reported' })
  }

  // Which process the kernel took is not said: the exit code may be a shell's word for its child. So no Kill mark.
  const oomKilled = known && terminated.reason === 'OOMKilled' && code === 137 && !forced
  const outcome = outcomeOf(container, forced, signalled)
  const settled = context.over || terminated !== undefined
  const end: ContainerEnd = {
    name: spec.name,
    role: spec.role,
    ...(settled ? { outcome } : {}),
    ...(spec.preStop !== undefined && running
      ? {
          preStop: {
            handler: spec.preStop.handler,
            ...(killing === undefined ? {} : { startedAt: formatTime(killing.at) }),
            ...(hook.ended === undefined ? {} : { finishedAt: formatTime(hook.ended.at) }),
            result: hook.result,
          },
        }
      : {}),
    ...(running
      ? {
          stopSignal: {
            name: signalName,
            ...(stop === undefined ? {} : { at: formatTime(stop.at) }),
            result: signalled === 'Yes' && stop !== undefined ? ('Delivered' as const) : ('Unknown' as const),
          },
        }
      : {}),
    ...(kill === undefined
      ? oomKilled
        ? { kill: { by: 'OOM' as const } }
        : {}
      : { kill: { at: formatTime(kill.at), by: 'Runtime' as const } }),
    ...(terminated === undefined || outcome === 'NeverStarted'
      ? {}
      : {
          exit: {
            ...(exit === undefined ? {} : { at: formatTime(exit.at) }),
            code: terminated.exitCode,
            ...(terminated.reason === undefined ? {} : { reason: terminated.reason.slice(0, 256) }),
          },
        }),
    ...(status !== undefined && status.restartCount > 0 ? { restarts: status.restartCount } : {}),
  }
  const missing =
    context.over && outcome === 'Lost'
      ? terminated === undefined
        ? 'its end was never reported'
        : `the kubelet had lost it (${terminated.reason ?? 'Unknown'})`
      : undefined
  return {
    end,
    marks,
    killing: running ? killing : undefined,
    stop,
    stopNotBefore: running ? stopNotBefore : undefined,
    stopDirect:
      direct &&
      hook.result !== 'Overran' &&
      killings.length === 1 &&
      (spec.preStop === undefined || context.grace.low === context.grace.high),
    kill,
    exit,
    done: exit === undefined ? undefined : interval(exit.earliest, Math.max(exit.latest, waited)),
    missing,
    preStopFailedAfter:
      run === undefined || preStopFailedAt === undefined || run.latest - run.earliest > SECOND / 2
        ? undefined
        : Math.max(0, preStopFailedAt.at - run.at),
  }
}
