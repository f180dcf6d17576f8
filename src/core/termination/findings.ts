/** What stands out in a termination, each with the numbers and what to change. */
import type { KernelProcess } from '../../api/kernel.ts'
import type { Finding, FindingType } from '../../api/pod-termination.ts'
import { FINDINGS } from '../../api/pod-termination.ts'
import { type Micros, SECOND } from '../time.ts'
import type { Clocks, Interval } from './clocks.ts'
import type { ContainerResult } from './containers.ts'
import type { ServiceResult } from './endpoints.ts'
import type { History } from './history.ts'
import { momentOf } from './measured.ts'
import { MINIMUM_STOP } from './stop-rules.ts'

/** Proxies and load balancers need about this long to hear of an endpoint that left. */
export const DRAIN_TIME = 5 * SECOND
/** Share of the grace period above which a graceful end is a warning. */
const NEARLY = 80
/** Ends at which nothing killed the container. */
const BY_ITSELF: ReadonlySet<string | undefined> = new Set(['Graceful', 'Signalled', 'Failed'])

export interface FindingInput {
  readonly history: History
  readonly containers: readonly ContainerResult[]
  readonly services: readonly ServiceResult[]
  readonly clocks: Clocks
  readonly graceSeconds: number
  readonly shortenedTo: number | undefined
  readonly graceUsedPercent: number | undefined
  /** First stop signal to a main container, on the node's clock. */
  readonly stop: Interval | undefined
  /** It is known by more than the two ends of its bounds. */
  readonly stopDirect: boolean
  readonly stuck: string | undefined
  readonly missing: readonly string[]
  readonly cut: number
  readonly skew: string | undefined
}

export const seconds = (micros: Micros, digits = 1): string => `${(micros / SECOND).toFixed(digits)} s`

/** "about 5.0 s" with its bounds where they are further apart than a reader would guess. */
function about(value: Interval, from: Interval): string {
  const [low, best, high] = [value.earliest - from.latest, value.at - from.at, value.latest - from.earliest]
  if (high - low <= SECOND / 2) return `about ${seconds(best)}`
  return `${(Math.max(0, low) / SECOND).toFixed(1)} to ${seconds(high)}`
}

const finding = (type: FindingType, message: string, on: { container?: string; service?: string } = {}): Finding => ({
  type,
  severity: FINDINGS[type],
  ...on,
  message: message.slice(0, 1024),
})

/**
 * A kill more than a second after the grace period: either the hook had left less than the 2 s which the kubelet then gives (see
 * containers.ts), or the kill itself took its time. The first is far more common, and no more than likely.
 */
function hookShare(handler: string, killing: Interval | undefined, exit: Interval | undefined, graceSeconds: number): string {
  const late = killing !== undefined && exit !== undefined && exit.earliest - killing.latest > (graceSeconds + 1) * SECOND
  return late
    ? `As late as that, the ${handler} preStop hook has most likely left it no more than ${seconds(MINIMUM_STOP)}: shorten the hook, or raise terminationGracePeriodSeconds.`
    : `The ${handler} preStop hook took its share of the grace period.`
}

/** Names of shells, which as PID 1 neither handle a signal nor pass it on. */
const SHELLS: ReadonlySet<string> = new Set(['sh', 'bash', 'dash', 'ash', 'busybox', 'zsh', 'ksh'])
/** Ends that need no remedy, whatever became of the signal. */
const WELL: ReadonlySet<string | undefined> = new Set(['Graceful', 'Signalled'])

/** argv[0] without its folder; the kernel's name of the process where that is not known. Node names its main thread MainThread. */
function nameOf(comm: string, argv0?: string): string {
  const name = argv0?.slice(argv0.lastIndexOf('/') + 1)
  return name !== undefined && name !== '' ? name : comm === 'MainThread' ? 'node' : comm
}

const namesOf = (processes: readonly KernelProcess[]): string =>
  [...new Set(processes.map(({ comm }) => nameOf(comm)))].slice(0, 3).join(', ')

/** What scripts wait by: they have nothing to shut down. */
const WAITERS: ReadonlySet<string> = new Set(['sleep', 'tail', 'pause'])

/**
 * PID 1 ended well, and took with it what never heard of the stop. Only for information: what is left behind may be the app or a helper
 * of it, and the kernel does not know what is worth an orderly shutdown.
 */
function ofLeftBehind({ end, exit, stop, measured }: ContainerResult, signal: string): Finding | undefined {
  const facts = measured?.facts
  const left = (facts?.processes ?? []).filter(
    ({ comm, leftBehind, signalled }) => leftBehind === true && signalled === undefined && !WAITERS.has(comm),
  )
  if (facts?.process === undefined || left.length === 0) return undefined
  if (facts.pidNamespace !== 'Container' || facts.passedOn?.result !== 'NotPassedOn') return undefined
  const first = nameOf(facts.process.comm, facts.process.argv0)
  const after = exit === undefined || stop === undefined ? '' : ` ${seconds(exit.at - stop.at)} after ${signal}`
  return finding(
    'ProcessesLeftBehind',
    `${first}, PID 1 of the container, ended${after} and passed the signal on to none of the processes below it: the kernel killed those that ` +
      `still ran (${namesOf(left)}). If one of them is the app, let PID 1 pass ${signal} on and wait for it (\`exec\` in the script, or tini).`,
    { container: end.name },
  )
}

/** What the kernel saw become of the stop signal, where that is what to change. */
function ofSignal(result: ContainerResult): Finding | undefined {
  const { end, killing, stop, measured } = result
  const facts = measured?.facts
  const signal = end.stopSignal?.name
  if (facts?.process === undefined || stop === undefined || signal === undefined) return undefined
  if (WELL.has(end.outcome)) return ofLeftBehind(result, signal)
  const { comm, argv0, disposition } = facts.process
  const first = nameOf(comm, argv0)
  const own = facts.pidNamespace === 'Container'
  const who = own ? `${first}, PID 1 of the container,` : first
  const below = namesOf(facts.processes ?? [])
  const kept = facts.passedOn?.result === 'NotPassedOn' && below !== ''
  const sent = killing === undefined ? signal : `${signal}, sent ${about(stop, killing)} after the kubelet turned to it,`
  const direct =
    'Start the program itself: in the exec form (command: ["node", "server.js"]; no shell, npm or yarn in front), ' +
    'with `exec` before the last command of the script, or below an init that passes signals on (tini).'
  const on = { container: end.name }
  if (end.stopSignal?.result === 'Ignored') {
    const why = disposition === 'Ignored' ? 'has been told to ignore it' : 'has no handler for it'
    const lost = kept ? `; ${below} below it never got one` : ''
    const remedy =
      kept || SHELLS.has(first)
        ? direct
        : disposition === 'Ignored'
          ? `Look for what sets ${signal} to be ignored (trap "" in a script, nohup), or give ${first} a handler for it.`
          : `Give ${first} a handler for ${signal}, or start it below an init (tini): only as PID 1 a program without one does not end at it.`
    return finding('StopSignalIgnored', `the kernel dropped ${sent} because ${who} ${why}${lost}. ${remedy}`, on)
  }
  if (end.stopSignal?.result !== 'Delivered' || !kept || !own) return undefined
  return finding(
    'StopSignalNotForwarded',
    `${who} took ${sent} and passed it on to none of the processes below it (${below}), which ran on until they were killed. ${direct}`,
    on,
  )
}

/** Passed on as shortly before SIGKILL as this, the signal is of no use to those below. */
const LATE = SECOND

/** What to look at where a container used all of its grace period. */
function adviceOf({ measured, end, stop, kill }: ContainerResult, signal: string): string {
  const passed = measured?.facts.passedOn?.first
  const first = passed === undefined ? undefined : momentOf(passed)
  if (first !== undefined && stop !== undefined && kill !== undefined && kill.earliest - first.latest < LATE) {
    return (
      `The kernel saw ${signal} passed on to the processes below PID 1 only ${seconds(first.at - stop.at)} after PID 1 had got it, ` +
      `${seconds(kill.at - first.at)} before SIGKILL: they had no time left. Let PID 1 pass it on at once.`
    )
  }
  if (measured !== undefined && end.stopSignal?.result === 'Delivered') {
    return (
      `The kernel saw the process take ${signal}, so it hangs in its shutdown or needs longer for it: ` +
      'look at what it waits for, or raise terminationGracePeriodSeconds.'
    )
  }
  return (
    `Look at what PID 1 of the container is: a shell, npm or yarn in front of the app does not pass ${signal} on (use the exec form, ` +
    `\`exec\` in the script, or node itself), and a program without a handler for ${signal} ignores it as PID 1. ` +
    'If it does shut down but needs longer, raise terminationGracePeriodSeconds.'
  )
}

function ofContainer(result: ContainerResult, input: FindingInput): Finding[] {
  const { end, killing, stop, kill, exit, preStopFailedAfter } = result
  const container = end.name
  const on = { container }
  const grace = `${input.graceSeconds} s`
  if (end.role !== 'Main') return []
  const dropped = ofSignal(result)
  const found: Finding[] = dropped === undefined ? [] : [dropped]
  if (end.preStop?.result === 'Overran') {
    const left = stop !== undefined && killing !== undefined ? `; the stop signal came at ${about(stop, killing)}` : ''
    const killed = kill === undefined ? '' : `, SIGKILL ${seconds(MINIMUM_STOP)} later`
    found.push(
      finding(
        'PreStopOverran',
        `the preStop hook was still running when the ${grace} grace period ended${left}${killed}. ` +
          `Shorten the hook, or set terminationGracePeriodSeconds to the time of the hook and of the shutdown together.`,
        on,
      ),
    )
    return found
  }
  if (end.preStop?.result === 'Failed') {
    const when = preStopFailedAfter === undefined ? '' : ` after ${seconds(preStopFailedAfter)}`
    found.push(
      finding(
        'PreStopFailed',
        `the kubelet reported the ${end.preStop.handler} preStop hook as failed${when}, so what it should have done may not be done. ` +
          'Run the hook by hand in the container and look at its exit code; a hook that ends PID 1 itself is reported like this too.',
        on,
      ),
    )
  }
  if (end.outcome === 'ForcedKill') {
    const signal = end.stopSignal?.name ?? 'SIGTERM'
    const sent = stop !== undefined && killing !== undefined ? ` (sent ${about(stop, killing)} into it)` : ''
    const killed =
      kill !== undefined && killing !== undefined ? ` and was killed after ${about(kill, killing)}` : ' and was killed'
    const hook = end.preStop === undefined ? '' : ` ${hookShare(end.preStop.handler, killing, exit, input.graceSeconds)}`
    const advice = dropped === undefined ? ` ${adviceOf(result, signal)}` : ''
    found.push(
      finding(
        'GraceExhausted',
        `the process did not end after ${signal}${sent} within the ${grace} grace period${killed}.${hook}${advice}`,
        on,
      ),
    )
  }
  if (exit !== undefined && killing !== undefined && BY_ITSELF.has(end.outcome)) {
    const whole = Math.max(1, input.graceSeconds) * SECOND
    // Told only where no reading of the API's whole seconds leaves another share.
    if ((exit.earliest - killing.latest) * 100 > NEARLY * whole) {
      const used = Math.round(((exit.at - killing.at) / whole) * 100)
      found.push(
        finding(
          'GraceNearlyExhausted',
          `it ended ${about(exit, killing)} after the kubelet turned to it, about ${used} % of the ${grace} grace period: a slower day and it is killed. ` +
            'Raise terminationGracePeriodSeconds, or shorten the hook or the shutdown.',
          on,
        ),
      )
    }
  }
  return found
}

function ofService(result: ServiceResult, input: FindingInput): Finding[] {
  const { end, notReady } = result
  const { stop, clocks } = input
  if (stop === undefined) return []
  const signal = clocks.convert(stop, 'Node', 'Recorder')
  const on = { service: end.service }
  if (notReady === undefined) return []
  if (end.readyAtStopSignal === 'True') {
    const gap = Math.max(1, Math.round((notReady.at - signal.at) / 1000))
    return [
      finding(
        'EndpointReadyAtStopSignal',
        `the endpoint was still ready when the stop signal came, and left rotation ${gap} ms later: new requests could still arrive. ` +
          'Look for publishNotReadyAddresses on the Service; add a preStop sleep of 5 to 10 s so that the endpoint leaves first.',
        on,
      ),
    ]
  }
  const drain = signal.at - notReady.at
  // By the endpoint's lower bound: it may have left long before the change of it arrived.
  const by = input.stopDirect ? clocks.latest(stop.at, 'Node', 'Recorder') : signal.latest
  if (by - notReady.earliest >= DRAIN_TIME) return []
  const had = drain < SECOND / 20 ? 'at about the same time as' : `about ${seconds(drain)} before`
  return [
    finding(
      'NoDrainTime',
      `the endpoint was taken out ${had} the stop signal: proxies that had not heard of it may still have sent requests. ` +
        'A preStop sleep of 5 to 10 s gives them time; the grace period has to cover it.',
      on,
    ),
  ]
}

/** The gravest first: warnings in the order of the table FINDINGS, then the rest. */
export function findingsOf(input: FindingInput): Finding[] {
  const order = Object.keys(FINDINGS)
  const found = [
    ...input.containers.flatMap((result) => ofContainer(result, input)),
    ...input.services.flatMap((result) => ofService(result, input)),
  ]
  if (input.stuck !== undefined) found.push(finding('StuckTerminating', input.stuck))
  if (input.shortenedTo !== undefined) {
    found.push(
      finding(
        'GraceShortened',
        `a later delete asked for ${input.shortenedTo} s instead of ${input.graceSeconds} s. A kubelet that has begun to stop the ` +
          'containers does not shorten what is in flight (kubernetes#83916).',
      ),
    )
  }
  if (input.skew !== undefined) found.push(finding('ClockSkew', input.skew))
  for (const message of input.missing) found.push(finding('EvidenceMissing', message))
  if (input.cut > 0) {
    found.push(finding('TimelineCut', `${input.cut} marks are left out: a record holds no more than its limit of them.`))
  }
  return found
    .map((item, index) => ({ item, index }))
    .sort((a, b) => order.indexOf(a.item.type) - order.indexOf(b.item.type) || a.index - b.index)
    .map(({ item }) => item)
    .slice(0, 256)
}
