/**
 * Readiness gates as a part of the program: it gathers (gates, pods, what the checkers find), lets the core decide, and writes the one
 * condition. Only the leader acts; everybody watches, so that a new leader knows all at once.
 */
import type { GateStatus } from '../../api/pod-readiness-gate.ts'
import type { PodTermination } from '../../api/pod-termination.ts'
import type { EndpointSliceSnapshot, PodSnapshot } from '../../core/evidence.ts'
import { actingOn, selects } from '../../core/gates/acting.ts'
import { annotationResult } from '../../core/gates/checks.ts'
import { conditionPatch } from '../../core/gates/condition-patch.ts'
import { type CheckedResult, conditionOf, decide, earliest } from '../../core/gates/decide.ts'
import { sameStatus, statusOf } from '../../core/gates/gate-status.ts'
import { selectorProblem } from '../../core/gates/selector.ts'
import type { CheckKind, CheckResult, Gate, GatePod, Verdict } from '../../core/gates/types.ts'
import { MILLISECOND, type Micros, parseTime } from '../../core/time.ts'
import { KubeError } from '../../kube/errors.ts'
import type { GateObjects } from '../../kube/gate-objects.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { Controller } from '../../kube/operator.ts'
import { patchCondition } from '../../kube/pod-status.ts'
import type { Change } from '../../kube/reflector-types.ts'
import { RateLimit } from '../rate-limit.ts'
import type { RecorderObserver } from '../recorder/observer.ts'
import { WorkQueue } from '../work-queue.ts'
import type { Checker } from './checker.ts'
import { GatePods, isOver } from './gate-pods.ts'
import { Injection } from './injection.ts'

/** Patches under way at the same time. */
const CONCURRENCY = 8
/** A gate's status is written no more often than this. */
const STATUS_EVERY_MS = 1000
/** A pod whose write was refused is looked at again when it changes, or after this. */
const REFUSED_MS = 300_000
const MAX_PROBLEMS = 16

/** A check by its kind: each checker takes the kind of check that its name says. */
export type Checkers = { readonly [K in Exclude<CheckKind, 'annotation'>]?: Checker<Check<K>> }
type Spec = Gate['spec']['checks'][number]
type Check<K extends CheckKind> = NonNullable<Spec[K]>

/** Of the brake, beside what every checker has. */
export interface Brake extends Checker<Check<'handover'>> {
  onVerdict(record: PodTermination): void
  /** What the gate holds, for its status. */
  holds(gate: Gate): NonNullable<GateStatus['holds']>
}

export interface GatekeeperOptions {
  readonly http: KubeHttp
  readonly log: Log
  readonly gates: GateObjects
  /** See RecorderController.serverNow. */
  readonly serverNow: () => Micros
  readonly isLeader: () => boolean
  readonly guard: () => AbortSignal
  readonly patchesPerSecond: number
  /** A pod that the gate had held back is let in; `held`: for how long its condition was not True. */
  readonly onReleased?: (gate: Gate, held: Micros) => void
  /** Made with what tells that an answer may be another one: of a pod, or of the gate as a whole. */
  readonly checkers: (changed: { readonly pod: (uid: string) => void; readonly gate: (uid: string) => void }) => Omit<
    Checkers,
    'handover'
  > & {
    readonly handover?: Brake
    /** Those that also want to hear of EndpointSlices or pods. */
    readonly observers?: readonly Partial<Pick<RecorderObserver, 'onPod' | 'onEndpointSlice'>>[]
  }
}

export interface GatekeeperStats {
  readonly gates: number
  readonly unreadable: number
  readonly patched: number
  readonly refused: number
  readonly gone: number
  readonly statusWrites: number
  readonly queues: Readonly<Record<'gate_pods' | 'gates', { readonly depth: number; readonly backlog: number }>>
}

/** What was last done of a pod for one condition: when it leaves every gate, it is let go. */
interface Managed {
  readonly onDelete: Gate['spec']['onDelete']
}

export class Gatekeeper implements Controller, RecorderObserver {
  readonly name = 'gatekeeper'
  readonly #options: GatekeeperOptions
  readonly #pods = new GatePods()
  /** By namespace and UID. */
  readonly #gates = new Map<string, Map<string, Gate>>()
  readonly #namespaceOf = new Map<string, string>()
  readonly #unreadable = new Set<string>()
  readonly #podQueue: WorkQueue
  readonly #gateQueue: WorkQueue
  readonly #limit: RateLimit
  readonly #injection: Injection
  /** While it leads: a standby asks nobody anything. */
  #checkers: ReturnType<GatekeeperOptions['checkers']> | undefined
  /** Pod UID -> condition type. */
  readonly #managed = new Map<string, Map<string, Managed>>()
  /** Gate UID -> sentences on writes that were refused, by pod. */
  readonly #refusals = new Map<string, Map<string, string>>()
  /** Gate UID -> when its status may be written again, by performance.now(). */
  readonly #statusAt = new Map<string, number>()
  #patched = 0
  #refused = 0
  #gone = 0
  #statusWrites = 0

  constructor(options: GatekeeperOptions) {
    this.#options = options
    const { log } = options
    this.#limit = new RateLimit(options.patchesPerSecond)
    this.#injection = new Injection(options.http, log)
    this.#podQueue = new WorkQueue({
      concurrency: CONCURRENCY,
      groupOf: (key) => key.slice(0, key.indexOf('/')),
      worker: (key) => this.#attend(key),
      onError: (pod, error) => log.warn({ pod, error: String(error) }, 'condition not written yet, trying again'),
    })
    this.#gateQueue = new WorkQueue({
      concurrency: CONCURRENCY,
      worker: (uid) => this.#tend(uid),
      onError: (gate, error) => {
        // A newer version is on its way, and brings the gate back by itself.
        const level = error instanceof KubeError && error.code === 'Conflict' ? 'debug' : 'warn'
        log[level]({ gate, error: String(error) }, 'gate not brought up to date yet, trying again')
      },
    })
  }

  get stats(): GatekeeperStats {
    return {
      gates: this.#namespaceOf.size,
      unreadable: this.#unreadable.size,
      patched: this.#patched,
      refused: this.#refused,
      gone: this.#gone,
      statusWrites: this.#statusWrites,
      queues: {
        gate_pods: { depth: this.#podQueue.depth, backlog: this.#podQueue.backlog },
        gates: { depth: this.#gateQueue.depth, backlog: this.#gateQueue.backlog },
      },
    }
  }

  /** Each gate, and since when it has held the pod that it holds longest: one that would be Ready but for its gates. */
  *standing(): Generator<{ readonly gate: Gate; readonly holdingSince: Micros | undefined }> {
    for (const gates of this.#gates.values()) {
      for (const gate of gates.values()) {
        const since: Micros[] = []
        for (const pod of selectorProblem(gate.spec.selector) === undefined ? this.#pods.in(gate.namespace) : []) {
          if (pod.containersReady !== true || isOver(pod) || !selects(gate, pod)) continue
          const at = heldSince(pod, gate.spec.conditionType, gate)
          // Before that it would not have been Ready without the gate.
          if (at !== undefined) since.push(Math.max(at, parseTime(pod.containersReadySince) ?? at))
        }
        yield { gate, holdingSince: earliest(since) }
      }
    }
  }

  async start(): Promise<void> {
    const { gates, log } = this.#options
    await gates.watch({
      onGate: (gate) => {
        this.#unreadable.delete(gate.uid)
        this.#take(gate)
      },
      onGone: (uid) => {
        this.#unreadable.delete(uid)
        this.#forget(uid)
      },
      onUnreadable: ({ uid, namespace, name }, { field, message }) => {
        this.#unreadable.add(uid)
        this.#forget(uid)
        log.warn(
          { gate: `${namespace}/${name}`, field, problem: message },
          'gate cannot be read and has no effect: is its CRD of another version?',
        )
      },
    })
  }

  async stop(): Promise<void> {
    await Promise.all([this.#podQueue.stop(), this.#gateQueue.stop()])
    await this.#stopChecking()
    this.#options.log.info(this.stats, 'gatekeeper stopped')
  }

  onPod(change: Change<PodSnapshot>): void {
    const { object, type } = change
    const { namespace, uid } = object
    const before = this.#pods.onPod(change)
    for (const observer of this.#checkers?.observers ?? []) observer.onPod?.(change)
    const now = this.#pods.get(namespace, uid)
    for (const gate of this.#gates.get(namespace)?.values() ?? []) {
      const selected = now !== undefined && selects(gate, now)
      if (!selected && (before === undefined || !selects(gate, before))) continue
      this.#gateQueue.add(gate.uid, { delayMs: STATUS_EVERY_MS / 4 })
      // Nobody is asked through a pod's grace period.
      if (!selected || isOver(now)) this.#forgetChecks(gate, uid)
    }
    if (type === 'Deleted' || type === 'Vanished') {
      this.#managed.delete(uid)
      this.#podQueue.forget(`${namespace}/${uid}`)
    } else if (now !== undefined && now.readinessGates.length > 0) this.#podQueue.add(`${namespace}/${uid}`)
  }

  onEndpointSlice(change: Change<EndpointSliceSnapshot>): void {
    for (const observer of this.#checkers?.observers ?? []) observer.onEndpointSlice?.(change)
  }

  onVerdict(record: PodTermination): void {
    this.#checkers?.handover?.onVerdict(record)
  }

  /** A new leader looks at everything; what is right is not written again. */
  onLeading(leading: boolean): void {
    if (!leading) {
      void this.#stopChecking()
      return
    }
    this.#checkers = this.#options.checkers({
      pod: (uid) => this.#lookAt(uid),
      gate: (uid) => this.#gateQueue.add(uid),
    })
    for (const uid of this.#namespaceOf.keys()) this.#gateQueue.add(uid)
    for (const pod of this.#pods.all()) if (pod.readinessGates.length > 0) this.#podQueue.add(`${pod.namespace}/${pod.uid}`)
  }

  async #stopChecking(): Promise<void> {
    const checkers = this.#every()
    this.#checkers = undefined
    await Promise.all(checkers.map((checker) => checker.stop()))
  }

  #every(): Pick<Checker<never>, 'forget' | 'changed' | 'problems' | 'stop'>[] {
    const { httpGet, condition, endpoints, handover } = this.#checkers ?? {}
    return [httpGet, condition, endpoints, handover].filter((checker) => checker !== undefined)
  }

  #gate(uid: string): Gate | undefined {
    return this.#gates.get(this.#namespaceOf.get(uid) ?? '')?.get(uid)
  }

  #take(gate: Gate): void {
    const { uid, namespace } = gate
    const before = this.#gate(uid)
    let gates = this.#gates.get(namespace)
    if (gates === undefined) {
      gates = new Map()
      this.#gates.set(namespace, gates)
    }
    gates.set(uid, gate)
    this.#namespaceOf.set(uid, namespace)
    this.#gateQueue.add(uid)
    const same =
      before !== undefined && before.generation === gate.generation && before.deletionTimestamp === gate.deletionTimestamp
    // Our own status writes come back too.
    if (same) return
    this.#refusals.delete(uid)
    for (const checker of this.#every()) checker.changed?.(gate)
    for (const pod of this.#pods.in(namespace)) {
      const selected = selects(gate, pod)
      if (before !== undefined && !selected) this.#forgetChecks(before, pod.uid)
      if (pod.readinessGates.includes(gate.spec.conditionType) && (selected || (before !== undefined && selects(before, pod))))
        this.#podQueue.add(`${namespace}/${pod.uid}`)
    }
    this.#tellOthers(gate)
  }

  #forget(uid: string): void {
    const gate = this.#gate(uid)
    if (gate === undefined) return
    const gates = this.#gates.get(gate.namespace)
    gates?.delete(uid)
    if (gates?.size === 0) this.#gates.delete(gate.namespace)
    this.#namespaceOf.delete(uid)
    this.#refusals.delete(uid)
    this.#statusAt.delete(uid)
    this.#gateQueue.forget(uid)
    for (const pod of this.#pods.in(gate.namespace)) {
      if (!selects(gate, pod)) continue
      this.#forgetChecks(gate, pod.uid)
      // Another gate may act from now on.
      if (pod.readinessGates.includes(gate.spec.conditionType)) this.#podQueue.add(`${gate.namespace}/${pod.uid}`)
    }
    this.#tellOthers(gate)
  }

  /** Those of the same condition, whose conflict may have come or gone. */
  #tellOthers({ uid, namespace, spec }: Gate): void {
    for (const other of this.#gates.get(namespace)?.values() ?? [])
      if (other.uid !== uid && other.spec.conditionType === spec.conditionType) this.#gateQueue.add(other.uid)
  }

  #forgetChecks(gate: Gate, podUid: string): void {
    for (const checker of this.#every()) checker.forget(gate.uid, podUid)
    this.#refusals.get(gate.uid)?.delete(podUid)
  }

  /** By its UID alone: what a checker knows of a pod. */
  #lookAt(podUid: string): void {
    for (const [namespace] of this.#gates) {
      if (this.#pods.get(namespace, podUid) === undefined) continue
      this.#podQueue.add(`${namespace}/${podUid}`)
      return
    }
  }

  /** Brings the conditions of one pod up to date. Throws KubeError for what may pass. */
  async #attend(key: string): Promise<void> {
    if (!this.#options.isLeader() || this.#checkers === undefined) return
    const slash = key.indexOf('/')
    const [namespace, uid] = [key.slice(0, slash), key.slice(slash + 1)]
    const pod = this.#pods.get(namespace, uid)
    if (pod === undefined || isOver(pod)) return
    const acting = actingOn(this.#gates.get(namespace)?.values() ?? [], pod)
    let recheckAt: Micros | undefined
    for (const type of new Set(pod.readinessGates)) {
      const { gate, others = [] } = acting.get(type) ?? {}
      // Nobody looks for a gate that stands back.
      for (const other of others) this.#forgetChecks(other, uid)
      const { verdict, lookAt } = gate === undefined ? { verdict: this.#released(pod, type) } : this.#verdictOf(gate, pod)
      recheckAt = earliest([recheckAt, lookAt])
      if (verdict !== undefined) await this.#write(pod, type, verdict, gate)
    }
    if (recheckAt !== undefined)
      this.#podQueue.add(key, { delayMs: Math.max(1, (recheckAt - this.#options.serverNow()) / MILLISECOND) })
  }

  /** No verdict: the condition stays as it is. `lookAt`: when to look again though nothing has changed. */
  #verdictOf(gate: Gate, pod: GatePod): { readonly verdict?: Verdict | undefined; readonly lookAt?: Micros | undefined } {
    if (gate.deletionTimestamp !== undefined) {
      if (gate.spec.onDelete === 'Leave') return {}
      return { verdict: { status: 'True', reason: 'GateDeleted', message: `the gate ${gate.name} was deleted` } }
    }
    this.#manage(pod, gate)
    const now = this.#options.serverNow()
    const results = gate.spec.checks.map((check) => this.#check(gate, check, pod, now))
    const verdict = decide(gate, pod, results, now)
    return { verdict, lookAt: verdict === undefined ? earliest(results.map((result) => result.recheckAt)) : verdict.recheckAt }
  }

  #check(gate: Gate, check: Spec, pod: GatePod, now: Micros): CheckedResult {
    const { httpGet, condition, endpoints, handover } = this.#checkers ?? {}
    const missing = (kind: CheckKind): CheckResult => ({
      state: 'Unknown',
      reason: 'NotSupported',
      message: `this controller does not know the check ${kind}`,
    })
    if (check.annotation !== undefined) return { kind: 'annotation', ...annotationResult(check.annotation, pod) }
    if (check.httpGet !== undefined)
      return { kind: 'httpGet', ...(httpGet?.result(gate, check.httpGet, pod, now) ?? missing('httpGet')) }
    if (check.condition !== undefined)
      return { kind: 'condition', ...(condition?.result(gate, check.condition, pod, now) ?? missing('condition')) }
    if (check.endpoints !== undefined)
      return { kind: 'endpoints', ...(endpoints?.result(gate, check.endpoints, pod, now) ?? missing('endpoints')) }
    if (check.handover !== undefined)
      return { kind: 'handover', ...(handover?.result(gate, check.handover, pod, now) ?? missing('handover')) }
    return { kind: 'annotation', ...missing('annotation'), message: 'this controller does not know this check' }
  }

  /** The pod has left every gate for this condition: it would wait for ever. */
  #released(pod: GatePod, type: string): Verdict | undefined {
    const managed = this.#managed.get(pod.uid)?.get(type)
    if (managed === undefined) return undefined
    this.#managed.get(pod.uid)?.delete(type)
    const current = conditionOf(pod, type)
    if (managed.onDelete === 'Leave' || current?.status === 'True') return undefined
    return { status: 'True', reason: 'NotSelected', message: 'no gate selects the pod for this condition any more' }
  }

  #manage(pod: GatePod, { spec }: Gate): void {
    let types = this.#managed.get(pod.uid)
    if (types === undefined) {
      types = new Map()
      this.#managed.set(pod.uid, types)
    }
    types.set(spec.conditionType, { onDelete: spec.onDelete })
  }

  async #write(pod: GatePod, type: string, verdict: Verdict, gate: Gate | undefined): Promise<void> {
    const { http, guard, log, serverNow } = this.#options
    if (conditionPatch(pod, type, verdict, serverNow()) === undefined) return
    await this.#limit.take()
    // The pod may have changed while it waited for its turn, and the time has.
    const latest = this.#pods.get(pod.namespace, pod.uid)
    const patch = latest === undefined ? undefined : conditionPatch(latest, type, verdict, serverNow())
    if (latest === undefined || patch === undefined) return
    const result = await patchCondition(http, guard, pod, patch)
    if (result.result === 'Patched') {
      this.#patched++
      this.#pods.wrote(latest, result.resourceVersion, patch.status.conditions[0])
      if (gate !== undefined) this.#refusals.get(gate.uid)?.delete(pod.uid)
      const since = gate !== undefined && verdict.status === 'True' ? heldSince(latest, type, gate) : undefined
      if (gate !== undefined && since !== undefined) this.#options.onReleased?.(gate, serverNow() - since)
    } else if (result.result === 'Gone') this.#gone++
    else {
      this.#refused++
      log.warn({ pod: `${pod.namespace}/${pod.name}`, type, error: result.message }, 'condition refused')
      if (gate !== undefined) this.#refuse(gate, pod, result.message)
      this.#podQueue.add(`${pod.namespace}/${pod.uid}`, { delayMs: REFUSED_MS })
    }
    if (gate !== undefined) this.#gateQueue.add(gate.uid, { delayMs: STATUS_EVERY_MS / 4 })
  }

  #refuse({ uid }: Gate, pod: GatePod, message: string): void {
    let refusals = this.#refusals.get(uid)
    if (refusals === undefined) {
      refusals = new Map()
      this.#refusals.set(uid, refusals)
    }
    if (refusals.size < MAX_PROBLEMS) refusals.set(pod.uid, `the condition of pod ${pod.name} was refused: ${message}`)
  }

  /** Brings finalizer and status of one gate up to date, or ends it. Throws KubeError for what may pass. */
  async #tend(uid: string): Promise<void> {
    const { gates, isLeader, serverNow } = this.#options
    const gate = this.#gate(uid)
    if (gate === undefined || !isLeader() || this.#checkers === undefined) return
    if (await gates.finalize(uid, () => this.#release(gate))) return
    const due = (this.#statusAt.get(uid) ?? 0) - performance.now()
    if (due > 0) {
      this.#gateQueue.add(uid, { delayMs: due })
      return
    }
    const status = statusOf(gate, await this.#factsOf(gate), serverNow())
    if (sameStatus(gate.status, status)) return
    this.#statusAt.set(uid, performance.now() + STATUS_EVERY_MS)
    await gates.writeStatus(uid, status)
    this.#statusWrites++
  }

  /** Nobody is kept waiting by a gate that goes. In a namespace that goes too, nobody waits. */
  async #release(gate: Gate): Promise<void> {
    if (gate.spec.onDelete === 'Leave' || (await this.#options.gates.isTerminating(gate.namespace))) return
    const type = gate.spec.conditionType
    for (const pod of [...this.#pods.in(gate.namespace)]) {
      if (isOver(pod) || !selects(gate, pod) || !pod.readinessGates.includes(type)) continue
      const acting = actingOn(this.#gates.get(gate.namespace)?.values() ?? [], pod).get(type)
      if (acting?.gate.uid !== gate.uid) continue
      const { verdict } = this.#verdictOf(gate, pod)
      if (verdict !== undefined) await this.#write(pod, type, verdict, undefined)
    }
  }

  async #factsOf(gate: Gate): Promise<Parameters<typeof statusOf>[1]> {
    const pods: GatePod[] = []
    const conflicts = new Map<string, { name: string; acts: boolean }>()
    const gates = this.#gates.get(gate.namespace)
    const rivals = [...(gates?.values() ?? [])].some(
      (other) => other.uid !== gate.uid && other.spec.conditionType === gate.spec.conditionType,
    )
    if (selectorProblem(gate.spec.selector) === undefined) {
      for (const pod of this.#pods.in(gate.namespace)) {
        if (isOver(pod) || !selects(gate, pod)) continue
        pods.push(pod)
        if (!rivals) continue
        const acting = actingOn(gates?.values() ?? [], pod).get(gate.spec.conditionType)
        for (const other of acting === undefined ? [] : [acting.gate, ...acting.others]) {
          if (other.uid !== gate.uid) conflicts.set(other.uid, { name: other.name, acts: acting?.gate.uid === gate.uid })
        }
      }
    }
    const problems = this.#every().flatMap((checker) => checker.problems(gate.uid))
    return {
      pods,
      conflicts: [...conflicts.values()],
      problems: [...problems, ...(this.#refusals.get(gate.uid)?.values() ?? [])].slice(0, MAX_PROBLEMS),
      holds: this.#checkers?.handover?.holds(gate) ?? [],
      canInject: gate.spec.inject ? await this.#injection.isServed() : undefined,
    }
  }
}

/**
 * On the API server's clock; undefined where the gate does not hold the pod. One whose condition nobody could write is held as well: from
 * when its containers were ready, and there was the gate.
 */
function heldSince(pod: GatePod, type: string, { creationTimestamp }: Gate): Micros | undefined {
  const condition = conditionOf(pod, type)
  if (condition?.status === 'True' || !pod.readinessGates.includes(type)) return undefined
  if (condition !== undefined) return parseTime(condition.lastTransitionTime)
  const ready = parseTime(pod.containersReadySince)
  return ready === undefined ? undefined : Math.max(ready, parseTime(creationTimestamp) ?? ready)
}
