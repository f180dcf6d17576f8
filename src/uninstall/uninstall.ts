/**
 * What has to happen before the objects of an installation are deleted: the controller stops, and nothing is left that waits for it; or, once it
 * runs without gates, only of those nothing is left. A finalizer that nobody takes off holds its gate, the gate's namespace and the CRD
 * for ever. Every step can be done again; where one fails, the controller is started again, since what it records is lost otherwise.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { GROUP, VERSION } from '../api/group.ts'
import { KubeError } from '../kube/errors.ts'
import { FINALIZER } from '../kube/gate-objects.ts'
import type { HttpRequest, KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'

export const CONTROLLER = 'gracewatch-controller'
const SELECTOR = 'app.kubernetes.io/name=gracewatch,app.kubernetes.io/component=controller'
/** Helm puts it on what it installs; kubectl has no reason to. */
const RELEASE = 'meta.helm.sh/release-name'
const POLL_MS = 500
/** Longer than the grace period of its pods. */
const STOPPED_WITHIN_MS = 60_000
/** Between a list and a patch a gate may change. */
const ROUNDS = 10
const PAGE = 500

interface Options {
  readonly http: KubeHttp
  readonly log: Log
  readonly settings: {
    readonly namespace: string
    readonly deleteGates: boolean
    readonly releaseWithinMs: number
    readonly keepController: boolean
  }
  /** That there is no time left. */
  readonly signal: AbortSignal
}

type Requests = Pick<KubeHttp, 'request'>

/** What is read of the Deployment of the controller. */
interface Deployment {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>>; readonly generation: number }
  readonly spec: { readonly replicas: number }
  readonly status?: { readonly observedGeneration?: number }
}

/** What is read of a gate. */
interface GateMeta {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly resourceVersion: string
    readonly finalizers?: readonly string[]
  }
}

export async function uninstall({ http, log, settings, signal }: Options): Promise<void> {
  const { namespace, deleteGates, releaseWithinMs, keepController } = settings
  const steps: Requests = { request: (request) => http.request({ ...request, signal }) }
  // One that is on its way out may still run: what it may do to gates it has lost already.
  if (keepController) return takeFinalizersOff(steps, log)
  const path = deploymentOf(namespace)
  const deployment = (await unlessGone(steps.request({ method: 'GET', path })))?.json<Deployment>()
  if (deployment !== undefined && deployment.metadata.annotations?.[RELEASE] === undefined) {
    const hint = 'render the chart with `helm template --no-hooks`, or delete this Job'
    log.warn({ namespace, hint }, 'did nothing: Helm has not installed this controller, so it uninstalls none')
    return
  }
  if (deleteGates) await releaseGates(steps, log, releaseWithinMs)
  try {
    // A controller that runs would put its finalizers back, and take the Lease again.
    if (deployment !== undefined) await stopController(steps, log, namespace)
    await takeFinalizersOff(steps, log)
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${CONTROLLER}`
    if (await unlessGone(steps.request({ method: 'DELETE', path: lease }))) log.info({ namespace }, 'removed the Lease')
  } catch (error) {
    if (deployment !== undefined) await startAgain(http, log, namespace, deployment.spec.replicas)
    throw error
  }
}

/** Deletes all gates, and waits until the controller has released their pods. */
async function releaseGates(http: Requests, log: Log, withinMs: number): Promise<void> {
  const gates = await listGates(http)
  for (const gate of gates) await unlessGone(http.request({ method: 'DELETE', path: pathOf(gate) }))
  const left = await until(async () => (await listGates(http)).length, withinMs)
  if (left > 0) log.warn({ left, withinMs }, 'the pods of some gates were not released')
  else if (gates.length > 0) log.info({ gates: gates.length }, 'gates deleted and their pods released')
}

const deploymentOf = (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/deployments/${CONTROLLER}`

const scaleTo = (namespace: string, replicas: number): HttpRequest =>
  mergePatch(`${deploymentOf(namespace)}/scale`, { spec: { replicas } })

async function stopController(http: Requests, log: Log, namespace: string): Promise<void> {
  const stopped = await unlessGone(http.request(scaleTo(namespace, 0)))
  if (stopped === undefined) return
  const pods = { method: 'GET', path: `/api/v1/namespaces/${namespace}/pods`, query: { labelSelector: SELECTOR } } as const
  const count = async () => {
    const found = await unlessGone(http.request({ method: 'GET', path: deploymentOf(namespace) }))
    const { metadata, status } = found?.json<Deployment>() ?? {}
    // Until that is taken in, pods may still be made, of which there need be none yet.
    const pending = (status?.observedGeneration ?? 0) < (metadata?.generation ?? 0) ? 1 : 0
    return Math.max(pending, (await http.request(pods)).json<{ items: unknown[] }>().items.length)
  }
  const left = await until(count, STOPPED_WITHIN_MS)
  // As those of a node that is lost: they can do no harm from there.
  if (left > 0) log.warn({ left, withinMs: STOPPED_WITHIN_MS }, 'pods of the controller are still there')
  else log.info({ namespace }, 'stopped the controller')
}

/** After a step that failed: the release stays, and its controller has to record. */
async function startAgain(http: Requests, log: Log, namespace: string, replicas: number): Promise<void> {
  if (replicas === 0) return log.warn({ namespace }, 'not everything could be done, and the controller was stopped before')
  try {
    await http.request(scaleTo(namespace, replicas))
    log.warn({ namespace, replicas }, 'not everything could be done: the controller has its replicas again')
  } catch (err) {
    const command = `kubectl scale deployment/${CONTROLLER} -n ${namespace} --replicas=${replicas}`
    log.error({ err, command }, 'not everything could be done, and the controller may be stopped: start it again')
  }
}

async function takeFinalizersOff(http: Requests, log: Log): Promise<void> {
  let taken = 0
  for (let round = 0; round < ROUNDS; round++) {
    const held = (await listGates(http)).filter(({ metadata }) => metadata.finalizers?.includes(FINALIZER))
    if (held.length === 0) {
      if (taken > 0) log.info({ gates: taken }, 'took the finalizer off gates')
      return
    }
    for (const gate of held) {
      const { resourceVersion, finalizers = [] } = gate.metadata
      const metadata = { resourceVersion, finalizers: finalizers.filter((name) => name !== FINALIZER) }
      try {
        if (await unlessGone(http.request(mergePatch(pathOf(gate), { metadata })))) taken++
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 'Conflict')) throw error
      }
    }
  }
  throw new Error(`gates get the finalizer ${FINALIZER} back as often as it is taken off: is there another controller?`)
}

/** None where the CRD is not there. */
async function listGates(http: Requests): Promise<GateMeta[]> {
  const found: GateMeta[] = []
  let next: string | undefined
  do {
    const path = `/apis/${GROUP}/${VERSION}/podreadinessgates`
    const page: HttpRequest = { method: 'GET', path, query: { limit: PAGE, continue: next } }
    try {
      const { items, metadata } = (await http.request(page)).json<{ items: GateMeta[]; metadata: { continue?: string } }>()
      found.push(...items)
      next = metadata.continue || undefined
    } catch (error) {
      if (error instanceof KubeError && error.code === 'NotFound') return []
      throw error
    }
  } while (next !== undefined)
  return found
}

const pathOf = ({ metadata }: GateMeta) =>
  `/apis/${GROUP}/${VERSION}/namespaces/${metadata.namespace}/podreadinessgates/${metadata.name}`

const mergePatch = (path: string, body: object): HttpRequest => ({
  method: 'PATCH',
  path,
  body,
  contentType: 'application/merge-patch+json',
})

/** @returns undefined where there is nothing to do it to */
async function unlessGone<T extends object>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (error instanceof KubeError && error.code === 'NotFound') return undefined
    throw error
  }
}

/** Asks until the answer is 0, or the time is up. @returns the last answer */
async function until(ask: () => Promise<number>, withinMs: number): Promise<number> {
  const end = performance.now() + withinMs
  for (;;) {
    const left = await ask()
    if (left === 0 || performance.now() >= end) return left
    await sleep(POLL_MS)
  }
}
