import type { EventSnapshot } from '../../core/evidence.ts'
import { cut } from '../../core/gates/text.ts'
import {
  asObject,
  compact,
  intern,
  metadataOf,
  optionalInteger,
  optionalObject,
  optionalString,
  requiredString,
} from './fields.ts'

const FIELD_PATH = /^spec\.(?:containers|initContainers|ephemeralContainers)\{([^}]+)\}$/
const MAX_MESSAGE = 1024
/**
 * A static pod's UID is the hash of its manifest (pkg/kubelet/config/common.go), and its Events name it by that. In the API it has a mirror
 * with a UID of its own, so that nothing there could be found by this one.
 */
const OF_MANIFEST = /^[0-9a-f]{32}$/

/**
 * A raw core/v1 Event -> EventSnapshot; undefined where it is not about a pod, or names no UID that a pod of the API can have. Throws DecodeError.
 * Emitters that write through events.k8s.io keep count and time in series and eventTime (staging/src/k8s.io/api/core/v1, Event).
 */
export function decodeEvent(raw: unknown): EventSnapshot | undefined {
  const object = asObject(raw, 'object')
  const metadata = metadataOf(object)
  const about = asObject(object.involvedObject, 'involvedObject')
  if (optionalString(about, 'kind', 'involvedObject') !== 'Pod') return undefined
  const podUid = optionalString(about, 'uid', 'involvedObject')
  if (podUid === undefined || OF_MANIFEST.test(podUid)) return undefined
  const source = optionalObject(object, 'source', '') ?? {}
  const series = optionalObject(object, 'series', '') ?? {}
  const component = optionalString(source, 'component', 'source') ?? optionalString(object, 'reportingComponent', '')
  const host = optionalString(source, 'host', 'source')
  const message = optionalString(object, 'message', '') ?? ''
  return compact<EventSnapshot>({
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    namespace: metadata.namespace,
    name: metadata.name,
    reason: intern(optionalString(object, 'reason', '') ?? ''),
    eventType: intern(optionalString(object, 'type', '') ?? 'Normal'),
    message: cut(message, MAX_MESSAGE),
    count: optionalInteger(object, 'count', '') || optionalInteger(series, 'count', 'series') || 1,
    firstTimestamp: optionalString(object, 'firstTimestamp', ''),
    lastTimestamp: optionalString(object, 'lastTimestamp', '') ?? optionalString(series, 'lastObservedTime', 'series'),
    eventTime: optionalString(object, 'eventTime', ''),
    component: component === undefined ? undefined : intern(component),
    host: host === undefined ? undefined : intern(host),
    pod: {
      namespace: intern(optionalString(about, 'namespace', 'involvedObject') ?? metadata.namespace),
      name: requiredString(about, 'name', 'involvedObject'),
      uid: podUid,
    },
    container: FIELD_PATH.exec(optionalString(about, 'fieldPath', 'involvedObject') ?? '')?.[1],
  })
}
