/** A report as text for a terminal. */
import { textOfBeside } from '../agent/support/cost.ts'
import type { Report } from './bench.ts'
import { bytesPerPod, medianOf, PROGRAMS } from './memory.ts'
import type { Delays, Terminations } from './throughput.ts'

const MIB = 1024 * 1024
const NAMES = { gracewatch: 'Gracewatch', goStripped: 'Go, stripped', goPlain: 'Go, as it comes' } as const

const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`
const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`
const seconds = (value: number) => `${value.toFixed(2)} s`
const percent = (share: number) => `${(share * 100).toFixed(1)} %`
const delays = ({ p50, p99, max }: Delays) => `p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, at most ${max.toFixed(0)} ms`

export function textOf(report: Report): string {
  const { memory, throughput, idle, cleanup, agent, machine, versions } = report
  const version = Object.entries(versions).map(([name, value]) => `${name} ${value}`)
  return [
    `${report.pods} pods of ${kib(report.podJsonBytes)} of JSON, commit ${report.commit}, ${version.join(', ')}`,
    `${machine.processors} processors (${machine.model}), ${mib(machine.memoryBytes)}; ${report.seconds} s in all`,
    '',
    ...memory.flatMap((size) => [
      `with ${size.pods} pods (median of ${size.starts.gracewatch.length}):`,
      ...PROGRAMS.map((program) => {
        const of = (field: Parameters<typeof medianOf>[2]) => medianOf(size, program, field)
        const freed = program === 'gracewatch' ? '' : ` (${mib(of('freed'))} when told to give memory back)`
        return `  ${NAMES[program].padEnd(16)} ready after ${seconds(of('startMs') / 1000)}, resident ${mib(of('resident'))}${freed}, at most ${mib(of('peak'))}`
      }),
    ]),
    'resident memory for each pod:',
    `  ${NAMES.gracewatch.padEnd(16)} ${kib(bytesPerPod(memory, 'gracewatch', 'resident'))}`,
    ...(['goStripped', 'goPlain'] as const).map(
      (program) =>
        `  ${NAMES[program].padEnd(16)} ${kib(bytesPerPod(memory, program, 'resident'))} (${kib(bytesPerPod(memory, program, 'freed'))} when told to give memory back)`,
    ),
    '',
    `idle with ${idle.pods} pods: ${percent(idle.cpuShareWithout)} of a core, with ${idle.updatesPerSecond} updates a second ${percent(idle.cpuShare)}`,
    '',
    `${throughput.burst.terminations} terminations at once: ${told(throughput.burst)}`,
    `  as many without a controller, each record written when its pod is gone: ${seconds(throughput.bareWithPods.seconds)}; ${delays(throughput.bareWithPods.delayMs)}`,
    `  the same records written with no pod about: ${seconds(throughput.bareAlone.seconds)}; each ${delays(throughput.bareAlone.writeMs)}`,
    ...throughput.steady.map((part) => `${part.perSecond} a second, ${part.terminations} in all: ${told(part)}`),
    `recorded ${throughput.recorded} of ${throughput.ended}, ${throughput.surplus} records too many, ${throughput.writeRequests} requests to write one`,
    ...(cleanup === null
      ? []
      : [
          `cleanup of ${cleanup.pods} finished pods: ${cleanup.mixed.toFixed(0)} deletes a second, podgc ${cleanup.podgc.toFixed(0)}`,
        ]),
    ...(agent === null ? [] : [textOfBeside(agent)]),
    '',
    ...Object.entries(report.ratios).map(([name, value]) => {
      const reasons: Readonly<Record<string, string>> = report.notMeasured
      return `${name.padEnd(26)} ${value === null ? `not measured: ${reasons[name]}` : value.toFixed(3)}`
    }),
    '',
  ].join('\n')
}

function told(part: Terminations): string {
  const writes = `${part.shortWrites} writes for the ${part.short} of less than two seconds`
  return `${seconds(part.seconds)}; from removal to record ${delays(part.delayMs)}; ${part.cpuSecondsPer1000.toFixed(2)} s of CPU for 1,000; ${writes}`
}
