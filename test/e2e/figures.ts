/** The figures of a whole run: how right, how narrow, how soon and how cheap the records were. */
import { MILLISECOND, type Micros, SECOND } from '../../src/core/time.ts'
import { WIDEST_MEASURED } from './measured.ts'
import type { PodResult, ScenarioResult } from './runner.ts'
import type { ContainerTruth } from './truth/containers.ts'
import type { CheckedMark } from './verify.ts'

/** How far the best estimates of measured marks may be from the truth at the 95th percentile. */
export const FARTHEST_MEASURED: Micros = 5 * MILLISECOND

export interface Figures {
  readonly marks: number
  readonly holding: number
  /** Median width of the interval by kind of mark, in microseconds. */
  readonly widths: readonly { readonly kind: string; readonly count: number; readonly median: Micros }[]
  /** From removal to the Complete record, where the controller was there all the time. */
  readonly delay: { readonly count: number; readonly p50: Micros; readonly p99: Micros }
  /** How many records took so many writes. */
  readonly writes: ReadonlyMap<number, number>
  /** Marks that the agent measured, in microseconds; absent where there are none. */
  readonly measured?: {
    readonly count: number
    readonly widest: Micros
    /** From the best estimate to the truth. */
    readonly distanceP95: Micros
  }
  /** Bytes, of the replica that has the most. */
  readonly memory?: Memory
  readonly agentMemory?: Memory
}

interface Memory {
  readonly resident: number
  readonly peak: number
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

const QUICK_STOP = 'StopSignal (no hook, sleep hook)'
const SLOW_STOP = 'StopSignal (no hook, sleep hook; slow shutdown)'
const SLOW: Micros = 0.3 * SECOND

/** What the median widths are to reach without the agent; told beside them, since a busy machine delays the kubelet's reports. */
const WIDTH_TARGETS: ReadonlyMap<string, Micros> = new Map([
  [QUICK_STOP, 0.3 * SECOND],
  ['Kill (last container)', 0.5 * SECOND],
  ['ContainerExited (last container)', 0.5 * SECOND],
  ['Kill (other containers)', 1.1 * SECOND],
  ['ContainerExited (other containers)', 1.1 * SECOND],
])

/**
 * An app that shuts down by itself at its own pace: nothing but its exit bounds the signal from above, so the width is as long as
 * the shutdown was.
 */
function slow({ kill, stopSignal, exit }: ContainerTruth): boolean {
  return (
    kill?.by !== 'Runtime' && stopSignal !== undefined && exit !== undefined && exit.at.earliest - stopSignal.at.earliest > SLOW
  )
}

/**
 * Kinds that have a target of their own: a stop signal whose moment no exec or httpGet hook hides, and the last container to end,
 * whose exit the kubelet reports at once.
 */
function kindOf({ mark, container, confidence }: CheckedMark, pod: PodResult): string {
  const real = pod.truth.containers.find(({ name }) => name === container)
  if (confidence === 'Measured') return `${mark} (measured)`
  if (real === undefined) return mark
  const handler = real.preStop?.handler
  if (mark === 'StopSignal') {
    if (real.role === 'Sidecar') return 'StopSignal (sidecar)'
    if (!pod.killing.includes(real.name)) return 'StopSignal (no Killing event arrived)'
    if (handler !== undefined && handler !== 'Sleep') return 'StopSignal (other hooks)'
    return slow(real) ? SLOW_STOP : QUICK_STOP
  }
  if (mark !== 'Kill' && mark !== 'ContainerExited') return mark
  const exits = pod.truth.containers.map(({ exit }) => exit?.at.earliest ?? 0)
  return real.exit?.at.earliest === Math.max(...exits) ? `${mark} (last container)` : `${mark} (other containers)`
}

export function figuresOf(results: readonly ScenarioResult[], memory: readonly Memory[], agentMemory?: Memory): Figures {
  const pods = results.flatMap((result) => result.pods)
  const widths = new Map<string, Micros[]>()
  let count = 0
  let holding = 0
  for (const pod of pods) {
    for (const mark of pod.marks) {
      count += 1
      if (mark.holds) holding += 1
      const kind = kindOf(mark, pod)
      widths.set(kind, [...(widths.get(kind) ?? []), mark.width])
    }
  }
  const delays = results.filter(({ alone }) => !alone).flatMap((result) => result.pods.flatMap(({ delay }) => delay ?? []))
  const writes = new Map<number, number>()
  for (const pod of pods) writes.set(pod.writes, (writes.get(pod.writes) ?? 0) + 1)
  const measured = pods.flatMap(({ marks }) => marks).filter(({ confidence }) => confidence === 'Measured')
  const most = memory.toSorted((a, b) => b.resident - a.resident)[0]
  return {
    marks: count,
    holding,
    widths: [...widths]
      .map(([kind, all]) => ({ kind, count: all.length, median: percentile(all, 0.5) }))
      .sort((a, b) => (a.kind < b.kind ? -1 : 1)),
    delay: { count: delays.length, p50: percentile(delays, 0.5), p99: percentile(delays, 0.99) },
    writes: new Map([...writes].sort(([a], [b]) => a - b)),
    ...(measured.length === 0
      ? {}
      : {
          measured: {
            count: measured.length,
            widest: Math.max(...measured.map(({ width }) => width)),
            distanceP95: percentile(
              measured.map(({ distance }) => distance),
              0.95,
            ),
          },
        }),
    ...(most === undefined ? {} : { memory: most }),
    ...(agentMemory === undefined ? {} : { agentMemory }),
  }
}

export function table(figures: Figures): string {
  const ms = (micros: Micros) =>
    micros < 2 * MILLISECOND ? `${Math.round(micros)} µs` : `${Math.round(micros / MILLISECOND)} ms`
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  const rows: [string, string][] = [
    ['marks whose interval holds the truth', `${figures.holding} of ${figures.marks}`],
    ...figures.widths.map(({ kind, count, median }): [string, string] => {
      const target = WIDTH_TARGETS.get(kind)
      return [`median width, ${kind}`, `${ms(median)} (${count})${target === undefined ? '' : `, to reach: ${ms(target)}`}`]
    }),
    ...measuredRows(figures, ms),
    ['removal to Complete record, p50', `${ms(figures.delay.p50)} (${figures.delay.count})`],
    ['removal to Complete record, p99', ms(figures.delay.p99)],
    ['writes a record', [...figures.writes].map(([writes, records]) => `${writes}: ${records} records`).join(', ')],
  ]
  if (figures.memory)
    rows.push(['memory of the controller (peak)', `${mib(figures.memory.resident)} (${mib(figures.memory.peak)})`])
  if (figures.agentMemory)
    rows.push(['memory of the agent (peak)', `${mib(figures.agentMemory.resident)} (${mib(figures.agentMemory.peak)})`])
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}

function measuredRows({ measured }: Figures, ms: (micros: Micros) => string): [string, string][] {
  if (measured === undefined) return []
  return [
    ['measured marks', String(measured.count)],
    ['measured marks, widest interval', `${ms(measured.widest)}, limit: ${ms(WIDEST_MEASURED)}`],
    ['measured marks, distance from the truth, p95', `${ms(measured.distanceP95)}, limit: ${ms(FARTHEST_MEASURED)}`],
  ]
}
