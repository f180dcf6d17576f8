/** What each experiment's record has to say, checked on the record alone. Pure. */
import type { ContainerEnd, Mark, MarkType, PodTermination } from '../../src/api/pod-termination.ts'
import { parseTime, SECOND } from '../../src/core/time.ts'

export interface Check {
  readonly ok: boolean
  /** What the record says, and where that is wrong what it has to say. */
  readonly words: string
}

/** Seconds between two marks: the best estimate, and the bounds that the bounds of both leave. */
interface Gap {
  readonly best: number
  readonly low: number
  readonly high: number
}

/** The container that every experiment is about. */
export const APP = 'app'

const check = (ok: boolean, found: string, wanted: string): Check => ({
  ok,
  words: ok ? found : `${found}; it has to be ${wanted}`,
})

const app = (record: PodTermination): ContainerEnd | undefined => record.containers?.find(({ name }) => name === APP)

const markOf = (record: PodTermination, type: MarkType): Mark | undefined =>
  record.timeline?.find((mark) => mark.mark === type && mark.container === APP)

function gap(record: PodTermination, from: MarkType, to: MarkType): Gap | undefined {
  const [a, b] = [markOf(record, from), markOf(record, to)]
  if (a === undefined || b === undefined) return undefined
  const between = (later: string, earlier: string) => ((parseTime(later) ?? NaN) - (parseTime(earlier) ?? NaN)) / SECOND
  const best = between(b.at, a.at)
  // Causally later, so never negative, whatever the bounds leave.
  return { best, low: Math.max(0, between(b.earliest, a.latest)), high: between(b.latest, a.earliest) }
}

const seconds = (value: number, digits = 1) => `${value.toFixed(digits)} s`

export function outcomeIs(record: PodTermination, wanted: string): Check {
  return check(record.outcome === wanted, `outcome ${record.outcome ?? 'missing'}`, wanted)
}

export function hookIs(record: PodTermination, ...wanted: string[]): Check {
  const found = app(record)?.preStop?.result ?? 'missing'
  return check(wanted.includes(found), `preStop ${found}`, wanted.join(' or '))
}

const MARK_WORDS: Partial<Record<MarkType, string>> = {
  PreStopStarted: "the hook's start",
  StopSignal: 'SIGTERM',
  Kill: 'SIGKILL',
  PreStopFinished: "the hook's end",
  ContainerExited: 'the exit',
}

/**
 * SIGKILL comes so long after the mark `from`: the bounds leave room for that, and the best estimates are so far apart, give or
 * take. The runtime and the kubelet are a little late by nature, never early, so what is wanted is a range of `late` seconds.
 */
export function killComes(record: PodTermination, from: MarkType, after: number, late = 0.6): Check {
  const found = gap(record, from, 'Kill')
  const wanted = `${seconds(after, 0)} after`
  if (found === undefined) return check(false, `no mark ${markOf(record, from) === undefined ? from : 'Kill'}`, wanted)
  const { best, low, high } = found
  const holds = low <= after + late && high >= after
  const near = best >= after - 0.1 && best <= after + late
  return check(holds && near, `SIGKILL ${seconds(best)} after ${MARK_WORDS[from] ?? from}`, wanted)
}

/** The hook ended after so many seconds: no estimate is asked for, only bounds that hold it. */
export function hookEndedWithin(record: PodTermination, after: number, late = 0.6): Check {
  const ended = markOf(record, 'PreStopFinished') === undefined ? 'StopSignal' : 'PreStopFinished'
  const found = gap(record, 'PreStopStarted', ended)
  const wanted = `bounds that hold ${seconds(after, 0)}`
  if (found === undefined) return check(false, 'the record bounds the end of the hook by nothing', wanted)
  const { low, high } = found
  return check(low <= after + late && high >= after, `the hook ended ${seconds(low)} to ${seconds(high)} after its start`, wanted)
}

/** The hook ended so long after its start, by the best estimate. */
export function hookEnds(record: PodTermination, after: number, late = 0.6): Check {
  const found = gap(record, 'PreStopStarted', 'PreStopFinished')
  const wanted = seconds(after, 0)
  if (found === undefined) return check(false, 'the end of the hook is missing', wanted)
  return check(
    found.best >= after - 0.1 && found.best <= after + late,
    `the hook ended ${seconds(found.best, 2)} after its start`,
    wanted,
  )
}

/** What PID 1 did with the stop signal: only the kernel knows. */
export function signalIs(record: PodTermination, wanted: 'Delivered' | 'Ignored'): Check {
  const found = app(record)?.stopSignal?.result ?? 'missing'
  return check(found === wanted, `SIGTERM ${found}`, wanted)
}

/** Wider than this nobody would call it measured. */
const MEASURED_WITHIN_MS = 10

/** The marks were measured in the kernel, and their bounds are as narrow as that is. */
export function measured(record: PodTermination, ...types: MarkType[]): Check {
  const marks = types.map((type) => ({ type, mark: markOf(record, type) }))
  const widths = marks.map(
    ({ mark }) => ((parseTime(mark?.latest ?? '') ?? NaN) - (parseTime(mark?.earliest ?? '') ?? NaN)) / 1000,
  )
  const wrong = marks.filter(
    ({ mark }, index) => mark?.confidence !== 'Measured' || !((widths[index] ?? NaN) <= MEASURED_WITHIN_MS),
  )
  const names = (list: typeof marks) => list.map(({ type }) => MARK_WORDS[type] ?? type).join(', ')
  return wrong.length === 0
    ? { ok: true, words: `${names(marks)}: measured in the kernel, to ${Math.max(...widths).toFixed(1)} ms` }
    : check(false, `${names(wrong)}: not measured`, `measured to ${MEASURED_WITHIN_MS} ms`)
}

export function finds(record: PodTermination, type: string, ...phrases: string[]): Check {
  const finding = record.findings?.find((item) => item.type === type && item.container === APP)
  if (finding === undefined) return check(false, `no finding ${type}`, `found for container ${APP}`)
  const missing = phrases.filter((phrase) => !finding.message.includes(phrase))
  return check(
    missing.length === 0,
    `finding ${type}${phrases.length === 0 ? '' : ` says: ${phrases.map((phrase) => `“${phrase}”`).join(', ')}`}`,
    `a message with ${missing.map((phrase) => `“${phrase}”`).join(', ')}`,
  )
}

export function exitsWith(record: PodTermination, code: number): Check {
  return check(app(record)?.exit?.code === code, `exit code ${app(record)?.exit?.code ?? 'missing'}`, String(code))
}

export function belongsTo(record: PodTermination, kind: string, name: string): Check {
  const { workload } = record.pod
  return check(
    workload?.kind === kind && workload.name === name,
    `workload ${workload?.kind} ${workload?.name}`,
    `${kind} ${name}`,
  )
}

/** The Service had taken the pod out before the stop signal came. */
export function leftBeforeSignal(record: PodTermination, service: string): Check {
  const found = record.endpoints?.find((endpoint) => endpoint.service === service)?.readyAtStopSignal
  if (found === 'False') return { ok: true, words: `out of Service ${service} before SIGTERM` }
  return check(false, `ready in Service ${service} at SIGTERM: ${found ?? 'missing'}`, 'False')
}
