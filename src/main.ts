/** The controller's composition root: settings, log, connection, parts, signals, exit codes (0 stopped, 1 failed, 2 bad settings). */
import { parseConfig } from './config.ts'
import { createCleaner } from './controllers/cleaner/create.ts'
import { MAX_TARGETS } from './controllers/gatekeeper/checks/target.ts'
import { createGatekeeper } from './controllers/gatekeeper/create.ts'
import { RecorderController } from './controllers/recorder/controller.ts'
import { createClock } from './kube/clock.ts'
import { openConnection } from './kube/connection.ts'
import { GateObjects } from './kube/gate-objects.ts'
import { GracewatchOperator } from './kube/operator.ts'
import { createLogger } from './log.ts'
import { exitWith, untilStopped } from './process.ts'
import { cacheSynced, leaseReachable, startHealthServer, watchAlive } from './web/health.ts'

/** How long a stop may take: less than the Pod's own grace period, or we would be killed like those we record. */
const STOP_WITHIN_MS = 20_000

/** Runs until SIGTERM or SIGINT. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseConfig(argv)
  if ('help' in parsed) {
    process.stdout.write(parsed.help)
    return 0
  }
  if ('problems' in parsed) {
    for (const problem of parsed.problems) process.stderr.write(`gracewatch-controller: ${problem}\n`)
    return 2
  }
  const { config, warnings } = parsed
  const log = createLogger(config.logLevel)
  for (const warning of warnings) log.warn({ warning }, 'setting not understood')

  const clock = createClock()
  // Each target of a condition check is a watch; the other watches and the calls need their connections beside them.
  const limits = config.gates ? { maxStreams: MAX_TARGETS + 24, maxConnections: MAX_TARGETS + 32 } : {}
  const connection = await openConnection(
    config.kubeconfig === undefined && config.inCluster !== undefined
      ? { inCluster: true, ...config.inCluster, ...limits, clock }
      : { kubeconfig: config.kubeconfig, context: config.context, ...limits, clock },
  )
  const recorder = new RecorderController({ http: connection.http, clock, log, settings: config })
  const watches = [
    ['pods', recorder.pods],
    ['endpointslices', recorder.slices],
    ...recorder.events.map((reflector, index) => [`events ${index + 1}`, reflector] as const),
  ] as const
  const operator = new GracewatchOperator({ http: connection.http, clock, log }).add(recorder)
  const gates = config.gates ? new GateObjects(operator, connection.http) : undefined
  // What it is made of is loaded where it is used.
  const metrics =
    config.metricsAddress === undefined
      ? undefined
      : new (await import('./metrics/controller.ts')).ControllerMetrics({
          ...{ http: connection.http, clock, log, recorder, settings: config },
        })
  if (gates !== undefined) {
    const gatekeeper = createGatekeeper({
      ...{ http: connection.http, clock, log, gates, recorder, settings: config },
      onReleased: (gate, held) => metrics?.gates?.onReleased(gate, held),
    })
    recorder.observe(gatekeeper)
    operator.add(gatekeeper)
    metrics?.readFrom(gatekeeper)
    metrics?.watch('podreadinessgates', () => gates.reflector)
  }
  const cleaner = config.cleanup
    ? createCleaner({
        ...{ http: connection.http, clock, log, recorder, settings: config },
        onPass: (planned, acted) => metrics?.cleanup?.onPass(planned, acted),
      })
    : undefined
  if (cleaner !== undefined) {
    recorder.observe(cleaner)
    operator.add(cleaner)
    metrics?.watch('podcleanups', () => cleaner.cleanups)
    metrics?.watch('jobs', () => cleaner.jobs)
  }
  const health = await startHealthServer({
    address: config.healthAddress,
    // Not needed to be ready: without the CRD, pods are followed all the same.
    live: [
      ...watches.map(([name, reflector]) => [name, () => reflector.stats] as const),
      ['podterminations', () => recorder.open.stats] as const,
      ...(gates === undefined ? [] : [['podreadinessgates', () => gates.reflector?.stats] as const]),
      ...(cleaner === undefined
        ? []
        : [['podcleanups', () => cleaner.cleanups.stats] as const, ['jobs', () => cleaner.jobs.stats] as const]),
    ].map(([name, stats]) => watchAlive(name, stats, () => clock.now())),
    ready: [...watches.map(([name, reflector]) => cacheSynced(name, reflector)), leaseReachable(() => recorder.elector.stats)],
  })

  const metricsServer = config.metricsAddress === undefined ? undefined : await metrics?.serve(config.metricsAddress)
  const page =
    config.pagePort === undefined
      ? undefined
      : await (await import('./page/controller-page.ts')).servePage({ http: connection.http, clock, log, port: config.pagePort })

  log.info({ cluster: connection.describe(), replica: config.podName }, 'starting')
  const start = async () => {
    await operator.start()
    // Also where it was told to stop before they were.
    if (recorder.pods.synced) log.info({ pods: recorder.pods.size }, 'caches complete')
  }
  const code = await untilStopped({ start, stop: () => operator.stop() }, log, STOP_WITHIN_MS)
  await Promise.all([health.close(), metricsServer?.close(), page?.close()])
  await connection.http.close()
  return code
}

if (import.meta.main) exitWith('gracewatch-controller', main(process.argv.slice(2)))
