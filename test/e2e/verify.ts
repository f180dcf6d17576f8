/**
 * Holds a record against the truth. Every problem is one sentence; none means that the record is right. Nothing in here knows
 * how the product comes to its marks.
 */
import type { Mark, MarkType, PodTermination } from '../../src/api/pod-termination.ts'
import { formatTime, MILLISECOND, type Micros, parseTime } from '../../src/core/time.ts'
import { measuredProblems, whereMeasured } from './measured.ts'
import type { Expectation, ExpectedContainer } from './scenario.ts'
import type { ContainerTruth } from './truth/containers.ts'
import { type Interval, overlaps, widen } from './truth/interval.ts'
import type { Truth, TruthMark } from './truth/truth.ts'

/** How far the recorder's own clock may be off the wall clock by its contract (it re-anchors at a drift of 2 ms). */
const RECORDER_CLOCK: Micros = 3 * MILLISECOND

/** One mark of a record beside what is true about it. */
export interface CheckedMark {
  readonly mark: MarkType
  readonly container?: string
  /** Its interval holds the truth. */
  readonly holds: boolean
  readonly width: Micros
  readonly confidence: Mark['confidence']
  /** From the best estimate to the nearest moment that can be the true one. */
  readonly distance: Micros
}

export interface Verdict {
  readonly problems: string[]
  readonly marks: CheckedMark[]
}

interface Placed {
  readonly mark: Mark
  readonly bounds: Interval
}

export interface VerifyOptions {
  /** The agent measured on the pod's node. */
  readonly agent?: boolean
}

export function verify(
  record: PodTermination,
  truth: Truth,
  expectation: Expectation,
  { agent = false }: VerifyOptions = {},
): Verdict {
  const expected = agent ? whereMeasured(expectation, truth) : expectation
  const { problems, marks } = verifyMarks(record, truth)
  for (const real of truth.marks) {
    if (real.optional || excused(real, expected) || (record.timeline ?? []).some((mark) => sameThing(real, mark))) continue
    problems.push(`${label(real)} happened in ${show(real, truth)} (${real.source}) but is not in the record`)
  }
  problems.push(...headProblems(record, truth, expected))
  problems.push(...findingProblems(record, expected))
  problems.push(...containerProblems(record, truth, expected))
  if (agent) problems.push(...measuredProblems(record, truth, expected))
  return { problems, marks }
}

/**
 * What has to hold of every record, of whatever part of the evidence it was made: nothing in it is false.
 *
 * @param onNode what the clock of the pod's node shows in a span of the truth, where it is not right
 */
export function verifyMarks(
  record: PodTermination,
  truth: Truth,
  onNode: (span: Interval) => Interval = (span) => span,
): Verdict {
  const problems: string[] = []
  const marks: CheckedMark[] = []
  const placed = (record.timeline ?? []).map((mark) => ({ mark, bounds: boundsOf(mark, problems) }))
  for (const { mark, bounds } of placed) {
    const same = truth.marks.filter((it) => sameThing(it, mark))
    const candidates = mark.clock === 'Node' ? same.map((it) => ({ ...it, ...onNode(it) })) : same
    const best = candidates.find((it) => overlaps(it, bounds)) ?? candidates[0]
    if (best === undefined) problems.push(`${label(mark)} is in the record but did not happen`)
    else {
      const holds = overlaps(best, bounds)
      if (!holds)
        problems.push(`${label(mark)} is said to lie in ${show(bounds, truth)} but was in ${show(best, truth)} (${best.source})`)
      const width = (parseTime(mark.latest) ?? 0) - (parseTime(mark.earliest) ?? 0)
      const at = parseTime(mark.at) ?? Number.NaN
      const distance = Math.max(best.earliest - at, at - best.latest, 0)
      const { confidence } = mark
      marks.push({
        mark: mark.mark,
        holds,
        width,
        confidence,
        distance,
        ...(mark.container === undefined ? {} : { container: mark.container }),
      })
    }
  }
  problems.push(...orderProblems(placed, truth))
  return { problems, marks }
}

function boundsOf(mark: Mark, problems: string[]): Interval {
  const [at, earliest, latest] = [mark.at, mark.earliest, mark.latest].map((text) => parseTime(text) ?? Number.NaN) as [
    Micros,
    Micros,
    Micros,
  ] // three in, three out
  if (!(earliest <= at && at <= latest)) problems.push(`${label(mark)} has its best estimate outside of its own bounds`)
  const bounds = { earliest, latest }
  return mark.clock === 'Recorder' ? widen(bounds, RECORDER_CLOCK) : bounds
}

function sameThing(real: TruthMark, mark: Mark): boolean {
  return real.mark === mark.mark && real.container === mark.container && real.service === mark.service
}

function label({
  mark,
  container,
  service,
}: {
  mark: string
  container?: string | undefined
  service?: string | undefined
}): string {
  const of = container ?? service
  return of === undefined ? mark : `${mark} of ${of}`
}

/** An interval as offsets from the beginning of the termination. */
function show({ earliest, latest }: Interval, truth: Truth): string {
  const zero = truth.marks.find(({ mark }) => mark === 'Terminating')?.earliest
  if (zero === undefined) return `[${formatTime(Math.round(earliest))}, ${formatTime(Math.round(latest))}]`
  const offset = (at: Micros) => `${at >= zero ? '+' : ''}${((at - zero) / 1_000_000).toFixed(4)} s`
  return `[${offset(earliest)}, ${offset(latest)}]`
}

function excused(real: TruthMark, { mayMiss = [] }: Expectation): boolean {
  const of = real.container ?? real.service
  return mayMiss.includes(real.mark) || (of !== undefined && mayMiss.includes(`${real.mark}/${of}`))
}

/** Pairs of marks of one container (or one Service, or the pod) of which the first always comes first. */
const CAUSAL: readonly (readonly [MarkType, MarkType])[] = [
  ['PreStopStarted', 'PreStopFinished'],
  ['PreStopStarted', 'StopSignal'],
  ['StopSignal', 'Kill'],
  ['Kill', 'ContainerExited'],
  ['StopSignal', 'ContainerExited'],
  ['EndpointNotReady', 'EndpointRemoved'],
  ['EndpointTerminating', 'EndpointRemoved'],
  ['EndpointNotServing', 'EndpointRemoved'],
]

/** The timeline is in causal order; what really was before the termination may stand before its start. */
function orderProblems(placed: readonly Placed[], truth: Truth): string[] {
  const problems: string[] = []
  const realOf = (mark: Mark) => truth.marks.find((it) => sameThing(it, mark))
  for (const [index, { mark: later }] of placed.entries()) {
    for (const { mark: earlier } of placed.slice(0, index)) {
      const same = earlier.container === later.container && earlier.service === later.service
      const always = CAUSAL.some(([first, second]) => same && first === later.mark && second === earlier.mark)
      const [a, b] = [realOf(earlier), realOf(later)]
      const started = later.mark === 'Terminating' && !(a && b && a.earliest < b.latest)
      const ended = earlier.mark === 'Removed' && !(a && b && a.earliest < b.latest)
      if (always || started || ended) problems.push(`${label(earlier)} stands before ${label(later)} in the timeline`)
    }
  }
  return problems
}

function headProblems(record: PodTermination, truth: Truth, expected: Expectation): string[] {
  const problems: string[] = []
  const want = (field: string, is: unknown, shall: unknown) => {
    if (is !== shall) problems.push(`${field} is ${String(is)}, not ${String(shall)}`)
  }
  want('state', record.state, 'Complete')
  want('cause', record.cause?.type, expected.cause)
  want('outcome', record.outcome, expected.outcome)
  want('pod.uid', record.pod.uid, truth.pod.uid)
  want('pod.namespace', record.pod.namespace, truth.pod.namespace)
  want('pod.name', record.pod.name, truth.pod.name)
  const { kind, name } = record.pod.workload ?? {}
  const workload = kind === undefined ? 'Unknown' : `${kind}/${name}`
  if (expected.workload !== undefined && !workload.startsWith(expected.workload)) {
    problems.push(`workload is ${workload}, not ${expected.workload}`)
  }
  if (expected.workload === undefined) want('workload', workload, `Pod/${truth.pod.name}`)
  return problems
}

function findingProblems(record: PodTermination, expected: Expectation): string[] {
  const findings = record.findings ?? []
  const problems: string[] = []
  const compare = (severity: 'Warning' | 'Info', wanted: readonly string[], allowed: readonly string[]) => {
    const left = [...wanted]
    for (const finding of findings.filter((it) => it.severity === severity)) {
      const names = [finding.type as string, `${finding.type}/${finding.container ?? finding.service}`]
      const index = left.findIndex((name) => name.split('|').some((either) => names.includes(either)))
      if (index >= 0) left.splice(index, 1)
      else if (!names.some((name) => allowed.includes(name))) {
        problems.push(`finding ${names[1]} is not expected: ${finding.message}`)
      }
    }
    for (const name of left) problems.push(`finding ${name} (${severity}) is missing`)
  }
  compare('Warning', expected.warnings ?? [], expected.mayWarn ?? [])
  compare('Info', expected.infos ?? [], expected.mayInform ?? [])
  return problems
}

function containerProblems(record: PodTermination, truth: Truth, expected: Expectation): string[] {
  const problems: string[] = []
  const names = new Set([...(record.containers ?? []).map(({ name }) => name), ...Object.keys(expected.containers)])
  for (const name of names) {
    const is = record.containers?.find((it) => it.name === name)
    const shall = expected.containers[name]
    const real = truth.containers.find((it) => it.name === name)
    if (is === undefined) problems.push(`container ${name} is not in the record`)
    if (shall === undefined) problems.push(`container ${name} is in the record but not expected`)
    if (is === undefined || shall === undefined) continue
    const one = (field: string, found: unknown, allowed: readonly unknown[] | undefined) => {
      const right = found === undefined ? allowed === undefined || allowed.includes('absent') : allowed?.includes(found)
      if (!right) problems.push(`container ${name}: ${field} is ${String(found)}, not ${allowed?.join(' or ') ?? 'absent'}`)
    }
    one('outcome', is.outcome, [shall.outcome])
    one('preStop', is.preStop?.result, shall.preStop)
    one('stopSignal', is.stopSignal?.result, shall.stopSignal)
    one('kill', is.kill?.by, shall.kill)
    one('exit code', is.exit?.code, shall.code === undefined ? undefined : [shall.code])
    if (real !== undefined) {
      one('role', is.role, [real.role])
      problems.push(...storyProblems(real, shall))
    }
  }
  return problems
}

/** The scenario itself went as its list says; a record that agrees with a story that never happened would prove nothing. */
function storyProblems(real: ContainerTruth, shall: ExpectedContainer): string[] {
  const problems: string[] = []
  const wanted = (thing: string, expected: readonly string[] | undefined, happened: boolean) => {
    if (!expected?.includes('absent') && (expected !== undefined) !== happened)
      problems.push(`the story went wrong: container ${real.name} ${happened ? 'had a' : 'had no'} ${thing}`)
  }
  wanted('stop signal', shall.stopSignal, real.stopSignal !== undefined)
  wanted('SIGKILL', shall.kill, real.kill !== undefined)
  if (real.exit?.code !== undefined && shall.code !== undefined && real.exit.code !== shall.code) {
    problems.push(`the story went wrong: container ${real.name} exited with ${real.exit.code}, not ${shall.code}`)
  }
  if (
    real.kill !== undefined &&
    shall.kill !== undefined &&
    !shall.kill.includes(real.kill.by) &&
    !shall.kill.includes('Unknown')
  ) {
    problems.push(`the story went wrong: container ${real.name} was killed by ${real.kill.by}`)
  }
  return problems
}
