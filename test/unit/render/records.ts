/** Records for the tests of the drawing, built by offsets in seconds from the start of the termination. */
import type { ContainerEnd, EndpointEnd, Mark, MarkType, PodTermination } from '../../../src/api/pod-termination.ts'
import { formatTime, parseTime, SECOND } from '../../../src/core/time.ts'

const START = parseTime('2026-11-24T21:31:01.200000Z') ?? 0

/** The moment `seconds` after the start, as a record writes it. */
export const at = (seconds: number) => formatTime(START + Math.round(seconds * SECOND))

type Where = Partial<Pick<Mark, 'container' | 'service' | 'source' | 'clock' | 'confidence' | 'message'>>

const USUAL: Record<MarkType, Pick<Mark, 'source' | 'clock' | 'confidence'>> = {
  Terminating: { source: 'APIServer', clock: 'APIServer', confidence: 'Reported' },
  GraceShortened: { source: 'APIServer', clock: 'APIServer', confidence: 'Reported' },
  Acknowledged: { source: 'Kubelet', clock: 'Recorder', confidence: 'Observed' },
  PreStopStarted: { source: 'Event', clock: 'Node', confidence: 'Reported' },
  PreStopFinished: { source: 'Event', clock: 'Node', confidence: 'Inferred' },
  StopSignal: { source: 'Event', clock: 'Node', confidence: 'Inferred' },
  Kill: { source: 'Event', clock: 'Node', confidence: 'Inferred' },
  ContainerExited: { source: 'Kubelet', clock: 'Node', confidence: 'Reported' },
  EndpointNotReady: { source: 'EndpointSlice', clock: 'Recorder', confidence: 'Observed' },
  EndpointTerminating: { source: 'EndpointSlice', clock: 'Recorder', confidence: 'Observed' },
  EndpointNotServing: { source: 'EndpointSlice', clock: 'Recorder', confidence: 'Observed' },
  EndpointRemoved: { source: 'EndpointSlice', clock: 'Recorder', confidence: 'Observed' },
  PodFinished: { source: 'Kubelet', clock: 'Recorder', confidence: 'Observed' },
  Removed: { source: 'APIServer', clock: 'Recorder', confidence: 'Observed' },
}

/** What was seen to arrive has no lower bound of its own: a day, as the core writes it. */
const DAY = 86_400

/** A mark at `seconds`, or at the first of [best, earliest, latest]. */
export function mark(type: MarkType, seconds: number | [number, number, number], where: Where = {}): Mark {
  const usual = { ...USUAL[type], ...where }
  const around = (best: number) => [best, usual.confidence === 'Observed' ? best - DAY : best, best] as const
  const [best, earliest, latest] = typeof seconds === 'number' ? around(seconds) : seconds
  return { mark: type, at: at(best), earliest: at(earliest), latest: at(latest), ...usual }
}

export function aRecord(parts: Partial<PodTermination> = {}): PodTermination {
  return {
    pod: {
      namespace: 'shop',
      name: 'web-7d4b9c-x2x9k',
      uid: '84b61cdb-0c1f-4a52-9d4e-5c7f0b1f3a11',
      node: 'node-1',
      graceSeconds: 15,
      restartPolicy: 'Always',
      workload: { kind: 'Deployment', name: 'web' },
    },
    state: 'Complete',
    cause: { type: 'Deleted' },
    startedAt: at(0),
    deadline: at(15),
    ...parts,
  }
}

/** A hook of 20 s and a grace period of 15 s, measured by the agent. */
export function forcedKill(): PodTermination {
  const app: ContainerEnd = {
    name: 'app',
    role: 'Main',
    outcome: 'ForcedKill',
    preStop: { handler: 'Exec', startedAt: at(0.08), finishedAt: at(15.02), result: 'Overran' },
    stopSignal: { name: 'SIGTERM', at: at(15.02), result: 'Delivered' },
    kill: { at: at(17.03), by: 'Runtime' },
    exit: { at: at(17.04), code: 137, reason: 'Error' },
  }
  const logShip: ContainerEnd = {
    name: 'log-ship',
    role: 'Main',
    outcome: 'Graceful',
    stopSignal: { name: 'SIGTERM', at: at(0.09), result: 'Delivered' },
    exit: { at: at(1.1), code: 0, reason: 'Completed' },
  }
  const web: EndpointEnd = { service: 'web', notReadyAt: at(0.02), removedAt: at(17.21), readyAtStopSignal: 'False' }
  const kernel = { source: 'Kernel', confidence: 'Measured' } as const
  return aRecord({
    outcome: 'ForcedKill',
    tookMilliseconds: 17400,
    took: '17.4s',
    graceUsedPercent: 113,
    summary: 'PreStopOverran',
    finishedAt: at(17.4),
    containers: [app, logShip],
    endpoints: [web],
    findings: [
      {
        type: 'PreStopOverran',
        severity: 'Warning',
        container: 'app',
        message:
          'the preStop hook was still running when the 15 s grace period ended, so the app had 2.0 s for its own shutdown. ' +
          'Shorten the hook, or set terminationGracePeriodSeconds to at least 30.',
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.1, 0.02]),
      mark('EndpointNotReady', 0.02, { service: 'web' }),
      mark('PreStopStarted', 0.08, { container: 'app' }),
      mark('StopSignal', 0.09, { container: 'log-ship', ...kernel }),
      mark('ContainerExited', 1.1, { container: 'log-ship', ...kernel }),
      mark('StopSignal', 15.02, { container: 'app', ...kernel }),
      mark('Kill', 17.03, { container: 'app', ...kernel }),
      mark('ContainerExited', 17.04, { container: 'app', ...kernel }),
      mark('EndpointRemoved', 17.21, { service: 'web' }),
      mark('Removed', 17.4),
    ],
  })
}

/** The same without the agent: what follows by rule carries its bounds. */
export function forcedKillInferred(): PodTermination {
  const record = forcedKill()
  return {
    ...record,
    timeline: [
      mark('Terminating', [0, -0.4, 0.02]),
      mark('EndpointNotReady', 0.02, { service: 'web' }),
      mark('PreStopStarted', 0.08, { container: 'app' }),
      mark('StopSignal', [0.12, 0.09, 0.39], { container: 'log-ship' }),
      mark('ContainerExited', [1.3, 0.8, 1.8], { container: 'log-ship' }),
      mark('PreStopFinished', [15.08, 15.08, 15.2], { container: 'app' }),
      mark('StopSignal', [15.1, 15.08, 15.38], { container: 'app' }),
      mark('Kill', [17.1, 17.08, 17.4], { container: 'app' }),
      mark('ContainerExited', [17.2, 17.1, 17.42], { container: 'app' }),
      mark('EndpointRemoved', 17.41, { service: 'web' }),
      mark('Removed', 17.6),
    ],
  }
}

export function graceful(): PodTermination {
  return aRecord({
    outcome: 'Graceful',
    tookMilliseconds: 1420,
    graceUsedPercent: 4,
    finishedAt: at(1.42),
    deadline: at(30),
    pod: { ...aRecord().pod, graceSeconds: 30 },
    containers: [
      {
        name: 'app',
        role: 'Main',
        outcome: 'Graceful',
        stopSignal: { name: 'SIGTERM', at: at(0.12), result: 'Unknown' },
        exit: { at: at(0.6), code: 0, reason: 'Completed' },
        restarts: 0,
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      mark('StopSignal', [0.12, 0.09, 0.35], { container: 'app' }),
      mark('ContainerExited', [0.6, 0.3, 1.1], { container: 'app' }),
      mark('Removed', 1.42),
    ],
  })
}

/** Two sidecars stop after the main container, in reverse order; the first one signalled has to be killed. */
export function sidecars(): PodTermination {
  return aRecord({
    outcome: 'Graceful',
    tookMilliseconds: 9100,
    graceUsedPercent: 27,
    finishedAt: at(9.1),
    deadline: at(8),
    pod: { ...aRecord().pod, name: 'orders-0', graceSeconds: 8, workload: { kind: 'StatefulSet', name: 'orders' } },
    containers: [
      {
        name: 'proxy',
        role: 'Sidecar',
        outcome: 'Graceful',
        stopSignal: { name: 'SIGTERM', at: at(8.3), result: 'Delivered' },
        exit: { at: at(8.4), code: 0 },
      },
      {
        name: 'log-ship',
        role: 'Sidecar',
        outcome: 'ForcedKill',
        stopSignal: { name: 'SIGTERM', at: at(2.23), result: 'Ignored' },
        kill: { at: at(8.2), by: 'Runtime' },
        exit: { at: at(8.21), code: 137, reason: 'Error' },
      },
      { name: 'migrate', role: 'Init', outcome: 'Graceful', exit: { at: at(-3600), code: 0, reason: 'Completed' } },
      {
        name: 'app',
        role: 'Main',
        outcome: 'Graceful',
        stopSignal: { name: 'SIGTERM', at: at(0.06), result: 'Delivered' },
        exit: { at: at(2.17), code: 0, reason: 'Completed' },
      },
    ],
    findings: [
      {
        type: 'StopSignalIgnored',
        severity: 'Warning',
        container: 'log-ship',
        message:
          'the kernel dropped SIGTERM, for PID 1 has no handler for it. Start the program with an init (tini), or give it one.',
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      mark('StopSignal', 0.06, { container: 'app', source: 'Kernel', confidence: 'Measured' }),
      mark('ContainerExited', 2.17, { container: 'app', source: 'Kernel', confidence: 'Measured' }),
      mark('StopSignal', 2.23, { container: 'log-ship', source: 'Kernel', confidence: 'Measured' }),
      mark('Kill', 8.2, { container: 'log-ship', source: 'Kernel', confidence: 'Measured' }),
      mark('ContainerExited', 8.21, { container: 'log-ship', source: 'Kernel', confidence: 'Measured' }),
      mark('StopSignal', 8.3, { container: 'proxy', source: 'Kernel', confidence: 'Measured' }),
      mark('ContainerExited', 8.4, { container: 'proxy', source: 'Kernel', confidence: 'Measured' }),
      mark('Removed', 9.1),
    ],
  })
}

/** Somebody in the container killed its PID 1, which had taken the signal and kept it; the agent saw who. */
export function killedFromInside(): PodTermination {
  const kernel = { source: 'Kernel', confidence: 'Measured' } as const
  const moment = (seconds: number) => ({ at: at(seconds), earliest: at(seconds), latest: at(seconds) })
  return aRecord({
    outcome: 'Killed',
    tookMilliseconds: 3400,
    graceUsedPercent: 20,
    finishedAt: at(3.4),
    containers: [
      {
        name: 'app',
        role: 'Main',
        outcome: 'Killed',
        stopSignal: { name: 'SIGTERM', at: at(0.06), result: 'Delivered' },
        kill: { at: at(3.1), by: 'Other' },
        exit: { at: at(3.11), code: 137, reason: 'Error' },
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      mark('StopSignal', 0.06, { container: 'app', ...kernel }),
      mark('Kill', 3.1, { container: 'app', ...kernel }),
      mark('ContainerExited', 3.11, { container: 'app', ...kernel }),
      mark('Removed', 3.4),
    ],
    kernel: {
      node: 'node-1',
      tracedFrom: at(-100),
      tracedUntil: at(3.2),
      complete: true,
      lostEvents: 0,
      containers: [
        {
          name: 'app',
          containerID: 'containerd://1',
          pidNamespace: 'Container',
          stopSignal: { number: 15, name: 'SIGTERM', ...moment(0.06), result: 'Delivered' },
          passedOn: { result: 'NotPassedOn' },
          kill: { ...moment(3.1), by: 'Container', sender: 'bash' },
          exit: { ...moment(3.11), how: 'Killed' },
        },
      ],
    },
  })
}

/** A pod of a rolling update behind two Services, one of which publishes addresses that are not ready. */
export function rollingUpdate(): PodTermination {
  return aRecord({
    outcome: 'Signalled',
    tookMilliseconds: 6900,
    graceUsedPercent: 40,
    finishedAt: at(6.9),
    containers: [
      {
        name: 'app',
        role: 'Main',
        outcome: 'Signalled',
        preStop: { handler: 'Sleep', startedAt: at(0.05), finishedAt: at(5.06), result: 'Succeeded' },
        stopSignal: { name: 'SIGTERM', at: at(5.1), result: 'Unknown' },
        exit: { at: at(6.1), code: 143, reason: 'Error' },
      },
    ],
    endpoints: [
      { service: 'web', notReadyAt: at(0.03), notServingAt: at(5.9), removedAt: at(6.4), readyAtStopSignal: 'False' },
      { service: 'web-headless', removedAt: at(6.41), readyAtStopSignal: 'True' },
    ],
    findings: [
      {
        type: 'EndpointReadyAtStopSignal',
        severity: 'Warning',
        service: 'web-headless',
        message:
          'the endpoint was still ready when SIGTERM came, 1.3 s before it was gone. Set publishNotReadyAddresses to false.',
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      mark('EndpointNotReady', [0.03, 0, 0.03], { service: 'web' }),
      mark('PreStopStarted', 0.05, { container: 'app' }),
      mark('PreStopFinished', [5.06, 5.05, 5.1], { container: 'app' }),
      mark('StopSignal', [5.1, 5.06, 5.36], { container: 'app' }),
      mark('EndpointNotServing', [5.9, 5.1, 5.9], { service: 'web' }),
      mark('ContainerExited', [6.1, 5.8, 6.35], { container: 'app' }),
      mark('EndpointRemoved', [6.4, 6.1, 6.4], { service: 'web' }),
      mark('EndpointRemoved', [6.41, 6.1, 6.41], { service: 'web-headless' }),
      mark('Removed', 6.9),
    ],
  })
}

/** Terminating for 8.2 s of 15 s, in the middle of its hook. */
export function terminating(): { record: PodTermination; now: number } {
  const { cause } = aRecord()
  return {
    now: START + 8.2 * SECOND,
    record: {
      ...aRecord({ state: 'Terminating' }),
      ...(cause === undefined ? {} : { cause }),
      containers: [{ name: 'app', role: 'Main', preStop: { handler: 'HTTPGet', startedAt: at(0.08), result: 'Unknown' } }],
      endpoints: [{ service: 'web', notReadyAt: at(0.02), readyAtStopSignal: 'False' }],
      timeline: [
        mark('Terminating', [0, -0.05, 0.02]),
        mark('EndpointNotReady', 0.02, { service: 'web' }),
        mark('PreStopStarted', 0.08, { container: 'app' }),
      ],
    },
  }
}

/** A finalizer keeps the object for hours after its containers have gone. */
export function overdue(): { record: PodTermination; now: number } {
  return {
    now: START + (3 * 3600 + 12 * 60) * SECOND,
    record: aRecord({
      state: 'Overdue',
      outcome: 'Graceful',
      graceUsedPercent: 5,
      deadline: at(30),
      pod: { ...aRecord().pod, graceSeconds: 30 },
      containers: [
        {
          name: 'app',
          role: 'Main',
          outcome: 'Graceful',
          stopSignal: { name: 'SIGTERM', at: at(0.1), result: 'Unknown' },
          exit: { at: at(1.4), code: 0, reason: 'Completed' },
        },
      ],
      findings: [
        {
          type: 'StuckTerminating',
          severity: 'Warning',
          message:
            'the finalizer example.com/wait keeps the object. Find out which controller has to remove it, and whether it runs.',
        },
      ],
      timeline: [
        mark('Terminating', [0, -0.05, 0.02]),
        mark('StopSignal', [0.1, 0.08, 0.3], { container: 'app' }),
        mark('ContainerExited', [1.4, 1.1, 2.1], { container: 'app' }),
        mark('PodFinished', [2.2, 1.4, 2.2]),
      ],
    }),
  }
}

/** The kubelet of its node has not answered since before the delete. */
export function nodeLost(): { record: PodTermination; now: number } {
  return {
    now: START + 47 * SECOND,
    record: aRecord({
      state: 'Overdue',
      cause: { type: 'NodeLost' },
      containers: [{ name: 'app', role: 'Main' }],
      endpoints: [{ service: 'web', notReadyAt: at(0.02), readyAtStopSignal: 'Unknown' }],
      findings: [
        {
          type: 'StuckTerminating',
          severity: 'Warning',
          message:
            'node-1 has not been Ready for 52 s and has not taken the delete in. Bring it back, or delete the pod with grace 0.',
        },
      ],
      timeline: [mark('Terminating', [0, -0.05, 0.02]), mark('EndpointNotReady', 0.02, { service: 'web' })],
    }),
  }
}

export function neverStarted(): PodTermination {
  return aRecord({
    outcome: 'NeverStarted',
    tookMilliseconds: 310,
    finishedAt: at(0.31),
    pod: { ...aRecord().pod, name: 'job-import-jk2ss', workload: { kind: 'Job', name: 'job-import' } },
    containers: [{ name: 'import', role: 'Main', outcome: 'NeverStarted' }],
    timeline: [mark('Terminating', [0, -0.2, 0.02]), mark('Removed', 0.31)],
  })
}

/** Force-deleted: the object went at once and took the status with it. */
export function lost(): PodTermination {
  return aRecord({
    outcome: 'Lost',
    cause: { type: 'ForceDeleted' },
    tookMilliseconds: 20,
    deadline: at(0),
    finishedAt: at(0.02),
    pod: { ...aRecord().pod, graceSeconds: 0 },
    containers: [{ name: 'app', role: 'Main', outcome: 'Lost', restarts: 2 }],
    findings: [
      {
        type: 'EvidenceMissing',
        severity: 'Info',
        container: 'app',
        message:
          'the object was removed while the container ran, so its exit was never reported. Delete without --force to have it seen.',
      },
    ],
    timeline: [mark('Terminating', 0), mark('Removed', 0.02)],
  })
}

/** Evicted by the kubelet: nobody deleted the object, which is still there. */
export function evicted(): PodTermination {
  return aRecord({
    outcome: 'ForcedKill',
    cause: { type: 'Evicted', message: 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 88Mi.' },
    tookMilliseconds: 3000,
    finishedAt: at(3),
    containers: [{ name: 'app', role: 'Main', outcome: 'ForcedKill', exit: { code: 137, reason: 'ContainerStatusUnknown' } }],
    timeline: [mark('Terminating', [0, -1, 0.5], { source: 'Event', clock: 'Node' }), mark('PodFinished', [3, 0, 3])],
  })
}

/** Twelve containers, of which three have to be killed. */
export function twelve(): PodTermination {
  const names = Array.from({ length: 12 }, (_, i) => `worker-${String(i + 1).padStart(2, '0')}`)
  const killed = new Set(['worker-03', 'worker-07', 'worker-11'])
  const end = (name: string, i: number) => (killed.has(name) ? 10.1 : 1 + i * 0.5)
  return aRecord({
    outcome: 'ForcedKill',
    tookMilliseconds: 11000,
    graceUsedPercent: 101,
    deadline: at(10),
    finishedAt: at(11),
    pod: { ...aRecord().pod, name: 'batch-6f7c9d8b7d-qq8wz', graceSeconds: 10, workload: { kind: 'Deployment', name: 'batch' } },
    containers: names.map((name, i) => ({
      name,
      role: 'Main',
      outcome: killed.has(name) ? 'ForcedKill' : 'Graceful',
      stopSignal: { name: 'SIGTERM', at: at(0.1), result: 'Unknown' },
      ...(killed.has(name) ? { kill: { at: at(10.1), by: 'Runtime' as const } } : {}),
      exit: { at: at(end(name, i)), code: killed.has(name) ? 137 : 0, reason: killed.has(name) ? 'Error' : 'Completed' },
    })),
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      ...names.map((container) => mark('StopSignal', [0.1, 0.08, 0.3], { container })),
      ...names.flatMap((container, i) =>
        killed.has(container)
          ? []
          : [mark('ContainerExited', [end(container, i), end(container, i) - 0.4, end(container, i) + 0.6], { container })],
      ),
      ...[...killed].map((container) => mark('Kill', [10.1, 10.08, 10.4], { container })),
      ...[...killed].map((container) => mark('ContainerExited', [10.1, 10.08, 10.5], { container })),
      mark('Removed', 11),
    ],
  })
}

/** The node's clock is 3 s behind the API server's. */
export function skewed(): PodTermination {
  return aRecord({
    outcome: 'Graceful',
    tookMilliseconds: 2600,
    finishedAt: at(2.6),
    containers: [{ name: 'app', role: 'Main', outcome: 'Graceful', exit: { at: at(-1.2), code: 0 } }],
    findings: [{ type: 'ClockSkew', severity: 'Info', message: "the clock of node-1 was about 3.0 s behind the API server's." }],
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      mark('StopSignal', [-2.9, -2.95, -2.7], { container: 'app' }),
      mark('ContainerExited', [-1.2, -1.6, -0.6], { container: 'app' }),
      mark('Removed', 2.6),
    ],
  })
}

/** The kubelet was restarted in the middle: hook, signal and grace period all over again. */
export function restartedKubelet(): PodTermination {
  return aRecord({
    outcome: 'ForcedKill',
    tookMilliseconds: 14000,
    graceUsedPercent: 164,
    deadline: at(8),
    finishedAt: at(14),
    pod: { ...aRecord().pod, graceSeconds: 8 },
    containers: [
      {
        name: 'app',
        role: 'Main',
        outcome: 'ForcedKill',
        preStop: { handler: 'Exec', startedAt: at(0.05), result: 'Succeeded' },
        stopSignal: { name: 'SIGQUIT', at: at(1.1), result: 'Unknown' },
        kill: { at: at(13.7), by: 'Runtime' },
        exit: { at: at(13.7), code: 137 },
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.05, 0.02]),
      mark('PreStopStarted', 0.05, { container: 'app' }),
      mark('StopSignal', [1.1, 1.05, 1.3], { container: 'app' }),
      mark('PreStopStarted', 5.5, { container: 'app', message: 'the kubelet had been restarted' }),
      mark('Kill', [13.7, 13.6, 13.9], { container: 'app' }),
      mark('ContainerExited', [13.7, 13.6, 13.95], { container: 'app' }),
      mark('Removed', 14),
    ],
  })
}

/** Only the agent has written so far. */
export function begunByTheAgent(): PodTermination {
  return { pod: { namespace: 'shop', name: 'web-7d4b9c-x2x9k', uid: '84b61cdb-0c1f-4a52-9d4e-5c7f0b1f3a11' } }
}

/** Names as long as big clusters have them. */
export function longNames(): PodTermination {
  const container = 'checkout-service-with-a-rather-long-container-name'
  const record = forcedKillInferred()
  const renamed = <T extends { container?: string | undefined }>(item: T): T =>
    item.container === 'app' ? { ...item, container } : item
  return {
    ...record,
    pod: {
      ...record.pod,
      namespace: 'production-eu-west-1',
      name: 'checkout-service-canary-internal-7d4b9c8d6f-x2x9k',
      node: 'ip-10-0-112-134.eu-west-1.compute.internal',
      workload: { kind: 'Deployment', name: 'checkout-service-canary-internal' },
    },
    containers: (record.containers ?? []).map((entry) => (entry.name === 'app' ? { ...entry, name: container } : entry)),
    findings: (record.findings ?? []).map(renamed),
    timeline: (record.timeline ?? []).map(renamed),
  }
}

/** No kubelet event arrived, as in a namespace that is being deleted: the signal has an upper bound and no more. */
export function noEvents(): PodTermination {
  return aRecord({
    outcome: 'Graceful',
    tookMilliseconds: 3100,
    finishedAt: at(3.1),
    containers: [
      {
        name: 'app',
        role: 'Main',
        outcome: 'Graceful',
        stopSignal: { name: 'SIGTERM', result: 'Unknown' },
        exit: { at: at(2), code: 0, reason: 'Completed' },
      },
    ],
    endpoints: [
      { service: 'web', notReadyAt: at(0.07), removedAt: at(2.75), readyAtStopSignal: 'Unknown' },
      { service: 'web-a', removedAt: at(2.75), readyAtStopSignal: 'False' },
      { service: 'web-b', removedAt: at(2.75), readyAtStopSignal: 'Unknown' },
    ],
    findings: [
      {
        type: 'EvidenceMissing',
        severity: 'Info',
        container: 'app',
        message: 'no Killing event of app arrived: its namespace was being deleted.',
      },
    ],
    timeline: [
      mark('Terminating', [0, -0.5, 0.06]),
      mark('Acknowledged', 0.06),
      mark('EndpointNotReady', 0.07, { service: 'web' }),
      mark('StopSignal', [-DAY, -DAY, 2.5], { container: 'app' }),
      mark('ContainerExited', [2, 1.5, 2.5], { container: 'app' }),
      mark('EndpointRemoved', 2.75, { service: 'web' }),
      mark('Removed', 3.1),
    ],
  })
}
