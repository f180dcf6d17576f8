/** The order of a timeline: by best estimates, but never against what must have come first. */
import { MARKS, type Mark } from '../../api/pod-termination.ts'
import type { Clock, Confidence, Source } from '../evidence.ts'
import type { Micros } from '../time.ts'
import type { Clocks, Interval } from './clocks.ts'
import { compareVersions } from './history.ts'

/** A mark before it is written down. */
export interface Entry extends Interval {
  readonly mark: Mark['mark']
  readonly clock: Clock
  readonly source: Source
  readonly confidence: Confidence
  readonly container?: string
  readonly service?: string
  readonly message?: string
  /** resourceVersion of the very change; Pods and EndpointSlices are counted by one etcd, so it orders them. */
  readonly version?: string
}

const NEVER = Number.NEGATIVE_INFINITY
const MAX_ROUNDS = 20
const laneOf = (entry: Entry): string => `${entry.container ?? ''}/${entry.service ?? ''}`
const rankOf = (entry: Entry): number => MARKS.indexOf(entry.mark)

/**
 * Sorts in place. Nothing but an earlier exit comes before Terminating; what happened to one container or in one Service keeps the
 * order of MARKS; changes keep the order of their resourceVersions; and nothing stands after Removed that may have come before.
 *
 * @param overran containers whose hook the kubelet stopped waiting for
 */
export function sortCausally(entries: Entry[], clocks: Clocks, overran: ReadonlySet<string>): void {
  const time = (entry: Entry) => clocks.best(entry.at, entry.clock, 'Recorder')
  const earliest = (entry: Entry) => clocks.earliest(entry.earliest, entry.clock, 'Recorder')
  const latest = (entry: Entry) => clocks.latest(entry.latest, entry.clock, 'Recorder')
  const began = entries.find((entry) => entry.mark === 'Terminating')
  const removed = entries.find((entry) => entry.mark === 'Removed')
  const keys = new Map<Entry, Micros>()
  const keyOf = (entry: Entry) => keys.get(entry) ?? time(entry)
  const raise = (entry: Entry, floor: Micros): boolean => {
    if (keyOf(entry) >= floor) return false
    keys.set(entry, floor)
    return true
  }

  const byRank = [...entries].sort((a, b) => rankOf(a) - rankOf(b))
  const lanes = (): boolean => {
    const floors = new Map<string, Micros>()
    let reported = NEVER
    let raised = false
    for (const entry of byRank) {
      const lane = laneOf(entry)
      const before = entry.mark === 'ContainerExited' && began !== undefined && latest(entry) < earliest(began)
      const floor = Math.max(
        before || began === undefined ? NEVER : keyOf(began),
        entry.mark === 'PodFinished' || entry.mark === 'Removed' ? reported : NEVER,
        lane === '/' ? NEVER : (floors.get(lane) ?? NEVER),
      )
      raised = raise(entry, floor) || raised
      // A report of an exit is in the object, so the object was there then.
      if (entry.mark === 'ContainerExited') reported = Math.max(reported, keyOf(entry))
      // The kubelet stops waiting for a hook that overruns: its end comes after the signal and holds nothing back.
      if (!(entry.mark === 'PreStopFinished' && overran.has(entry.container ?? ''))) floors.set(lane, keyOf(entry))
    }
    return raised
  }

  const unsure = entries.filter(
    (entry) =>
      removed !== undefined &&
      entry !== removed &&
      (entry.version === undefined || removed.version === undefined) &&
      earliest(entry) <= removed.latest,
  )
  const versioned = entries
    .flatMap((entry) => (entry.version === undefined ? [] : [{ entry, version: entry.version }]))
    .sort((a, b) => compareVersions(a.version, b.version) || rankOf(a.entry) - rankOf(b.entry))
  const versions = (): boolean => {
    let raised = removed !== undefined && raise(removed, Math.max(NEVER, ...unsure.map(keyOf)))
    let last = NEVER
    for (const { entry } of versioned) {
      raised = raise(entry, last) || raised
      last = Math.max(last, keyOf(entry))
    }
    return raised
  }

  // Each rule only raises, and what it raises may have to raise others; marks are few, and so are the rounds.
  for (let rounds = 0; rounds < MAX_ROUNDS; rounds++) {
    const more = [lanes(), versions()]
    if (!more.includes(true)) break
  }
  entries.sort((a, b) => {
    const [here, there] = [laneOf(a), laneOf(b)]
    return keyOf(a) - keyOf(b) || rankOf(a) - rankOf(b) || (here < there ? -1 : here > there ? 1 : 0)
  })
}
