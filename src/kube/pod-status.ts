/** Writes one condition of a pod, and nothing else of it. */
import type { ConditionPatch } from '../core/gates/condition-patch.ts'
import { DecodeError, KubeError } from './errors.ts'
import type { KubeHttp } from './http.ts'

export interface PatchedPod {
  readonly result: 'Patched'
  /** Of the pod with the condition in it: what is older does not have it yet. */
  readonly resourceVersion: string
}

/** Gone: the pod is not there any more, or another one has its name. Refused: not this write, whoever repeats it. */
export type PodPatched = PatchedPod | { readonly result: 'Gone' } | { readonly result: 'Refused'; readonly message: string }

/**
 * A strategic merge patch: the API server merges conditions by their type, so those of the kubelet and of other controllers stay, also
 * where they are written at the same time. The UID in it makes it a Conflict for another pod of that name. Throws KubeError for what may
 * pass by itself (429, 5xx, network, time-out), for 403, and Aborted where the guard refuses.
 *
 * @param guard see LeaderElector.guard
 */
export async function patchCondition(
  http: KubeHttp,
  guard: () => AbortSignal,
  pod: { readonly namespace: string; readonly name: string },
  patch: ConditionPatch,
): Promise<PodPatched> {
  try {
    const response = await http.request({
      method: 'PATCH',
      path: `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/status`,
      contentType: 'application/strategic-merge-patch+json',
      body: patch,
      signal: guard(),
    })
    const { metadata } = response.json<{ metadata?: { resourceVersion?: string } }>()
    if (metadata?.resourceVersion === undefined) throw new DecodeError('metadata.resourceVersion', 'a string', undefined)
    return { result: 'Patched', resourceVersion: metadata.resourceVersion }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    // Without a resourceVersion in the patch the API server repeats it by itself: what is left is the precondition of the UID.
    if (error.code === 'NotFound' || (error.code === 'Conflict' && /uid/i.test(error.message))) return { result: 'Gone' }
    if (error.code === 'Invalid') return { result: 'Refused', message: error.message }
    throw error
  }
}
