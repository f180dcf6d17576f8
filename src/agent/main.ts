/** The agent's composition root: settings, log, connection, signals, exit codes (0 stopped, 1 failed, 2 bad settings). */
import { hostname } from 'node:os'
import type { KubeHttp } from '../kube/http.ts'
import { inClusterServer, SERVICE_ACCOUNT_DIRECTORY, serviceAccountCredentials } from '../kube/in-cluster.ts'
import { LeanHttpClient } from '../kube/lean-http-client.ts'
import type { Log } from '../kube/log.ts'
import { exitWith, untilStopped } from '../process.ts'
import type { ListenAddress } from '../settings-table.ts'
import { cacheSynced, startHealthServer, watchAlive } from '../web/health.ts'
import type { MetricsServer } from '../web/metrics.ts'
import { Agent } from './agent.ts'
import { type AgentConfig, parseAgentConfig } from './config.ts'
import { createLeanLog } from './log.ts'
import { NodeClock } from './node-clock.ts'

/** How long a stop may take: less than the Pod's own grace period. */
const STOP_WITHIN_MS = 15_000
const USER_AGENT = 'gracewatch-agent'

/** Runs until SIGTERM or SIGINT. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseAgentConfig(argv)
  if ('help' in parsed) {
    process.stdout.write(parsed.help)
    return 0
  }
  if ('problems' in parsed) {
    for (const problem of parsed.problems) process.stderr.write(`gracewatch-agent: ${problem}\n`)
    return 2
  }
  const { config, warnings } = parsed
  const log = createLeanLog(config.logLevel)
  for (const warning of warnings) log.warn({ warning }, 'setting not understood')

  const clock = new NodeClock()
  const { http, server } = await connect(config, clock)
  const agent = new Agent({ http, clock, log, settings: config })
  const health = await startHealthServer({
    address: config.healthAddress,
    live: [
      ...agent.live(),
      watchAlive(
        'pods',
        () => agent.pods.stats,
        () => clock.now(),
      ),
    ],
    ready: [...agent.ready(), cacheSynced('pods', agent.pods)],
  })

  const metrics =
    config.metricsAddress === undefined ? undefined : await serveMetrics(config.metricsAddress, config, agent, http, log, clock)

  log.info({ server, node: config.nodeName }, 'starting')
  const code = await untilStopped(agent, log, STOP_WITHIN_MS)
  log.info({ records: agent.reporter.stats, trace: agent.collector.stats }, 'stopped')
  clock.stop()
  await Promise.all([health.close(), metrics?.close()])
  await http.close()
  return code
}

/** What it is made of is loaded where it is used. */
async function serveMetrics(
  address: ListenAddress,
  settings: AgentConfig,
  agent: Agent,
  http: KubeHttp,
  log: Log,
  clock: NodeClock,
): Promise<MetricsServer> {
  const [{ AgentMetrics }, { openMetricsPort }] = await Promise.all([
    import('../metrics/agent.ts'),
    import('../web/metrics-port.ts'),
  ])
  const exposition = new AgentMetrics({ agent, http, now: () => clock.now() })
  return openMetricsPort({ address, settings, http, log, exposition, names: [hostname(), 'localhost'] })
}

/** The service account of the pod; a kubeconfig, for an agent outside of the cluster, loads the Kubernetes client. */
async function connect({ kubeconfig, context, inCluster }: AgentConfig, clock: NodeClock) {
  if (kubeconfig === undefined && inCluster !== undefined) {
    const server = inClusterServer(inCluster.host, inCluster.port)
    const credentials = serviceAccountCredentials(SERVICE_ACCOUNT_DIRECTORY)
    return { server, http: new LeanHttpClient({ server, credentials, clock, userAgent: USER_AGENT }) }
  }
  const { loadKubeconfig } = await import('../kube/kubeconfig.ts')
  const { server, credentials, proxy } = await loadKubeconfig({ kubeconfig, context })
  if (proxy !== undefined) throw new Error(`the kubeconfig names a proxy (${proxy}): the agent connects without one only`)
  return { server, http: new LeanHttpClient({ server, credentials, clock, userAgent: USER_AGENT }) }
}

if (import.meta.main) exitWith('gracewatch-agent', main(process.argv.slice(2)))
