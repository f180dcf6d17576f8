/** A record whose every text holds markup: what any part of the page makes of it has to be text. */
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { forcedKill } from '../render/records.ts'

export const MARKUP = `"><script>alert('x')</script><img src=x onerror=alert(1)>&amp;<!--`

/** Fields whose values the schema fixes, or that have a form of their own; all others can hold what somebody wrote. */
const FIXED = ['type', 'severity', 'mark', 'source', 'clock', 'confidence', 'role', 'outcome', 'state', 'handler', 'result', 'by']
const TIMES = ['at', 'earliest', 'latest', 'startedAt', 'finishedAt', 'deadline', 'notReadyAt', 'notServingAt', 'removedAt']
const MORE = ['readyAtStopSignal', 'tracedFrom', 'tracedUntil', 'pidNamespace', 'how']

function poisoned(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.map((item) => poisoned(item, key))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, poisoned(inner, name)]))
  if (typeof value !== 'string' || [...FIXED, ...TIMES, ...MORE].includes(key)) return value
  return `${MARKUP}${value}`
}

export function nasty(record: PodTermination = forcedKill()): PodTermination {
  const full: PodTermination = {
    ...record,
    pod: { ...record.pod, workload: { kind: 'Deployment', name: 'web', uid: 'u', apiVersion: 'apps/v1' } },
    cause: { type: 'Deleted', message: 'said' },
    summary: 'PreStopOverran',
    timeline: (record.timeline ?? []).map((mark) => ({ ...mark, message: 'a word' })),
  }
  return poisoned(full, '') as PodTermination // only texts have changed
}
