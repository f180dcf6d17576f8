/** What the plan of a cleanup is made from, read once: a laptop's view. */
import { GROUP, VERSION } from '../api/group.ts'
import type { CleanupRule, FinishedPod, JobFacts, UnreadableRule } from '../core/cleanup/types.ts'
import { asObject, listOf, metadataOf, optionalObject, optionalString } from './decode/fields.ts'
import { decodeFinishedPod, decodeJob } from './decode/finished-pod.ts'
import { decodeOwner } from './decode/pod.ts'
import { decodePodCleanup } from './decode/pod-cleanup.ts'
import { KubeError } from './errors.ts'
import type { KubeHttp } from './http.ts'

export interface CleanupFacts {
  readonly pods: readonly FinishedPod[]
  readonly jobs: ReadonlyMap<string, JobFacts>
  readonly rules: readonly (CleanupRule | UnreadableRule)[]
  /** What could not be read and what that means for the plan, one sentence each. */
  readonly missing: readonly string[]
}

/** Pods that have finished; the API server selects them. */
const FINISHED = 'status.phase!=Pending,status.phase!=Running,status.phase!=Unknown'
const PAGE_SIZE = 500
const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'

/**
 * Of one namespace, or of all. Throws KubeError where pods or PodCleanups cannot be listed; without Jobs and ReplicaSets the plan is only more
 * careful.
 */
export async function readCleanup(http: KubeHttp, namespace?: string): Promise<CleanupFacts> {
  const within = namespace === undefined ? '' : `namespaces/${namespace}/`
  const missing: string[] = []
  const optional = async (path: string, accept: string | undefined, codes: readonly string[], consequence: string) => {
    try {
      return await listAll(http, path, accept === undefined ? {} : { accept })
    } catch (error) {
      if (!(error instanceof KubeError && codes.includes(error.code))) throw error
      missing.push(`${error.message}: ${consequence}`)
      return []
    }
  }
  const rawRules = await optional(
    `/apis/${GROUP}/${VERSION}/${within}podcleanups`,
    undefined,
    ['NotFound'],
    'there are no PodCleanups, for the cluster does not know the kind',
  )
  const rawPods = await listAll(http, `/api/v1/${within}pods`, { fieldSelector: FINISHED })
  const kinds = new Set(rawPods.map((raw) => decodeOwner(raw)?.kind))
  const rawJobs = kinds.has('Job')
    ? await optional(`/apis/batch/v1/${within}jobs`, undefined, ['Forbidden'], 'their pods stay, as JobUnknown')
    : []
  const rawSets = kinds.has('ReplicaSet')
    ? await optional(
        `/apis/apps/v1/${within}replicasets`,
        METADATA_ONLY,
        ['Forbidden'],
        'keep.perOwner counts by ReplicaSet and not by Deployment',
      )
    : []
  const workloads = new Map<string, FinishedPod['workload']>()
  for (const raw of [...rawJobs, ...rawSets]) workloads.set(uidOf(raw), decodeOwner(raw))
  return {
    pods: rawPods.flatMap((raw) => decodeFinishedPod(raw, workloads.get(decodeOwner(raw)?.uid ?? '')) ?? []),
    jobs: new Map(rawJobs.map(decodeJob).map(({ uid, finished }) => [uid, { finished }])),
    rules: rawRules.flatMap((raw) => decodePodCleanup(raw) ?? []),
    missing,
  }
}

const uidOf = (raw: unknown): string => metadataOf(asObject(raw, 'object')).uid

/** By pages. Where a page's version is gone, from the beginning. */
async function listAll(
  http: KubeHttp,
  path: string,
  { accept, fieldSelector }: { accept?: string; fieldSelector?: string },
): Promise<unknown[]> {
  let items: unknown[] = []
  let token: string | undefined
  do {
    try {
      const query = { limit: PAGE_SIZE, continue: token, fieldSelector }
      const response = await http.request({ method: 'GET', path, query, ...(accept === undefined ? {} : { accept }) })
      const page = asObject(response.json(), 'list')
      items.push(...listOf(page, 'items', 'list'))
      token = optionalString(optionalObject(page, 'metadata', 'list') ?? {}, 'continue', 'list.metadata')
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 'Gone' && token !== undefined)) throw error
      items = []
      token = undefined
    }
  } while (token !== undefined)
  return items
}
