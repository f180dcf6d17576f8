/** One termination while it is followed: its facts, and what has been written of it. */
import type { PodTermination } from '../../api/pod-termination.ts'
import type { ClockFact, Fact, KernelFact, PodSnapshot } from '../../core/evidence.ts'
import type { Micros } from '../../core/time.ts'
import type { Refused } from '../../kube/refusal.ts'

/** Enough for a pod of 200 containers; a pod that changes more often keeps its first and its latest facts. */
const MAX_FACTS = 1200
const KEEP_FIRST = 400

export interface WrittenState {
  readonly state: PodTermination['state']
  /** Of the record, to see whether later facts change it; empty where somebody else wrote it. */
  readonly digest: string
}

export class Tracker {
  readonly uid: string
  readonly namespace: string
  /** When it was taken up, on the recorder's clock. */
  readonly since: Micros
  readonly facts: Fact[] = []
  pod: PodSnapshot | undefined
  /** What an agent has measured so far; stands among the facts. */
  kernel: KernelFact | undefined
  written: WrittenState | undefined
  /** A record of it with a state stands in the API, whoever wrote it. */
  stands = false
  nodeAsked = false
  /** It is past its deadline and not over, by when it was looked at last on the leader; whether the record can say so or not. */
  overdue = false
  /** Of which warnings Kubernetes Events have told. */
  readonly told = new Set<string>()
  /** When the fact arrived that ended it. */
  overAt: Micros | undefined
  /** Its object is not there any more. Before that it can be over: a finalizer keeps a pod whose containers have all ended. */
  gone = false
  /** What was known of the clocks when Complete was written: that it is known better later is no new fact. */
  clocks: readonly ClockFact[] | undefined
  /** When Complete was first written. */
  completedAt: Micros | undefined
  /** When it is looked at next after that. */
  lingersTo: Micros = 0
  /** The node's agent had not said all when Complete was written. */
  agentOwes = false
  /** Facts have come since then. */
  changed = false
  /** A record of this pod may be there that another leader or an earlier run wrote. */
  mayExist: boolean
  /** It was over before the high-water mark, so it has been dealt with: where no record is found, it got none, or somebody has deleted it. */
  recordedBefore = false
  /** State in which a write was refused last; notBefore: when it may be tried again. */
  refusedIn: PodTermination['state']
  /** The last refusal. */
  refusal: Refused | undefined
  /** How many writes were refused in that state. */
  refusals = 0
  notBefore: Micros = 0
  /** The record stands in Gracewatch's own namespace. */
  elsewhere = false
  fullName = false
  /** The settings do not keep it, by what was known when it was over. */
  leftOut = false
  /** Nothing more is to be written: refused for good, or another's matter. */
  closed = false
  warned = false
  dropped = 0

  constructor(uid: string, namespace: string, since: Micros, mayExist: boolean) {
    this.uid = uid
    this.namespace = namespace
    this.since = since
    this.mayExist = mayExist
  }

  /** Another leader, or an earlier run, had completed its record, or had left it out. */
  get dealtWith(): boolean {
    if (this.written?.state === 'Complete' && this.written.digest === '') return true
    return this.recordedBefore && !this.stands && (this.closed || this.leftOut)
  }

  add(fact: Fact): void {
    if (this.facts.length >= MAX_FACTS) {
      this.facts.splice(KEEP_FIRST, 1)
      this.dropped++
    }
    this.facts.push(fact)
    if (fact.type === 'Pod') this.pod = fact.pod
  }

  /** Puts it in the place of the one before. @returns whether it says anything else than that one */
  measured(fact: KernelFact): boolean {
    const before = this.kernel
    if (before !== undefined && JSON.stringify(before.kernel) === JSON.stringify(fact.kernel)) return false
    this.kernel = fact
    const index = before === undefined ? -1 : this.facts.indexOf(before)
    if (index < 0) this.add(fact)
    else this.facts[index] = fact
    return true
  }
}
