import { finishedPod, KEEP_ANNOTATION } from '../../core/cleanup/finished-pod.ts'
import type { FinishedPod, JobFacts } from '../../core/cleanup/types.ts'
import { asObject, intern, listOf, metadataOf, optionalObject } from './fields.ts'
import { decodePod } from './pod.ts'

/** A raw core/v1 Pod -> FinishedPod; undefined for one that has not finished. Throws DecodeError. */
export function decodeFinishedPod(raw: unknown, workload?: FinishedPod['workload']): FinishedPod | undefined {
  const pod = decodePod(raw)
  if (pod.phase !== 'Succeeded' && pod.phase !== 'Failed') return undefined
  const metadata = metadataOf(asObject(raw, 'object')).raw
  const labels: Record<string, string> = {}
  for (const [key, value] of Object.entries(optionalObject(metadata, 'labels', 'metadata') ?? {}))
    if (typeof value === 'string') labels[intern(key)] = intern(value)
  const keep = optionalObject(metadata, 'annotations', 'metadata')?.[KEEP_ANNOTATION]
  return finishedPod(pod, {
    labels,
    ...(keep === undefined ? {} : { keep: String(keep) }),
    ...(workload === undefined ? {} : { workload }),
  })
}

/** A raw batch/v1 Job -> what is known of it, and its UID. Throws DecodeError. */
export function decodeJob(raw: unknown): { readonly uid: string } & JobFacts {
  const object = asObject(raw, 'object')
  const status = optionalObject(object, 'status', '') ?? {}
  const finished = listOf(status, 'conditions', 'status').some((entry, i) => {
    const { type, status: value } = asObject(entry, `status.conditions[${i}]`)
    return (type === 'Complete' || type === 'Failed') && value === 'True'
  })
  return { uid: metadataOf(object).uid, finished }
}
