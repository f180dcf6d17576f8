/**
 * Ends that no change of a watched pod told of: of pods that had ended before this replica saw them first and went before it led, and
 * of pods that came, were stopped and went in a gap of its watch, which only the kubelet's Event still names.
 */
import type { EventFact, PodSnapshot } from '../../core/evidence.ts'
import { isTerminal } from '../../core/termination/history.ts'
import { firstOccurrence } from '../../core/termination/kubelet-events.ts'
import { type Micros, SECOND } from '../../core/time.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { Change, Gap } from '../../kube/reflector-types.ts'
import type { Recorder } from './recorder.ts'

/** As long as a standby keeps what the leader should have written. */
const KEEP_ENDED: Micros = 120 * SECOND
const MAX_ENDED = 10_000
/** As long as Events of pods that are not followed are kept. */
const KEEP_GAP: Micros = 600 * SECOND
/** What the watch of pods may still have to say of a pod that an Event names: an API server is taken to deliver within a second. */
const DELIVERY_MS = 2000
/** A node's clock may be this far off. */
const SKEW: Micros = 60 * SECOND

export interface MissedOptions {
  readonly recorder: Pick<Recorder, 'track' | 'tracks' | 'decided' | 'inScope' | 'evidence'>
  readonly pods: { get(uid: string): PodSnapshot | undefined }
  /** The watch of pods is open and well. */
  readonly watching: () => boolean
  readonly clock: RecorderClock
  /** Runs the action a while from now. */
  readonly later: (ms: number, action: () => void) => void
}

export class Missed {
  readonly #options: MissedOptions
  /** The version before its deletion, by UID; the oldest first. */
  readonly #ended = new Map<string, { readonly pod: PodSnapshot; readonly at: Micros }>()
  #gaps: Gap[] = []
  #due = false

  constructor(options: MissedOptions) {
    this.#options = options
  }

  /** Pods that have gone of late and had ended before: those that nobody recorded are for the catch-up to judge. */
  *ended(): Generator<PodSnapshot> {
    this.#expire(this.#options.clock.now())
    for (const { pod } of this.#ended.values()) yield pod
  }

  onPod({ type, object, previous, arrivedAt }: Change<PodSnapshot>): void {
    // What vanished comes as it was seen last, and without a version before.
    const before = type === 'Vanished' ? object : previous
    if (before === undefined || !isTerminal(before) || before.deletionTimestamp !== undefined) return
    if (type !== 'Deleted' && type !== 'Vanished' && object.deletionTimestamp === undefined) return
    if (!this.#options.recorder.inScope(object.namespace)) return
    this.#ended.set(object.uid, { pod: before, at: arrivedAt })
    this.#expire(arrivedAt)
  }

  onGap(gap: Gap): void {
    this.#gaps = [...this.#gaps.filter(({ to }) => gap.to - to < KEEP_GAP), gap]
    this.#look()
  }

  /** Events can come before the list that shows the gap, or long after it. */
  onEvent({ object }: Change<EventFact['event']>): void {
    if (this.#gaps.length > 0 && object.reason === 'Killing') this.#look()
  }

  /** Once for many, and when the watch of pods has said what it had to say. */
  #look(): void {
    if (this.#due) return
    this.#due = true
    this.#options.later(DELIVERY_MS, () => {
      this.#due = false
      if (this.#options.watching()) this.#takeUp()
      else this.#look()
    })
  }

  #takeUp(): void {
    const { recorder, pods, clock } = this.#options
    const now = clock.now()
    this.#gaps = this.#gaps.filter(({ to }) => now - to < KEEP_GAP)
    for (const [uid, events] of [...recorder.evidence.eventsByPod()]) {
      const named = events[0]?.event.pod
      if (named === undefined || recorder.tracks(uid) || recorder.decided(uid) || pods.get(uid) !== undefined) continue
      if (!recorder.inScope(named.namespace)) continue
      const gap = this.#gaps.find((one) => events.some((fact) => fact.event.reason === 'Killing' && isWithin(fact, one)))
      if (gap !== undefined) recorder.track({ type: 'Absent', arrivedAt: now, pod: { ...named } }, undefined, gap.from)
    }
  }

  #expire(now: Micros): void {
    for (const [uid, { at }] of this.#ended) {
      if (now - at < KEEP_ENDED && this.#ended.size <= MAX_ENDED) break
      this.#ended.delete(uid)
    }
  }
}

/** By the node's clock roughly; that it had not arrived before the gap began is by ours. */
function isWithin({ event, arrivedAt }: EventFact, { from, to }: Gap): boolean {
  const at = firstOccurrence(event)
  return at !== undefined && arrivedAt >= from && at.latest >= from - SKEW && at.earliest <= to + SKEW
}
