/** The recorder with time that the test moves, and with a place for records that answers as the test has it. */
import { vi } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { Recorder, type RecorderOptions, type RecorderSettings } from '../../../src/controllers/recorder/recorder.ts'
import { WorkloadResolver } from '../../../src/controllers/recorder/workloads.ts'
import type { EndpointSliceSnapshot, EndpointState, PodSnapshot } from '../../../src/core/evidence.ts'
import { MILLISECOND, type Micros } from '../../../src/core/time.ts'
import type { PodTerminationObject, RecordClient, StoredPodTermination, Written } from '../../../src/kube/apply.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { KubeHttp } from '../../../src/kube/http.ts'
import type { Log } from '../../../src/kube/log.ts'
import type { Refused } from '../../../src/kube/refusal.ts'
import { aPod, EPOCH, micros, type PodOptions, type PodStory } from '../builders.ts'

export interface Write {
  /** Seconds of true time. */
  readonly at: number
  readonly namespace: string
  readonly name: string
  readonly state: PodTermination['state']
  readonly result: 'Written' | 'Refused' | 'Failed'
  readonly record: PodTerminationObject
}

type Answer = (record: PodTerminationObject) => Refused | Error | undefined

export const refused = (reason: Refused['reason'], message: string = reason): Refused => ({
  result: 'Refused',
  reason,
  retry: reason === 'QuotaExceeded' || reason === 'Forbidden' || reason === 'NotInstalled' ? 'Later' : 'Never',
  message,
})

/** A pod with one container that is deleted at 0. */
export const begins = (options: PodOptions = {}): PodStory =>
  aPod(options).running().seen().deleted({ at: 0 }).acknowledged({ at: 0.1 }).killing('app', { at: 0.1 })

/** An orderly end of `app` at this time. */
export const ends = (pod: PodStory, at: number, code = 0): PodStory =>
  pod
    .exited('app', { at, code })
    .reported({ at: at + 0.1, phase: code === 0 ? 'Succeeded' : 'Failed' })
    .removed({ at: at + 0.3 })

export const quick = (options: PodOptions = {}) => ends(begins(options), 0.5)
/** By force, after 5 s of grace. */
export const killed = (options: PodOptions = {}) => ends(begins({ grace: 5, ...options }), 5.2, 137)
/** A pod with a hook that is removed at 0, and nothing told of why; what the kubelet did may still become known. */
export const gone = () =>
  aPod({ containers: [{ name: 'app', preStop: { handler: 'Exec' } }] })
    .running()
    .seen()
    .removed({ at: 0 })

export class Bench {
  readonly writes: Write[] = []
  readonly stored = new Map<string, StoredPodTermination>()
  /** Records of which Warnings were told, by state. */
  readonly told: (string | undefined)[] = []
  readonly logged: string[] = []
  /** What was told of how terminations ended, as `1.1 Graceful`, and `no news` where another had dealt with it. */
  readonly verdicts: string[] = []
  readonly asked: string[] = []
  readonly http: Pick<KubeHttp, 'request'>
  readonly recorder: Recorder
  readonly records: RecordClient
  readonly clock: { now(): Micros }
  readonly log: Log
  leading = true
  /** What the Lease says of what its holder has dealt with. */
  mark: Micros | undefined
  /** Which of those that are told of an end throw. */
  readonly throwing = new Set<'onEvidence' | 'onVerdict'>()
  node: 'True' | 'False' | 'Unknown' | 'gone' | 'silent' = 'True'
  /** UIDs of pods that the API server has, whatever the watch of pods has told. */
  readonly there = new Set<string>()
  /** What the API server has at other paths. */
  readonly objects = new Map<string, unknown>()
  /** Undefined: the record is taken. */
  answer: Answer = () => undefined
  readonly #previous = new Map<string, PodSnapshot>()
  readonly #slices = new Map<string, EndpointSliceSnapshot>()

  /** @param from where time begins, in seconds; it only goes on by play() and until() */
  constructor(settings: Partial<RecorderSettings> = {}, from = -100, options: Pick<RecorderOptions, 'many'> = {}) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const start = performance.now()
    const now = (): Micros => micros(from) + Math.round((performance.now() - start) * MILLISECOND)
    const log = {
      debug() {},
      info() {},
      warn: (_: object, text: string) => void this.logged.push(text),
      error: (_: object, text: string) => void this.logged.push(text),
    }
    this.log = log
    this.clock = { now }
    this.records = this.#records(now)
    const http: Pick<KubeHttp, 'request'> = { request: (request) => this.#request(request.path) }
    this.http = http
    this.recorder = new Recorder({
      ...options,
      http: http as KubeHttp, // the recorder only asks for nodes and owners
      clock: this.clock,
      log,
      settings: {
        namespaces: [],
        excludeNamespaces: [],
        record: 'All',
        recordCompletions: false,
        namespace: 'gracewatch',
        agentNamespace: 'agents',
        writeConcurrency: 4,
        writesPerSecond: 1000,
        ...settings,
      },
      leadership: { isLeader: () => this.leading, dealtWithUntil: () => this.mark },
      records: this.records,
      workloads: new WorkloadResolver({ http: http as KubeHttp, log }), // as above
      warnings: { tell: async (record) => void this.told.push(record.state) },
      slice: (uid) => this.#slices.get(uid),
      onEvidence: () => this.#throw('onEvidence'),
      onVerdict: ({ outcome }, news) => {
        this.#throw('onVerdict')
        this.verdicts.push(`${this.now.toFixed(1)} ${outcome}${news ? '' : ', no news'}`)
      },
    })
    this.#now = now
  }

  readonly #now: () => Micros

  /** Seconds of true time. */
  get now(): number {
    return (this.#now() - EPOCH) / 1_000_000
  }

  async until(seconds: number): Promise<void> {
    const ms = (micros(seconds) - this.#now()) / MILLISECOND
    if (ms > 0) await vi.advanceTimersByTimeAsync(ms)
  }

  /** Everything of the story as it arrives, one after the other. */
  async play(...stories: PodStory[]): Promise<void> {
    const all = stories.flatMap(({ deliveries }) => deliveries).sort((a, b) => a.fact.arrivedAt - b.fact.arrivedAt)
    for (const { fact } of all) {
      await this.until((fact.arrivedAt - EPOCH) / 1_000_000)
      if (fact.type === 'Pod') {
        const { pod, change, arrivedAt, since } = fact
        const previous = this.#previous.get(pod.uid)
        this.#previous.set(pod.uid, pod)
        this.recorder.onPod({
          type: change,
          object: pod,
          arrivedAt,
          ...(previous === undefined ? {} : { previous }),
          ...(since === undefined ? {} : { since }),
        })
      } else if (fact.type === 'Event') {
        this.recorder.onEvent({ type: fact.listed ? 'Listed' : 'Added', object: fact.event, arrivedAt: fact.arrivedAt })
      }
    }
  }

  /** Two responses, one just before and one just after a second of the API server began: its clock is known to 20 ms. */
  compareAPIServer(): void {
    for (const at of [-99.41, -99.39]) {
      const text = new Date(micros(at) / 1000).toUTCString()
      const date = { text, sentAt: micros(at), receivedAt: micros(at) }
      this.recorder.observeResponse({ verb: 'GET', code: 'OK', seconds: 0, date })
    }
  }

  /** A slice of a Service changes at this time, and that arrives at once. */
  async slice(service: string, at: number, version: number, endpoints: readonly EndpointState[]): Promise<void> {
    await this.until(at)
    const uid = `${service}-slice`
    const previous = this.#slices.get(uid)
    const object = { uid, resourceVersion: String(version), namespace: 'shop', name: uid, service, endpoints }
    this.#slices.set(uid, object)
    const type = previous === undefined ? 'Added' : 'Modified'
    this.recorder.onEndpointSlice({ type, object, arrivedAt: micros(at), ...(previous === undefined ? {} : { previous }) })
  }

  /** When each write was tried and what it was, as `2.0 Terminating`. */
  get steps(): string[] {
    return this.writes.map(({ at, state, result }) => `${at.toFixed(1)} ${state}${result === 'Written' ? '' : ` ${result}`}`)
  }

  get last(): PodTerminationObject {
    const found = this.writes.at(-1)?.record
    if (found === undefined) throw new Error('nothing was written')
    return found
  }

  /** A record as another leader, or an earlier run, has left it. */
  leave(record: PodTermination, name: string, namespace = record.pod.namespace): void {
    const metadata = { namespace, name, uid: `uid-of-${name}`, resourceVersion: '1', creationTimestamp: '2026-03-01T12:00:00Z' }
    this.stored.set(`${namespace}/${name}`, { ...record, metadata })
  }

  #records(now: () => Micros): RecordClient {
    return {
      apply: async (record): Promise<Written | Refused> => {
        const { namespace, name } = record.metadata
        const answer = this.answer(record)
        const at = (now() - EPOCH) / 1_000_000
        const result = answer === undefined ? 'Written' : answer instanceof Error ? 'Failed' : 'Refused'
        this.writes.push({ at, namespace, name, state: record.state, result, record })
        if (answer instanceof Error) throw answer
        if (answer !== undefined) return answer
        this.leave(record, name, namespace)
        return { result: 'Written', created: true, uid: `uid-of-${name}`, resourceVersion: '1' }
      },
      get: async (namespace, name) => this.stored.get(`${namespace}/${name}`),
      list: () => this.#open(),
      delete: async () => false,
    }
  }

  async *#open(): AsyncGenerator<StoredPodTermination> {
    for (const record of this.stored.values()) if (record.state !== 'Complete') yield record
  }

  #throw(observer: 'onEvidence' | 'onVerdict'): void {
    if (this.throwing.has(observer)) throw new Error(`${observer} failed`)
  }

  async #request(path: string): ReturnType<KubeHttp['request']> {
    this.asked.push(path)
    if (this.node === 'silent') throw new KubeError('ServerError', 'etcd is away')
    const nodes = path.startsWith('/api/v1/nodes/') && this.node !== 'gone'
    const conditions = [
      { type: 'DiskPressure', status: 'False' },
      { type: 'Ready', status: this.node },
    ]
    const items = [...this.there].map((uid) => ({ metadata: { uid } }))
    const pods = /^\/api\/v1\/namespaces\/[^/]+\/pods$/.test(path) ? { items } : undefined
    const body = nodes ? { status: { conditions } } : (pods ?? this.objects.get(path))
    if (body === undefined) throw new KubeError('NotFound', 'not found')
    // A response as far as the recorder looks at one.
    return { status: 200, json: () => body } as Awaited<ReturnType<KubeHttp['request']>>
  }
}
