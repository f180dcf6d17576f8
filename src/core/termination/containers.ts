/**
 * One container's end out of its status, the kubelet's Events and the grace arithmetic. All times on the node's clock.
 *
 * The arithmetic (pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer): the Killing Event, then the hook, then a
 * sidecar's wait, then StopContainer with what is left of the grace period in whole seconds spent, never less than 2 s. So
 * SIGKILL comes no earlier than Killing + grace, and at least 2 s after the stop signal.
 */
import type { KernelContainer } from '../../api/kernel.ts'
import type { ContainerEnd, MarkType, Outcome } from '../../api/pod-termination.ts'
import type { Confidence, Source } from '../evidence.ts'
import { formatTime, type Micros, parseTime, SECOND } from '../time.ts'
import { type Interval, interval } from './clocks.ts'
import type { ContainerHistory } from './history.ts'
import { asMeasured, type Measured } from './measured.ts'
import {
  type ContainerContext,
  hookOf,
  MINIMUM_STOP,
  measuredHook,
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
  readonly message?: string
}

export interface ContainerResult {
  readonly end: ContainerEnd
  readonly marks: readonly ContainerMark[]
  readonly killing: Interval | undefined
  readonly stop: Interval | undefined
  /** It may have got its stop signal, and not before this. */
  readonly stopNotBefore: Micros | undefined
  /** It ran when the termination began, so others wait for its end. */
  readonly running: boolean
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
  readonly measured: Measured | undefined
}

/** Numbers of the signals that images use as STOPSIGNAL, for 128 + n. */
const SIGNALS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    SIGHUP: 1,
    SIGINT: 2,
    SIGQUIT: 3,
    SIGKILL: 9,
    SIGUSR1: 10,
    SIGUSR2: 12,
    SIGTERM: 15,
    SIGWINCH: 28,
    SIGPWR: 30,
  }),
)

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

/** What is known of how it ended, besides its status. */
interface Verdict {
  /** The runtime's SIGKILL, for the grace period was over. */
  readonly forced: boolean
  readonly signalled: 'Yes' | 'No' | 'Maybe'
}

/** Who ended the container process with SIGKILL; undefined where the kernel saw no such signal, or was not looked at. */
const killerOf = (measured: Measured | undefined): 'Runtime' | 'OOM' | 'Other' | 'Unknown' | undefined => {
  const by = measured?.kill === undefined ? undefined : measured.facts.kill?.by
  return by === undefined || by === 'Runtime' || by === 'OOM' || by === 'Unknown' ? by : 'Other'
}

function outcomeOf(container: ContainerHistory, measured: Measured | undefined, { forced, signalled }: Verdict): Outcome {
  const { status, started, neverRan } = container
  const ended = status?.terminated ?? (status?.waiting !== undefined ? status.lastTerminated : undefined)
  // The kubelet writes the same of a container that it lost and of one that it never started.
  if (!started) return neverRan ? 'NeverStarted' : 'Unknown'
  if (forced) return 'ForcedKill'
  const killer = killerOf(measured)
  if (killer !== undefined && signalled !== 'Yes') return killer === 'OOM' ? 'OOMKilled' : 'Killed'
  if (
    ended === undefined ||
    ended.reason === 'ContainerStatusUnknown' ||
    (ended.exitCode === 255 && ended.reason === 'Unknown')
  ) {
    return unreported(measured)
  }
  if (ended.exitCode === 0) return 'Graceful'
  if (signalled !== 'No') return signalled === 'Yes' ? 'Signalled' : 'Unknown'
  if (ended.reason === 'OOMKilled') return 'OOMKilled'
  // SIGKILL from somewhere, or a program that exits 137: only the kernel can tell.
  if (ended.exitCode === 137 && measured?.facts.exit?.how !== 'Exited') return 'Unknown'
  return 'Failed'
}

/** The kernel saw how it ended where nobody reported its exit code. */
function unreported(measured: Measured | undefined): Outcome {
  const how = measured?.exit === undefined ? undefined : measured.facts.exit?.how
  if (how === undefined || how === 'Unknown') return 'Lost'
  if (how === 'Dumped') return 'Failed'
  const { stopSignal, process } = measured?.facts ?? {}
  const byStop = measured?.stop !== undefined && stopSignal?.result === 'Delivered' && process?.disposition === 'Default'
  return how === 'Killed' && byStop ? 'Signalled' : 'Unknown'
}

/**
 * Whether SIGKILL came because the grace period was over. The kernel names the sender, and the runtime sends it after the stop signal,
 * or in place of one to take a whole sandbox down; without the kernel, or where it did not see the sender, time has to tell.
 */
function isForced(measured: Measured | undefined, signalName: string, byTime: () => boolean, noSignal: boolean): boolean {
  const killer = killerOf(measured)
  if (killer === 'OOM' || killer === 'Other') return false
  if (killer === 'Runtime') return signalName !== 'SIGKILL' && (measured?.stop !== undefined || (!noSignal && byTime()))
  if (measured?.exit !== undefined && measured.facts.exit?.how !== 'Unknown' && killer === undefined) {
    // It ended itself, or by a signal other than SIGKILL as far as that was seen.
    if (measured.facts.exit?.how === 'Exited') return false
  }
  return byTime()
}

/** What was before the termination ended an earlier run, which its record is not about. */
const inTermination = (measured: Measured | undefined, notBefore: Micros): Measured | undefined =>
  measured?.exit !== undefined && measured.exit.latest < notBefore ? undefined : measured

export function endOfContainer(given: ContainerHistory, context: ContainerContext): ContainerResult {
  const measured = inTermination(context.measured, context.notBefore)
  const container = asMeasured(given, context.measured, context.notBefore, context.startBy)
  const { spec, status } = container
  const marks: ContainerMark[] = []
  const terminated = status?.terminated
  const seen = context.events.killings(spec.name)
  const killings = runsOf(seen, context)
  const killing = killings[0]
  const preStopFailedAt = context.events.preStopFailures(spec.name).at(-1)
  const raw = measured?.exit ?? reportedExit(container, context)
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
  const sent = measured?.stop === undefined ? undefined : measured.facts.stopSignal
  const signalName = sent?.name ?? status?.stopSignal ?? spec.stopSignal ?? 'SIGTERM'
  const stopCode = 128 + (sent?.number ?? SIGNALS.get(signalName) ?? 15)
  /** None was sent to it: it ended before its turn came. */
  const noSignal = measured !== undefined && measured.stop === undefined && measured.whole(context.notBefore)
  const overran = spec.preStop !== undefined && overranByReport(killings, preStopFailedAt, context)
  const byTime = () => known && code === 137 && ranOutOfGrace(container, raw, killings, overran, context)
  const forced = running && isForced(measured, signalName, byTime, noSignal)
  const signalCode = running && known && code === stopCode && !forced && !unexplained(measured, noSignal)
  const plausible = signalCode || (code === 0 && alwaysRuns)
  const ruled = hookOf(container, killings, raw, forced, preStopFailedAt, plausible, context)
  const once = killings.length === 1 ? killing : undefined
  const ofHook =
    measured === undefined ? ruled : measuredHook(container, ruled, once, preStopFailedAt !== undefined, measured, context)
  const hook = measured?.stop === undefined ? turnOf(container, ofHook, killings, context) : ofHook
  const { stopNotBefore } = hook
  // The kubelet goes through a sleep hook and a sidecar's wait also where the container has ended meanwhile.
  const waited = spec.role === 'Sidecar' || spec.preStop?.handler === 'Sleep' ? hook.stopBy : Number.NEGATIVE_INFINITY
  // A hook can send PID 1 the same signal; what ended before either could not have come of them.
  const before =
    raw !== undefined && raw.latest < (killing ?? context.events.firstKilling ?? { earliest: context.notBefore }).earliest
  const after = killing !== undefined || raw === undefined || raw.latest >= ofHook.stopBy
  const unseen = known && code === stopCode && container.endedUnseen
  const signalled = signalCode && !before ? (after ? 'Yes' : 'Maybe') : unseen ? 'Maybe' : 'No'
  const stopped = running && known && !noSignal && (forced || signalFollows(raw, hook, plausible, killing !== undefined))

  let kill: Interval | undefined
  let exit = raw
  let stop: Interval | undefined
  const { stop: stopSeen, kill: killSeen, exit: exitSeen } = measured ?? {}
  const began = killing?.at ?? Math.max(context.startAt, context.notBefore)
  const whole = wholeStop(context.grace.low)
  const direct =
    spec.role !== 'Sidecar' && (spec.preStop === undefined || spec.preStop.handler === 'Sleep' || hook.result === 'Overran')
  // A kill this late says that the hook left nothing but the last 2 s; that is likely enough for the estimate, not for a bound.
  const lateKill = forced && raw !== undefined && raw.latest > began + context.grace.high * SECOND + SECOND
  if (raw !== undefined && stopped) {
    // Without a hook the timer of the kill is the grace period itself; with one, what it left, and 2 s at least.
    const timer = spec.preStop === undefined && spec.role !== 'Sidecar' ? whole : MINIMUM_STOP
    const rule = killing === undefined ? Math.max(stopNotBefore, began) : Math.max(stopNotBefore, hook.stopBy)
    const guess = direct ? rule : lateKill ? began + whole : undefined
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

  stop = stopSeen ?? stop
  kill = killSeen ?? kill
  exit = exitSeen ?? exit

  const run = runOf(killings, preStopFailedAt)
  const inferred = { source: 'Kubelet', confidence: 'Inferred' } as const
  const kernel = { source: 'Kernel', confidence: 'Measured' } as const
  if (spec.preStop !== undefined && running && killing !== undefined) {
    const said = killing === seen[0] ? ({ source: 'Event', confidence: 'Reported' } as const) : inferred
    marks.push({ mark: 'PreStopStarted', ...killing, ...said })
    if (hook.ended !== undefined) {
      const reported = hook.result === 'Failed' || (hook.result === 'Overran' && preStopFailedAt !== undefined)
      marks.push({
        mark: 'PreStopFinished',
        ...hook.ended,
        ...(hook.ended === measured?.preStop
          ? kernel
          : reported
            ? ({ source: 'Event', confidence: 'Reported' } as const)
            : inferred),
      })
    }
  }
  if (stop !== undefined) marks.push({ mark: 'StopSignal', ...stop, ...(stopSeen === undefined ? inferred : kernel) })
  if (kill !== undefined) marks.push({ mark: 'Kill', ...kill, ...(killSeen === undefined ? inferred : kernel) })
  if (exit !== undefined && (known || exitSeen !== undefined)) {
    const reported = { source: 'Kubelet', confidence: 'Reported' } as const
    marks.push({ mark: 'ContainerExited', ...exit, ...(exitSeen === undefined ? reported : kernel) })
  }

  // Which process the kernel took is not said: the exit code may be a shell's word for its child. So no Kill mark.
  const oomKilled = known && terminated.reason === 'OOMKilled' && code === 137 && !forced && exitSeen === undefined
  const killer = killerOf(measured) ?? (kill !== undefined ? 'Runtime' : oomKilled ? 'OOM' : undefined)
  const outcome = outcomeOf(container, measured, { forced, signalled })
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
    ...(running && !noSignal
      ? {
          stopSignal: {
            name: signalName,
            ...(stop === undefined ? {} : { at: formatTime(stop.at) }),
            result: sent !== undefined ? takenAs(sent) : signalled === 'Yes' && stop !== undefined ? 'Delivered' : 'Unknown',
          },
        }
      : {}),
    ...(killer === undefined ? {} : { kill: { ...(kill === undefined ? {} : { at: formatTime(kill.at) }), by: killer } }),
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
    stopNotBefore: running && !noSignal ? stopNotBefore : undefined,
    running,
    stopDirect:
      stopSeen !== undefined ||
      (direct &&
        hook.result !== 'Overran' &&
        killings.length === 1 &&
        (spec.preStop === undefined || context.grace.low === context.grace.high)),
    kill,
    exit,
    done: exit === undefined ? undefined : interval(exit.earliest, Math.max(exit.latest, waited)),
    missing,
    preStopFailedAfter:
      run === undefined || preStopFailedAt === undefined || run.latest - run.earliest > SECOND / 2
        ? undefined
        : Math.max(0, preStopFailedAt.at - run.at),
    measured,
  }
}

/** "Pending": one of the kind was put to the process before, and waits there to be taken. */
const takenAs = ({ result }: NonNullable<KernelContainer['stopSignal']>): 'Delivered' | 'Ignored' | 'Unknown' =>
  result === 'Pending' ? 'Delivered' : result

/**
 * The exit code is that of the stop signal, but no such signal came to the container process: it was dropped, or none was sent, and
 * nobody else (a hook) sent it another one, nor was one passed on to a child whose end it may speak of.
 */
function unexplained(measured: Measured | undefined, noSignal: boolean): boolean {
  if (measured === undefined) return false
  const { stopSignal, passedOn, signals = [], signalsMore = 0, notes } = measured.facts
  const ignored = measured.stop !== undefined && stopSignal?.result === 'Ignored'
  if (!(ignored || noSignal) || signalsMore > 0 || notes !== undefined || passedOn?.result === 'PassedOn') return false
  return !signals.some(({ result, number }) => result !== 'Ignored' && (stopSignal === undefined || number === stopSignal.number))
}
