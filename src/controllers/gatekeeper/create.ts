/** The gatekeeper with its checkers, upon the recorder's watches and leadership. */
import type { RecorderClock } from '../../kube/clock.ts'
import type { GateObjects } from '../../kube/gate-objects.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { RecorderController } from '../recorder/controller.ts'
import { Gatekeeper } from './gatekeeper.ts'

export interface CreateOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly gates: GateObjects
  readonly recorder: RecorderController
  readonly settings: { readonly gatePatchesPerSecond: number; readonly gateProbes: number; readonly podName: string }
}

export function createGatekeeper({ http, log, gates, recorder, settings }: CreateOptions): Gatekeeper {
  const { elector } = recorder
  return new Gatekeeper({
    http,
    log,
    gates,
    serverNow: () => recorder.serverNow(),
    isLeader: () => elector.isLeader(),
    guard: () => elector.guard(),
    patchesPerSecond: settings.gatePatchesPerSecond,
    checkers: () => ({}),
  })
}
