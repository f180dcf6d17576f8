/** Facts in any order, with repeats, become one history: sorted, each thing once, the first sight of the deletion frozen. */
import type { KernelFacts } from '../../api/kernel.ts'
import type {
  AbsentFact,
  AgentFact,
  ClockFact,
  ContainerSpec,
  ContainerStatus,
  EndpointFact,
  EventFact,
  Fact,
  GapFact,
  KernelFact,
  NodeFact,
  PodFact,
  PodSnapshot,
  TerminatedState,
  Workload,
} from '../evidence.ts'
import { type Micros, parseTime, SECOND } from '../time.ts'

export interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface History {
  readonly identity: PodIdentity
  /** By resourceVersion where both are numbers, else by arrival. */
  readonly pods: readonly PodFact[]
  readonly events: readonly EventFact[]
  readonly endpoints: readonly EndpointFact[]
  readonly clocks: readonly ClockFact[]
  readonly nodes: readonly NodeFact[]
  readonly gaps: readonly GapFact[]
  readonly workload: Workload | undefined
  readonly absent: AbsentFact | undefined
  /** What the agent of the pod's node measured, where one runs there. */
  readonly kernel: KernelFacts | undefined
  /** Another node whose agent claims to have measured this pod: not believed. */
  readonly foreignKernel: string | undefined
  /** The agent of the node had not said all by then. */
  readonly agent: AgentFact | undefined
  /** Its end is told from the pod as it stands. */
  readonly remains: boolean
  /** The last version of the pod that anyone saw. */
  readonly last: PodSnapshot | undefined
  /** First version that carried a deletionTimestamp. */
  readonly deletion: PodFact | undefined
  readonly removal: PodFact | undefined
  /** First version with a terminal phase. */
  readonly terminal: PodFact | undefined
}

const NUMERIC = /^\d+$/

/** Order of two resourceVersions: negative, zero, positive; 0 also where they cannot be compared. */
export function compareVersions(a: string, b: string): number {
  if (a === b || !NUMERIC.test(a) || !NUMERIC.test(b)) return 0
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : 1
}

/** The same as an order for sorting: what is no number comes first, so that three versions never go round in a circle. */
export const orderVersions = (a: string, b: string): number =>
  Number(NUMERIC.test(a)) - Number(NUMERIC.test(b)) || compareVersions(a, b)

export const isTerminal = (pod: PodSnapshot): boolean => pod.phase === 'Succeeded' || pod.phase === 'Failed'

const removes = (fact: PodFact): boolean => fact.change === 'Deleted' || fact.change === 'Vanished'

/** Decides between facts that contradict each other, so that no order of arrival does. */
const compareContents = (a: Fact | KernelFacts, b: Fact | KernelFacts): number =>
  a === b ? 0 : compareText(JSON.stringify(a), JSON.stringify(b))

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function comparePods(a: PodFact, b: PodFact): number {
  return (
    orderVersions(a.pod.resourceVersion, b.pod.resourceVersion) ||
    Number(removes(a)) - Number(removes(b)) ||
    a.arrivedAt - b.arrivedAt ||
    compareText(a.change, b.change) ||
    compareContents(a, b)
  )
}

/** Keeps the first of each key in an already sorted list. */
function unique<T>(sorted: readonly T[], key: (item: T) => string): T[] {
  const seen = new Set<string>()
  return sorted.filter((item) => {
    const id = key(item)
    if (seen.has(id)) return false
    seen.add(id)
    return true
  })
}

/** @returns undefined where no fact names a pod. */
export function gather(facts: readonly Fact[]): History | undefined {
  const of = <K extends Fact['type']>(type: K) => facts.filter((fact): fact is Extract<Fact, { type: K }> => fact.type === type)

  const pods = unique(of('Pod').sort(comparePods), (fact) => `${removes(fact)}/${removes(fact) ? '' : fact.pod.resourceVersion}`)
  const events = unique(
    of('Event').sort(
      (a, b) =>
        compareText(a.event.name, b.event.name) ||
        orderVersions(a.event.resourceVersion, b.event.resourceVersion) ||
        a.arrivedAt - b.arrivedAt ||
        compareContents(a, b),
    ),
    ({ event }) => `${event.name}/${event.resourceVersion}`,
  )
  const endpoints = unique(
    of('Endpoint').sort(
      (a, b) =>
        compareText(a.service, b.service) ||
        compareText(a.slice, b.slice) ||
        orderVersions(a.sliceVersion, b.sliceVersion) ||
        // The same version as it arrived, and as it was found standing later: the first has the time.
        Number(a.listed) - Number(b.listed) ||
        a.arrivedAt - b.arrivedAt ||
        Number(b.present) - Number(a.present) ||
        compareContents(a, b),
    ),
    (fact) => `${fact.service}/${fact.slice}/${fact.sliceVersion}/${fact.present}`,
  )
  const absent = of('Absent').sort((a, b) => a.arrivedAt - b.arrivedAt || compareContents(a, b))[0]
  const last = pods.at(-1)?.pod
  const host = events.find(({ event }) => event.host !== undefined)?.event.host
  // Where nothing else names the node, the agent's own word is all there is.
  const ofNode = ({ kernel }: KernelFact) => (last === undefined ? (host ?? kernel.node) : last.nodeName) === kernel.node
  const kernels = of('Kernel').sort(
    (a, b) =>
      compareText(a.kernel.tracedUntil, b.kernel.tracedUntil) ||
      Number(a.kernel.complete) - Number(b.kernel.complete) ||
      compareContents(a.kernel, b.kernel),
  )
  const identity = last ?? absent?.pod ?? events[0]?.event.pod
  if (identity === undefined) return undefined
  const workloads = of('Workload').sort(compareContents)
  return {
    identity: { namespace: identity.namespace, name: identity.name, uid: identity.uid },
    pods,
    events,
    endpoints,
    clocks: of('Clock').sort((a, b) => compareText(a.clock, b.clock) || a.earliest - b.earliest || a.latest - b.latest),
    nodes: of('Node').sort((a, b) => a.arrivedAt - b.arrivedAt || compareContents(a, b)),
    gaps: unique(
      of('Gap').sort((a, b) => a.from - b.from || a.to - b.to || compareContents(a, b)),
      (gap) => `${gap.resource}/${gap.from}/${gap.to}/${gap.reason}`,
    ),
    workload: workloads[0]?.workload,
    absent,
    kernel: kernels.findLast(ofNode)?.kernel,
    remains: of('Remains').length > 0,
    agent: of('Agent').sort((a, b) => a.arrivedAt - b.arrivedAt || compareContents(a, b))[0],
    foreignKernel: kernels.find((fact) => !ofNode(fact))?.kernel.node,
    last,
    deletion: pods.find((fact) => fact.pod.deletionTimestamp !== undefined),
    removal: pods.find(removes),
    terminal: pods.find((fact) => isTerminal(fact.pod)),
  }
}

/**
 * When the deletion was asked for, on the API server's clock: deletionTimestamp - grace, floored to a second by the API. Undefined
 * where the object says nothing of it any more (k8s.io/apiserver, registry/rest/delete.go): the last delete has grace 0 and a
 * deletionTimestamp of its own, and so has, with grace 1, one that asks for less than what had gone by.
 */
export function deletionFloor({ change, pod }: PodFact): Micros | undefined {
  const due = parseTime(pod.deletionTimestamp)
  const grace = pod.deletionGracePeriodSeconds ?? 0
  if (due === undefined) return undefined
  // With the first delete the generation counts up, so the kubelet cannot have taken it in yet.
  const acknowledged =
    pod.observedGeneration !== undefined && pod.generation !== undefined && pod.observedGeneration >= pod.generation
  const over = pod.statuses.some(({ terminated }) => terminated !== undefined) && !pod.statuses.some(({ running }) => running)
  const later = grace <= 1 && (change === 'Listed' || acknowledged || (grace === 0 && over))
  return later ? undefined : due - grace * SECOND
}

export interface ContainerHistory {
  readonly spec: ContainerSpec
  /** Last status seen. */
  readonly status: ContainerStatus | undefined
  /** Fact in which the last termination first showed. */
  readonly terminatedIn: PodFact | undefined
  /** It ran at some time. */
  readonly started: boolean
  /** It waited for its first start when the pod's end began, after which nothing is started; or it still does. */
  readonly neverRan: boolean
  /** Start of its last run that any version showed, floored to a second by the kubelet; negative infinity where none did. */
  readonly lastStart: Micros
  /** It had ended when the deletion was first seen, in a list: before or after the delete. */
  readonly endedUnseen: boolean
  /** It had ended, by what the API showed, before the first sight of the deletion (of the pod's end, where nobody deleted it). */
  readonly endedBefore: boolean
}

function hasRun(status: ContainerStatus): boolean {
  return (
    status.running !== undefined ||
    status.lastTerminated?.startedAt !== undefined ||
    status.restartCount > 0 ||
    (status.terminated?.startedAt !== undefined && status.terminated.reason !== 'ContainerStatusUnknown')
  )
}

/**
 * A pod that vanished while nobody watched may have had its containers started again after the last version that anyone saw, unless
 * it was being deleted or had ended by then: what ended in that version is no end of this termination.
 */
function settled(spec: ContainerSpec, status: ContainerStatus | undefined, history: History): ContainerStatus | undefined {
  const { removal, deletion, terminal, last } = history
  if (status === undefined || removal?.change !== 'Vanished' || deletion !== undefined || terminal !== undefined) return status
  const code = (status.terminated ?? status.lastTerminated)?.exitCode
  const once = spec.role !== 'Sidecar' && (last?.restartPolicy === 'Never' || (last?.restartPolicy === 'OnFailure' && code === 0))
  if (once) return status
  const { terminated: _, waiting: __, ...rest } = status
  return rest
}

export function containerHistories(history: History): ContainerHistory[] {
  const specs = history.last?.containers ?? []
  return specs.map((spec) => {
    let status: ContainerStatus | undefined
    let terminatedIn: PodFact | undefined
    let started = false
    let endedBefore = false
    let waited = false
    let lastStart = Number.NEGATIVE_INFINITY
    let crash: TerminatedState | undefined
    let seenBefore = history.deletion !== undefined
    let over = false
    for (const fact of history.pods) {
      // Later versions show the end as well.
      over ||= history.terminal === fact
      const found = fact.pod.statuses.find((item) => item.name === spec.name)
      if (found === undefined) continue
      if (hasRun(found)) started = true
      lastStart = Math.max(lastStart, parseTime(found.running?.startedAt ?? found.terminated?.startedAt) ?? lastStart)
      if (found.terminated === undefined) terminatedIn = undefined
      else if (
        terminatedIn === undefined ||
        status?.terminated?.finishedAt !== found.terminated.finishedAt ||
        status?.terminated?.exitCode !== found.terminated.exitCode
      ) {
        terminatedIn = fact
      }
      status = found
      if (history.deletion === fact || (history.deletion === undefined && !over)) {
        crash = found.terminated ?? found.lastTerminated
        endedBefore = found.terminated !== undefined
        waited = found.waiting !== undefined
        seenBefore = true
      }
    }
    // While it waits for its next start, its last end stands in lastState; once nothing is started any more, in its state again.
    const same = crash !== undefined && crash.finishedAt !== undefined && crash.finishedAt === status?.terminated?.finishedAt
    return {
      spec,
      status: settled(spec, status, history),
      terminatedIn,
      started,
      neverRan: !started && (waited || status?.terminated === undefined),
      lastStart,
      endedUnseen: (endedBefore && history.deletion?.change === 'Listed') || !seenBefore,
      endedBefore: endedBefore || (waited && same) || !seenBefore,
    }
  })
}
