/** The metrics of the table as prom-client has them, in a registry of their own, and what it tells when it is asked. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Exposition, Scrape } from '../web/metrics.ts'
import { type Definition, entriesOf, type LabelsOf, type MetricName, type MetricSource, type NamesOf } from './definitions.ts'

export type Labels<K extends MetricName> = Readonly<Record<LabelsOf<K>, string>>

export interface MetricRegistryOptions {
  readonly sources: readonly MetricSource[]
  /** Parts that are switched on. */
  readonly parts: ReadonlySet<NonNullable<Definition['with']>>
  /** Beside those of the table, what prom-client knows of the process: memory, processor time, the event loop. Default true. */
  readonly process?: boolean
}

/** Gauges of prom-client whose names say that they are counters. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'] as const

export class MetricRegistry implements Exposition {
  readonly #registry = new Registry()
  readonly #counters = new Map<string, Counter>()
  readonly #gauges = new Map<string, Gauge>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #collectors: (() => void)[] = []
  readonly #onExposed: (() => () => void)[] = []

  constructor({ sources, parts, process = true }: MetricRegistryOptions) {
    if (process) {
      collectDefaultMetrics({ register: this.#registry })
      for (const name of MISNAMED) this.#registry.removeSingleMetric(name)
    }
    const registers = [this.#registry]
    for (const [name, definition] of new Map(sources.flatMap(entriesOf))) {
      const { type, help, labels, buckets = [], with: part } = definition
      if (part !== undefined && !parts.has(part)) continue
      const options = { name, help, labelNames: labels, registers }
      if (type === 'Counter') this.#counters.set(name, new Counter(options))
      else if (type === 'Gauge') this.#gauges.set(name, new Gauge(options))
      else this.#histograms.set(name, new Histogram({ ...options, buckets: [...buckets] }))
    }
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** To be called before each exposition: takes in what stands elsewhere. */
  onCollect(collector: () => void): void {
    this.#collectors.push(collector)
  }

  /** Called with each exposition; what it returns is called once the exposition has been handed over. */
  onExposed(expose: () => () => void): void {
    this.#onExposed.push(expose)
  }

  async scrape(): Promise<Scrape> {
    for (const collect of this.#collectors) collect()
    const delivered = this.#onExposed.map((expose) => expose())
    const text = await this.#registry.metrics()
    return {
      text,
      delivered: () => {
        for (const done of delivered) done()
      },
    }
  }

  count<K extends NamesOf<'Counter'>>(name: K, labels: Labels<K>, by = 1): void {
    this.#counters.get(name)?.inc(labels, by)
  }

  /** Of a counter that is kept elsewhere: what it stands at. */
  counted<K extends NamesOf<'Counter'>>(name: K, labels: Labels<K>, value: number): void {
    const counter = this.#counters.get(name)
    counter?.remove(labels)
    counter?.inc(labels, value)
  }

  set<K extends NamesOf<'Gauge'>>(name: K, labels: Labels<K>, value: number): void {
    this.#gauges.get(name)?.set(labels, value)
  }

  /** Leaves the gauge without any series: for states that come and go. */
  empty(name: NamesOf<'Gauge'>): void {
    this.#gauges.get(name)?.reset()
  }

  observe<K extends NamesOf<'Histogram'>>(name: K, labels: Labels<K>, value: number): void {
    this.#histograms.get(name)?.observe(labels, value)
  }

  remove<K extends NamesOf<'Counter' | 'Histogram'>>(name: K, labels: Labels<K>): void {
    this.#counters.get(name)?.remove(labels)
    this.#histograms.get(name)?.remove(labels)
  }
}
