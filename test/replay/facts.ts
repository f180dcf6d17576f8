import { EvidenceStore } from '../../src/controllers/recorder/evidence-store.ts'
import type { EndpointSliceSnapshot, Fact, PodSnapshot } from '../../src/core/evidence.ts'
import { MILLISECOND, type Micros, SECOND } from '../../src/core/time.ts'
import { decodeEndpointSlice } from '../../src/kube/decode/endpoint-slice.ts'
import { decodeEvent } from '../../src/kube/decode/event.ts'
import { decodePod } from '../../src/kube/decode/pod.ts'
import type { Change } from '../../src/kube/reflector-types.ts'
import type { Fixture, FixtureLine } from './fixture.ts'

const CHANGES = { ADDED: 'Added', MODIFIED: 'Modified', DELETED: 'Deleted' } as const
const RELIST: Micros = 5 * MILLISECOND
/** As the reflector has it: a line that arrives answers for the time up to a second before, since the server can be that slow. */
const SERVER_LAG: Micros = SECOND

/**
 * What the recorder has learnt of the other clocks by the API server's answers and by earlier terminations on the node. The clocks
 * of the fixtures are one, so this is true of them.
 */
export const CLOCKS: readonly Fact[] = (['APIServer', 'Node'] as const).map((clock) => ({
  type: 'Clock',
  clock,
  earliest: -300 * MILLISECOND,
  latest: 300 * MILLISECOND,
}))

/** Turns the lines of one fixture into facts as the product does: its decoders, and its reading of EndpointSlices. */
class Replay {
  readonly #fixture: Fixture
  readonly #slices = new Map<string, EndpointSliceSnapshot>()
  readonly #store = new EvidenceStore((uid) => this.#slices.get(uid))
  readonly #events = new Map<string, string>()
  #pod: PodSnapshot | undefined
  #complete: Micros | undefined

  constructor(fixture: Fixture) {
    this.#fixture = fixture
  }

  take({ resource, type, arrivedAt, object }: FixtureLine): Fact[] {
    const change = CHANGES[type]
    this.#complete = arrivedAt - SERVER_LAG
    if (resource === 'pods') {
      this.#pod = decodePod(object)
      return [{ type: 'Pod', change, arrivedAt, pod: this.#pod }]
    }
    if (resource === 'events') {
      const event = decodeEvent(object)
      if (event === undefined) return []
      this.#events.set(event.uid, event.resourceVersion)
      return [{ type: 'Event', arrivedAt, listed: false, event }]
    }
    return this.#slice({ type: change, object: decodeEndpointSlice(object), arrivedAt })
  }

  /** What a new list tells after `unseen` went by unwatched. */
  relist(unseen: readonly FixtureLine[]): { facts: Fact[]; arrivedAt: Micros } {
    const arrivedAt = (unseen.at(-1)?.arrivedAt ?? 0) + RELIST
    const since = this.#complete
    const after = since === undefined ? {} : { since }
    const facts: Fact[] = []
    if (since !== undefined) {
      for (const resource of ['Pod', 'Event', 'EndpointSlice'] as const) {
        facts.push({ type: 'Gap', resource, from: since, to: arrivedAt, reason: 'the watch was cut' })
      }
    }
    const pods = unseen.filter(({ resource }) => resource === 'pods')
    const last = pods.at(-1)
    if (last?.type === 'DELETED') {
      if (this.#pod === undefined) facts.push({ type: 'Absent', arrivedAt, pod: this.#fixture.truth.pod })
      else facts.push({ type: 'Pod', change: 'Vanished', arrivedAt, ...after, pod: this.#pod })
    } else if (last !== undefined) {
      this.#pod = decodePod(last.object)
      facts.push({ type: 'Pod', change: 'Listed', arrivedAt, ...after, pod: this.#pod })
    }
    for (const { object } of unseen.filter(({ resource }) => resource === 'events')) {
      const event = decodeEvent(object)
      const newest = unseen.findLast((line) => line.resource === 'events' && line.object.metadata.uid === event?.uid)
      if (event === undefined || newest?.object !== object) continue
      facts.push({ type: 'Event', arrivedAt, listed: true, event })
    }
    const slices = new Map(
      unseen.filter(({ resource }) => resource === 'endpointslices').map((it) => [it.object.metadata.uid, it]),
    )
    for (const { type, object } of slices.values()) {
      const slice = decodeEndpointSlice(object)
      const known = this.#slices.get(slice.uid)
      if (type !== 'DELETED') facts.push(...this.#slice({ type: 'Listed', object: slice, arrivedAt, ...after }))
      else if (known !== undefined) facts.push(...this.#slice({ type: 'Vanished', object: known, arrivedAt, ...after }))
    }
    this.#complete = arrivedAt
    return { facts, arrivedAt }
  }

  #slice(change: Change<EndpointSliceSnapshot>): Fact[] {
    const previous = this.#slices.get(change.object.uid)
    const found = this.#store.endpointFacts(previous === undefined ? change : { ...change, previous })
    this.#slices.set(change.object.uid, change.object)
    return found.filter(({ uid }) => uid === this.#fixture.uid).map(({ fact }) => fact)
  }
}

/** The facts of a recorded termination; the n-th element holds those of the n-th line. */
export function factsByLine(fixture: Fixture): Fact[][] {
  const replay = new Replay(fixture)
  return fixture.lines.map((line) => replay.take(line))
}

/** The facts that are left when the lines from `from` to before `to` came while nobody watched, and a new list followed. */
export function factsWithGap(fixture: Fixture, from: number, to: number): Fact[] {
  const replay = new Replay(fixture)
  const before = fixture.lines.slice(0, from).flatMap((line) => replay.take(line))
  const { facts, arrivedAt } = replay.relist(fixture.lines.slice(from, to))
  // What came right behind the unseen lines comes behind the list.
  const after = fixture.lines
    .slice(to)
    .flatMap((line) => replay.take({ ...line, arrivedAt: Math.max(line.arrivedAt, arrivedAt + 1) }))
  return [...before, ...facts, ...after]
}
