/** Experiment 6: a Deployment behind a Service gets a new template while clients in the cluster ask it without a pause. */
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { podSpec } from './experiments.ts'
import { type KubeObject, pause, until } from './objects.ts'
import { awaitRecord, type Recorded } from './records.ts'
import { log } from './single-pod.ts'
import type { Target } from './target.ts'
import { belongsTo, type Check, exitsWith, leftBeforeSignal, measured, outcomeIs, signalIs } from './verdicts.ts'

const NAME = 'web'
export const ROLLING_UPDATE = 'rolling update of 3 pods behind a Service, under traffic'
const REPLICAS = 3
const REQUESTS_PER_SECOND = 20
/** How long a pod goes on serving after it has left the Service, so that every proxy has heard of it. */
const DRAIN_SECONDS = 5
const GRACE_SECONDS = 15
const READY_WITHIN_MS = 120_000
const RECORDED_WITHIN_MS = 90_000

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

export interface Traffic {
  readonly requests: number
  readonly failed: number
  readonly errors: Readonly<Record<string, number>>
}

export interface RollingUpdate {
  /** Starts the update; `ended` is called with each old pod's record. Resolves once all have ended and the new ones serve. */
  run(ended: (recorded: Recorded) => void, note: (text: string) => void): Promise<Traffic>
}

function deployment(namespace: string, image: string, revision: number): KubeObject {
  const labels = { app: NAME }
  const container = {
    command: ['node', '/demo/server.mjs'],
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1, failureThreshold: 1 },
    lifecycle: { preStop: { sleep: { seconds: DRAIN_SECONDS } } },
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: NAME, namespace },
    spec: {
      replicas: REPLICAS,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { revision: String(revision) } },
        spec: podSpec(image, container, GRACE_SECONDS),
      },
    },
  }
}

export function rollingUpdateChecks(record: PodTermination, agent: boolean): readonly Check[] {
  return [
    outcomeIs(record, 'Graceful'),
    exitsWith(record, 0),
    belongsTo(record, 'Deployment', NAME),
    leftBeforeSignal(record, NAME),
    ...(agent ? [signalIs(record, 'Delivered'), measured(record, 'StopSignal', 'ContainerExited')] : []),
  ]
}

/** How the clients fared, in a sentence. */
export function trafficWords({ requests, failed, errors }: Traffic): string {
  const sentence = `${failed} of ${requests} requests failed during the rolling update`
  if (failed === 0) return `${sentence}.`
  const reasons = Object.entries(errors).map(([why, count]) => `${count} × ${why}`)
  return `${sentence}: ${reasons.join(', ')}.`
}

/** Makes Deployment, Service and clients, and returns once requests are answered. */
export async function prepareRollingUpdate(target: Target, signal: AbortSignal): Promise<RollingUpdate> {
  const { objects, namespace, image } = target
  const service = await objects.apply<{ spec: { clusterIP: string } }>({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: NAME, namespace },
    spec: { selector: { app: NAME }, ports: [{ port: 80, targetPort: 8080 }] },
  })
  await objects.apply(deployment(namespace, image, 1))
  const old = await readyPods(target, [], signal)
  const { clusterIP } = service.spec
  const url = `http://${clusterIP.includes(':') ? `[${clusterIP}]` : clusterIP}/`
  await objects.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'clients', namespace },
    spec: podSpec(image, { command: ['node', '/demo/traffic.mjs', url, String(REQUESTS_PER_SECOND)] }, 5),
  })
  await until(async () => ((await traffic(target))?.requests ?? 0) > 0 || undefined, {
    what: 'the first request to be answered',
    withinMs: READY_WITHIN_MS,
    signal,
  })
  return {
    async run(ended, note) {
      await objects.apply(deployment(namespace, image, 2))
      let count = 0
      note(`0 of ${REPLICAS} old pods ended:`)
      const records = old.map(async ({ metadata }) => {
        const recorded = await awaitRecord(target, metadata, RECORDED_WITHIN_MS, signal)
        count += 1
        note(`${count} of ${REPLICAS} old pods ended:`)
        ended(recorded)
      })
      await Promise.all([...records, readyPods(target, old, signal)])
      // The clients print their sums once a second.
      await pause(1_500, signal)
      const sums = await traffic(target)
      if (sums === undefined) throw new Error('the clients of the rolling update say nothing')
      return sums
    },
  }
}

async function readyPods({ objects, namespace }: Target, without: readonly Pod[], signal: AbortSignal): Promise<readonly Pod[]> {
  const ignored = new Set(without.map(({ metadata }) => metadata.uid))
  let ready: readonly Pod[] = []
  return until(
    async () => {
      const { items } = await objects.read<{ items: Pod[] }>(`/api/v1/namespaces/${namespace}/pods`, {
        labelSelector: `app=${NAME}`,
      })
      ready = items.filter(
        ({ metadata, status }) =>
          !ignored.has(metadata.uid) &&
          metadata.deletionTimestamp === undefined &&
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      )
      return ready.length >= REPLICAS ? ready : undefined
    },
    { what: `${REPLICAS} pods of ${NAME} to be ready`, withinMs: READY_WITHIN_MS, signal, seen: () => `${ready.length} are` },
  )
}

async function traffic(target: Target): Promise<Traffic | undefined> {
  const lines = (await log(target, 'clients', 2))?.trim().split('\n') ?? []
  const last = lines.findLast((line) => line.startsWith('{') && line.endsWith('}'))
  return last === undefined ? undefined : (JSON.parse(last) as Traffic) // workload/traffic.mjs prints this and nothing else
}
