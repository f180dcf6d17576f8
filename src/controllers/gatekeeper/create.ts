/** The gatekeeper with its checkers, upon the recorder's watches and leadership. */
import { createRecordClient } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import { createEventWriter } from '../../kube/events.ts'
import type { GateObjects } from '../../kube/gate-objects.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { RecorderController } from '../recorder/controller.ts'
import { EndpointsChecker } from './checks/endpoints.ts'
import { HttpGetChecker } from './checks/http-get.ts'
import { ConditionChecker } from './checks/target.ts'
import { Gatekeeper, type GatekeeperOptions } from './gatekeeper.ts'
import { HandoverBrake } from './handover/brake.ts'

export interface CreateOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly gates: GateObjects
  readonly recorder: RecorderController
  readonly onReleased?: GatekeeperOptions['onReleased']
  readonly settings: {
    readonly gatePatchesPerSecond: number
    readonly gateProbes: number
    readonly podName: string
    readonly events: boolean
  }
}

export function createGatekeeper({ http, clock, log, gates, recorder, onReleased, settings }: CreateOptions): Gatekeeper {
  const { elector, workloads } = recorder
  const guard = () => elector.guard()
  const serverNow = () => recorder.serverNow()
  const records = createRecordClient({ http, guard })
  const events = settings.events ? createEventWriter({ http, instance: settings.podName, guard }) : undefined
  const pods = () => recorder.pods.values()
  return new Gatekeeper({
    http,
    log,
    gates,
    serverNow,
    isLeader: () => elector.isLeader(),
    guard,
    patchesPerSecond: settings.gatePatchesPerSecond,
    ...(onReleased === undefined ? {} : { onReleased }),
    checkers: (changed) => {
      const handover = new HandoverBrake({ http, clock, log, serverNow, pods, workloads, records, events, changed })
      const httpGet = new HttpGetChecker({ changed, parallel: settings.gateProbes })
      const condition = new ConditionChecker({ http, clock, log, changed })
      const endpoints = new EndpointsChecker({ http, clock, log, changed, slices: recorder.slices })
      return { handover, httpGet, condition, endpoints, observers: [handover, endpoints] }
    },
  })
}
