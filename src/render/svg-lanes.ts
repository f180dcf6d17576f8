/** The lanes of a picture: a container's frame with its hook and its signal, and a Service's time in rotation. */
import type { ContainerEnd, EndpointEnd } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import type { Span, Tone } from './span.ts'
import { BAR, type Lane, line, type Place, SMALL, text } from './svg-parts.ts'
import { clean, displayWidth } from './text.ts'
import { type Moment, momentsOf, type Timeline } from './timeline.ts'
import { exitLabel, handlerWords, OUTCOME_TONE } from './words.ts'
import { element, type Markup } from './xml.ts'

/** A narrower band would not be seen beside its mark. */
const LEAST_BAND = 4

/** From the earliest to the latest moment, where that is more than the mark itself. */
function band({ x }: Place, { earliest, latest, arrival, upperBound }: Moment, middle: number, tone: Tone): Markup[] {
  const width = x(latest) - x(earliest)
  if (arrival || upperBound || width < LEAST_BAND) return []
  return [element('rect', { class: `band ${tone}`, x: x(earliest), y: middle - BAR / 2, width, height: BAR })]
}

/** What stands behind the lane of a container. */
export function endOf(container: ContainerEnd, timeline: Timeline): Span[] {
  const { exit, outcome, role, name } = container
  const tone = outcome === undefined ? 'plain' : OUTCOME_TONE[outcome]
  const more: Span[] = role === 'Main' ? [] : [{ text: ` ${role.toLowerCase()}`, tone: 'quiet' }]
  if (outcome === 'NeverStarted') return [{ text: 'never started', tone: 'unknown' }, ...more]
  const exited = momentsOf(timeline, 'ContainerExited', { container: name }, exit?.at).at(-1)
  if (exit !== undefined) {
    const early = exited !== undefined && exited.latest < 0 ? 'exited before: ' : 'exit '
    return [{ text: `${early}${exitLabel(exit)}`, tone }, ...more]
  }
  if (exited !== undefined || container.kill !== undefined) return [{ text: 'code not seen', tone: 'unknown' }, ...more]
  return [{ text: timeline.open ? 'no end seen yet' : 'end not seen', tone: 'unknown' }, ...more]
}

export function containerLane(container: ContainerEnd, place: Place, middle: number): Pick<Lane, 'drawing' | 'end' | 'bands'> {
  const { timeline, x } = place
  const subject = { container: container.name }
  const { preStop, stopSignal, kill, exit, outcome } = container
  const end = endOf(container, timeline)
  const tone = outcome === undefined ? 'plain' : OUTCOME_TONE[outcome]
  const hooks = momentsOf(timeline, 'PreStopStarted', subject, preStop?.startedAt)
  const hookEnd = momentsOf(timeline, 'PreStopFinished', subject, preStop?.finishedAt).at(-1)
  const signals = momentsOf(timeline, 'StopSignal', subject, stopSignal?.at)
  const kills = momentsOf(timeline, 'Kill', subject, kill?.at)
  const exited = momentsOf(timeline, 'ContainerExited', subject, exit?.at).at(-1)
  const [hook] = hooks
  const signal = signals.find(({ upperBound }) => upperBound !== true)
  const gone = exited ?? kills.at(-1)
  if (outcome === 'NeverStarted') return { drawing: [], end }
  if (gone !== undefined && gone.latest < 0 && hooks.length + signals.length + kills.length === 0) return { drawing: [], end }
  const last = gone?.at ?? timeline.end
  const piece = (from: Micros, to: Micros, classes: string, words: readonly string[]): Markup[] => {
    const width = x(to) - x(from)
    if (width <= 0) return []
    const fitting = words.find((word) => displayWidth(word) * SMALL + 26 <= width)
    return [
      element('rect', { class: classes, x: x(from), y: middle - BAR / 2, width, height: BAR }),
      ...(fitting === undefined ? [] : [text(x(from) + width / 2, middle + 4, fitting, 'plain small middle')]),
    ]
  }
  const hookTone = preStop?.result === 'Overran' || preStop?.result === 'Failed' ? 'warning' : 'unknown'
  const hookUntil = Math.min(last, hookEnd?.at ?? signal?.at ?? last)
  const signalName = clean(stopSignal?.name ?? 'the stop signal')
  const bands = [
    ...[hookEnd, ...signals, ...kills].flatMap((moment) => (moment === undefined ? [] : band(place, moment, middle, 'unknown'))),
    ...(exited === undefined ? [] : band(place, exited, middle, tone)),
  ]
  // On a clock that is behind, the container began to end before its pod did.
  const first = Math.min(0, last, hook?.at ?? 0, signal?.at ?? 0)
  const frame = element('rect', {
    class: `frame ${tone}${gone === undefined ? ' open' : ''}`,
    x: x(first),
    y: middle - BAR / 2,
    width: Math.max(2, x(last) - x(first)),
    height: BAR,
    rx: 2,
  })
  return {
    drawing: [
      ...(hook === undefined
        ? []
        : piece(hook.at, hookUntil, `hook ${hookTone}`, [`preStop (${handlerWords(container)})`, 'preStop'])),
      ...(signal === undefined ? [] : piece(signal.at, last, `wash ${tone}`, [`after ${signalName}`])),
      ...bands,
      frame,
    ],
    end,
    bands: bands.length > 0,
  }
}

export function serviceLane(endpoint: EndpointEnd, { timeline, x }: Place, middle: number): Pick<Lane, 'drawing' | 'end'> {
  const subject = { service: endpoint.service }
  const [out] = momentsOf(timeline, 'EndpointNotReady', subject, endpoint.notReadyAt)
  const [idle] = momentsOf(timeline, 'EndpointNotServing', subject, endpoint.notServingAt)
  const gone = momentsOf(timeline, 'EndpointRemoved', subject, endpoint.removedAt).at(-1)
  const last = gone?.at ?? timeline.end
  const until = Math.min(last, out?.at ?? last)
  const served = Math.min(last, Math.max(until, idle?.at ?? last))
  // Without a mark, only the word on the moment of the stop signal tells whether it was in rotation.
  const known = out !== undefined || endpoint.readyAtStopSignal === 'True'
  const tone = !known ? 'unknown' : endpoint.readyAtStopSignal === 'True' ? 'warning' : 'plain'
  const words = known
    ? ['in rotation']
    : endpoint.readyAtStopSignal === 'False'
      ? ['out of rotation, not seen when']
      : ['in or out of rotation, not seen']
  const stretch = (from: Micros, to: Micros, classes: string, label: readonly string[]): Markup[] => {
    const width = x(to) - x(from)
    if (width <= 0) return []
    const fitting = label.find((word) => displayWidth(word) * SMALL + 16 <= width)
    return [
      line(x(from), middle, x(to), middle, classes),
      ...(fitting === undefined ? [] : [text(x(from) + 12, middle - 7, fitting, 'quiet small')]),
    ]
  }
  const end: Span[] =
    gone === undefined ? [{ text: timeline.open ? '' : 'not gone', tone: 'unknown' }] : [{ text: 'gone', tone: 'quiet' }]
  return {
    drawing: [
      ...stretch(0, until, `${known ? 'bar' : 'thin'} ${tone}`, words),
      ...stretch(until, served, 'thin plain', ['out of rotation, still serving']),
      ...stretch(Math.max(until, served), last, 'dotted quiet', ['not serving']),
    ],
    end,
  }
}
