/**
 * Pods as they lie in the store: what many have in common by reference, the rest as one short text. A pod takes a third of the memory that
 * its snapshot does; the text is made and read by the engine's own JSON, which is cheap beside decoding what came.
 */
import type { ContainerStatus, PodCondition, PodSnapshot, TerminatedState } from '../../core/evidence.ts'
import type { Packed } from '../reflector-types.ts'

/** One list and one object serve all pods of a workload. */
type Containers = PodSnapshot['containers']
type Owner = PodSnapshot['owner']

/** In the place of a field that the snapshot does not have; no field that is there is empty. */
const ABSENT = ''
type Optional<V> = V | typeof ABSENT
/** An index into WORDS, or the word itself. */
type Word = number | string
/** Seconds after the pod's creation (the creation itself: after 1970), or the text where it is no whole second in UTC. */
type Time = number | string
/** Lists end with the last field that is there. */
type Row = [
  created: Optional<Time>,
  restartPolicy: Word,
  graceSeconds: number,
  volumeCount: number,
  phase: Word,
  startTime: Optional<Time>,
  conditions: readonly Condition[],
  statuses: readonly Status[],
  generation?: Optional<number>,
  observedGeneration?: Optional<number>,
  deletionTimestamp?: Optional<Time>,
  deletionGracePeriodSeconds?: Optional<number>,
  finalizers?: Optional<readonly string[]>,
  activeDeadlineSeconds?: Optional<number>,
  mirror?: Optional<true>,
  reason?: Optional<Word>,
  message?: string,
]
type Condition = [type: Word, status: Word, time?: Optional<Time>, reason?: Optional<Word>, message?: string]
/** One that runs since a time that is known is told by that alone. */
type Running = Time | readonly []
type Status = [
  /** An index into the pod's containers, or the name itself. */
  name: number | string,
  restartCount: number,
  containerID?: Optional<string>,
  running?: Optional<Running>,
  terminated?: Optional<Terminated>,
  lastTerminated?: Optional<Terminated>,
  waiting?: Optional<readonly [reason?: Word]>,
  stopSignal?: Word,
]
type Terminated = [
  exitCode: number,
  reason?: Optional<Word>,
  startedAt?: Optional<Time>,
  finishedAt?: Optional<Time>,
  /** SAME: as the status has it. */
  containerID?: Optional<string | typeof SAME>,
  message?: string,
]
const SAME = 1

/** What most pods say; a text that is in no store for longer than the process lives, so words can be added. */
const WORDS = [
  ...['Always', 'OnFailure', 'Never', 'Running', 'Succeeded', 'Failed', 'Pending', 'Ready', 'PodScheduled', 'DisruptionTarget'],
  ...['True', 'False', 'Completed', 'PodCompleted', 'Error', 'ContainersNotReady', 'ContainerCreating', 'OOMKilled', 'Evicted'],
  ...['PodInitializing', 'CrashLoopBackOff', 'SIGTERM'],
]
const INDEX = new Map(WORDS.map((word, index) => [word, index]))

type Writable<T> = { -readonly [K in keyof T]: T[K] }

const NO_FINALIZERS: readonly string[] = []

/** Thrown where a snapshot cannot be said in a Row. */
class Unpackable extends Error {}

/** Undefined: what readiness gates or a cleanup need of the pod is in it, or something that no API server says; it is kept whole. */
export function packPod(pod: PodSnapshot): Packed<PodSnapshot> | undefined {
  if (pod.gate !== undefined || pod.cleanup !== undefined) return undefined
  try {
    return new PackedPod(pod, JSON.stringify(rowOf(pod)))
  } catch (error) {
    if (error instanceof Unpackable) return undefined
    throw error
  }
}

class PackedPod implements Packed<PodSnapshot> {
  readonly namespace: string
  readonly name: string
  readonly #nodeName: string | undefined
  readonly #owner: Owner
  readonly #containers: Containers
  /** JSON of a Row. */
  readonly #text: string

  constructor({ namespace, name, nodeName, owner, containers }: PodSnapshot, text: string) {
    this.namespace = namespace
    this.name = name
    this.#nodeName = nodeName
    this.#owner = owner
    this.#containers = containers
    this.#text = text
  }

  unpack(uid: string, resourceVersion: string): PodSnapshot {
    // The text is this module's own.
    const row = JSON.parse(this.#text) as Row
    const [nodeName, owner, containers] = [this.#nodeName, this.#owner, this.#containers]
    const base = typeof row[0] === 'number' ? row[0] : 0
    const pod: Writable<PodSnapshot> = {
      ...{ uid, namespace: this.namespace, name: this.name, resourceVersion, containers },
      restartPolicy: wordOf(row[1]),
      graceSeconds: row[2],
      volumeCount: row[3],
      phase: wordOf(row[4]),
      conditions: row[6].map((condition) => conditionOf(condition, base)),
      statuses: row[7].map((status) => statusOf(status, containers, base)),
      finalizers: isThere(row[12]) ? row[12] : NO_FINALIZERS,
    }
    if (isThere(row[0])) pod.creationTimestamp = timeOf(row[0], 0)
    if (owner !== undefined) pod.owner = owner
    if (nodeName !== undefined) pod.nodeName = nodeName
    if (isThere(row[5])) pod.startTime = timeOf(row[5], base)
    if (isThere(row[8])) pod.generation = row[8]
    if (isThere(row[9])) pod.observedGeneration = row[9]
    if (row.length > 10) {
      if (isThere(row[10])) pod.deletionTimestamp = timeOf(row[10], base)
      if (isThere(row[11])) pod.deletionGracePeriodSeconds = row[11]
      if (isThere(row[13])) pod.activeDeadlineSeconds = row[13]
      if (isThere(row[14])) pod.mirror = row[14]
      if (isThere(row[15])) pod.reason = wordOf(row[15])
      if (isThere(row[16])) pod.message = row[16]
    }
    return pod
  }
}

function rowOf(pod: PodSnapshot): Row {
  const created = absentOr(pod.creationTimestamp, 0, time)
  const base = typeof created === 'number' ? created : 0
  const { containers } = pod
  const row: Row = [
    created,
    word(pod.restartPolicy),
    pod.graceSeconds,
    pod.volumeCount,
    word(pod.phase),
    absentOr(pod.startTime, base, time),
    pod.conditions.map((condition) => rowOfCondition(condition, base)),
    pod.statuses.map((status) => rowOfStatus(status, containers, base)),
    pod.generation ?? ABSENT,
    pod.observedGeneration ?? ABSENT,
    absentOr(pod.deletionTimestamp, base, time),
    pod.deletionGracePeriodSeconds ?? ABSENT,
    pod.finalizers.length === 0 ? ABSENT : pod.finalizers,
    pod.activeDeadlineSeconds ?? ABSENT,
    pod.mirror ?? ABSENT,
    absentOr(pod.reason, base, word),
    absentOr(pod.message, base, plain),
  ]
  return trimmed(row)
}

function rowOfCondition({ type, status, reason, message, lastTransitionTime }: PodCondition, base: number): Condition {
  return trimmed<Condition>([
    word(type),
    word(status),
    absentOr(lastTransitionTime, base, time),
    absentOr(reason, base, word),
    absentOr(message, base, plain),
  ])
}

function conditionOf(row: Condition, base: number): PodCondition {
  const condition: Writable<PodCondition> = { type: wordOf(row[0]), status: wordOf(row[1]) }
  if (isThere(row[3])) condition.reason = wordOf(row[3])
  if (isThere(row[4])) condition.message = row[4]
  if (isThere(row[2])) condition.lastTransitionTime = timeOf(row[2], base)
  return condition
}

function rowOfStatus(status: ContainerStatus, containers: Containers, base: number): Status {
  const { name, restartCount, containerID, running, terminated, lastTerminated, waiting, stopSignal } = status
  const index = containers.findIndex((container) => container.name === name)
  return trimmed<Status>([
    index === -1 ? plain(name) : index,
    restartCount,
    absentOr(containerID, base, id),
    running === undefined ? ABSENT : running.startedAt === undefined ? [] : time(running.startedAt, base),
    terminated === undefined ? ABSENT : rowOfTerminated(terminated, containerID, base),
    lastTerminated === undefined ? ABSENT : rowOfTerminated(lastTerminated, containerID, base),
    waiting === undefined ? ABSENT : waiting.reason === undefined ? [] : [word(waiting.reason)],
    absentOr(stopSignal, base, word),
  ])
}

function statusOf(row: Status, containers: Containers, base: number): ContainerStatus {
  const [name, restartCount] = row
  const status: Writable<ContainerStatus> = {
    name: typeof name === 'number' ? (containers[name]?.name ?? '') : name,
    restartCount,
  }
  if (isThere(row[2])) status.containerID = idOf(row[2])
  if (isThere(row[3])) status.running = typeof row[3] === 'object' ? {} : { startedAt: timeOf(row[3], base) }
  if (row.length > 4) {
    if (isThere(row[7])) status.stopSignal = wordOf(row[7])
    if (isThere(row[6])) status.waiting = row[6][0] === undefined ? {} : { reason: wordOf(row[6][0]) }
    if (isThere(row[4])) status.terminated = terminatedOf(row[4], status.containerID, base)
    if (isThere(row[5])) status.lastTerminated = terminatedOf(row[5], status.containerID, base)
  }
  return status
}

function rowOfTerminated(state: TerminatedState, own: string | undefined, base: number): Terminated {
  const { exitCode, reason, message, startedAt, finishedAt, containerID } = state
  return trimmed<Terminated>([
    exitCode,
    absentOr(reason, base, word),
    absentOr(startedAt, base, time),
    absentOr(finishedAt, base, time),
    containerID !== undefined && containerID === own ? SAME : absentOr(containerID, base, id),
    absentOr(message, base, plain),
  ])
}

function terminatedOf(row: Terminated, own: string | undefined, base: number): TerminatedState {
  const state: Writable<TerminatedState> = { exitCode: row[0] }
  if (isThere(row[1])) state.reason = wordOf(row[1])
  if (isThere(row[5])) state.message = row[5]
  if (isThere(row[2])) state.startedAt = timeOf(row[2], base)
  if (isThere(row[3])) state.finishedAt = timeOf(row[3], base)
  if (row[4] === SAME) {
    if (own !== undefined) state.containerID = own
  } else if (isThere(row[4])) state.containerID = idOf(row[4])
  return state
}

const isThere = <V>(value: V | typeof ABSENT | undefined): value is V => value !== undefined && value !== ABSENT

function absentOr<V>(text: string | undefined, base: number, pack: (text: string, base: number) => V): V | typeof ABSENT {
  return text === undefined ? ABSENT : pack(text, base)
}

function plain(text: string): string {
  if (text === ABSENT) throw new Unpackable()
  return text
}

const word = (text: string): Word => INDEX.get(text) ?? plain(text)
const wordOf = (packed: Word): string => (typeof packed === 'number' ? (WORDS[packed] ?? '') : packed)

/** Seconds of texts, undefined where a text is not what it would be made to again, and texts of seconds: pods of one rollout have the same few. */
const seconds = new Map<string, number | undefined>()
const texts = new Map<number, string>()
const MAX_KNOWN = 1000

function time(text: string, base: number): Time {
  let found = seconds.get(text)
  if (found === undefined && !seconds.has(text)) {
    const read = Date.parse(text) / 1000
    found = Number.isSafeInteger(read) && textOf(read) === text ? read : undefined
    if (seconds.size >= MAX_KNOWN) seconds.clear()
    seconds.set(text, found)
  }
  return found === undefined ? plain(text) : found - base
}

function timeOf(packed: Time, base: number): string {
  return typeof packed === 'number' ? textOf(packed + base) : packed
}

function textOf(value: number): string {
  let text = texts.get(value)
  if (text === undefined) {
    text = `${new Date(value * 1000).toISOString().slice(0, -5)}Z`
    if (texts.size >= MAX_KNOWN) texts.clear()
    texts.set(value, text)
  }
  return text
}

/** Of containerd, which has nearly all of them: half as long without its name, and not as hex. */
const CONTAINERD = 'containerd://'
const CONTAINERD_ID = /^containerd:\/\/[0-9a-f]{64}$/
const MARK = '='

function id(text: string): string {
  if (CONTAINERD_ID.test(text)) return MARK + Buffer.from(text.slice(CONTAINERD.length), 'hex').toString('base64url')
  if (text.startsWith(MARK)) throw new Unpackable()
  return plain(text)
}

function idOf(packed: string): string {
  return packed.startsWith(MARK) ? CONTAINERD + Buffer.from(packed.slice(MARK.length), 'base64url').toString('hex') : packed
}

/** What is left out is optional at the end of every kind of row, and read as absent. */
function trimmed<R extends unknown[]>(row: R): R {
  while (row.at(-1) === ABSENT) row.pop()
  return row
}
