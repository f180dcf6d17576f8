/** Who deleted which pods, as the API server itself wrote it down. */
import { readFileSync, statSync } from 'node:fs'
import type { Raw } from '../api.ts'

export interface Delete {
  readonly name: string
  readonly user: string
  /** HTTP status of the answer. */
  readonly status: number
  readonly preconditions: { readonly uid?: string; readonly resourceVersion?: string } | undefined
  readonly gracePeriodSeconds: number | undefined
}

/** DELETEs of single pods of a namespace that the log tells after `from`, a number of bytes, in order. */
export function deletesOf(auditLog: string, namespace: string, from: number): Delete[] {
  const text = readFileSync(auditLog).subarray(from).toString('utf8')
  const entries: Raw[] = text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]))
  return entries
    .filter(
      ({ verb, objectRef, stage }) => verb === 'delete' && objectRef.namespace === namespace && stage === 'ResponseComplete',
    )
    .filter(({ objectRef }) => objectRef.resource === 'pods' && objectRef.subresource === undefined)
    .map(({ objectRef, user, responseStatus, requestObject }) => ({
      name: objectRef.name,
      user: user.username,
      status: responseStatus.code,
      preconditions: requestObject?.preconditions,
      gracePeriodSeconds: requestObject?.gracePeriodSeconds,
    }))
}

export const sizeOf = (path: string): number => statSync(path).size
