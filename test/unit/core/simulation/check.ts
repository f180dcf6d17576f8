/** Holds a record against the history it is about. Each problem is one sentence; none means that nothing in the record is false. */
import type { ContainerEnd, Mark, MarkType, PodTermination } from '../../../../src/api/pod-termination.ts'
import { podTerminationSchema } from '../../../../src/api/pod-termination.ts'
import { type Micros, parseTime, SECOND } from '../../../../src/core/time.ts'
import type { TrueHistory, TrueMark } from './history.ts'
import type { Life } from './kubelet.ts'

const STOP_CODES: Readonly<Record<string, number>> = { SIGTERM: 143, SIGINT: 130, SIGQUIT: 131 }
const DRAIN_TIME = 5 * SECOND
/** "About": the runtime's time to send the signal is in no evidence. */
const ABOUT = 2 * SECOND

export function problemsOf(record: PodTermination, history: TrueHistory): string[] {
  const parsed = podTerminationSchema.safeParse(record)
  return [
    ...(parsed.success ? [] : [`not as the schema has it: ${parsed.error.message}`]),
    ...(record.timeline ?? []).flatMap((mark) => markProblems(mark, history)),
    ...orderProblems(record, history),
    ...(record.containers ?? []).flatMap((end) => containerProblems(end, history)),
    ...headProblems(record, history),
    ...rotationProblems(record, history),
    ...findingProblems(record, history),
  ]
}

const sameThing = (real: TrueMark, mark: Mark): boolean =>
  real.mark === mark.mark && real.container === mark.container && real.service === mark.service

const nameOf = ({ mark, container, service }: Mark): string => [mark, container ?? service].filter(Boolean).join(' of ')

function markProblems(mark: Mark, { marks, offsets, beganAt }: TrueHistory): string[] {
  const [earliest, at, latest] = [mark.earliest, mark.at, mark.latest].map((text) => parseTime(text) ?? Number.NaN) as [
    Micros,
    Micros,
    Micros,
  ] // three in, three out
  const problems: string[] = []
  if (!(earliest <= at && at <= latest)) problems.push(`${nameOf(mark)}: the estimate is not within its bounds`)
  const candidates = marks.filter((real) => sameThing(real, mark))
  if (candidates.length === 0) return [...problems, `${nameOf(mark)} did not happen`]
  const offset = offsets[mark.clock]
  if (candidates.some((real) => real.at + offset <= latest && (real.until ?? real.at) + offset >= earliest)) return problems
  const show = (value: Micros) => ((value - offset - beganAt) / SECOND).toFixed(6)
  const truth = candidates.map((real) => show(real.at + offset)).join(', ')
  return [...problems, `${nameOf(mark)} is said to be in [${show(earliest)}, ${show(latest)}] but was at ${truth} s`]
}

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

function orderProblems({ timeline = [] }: PodTermination, { marks }: TrueHistory): string[] {
  const real = (mark: Mark) => marks.filter((item) => sameThing(item, mark))
  return timeline.flatMap((later, index) =>
    timeline.slice(0, index).flatMap((earlier) => {
      const same = earlier.container === later.container && earlier.service === later.service
      const always = CAUSAL.some(([first, second]) => same && first === later.mark && second === earlier.mark)
      // Only what was before the termination stands before its beginning, and nothing stands after the object's removal.
      const bounds = later.mark === 'Terminating' || earlier.mark === 'Removed'
      const truly = real(earlier).some((a) => real(later).some((b) => a.at <= (b.until ?? b.at)))
      return always || (bounds && !truly) ? [`${nameOf(earlier)} stands before ${nameOf(later)}`] : []
    }),
  )
}

function containerProblems(end: ContainerEnd, { lives }: TrueHistory): string[] {
  const life = lives.find(({ name }) => name === end.name)
  if (life === undefined) return [`container ${end.name} is not of this pod`]
  const problems: string[] = []
  const demand = (right: boolean, claim: string) => {
    if (!right) problems.push(`container ${end.name}: ${claim}, but ${tell(life)}`)
  }
  const { exit, started } = life
  const code = exit?.code
  const stopCode = STOP_CODES[life.plan.stopSignal ?? 'SIGTERM']
  demand(end.role === life.plan.role, `role ${end.role}`)
  demand(
    end.exit === undefined || end.exit.code === code || life.plan.forgotten || life.plan.state === 'NeverStarted',
    `exit code ${end.exit?.code}`,
  )
  demand(
    end.kill === undefined ||
      (end.kill.by === 'Runtime' ? life.killAt !== undefined : end.kill.by === 'OOM' && exit?.reason === 'OOMKilled'),
    `killed by ${end.kill?.by}`,
  )
  demand(end.stopSignal?.at === undefined || life.signalAt !== undefined, 'a stop signal with a time')
  demand(end.stopSignal?.result !== 'Delivered' || life.signalAt !== undefined, 'stop signal delivered')
  demand(end.stopSignal?.result !== 'Ignored', 'stop signal ignored')
  const hooks = life.runs.flatMap(({ hook }) => hook ?? [])
  switch (end.preStop?.result) {
    case 'Succeeded':
      demand(
        hooks.some(({ overran, failedAt }) => !overran && failedAt === undefined),
        'preStop succeeded',
      )
      break
    case 'Failed':
      demand(
        hooks.some(({ failedAt }) => failedAt !== undefined),
        'preStop failed',
      )
      break
    case 'Overran':
      demand(
        hooks.some(({ overran }) => overran),
        'preStop overran',
      )
      break
    default:
  }
  switch (end.outcome) {
    case 'ForcedKill':
      demand(life.killAt !== undefined, 'ForcedKill')
      break
    case 'OOMKilled':
      demand(exit?.reason === 'OOMKilled', 'OOMKilled')
      break
    case 'Killed':
      demand(code === 137 && life.killAt === undefined, 'Killed')
      break
    case 'Failed':
      demand(
        code !== undefined && code !== 0 && life.killAt === undefined && !(exit?.by === 'Signal' && code === stopCode),
        'Failed',
      )
      break
    case 'Signalled':
      // A hook that ends PID 1 with the stop signal's own number, or a program that does so later, looks the same.
      demand(code === stopCode && (life.signalAt !== undefined || life.runs.length > 0), 'Signalled')
      break
    case 'Graceful':
      demand(code === 0, 'Graceful')
      break
    case 'NeverStarted':
      demand(!started && life.plan.state === 'NeverStarted', 'NeverStarted')
      break
    default:
  }
  return problems
}

function tell({ started, signalAt, killAt, exit, runs }: Life): string {
  const hooks = runs.flatMap(({ hook }) =>
    hook === undefined
      ? []
      : [`hook ${hook.overran ? 'overran' : 'in time'}${hook.failedAt === undefined ? '' : ', reported as failed'}`],
  )
  return [
    started ? 'it had run' : 'it did not run',
    ...hooks,
    signalAt === undefined ? 'no signal' : 'signalled',
    killAt === undefined ? 'not killed' : 'killed by the runtime',
    exit === undefined ? 'no exit' : `exited with ${exit.code} (${exit.reason}) by ${exit.by}`,
  ].join(', ')
}

function headProblems({ cause, outcome, containers = [], state }: PodTermination, history: TrueHistory): string[] {
  const problems: string[] = []
  if (cause !== undefined && cause.type !== 'Unknown' && !history.causes.includes(cause.type)) {
    problems.push(`cause ${cause.type}, but it was ${history.causes.join(' or ')}`)
  }
  const mains = containers.filter(({ role }) => role === 'Main')
  if (outcome !== undefined && outcome !== 'Lost' && !mains.some((end) => end.outcome === outcome)) {
    problems.push(`outcome ${outcome} is that of no main container`)
  }
  if ((outcome === undefined) === (state === 'Complete')) problems.push(`state ${state} with outcome ${outcome}`)
  return problems
}

function rotationProblems({ endpoints = [] }: PodTermination, { rotations, firstSignalAt }: TrueHistory): string[] {
  return endpoints.flatMap(({ service, readyAtStopSignal }) => {
    const real = rotations.find((item) => item.service === service)
    if (real === undefined) return [`Service ${service} never had this pod`]
    if (readyAtStopSignal === 'Unknown') return []
    if (firstSignalAt === undefined) return [`${service}: readyAtStopSignal ${readyAtStopSignal}, but no signal came`]
    const ready = real.readyAt(firstSignalAt)
    return ready === (readyAtStopSignal === 'True')
      ? []
      : [`${service}: readyAtStopSignal ${readyAtStopSignal}, but it was ${ready}`]
  })
}

function findingProblems({ findings = [] }: PodTermination, { lives, rotations, firstSignalAt, marks }: TrueHistory): string[] {
  return findings.flatMap(({ type, container, service, message }) => {
    const life = lives.find(({ name }) => name === container)
    const hooks = life?.runs.flatMap(({ hook }) => hook ?? []) ?? []
    const wrong = (right: boolean) =>
      right ? [] : [`finding ${type}${container === undefined ? '' : ` (${container})`}: ${message}`]
    const texts = /NaN|undefined|Infinity|[\s(]-\d/.test(message) ? [`finding ${type} with a strange number: ${message}`] : []
    switch (type) {
      case 'PreStopOverran':
        return [...texts, ...wrong(hooks.some(({ overran }) => overran))]
      case 'PreStopFailed':
        return [...texts, ...wrong(hooks.some(({ failedAt }) => failedAt !== undefined))]
      case 'GraceExhausted':
        return [...texts, ...wrong(life?.killAt !== undefined)]
      case 'EndpointReadyAtStopSignal': {
        const real = rotations.find((item) => item.service === service)
        return [...texts, ...wrong(firstSignalAt !== undefined && real?.readyAt(firstSignalAt) === true)]
      }
      case 'NoDrainTime': {
        const out = marks.filter((mark) => mark.mark === 'EndpointNotReady' && mark.service === service)
        return [...texts, ...wrong(firstSignalAt !== undefined && out.some(({ at }) => firstSignalAt - at < DRAIN_TIME + ABOUT))]
      }
      case 'GraceShortened':
        return [...texts, ...wrong(marks.some(({ mark }) => mark === 'GraceShortened'))]
      default:
        return texts
    }
  })
}
