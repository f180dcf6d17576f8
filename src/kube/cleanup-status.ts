import { GROUP, VERSION } from '../api/group.ts'
import type { CleanupStatus } from '../api/pod-cleanup.ts'
import { KubeError } from './errors.ts'
import type { KubeHttp } from './http.ts'

export const CLEANUPS_PATH = `/apis/${GROUP}/${VERSION}/podcleanups`

/**
 * Writes the status of a PodCleanup; what is undefined in it is taken out. Throws KubeError.
 *
 * @param guard see LeaderElector.guard
 * @returns false where it is gone, or another one has its name
 */
export async function writeCleanupStatus(
  http: KubeHttp,
  guard: () => AbortSignal,
  { uid, namespace, name }: { readonly uid: string; readonly namespace: string; readonly name: string },
  status: { readonly [K in keyof CleanupStatus]-?: CleanupStatus[K] | undefined },
): Promise<boolean> {
  const fields = Object.fromEntries(Object.entries(status).map(([key, value]) => [key, value ?? null]))
  try {
    await http.request({
      method: 'PATCH',
      path: `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/podcleanups/${name}/status`,
      contentType: 'application/merge-patch+json',
      // Of another object of that name it makes a Conflict.
      body: { metadata: { uid }, status: fields },
      signal: guard(),
    })
    return true
  } catch (error) {
    if (error instanceof KubeError && (error.code === 'NotFound' || error.code === 'Conflict')) return false
    throw error
  }
}
