/**
 * Terminations as fast as the API server takes them, and at a steady rate: whether each has exactly one Complete record, how long after the
 * pod's removal, at how many writes, and how long bare writes of the same records take.
 */
import { createRecordClient, type PodTerminationObject, RECORDS, type StoredPodTermination } from '../../src/kube/apply.ts'
import { requestsServed } from '../apiserver/cleanup-bench/requests.ts'
import { delay } from '../apiserver/waiting.ts'
import type { Progress } from '../cluster/progress.ts'
import { cpuSeconds, type StartedController, startGracewatch } from './measured.ts'
import { atRate, inParallel } from './parallel.ts'
import { type BenchPod, type Ending, endGracefully } from './pods.ts'
import { Sightings } from './sightings.ts'
import type { World } from './world.ts'

/** Terminations under way at once in a burst. */
const BURST_WORKERS = 48
/** As many as the controller has by default. */
const WRITE_CONCURRENCY = 8
/** Without a further record for so long, no more are expected. */
const STANDSTILL_MS = 60_000
/** A termination that takes longer gets a record before its end. */
const SHORT_MS = 2000
const FIELD_MANAGER = 'gracewatch-bench'

export interface Delays {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface Terminations {
  readonly terminations: number
  /** From the first request to delete to the last Complete record. */
  readonly seconds: number
  /** From the removal of the pod to its Complete record, as two watches told them. */
  readonly delayMs: Delays
  /** The controller's. */
  readonly cpuSecondsPer1000: number
  /** Terminations that took less than two seconds, and writes of their records that changed something. */
  readonly short: number
  readonly shortWrites: number
}

export interface Throughput {
  readonly burst: Terminations
  readonly steady: readonly (Terminations & { readonly perSecond: number })[]
  /** Pods that ended, and those of them with exactly one record that is Complete. */
  readonly ended: number
  readonly recorded: number
  /** Records of pods that did not end, or that are not the pod's only one. */
  readonly surplus: number
  /** By the API server's own count: requests to write records, whether or not they changed anything. */
  readonly writeRequests: number
  /** As many terminations without a controller, each record of the burst written anew once a pod is gone. */
  readonly bareWithPods: { readonly seconds: number; readonly delayMs: Delays }
  /** The same records written, with no pod about. */
  readonly bareAlone: { readonly seconds: number; readonly writeMs: Delays }
}

export interface ThroughputPlan {
  readonly burst: number
  readonly steady: readonly { readonly perSecond: number; readonly seconds: number }[]
}

export async function measureThroughput(world: World, plan: ThroughputPlan, progress: Progress): Promise<Throughput> {
  const { population, bed } = world
  const ledger: Ending[] = []
  const requestsBefore = await requestsServed(bed.http)
  const started = await startGracewatch(world)
  let burst: Terminations
  const steady: (Terminations & { perSecond: number })[] = []
  try {
    await started.controller.leads(60_000)
    burst = await progress.step(`${plan.burst} terminations at once`, () => {
      const pods = population.take(plan.burst)
      const end = () => inParallel(BURST_WORKERS, pods.length, async (index) => endGracefully(bed.http, at(pods, index)))
      return observed(world, started, ledger, pods, end)
    })
    for (const { perSecond, seconds } of plan.steady) {
      const pods = population.take(perSecond * seconds)
      const result = await progress.step(`${perSecond} terminations a second for ${seconds} s`, () => {
        const end = () => atRate(perSecond, pods.length, async (index) => endGracefully(bed.http, at(pods, index)))
        return observed(world, started, ledger, pods, end)
      })
      steady.push({ ...result, perSecond })
    }
  } finally {
    await started.stop()
  }
  const writeRequests = writesOfRecords(requestsBefore, await requestsServed(bed.http))
  const records = await listRecords(world)
  const { recorded, surplus } = judge(ledger, records)
  const ended = new Set(ledger.slice(0, plan.burst).map(({ pod }) => pod.uid))
  const sample = records.filter(({ pod }) => ended.has(pod.uid))
  const bareWithPods = await progress.step(`${plan.burst} terminations beside bare writes`, () => bare(world, sample))
  const bareAlone = await progress.step(`${plan.burst} bare writes`, () => bareWrites(world, sample))
  return { burst, steady, ended: ledger.length, recorded, surplus, writeRequests, bareWithPods, bareAlone }
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  if (item === undefined) throw new Error(`there is no item ${index} of ${list.length}`)
  return item
}

const keyOf = (namespace: string, name: string) => `${namespace}/${name}`
/** A record is named after its pod: the pod's name, a dot, and the first of its UID. */
const podKeyOf = (namespace: string, record: string) => keyOf(namespace, record.slice(0, record.lastIndexOf('.')))

async function observed(
  world: World,
  started: StartedController,
  ledger: Ending[],
  pods: readonly BenchPod[],
  end: () => Promise<Ending[]>,
): Promise<Terminations> {
  const { http } = world.bed
  const wanted = new Set(pods.map(({ namespace, name }) => keyOf(namespace, name)))
  const removed = new Map<string, number>()
  const completed = new Map<string, { readonly at: number; readonly version: string }>()
  const writes = new Map<string, number>()
  /** Of the watch that counts writes: it may be behind the other one. */
  const counted = new Set<string>()
  const watches = await Promise.all([
    Sightings.start(http, { path: '/api/v1/pods', labelSelector: world.population.label }, ({ type, namespace, name, at }) => {
      if (type === 'DELETED') removed.set(keyOf(namespace, name), at)
    }),
    Sightings.start(http, { path: RECORDS.everywhere }, ({ type, namespace, name, version }) => {
      const key = podKeyOf(namespace, name)
      counted.add(version)
      if (type !== 'DELETED') writes.set(key, (writes.get(key) ?? 0) + 1)
    }),
    // One that becomes Complete comes into what is selected.
    Sightings.start(
      http,
      { path: RECORDS.everywhere, fieldSelector: 'state=Complete' },
      ({ type, namespace, name, version, at }) => {
        const key = podKeyOf(namespace, name)
        if (type === 'ADDED' && wanted.has(key) && !completed.has(key)) completed.set(key, { at, version })
      },
    ),
  ])
  try {
    const cpu = cpuSeconds(started.pid)
    const from = performance.now()
    const endings = await end()
    ledger.push(...endings)
    await progressing(
      () => [...completed].filter(([key, { version }]) => removed.has(key) && counted.has(version)).length,
      pods.length,
      () => {
        for (const { failure } of watches) if (failure !== undefined) throw failure
        if (!started.controller.running) throw new Error(`the controller has ended: ${started.controller.text}`)
      },
    )
    const spent = cpuSeconds(started.pid) - cpu
    const last = Math.max(...[...completed.values()].map(({ at }) => at))
    const short = endings.filter(({ deletedAt, removedAt }) => removedAt - deletedAt < SHORT_MS)
    const writesOf = ({ pod }: Ending) => writes.get(keyOf(pod.namespace, pod.name)) ?? 0
    return {
      terminations: pods.length,
      seconds: (last - from) / 1000,
      delayMs: delaysOf([...completed].flatMap(([key, { at }]) => (removed.has(key) ? [at - (removed.get(key) ?? 0)] : []))),
      cpuSecondsPer1000: (spent / pods.length) * 1000,
      short: short.length,
      shortWrites: short.reduce((sum, ending) => sum + writesOf(ending), 0),
    }
  } finally {
    await Promise.all(watches.map((watch) => watch.close()))
  }
}

/** Returns once there are so many, or none has come for a long time: what is missing then is counted as missing. */
async function progressing(count: () => number, wanted: number, check: () => void): Promise<void> {
  let [best, since] = [count(), performance.now()]
  while (best < wanted && performance.now() - since < STANDSTILL_MS) {
    check()
    await delay(50)
    if (count() > best) [best, since] = [count(), performance.now()]
  }
}

function delaysOf(values: readonly number[]): Delays {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
  return { p50: rank(0.5), p99: rank(0.99), max: rank(1) }
}

/** All records of the population's namespaces. */
async function listRecords(world: World): Promise<StoredPodTermination[]> {
  const records: StoredPodTermination[] = []
  const client = createRecordClient({ http: world.bed.http })
  for (const namespace of world.namespaces) {
    for await (const record of client.list({ namespace })) records.push(record)
  }
  return records
}

function judge(ledger: readonly Ending[], records: readonly StoredPodTermination[]): { recorded: number; surplus: number } {
  const states = new Map<string, (string | undefined)[]>(ledger.map(({ pod }) => [pod.uid, []]))
  let surplus = 0
  for (const { pod, state } of records) {
    const of = states.get(pod.uid)
    if (of === undefined || of.length > 0) surplus += 1
    of?.push(state)
  }
  const recorded = [...states.values()].filter((of) => of.length === 1 && of[0] === 'Complete').length
  return { recorded, surplus }
}

function writesOfRecords(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): number {
  const isWrite = (key: string) => /^(POST|PUT|PATCH|APPLY) podterminations( |$)/.test(key)
  const sum = (counts: ReadonlyMap<string, number>) =>
    [...counts].reduce((total, [key, count]) => (isWrite(key) ? total + count : total), 0)
  return sum(after) - sum(before)
}

/** The same record under another name in a namespace of nobody's. */
function copyOf(record: StoredPodTermination, namespace: string, name: string): PodTerminationObject {
  const { metadata, ...rest } = record
  const labels = metadata.labels === undefined ? {} : { labels: metadata.labels }
  const annotations = metadata.annotations === undefined ? {} : { annotations: metadata.annotations }
  return { ...rest, metadata: { namespace, name, ...labels, ...annotations } }
}

/** Each pod's end asks for a write, and so many writers take them in their turn, as the controller does. */
async function bare(world: World, records: readonly StoredPodTermination[]): Promise<Throughput['bareWithPods']> {
  const { population, bed, spare } = world
  const pods = population.take(records.length)
  const client = createRecordClient({ http: bed.http, fieldManager: FIELD_MANAGER })
  const due: { readonly index: number; readonly at: number }[] = []
  const delays: number[] = []
  let ending = true
  const from = performance.now()
  const write = async () => {
    for (;;) {
      const next = due.shift()
      if (next === undefined) {
        if (!ending) return
        await delay(1)
        continue
      }
      await applied(client.apply(copyOf(at(records, next.index), spare, `with-pods-${next.index}`)))
      delays.push(performance.now() - next.at)
    }
  }
  const writers = Array.from({ length: WRITE_CONCURRENCY }, write)
  await inParallel(BURST_WORKERS, pods.length, async (index) => {
    const { removedAt } = await endGracefully(bed.http, at(pods, index))
    due.push({ index, at: removedAt })
  })
  ending = false
  await Promise.all(writers)
  return { seconds: (performance.now() - from) / 1000, delayMs: delaysOf(delays) }
}

async function bareWrites(world: World, records: readonly StoredPodTermination[]): Promise<Throughput['bareAlone']> {
  const { bed, spare } = world
  const client = createRecordClient({ http: bed.http, fieldManager: FIELD_MANAGER })
  const from = performance.now()
  const times = await inParallel(WRITE_CONCURRENCY, records.length, async (index) => {
    const at = performance.now()
    const record = records[index]
    if (record !== undefined) await applied(client.apply(copyOf(record, spare, `alone-${index}`)))
    return performance.now() - at
  })
  return { seconds: (performance.now() - from) / 1000, writeMs: delaysOf(times) }
}

async function applied(answer: ReturnType<ReturnType<typeof createRecordClient>['apply']>): Promise<void> {
  const { result } = await answer
  if (result !== 'Written') throw new Error(`a bare write was refused: ${JSON.stringify(await answer)}`)
}
