/** What a record cannot say because nobody saw it, one sentence each. */
import type { PodFact } from '../evidence.ts'
import { formatTime, type Micros } from '../time.ts'
import type { ContainerResult } from './containers.ts'
import type { History } from './history.ts'

export interface MissingInput {
  readonly history: History
  readonly containers: readonly ContainerResult[]
  /** First sight of the deletion that ended the pod. */
  readonly asked: PodFact | undefined
  /** On the recorder's clock. */
  readonly startEarliest: Micros
  readonly finishedAt: Micros
  readonly cause: string
  readonly over: boolean
  /** Nobody saw when it began, so its Events are not told from those of an earlier stop. */
  readonly unseen: boolean
}

const time = (at: Micros): string => `${formatTime(at).slice(11, 21)}Z`

export function evidenceMissing(input: MissingInput): string[] {
  const { history, containers, asked, cause, over, unseen } = input
  const found: string[] = []
  for (const gap of history.gaps) {
    if (gap.to < input.startEarliest || gap.from > input.finishedAt) continue
    const what = gap.resource === 'Pod' ? 'Pods' : gap.resource === 'Event' ? 'Events' : 'EndpointSlices'
    found.push(`nobody watched ${what} from ${time(gap.from)} to ${time(gap.to)}: ${gap.reason}.`)
  }
  const { agent, kernel, foreignKernel } = history
  if (history.last === undefined) {
    const left = [
      ...(history.events.length > 0 ? ["the kubelet's Events"] : []),
      ...(kernel === undefined ? [] : ['what an agent measured']),
    ]
    const was = left.length > 1 || history.events.length > 0 ? 'were' : 'was'
    found.push(`only ${left.join(' and ')} of the pod ${was} left when the recorder looked: its containers' ends are not known.`)
    return found
  }
  if (foreignKernel !== undefined && kernel === undefined)
    found.push(`the agent of another node, ${foreignKernel}, claims to have measured this pod, which is not believed.`)
  if (agent !== undefined && kernel?.complete !== true) {
    const what = kernel === undefined ? 'said nothing of the pod' : 'not said that all its containers had ended'
    found.push(`the agent on ${agent.node} had ${what} within 1 s of the pod's end, so some of what it measures is missing.`)
  }
  if (asked?.change === 'Listed') {
    found.push(
      'the termination had begun when the recorder first saw it; what happened before is known only as far as the API still told it.',
    )
  }
  if (asked === undefined && history.removal?.change === 'Vanished') {
    found.push('the pod was deleted while nobody watched; when and how is not known.')
  }
  for (const { end, missing, killing, exit } of containers) {
    if (missing !== undefined) {
      const how = cause === 'ForceDeleted' ? 'the object was removed before the kubelet could report it' : missing
      found.push(`the end of ${end.name} was not seen: ${how}.`)
    }
    const stopped = end.stopSignal !== undefined && end.outcome !== 'NeverStarted'
    if (over && !unseen && stopped && killing === undefined && exit !== undefined) {
      found.push(
        `no Killing event of ${end.name} arrived, so the start of its hook and signal are known only by rule ` +
          '(the kubelet limits its Events, and a namespace that is being deleted takes none).',
      )
    }
  }
  return found
}
