/** The cleaner upon the recorder's watch of pods, its evidence and its leadership. */
import type { Threshold } from '../../core/cleanup/types.ts'
import { MILLISECOND } from '../../core/time.ts'
import { createRecordClient } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import { createEventWriter } from '../../kube/events.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import { RateLimit } from '../rate-limit.ts'
import type { RecorderController } from '../recorder/controller.ts'
import { RecordWriter } from '../recorder/writer.ts'
import { Cleaner, type CleanerOptions } from './cleaner.ts'
import { RecordKeeper } from './record-keeper.ts'

export interface CreateOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly recorder: RecorderController
  readonly onPass?: CleanerOptions['onPass']
  readonly settings: {
    readonly namespace: string
    readonly podName: string
    readonly leaseName: string
    readonly events: boolean
    readonly writesPerSecond: number
    readonly cleanupTotal: number | undefined
    readonly cleanupPerNamespace: number | undefined
    readonly cleanupMinAgeMs: number
    readonly cleanupBarePods: boolean
    readonly cleanupFinishedJobPods: boolean
    readonly cleanupRecordSucceeded: boolean
    readonly cleanupOnRecordFailure: 'Keep' | 'Delete'
    readonly cleanupDryRun: boolean
    readonly cleanupDeletesPerSecond: number
    readonly cleanupConcurrency: number
  }
}

export function createCleaner({ http, clock, log, recorder, onPass, settings }: CreateOptions): Cleaner {
  const guard = () => recorder.elector.guard()
  const { namespace } = settings
  const limit = new RateLimit(settings.writesPerSecond)
  const writer = new RecordWriter({
    ...{ records: createRecordClient({ http, guard }), clock, log, namespace, limit },
    counts: recorder.recordCounts,
  })
  return new Cleaner({
    http,
    clock,
    log,
    host: recorder,
    keeper: new RecordKeeper({ recorder, writer, clock }),
    events: settings.events ? createEventWriter({ http, instance: settings.podName, guard }) : undefined,
    threshold: thresholdOf(settings),
    dryRun: settings.cleanupDryRun,
    deletesPerSecond: settings.cleanupDeletesPerSecond,
    concurrency: settings.cleanupConcurrency,
    ...(onPass === undefined ? {} : { onPass }),
    lease: { namespace, name: settings.leaseName },
  })
}

function thresholdOf(settings: CreateOptions['settings']): Threshold | undefined {
  const { cleanupTotal: total, cleanupPerNamespace: perNamespace } = settings
  if (total === undefined && perNamespace === undefined) return undefined
  return {
    ...(total === undefined ? {} : { total }),
    ...(perNamespace === undefined ? {} : { perNamespace }),
    minAge: settings.cleanupMinAgeMs * MILLISECOND,
    barePods: settings.cleanupBarePods,
    finishedJobPods: settings.cleanupFinishedJobPods,
    recordSucceeded: settings.cleanupRecordSucceeded,
    onRecordFailure: settings.cleanupOnRecordFailure,
    dryRun: settings.cleanupDryRun,
  }
}
