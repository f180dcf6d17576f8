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
import { type Interval, interval } from './clocks.ts'
import type { ContainerHistory } from './history.ts'
import {
  type ContainerContext,
  hookOf,
  MINIMUM_STOP,
  overranByReport,
  ranOutOfGrace,
  runOf,
  runsOf,
  signalFollows,
  turnOf,
  wholeStop,
} from './stop-rules.ts'

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
