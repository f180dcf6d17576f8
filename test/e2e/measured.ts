/** What has to hold of a record beside where the agent measured: nothing that the kernel saw is inferred or left open. */
import type { KernelContainer } from '../../src/api/kernel.ts'
import type { Mark, MarkType, PodTermination } from '../../src/api/pod-termination.ts'
import { MILLISECOND, type Micros, parseTime } from '../../src/core/time.ts'
import type { Expectation, ExpectedContainer, ExpectedKernel } from './scenario.ts'
import type { ContainerTruth, Place } from './truth/containers.ts'
import { type Interval, overlaps } from './truth/interval.ts'
import type { Truth, TruthMark } from './truth/truth.ts'

/** How wide the interval of a measured mark may be. */
export const WIDEST_MEASURED: Micros = 10 * MILLISECOND

const SEEN_BY_A_KERNEL: ReadonlySet<MarkType> = new Set<MarkType>(['StopSignal', 'Kill', 'ContainerExited'])

/** The expectation where the kernel's word is there: what is Unknown to the API is known then, and no mark of the kernel may be missed. */
export function whereMeasured(expected: Expectation, truth: Truth): Expectation {
  const containers = Object.entries(expected.containers).map(([name, shall]): [string, ExpectedContainer] => {
    const real = truth.containers.find((it) => it.name === name)
    const known = real?.stopSignal === undefined || isUnmeasured(expected, 'StopSignal', name)
    return [
      name,
      {
        ...shall,
        ...(known ? {} : { stopSignal: [real.stopSignal.result] }),
        ...shall.measured,
      },
    ]
  })
  const mayMiss = (expected.mayMiss ?? []).filter((mark) => !SEEN_BY_A_KERNEL.has(mark.split('/')[0] as MarkType)) // it is `MarkType/…`
  return { ...expected, mayMiss, ...expected.measured, containers: Object.fromEntries(containers) }
}

export function measuredProblems(record: PodTermination, truth: Truth, expected: Expectation): string[] {
  const problems: string[] = []
  for (const real of truth.marks) {
    if (!SEEN_BY_A_KERNEL.has(real.mark) || real.optional || real.source !== 'kernel') continue
    if (isUnmeasured(expected, real.mark, real.container)) continue
    const mark = record.timeline?.find((it) => it.mark === real.mark && it.container === real.container)
    if (mark !== undefined) problems.push(...measuredMarkProblems(mark, real))
  }
  if (record.kernel === undefined) {
    const ran = truth.containers.some(({ exit }) => exit !== undefined)
    return ran ? [...problems, 'the agent added nothing to it'] : problems
  }
  for (const real of truth.containers) {
    const shall = expected.containers[real.name]
    // A container that was restarted has an entry for each run; what is true is told of the last.
    const is = record.kernel.containers?.find(({ containerID }) => real.id !== undefined && containerID.endsWith(real.id))
    if (is !== undefined) problems.push(...rawProblems(is, real, expected), ...kernelProblems(is, shall?.kernel ?? {}))
    else if (real.exit?.how !== undefined && !isUnmeasured(expected, 'ContainerExited', real.name))
      problems.push(`container ${real.name}: the agent says nothing of it`)
  }
  const { gaps = [], lostEvents } = record.kernel
  if (lostEvents > 0) problems.push(`the agent lost ${lostEvents} events`)
  if (expected.unmeasured !== undefined && gaps.length === 0) problems.push('the agent states no gap')
  if (expected.unmeasured === undefined)
    problems.push(...gaps.map(({ from, to, reason }) => `the agent states a gap from ${from ?? 'its start'} to ${to}: ${reason}`))
  return problems
}

function isUnmeasured({ unmeasured = [] }: Expectation, mark: MarkType, container: string | undefined): boolean {
  return unmeasured.includes(mark) || unmeasured.includes(`${mark}/${container}`)
}

function measuredMarkProblems(mark: Mark, real: TruthMark): string[] {
  const of = `${mark.mark} of ${mark.container}`
  const width = (parseTime(mark.latest) ?? 0) - (parseTime(mark.earliest) ?? 0)
  if (mark.confidence !== 'Measured' || mark.source !== 'Kernel')
    return [`${of} (${real.source}) is ${mark.confidence} by ${mark.source}, not Measured by Kernel`]
  return width > WIDEST_MEASURED ? [`${of} is measured to ${width / MILLISECOND} ms only`] : []
}

/** The agent's own field, held against the trace of the test: it is right by itself, whatever the controller makes of it. */
function rawProblems(is: KernelContainer, real: ContainerTruth, expected: Expectation): string[] {
  const problems: string[] = []
  const one = (what: string, mark: MarkType, found: Moment | undefined, at: Interval | undefined) => {
    if (isUnmeasured(expected, mark, real.name) || (at === undefined && found === undefined)) return
    if (at === undefined) problems.push(`container ${real.name}: kernel.${what} is there, but it did not happen`)
    else if (found === undefined) problems.push(`container ${real.name}: kernel.${what} is missing`)
    else if (!overlaps(at, intervalOf(found)))
      problems.push(`container ${real.name}: kernel.${what} is said to lie at ${found.at}, and does not`)
  }
  one('stopSignal', 'StopSignal', is.stopSignal, real.stopSignal?.at)
  one('kill', 'Kill', is.kill, real.kill?.at)
  if (real.exit?.how !== undefined) one('exit', 'ContainerExited', is.exit, real.exit.at)
  const equal = (what: string, found: unknown, shall: unknown) => {
    if (found !== undefined && shall !== undefined && found !== shall)
      problems.push(`container ${real.name}: kernel.${what} is ${String(found)}, not ${String(shall)}`)
  }
  equal('stopSignal.name', is.stopSignal?.name, real.stopSignal?.signal)
  equal('stopSignal.result', is.stopSignal?.result, real.stopSignal?.result)
  equal('kill.by', is.kill?.by, real.kill && killerOf(real.kill))
  equal('exit.how', is.exit?.how, real.exit?.how)
  if (is.passedOn?.result === 'PassedOn') equal('passedOn', is.passedOn.result, real.forwarded ? 'PassedOn' : 'NotPassedOn')
  if (is.passedOn?.first && real.forwardedAt) one('passedOn.first', 'StopSignal', is.passedOn.first, real.forwardedAt)
  return problems
}

interface Moment {
  readonly at: string
  readonly earliest: string
  readonly latest: string
}

const intervalOf = ({ earliest, latest }: Moment): Interval => ({
  earliest: parseTime(earliest) ?? Number.NaN,
  latest: parseTime(latest) ?? Number.NaN,
})

function killerOf({ by, from }: NonNullable<ContainerTruth['kill']>): Place | 'Runtime' | 'OOM' | undefined {
  return by === 'Other' ? from : by
}

function kernelProblems(is: KernelContainer, shall: ExpectedKernel): string[] {
  const found: Required<{ [Field in keyof ExpectedKernel]: unknown }> = {
    disposition: is.process?.disposition,
    passedOn: is.passedOn?.result ?? 'absent',
    kill: is.kill?.by ?? 'absent',
    exit: is.exit?.how,
    preStop: is.preStop?.how ?? 'absent',
    pidNamespace: is.pidNamespace,
    leftBehind: is.processes?.some(({ leftBehind }) => leftBehind === true) ?? false,
    oomKills: (is.oomKills ?? []).length > 0,
  }
  return Object.entries(shall).flatMap(([field, wanted]) => {
    const value = found[field as keyof ExpectedKernel] // its own keys
    return value === wanted ? [] : [`container ${is.name}: kernel ${field} is ${String(value)}, not ${String(wanted)}`]
  })
}
