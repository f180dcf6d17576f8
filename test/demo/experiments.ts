/** Experiments 1 to 5: one pod each, deleted once it runs. */
import type { PodTermination } from '../../src/api/pod-termination.ts'
import type { KubeObject } from './objects.ts'
import {
  APP,
  type Check,
  exitsWith,
  finds,
  hookEndedWithin,
  hookEnds,
  hookIs,
  killComes,
  measured,
  outcomeIs,
  signalIs,
} from './verdicts.ts'

export interface Experiment {
  readonly number: number
  /** File of its record, below out/demo. */
  readonly name: string
  readonly title: string
  /** How long its pod takes to end, in seconds: when to begin to worry. */
  readonly takes: number
  readonly container: Readonly<Record<string, unknown>>
  readonly graceSeconds: number
  /** `agent`: one measured, so that the record has to say more. */
  check(record: PodTermination, agent: boolean): readonly Check[]
}

const PROGRAMS = '/demo'
const IGNORES_SIGTERM = ['node', `${PROGRAMS}/app.mjs`]

/** Says so in the app's log each second, as the article's hook does; a shell, so that it starts at once. */
const hook = (seconds: number) => ({
  preStop: {
    exec: {
      command: ['sh', '-c', `i=0; while [ $i -lt ${seconds} ]; do sleep 1; i=$((i+1)); echo "preStop: $i s" >/proc/1/fd/1; done`],
    },
  },
})

export const EXPERIMENTS: readonly Experiment[] = [
  {
    number: 1,
    name: '1-prestop-15s',
    title: 'grace period 15 s, preStop of 15 s, the app ignores SIGTERM',
    takes: 17,
    container: { command: IGNORES_SIGTERM, lifecycle: hook(15) },
    graceSeconds: 15,
    check: (record, agent) => [
      outcomeIs(record, 'ForcedKill'),
      // It ends within milliseconds of the grace period, on either side: only who measures can tell.
      agent ? hookIs(record, 'Overran', 'Succeeded') : hookIs(record, 'Overran', 'Unknown'),
      killComes(record, 'StopSignal', 2),
      ...(agent ? [signalIs(record, 'Delivered'), measured(record, 'StopSignal', 'Kill', 'ContainerExited')] : []),
    ],
  },
  {
    number: 2,
    name: '2-prestop-10s',
    title: 'grace period 15 s, preStop of 10 s, the app ignores SIGTERM',
    takes: 15,
    container: { command: IGNORES_SIGTERM, lifecycle: hook(10) },
    graceSeconds: 15,
    check: (record, agent) => [
      outcomeIs(record, 'ForcedKill'),
      // Without an agent nobody sees the hook end: the record may do no more than bound it.
      ...(agent
        ? [hookIs(record, 'Succeeded'), hookEnds(record, 10), signalIs(record, 'Delivered')]
        : [hookIs(record, 'Succeeded', 'Unknown'), hookEndedWithin(record, 10)]),
      killComes(record, 'PreStopStarted', 15, 1.1),
      ...(agent ? [measured(record, 'PreStopFinished', 'StopSignal', 'Kill', 'ContainerExited')] : []),
    ],
  },
  {
    number: 3,
    name: '3-prestop-20s',
    title: 'grace period 15 s, preStop of 20 s, the app ignores SIGTERM',
    takes: 17,
    container: { command: IGNORES_SIGTERM, lifecycle: hook(20) },
    graceSeconds: 15,
    check: (record, agent) => [
      outcomeIs(record, 'ForcedKill'),
      hookIs(record, 'Overran'),
      finds(record, 'PreStopOverran'),
      killComes(record, 'PreStopStarted', 17),
      ...(agent ? [signalIs(record, 'Delivered'), measured(record, 'StopSignal', 'Kill', 'ContainerExited')] : []),
    ],
  },
  {
    number: 4,
    name: '4-shell-in-front',
    title: 'grace period 10 s, a shell is PID 1 and does not pass SIGTERM on to the app',
    takes: 10,
    container: { command: ['sh', '-c', `node ${PROGRAMS}/app.mjs 1 & wait`] },
    graceSeconds: 10,
    check: (record, agent) => [
      outcomeIs(record, 'ForcedKill'),
      ...(agent
        ? [
            signalIs(record, 'Ignored'),
            finds(record, 'StopSignalIgnored', 'sh', 'node', 'exec'),
            measured(record, 'StopSignal', 'Kill', 'ContainerExited'),
          ]
        : [finds(record, 'GraceExhausted', 'did not end after SIGTERM', 'Look at what PID 1')]),
    ],
  },
  {
    number: 5,
    name: '5-graceful',
    title: 'grace period 15 s, the app shuts down within 2 s of SIGTERM',
    takes: 2,
    container: { command: [...IGNORES_SIGTERM, '2'] },
    graceSeconds: 15,
    check: (record, agent) => [
      outcomeIs(record, 'Graceful'),
      exitsWith(record, 0),
      ...(agent ? [signalIs(record, 'Delivered'), measured(record, 'StopSignal', 'ContainerExited')] : []),
    ],
  },
]

/** What every pod of the demo has: the programs, no rights, and little appetite. */
export function podSpec(image: string, container: Readonly<Record<string, unknown>>, graceSeconds: number) {
  return {
    terminationGracePeriodSeconds: graceSeconds,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumes: [{ name: 'programs', configMap: { name: PROGRAMS_NAME } }],
    containers: [
      {
        name: APP,
        image,
        imagePullPolicy: 'IfNotPresent',
        volumeMounts: [{ name: 'programs', mountPath: PROGRAMS }],
        resources: { requests: { cpu: '10m', memory: '32Mi' } },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        ...container,
      },
    ],
  }
}

/** ConfigMap with the programs of workload/. */
export const PROGRAMS_NAME = 'programs'

export function experimentPod(experiment: Experiment, namespace: string, image: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: experiment.name, namespace },
    spec: podSpec(image, experiment.container, experiment.graceSeconds),
  }
}
