/** What a list is narrowed to, as it stands in the query of its address. */
import { parseDuration } from '../core/duration.ts'
import type { Micros } from '../core/time.ts'
import { isBad, standing, type TerminationRow } from './row.ts'

export interface Filter {
  readonly namespace?: string
  /** KIND/NAME, or a part of the name. */
  readonly workload?: string
  /** An outcome, a state, or Bad: from ForcedKill to Unknown. */
  readonly outcome?: string
  readonly finding?: string
  /** A duration back from now, as 1h: what was over by then is left out. */
  readonly since?: string
  /** Only what stands behind this place in the list, as a page ends with it. */
  readonly after?: string
}

const KEYS = ['namespace', 'workload', 'outcome', 'finding', 'since', 'after'] as const
const LONGEST = 253

/** Takes what it knows out of a query; an empty value is none, and what is no duration is not asked for. */
export function filterOf(query: URLSearchParams): Filter {
  const given = KEYS.flatMap((key) => {
    const value = query.get(key)?.trim().slice(0, LONGEST).trimEnd().toWellFormed() ?? ''
    if (value === '' || (key === 'since' && parseDuration(value) === undefined)) return []
    return [[key, value] as const]
  })
  return Object.fromEntries(given)
}

/** `?namespace=shop`, or nothing. */
export function queryOf(filter: Filter): string {
  const query = new URLSearchParams()
  for (const key of KEYS) {
    const value = filter[key]
    if (value !== undefined) query.set(key, value)
  }
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

export const placeOf = ({ startedAt, uid }: TerminationRow) => `${startedAt}.${uid}`

export function matcher(filter: Filter, now: Micros): (row: TerminationRow) => boolean {
  const { namespace, workload, outcome, finding } = filter
  const back = filter.since === undefined ? undefined : parseDuration(filter.since)
  const oldest = back === undefined ? undefined : now - back
  const wanted = workload?.toLowerCase()
  const exact = wanted?.includes('/') ?? false
  return (row) => {
    if (namespace !== undefined && row.pod.namespace !== namespace) return false
    if (outcome === 'Bad' ? !isBad(row) : outcome !== undefined && standing(row) !== outcome && row.outcome !== outcome)
      return false
    if (finding !== undefined && !row.findings.includes(finding)) return false
    if (oldest !== undefined && row.state === 'Complete' && (row.finishedAt ?? row.startedAt) < oldest) return false
    if (wanted === undefined) return true
    const { kind = '', name = '' } = row.workload ?? {}
    return exact ? `${kind}/${name}`.toLowerCase() === wanted : name.toLowerCase().includes(wanted)
  }
}
