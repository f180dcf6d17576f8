import type { MarkType } from '../../../src/api/pod-termination.ts'
import type { Micros } from '../../../src/core/time.ts'
import type { Raw } from '../api.ts'
import type { Line } from '../watch.ts'
import type { Interval } from './interval.ts'
import type { TruthMark } from './truth.ts'

interface EndpointView {
  readonly present: boolean
  readonly ready: boolean
  readonly serving: boolean
  readonly terminating: boolean
}
const ABSENT: EndpointView = { present: false, ready: false, serving: false, terminating: false }

function viewOf(slice: Raw, uid: string): EndpointView {
  const endpoint = (slice.endpoints ?? []).find((it: Raw) => it.targetRef?.uid === uid)
  if (endpoint === undefined) return ABSENT
  const { ready = true, serving = ready, terminating = false } = endpoint.conditions ?? {}
  return { present: true, ready, serving, terminating }
}

/** Over all slices of one Service: the pod is what any of them says. */
function together(views: Iterable<EndpointView>): EndpointView {
  let all = ABSENT
  for (const view of views) {
    all = {
      present: all.present || view.present,
      ready: all.ready || view.ready,
      serving: all.serving || view.serving,
      terminating: all.terminating || view.terminating,
    }
  }
  return all
}

/**
 * When the pod's endpoint changed in each Service, from the slices as the test saw them. A mark is the last change of its kind;
 * what is lost only because the endpoint goes away altogether is the removal's, and a mark of its own only by choice.
 */
export function endpointMarks(
  slices: readonly Line[],
  uid: string,
  start: Micros,
  madeAt: (line: Line, since: Micros) => Interval,
): TruthMark[] {
  const services = new Map<string, Map<string, EndpointView>>()
  const found = new Map<string, TruthMark>()
  for (const line of slices) {
    const service: string | undefined = line.object.metadata.labels?.['kubernetes.io/service-name']
    if (service === undefined) continue
    const views = services.get(service) ?? new Map<string, EndpointView>()
    services.set(service, views)
    const before = together(views.values())
    views.set(line.object.metadata.uid, line.type === 'DELETED' ? ABSENT : viewOf(line.object, uid))
    const after = together(views.values())
    const note = (mark: MarkType, optional: boolean) => {
      const made = madeAt(line, start)
      found.set(`${service}/${mark}`, {
        mark,
        service,
        ...made,
        source: 'watch',
        ...(optional || made.latest < start ? { optional: true } : {}),
      })
    }
    const gone = before.present && !after.present
    if (before.ready && !after.ready) note('EndpointNotReady', gone)
    if (!before.terminating && after.terminating) note('EndpointTerminating', false)
    if (before.serving && !after.serving) note('EndpointNotServing', gone)
    if (gone) note('EndpointRemoved', false)
    if (!before.ready && after.ready) found.delete(`${service}/EndpointNotReady`)
    if (!before.serving && after.serving) found.delete(`${service}/EndpointNotServing`)
    if (!before.present && after.present) found.delete(`${service}/EndpointRemoved`)
  }
  return [...found.values()]
}
