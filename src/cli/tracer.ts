/**
 * The recorder without a cluster's leave: it watches with the user's own rights, and its records go to the user instead of the API.
 * Watches, trackers, waiting and verdicts are the controller's own.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PodTermination } from '../api/pod-termination.ts'
import { sampleServerClock } from '../controllers/recorder/clock-samples.ts'
import { EVENT_REASONS } from '../controllers/recorder/controller.ts'
import { Recorder } from '../controllers/recorder/recorder.ts'
import { WorkloadResolver } from '../controllers/recorder/workloads.ts'
import type { EndpointSliceSnapshot, Fact, PodSnapshot } from '../core/evidence.ts'
import type { Micros } from '../core/time.ts'
import { type PodTerminationObject, RECORDS, type RecordClient } from '../kube/apply.ts'
import { createClock } from '../kube/clock.ts'
import { decodeEndpointSlice } from '../kube/decode/endpoint-slice.ts'
import { decodeEvent } from '../kube/decode/event.ts'
import { decodePod } from '../kube/decode/pod.ts'
import { decodeTermination } from '../kube/decode/termination.ts'
import { KubeError } from '../kube/errors.ts'
import type { KubeHttp } from '../kube/http.ts'
import type { Log } from '../kube/log.ts'
import { Reflector } from '../kube/reflector.ts'
import type { Identified } from '../kube/reflector-types.ts'
import { SETTINGS } from '../settings.ts'
import { CommandError } from './arguments.ts'
import type { PodSelection } from './pod-selection.ts'

export interface TracerOptions {
  readonly http: KubeHttp
  readonly log: Log
  readonly namespace: string
  readonly selection: PodSelection
  /** What may not be watched and what that means, one sentence each. */
  readonly onLacking: (sentence: string) => void
  /** The first sight of a termination. */
  readonly onBegun: (pod: PodSnapshot) => void
  /** Past its deadline and still there. */
  readonly onOverdue: (record: PodTermination) => void
  /** A termination is over, or more has come to be known of one: its evidence. */
  readonly onEvidence: (facts: readonly Fact[], now: Micros) => void
}

type Watch = Pick<Reflector<Identified>, 'start' | 'stop' | 'whenSynced'>

/** Nothing is written over the network. */
const NO_LIMIT = 100_000
const CONCURRENCY = 8
const CLOCK_WAIT_MS = 3000

export class Tracer {
  readonly #options: TracerOptions
  readonly #clock = createClock()
  readonly #recorder: Recorder
  readonly #watches: Watch[] = []
  readonly #stopping = new AbortController()
  #unobserve: (() => void) | undefined
  #sampled: Promise<void> = Promise.resolve()
  #slices: Reflector<EndpointSliceSnapshot> | undefined

  constructor(options: TracerOptions) {
    const { http, log, namespace, onEvidence } = options
    this.#options = options
    this.#recorder = new Recorder({
      ...{ http, log, onEvidence, clock: this.#clock },
      settings: {
        ...{ namespaces: [namespace], excludeNamespaces: [], record: 'All', recordCompletions: true },
        ...{
          namespace,
          agentNamespace: SETTINGS.agentNamespace.fallback,
          writeConcurrency: CONCURRENCY,
          writesPerSecond: NO_LIMIT,
        },
      },
      leadership: { isLeader: () => true, dealtWithUntil: () => undefined },
      records: new Kept(options.onOverdue),
      workloads: new WorkloadResolver({ http, log }),
      warnings: undefined,
      slice: (uid) => this.#slices?.get(uid),
    })
  }

  /** Resolves when nothing that begins from now on can be missed. Throws CommandError where pods cannot be watched. */
  async start(): Promise<void> {
    const { http, namespace, selection, onLacking, onBegun } = this.#options
    const recorder = this.#recorder
    this.#unobserve = http.onResponse((observation) => recorder.observeResponse(observation))
    this.#sampled = sampleServerClock({
      ...{ http, clock: this.#clock, estimate: recorder.apiClock },
      wait: (ms) => sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => {}),
      stopping: () => this.#stopping.signal.aborted,
    })
    const within = `namespaces/${namespace}`
    const { words: _words, pod: _pod, ...selectors } = selection
    const pods = `/api/v1/${within}/pods`
    try {
      await http.request({ method: 'GET', path: pods, query: { limit: 1, ...selectors } })
    } catch (error) {
      if (error instanceof KubeError && error.code === 'Forbidden')
        throw new CommandError(`${error.message}. Ask for the right to list and watch pods in namespace ${namespace}.`)
      if (error instanceof KubeError && error.code === 'Invalid') throw new CommandError(error.message)
      throw error
    }
    const events = `/api/v1/${within}/events`
    if (await this.#may(events, onLacking, 'when hooks began and stop signals were sent is known only by rule'))
      for (const reason of EVENT_REASONS)
        this.#watch(events, decodeEvent, {
          fieldSelector: `involvedObject.kind=Pod,reason=${reason}`,
          keep: 'none',
          onChange: (change) => recorder.onEvent(change),
          onGap: (gap) => recorder.onGap('Event', gap),
        })
    const slices = `/apis/discovery.k8s.io/v1/${within}/endpointslices`
    if (await this.#may(slices, onLacking, 'when Services let go of a pod is not known'))
      this.#slices = this.#watch(slices, decodeEndpointSlice, {
        onChange: (change) => recorder.onEndpointSlice(change),
        onGap: (gap) => recorder.onGap('EndpointSlice', gap),
      })
    // Where agents run, what they measure comes through the records that they begin. There need be none.
    if (await this.#may(RECORDS.of(namespace), () => {}, ''))
      this.#watch(RECORDS.of(namespace), decodeTermination, {
        fieldSelector: 'state!=Complete',
        keep: 'none',
        onChange: (change) => recorder.onRecord(change),
      })
    await Promise.all(this.#watches.map((watch) => watch.whenSynced()))
    const podWatch = this.#watch(pods, decodePod, {
      ...selectors,
      onChange: (change) => {
        const { object, previous, type } = change
        // To a watch with a selector, a pod whose labels no longer match is as good as deleted.
        const doubtful = type === 'Deleted' && selectors.labelSelector !== undefined && object.deletionTimestamp === undefined
        if (doubtful) void this.#stillThere(object).then((there) => there || recorder.onPod(change))
        else recorder.onPod(change)
        const begins = object.deletionTimestamp !== undefined && previous?.deletionTimestamp === undefined
        if (begins && type !== 'Deleted' && type !== 'Vanished') onBegun(object)
      },
      onGap: (gap) => recorder.onGap('Pod', gap),
    })
    await podWatch.whenSynced()
  }

  /** Resolves when the API server's clock is known well, or after a while: a termination that begins then has narrow bounds. */
  async clockKnown(): Promise<void> {
    await Promise.race([this.#sampled, sleep(CLOCK_WAIT_MS, undefined, { ref: false })])
  }

  /** Terminations that are under way. */
  get ongoing(): number {
    return [...this.#recorder.ongoing()].length
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#watches.map((watch) => watch.stop()))
    await this.#recorder.finish()
    await this.#recorder.stop()
    this.#unobserve?.()
  }

  async #stillThere({ namespace, name, uid }: PodSnapshot): Promise<boolean> {
    try {
      const response = await this.#options.http.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}/pods/${name}` })
      return response.json<{ metadata?: { uid?: string } }>().metadata?.uid === uid
    } catch {
      // Gone, or not to be asked: then the watch's word is all that there is.
      return false
    }
  }

  #watch<T extends Identified>(
    path: string,
    decode: (raw: unknown) => T | undefined,
    rest: Pick<ConstructorParameters<typeof Reflector<T>>[0], 'onChange' | 'onGap' | 'fieldSelector' | 'labelSelector' | 'keep'>,
  ): Reflector<T> {
    const { http, log } = this.#options
    const reflector = new Reflector<T>({ http, log, clock: this.#clock, path, decode, ...rest })
    reflector.start()
    this.#watches.push(reflector)
    return reflector
  }

  async #may(path: string, onLacking: (sentence: string) => void, consequence: string): Promise<boolean> {
    try {
      await this.#options.http.request({ method: 'GET', path, query: { limit: 1 } })
      return true
    } catch (error) {
      if (!(error instanceof KubeError && (error.code === 'Forbidden' || error.code === 'NotFound'))) throw error
      onLacking(`${error.message}: ${consequence}`)
      return false
    }
  }
}

/** Records as they would have been written. What is over comes as evidence, which says more. */
class Kept implements RecordClient {
  readonly #onOverdue: (record: PodTermination) => void

  constructor(onOverdue: (record: PodTermination) => void) {
    this.#onOverdue = onOverdue
  }

  async apply(record: PodTerminationObject) {
    if (record.state === 'Overdue') this.#onOverdue(record)
    return { result: 'Written', created: true, uid: record.pod.uid, resourceVersion: '1' } as const
  }

  async get() {
    return undefined
  }

  async *list() {}

  async delete() {
    return false
  }
}
