/**
 * The rollout brake at run time: it knows the pods of a workload, their revisions and how they have been ending, lets the core decide,
 * and keeps what it holds on the gate, so that it outlives the controller.
 */
import type { GateStatus, HandoverCheck, StoredHold } from '../../../api/pod-readiness-gate.ts'
import type { PodTermination } from '../../../api/pod-termination.ts'
import type { PodSnapshot, Workload } from '../../../core/evidence.ts'
import { conditionOf } from '../../../core/gates/decide.ts'
import { HANDED_OVER, handover, rulesOf } from '../../../core/gates/handover.ts'
import { cut, wholeSeconds } from '../../../core/gates/text.ts'
import type { CheckResult, Condition, Gate, GatePod, Hold } from '../../../core/gates/types.ts'
import { overdueSlack } from '../../../core/termination/stuck.ts'
import { type Micros, parseTime, SECOND } from '../../../core/time.ts'
import type { RecordClient } from '../../../kube/apply.ts'
import type { RecorderClock } from '../../../kube/clock.ts'
import { type EventWriter, eventName } from '../../../kube/events.ts'
import type { KubeHttp } from '../../../kube/http.ts'
import type { Log } from '../../../kube/log.ts'
import type { Change } from '../../../kube/reflector-types.ts'
import type { WorkloadResolver } from '../../recorder/workloads.ts'
import type { Brake } from '../gatekeeper.ts'
import { Ends } from './ends.ts'
import { Members, revisionOf } from './members.ts'
import { Releases } from './releases.ts'
import { Revisions } from './revisions.ts'

/** As for a pod with a few sidecars: the record's own bound is not known before it is written. */
const SLACK: Micros = overdueSlack(2)
/** What could not be read is tried again after this. */
const AGAIN: Micros = 5 * SECOND
const MAX_EVENT = 1024
const MAX_UNREAD = 10_000

export interface HandoverBrakeOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
  readonly serverNow: () => Micros
  readonly pods: () => Iterable<PodSnapshot>
  readonly workloads: WorkloadResolver
  readonly records: Pick<RecordClient, 'list'>
  /** Absent: no Kubernetes Events. */
  readonly events: EventWriter | undefined
  readonly changed: { readonly pod: (uid: string) => void; readonly gate: (uid: string) => void }
}

interface Kept extends Hold {
  readonly until?: Micros
  readonly message?: string
  /** Pods that wait. */
  readonly waiting: Set<string>
}

type Named = Workload & { readonly uid: string }

export class HandoverBrake implements Brake {
  readonly #options: HandoverBrakeOptions
  readonly #members: Members
  readonly #revisions: Revisions
  readonly #ends: Ends
  readonly #releases: Releases
  /** Gate UID -> workload UID -> what it holds. */
  readonly #holds = new Map<string, Map<string, Kept>>()
  /** Workload UID -> pods that have asked. */
  readonly #asked = new Map<string, Set<string>>()
  /** Pod UID -> gates that have let it in: should another check take it out meanwhile, it is not the brake that keeps it out. */
  readonly #letIn = new Map<string, Set<string>>()
  /** UIDs of owners that could not be read. */
  readonly #unread = new Set<string>()
  /** By then the recorder has told how those ended that went while nobody led: of their pods and records nothing need be left to see. */
  readonly #caughtUpAt: Micros

  constructor(options: HandoverBrakeOptions) {
    this.#options = options
    this.#caughtUpAt = options.serverNow() + SLACK
    const again = (workloadUid: string) => this.#lookAgain(workloadUid)
    this.#members = new Members({
      pods: options.pods,
      workloadOf: (pod) => options.workloads.known(pod).uid ?? pod.uid,
      settled: (pod) => options.workloads.settled(pod),
      now: options.serverNow,
      overdueSlack: SLACK,
    })
    this.#revisions = new Revisions(options.http, again)
    this.#ends = new Ends(options.records, again)
    this.#releases = new Releases(options, again)
  }

  result(gate: Gate, check: HandoverCheck, pod: GatePod, now: Micros): CheckResult {
    const { workloads } = this.#options
    this.#members.follow(pod.namespace)
    const current = conditionOf(pod, gate.spec.conditionType)
    if (current?.status === 'True' || this.#letIn.get(pod.uid)?.has(gate.uid) === true) {
      this.#noteLetIn(pod.uid, gate.uid)
      const before = this.#held(gate).get(workloads.known(pod).uid ?? '')
      // It is not looked at again with each change of the workload, which can have thousands like it.
      this.#unask(workloads.known(pod).uid ?? '', pod.uid)
      if (before?.waiting.delete(pod.uid)) this.#options.changed.gate(gate.uid)
      return HANDED_OVER
    }
    const open = this.#unsettled(pod, () => this.#options.changed.pod(pod.uid))
    if (open === 'Pending') return pending('what the pods of the namespace belong to is being looked up', now)
    if (open !== undefined)
      return {
        state: 'Unknown',
        reason: 'WorkloadUnknown',
        message: `${open} cannot be read: what it belongs to is not known`,
        recheckAt: now + AGAIN,
      }
    const workload = workloads.known(pod)
    const { uid } = workload
    if (uid === undefined || pod.owner === undefined)
      return { state: 'Pass', reason: 'NoWorkload', message: 'the pod belongs to no workload that could roll out' }
    return this.#ask(gate, check, pod, current, { ...workload, uid }, now)
  }

  #ask(
    gate: Gate,
    check: HandoverCheck,
    pod: GatePod,
    current: Condition | undefined,
    workload: Named,
    now: Micros,
  ): CheckResult {
    const before = this.#held(gate).get(workload.uid)
    this.#note(workload.uid, pod.uid)
    const revision = revisionOf({ gate: pod, ...pod })
    const members = this.#members.of(pod.namespace, workload.uid)
    // Records are read for a rollout alone: where there is one revision, nothing depends on them.
    const rolls = members.some((member) => member.revision !== revision && member.finished !== true)
    const ends = rolls ? this.#ends.of(pod.namespace, workload) : { ended: [] }
    const known = new Set('ended' in ends ? ends.ended.map(({ uid }) => uid) : [])
    const pods = members.map((member) => (known.has(member.uid) ? { ...member, verdict: true as const } : member))
    const order = this.#revisions.of(workload.uid, pods)
    // Read only where it matters: while a hold is there, or would begin.
    const release = before === undefined || before.released !== undefined ? undefined : this.#releases.of(pod.namespace, workload)
    const input = {
      rules: rulesOf(check),
      namespace: pod.namespace,
      uid: pod.uid,
      revision,
      current,
      containersReady: pod.containersReady === true,
      hold: before,
      now,
      overdueSlack: SLACK,
    }
    const facts = {
      workload,
      pods,
      ...('ranks' in order ? { revisions: order.ranks } : { revisionsProblem: order.problem }),
      ...('ended' in ends ? { ended: ends.ended } : { endedProblem: ends.problem }),
    }
    const answer = (value?: string) => handover({ ...input, facts: value === undefined ? facts : { ...facts, release: value } })
    let { result, hold } = answer(release?.value)
    if (result.state === 'Unknown') {
      const waits = ('pending' in order && order.pending) || ('pending' in ends && ends.pending)
      return waits ? pending(result.message, now) : { ...result, recheckAt: now + AGAIN }
    }
    if (result.reason === 'RolloutHeld' && release === undefined && before?.released === undefined) {
      const found = this.#releases.of(pod.namespace, workload)
      // Until it is known what stands on the workload, nothing is kept: what was there before would release it.
      if (found === undefined) return result
      ;({ result, hold } = answer(found.value))
    }
    // It stays in, once it is let in. A hold that stands ends only then, too.
    if (result.reason === 'HandoverAllowed' && now < this.#caughtUpAt)
      return {
        ...pending('how pods ended while no controller was at work is being found out', now),
        recheckAt: this.#caughtUpAt,
      }
    this.#keep(gate, workload, before, hold, pod.uid, result)
    return result
  }

  /**
   * Whether what the pods belong to is known of all that may be of the same workload: a pod of an older revision whose ReplicaSet has not been
   * looked up would count for none. Looks up what is missing, and calls back when that has changed anything.
   *
   * @returns undefined: it is; a text: the owner that could not be read
   */
  #unsettled(pod: Pick<GatePod, 'namespace' | 'uid' | 'name' | 'owner'>, then: () => void): 'Pending' | string | undefined {
    const { workloads } = this.#options
    const others = this.#members.unsettled(pod.namespace).filter(({ owner }) => owner?.kind === pod.owner?.kind)
    const open = workloads.settled(pod) ? others : [pod, ...others]
    if (open.length === 0) return undefined
    const looked = open.map(async (it) => {
      await workloads.resolve(it)
      const uid = it.owner?.uid ?? ''
      if (workloads.settled(it)) return true
      // Told once; it is tried again when the pod is looked at again.
      const first = !this.#unread.has(uid)
      if (this.#unread.size >= MAX_UNREAD) this.#unread.clear()
      this.#unread.add(uid)
      return first
    })
    void Promise.all(looked).then((changes) => changes.some((change) => change) && then())
    const failed = open.find(({ owner }) => this.#unread.has(owner?.uid ?? ''))
    return failed === undefined ? 'Pending' : `${failed.owner?.kind} ${failed.owner?.name}`
  }

  forget(gateUid: string, podUid: string): void {
    // Another gate may have asked for it too: that it did ends with the pod.
    for (const hold of this.#holds.get(gateUid)?.values() ?? []) hold.waiting.delete(podUid)
  }

  /** A gate that goes, or has no brake any more, holds nothing, and nothing is watched for it. */
  changed(gate: Gate): void {
    if (gate.deletionTimestamp === undefined && gate.spec.checks.some((check) => check.handover !== undefined)) return
    for (const workloadUid of [...this.#held(gate).keys()]) this.#end(gate, workloadUid)
  }

  problems(): readonly string[] {
    return []
  }

  holds(gate: Gate): NonNullable<GateStatus['holds']> {
    const found: StoredHold[] = []
    for (const [workloadUid, hold] of this.#held(gate)) {
      const pods = this.#members.of(gate.namespace, workloadUid)
      // The rollout is over, one way or the other; which pods it has is known once all of them have been looked up.
      const known = this.#members.unsettled(gate.namespace).length === 0
      if (
        known &&
        (!pods.some(({ revision }) => revision === hold.revision) || pods.every(({ revision }) => revision === hold.revision))
      ) {
        this.#end(gate, workloadUid)
        continue
      }
      const { workload, revision, since, until, releaseSeen, released, message, waiting } = hold
      found.push({
        workload: {
          kind: workload.kind,
          name: workload.name,
          uid: workloadUid,
          ...(workload.apiVersion === undefined ? {} : { apiVersion: workload.apiVersion }),
        },
        revision,
        since: wholeSeconds(since),
        ...(until === undefined || released !== undefined ? {} : { until: wholeSeconds(until) }),
        pods: released === undefined ? waiting.size : 0,
        ...(message === undefined || released !== undefined ? {} : { message: cut(message, MAX_EVENT) }),
        ...(releaseSeen === undefined ? {} : { releaseSeen }),
        ...(released === undefined ? {} : { releasedAt: wholeSeconds(released.at), releasedBy: released.by }),
      })
    }
    return found
  }

  onPod(change: Change<PodSnapshot>): void {
    this.#members.onPod(change)
    const { uid, owner } = change.object
    if (change.type === 'Deleted' || change.type === 'Vanished') this.#letIn.delete(uid)
    if (owner === undefined) return
    const workloadUid = this.#options.workloads.known(change.object).uid
    if (workloadUid !== undefined && this.#asked.has(workloadUid)) this.#lookAgain(workloadUid, uid)
    if (change.type === 'Deleted' || change.type === 'Vanished') this.#unask(workloadUid ?? '', uid)
  }

  onVerdict(record: PodTermination): void {
    this.#members.verdict(record.pod.namespace, record.pod.uid)
    const asked = this.#ends.onVerdict(record)
    if (asked !== undefined) this.#lookAgain(asked)
  }

  stop(): Promise<void> {
    return this.#releases.stop()
  }

  #noteLetIn(podUid: string, gateUid: string): void {
    const gates = this.#letIn.get(podUid)
    if (gates === undefined) this.#letIn.set(podUid, new Set([gateUid]))
    else gates.add(gateUid)
  }

  #note(workloadUid: string, podUid: string): void {
    const asked = this.#asked.get(workloadUid)
    if (asked === undefined) this.#asked.set(workloadUid, new Set([podUid]))
    else asked.add(podUid)
  }

  #unask(workloadUid: string, podUid: string): void {
    const asked = this.#asked.get(workloadUid)
    if (asked?.delete(podUid) && asked.size === 0) this.#asked.delete(workloadUid)
  }

  #lookAgain(workloadUid: string, except?: string): void {
    for (const uid of this.#asked.get(workloadUid) ?? []) if (uid !== except) this.#options.changed.pod(uid)
  }

  /** What stands in its status where this controller has not held anything yet. */
  #held(gate: Gate): Map<string, Kept> {
    let held = this.#holds.get(gate.uid)
    if (held === undefined) {
      held = new Map((gate.status?.holds ?? []).flatMap((stored) => keptOf(stored)))
      this.#holds.set(gate.uid, held)
      if (held.size > 0) this.#members.follow(gate.namespace)
    }
    return held
  }

  #keep(
    gate: Gate,
    workload: Named,
    before: Kept | undefined,
    hold: Hold | undefined,
    podUid: string,
    { reason, message, recheckAt }: CheckResult,
  ): void {
    const held = this.#held(gate)
    const waits = reason === 'RolloutHeld'
    if (hold === undefined) {
      if (before !== undefined) this.#end(gate, workload.uid)
      return
    }
    const waiting = before?.revision === hold.revision ? before.waiting : new Set<string>()
    const size = waiting.size
    if (waits) waiting.add(podUid)
    else waiting.delete(podUid)
    const next: Kept = {
      ...hold,
      waiting,
      ...(waits ? { message, ...(recheckAt === undefined ? {} : { until: recheckAt }) } : pick(before)),
    }
    held.set(workload.uid, next)
    const begun = before?.revision !== hold.revision && hold.released === undefined
    const released = hold.released !== undefined && before?.released === undefined
    if (begun) this.#tell(gate, workload, next, 'Warning', 'RolloutHeld', message)
    if (released) {
      this.#releases.end(workload.uid)
      this.#tell(gate, workload, next, 'Normal', 'RolloutReleased', message)
      this.#lookAgain(workload.uid, podUid)
    }
    if (begun || released || waiting.size !== size || next.message !== before?.message) this.#options.changed.gate(gate.uid)
  }

  #end(gate: Gate, workloadUid: string): void {
    this.#held(gate).delete(workloadUid)
    const elsewhere = [...this.#holds.values()].some((held) => held.has(workloadUid))
    if (!elsewhere) this.#releases.end(workloadUid)
    this.#options.changed.gate(gate.uid)
  }

  /** A courtesy: the gate and the condition say the same. */
  #tell(gate: Gate, workload: Named, hold: Kept, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { events, log, serverNow } = this.#options
    log.info({ gate: `${gate.namespace}/${gate.name}`, workload: `${workload.kind} ${workload.name}`, reason }, message)
    if (events === undefined) return
    const now = serverNow()
    const { apiVersion = 'apps/v1', kind, name, uid } = workload
    void events
      .write({
        name: eventName(name, `${uid}/${gate.uid}/${reason}/${hold.revision}/${hold.since}`),
        object: { apiVersion, kind, name, uid, namespace: gate.namespace },
        type,
        reason,
        message: `gate ${gate.name}: ${message}`,
        count: 1,
        firstAt: now,
        lastAt: now,
      })
      .catch((error) => log.debug({ error: String(error), reason }, 'event not written'))
  }
}

const pending = (message: string, now: Micros): CheckResult => ({
  state: 'Unknown',
  reason: 'NotLookedAt',
  message,
  pending: true,
  // What is being read comes by itself; this is for a read that is lost.
  recheckAt: now + AGAIN,
})

const pick = (before: Kept | undefined) => ({
  ...(before?.message === undefined ? {} : { message: before.message }),
  ...(before?.until === undefined ? {} : { until: before.until }),
})

/** What cannot be read of a stored hold is as if it were not there: the next look finds what is to be held. */
function keptOf(stored: StoredHold): [string, Kept][] {
  const since = parseTime(stored.since)
  const until = parseTime(stored.until)
  const releasedAt = parseTime(stored.releasedAt)
  if (since === undefined) return []
  const { workload, revision, releaseSeen, message, releasedBy } = stored
  const kept: Kept = {
    workload: {
      kind: workload.kind,
      name: workload.name,
      uid: workload.uid,
      ...(workload.apiVersion === undefined ? {} : { apiVersion: workload.apiVersion }),
    },
    revision,
    since,
    waiting: new Set(),
    ...(until === undefined ? {} : { until }),
    ...(message === undefined ? {} : { message }),
    ...(releaseSeen === undefined ? {} : { releaseSeen }),
    ...(releasedAt === undefined || releasedBy === undefined ? {} : { released: { at: releasedAt, by: releasedBy } }),
  }
  return [[workload.uid, kept]]
}
