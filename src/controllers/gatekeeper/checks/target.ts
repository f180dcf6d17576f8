/** The check condition: another object of the namespace, watched by itself for as long as a pod waits for it, once for all that do. */
import type { ConditionCheck } from '../../../api/pod-readiness-gate.ts'
import type { CheckResult, Gate, GatePod } from '../../../core/gates/types.ts'
import { backoffMs, sleep } from '../../../kube/backoff.ts'
import { decodeTarget, type TargetSnapshot } from '../../../kube/decode/target.ts'
import type { Changed, Checker } from '../checker.ts'
import { Discovery, type Found } from './discovery.ts'
import { type Access, Watch, type WatchSource } from './watch.ts'

export interface ConditionOptions extends WatchSource {
  readonly changed: Changed
  /** Each is a connection to the API server, so there are only so many. Default MAX_TARGETS. */
  readonly maxTargets?: number
  /** Waits before a kind that is not there is looked for again. Default 2 s to 60 s. */
  readonly lookAgainMs?: { readonly base: number; readonly max: number }
}

export const MAX_TARGETS = 256
const LOOK_AGAIN_MS = { base: 2000, max: 60_000 }
const MAX_PROBLEMS = 8
/** See deploy/gates. */
const GRANTING_LABEL = 'gracewatch.dev/aggregate-to-gate-targets: "true"'

interface Reference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/** Why nobody can tell. */
interface Problem {
  readonly reason: 'TargetForbidden' | 'UnknownKind' | 'TargetUnreadable'
  readonly message: string
}

/** One object, or the place where it should be. */
class Target {
  readonly reference: Reference
  readonly stopping = new AbortController()
  /** Gate UID -> pod UIDs. */
  readonly askers = new Map<string, Set<string>>()
  running: Promise<void> = Promise.resolve()
  watch: Watch<TargetSnapshot> | undefined
  problem: Problem | undefined

  constructor(reference: Reference) {
    this.reference = reference
  }

  get synced(): boolean {
    return this.watch?.access === 'Synced'
  }

  /** A recreated one can be there beside its predecessor for a moment; the last is the one that is. */
  get object(): TargetSnapshot | undefined {
    return [...(this.watch?.values() ?? [])].at(-1)
  }
}

export class ConditionChecker implements Checker<ConditionCheck> {
  readonly #options: ConditionOptions
  readonly #discovery: Discovery
  readonly #targets = new Map<string, Target>()
  /** Gate UID -> pod UID -> what it asks for. */
  readonly #asked = new Map<string, Map<string, Set<Target>>>()
  /** For whom there was no room. */
  readonly #waiting = new Set<string>()
  readonly #ending = new Set<Promise<void>>()
  #stopped = false

  constructor(options: ConditionOptions) {
    this.#options = options
    this.#discovery = new Discovery(options.http)
  }

  /** Objects that are watched, or looked for. */
  get size(): number {
    return this.#targets.size
  }

  result(gate: Gate, check: ConditionCheck, pod: GatePod): CheckResult {
    const reference = referenceOf(gate, check)
    const target = this.#ask(reference, gate.uid, pod.uid)
    if (target === undefined) {
      const max = this.#options.maxTargets ?? MAX_TARGETS
      const message = `${objectOf(reference)} is not watched: checks look at ${max} other objects already, and no more are possible`
      return { state: 'Unknown', reason: 'TooManyTargets', message }
    }
    return found(target, check)
  }

  forget(gateUid: string, podUid: string): void {
    const pods = this.#asked.get(gateUid)
    for (const target of pods?.get(podUid) ?? []) this.#leave(target, gateUid, podUid)
    pods?.delete(podUid)
    if (pods?.size === 0) this.#asked.delete(gateUid)
    this.#waiting.delete(podUid)
  }

  changed(gate: Gate): void {
    const kept = new Set(
      gate.spec.checks.map(({ condition }) => (condition === undefined ? undefined : keyOf(referenceOf(gate, condition)))),
    )
    for (const [podUid, targets] of this.#asked.get(gate.uid) ?? []) {
      for (const target of targets) {
        if (kept.has(keyOf(target.reference))) continue
        targets.delete(target)
        this.#leave(target, gate.uid, podUid)
      }
    }
  }

  problems(gateUid: string): readonly string[] {
    const found = new Set<string>()
    for (const target of new Set([...(this.#asked.get(gateUid)?.values() ?? [])].flatMap((targets) => [...targets]))) {
      const { problem, synced, object, reference } = target
      if (problem !== undefined) found.add(`checks.condition: ${problem.message}`)
      else if (synced && object === undefined) found.add(`checks.condition: ${missing(reference)}`)
    }
    return [...found].slice(0, MAX_PROBLEMS)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const target of this.#targets.values()) this.#end(target)
    this.#targets.clear()
    this.#asked.clear()
    await Promise.all(this.#ending)
  }

  #ask(reference: Reference, gateUid: string, podUid: string): Target | undefined {
    const key = keyOf(reference)
    let target = this.#targets.get(key)
    if (target === undefined) {
      if (this.#targets.size >= (this.#options.maxTargets ?? MAX_TARGETS)) {
        this.#waiting.add(podUid)
        return undefined
      }
      target = new Target(reference)
      this.#targets.set(key, target)
      if (!this.#stopped) target.running = this.#follow(target)
    }
    let pods = this.#asked.get(gateUid)
    if (pods === undefined) {
      pods = new Map()
      this.#asked.set(gateUid, pods)
    }
    let targets = pods.get(podUid)
    if (targets === undefined) {
      targets = new Set()
      pods.set(podUid, targets)
    }
    if (targets.has(target)) return target
    targets.add(target)
    let askers = target.askers.get(gateUid)
    if (askers === undefined) {
      askers = new Set()
      target.askers.set(gateUid, askers)
    }
    askers.add(podUid)
    return target
  }

  /** The last to leave ends the watch. */
  #leave(target: Target, gateUid: string, podUid: string): void {
    const askers = target.askers.get(gateUid)
    askers?.delete(podUid)
    if (askers?.size === 0) target.askers.delete(gateUid)
    if (target.askers.size > 0) return
    this.#targets.delete(keyOf(target.reference))
    this.#end(target)
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const uid of waiting) this.#options.changed.pod(uid)
  }

  #end(target: Target): void {
    target.stopping.abort()
    const ending = target.running.finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }

  /** Finds the kind and watches the object; begins again where the kind has gone, until it is ended. */
  async #follow(target: Target): Promise<void> {
    const { apiVersion, kind } = target.reference
    const { signal } = target.stopping
    const { base, max } = this.#options.lookAgainMs ?? LOOK_AGAIN_MS
    for (let failures = 1; !signal.aborted; failures++) {
      const found = await this.#discovery.find(apiVersion, kind)
      if (signal.aborted) return
      if ('problem' in found) this.#tell(target, { reason: found.reason, message: found.problem })
      else {
        await this.#watch(target, found)
        this.#discovery.forget(apiVersion)
      }
      await sleep(backoffMs(failures, { baseMs: base, maxMs: max, random: Math.random }), signal)
    }
  }

  /** Until the kind has gone, or it is ended. */
  async #watch(target: Target, { path, group, resource }: Exclude<Found, { problem: string }>): Promise<void> {
    const { reference, stopping } = target
    const { http, clock, log, timings } = this.#options
    const over = Promise.withResolvers<void>()
    const watch = new Watch<TargetSnapshot>({
      http,
      clock,
      log,
      ...(timings !== undefined && { timings }),
      path: `${path}/namespaces/${reference.namespace}/${resource}`,
      fieldSelector: `metadata.name=${reference.name}`,
      decode: decodeTarget,
      onChange: ({ object, previous }) => {
        if (previous === undefined || !sameConditions(object, previous) || target.object === undefined) this.#tell(target)
      },
      onAccess: (access) => {
        if (access === 'NotFound') over.resolve()
        else this.#tell(target, problemOf(access, reference, group === '' ? resource : `${resource}.${group}`, watch.detail))
      },
    })
    target.watch = watch
    const abort = () => over.resolve()
    stopping.signal.addEventListener('abort', abort, { once: true })
    if (stopping.signal.aborted) abort()
    await over.promise
    stopping.signal.removeEventListener('abort', abort)
    target.watch = undefined
    await watch.stop()
  }

  #tell(target: Target, problem?: Problem): void {
    if (this.#stopped) return
    target.problem = problem
    for (const [gateUid, pods] of target.askers) {
      for (const podUid of pods) this.#options.changed.pod(podUid)
      this.#options.changed.gate(gateUid)
    }
  }
}

function found({ reference, problem, synced, object }: Target, { type, status }: ConditionCheck): CheckResult {
  if (problem !== undefined) return { state: 'Unknown', ...problem }
  const what = objectOf(reference)
  if (!synced) return { state: 'Unknown', reason: 'TargetUnreadable', message: `${what} has not been read yet`, pending: true }
  if (object === undefined) return { state: 'Unknown', reason: 'TargetNotFound', message: missing(reference) }
  const condition = object.conditions.get(type)
  if (condition?.status === status)
    return { state: 'Pass', reason: 'ConditionMet', message: `${what} has the condition ${type}=${status}` }
  const has =
    condition === undefined
      ? `has no condition ${type} yet`
      : `has the condition ${type}=${condition.status}${condition.reason === undefined ? '' : ` (${condition.reason})`}`
  return { state: 'Fail', reason: 'ConditionMissing', message: `${what} ${has}; it has to be ${status}` }
}

function problemOf(access: Access, reference: Reference, resource: string, detail: string): Problem | undefined {
  const what = objectOf(reference)
  if (access === 'Forbidden')
    return {
      reason: 'TargetForbidden',
      message: `the controller may not read ${what}: grant list and watch of ${resource} by a ClusterRole with the label ${GRANTING_LABEL}`,
    }
  return access === 'Failing' ? { reason: 'TargetUnreadable', message: `${what} could not be read: ${detail}` } : undefined
}

const referenceOf = ({ namespace }: Gate, { apiVersion, kind, name }: ConditionCheck): Reference => ({
  apiVersion,
  kind,
  namespace,
  name,
})
const keyOf = ({ apiVersion, kind, namespace, name }: Reference): string => `${apiVersion} ${kind} ${namespace}/${name}`
const objectOf = ({ kind, name }: Reference): string => `${kind} ${name}`
const missing = ({ kind, name, namespace }: Reference): string => `there is no ${kind} ${name} in the namespace ${namespace}`

function sameConditions(a: TargetSnapshot, b: TargetSnapshot): boolean {
  if (a.conditions.size !== b.conditions.size) return false
  for (const [type, { status, reason }] of a.conditions) {
    const other = b.conditions.get(type)
    if (other === undefined || other.status !== status || other.reason !== reason) return false
  }
  return true
}
