/** The check endpoints: whether the EndpointSlices of every Service that selects a pod have it, ready or not. */
import type { EndpointSliceSnapshot } from '../../../core/evidence.ts'
import { conditionOf } from '../../../core/gates/decide.ts'
import { matches } from '../../../core/gates/selector.ts'
import type { CheckResult, Gate, GatePod } from '../../../core/gates/types.ts'
import { type Micros, SECOND } from '../../../core/time.ts'
import { decodeService, type ServiceSnapshot } from '../../../kube/decode/service.ts'
import type { Reflector } from '../../../kube/reflector.ts'
import type { Change } from '../../../kube/reflector-types.ts'
import type { Changed, Checker } from '../checker.ts'
import { type Access, Watch, type WatchSource } from './watch.ts'

export interface EndpointsOptions extends WatchSource {
  readonly changed: Changed
  /** The EndpointSlices that the recorder watches; onEndpointSlice has to hear of their changes. */
  readonly slices: Pick<Reflector<EndpointSliceSnapshot>, 'values' | 'synced' | 'whenSynced'>
}

/**
 * So long a pod that was let in may be missing: a Service that is created beside pods that serve has no EndpointSlices for a moment, and
 * would take them all out.
 */
export const MISSING_FOR: Micros = 30 * SECOND

type Labels = Readonly<Record<string, string>>

/** A pod that somebody asks for. */
interface AskedPod {
  readonly namespace: string
  labels: Labels
  readonly gates: Set<string>
  /** Since when it is missing though it was let in. */
  missingSince?: Micros
}

export class EndpointsChecker implements Checker<object> {
  readonly #options: EndpointsOptions
  readonly #pods = new Map<string, AskedPod>()
  /** Gate UID -> pods of it. */
  readonly #gates = new Map<string, Set<string>>()
  /** While anybody asks. */
  #watch: Watch<ServiceSnapshot> | undefined
  /** Namespace -> UID. */
  readonly #services = new Map<string, Map<string, ServiceSnapshot>>()
  /** Namespace/Service -> UID of the slice -> UIDs of its pods. */
  readonly #published = new Map<string, Map<string, ReadonlySet<string>>>()
  readonly #ending = new Set<Promise<void>>()
  #stopped = false

  constructor(options: EndpointsOptions) {
    this.#options = options
    options.slices.whenSynced().then(
      () => this.#tellAll(),
      // The recorder has been stopped, and so are we.
      () => {},
    )
  }

  /** Whether Services are watched. */
  get watching(): boolean {
    return this.#watch !== undefined
  }

  result(gate: Gate, _check: object, pod: GatePod, now: Micros): CheckResult {
    const asked = this.#ask(gate, pod)
    const access = this.#watch?.access ?? 'Reading'
    const problem = problemOf(access, this.#watch?.detail ?? '')
    if (problem !== undefined) return { state: 'Unknown', ...problem }
    if (access !== 'Synced' || !this.#options.slices.synced)
      return {
        state: 'Unknown',
        reason: 'ServicesUnreadable',
        message: 'Services and EndpointSlices have not been read yet',
        pending: true,
      }
    const services = [...(this.#services.get(pod.namespace)?.values() ?? [])].filter((service) => selects(service, pod.labels))
    if (services.length === 0) return { state: 'Pass', reason: 'NoService', message: 'no Service selects the pod' }
    const missing = services.filter(({ name }) => !this.#has(pod.namespace, name, pod.uid)).map(({ name }) => name)
    if (missing.length === 0) {
      delete asked.missingSince
      return { state: 'Pass', reason: 'Published', message: PUBLISHED }
    }
    if (conditionOf(pod, gate.spec.conditionType)?.status === 'True') {
      asked.missingSince ??= now
      const until = asked.missingSince + MISSING_FOR
      if (now < until) return { state: 'Pass', reason: 'Published', message: PUBLISHED, recheckAt: until }
    }
    const names = missing.toSorted().join(', ')
    return {
      state: 'Fail',
      reason: 'NotPublished',
      message:
        missing.length === 1
          ? `the Service ${names} selects the pod, but has it in no EndpointSlice yet`
          : `the Services ${names} select the pod, but have it in no EndpointSlice yet`,
    }
  }

  /** To be told of each change of `slices`. */
  onEndpointSlice({ type, object, previous }: Change<EndpointSliceSnapshot>): void {
    if (this.#watch === undefined) return
    const gone = type === 'Deleted' || type === 'Vanished'
    const before = previous ?? object
    const had = this.#drop(before)
    const has = gone ? NOBODY : this.#put(object)
    // Whom it did not have, or has no more; of the same Service, those that it had and has are as they were.
    const moved = before.service !== object.service
    for (const uid of had) if (moved || !has.has(uid)) this.#tell(uid)
    for (const uid of has) if (moved || !had.has(uid)) this.#tell(uid)
  }

  forget(gateUid: string, podUid: string): void {
    const asked = this.#pods.get(podUid)
    if (!asked?.gates.delete(gateUid)) return
    const ofGate = this.#gates.get(gateUid)
    ofGate?.delete(podUid)
    if (ofGate?.size === 0) this.#gates.delete(gateUid)
    if (asked.gates.size > 0) return
    this.#pods.delete(podUid)
    if (this.#pods.size === 0) this.#end()
  }

  changed(gate: Gate): void {
    if (gate.spec.checks.some(({ endpoints }) => endpoints !== undefined)) return
    for (const podUid of [...(this.#gates.get(gate.uid) ?? [])]) this.forget(gate.uid, podUid)
  }

  problems(gateUid: string): readonly string[] {
    if (!this.#gates.has(gateUid) || this.#watch === undefined) return []
    const problem = problemOf(this.#watch.access, this.#watch.detail)
    return problem === undefined ? [] : [`checks.endpoints: ${problem.message}`]
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#pods.clear()
    this.#gates.clear()
    this.#end()
    await Promise.all(this.#ending)
  }

  #ask(gate: Gate, { uid, namespace, labels }: GatePod): AskedPod {
    let asked = this.#pods.get(uid)
    if (asked === undefined) {
      asked = { namespace, labels, gates: new Set() }
      this.#pods.set(uid, asked)
    }
    asked.labels = labels
    asked.gates.add(gate.uid)
    const ofGate = this.#gates.get(gate.uid)
    if (ofGate === undefined) this.#gates.set(gate.uid, new Set([uid]))
    else ofGate.add(uid)
    if (this.#watch === undefined && !this.#stopped) this.#begin()
    return asked
  }

  #begin(): void {
    const { http, clock, log, timings, slices } = this.#options
    for (const slice of slices.values()) this.#put(slice)
    this.#watch = new Watch<ServiceSnapshot>({
      http,
      clock,
      log,
      ...(timings !== undefined && { timings }),
      path: '/api/v1/services',
      decode: decodeService,
      onChange: (change) => this.#onService(change),
      onAccess: () => {
        this.#services.clear()
        for (const service of this.#watch?.values() ?? []) this.#keep(service)
        this.#tellAll()
        for (const gateUid of this.#gates.keys()) this.#options.changed.gate(gateUid)
      },
    })
  }

  /** Nobody asks any more: nothing is watched, and nothing kept. */
  #end(): void {
    const watch = this.#watch
    if (watch === undefined) return
    this.#watch = undefined
    this.#services.clear()
    this.#published.clear()
    const ending = watch.stop().finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }

  #onService({ type, object, previous }: Change<ServiceSnapshot>): void {
    if (type === 'Deleted' || type === 'Vanished') this.#services.get(object.namespace)?.delete(object.uid)
    else if (previous !== undefined && sameSelector(previous, object)) return void this.#keep(object)
    else this.#keep(object)
    for (const [uid, { namespace, labels }] of this.#pods) {
      if (namespace !== object.namespace) continue
      if (selects(object, labels) || (previous !== undefined && selects(previous, labels))) this.#tell(uid)
    }
  }

  #keep(service: ServiceSnapshot): void {
    const known = this.#services.get(service.namespace)
    if (known === undefined) this.#services.set(service.namespace, new Map([[service.uid, service]]))
    else known.set(service.uid, service)
  }

  #put({ uid, namespace, service, endpoints }: EndpointSliceSnapshot): ReadonlySet<string> {
    if (service === undefined) return NOBODY
    const key = `${namespace}/${service}`
    const pods = new Set(endpoints.map(({ podUid }) => podUid))
    const slices = this.#published.get(key)
    if (slices === undefined) this.#published.set(key, new Map([[uid, pods]]))
    else slices.set(uid, pods)
    return pods
  }

  /** @returns whom it had */
  #drop({ uid, namespace, service }: EndpointSliceSnapshot): ReadonlySet<string> {
    const key = `${namespace}/${service ?? ''}`
    const slices = this.#published.get(key)
    const pods = slices?.get(uid) ?? NOBODY
    slices?.delete(uid)
    if (slices?.size === 0) this.#published.delete(key)
    return pods
  }

  #has(namespace: string, service: string, podUid: string): boolean {
    for (const pods of this.#published.get(`${namespace}/${service}`)?.values() ?? []) if (pods.has(podUid)) return true
    return false
  }

  #tell(podUid: string): void {
    if (this.#pods.has(podUid)) this.#options.changed.pod(podUid)
  }

  #tellAll(): void {
    for (const uid of this.#pods.keys()) this.#options.changed.pod(uid)
  }
}

const PUBLISHED = 'every Service that selects the pod has it in its EndpointSlices'
const NOBODY: ReadonlySet<string> = new Set()

const selects = ({ selector }: ServiceSnapshot, labels: Labels): boolean =>
  selector !== undefined && matches({ matchLabels: selector }, labels)

/** Equal ones are the same object (decodeService), or have been forgotten in between and are looked at once too often. */
const sameSelector = (a: ServiceSnapshot, b: ServiceSnapshot): boolean => a.selector === b.selector

function problemOf(access: Access, detail: string): { readonly reason: string; readonly message: string } | undefined {
  switch (access) {
    case 'Forbidden':
    case 'NotFound':
      return {
        reason: 'ServicesUnreadable',
        message: 'the controller may not read Services: grant it list and watch of services, as deploy/gates does',
      }
    case 'Failing':
      return { reason: 'ServicesUnreadable', message: `Services could not be read: ${detail}` }
    default:
      return undefined
  }
}
