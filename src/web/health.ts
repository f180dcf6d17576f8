/**
 * /livez and /readyz for the kubelet and for people. An answer at all says that the event loop runs; the checks say the rest. The
 * body has one line a check, `[+]` or `[-]`, as the API server's own.
 */
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { type Micros, SECOND } from '../core/time.ts'
import type { LeaderElectorStats } from '../kube/lease.ts'
import type { ReflectorStats } from '../kube/reflector-types.ts'
import { createServer } from '../node-http.ts'
import type { ListenAddress } from '../settings-table.ts'

export interface HealthCheck {
  readonly name: string
  /** Undefined: all is well; otherwise a sentence part that says what is not. */
  check(): string | undefined
}

export interface HealthServer {
  readonly port: number
  /** Ends open connections too. May be called more than once. */
  close(): Promise<void>
}

/** The reflector gives a silent watch up after 90 s; one that is silent for this long without a failure has lost its thread. */
const WATCH_STUCK: Micros = 300 * SECOND
const LEASE_SILENT_MS = 60_000

/**
 * For /livez: a restart helps where a watch hangs and its own watchdog did not end that. It does not help where the API server is
 * away, so a reflector that fails and tries again is alive.
 */
export function watchAlive(name: string, stats: () => ReflectorStats | undefined, now: () => Micros): HealthCheck {
  return {
    name: `watch ${name}`,
    check() {
      // Not begun yet.
      const { lastAliveAt, failuresInRow = 0, phase } = stats() ?? {}
      if (phase === 'Stopped' || lastAliveAt === undefined || failuresInRow > 0) return undefined
      const silent = now() - lastAliveAt
      return silent > WATCH_STUCK ? `silent for ${Math.round(silent / SECOND)} s` : undefined
    },
  }
}

/** For /readyz: leader and standby are both ready, as soon as their caches are. */
export function cacheSynced(name: string, reflector: { readonly synced: boolean; readonly stats: ReflectorStats }): HealthCheck {
  return {
    name: `cache ${name}`,
    check: () => (reflector.synced ? undefined : `not listed yet${because(reflector.stats.lastError)}`),
  }
}

/** For /readyz: a replica that cannot read the Lease can neither lead nor stand by. */
export function leaseReachable(stats: () => LeaderElectorStats): HealthCheck {
  return {
    name: 'lease',
    check() {
      const { lastContactAgoMs: ago } = stats()
      if (ago === undefined) return 'not read yet'
      return ago > LEASE_SILENT_MS ? `not reached for ${Math.round(ago / 1000)} s` : undefined
    },
  }
}

const because = (error: string | undefined) => (error === undefined ? '' : `: ${error}`)

/** Listens until close(). Rejects, in words for the settings, where the address cannot be had. */
export function startHealthServer(options: {
  readonly address: ListenAddress
  readonly live: readonly HealthCheck[]
  readonly ready: readonly HealthCheck[]
}): Promise<HealthServer> {
  const { host, port } = options.address
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') plain(response, 405, 'only GET and HEAD\n')
    else if (path === '/livez') answer(response, options.live)
    else if (path === '/readyz') answer(response, options.ready)
    else plain(response, 404, 'not found: there are /livez and /readyz\n')
  })
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${error.message})`
      reject(new Error(`${host ?? ''}:${port} ${why}: write another --health-address`, { cause: error }))
    })
    server.listen(port, host, () => {
      resolve({
        port: (server.address() as AddressInfo).port, // a server that listens on a port has one
        close: () =>
          new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          }),
      })
    })
  })
}

function answer(response: ServerResponse, checks: readonly HealthCheck[]): void {
  const lines: string[] = []
  let failed = false
  for (const { name, check } of checks) {
    const problem = check()
    failed ||= problem !== undefined
    lines.push(problem === undefined ? `[+] ${name} ok` : `[-] ${name}: ${problem}`)
  }
  plain(response, failed ? 503 : 200, `${[...lines, failed ? 'failed' : 'ok'].join('\n')}\n`)
}

function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }).end(text)
}
