/** Which terminations belong to the same rollout as one of them. */
import { type Micros, SECOND } from '../core/time.ts'
import { sameWorkload, type TerminationRow } from './row.ts'

/** Pods of one rollout follow each other; a longer silence ends it. */
const SILENCE: Micros = 600 * SECOND
const MOST = 40

/**
 * The pods of the same workload, the oldest first, that ended around `one`, with no silence of ten minutes in between; itself among
 * them. A record does not name the revision, so two rollouts in quick succession are one here.
 */
export function rolloutOf(one: TerminationRow, newestFirst: readonly TerminationRow[]): TerminationRow[] {
  const { workload, pod } = one
  if (workload === undefined || (workload.kind === 'Pod' && workload.name === pod.name)) return [one]
  const all = newestFirst.filter((row) => sameWorkload(row, workload.kind, pod.namespace, workload.name)).reverse()
  const here = all.findIndex(({ uid }) => uid === one.uid)
  if (here === -1) return [one]
  const near = (a: TerminationRow | undefined, b: TerminationRow | undefined) =>
    a !== undefined && b !== undefined && b.startedAt - a.startedAt <= SILENCE
  let first = here
  let last = here
  // Outwards by turns, so that the nearest are shown where they are many.
  while (last - first + 1 < MOST) {
    const before = near(all[first - 1], all[first])
    if (before) first--
    const after = last - first + 1 < MOST && near(all[last], all[last + 1])
    if (after) last++
    if (!before && !after) break
  }
  return all.slice(first, last + 1)
}
