import type { EndpointSliceSnapshot, EndpointState } from '../../core/evidence.ts'
import { asObject, compact, intern, listOf, metadataOf, optionalBoolean, optionalObject, optionalString } from './fields.ts'

const SERVICE_LABEL = 'kubernetes.io/service-name'

/**
 * A raw discovery.k8s.io/v1 EndpointSlice -> EndpointSliceSnapshot; endpoints that are no pods are left out. Throws DecodeError.
 * Absent conditions are read as the API defines them (staging/src/k8s.io/api/discovery/v1, EndpointConditions): ready true, serving
 * as ready, terminating false.
 */
export function decodeEndpointSlice(raw: unknown): EndpointSliceSnapshot {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  const labels = optionalObject(metadata.raw, 'labels', 'metadata') ?? {}
  const service = optionalString(labels, SERVICE_LABEL, 'metadata.labels')
  const endpoints: EndpointState[] = []
  const list = listOf(object, 'endpoints', '')
  for (let i = 0; i < list.length; i++) {
    const path = `endpoints[${i}]`
    const entry = asObject(list[i], path)
    const target = optionalObject(entry, 'targetRef', path)
    if (target === undefined || optionalString(target, 'kind', `${path}.targetRef`) !== 'Pod') continue
    const podUid = optionalString(target, 'uid', `${path}.targetRef`)
    if (podUid === undefined) continue
    const conditions = optionalObject(entry, 'conditions', path) ?? {}
    const ready = optionalBoolean(conditions, 'ready', `${path}.conditions`) ?? true
    endpoints.push({
      podUid,
      podName: optionalString(target, 'name', `${path}.targetRef`) ?? '',
      ready,
      serving: optionalBoolean(conditions, 'serving', `${path}.conditions`) ?? ready,
      terminating: optionalBoolean(conditions, 'terminating', `${path}.conditions`) ?? false,
    })
  }
  return compact<EndpointSliceSnapshot>({
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    namespace: metadata.namespace,
    name: metadata.name,
    service: service === undefined ? undefined : intern(service),
    endpoints,
  })
}
