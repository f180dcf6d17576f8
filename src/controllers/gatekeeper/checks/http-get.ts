/** The check httpGet: asks pods from here, each at its own interval, a bounded number at a time. See docs/adr/0010-http-checks.md. */
import { type HttpGetCheck, REFUSED_HEADERS } from '../../../api/pod-readiness-gate.ts'
import { parseDuration } from '../../../core/duration.ts'
import { conditionOf } from '../../../core/gates/decide.ts'
import type { CheckResult, Gate, GatePod } from '../../../core/gates/types.ts'
import { MILLISECOND, SECOND } from '../../../core/time.ts'
import { productVersion } from '../../../version.ts'
import type { Changed, Checker } from '../checker.ts'
import { type AddressedPod, addressRefusal } from './address.ts'
import { exchange, type ProbeRequest, urlOf } from './exchange.ts'
import { type Job, Lanes } from './lanes.ts'
import { Thresholds } from './thresholds.ts'

export interface HttpGetOptions {
  readonly changed: Changed
  /** Requests at the same time: half of them to pods that were quick the last time, half to those that were slow. Default 64. */
  readonly parallel?: number
  /** Default addressRefusal, which nothing but a test on loopback has a reason to replace. */
  readonly refusal?: (pod: AddressedPod) => string | undefined
  /** In [0, 1). Default Math.random. */
  readonly random?: () => number
}

const DEFAULT_PARALLEL = 64
const DEFAULT_INTERVAL = 10 * SECOND
const DEFAULT_TIMEOUT = SECOND
/** An answer that takes longer makes the pod a slow one. In the lane of the quick ones it is waited for no longer than this. */
const QUICK_MS = 500
/** So much an interval is shorter or longer, by chance, so that pods that started together are not asked together for ever. */
const JITTER = 0.1
const MAX_PROBLEMS = 8

/** One pod by one check. */
interface Entry {
  /** What the answers are of: another address or a restarted container begins anew. */
  readonly identity: string
  readonly probe?: Probe
  /** A sentence for the gate's status. */
  readonly problem?: string
}

type ByCheck = Map<string, Entry>

export class HttpGetChecker implements Checker<HttpGetCheck> {
  readonly #options: HttpGetOptions
  readonly #lanes: Lanes
  readonly #userAgent = `gracewatch-gate/${productVersion()}`
  /** Gate UID -> pod UID. */
  readonly #entries = new Map<string, Map<string, ByCheck>>()
  /** The keys of checks, which are the same objects for as long as their gate does not change. */
  readonly #keys = new WeakMap<HttpGetCheck, string>()
  #stopped = false

  constructor(options: HttpGetOptions) {
    this.#options = options
    this.#lanes = new Lanes(options.parallel ?? DEFAULT_PARALLEL)
  }

  /** Requests under way. */
  get running(): number {
    return this.#lanes.running
  }

  result(gate: Gate, check: HttpGetCheck, pod: GatePod): CheckResult {
    const refused = check.headers?.find(({ name }) => REFUSED_HEADERS.includes(name.toLowerCase()))
    // The schema refuses them; this is for an API server whose CRD somebody has changed.
    if (refused !== undefined) {
      const message = `the header ${refused.name} is not sent to pods: leave it out of the check`
      return this.#without(gate, check, pod, { state: 'Unknown', reason: 'HeaderRefused', message }, message)
    }
    const port = portOf(check, pod)
    if (port === undefined) {
      const names = Object.keys(pod.ports)
      const others = names.length === 0 ? 'none of its ports has a name' : `its ports are named ${names.toSorted().join(', ')}`
      const message = `no container of the pod has a port named ${check.port}: ${others}`
      const problem = `checks.httpGet.port: there are pods without a port named ${check.port}`
      return this.#without(gate, check, pod, { state: 'Unknown', reason: 'PortNotFound', message }, problem)
    }
    const { podIP } = pod
    if (podIP === undefined) {
      return this.#without(gate, check, pod, { state: 'Fail', reason: 'NoPodIP', message: 'the pod has no IP address yet' })
    }
    const refusal = (this.#options.refusal ?? addressRefusal)({ podIP, hostIPs: pod.hostIPs, hostNetwork: pod.hostNetwork })
    if (refusal !== undefined) {
      const message = `the pod is not asked: ${refusal}`
      const problem = `checks.httpGet: pod ${pod.name} is not asked: ${refusal}`
      return this.#without(gate, check, pod, { state: 'Unknown', reason: 'AddressRefused', message }, problem)
    }
    return this.#probe(gate, check, pod, podIP, port)
  }

  forget(gateUid: string, podUid: string): void {
    const pods = this.#entries.get(gateUid)
    const checks = pods?.get(podUid)
    if (pods === undefined || checks === undefined) return
    for (const entry of checks.values()) entry.probe?.stop()
    pods.delete(podUid)
    if (pods.size === 0) this.#entries.delete(gateUid)
  }

  changed(gate: Gate): void {
    const kept = new Set(gate.spec.checks.map(({ httpGet }) => (httpGet === undefined ? undefined : this.#keyOf(httpGet))))
    const pods = this.#entries.get(gate.uid)
    for (const [podUid, checks] of pods ?? []) {
      for (const [key, entry] of checks) {
        if (kept.has(key)) continue
        entry.probe?.stop()
        checks.delete(key)
      }
      if (checks.size === 0) pods?.delete(podUid)
    }
    if (pods?.size === 0) this.#entries.delete(gate.uid)
  }

  problems(gateUid: string): readonly string[] {
    const found = new Set<string>()
    for (const checks of this.#entries.get(gateUid)?.values() ?? []) {
      for (const { problem } of checks.values()) if (problem !== undefined) found.add(problem)
      if (found.size >= MAX_PROBLEMS) break
    }
    return [...found].slice(0, MAX_PROBLEMS)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const pods of this.#entries.values())
      for (const checks of pods.values()) for (const { probe } of checks.values()) probe?.stop()
    this.#entries.clear()
  }

  #probe(gate: Gate, check: HttpGetCheck, pod: GatePod, address: string, port: number): CheckResult {
    const checks = this.#checksOf(gate.uid, pod.uid)
    const key = this.#keyOf(check)
    const known = checks.get(key)
    const identity = `${address} ${port} ${pod.incarnation}`
    if (known?.probe !== undefined && known.identity === identity) return known.probe.result
    known?.probe?.stop()
    const isTrue = conditionOf(pod, gate.spec.conditionType)?.status === 'True'
    const probe = new Probe({
      namespace: pod.namespace,
      request: {
        scheme: check.scheme,
        address,
        port,
        path: check.path,
        headers: check.headers ?? [],
        userAgent: this.#userAgent,
        timeoutMs: millisecondsOf(check.timeout, DEFAULT_TIMEOUT),
      },
      intervalMs: millisecondsOf(check.interval, DEFAULT_INTERVAL),
      successThreshold: check.successThreshold,
      failureThreshold: check.failureThreshold,
      // A pod that was let in before anybody here has asked stays in until it fails; one that has restarted since does not.
      start: !isTrue ? 'New' : known === undefined ? 'Kept' : 'Renewed',
      lanes: this.#lanes,
      random: this.#options.random ?? Math.random,
      onChange: () => this.#options.changed.pod(pod.uid),
    })
    this.#set(gate.uid, checks, key, { identity, probe })
    if (!this.#stopped) probe.start()
    return probe.result
  }

  /** What is found without asking. */
  #without(gate: Gate, check: HttpGetCheck, pod: GatePod, result: CheckResult, problem?: string): CheckResult {
    const checks = this.#checksOf(gate.uid, pod.uid)
    const key = this.#keyOf(check)
    checks.get(key)?.probe?.stop()
    this.#set(gate.uid, checks, key, { identity: '', ...(problem !== undefined && { problem }) })
    return result
  }

  #set(gateUid: string, checks: ByCheck, key: string, entry: Entry): void {
    const before = checks.get(key)?.problem
    checks.set(key, entry)
    if (before !== entry.problem) this.#options.changed.gate(gateUid)
  }

  #checksOf(gateUid: string, podUid: string): ByCheck {
    let pods = this.#entries.get(gateUid)
    if (pods === undefined) {
      pods = new Map()
      this.#entries.set(gateUid, pods)
    }
    let checks = pods.get(podUid)
    if (checks === undefined) {
      checks = new Map()
      pods.set(podUid, checks)
    }
    return checks
  }

  #keyOf(check: HttpGetCheck): string {
    let key = this.#keys.get(check)
    if (key === undefined) {
      key = JSON.stringify(check)
      this.#keys.set(check, key)
    }
    return key
  }
}

function portOf({ port }: HttpGetCheck, { ports }: GatePod): number | undefined {
  if (typeof port === 'number') return port
  return Object.hasOwn(ports, port) ? ports[port] : undefined
}

/** A timer waits 24 days at most. */
const MAX_TIMER_MS = 2 ** 31 - 1
const millisecondsOf = (text: string, fallback: number): number =>
  Math.min((parseDuration(text) ?? fallback) / MILLISECOND, MAX_TIMER_MS / 2)

interface ProbeOptions {
  readonly namespace: string
  readonly request: ProbeRequest
  readonly intervalMs: number
  readonly successThreshold: number
  readonly failureThreshold: number
  readonly start: 'New' | 'Kept' | 'Renewed'
  readonly lanes: Lanes
  readonly random: () => number
  readonly onChange: () => void
}

class Probe implements Job {
  readonly namespace: string
  slow = false
  readonly #options: ProbeOptions
  readonly #thresholds: Thresholds
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #result: CheckResult

  constructor(options: ProbeOptions) {
    this.#options = options
    this.namespace = options.namespace
    const { successThreshold, failureThreshold, request, start } = options
    this.#thresholds = new Thresholds({ successThreshold, failureThreshold, what: `GET ${urlOf(request)}` }, start)
    this.#result = this.#thresholds.result
  }

  get result(): CheckResult {
    return this.#result
  }

  /** Asks as soon as there is a turn, and again and again. */
  start(): void {
    this.#options.lanes.add(this)
  }

  /** Ends what is under way. Nothing is told any more. */
  stop(): void {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    this.#options.lanes.remove(this)
  }

  async run(): Promise<void> {
    const { request, lanes } = this.#options
    const { signal } = this.#stopping
    const timeoutMs = this.slow ? request.timeoutMs : Math.min(request.timeoutMs, QUICK_MS)
    const startedMs = performance.now()
    const answer = await exchange({ ...request, timeoutMs }, signal)
    if (signal.aborted) return
    const late = 'failure' in answer && answer.late === true
    this.slow = late || performance.now() - startedMs >= QUICK_MS
    if (late && timeoutMs < request.timeoutMs) {
      // It has more time than a quick one, and gets it among the slow ones.
      lanes.add(this)
      return
    }
    if ('failure' in answer) this.#thresholds.failed(answer.failure)
    else if (answer.status >= 200 && answer.status < 400) this.#thresholds.passed()
    else this.#thresholds.failed(`it was answered with ${answer.status}`)
    this.#next()
    this.#tell()
  }

  #next(): void {
    const { intervalMs, random, lanes } = this.#options
    this.#timer = setTimeout(() => lanes.add(this), intervalMs * (1 - JITTER + 2 * JITTER * random()))
  }

  #tell(): void {
    const before = this.#result
    this.#result = this.#thresholds.result
    const { state, reason, message, pending } = this.#result
    if (state !== before.state || reason !== before.reason || message !== before.message || pending !== before.pending)
      this.#options.onChange()
  }
}
