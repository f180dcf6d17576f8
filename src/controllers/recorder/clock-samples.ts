/** Learns the API server's clock from its answers. */
import type { ClockEstimate } from '../../core/clock-estimate.ts'
import { MILLISECOND } from '../../core/time.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { KubeHttp } from '../../kube/http.ts'

/** Each answer halves what is open of the API server's clock: from a second to the time of a round trip. */
const CLOCK_SAMPLES = 8

export interface ClockSampling {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  /** What the observer of http's responses feeds. */
  readonly estimate: ClockEstimate
  readonly wait: (ms: number) => Promise<void>
  readonly stopping: () => boolean
}

/** Asks for little, just when the server's second turns, so that its Date header tells more than a second. */
export async function sampleServerClock({ http, clock, estimate, wait, stopping }: ClockSampling): Promise<void> {
  for (let count = 0; count < CLOCK_SAMPLES && !stopping(); count++) {
    await wait(Math.max(0, (estimate.bisect(clock.now()) - clock.now()) / MILLISECOND))
    // What comes back is observed like every other answer; without one the bounds stay wide.
    await http.request({ method: 'GET', path: '/version', timeoutMs: 2000 }).catch(() => undefined)
  }
}
