/** Kubernetes Events (core/v1) about what was found: what `kubectl describe` shows under a pod or its workload. */
import { createHash } from 'node:crypto'
import { cut } from '../core/gates/text.ts'
import { formatTime, type Micros } from '../core/time.ts'
import { KubeError } from './errors.ts'
import type { HttpRequest, KubeHttp } from './http.ts'
import { type Refused, refusalOf } from './refusal.ts'

const COMPONENT = 'gracewatch'
const MAX_NAME = 253
/** The limit of events.k8s.io, whose readers see core/v1 Events as well. */
const MAX_MESSAGE = 1024

export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** `kubectl describe` finds Events by it. */
  readonly uid: string
}

export interface KubernetesEvent {
  /** See eventName. The Event goes into the object's namespace. */
  readonly name: string
  readonly object: ObjectReference
  readonly type: 'Normal' | 'Warning'
  /** CamelCase, at most 128 characters. */
  readonly reason: string
  /** Cut to 1024 characters. */
  readonly message: string
  readonly count: number
  readonly firstAt: Micros
  readonly lastAt: Micros
}

export interface EventWriterOptions {
  readonly http: KubeHttp
  /** Name of this replica. */
  readonly instance: string
  /** See RecordClientOptions.guard. */
  readonly guard?: () => AbortSignal
}

export interface EventWriter {
  /**
   * Creates the Event; where one of this name is there, its count, message and last time are brought up to date. Throws KubeError for
   * what may pass by itself, and Aborted where the guard refuses.
   */
  write(event: KubernetesEvent): Promise<{ readonly result: 'Written' } | Refused>
}

/** Same object and key, same name: a retried write makes no second Event. */
export function eventName(objectName: string, key: string): string {
  const suffix = createHash('sha256').update(`${objectName}\0${key}`).digest('hex').slice(0, 16)
  return `${objectName.slice(0, MAX_NAME - suffix.length - 1).replace(/[-.]+$/, '')}.${suffix}`
}

export function createEventWriter({ http, instance, guard }: EventWriterOptions): EventWriter {
  const write = (request: HttpRequest) => {
    const signal = guard?.()
    return http.request(signal === undefined ? request : { ...request, signal })
  }
  return {
    async write(event) {
      const { object, name } = event
      const path = `/api/v1/namespaces/${object.namespace}/events`
      const body = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace: object.namespace },
        involvedObject: object,
        type: event.type,
        reason: event.reason,
        firstTimestamp: toSeconds(event.firstAt),
        source: { component: COMPONENT },
        reportingComponent: COMPONENT,
        reportingInstance: instance,
        ...changing(event),
      }
      try {
        await write({ method: 'POST', path, body })
        return { result: 'Written' }
      } catch (error) {
        if (!(error instanceof KubeError && error.code === 'AlreadyExists')) return refusedOrThrow(error)
      }
      try {
        await write({
          method: 'PATCH',
          path: `${path}/${name}`,
          contentType: 'application/merge-patch+json',
          body: changing(event),
        })
        return { result: 'Written' }
      } catch (error) {
        return refusedOrThrow(error)
      }
    },
  }
}

const changing = ({ message, count, lastAt }: KubernetesEvent) => ({
  message: cut(message, MAX_MESSAGE),
  count,
  lastTimestamp: toSeconds(lastAt),
})

/** core/v1 Events carry whole seconds. */
const toSeconds = (at: Micros) => `${formatTime(at).slice(0, 19)}Z`

function refusedOrThrow(error: unknown): Refused {
  const refusal = refusalOf(error)
  if (refusal === undefined) throw error
  return refusal
}
