/**
 * What really happened, by the test's own hand and clock: each pod that it ended, when it wrote what, and what a record may and must
 * say of it. Nothing in here comes from the product.
 */
import type { Cause, MarkType, Outcome } from '../../src/api/pod-termination.ts'
import type { NodeClock } from '../apiserver/recorder/kubelet.ts'
import type { Interval } from '../e2e/truth/interval.ts'
import type { TruthMark } from '../e2e/truth/truth.ts'

export interface Expected {
  /** None: no termination, or one that nobody stopped and that succeeded. */
  readonly records: 'One' | 'None'
  readonly outcome?: Outcome
  readonly cause?: Cause
  readonly code?: number
}

export class Entry {
  readonly story: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly marks: TruthMark[] = []
  expected: Expected
  /** The kubelet's Event of its end stands in the API. */
  killingTold = false
  /** The object is gone. */
  removed = false
  /** Made while a fault lasted: where changes were lost, no replica ever saw it alive. */
  bornUnseen = false
  /** A record of it stood when the last replica died; set then. */
  recordedAtDeath: boolean | undefined
  /** It ended and went while nobody watched, and the API kept no trace of it. A record is welcome and not asked for. */
  traceless = false
  /** Nobody saw how it ended, so that an end without a termination cannot be told from one. */
  unseen = false
  /** Its record was right. Then its namespace went, with the record. */
  settled = false
  readonly #clock: NodeClock

  constructor(
    story: string,
    pod: { readonly namespace: string; readonly name: string; readonly uid: string },
    expected: Expected,
    clock: NodeClock,
  ) {
    this.story = story
    this.namespace = pod.namespace
    this.name = pod.name
    this.uid = pod.uid
    this.expected = expected
    this.#clock = clock
  }

  /** Does something to the pod: it happened while the call was under way. */
  async did<T>(what: readonly MarkType[], act: () => Promise<T>, container?: string): Promise<T> {
    const earliest = micros()
    const result = await act()
    this.happened(what, { earliest, latest: micros() + 1000 }, container)
    return result
  }

  happened(what: readonly MarkType[], { earliest, latest }: Interval, container?: string): void {
    for (const mark of what)
      this.marks.push({ mark, earliest, latest, source: 'api', ...(container === undefined ? {} : { container }) })
  }

  /** When the first of these began; undefined where none did. */
  when(mark: MarkType): Interval | undefined {
    return this.marks.find((it) => it.mark === mark)
  }

  /** What its node's clock has shown in the span. */
  onNode({ earliest, latest }: Interval): Interval {
    const ahead = this.#clock.ahead * 1000
    return { earliest: earliest + ahead, latest: latest + ahead }
  }

  /** By more than a record need not tell. */
  clockIs(way: 'Ahead' | 'Behind'): boolean {
    return way === 'Ahead' ? this.#clock.ahead > 1000 : this.#clock.ahead < -1000
  }

  toString(): string {
    return `${this.namespace}/${this.name} (${this.story}, ${this.uid.slice(0, 8)})`
  }
}

/** The wall clock has whole milliseconds: the true time is at most one later. */
export const micros = (): number => Date.now() * 1000

export class Ledger {
  readonly #entries = new Map<string, Entry>()

  add(entry: Entry): Entry {
    this.#entries.set(entry.uid, entry)
    return entry
  }

  get(uid: string): Entry | undefined {
    return this.#entries.get(uid)
  }

  get all(): readonly Entry[] {
    return [...this.#entries.values()]
  }

  get namespaces(): ReadonlySet<string> {
    return new Set(this.all.map(({ namespace }) => namespace))
  }

  get open(): readonly Entry[] {
    return this.all.filter(({ settled }) => !settled)
  }

  /** What is open has been looked at. */
  settle(): void {
    for (const entry of this.open) entry.settled = true
  }

  /** The last replica has died. @param recorded UIDs of the pods of which a record stands now */
  died(recorded: ReadonlySet<string>): void {
    for (const entry of this.open) entry.recordedAtDeath = recorded.has(entry.uid)
  }

  /** A replica watches again, which knows only what the API tells; the caller has removed no pod since it was started. */
  watchedAgain(): void {
    for (const entry of this.open) {
      if (entry.removed && !entry.killingTold && entry.recordedAtDeath !== true) entry.traceless = true
      entry.recordedAtDeath = undefined
    }
  }

  /** Changes were lost to replicas that lived on: what they had seen before is missed by them, and what they had not is not. */
  lostChanges(during: readonly Entry[]): void {
    for (const entry of during) {
      entry.unseen = true
      if (entry.bornUnseen && entry.removed && !entry.killingTold) entry.traceless = true
    }
  }
}
