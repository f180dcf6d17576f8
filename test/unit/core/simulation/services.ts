/** The endpoints controller: what each slice says of the pod, and what that made of the pod's place in the Service. */
import type { MarkType } from '../../../../src/api/pod-termination.ts'
import { MILLISECOND, type Micros, SECOND } from '../../../../src/core/time.ts'
import { EPOCH, type PodStory } from '../../builders.ts'
import type { Script } from './history.ts'
import type { Plan } from './plan.ts'

export interface Rotation {
  readonly service: string
  readonly flips: readonly { readonly mark: MarkType; readonly at: Micros }[]
  /** Whether the Service sent new traffic to the pod at this time. */
  readonly readyAt: (at: Micros) => boolean
}

interface State {
  readonly present: boolean
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
}

const GONE: State = { present: false, ready: false, serving: false, terminating: false }
const MS = MILLISECOND
const seconds = (at: Micros): number => (at - EPOCH) / SECOND

/** @param endedAt when the pod's phase became terminal, or its object was gone */
export function tellServices(
  plan: Plan,
  story: PodStory,
  script: Script,
  arrives: (at: Micros) => number,
  beganAt: Micros,
  endedAt: Micros,
): Rotation[] {
  const deleted = plan.ending !== 'Deadline' && plan.ending !== 'Evicted' && plan.ending !== 'NodeShutdown'
  return plan.services.map((service, number) => {
    const name = `service-${number + 1}`
    const slices = Array.from({ length: service.slices }, (_, index) => `${name}-${index + 1}`)
    const flips: { mark: MarkType; at: Micros }[] = []
    const ready: { at: Micros; ready: boolean }[] = []
    const states = new Map<string, State>()
    const whole = (): State =>
      [...states.values()].reduce(
        (sum, state) => ({
          present: sum.present || state.present,
          ready: sum.ready || state.ready,
          serving: sum.serving || state.serving,
          terminating: sum.terminating || state.terminating,
        }),
        GONE,
      )
    const change = (slice: string, state: State, at: Micros) => {
      const before = whole()
      states.set(slice, state)
      const now = whole()
      ready.push({ at, ready: now.ready })
      if (before.ready && !now.ready) flips.push({ mark: 'EndpointNotReady', at })
      if (!before.terminating && now.terminating) flips.push({ mark: 'EndpointTerminating', at })
      if (before.serving && !now.serving) flips.push({ mark: 'EndpointNotServing', at })
      if (before.present && !now.present) flips.push({ mark: 'EndpointRemoved', at })
    }
    const stateAt = (at: Micros): State => {
      if (at >= endedAt) return GONE
      const serving = service.flips.filter(({ ms }) => beganAt + ms * MS <= at).reduce((_, flip) => flip.serving, true)
      const terminating = deleted && at >= beganAt
      return { present: true, ready: service.publishNotReady || (serving && !terminating), serving, terminating }
    }
    script.add(EPOCH - 3000 * SECOND + number, (at) => {
      for (const slice of slices) {
        const state = stateAt(at)
        change(slice, state, at)
        story.endpoint(name, state, 'before', { slice })
      }
    })
    const turns = [...(deleted ? [beganAt] : []), ...service.flips.map(({ ms }) => beganAt + ms * MS), endedAt].filter(
      (at) => at <= endedAt,
    )
    for (const turn of [...turns].sort((a, b) => a - b)) {
      slices.forEach((slice, index) => {
        script.add(turn + (service.reaction + index * 7) * MS, (at) => {
          const state = stateAt(turn)
          const known = states.get(slice)
          if (known !== undefined && JSON.stringify(known) === JSON.stringify(state)) return
          change(slice, state, at)
          story.endpoint(name, state, { at: seconds(at), arrives: arrives(at) }, { slice })
        })
      })
    }
    return {
      service: name,
      flips,
      readyAt: (at) => [...ready].reverse().find((item) => item.at <= at)?.ready ?? false,
    }
  })
}
