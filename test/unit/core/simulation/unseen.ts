/** What is left of a history when nobody watched for a while and a new list followed. */
import type { Fact } from '../../../../src/core/evidence.ts'
import { MILLISECOND, type Micros, SECOND } from '../../../../src/core/time.ts'
import type { Delivery, PodStory } from '../../builders.ts'

const LIST: Micros = 5 * MILLISECOND
/** The longest delivery of the histories here: what arrived last vouches for no more than what was written so long before. */
const DELIVERY: Micros = 3 * SECOND

/**
 * @param from nothing that arrives from then on is seen; negative infinity: the recorder starts only with the list
 * @param to when the new list is made; what is written later arrives as it does
 */
export function unseenBetween(story: PodStory, from: Micros, to: Micros): Fact[] {
  const arrivedAt = to + LIST
  const complete = from - DELIVERY
  const since = Number.isFinite(from) ? { since: complete } : {}
  const left: Fact[] = [...story.others()]
  if (Number.isFinite(from)) {
    for (const resource of ['Pod', 'Event', 'EndpointSlice'] as const) {
      left.push({ type: 'Gap', resource, from: complete, to: arrivedAt, reason: 'the watch was cut' })
    }
  }
  const seen = ({ fact }: Delivery) => fact.arrivedAt < from
  const listed = (delivery: Delivery) => !seen(delivery) && delivery.writtenAt <= to
  for (const delivery of story.deliveries) if (!listed(delivery)) left.push(delivery.fact)

  const pods = story.deliveries.filter(({ stream }) => stream === 'Pod')
  const before = pods.filter(seen).at(-1)?.fact
  const now = pods.filter(({ writtenAt }) => writtenAt <= to).at(-1)?.fact
  const known = before?.type === 'Pod' && before.change !== 'Deleted' ? before.pod : undefined
  if (now?.type === 'Pod' && (before?.type !== 'Pod' || before.change !== 'Deleted')) {
    if (now.change !== 'Deleted') left.push({ type: 'Pod', change: 'Listed', arrivedAt, ...since, pod: now.pod })
    else if (known !== undefined) left.push({ type: 'Pod', change: 'Vanished', arrivedAt, ...since, pod: known })
    else left.push({ type: 'Absent', arrivedAt, pod: { namespace: now.pod.namespace, name: now.pod.name, uid: now.pod.uid } })
  }

  const latest = new Map<string, Fact>()
  for (const { fact } of story.deliveries.filter(listed)) {
    if (fact.type === 'Event') latest.set(fact.event.uid, { ...fact, arrivedAt, listed: true })
    if (fact.type === 'Endpoint') latest.set(`${fact.service}/${fact.slice}`, { ...fact, arrivedAt, listed: true, ...since })
  }
  return [...left, ...latest.values()]
}

/**
 * The facts without one of them. An Event can be lost alone; a version of an object cannot: there was a gap then, and the next
 * version of it came with a list, as did that of every other slice (which is unseenBetween). What stood in the slices long before
 * comes as a whole, so it is not lost.
 */
export function without(facts: readonly Fact[], lost: Fact): Fact[] {
  const left = facts.filter((fact) => fact !== lost)
  if (lost.type === 'Pod') {
    const next = left.find((fact) => fact.type === 'Pod' && after(fact.pod.resourceVersion, lost.pod.resourceVersion))
    return left.flatMap((fact) =>
      fact !== next || fact.type !== 'Pod' || fact.change === 'Deleted'
        ? [fact]
        : [{ ...fact, change: 'Listed' as const }, gap('Pod', lost.arrivedAt, fact.arrivedAt)],
    )
  }
  if (lost.type === 'Endpoint') {
    const slices = new Set(
      facts.flatMap((fact) => (fact.type === 'Endpoint' && fact.service === lost.service ? [fact.slice] : [])),
    )
    if (lost.arrivedAt === 0 || slices.size > 1) return [...facts]
    const next = left.find(
      (fact) => fact.type === 'Endpoint' && fact.slice === lost.slice && after(fact.sliceVersion, lost.sliceVersion),
    )
    return left.flatMap((fact) =>
      fact !== next || fact.type !== 'Endpoint'
        ? [fact]
        : [{ ...fact, listed: true }, gap('EndpointSlice', lost.arrivedAt, fact.arrivedAt)],
    )
  }
  return left
}

const after = (version: string, other: string): boolean => Number(version) > Number(other)
const gap = (resource: 'Pod' | 'EndpointSlice', seenUntil: Micros, to: Micros): Fact => ({
  type: 'Gap',
  resource,
  from: seenUntil - DELIVERY,
  to,
  reason: 'the watch was cut',
})
