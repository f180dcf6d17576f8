/**
 * Writes that the API server refuses for a reason that no repetition changes soon. They are part of normal life (namespaces are
 * deleted, quotas fill up, CRDs are older than the controller), so they are results; what may pass by itself stays an exception.
 */
import { KubeError } from './errors.ts'

/**
 * NamespaceTerminating and NamespaceNotFound: this namespace takes nothing any more, so the write belongs elsewhere or nowhere.
 * QuotaExceeded. Forbidden: RBAC or an admission policy. NotInstalled: the API server does not serve the kind (no CRD).
 * Invalid: the object is not what the schema or a rule of the CRD allows. TooLarge: for the API server or for etcd.
 */
export type RefusalReason =
  | 'NamespaceTerminating'
  | 'NamespaceNotFound'
  | 'QuotaExceeded'
  | 'Forbidden'
  | 'NotInstalled'
  | 'Invalid'
  | 'TooLarge'

export interface Refused {
  readonly result: 'Refused'
  readonly reason: RefusalReason
  /** Later: the same write can succeed when somebody has changed something; Never: not this one. */
  readonly retry: 'Later' | 'Never'
  /** One line, naming the call and what the server said. */
  readonly message: string
}

const RETRY: Readonly<Record<RefusalReason, Refused['retry']>> = {
  NamespaceTerminating: 'Never',
  NamespaceNotFound: 'Never',
  QuotaExceeded: 'Later',
  Forbidden: 'Later',
  NotInstalled: 'Later',
  Invalid: 'Never',
  TooLarge: 'Never',
}

/** The refusal that an error stands for; undefined for one that may pass (429, 5xx, network, time-out, 401, a lost race). */
export function refusalOf(error: unknown): Refused | undefined {
  const reason = error instanceof KubeError ? reasonOf(error) : undefined
  if (reason === undefined || !(error instanceof KubeError)) return undefined
  return { result: 'Refused', reason, retry: RETRY[reason], message: error.message }
}

function reasonOf(error: KubeError): RefusalReason | undefined {
  switch (error.code) {
    case 'Forbidden':
      if (error.causes?.some(({ reason }) => reason === 'NamespaceTerminating')) return 'NamespaceTerminating'
      // A quota for a kind that the quota controller has not counted yet refuses everything ("status unknown for quota").
      return /exceeded quota|status unknown for quota/.test(error.message) ? 'QuotaExceeded' : 'Forbidden'
    case 'NotFound':
      return /\bnamespaces "[^"]*" not found/.test(error.message) ? 'NamespaceNotFound' : 'NotInstalled'
    case 'Invalid':
      return 'Invalid'
    case 'TooLarge':
      return 'TooLarge'
    case 'ServerError':
      // Server-side apply answers 500 to an object that does not fit the schema (managedfields, "failed to create typed patch
      // object"), and so does etcd's refusal of a request over 1.5 MiB.
      if (error.message.includes('failed to create typed patch object')) return 'Invalid'
      return /request is too large/.test(error.message) ? 'TooLarge' : undefined
    default:
      return undefined
  }
}
