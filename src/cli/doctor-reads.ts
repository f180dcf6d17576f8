/** Gathers what `gracewatch doctor` judges. What may not be read is told as such; it is no failure of the rest. */
import { GROUP, VERSION } from '../api/group.ts'
import { keyOf, NEEDS } from '../core/doctor/rights.ts'
import type { DoctorFacts, NodeClock, OwnPod, Reading, Right } from '../core/doctor/types.ts'
import { type Micros, parseTime } from '../core/time.ts'
import { RECORDS } from '../kube/apply.ts'
import { KubeError } from '../kube/errors.ts'
import { SETTINGS } from '../settings.ts'
import type { ClusterAccess } from './cluster.ts'

/** Where the chart puts them unless told otherwise: for those who may not look everywhere. */
const CONTROLLER_NAMESPACE = SETTINGS.namespace.fallback
const AGENT_NAMESPACE = SETTINGS.agentNamespace.fallback
const LEASE = SETTINGS.leaseName.fallback
const PAGE = 500
/** Of so many records the agents' clocks are looked up. */
const RECORDS_LOOKED_AT = 100
const NODE_METADATA = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'

interface RawPod {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec?: { readonly nodeName?: string }
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

export async function gatherFacts({ http, namespace, now, skew }: Omit<ClusterAccess, 'records'>): Promise<DoctorFacts> {
  const get = async <T>(path: string, query?: Record<string, string | number>, accept?: string): Promise<T> =>
    (
      await http.request({
        ...{ method: 'GET', path },
        ...(query === undefined ? {} : { query }),
        ...(accept === undefined ? {} : { accept }),
      })
    ).json<T>()
  // What fails here is that there is no cluster to look at.
  const { gitVersion } = await get<{ gitVersion?: string }>('/version')

  const podsOf = async (component: string, usual: string): Promise<readonly OwnPod[]> => {
    const query = { labelSelector: `app.kubernetes.io/name=gracewatch,app.kubernetes.io/component=${component}` }
    const pods = await all<RawPod>(get, '/api/v1/pods', query).catch((error: unknown) => {
      if (!isCode(error, 'Forbidden')) throw error
      return all<RawPod>(get, `/api/v1/namespaces/${usual}/pods`, query)
    })
    return pods.map(({ metadata, spec, status }) => ({
      name: metadata.name,
      namespace: metadata.namespace,
      node: spec?.nodeName,
      ready: status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false,
    }))
  }

  const controllers = await reading(() => podsOf('controller', CONTROLLER_NAMESPACE))
  const home = 'found' in controllers ? (controllers.found[0]?.namespace ?? CONTROLLER_NAMESPACE) : CONTROLLER_NAMESPACE
  const [resources, agents, lease, nodes, clocks, denied] = await Promise.all([
    reading(() => resourcesOf(get)),
    reading(() => podsOf('agent', AGENT_NAMESPACE)),
    reading(() => leaseOf(get, home)),
    reading(async () => {
      const found = await all<{ metadata: { name: string } }>(get, '/api/v1/nodes', {}, NODE_METADATA)
      return found.map(({ metadata }) => metadata.name)
    }),
    reading(() => clocksOf(get)),
    reading(() => deniedIn(http, namespace)),
  ])
  return {
    ...{ now: now(), kubernetes: gitVersion ?? 'of an unknown version', namespace, skew: skew() },
    ...{ resources, controllers, agents, lease, nodes, clocks, denied },
  }
}

type Get = <T>(path: string, query?: Record<string, string | number>, accept?: string) => Promise<T>

/** Page by page: of some of the nodes and some of the agents' pods, agents would seem to be missing. */
async function all<T>(get: Get, path: string, query: Record<string, string>, accept?: string): Promise<T[]> {
  const items: T[] = []
  let next: string | undefined
  do {
    const page = { ...query, limit: PAGE, ...(next === undefined ? {} : { continue: next }) }
    const list = await get<{ metadata?: { continue?: string }; items?: readonly T[] }>(path, page, accept)
    items.push(...(list.items ?? []))
    next = list.metadata?.continue || undefined
  } while (next !== undefined)
  return items
}

async function resourcesOf(get: Get): Promise<readonly string[]> {
  try {
    const { resources = [] } = await get<{ resources?: readonly { name: string }[] }>(`/apis/${GROUP}/${VERSION}`)
    return resources.map(({ name }) => name)
  } catch (error) {
    if (isCode(error, 'NotFound')) return []
    throw error
  }
}

async function leaseOf(get: Get, namespace: string): Promise<{ holder: string; renewedAt: Micros | undefined } | undefined> {
  try {
    const { spec } = await get<{ spec?: { holderIdentity?: string | null; renewTime?: string | null } }>(
      `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${LEASE}`,
    )
    return { holder: spec?.holderIdentity ?? '', renewedAt: parseTime(spec?.renewTime ?? undefined) }
  } catch (error) {
    if (isCode(error, 'NotFound')) return undefined
    throw error
  }
}

interface KernelOf {
  readonly kernel?: {
    readonly node: string
    readonly tracedUntil: string
    readonly apiServerClock?: { readonly earliestMicroseconds: number; readonly latestMicroseconds: number }
  }
}

async function clocksOf(get: Get): Promise<readonly NodeClock[]> {
  const list = await get<{ items?: readonly KernelOf[] }>(RECORDS.everywhere, { limit: RECORDS_LOOKED_AT }).catch(
    (error: unknown): { items?: readonly KernelOf[] } => {
      if (isCode(error, 'NotFound')) return {}
      throw error
    },
  )
  return (list.items ?? []).flatMap(({ kernel }) => {
    const clock = kernel?.apiServerClock
    if (kernel === undefined || clock === undefined) return []
    const { earliestMicroseconds: earliest, latestMicroseconds: latest } = clock
    return [{ node: kernel.node, earliest, latest, measuredAt: parseTime(kernel.tracedUntil) ?? 0 }]
  })
}

/** Each right that any command needs is asked for once. */
async function deniedIn(http: ClusterAccess['http'], namespace: string): Promise<readonly Right[]> {
  const rights = new Map([...NEEDS.values()].flat().map((need) => [keyOf(need), need]))
  const asked = await Promise.all(
    [...rights.values()].map(async ({ verb, group, resource }) => {
      const response = await http.request({
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes: { namespace, verb, group, resource } },
        },
      })
      const { status } = response.json<{ status?: { allowed?: boolean } }>()
      return { right: { verb, group, resource }, allowed: status?.allowed === true }
    }),
  )
  return asked.filter(({ allowed }) => !allowed).map(({ right }) => right)
}

/** That one may not look is an answer; that the cluster does not answer is none. */
async function reading<T>(read: () => Promise<T>): Promise<Reading<T>> {
  try {
    return { found: await read() }
  } catch (error) {
    if (isCode(error, 'Forbidden', 'NotFound')) return { unknown: `not to be seen: ${(error as Error).message}` } // isCode: a KubeError
    throw error
  }
}

const isCode = (error: unknown, ...codes: readonly string[]) => error instanceof KubeError && codes.includes(error.code)
