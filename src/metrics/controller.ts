/** The metrics of the controller: the registry, and what fills it. */
import type { Gatekeeper } from '../controllers/gatekeeper/gatekeeper.ts'
import { EVENT_REASONS, type RecorderController } from '../controllers/recorder/controller.ts'
import type { RecorderClock } from '../kube/clock.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'
import type { ListenAddress } from '../settings-table.ts'
import { productVersion } from '../version.ts'
import type { MetricsServer } from '../web/metrics.ts'
import { type MetricsPortSettings, openMetricsPort } from '../web/metrics-port.ts'
import { CleanupMetrics } from './cleanup.ts'
import { GateMetrics } from './gates.ts'
import { MetricRegistry } from './registry.ts'
import { SelfMetrics, type WatchSource } from './self.ts'
import { TerminationMetrics } from './terminations.ts'

export interface ControllerMetricsOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly recorder: RecorderController
  readonly settings: MetricsPortSettings & {
    readonly gates: boolean
    readonly cleanup: boolean
    readonly podName: string
    readonly metricsWorkloads: number
  }
}

export class ControllerMetrics {
  readonly registry: MetricRegistry
  /** Of a part that is switched on. */
  readonly gates: GateMetrics | undefined
  readonly cleanup: CleanupMetrics | undefined
  readonly #options: ControllerMetricsOptions
  readonly #watches: WatchSource[]
  #gatekeeper: Gatekeeper | undefined

  /** Before the recorder starts: it is observed. */
  constructor(options: ControllerMetricsOptions) {
    const { http, clock, recorder, settings } = options
    const { elector } = recorder
    const isLeader = () => elector.isLeader()
    this.#options = options
    this.registry = new MetricRegistry({
      sources: ['Leader', 'Replica'],
      parts: new Set([...(settings.gates ? (['gates'] as const) : []), ...(settings.cleanup ? (['cleanup'] as const) : [])]),
    })
    const { registry } = this
    this.gates = settings.gates ? new GateMetrics({ registry, isLeader, serverNow: () => recorder.serverNow() }) : undefined
    this.cleanup = settings.cleanup ? new CleanupMetrics(registry, isLeader) : undefined
    this.#watches = [
      { resource: 'pods', watch: () => recorder.pods },
      { resource: 'endpointslices', watch: () => recorder.slices },
      ...EVENT_REASONS.map((reason, index) => ({ resource: `events/${reason}`, watch: () => recorder.events[index] })),
      { resource: 'podterminations', watch: () => recorder.open },
    ]
    recorder.observe(new TerminationMetrics({ registry, source: recorder, maxWorkloads: settings.metricsWorkloads }))
    const self = new SelfMetrics({
      ...{ registry, source: recorder, watches: this.#watches, version: productVersion() },
      queues: () => this.#gatekeeper?.stats.queues ?? {},
      now: () => clock.now(),
    })
    http.onResponse((observation) => self.onResponse(observation))
  }

  /** One more watch to tell of. */
  watch(resource: string, watch: WatchSource['watch']): void {
    this.#watches.push({ resource, watch })
  }

  readFrom(gatekeeper: Gatekeeper): void {
    this.#gatekeeper = gatekeeper
    this.gates?.readFrom(gatekeeper)
  }

  /** Rejects, in words for the settings, where the port cannot be had. */
  serve(address: ListenAddress): Promise<MetricsServer> {
    const { http, log, settings } = this.#options
    const names = [settings.podName, 'localhost']
    return openMetricsPort({ ...{ address, settings, http, log, names }, exposition: this.registry })
  }
}
