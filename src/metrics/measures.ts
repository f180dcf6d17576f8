/** What a record says in numbers. Only what its marks can bear: two times are subtracted on one clock, or not at all. */
import type { ContainerEnd, Mark, PodTermination } from '../api/pod-termination.ts'
import { type Clocks, interval } from '../core/termination/clocks.ts'
import { type Micros, parseTime, SECOND } from '../core/time.ts'

export interface Measures {
  readonly durationSeconds: number | undefined
  readonly graceUsedRatio: number | undefined
  /** One each preStop hook whose beginning and end are known. */
  readonly preStopSeconds: readonly number[]
  readonly signalToExit: readonly {
    readonly role: ContainerEnd['role']
    readonly evidence: 'Kernel' | 'API'
    readonly seconds: number
  }[]
  /** One each Service of which it is known; 0: it had stopped before. */
  readonly endpointLagSeconds: readonly number[]
}

/** @param clocks what is known of the node's clock against the recorder's */
export function measuresOf(record: PodTermination, clocks: Clocks): Measures {
  const { containers = [], endpoints = [], timeline = [], tookMilliseconds, graceUsedPercent } = record
  // A record has no more than one of a kind to a container or Service.
  const markOf = (mark: Mark['mark'], on: Pick<Mark, 'container' | 'service'>) =>
    timeline.find((one) => one.mark === mark && one.container === on.container && one.service === on.service)
  const stopped = containers.flatMap(({ name, role }) => {
    const stop = markOf('StopSignal', { container: name })
    return stop === undefined ? [] : [{ name, role, stop }]
  })

  const signalToExit = stopped.flatMap(({ name, role, stop }) => {
    const exit = markOf('ContainerExited', { container: name })
    const seconds = between(stop, exit)
    if (seconds === undefined) return []
    const measured = stop.confidence === 'Measured' && exit?.confidence === 'Measured'
    return [{ role, evidence: measured ? ('Kernel' as const) : ('API' as const), seconds }]
  })
  const preStopSeconds = containers.flatMap(({ name, preStop }) => {
    const seconds =
      preStop === undefined
        ? undefined
        : between(markOf('PreStopStarted', { container: name }), markOf('PreStopFinished', { container: name }))
    return seconds ?? []
  })

  const signals = stopped.flatMap(({ role, stop }) => (role === 'Main' ? (onRecorder(stop, clocks) ?? []) : []))
  const first = signals.length === 0 ? undefined : Math.min(...signals)
  const endpointLagSeconds = endpoints.flatMap(({ service, readyAtStopSignal }) => {
    if (readyAtStopSignal === 'False') return [0]
    const left = readyAtStopSignal === 'True' ? markOf('EndpointNotReady', { service }) : undefined
    const leftAt = left === undefined ? undefined : onRecorder(left, clocks)
    return leftAt === undefined || first === undefined ? [] : [Math.max(0.001, (leftAt - first) / SECOND)]
  })

  return {
    durationSeconds: tookMilliseconds === undefined ? undefined : tookMilliseconds / 1000,
    graceUsedRatio: graceUsedPercent === undefined ? undefined : graceUsedPercent / 100,
    preStopSeconds,
    signalToExit,
    endpointLagSeconds,
  }
}

function between(from: Mark | undefined, to: Mark | undefined): number | undefined {
  const [start, end] = [parseTime(from?.at), parseTime(to?.at)]
  if (start === undefined || end === undefined || from?.clock !== to?.clock) return undefined
  return Math.max(0, (end - start) / SECOND)
}

function onRecorder({ at, earliest, latest, clock }: Mark, clocks: Clocks): Micros | undefined {
  const [best, from, to] = [parseTime(at), parseTime(earliest), parseTime(latest)]
  if (best === undefined || from === undefined || to === undefined) return undefined
  return clocks.convert(interval(from, to, best), clock, 'Recorder').at
}
