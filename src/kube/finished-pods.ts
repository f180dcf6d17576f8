/** Deletes pods that have finished, and nothing that has become of them since. */
import { KubeError } from './errors.ts'
import type { KubeHttp } from './http.ts'

/** One version of one pod. */
export interface PodVersion {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly resourceVersion: string
}

/** Changed: it is not that version any more. Gone: it is not there any more, or another pod has its name. */
export type PodDeletion = 'Deleted' | 'Changed' | 'Gone'

const pathOf = ({ namespace, name }: PodVersion): string => `/api/v1/namespaces/${namespace}/pods/${name}`

/**
 * Reads the pod again and deletes it where it is still that version, with UID and resourceVersion as preconditions and its own grace
 * period: what somebody does to it in between makes it stay. Throws KubeError for what may pass by itself (429, 5xx, network, time-out),
 * for 403, and Aborted where the guard refuses.
 *
 * @param guard see LeaderElector.guard
 */
export async function deleteFinished(http: KubeHttp, guard: () => AbortSignal, pod: PodVersion): Promise<PodDeletion> {
  const { uid, resourceVersion } = pod
  try {
    const response = await http.request({ method: 'GET', path: pathOf(pod), signal: guard() })
    const { metadata } = response.json<{ metadata?: { uid?: string; resourceVersion?: string } }>()
    if (metadata?.uid !== uid) return 'Gone'
    if (metadata.resourceVersion !== resourceVersion) return 'Changed'
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } }
    await http.request({ method: 'DELETE', path: pathOf(pod), body, signal: guard() })
    return 'Deleted'
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    if (error.code === 'NotFound') return 'Gone'
    if (error.code === 'Conflict') return /uid/i.test(error.message) ? 'Gone' : 'Changed'
    throw error
  }
}
