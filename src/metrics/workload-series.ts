/**
 * The series that carry the name of a workload. There are only so many workloads at a time: those over the limit share one set of
 * series, and what has no pods any more gives way. A counter's series is told as 0 before anything is counted in it, or the first
 * forced kill ever would show no increase: Prometheus sees none in a series that begins at 1.
 */
import type { LabelsOf, MetricName, NamesOf, WORKLOAD_LABELS } from './definitions.ts'
import type { Labels, MetricRegistry } from './registry.ts'

/** Empty texts are labels that Prometheus takes for absent. */
export interface WorkloadName {
  readonly namespace: string
  readonly kind: string
  readonly name: string
}

type WorkloadLabel = (typeof WORKLOAD_LABELS)[number]
type Labelled<N extends MetricName> = { [K in N]: WorkloadLabel extends LabelsOf<K> ? K : never }[N]
export type WorkloadCounter = Labelled<NamesOf<'Counter'>>
export type WorkloadHistogram = Labelled<NamesOf<'Histogram'>>
/** The labels of a metric but for those of the workload. */
export type OwnLabels<K extends MetricName> = Readonly<Record<Exclude<LabelsOf<K>, WorkloadLabel>, string>>

interface Series {
  readonly metric: WorkloadCounter | WorkloadHistogram
  /** All of them, as the registry takes them for this metric. */
  readonly labels: Readonly<Record<string, string>>
  /** Counted, and not to be told before its 0 has been. */
  held: number
  /** Its 0 has been told; of a histogram always. */
  told: boolean
}

interface Workload {
  readonly labels: Readonly<Record<WorkloadLabel, string>>
  readonly series: Map<string, Series>
  /** When a pod of it came or ended, in milliseconds. */
  usedAt: number
}

/** What is over the limit. It has no namespace either: those are not limited in number. */
const OTHER: WorkloadName = { namespace: '', kind: '', name: 'other' }
/** A workload without pods keeps its series for so long, so that what it ended with can be looked at. */
const KEEP_MS = 3_600_000
/** Room is looked for no more often than this: it takes a look at every pod. */
const LOOK_MS = 60_000

export interface WorkloadSeriesOptions {
  readonly registry: MetricRegistry
  readonly max: number
  /** Workloads that have pods now. */
  readonly alive: () => Iterable<WorkloadName>
  /** Called for a workload that is new: what it is to have from the start. */
  readonly begin: (workload: WorkloadName, series: WorkloadSeries) => void
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

export class WorkloadSeries {
  readonly #options: WorkloadSeriesOptions
  readonly #workloads = new Map<string, Workload>()
  #untold = new Set<Series>()
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(options: WorkloadSeriesOptions) {
    this.#options = options
    options.registry.onExposed(() => this.#expose())
  }

  /** Those with series of their own. */
  get size(): number {
    return this.#workloads.size - Number(this.#workloads.has(keyOf(OTHER)))
  }

  /** The workload is there. */
  touch(workload: WorkloadName): void {
    this.#of(workload)
  }

  /** By 0: the series is there from now on. */
  count<K extends WorkloadCounter>(metric: K, workload: WorkloadName, own: OwnLabels<K>, by = 1): void {
    const series = this.#series(metric, workload, own)
    if (series.told) this.#add(series, by)
    else series.held += by
  }

  observe<K extends WorkloadHistogram>(metric: K, workload: WorkloadName, own: OwnLabels<K>, value: number): void {
    const { labels } = this.#series(metric, workload, own)
    this.#options.registry.observe(metric, labels as Labels<K>, value) // made for this metric
  }

  /** The labels of a workload, for a gauge; those of all over the limit are the same. */
  labelsOf(workload: WorkloadName): Readonly<Record<WorkloadLabel, string>> {
    return (this.#workloads.get(keyOf(workload)) ?? { labels: labelsOf(OTHER) }).labels
  }

  /** @returns what is to be called once the exposition that is made now has been handed over */
  #expose(): () => void {
    const exposed = [...this.#untold]
    return () => {
      for (const series of exposed) {
        if (!this.#untold.delete(series)) continue
        series.told = true
        this.#add(series, series.held)
        series.held = 0
      }
    }
  }

  #add({ metric, labels }: Series, by: number): void {
    this.#options.registry.count(metric as WorkloadCounter, labels as Labels<WorkloadCounter>, by) // only counters are held
  }

  #series(metric: WorkloadCounter | WorkloadHistogram, workload: WorkloadName, own: Readonly<Record<string, string>>): Series {
    const { series, labels } = this.#of(workload)
    const key = [metric, ...Object.values(own)].join(' ')
    let one = series.get(key)
    if (one === undefined) {
      const counter = metric.endsWith('_total')
      one = { metric, labels: { ...labels, ...own }, held: 0, told: !counter }
      series.set(key, one)
      if (counter) {
        this.#add(one, 0)
        this.#untold.add(one)
      }
    }
    return one
  }

  #of(name: WorkloadName): Workload {
    const key = keyOf(name)
    const known = this.#workloads.get(key)
    const now = this.#options.now()
    if (known !== undefined) {
      known.usedAt = now
      return known
    }
    if (name !== OTHER && this.size >= this.#options.max && !this.#makeRoom()) return this.#of(OTHER)
    const workload: Workload = { labels: labelsOf(name), series: new Map(), usedAt: now }
    this.#workloads.set(key, workload)
    this.#options.begin(name, this)
    return workload
  }

  /** Those whose pods have been gone for a while lose their series, the longest idle first. */
  #makeRoom(): boolean {
    const { alive, now, max } = this.#options
    if (now() - this.#lookedAt < LOOK_MS) return false
    this.#lookedAt = now()
    const living = new Set([...alive()].map(keyOf))
    const idle = [...this.#workloads]
      .filter(([key, { usedAt }]) => key !== keyOf(OTHER) && !living.has(key) && now() - usedAt >= KEEP_MS)
      .sort(([, a], [, b]) => a.usedAt - b.usedAt)
    // A tenth of the room, so that the next new workload need not look again.
    for (const [key, workload] of idle.slice(0, Math.ceil(max / 10))) this.#forget(key, workload)
    return this.size < max
  }

  #forget(key: string, { series }: Workload): void {
    this.#workloads.delete(key)
    for (const one of series.values()) {
      this.#untold.delete(one)
      this.#options.registry.remove(one.metric, one.labels as Labels<typeof one.metric>) // made for this metric
    }
  }
}

const keyOf = ({ namespace, kind, name }: WorkloadName): string => `${namespace}/${kind}/${name}`
const labelsOf = ({ namespace, kind, name }: WorkloadName): Readonly<Record<WorkloadLabel, string>> => ({
  namespace,
  workload_kind: kind,
  workload: name,
})
