/** What a record cannot say because nobody saw it, one sentence each. */
import type { PodFact } from '../evidence.ts'
import { formatTime, type Micros, parseTime } from '../time.ts'
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
  const { agent, kernel, foreignKernel, remains } = history
  if (history.last === undefined) {
    const left = [
      ...(history.events.length > 0 ? ["the kubelet's Events"] : []),
      ...(kernel === undefined ? [] : ['what an agent measured']),
    ]
    const was = left.length > 1 || history.events.length > 0 ? 'were' : 'was'
    const lacks = kernel === undefined ? "its containers' ends are" : 'what its containers were to it, and their exit codes, are'
    found.push(`only ${left.join(' and ')} of the pod ${was} left when the recorder looked: ${lacks} not known.`)
    return found
  }
  if (remains)
    found.push(
      'the record was written late, right before a cleanup deleted the pod, from what the pod itself still said of its end.',
    )
  found.push(...unmeasured(input))
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

/** What the agent of the node may have missed while the pod's containers ended, and what of its word cannot be true. */
function unmeasured({ history: { kernel }, containers }: MissingInput): string[] {
  const touched = containers.flatMap(({ killing, stop, exit }) => {
    const from = killing ?? stop ?? exit
    return from === undefined ? [] : [{ from: from.earliest, to: (exit ?? from).latest }]
  })
  const gaps = (kernel?.gaps ?? []).flatMap((gap) => {
    const from = gap.from === undefined ? Number.NEGATIVE_INFINITY : parseTime(gap.from)
    const to = parseTime(gap.to)
    return from !== undefined && to !== undefined && touched.some((span) => from <= span.to && to >= span.from)
      ? [{ since: gap.from === undefined ? '' : ` from ${time(from)}`, until: time(to), reason: gap.reason }]
      : []
  })
  const lost = kernel?.lostEvents ?? 0
  return [
    ...gaps.map(({ since, until, reason }) => `the kernel's signals may have gone unseen${since} to ${until}: ${reason}.`),
    ...(lost > 0 && gaps.length === 0
      ? [
          `the kernel threw ${lost} events away unread while the pod was ending: what is not among the measured may have been there.`,
        ]
      : []),
    ...containers.flatMap(({ end, measured }) =>
      measured === undefined || measured.distrusted.length === 0
        ? []
        : [
            `what the agent says of ${end.name} has times that cannot be true, and is left out: ${measured.distrusted.join(', ')}.`,
          ],
    ),
  ]
}
