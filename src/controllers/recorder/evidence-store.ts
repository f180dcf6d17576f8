/**
 * Evidence about pods whose termination has not been seen yet: kubelet Events, endpoint changes and what an agent measured can arrive
 * before the pod's own change does. Everything here is bounded; what is dropped is counted.
 */
import type { EndpointFact, EndpointSliceSnapshot, EndpointState, EventFact, GapFact, KernelFact } from '../../core/evidence.ts'
import { type Micros, SECOND } from '../../core/time.ts'
import type { Change } from '../../kube/reflector-types.ts'

const KEEP_EVENTS: Micros = 600 * SECOND
const KEEP_ENDPOINTS: Micros = 60 * SECOND
const KEEP_KERNEL: Micros = 60 * SECOND
const MAX_EVENTS = 20_000
const MAX_ENDPOINT_FACTS = 20_000
const MAX_KERNEL_FACTS = 2000
const MAX_GAPS = 64

/** Facts by pod UID, forgotten after a time and, past a number, the oldest first. */
class RecentFacts<T> {
  readonly #byPod = new Map<string, T[]>()
  readonly #order: { uid: string; fact: T; addedAt: Micros }[] = []
  readonly #keep: Micros
  readonly #max: number
  #head = 0
  dropped = 0

  constructor(keep: Micros, max: number) {
    this.#keep = keep
    this.#max = max
  }

  add(uid: string, fact: T, addedAt: Micros): void {
    const list = this.#byPod.get(uid)
    if (list === undefined) this.#byPod.set(uid, [fact])
    else list.push(fact)
    this.#order.push({ uid, fact, addedAt })
    while (this.#order.length - this.#head > this.#max) if (this.#dropOldest()) this.dropped++
    this.expire(addedAt)
  }

  take(uid: string): readonly T[] {
    const found = this.#byPod.get(uid) ?? []
    this.#byPod.delete(uid)
    return found
  }

  peek(uid: string): readonly T[] {
    return this.#byPod.get(uid) ?? []
  }

  *entries(): Iterable<[string, readonly T[]]> {
    yield* this.#byPod
  }

  get size(): number {
    return this.#order.length - this.#head
  }

  expire(now: Micros): void {
    for (;;) {
      const oldest = this.#order[this.#head]
      if (oldest === undefined || now - oldest.addedAt < this.#keep) break
      this.#dropOldest()
    }
    if (this.#head > 1000 && this.#head * 2 > this.#order.length) {
      this.#order.splice(0, this.#head)
      this.#head = 0
    }
  }

  /** @returns whether it was still there: what was taken is with its tracker */
  #dropOldest(): boolean {
    const oldest = this.#order[this.#head]
    this.#head++
    if (oldest === undefined) return false
    const list = this.#byPod.get(oldest.uid)
    const index = list?.indexOf(oldest.fact) ?? -1
    if (list === undefined || index < 0) return false
    list.splice(index, 1)
    if (list.length === 0) this.#byPod.delete(oldest.uid)
    return true
  }
}

const sameState = (a: EndpointState, b: EndpointState): boolean =>
  a.ready === b.ready && a.serving === b.serving && a.terminating === b.terminating

export class EvidenceStore {
  readonly #events = new RecentFacts<EventFact>(KEEP_EVENTS, MAX_EVENTS)
  readonly #endpoints = new RecentFacts<EndpointFact>(KEEP_ENDPOINTS, MAX_ENDPOINT_FACTS)
  readonly #kernel = new RecentFacts<KernelFact>(KEEP_KERNEL, MAX_KERNEL_FACTS)
  /** Slices that name a pod; the states themselves stand in the reflector's store. */
  readonly #slicesOf = new Map<string, Set<string>>()
  readonly #gaps: GapFact[] = []
  readonly #slice: (uid: string) => EndpointSliceSnapshot | undefined

  /** @param slice current slice by its UID */
  constructor(slice: (uid: string) => EndpointSliceSnapshot | undefined) {
    this.#slice = slice
  }

  get dropped(): { events: number; endpoints: number; kernel: number } {
    return { events: this.#events.dropped, endpoints: this.#endpoints.dropped, kernel: this.#kernel.dropped }
  }

  addEvent(fact: EventFact): void {
    this.#events.add(fact.event.pod.uid, fact, fact.arrivedAt)
  }

  addKernel(uid: string, fact: KernelFact): void {
    this.#kernel.add(uid, fact, fact.arrivedAt)
  }

  /** The last that an agent said of a pod; taken out of here. */
  takeKernel(uid: string): KernelFact | undefined {
    return this.#kernel.take(uid).at(-1)
  }

  addGap(gap: GapFact): void {
    this.#gaps.push(gap)
    if (this.#gaps.length > MAX_GAPS) this.#gaps.shift()
  }

  /** What a change of a slice says of each pod in it; facts that say nothing new are left out. */
  endpointFacts(change: Change<EndpointSliceSnapshot>): { uid: string; fact: EndpointFact }[] {
    const { object, previous } = change
    const service = object.service ?? previous?.service
    if (service === undefined) return []
    this.#endpoints.expire(change.arrivedAt)
    // The state before the first change has to be known too, or the change itself says nothing.
    const unknown = (podUid: string) => !this.#endpoints.peek(podUid).some(({ slice }) => slice === object.uid)
    const gone = change.type === 'Deleted' || change.type === 'Vanished'
    const before = new Map((previous?.endpoints ?? []).map((endpoint) => [endpoint.podUid, endpoint]))
    const found: { uid: string; fact: EndpointFact }[] = []
    const base = {
      type: 'Endpoint' as const,
      arrivedAt: change.arrivedAt,
      listed: change.type === 'Listed' || change.type === 'Vanished',
      ...(change.since === undefined ? {} : { since: change.since }),
      service,
      slice: object.uid,
      sliceVersion: object.resourceVersion,
    }
    for (const endpoint of gone ? [] : object.endpoints) {
      const known = before.get(endpoint.podUid)
      before.delete(endpoint.podUid)
      if (known === undefined) this.#link(endpoint.podUid, object.uid)
      else if (sameState(known, endpoint)) continue
      const { ready, serving, terminating } = endpoint
      found.push({ uid: endpoint.podUid, fact: { ...base, present: true, ready, serving, terminating } })
      if (known !== undefined && previous !== undefined && unknown(endpoint.podUid)) {
        found.splice(-1, 0, { uid: endpoint.podUid, fact: this.#stateBefore(previous, known, service) })
      }
    }
    // With a delete the slice's last endpoints are gone as well, whether or not its previous version was known.
    if (gone && previous === undefined) for (const endpoint of object.endpoints) before.set(endpoint.podUid, endpoint)
    for (const [uid, endpoint] of before) {
      this.#unlink(uid, object.uid)
      if (previous !== undefined && unknown(uid)) {
        found.push({ uid, fact: this.#stateBefore(previous, endpoint, service) })
      }
      found.push({ uid, fact: { ...base, present: false, ready: false, serving: false, terminating: false } })
    }
    return found
  }

  addEndpoint(uid: string, fact: EndpointFact, arrivedAt: Micros): void {
    this.#endpoints.add(uid, fact, arrivedAt)
  }

  /** All that is known of a pod, taken out of here: its tracker keeps it from now on. */
  take(uid: string): (EventFact | EndpointFact)[] {
    const recent = this.#endpoints.take(uid)
    const changed = new Set(recent.map((fact) => fact.slice))
    const standing: EndpointFact[] = []
    for (const sliceUid of this.#slicesOf.get(uid) ?? []) {
      if (changed.has(sliceUid)) continue
      const slice = this.#slice(sliceUid)
      const endpoint = slice?.endpoints.find((item) => item.podUid === uid)
      if (slice?.service === undefined || endpoint === undefined) continue
      standing.push(this.#stateBefore(slice, endpoint, slice.service))
    }
    return [...this.#events.take(uid), ...standing, ...recent]
  }

  /** Pods that kubelet Events name, with these Events. */
  eventsByPod(): Iterable<[string, readonly EventFact[]]> {
    return this.#events.entries()
  }

  /** Gaps that reach into the time from `from` on. */
  gapsSince(from: Micros): GapFact[] {
    return this.#gaps.filter((gap) => gap.to >= from)
  }

  /** A state that has stood for some time: when it arrived no longer matters, only that it was before. */
  #stateBefore(slice: EndpointSliceSnapshot, endpoint: EndpointState, service: string): EndpointFact {
    const { ready, serving, terminating } = endpoint
    return {
      type: 'Endpoint',
      arrivedAt: 0,
      listed: true,
      service,
      slice: slice.uid,
      sliceVersion: slice.resourceVersion,
      present: true,
      ready,
      serving,
      terminating,
    }
  }

  #link(podUid: string, sliceUid: string): void {
    const slices = this.#slicesOf.get(podUid)
    if (slices === undefined) this.#slicesOf.set(podUid, new Set([sliceUid]))
    else slices.add(sliceUid)
  }

  #unlink(podUid: string, sliceUid: string): void {
    const slices = this.#slicesOf.get(podUid)
    slices?.delete(sliceUid)
    if (slices?.size === 0) this.#slicesOf.delete(podUid)
  }
}
