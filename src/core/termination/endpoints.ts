/**
 * The pod's way out of its Services. An EndpointSlice condition has no time, only an arrival; its lower bound comes from the order
 * of resourceVersions, which one etcd gives to Pods and EndpointSlices alike.
 */
import type { EndpointEnd, MarkType } from '../../api/pod-termination.ts'
import type { EndpointFact, GapFact } from '../evidence.ts'
import { formatTime, type Micros, SECOND } from '../time.ts'
import { type Clocks, type Interval, interval } from './clocks.ts'
import { compareVersions, orderVersions } from './history.ts'

export interface EndpointMark extends Interval {
  readonly mark: MarkType
  readonly service: string
  /** resourceVersion of the slice's change, where it was seen as one. */
  readonly version?: string
}

export interface ServiceResult {
  readonly end: EndpointEnd
  readonly marks: readonly EndpointMark[]
  readonly notReady: Interval | undefined
}

/** A moment that a later resourceVersion cannot come before: (version, earliest on the recorder's clock). */
export interface Milestone {
  readonly version: string
  readonly earliest: Micros
}

/** resourceVersions of the delete: of the change itself where that was seen, and of the first version that shows it. */
interface Deleted {
  readonly from?: string
  readonly by?: string
}

/** From when on, by these bounds, the Service sent new traffic to the pod or not. */
interface Turn {
  readonly ready: boolean
  /** By the order of versions it came after the stop signal, whatever the intervals leave open. */
  readonly afterStop: boolean
  readonly earliest: Micros
  readonly latest: Micros
}

interface State {
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
  readonly present: boolean
}

const DAY: Micros = 86_400 * SECOND

const OUT: State = { ready: false, serving: false, terminating: false, present: false }

/** One pod in several slices of one Service: it is in rotation as long as one of them says so. */
function aggregate(slices: Iterable<EndpointFact>): State {
  let state = OUT
  for (const fact of slices) {
    if (!fact.present) continue
    state = {
      present: true,
      ready: state.ready || fact.ready,
      serving: state.serving || fact.serving,
      terminating: state.terminating || fact.terminating,
    }
  }
  return state
}

function service(
  name: string,
  facts: readonly EndpointFact[],
  milestones: readonly Milestone[],
  notBefore: Micros,
  deletion: Deleted,
  stop: Interval | undefined,
  signalledBy: string | undefined,
  gaps: readonly GapFact[],
  clocks: Clocks,
): ServiceResult | undefined {
  const sorted = [...facts].sort(
    (a, b) => orderVersions(a.sliceVersion, b.sliceVersion) || a.arrivedAt - b.arrivedAt || Number(b.present) - Number(a.present),
  )
  const slices = new Map<string, EndpointFact>()
  const marks: EndpointMark[] = []
  let before = OUT
  const turns: Turn[] = []
  let seen = false
  for (const fact of sorted) {
    // A list shows how things stand now: what it shows to have changed did so at any time since the version known before.
    const after = fact.listed ? slices.get(fact.slice)?.sliceVersion : fact.sliceVersion
    slices.set(fact.slice, fact)
    const now = aggregate(slices.values())
    const early = deletion.from !== undefined && compareVersions(fact.sliceVersion, deletion.from) < 0
    const during = fact.arrivedAt >= notBefore && !early
    const surely = !fact.listed && deletion.by !== undefined && compareVersions(fact.sliceVersion, deletion.by) > 0
    const reached = milestones.filter(({ version }) => after !== undefined && compareVersions(after, version) > 0)
    const versions = reached.map((milestone) => milestone.earliest)
    const earliest = Math.max(notBefore, ...versions)
    // Readiness goes its own way: unless the versions tell, it may have turned before the delete as well.
    const turned = surely ? earliest : Math.max(fact.since ?? notBefore - DAY, ...versions)
    if (!seen || before.ready !== now.ready) {
      turns.push({
        ready: now.ready,
        afterStop: during && signalledBy !== undefined && after !== undefined && compareVersions(after, signalledBy) > 0,
        earliest: during ? turned : Number.NEGATIVE_INFINITY,
        latest: during ? fact.arrivedAt : Number.NEGATIVE_INFINITY,
      })
    }
    if (now.present) seen = true
    if (during && before.present) {
      const add = (mark: MarkType, from = earliest) => {
        const at = interval(Math.min(from, fact.arrivedAt), fact.arrivedAt, fact.arrivedAt)
        // A flapping probe can flip a condition more than once: the last flip is the one that counts.
        const index = marks.findIndex((item) => item.mark === mark)
        if (index >= 0) marks.splice(index, 1)
        marks.push({ mark, service: name, ...at, ...(fact.listed ? {} : { version: fact.sliceVersion }) })
      }
      if (before.ready && !now.ready && now.present) add('EndpointNotReady', turned)
      if (!before.terminating && now.terminating) add('EndpointTerminating')
      if (before.serving && !now.serving && now.present) add('EndpointNotServing', turned)
      if (!now.present) {
        if (before.ready) add('EndpointNotReady', turned)
        if (before.serving) add('EndpointNotServing', turned)
        add('EndpointRemoved')
      }
    }
    before = now
  }
  if (!seen) return undefined
  const of = (mark: MarkType) => marks.find((item) => item.mark === mark)
  const notReady = of('EndpointNotReady')
  const text = (mark: EndpointMark | undefined) => (mark === undefined ? undefined : formatTime(mark.at))
  const [notReadyAt, notServingAt, removedAt] = [text(notReady), text(of('EndpointNotServing')), text(of('EndpointRemoved'))]
  return {
    marks,
    notReady,
    end: {
      service: name,
      ...(notReadyAt === undefined ? {} : { notReadyAt }),
      ...(notServingAt === undefined ? {} : { notServingAt }),
      ...(removedAt === undefined ? {} : { removedAt }),
      readyAtStopSignal: stop === undefined ? 'Unknown' : readyAt(clocks.convert(stop, 'Node', 'Recorder'), turns, gaps),
    },
  }
}

/**
 * Before the first of them nothing is known; a state that nobody saw change may have changed and changed back in a gap; and that it
 * still was ready is known only once it was seen to end, as the change may be on its way.
 */
function readyAt(signal: Interval, turns: readonly Turn[], gaps: readonly GapFact[]): 'True' | 'False' | 'Unknown' {
  if (gaps.some(({ from, to }) => from <= signal.latest && to >= signal.earliest)) return 'Unknown'
  const after = ({ earliest, afterStop }: Turn) => afterStop || earliest > signal.latest
  if (turns.some((turn) => !after(turn) && turn.latest >= signal.earliest)) return 'Unknown'
  const last = turns.findLast((turn) => !after(turn))
  if (last === undefined || (last.ready && !turns.some(after))) return 'Unknown'
  return last.ready ? 'True' : 'False'
}

/**
 * @param notBefore start of the termination, on the recorder's clock
 * @param deletion what a slice said before it is no part of the termination
 * @param stop stop signal of the first main container that got one, on the node's clock
 * @param signalledBy resourceVersion that reported an exit after that signal: a later version of a slice came after the signal, too
 * @param gaps when nobody watched EndpointSlices
 */
export function endpointEnds(
  facts: readonly EndpointFact[],
  milestones: readonly Milestone[],
  notBefore: Micros,
  deletion: Deleted,
  stop: Interval | undefined,
  signalledBy: string | undefined,
  gaps: readonly GapFact[],
  clocks: Clocks,
): ServiceResult[] {
  const services = new Map<string, EndpointFact[]>()
  for (const fact of facts) services.set(fact.service, [...(services.get(fact.service) ?? []), fact])
  return [...services]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, list]) => service(name, list, milestones, notBefore, deletion, stop, signalledBy, gaps, clocks) ?? [])
}
