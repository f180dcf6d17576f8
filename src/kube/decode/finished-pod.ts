import { finishedPod, KEEP_ANNOTATION } from '../../core/cleanup/finished-pod.ts'
import type { FinishedPod, JobFacts } from '../../core/cleanup/types.ts'
import type { CleanupPart, PodSnapshot } from '../../core/evidence.ts'
import { DecodeError } from '../errors.ts'
import type { Identified } from '../reflector-types.ts'
import { asObject, intern, listOf, metadataOf, optionalObject, Shared } from './fields.ts'
import { decodePod } from './pod.ts'

/** Pods of one workload mostly have the same labels. */
const labelMaps = new Shared<Readonly<Record<string, string>>>(20_000)

/** A raw core/v1 Pod -> FinishedPod; undefined for one that has not finished. Throws DecodeError. */
export function decodeFinishedPod(raw: unknown, workload?: FinishedPod['workload']): FinishedPod | undefined {
  return finishedPod(decodePod(raw), decodeCleanupPart(raw), workload)
}

/** What rules select a raw core/v1 Pod by. Throws DecodeError. */
export function decodeCleanupPart(raw: unknown): CleanupPart {
  const metadata = metadataOf(asObject(raw, 'object')).raw
  const labels: Record<string, string> = {}
  for (const [key, value] of Object.entries(optionalObject(metadata, 'labels', 'metadata') ?? {}))
    if (typeof value === 'string') labels[intern(key)] = intern(value)
  const keep = optionalObject(metadata, 'annotations', 'metadata')?.[KEEP_ANNOTATION]
  // Not optionalString: whoever writes the empty string means to keep the pod as well.
  if (keep !== undefined && typeof keep !== 'string')
    throw new DecodeError(`metadata.annotations.${KEEP_ANNOTATION}`, 'a string', keep)
  return {
    labels: labelMaps.get(JSON.stringify(labels), () => labels),
    ...(keep === undefined ? {} : { keep }),
  }
}

/** A raw core/v1 Pod -> its snapshot, with what a cleanup needs once it has finished. Throws DecodeError. */
export function withCleanupPart(raw: unknown, pod: PodSnapshot): PodSnapshot {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed' ? { ...pod, cleanup: decodeCleanupPart(raw) } : pod
}

/** A raw batch/v1 Job -> what is known of it. Throws DecodeError. */
export function decodeJob(raw: unknown): JobFacts & Identified {
  const object = asObject(raw, 'object')
  const status = optionalObject(object, 'status', '') ?? {}
  const finished = listOf(status, 'conditions', 'status').some((entry, i) => {
    const { type, status: value } = asObject(entry, `status.conditions[${i}]`)
    return (type === 'Complete' || type === 'Failed') && value === 'True'
  })
  const { uid, namespace, name, resourceVersion } = metadataOf(object)
  return { uid, namespace, name, resourceVersion, finished }
}
