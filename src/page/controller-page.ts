/** The page as the controller serves it, with the controller's rights: for who may port-forward to its pod, and nobody else. */
import type { RecorderClock } from '../kube/clock.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'
import { startPage } from './server.ts'
import { watchRecords } from './source.ts'

/** Rejects, in words for the settings, where the port cannot be had. */
export async function servePage(options: {
  readonly port: number
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
}): Promise<{ readonly port: number; close(): Promise<void> }> {
  const { http, clock, log } = options
  const source = watchRecords({ http, log, now: () => clock.now(), timeZone: 'UTC' })
  // Without a key: what reaches the loopback of this pod has come through the API server, which asked who may.
  const page = await startPage({ source, log, port: options.port }).catch(async (error: Error) => {
    await source.stop()
    throw new Error(`${error.message}: write another --page-port`, { cause: error })
  })
  return {
    port: page.port,
    async close() {
      await page.close()
      await source.stop()
    },
  }
}
