/** The record's values in the words of a reader. */
import type { KernelContainer } from '../api/kernel.ts'
import type { Cause, ContainerEnd, Mark, Outcome, PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import type { Span, Tone } from './span.ts'
import { clean } from './text.ts'
import { timelineOf } from './timeline.ts'
import { duration, graceText, wallClock } from './units.ts'

export const OUTCOME_TONE: Record<Outcome, Tone> = {
  ForcedKill: 'bad',
  OOMKilled: 'bad',
  Killed: 'bad',
  Lost: 'unknown',
  Failed: 'warning',
  Unknown: 'unknown',
  Signalled: 'good',
  Graceful: 'good',
  NeverStarted: 'unknown',
}

const OUTCOME_WORDS: Record<Outcome, string> = {
  ForcedKill: 'FORCED KILL',
  OOMKilled: 'OUT OF MEMORY',
  Killed: 'KILLED',
  Lost: 'LOST',
  Failed: 'FAILED',
  Unknown: 'UNKNOWN',
  Signalled: 'SIGNALLED',
  Graceful: 'GRACEFUL',
  NeverStarted: 'NEVER STARTED',
}

/** The verdict in capitals, with the state where the termination is not over. */
export function verdict({ outcome, state }: PodTermination): Span {
  const words = [
    ...(outcome === undefined ? [] : [OUTCOME_WORDS[outcome]]),
    ...(state === 'Overdue' ? ['OVERDUE'] : state === 'Terminating' ? ['TERMINATING'] : []),
  ]
  if (words.length === 0) return { text: 'NO VERDICT YET', tone: 'unknown', strong: true }
  const tone = outcome !== undefined ? OUTCOME_TONE[outcome] : state === 'Overdue' ? 'warning' : 'plain'
  return { text: words.join(', '), tone, strong: true }
}

const CAUSE_WORDS: Record<Cause, (at: string) => string> = {
  Deleted: (at) => `deleted ${at} by an API delete`,
  Evicted: (at) => `evicted ${at} by the kubelet`,
  EvictedByAPI: (at) => `evicted ${at} through the eviction API, as a drain does`,
  Preempted: (at) => `preempted ${at} for a pod of higher priority`,
  Tainted: (at) => `deleted ${at} because of a NoExecute taint`,
  NodeShutdown: (at) => `ended ${at} by the shutdown of its node`,
  NodeLost: (at) => `deleted ${at}, but its node does not answer`,
  DeadlineExceeded: (at) => `ended ${at} because its activeDeadlineSeconds were over`,
  ForceDeleted: (at) => `force-deleted ${at} while its containers ran`,
  GarbageCollected: (at) => `removed ${at} by the pod garbage collector`,
  Completed: (at) => `ran to its end ${at}`,
  Unknown: (at) => `ended ${at}, nothing says why`,
}

/** One sentence: deleted when and by whom, with which grace period, for how long, how much of it was used. */
export function story(record: PodTermination, now?: Micros, timeZone?: string): string {
  const timeline = timelineOf(record, now)
  const cause = record.cause?.type
  const at = timeline === undefined ? '' : wallClock(timeline.start, timeline.startWidth < 400_000, timeZone)
  const parts = [
    cause === undefined ? `terminating${at === '' ? '' : ` since ${at}`}` : CAUSE_WORDS[cause](at).replace(/ +(?=[ ,]|$)/g, ''),
  ]
  const { graceSeconds } = record.pod
  const used = record.graceUsedPercent
  if (graceSeconds !== undefined) parts.push(`grace ${graceText(graceSeconds)}${used === undefined ? '' : ` (${used} % used)`}`)
  parts.push(progress(record, now))
  return parts.filter((part) => part !== '').join(', ')
}

/** How long it took, or how long it has been going on. */
function progress(record: PodTermination, now?: Micros): string {
  const timeline = timelineOf(record, now)
  const removed = record.timeline?.some(({ mark }) => mark === 'Removed')
  if (record.state === undefined) return 'not yet taken up by the controller'
  if (record.state === 'Complete') {
    if (record.tookMilliseconds === undefined) return removed ? 'gone' : 'ended'
    return `${removed ? 'gone' : 'ended'} after ${duration(record.tookMilliseconds * 1000)}`
  }
  const elapsed = now === undefined || timeline === undefined ? undefined : now - timeline.start
  const late = elapsed === undefined || timeline?.deadline === undefined ? undefined : elapsed - timeline.deadline
  const still = elapsed === undefined ? 'still there' : `still there after ${duration(Math.max(0, elapsed))}`
  if (record.state === 'Overdue')
    return late === undefined || late < 0 ? `${still}, past its deadline` : `${still}, ${duration(late)} past its deadline`
  return late === undefined || late >= 0 ? still : `${still}, ${duration(-late)} to its deadline`
}

/** `Deployment web`; nothing for a pod that belongs to none but itself. */
export function ownerWords({ name, workload }: PodTermination['pod']): string | undefined {
  if (workload === undefined || (workload.kind === 'Pod' && workload.name === name)) return undefined
  return `${workload.kind} ${workload.name}`
}

const HANDLER_WORDS = { Exec: 'exec', HTTPGet: 'httpGet', Sleep: 'sleep', TCPSocket: 'tcpSocket' } as const

export const handlerWords = (container: ContainerEnd | undefined) =>
  container?.preStop === undefined ? '' : HANDLER_WORDS[container.preStop.handler]

/** What a mark says happened; `container` is the record's entry for the mark's container, `kernel` what its agent saw of it. */
export function markWords(mark: Mark, container: ContainerEnd | undefined, kernel?: KernelContainer): Span {
  const exit = container?.exit
  switch (mark.mark) {
    case 'Terminating':
      return { text: 'termination began' }
    case 'GraceShortened':
      return { text: 'grace period shortened by a later delete', tone: 'warning' }
    case 'Acknowledged':
      return { text: 'kubelet took it in' }
    case 'PreStopStarted':
      return { text: container?.preStop === undefined ? 'preStop started' : `preStop started (${handlerWords(container)})` }
    case 'PreStopFinished':
      switch (container?.preStop?.result) {
        case 'Failed':
          return { text: 'preStop failed', tone: 'warning' }
        case 'Overran':
          return { text: 'preStop overran', tone: 'warning' }
        default:
          return { text: 'preStop ended' }
      }
    case 'StopSignal': {
      const name = clean(container?.stopSignal?.name ?? 'stop signal')
      switch (container?.stopSignal?.result) {
        case 'Delivered':
          return { text: `${name} reached PID 1${PASSED_ON[kernel?.passedOn?.result ?? 'Unknown']}` }
        case 'Ignored':
          return { text: `${name} dropped by the kernel`, tone: 'warning' }
        default:
          return { text: `${name} to PID 1` }
      }
    }
    case 'Kill':
      return { text: `SIGKILL${killerWords(container, mark.confidence === 'Measured' ? kernel : undefined)}`, tone: 'bad' }
    case 'ContainerExited':
      return exit === undefined
        ? { text: 'exited, code not seen' }
        : { text: exitWords(exit), tone: container?.outcome === undefined ? 'plain' : OUTCOME_TONE[container.outcome] }
    case 'EndpointNotReady':
      return { text: 'out of rotation' }
    case 'EndpointTerminating':
      return { text: 'endpoint marked terminating' }
    case 'EndpointNotServing':
      return { text: 'no longer serving' }
    case 'EndpointRemoved':
      return { text: 'endpoint gone' }
    case 'PodFinished':
      return { text: 'pod phase terminal' }
    case 'Removed':
      return { text: 'object gone' }
  }
}

const KILLER = {
  Runtime: ' by the runtime',
  OOM: ' by the kernel, out of memory',
  Other: ' by somebody else',
  Unknown: '',
} as const

const PASSED_ON = { PassedOn: ', passed on', NotPassedOn: ', not passed on', NothingBelow: '', Unknown: '' } as const

/** Where the agent saw the sender, it is named: who else would know? */
function killerWords(container: ContainerEnd | undefined, kernel: KernelContainer | undefined): string {
  const { by, sender } = kernel?.kill ?? {}
  const who = sender === undefined || sender === '' ? 'a process' : clean(sender)
  switch (by) {
    case 'Container':
      return ` by ${who} in the container`
    case 'Pod':
      return ` by ${who} in another container`
    case 'OtherPod':
      return ` by ${who} of another pod`
    case 'Node':
      return ` by ${who} on the node`
    case 'Outside':
      return ' from outside of the container'
    case 'Namespace':
      return ' by the kernel, PID 1 had ended'
    case 'Kernel':
      return ' by the kernel'
    default:
      return KILLER[container?.kill?.by ?? 'Unknown']
  }
}

/** `exit 137 OOMKilled`; the reasons Error and Completed say no more than the code does. */
function exitWords({ code, reason }: { code: number; reason?: string | undefined }): string {
  const more = reason === undefined || reason === 'Error' || reason === 'Completed' ? '' : ` ${clean(reason)}`
  return `exit ${code}${more}`
}

/** The end of a lane: code and telling reason, without the word exit. */
export const exitLabel = (exit: { code: number; reason?: string | undefined }) => exitWords(exit).slice('exit '.length)

type Words = Record<Mark['source'], string>
const SOURCE_WORDS: Words = {
  APIServer: 'API server',
  Kubelet: 'kubelet status',
  Event: 'kubelet event',
  EndpointSlice: 'EndpointSlice',
  Kernel: 'kernel trace',
  Recorder: 'recorder',
}
/** For narrow terminals. */
const SHORT_SOURCE_WORDS: Words = {
  APIServer: 'API',
  Kubelet: 'status',
  Event: 'event',
  EndpointSlice: 'slice',
  Kernel: 'kernel',
  Recorder: 'recorder',
}

/** Who says so. */
export function sourceWords({ source, confidence }: Mark, short: boolean): string {
  if (confidence === 'Inferred') return 'inferred'
  if (short) return SHORT_SOURCE_WORDS[source]
  return confidence === 'Measured' ? `measured in the ${SOURCE_WORDS[source].replace(' trace', '')}` : SOURCE_WORDS[source]
}

const CLOCK_WORDS: Record<Mark['clock'], string> = {
  APIServer: "the API server's clock",
  Node: "the node's clock",
  Recorder: "the recorder's clock",
}
export const clockWords = (mark: Mark) => CLOCK_WORDS[mark.clock]

/** The whole of what is known about a mark's time; `range` are its bounds. */
export function provenance(mark: Mark, range: string): string {
  const { source, confidence } = mark
  const how = {
    Measured: `measured: ${SOURCE_WORDS[source]}`,
    Reported: `reported: ${SOURCE_WORDS[source]}`,
    Observed: `observed: ${SOURCE_WORDS[source]}`,
    Inferred: `inferred by rule: ${SOURCE_WORDS[source]}`,
  }[confidence]
  return `${how}, ${range} on ${clockWords(mark)}`
}
