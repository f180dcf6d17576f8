/**
 * A record as a picture: the pod's frame, in it a frame for each container, below it a lane for each Service, all on one time axis.
 * Pure. Every time that is not sure is drawn as a band from its earliest to its latest moment.
 */
import type { ContainerEnd, EndpointEnd, Finding, MarkType, PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { drawnContainers } from './lanes.ts'
import { timingOf, wordsOf } from './marks.ts'
import { type Scale, scaleOf, shownDeadline } from './scale.ts'
import type { Span, Tone } from './span.ts'
import { SVG_STYLE } from './svg-style.ts'
import { clean, displayWidth, shorten, wrap } from './text.ts'
import { type Moment, momentsOf, type PlacedMark, type Timeline, timelineOf } from './timeline.ts'
import { duration, shortDuration, ticks } from './units.ts'
import { exitLabel, handlerWords, OUTCOME_TONE, ownerWords, provenance, story, verdict } from './words.ts'
import { element, Markup } from './xml.ts'

export interface SvgOptions {
  /** Where an unfinished termination is drawn to; without it, to the last thing known. */
  now?: Micros
  /** A picture of its own, with its style, the pod's name, the verdict and the findings; without it, a part of a page that has these. */
  alone?: boolean
  /** Of the times of day, as Europe/Berlin; UTC unless told. */
  timeZone?: string
  /** Before every id in it, where a page has several. */
  id?: string
}

const WIDTH = 960
const MARGIN = 12
/** Advance of a character of the face at 13 and at 11 px, rounded up. */
const CHARACTER = 7.9
const SMALL = 6.7
const LANE = 34
const BAR = 22
const TAIL = 80
const MOST_SERVICES = 8
/** Marks of one lane stand at least this far apart, or one would hide the other; their lines stand where they belong. */
const APART = 13
/** A narrower band would not be seen beside its mark. */
const LEAST_BAND = 4

export function drawSvg(record: PodTermination, options: SvgOptions = {}): string {
  const { now, alone = true, id = 'gw', timeZone } = options
  const timeline = timelineOf(record, now)
  const parts: Markup[] = []
  let y = 0
  if (alone) {
    const { markup, height } = heading(record, now, timeZone)
    parts.push(markup)
    y = height
  }
  if (timeline !== undefined) {
    const { markup, height } = picture(record, timeline, y, alone)
    parts.push(markup)
    y = height
  }
  if (alone) {
    const { markup, height } = findings(record.findings ?? [], y)
    parts.push(markup)
    y = height
  }
  const height = Math.ceil(y + MARGIN)
  const name = `${record.pod.namespace}/${record.pod.name}`
  const svg = element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: 'gw',
      viewBox: `0 0 ${WIDTH} ${height}`,
      width: WIDTH,
      height,
      role: 'group',
      'aria-labelledby': `${id}-title`,
      'aria-describedby': `${id}-desc`,
    },
    element('title', { id: `${id}-title` }, `How ${name} ended: ${verdict(record).text.toLowerCase()}`),
    element('desc', { id: `${id}-desc` }, story(record, now, timeZone)),
    alone ? element('style', {}, new Markup(SVG_STYLE)) : undefined,
    alone ? element('rect', { class: 'paper', width: WIDTH, height }) : undefined,
    ...parts,
  )
  return svg.text
}

interface Block {
  readonly markup: Markup
  /** Where it ends, from the top. */
  readonly height: number
}

const text = (x: number, y: number, words: string, classes = 'plain') => element('text', { x, y, class: classes }, words)
const line = (x1: number, y1: number, x2: number, y2: number, classes: string) =>
  element('line', { x1, y1, x2, y2, class: classes })
const columns = Math.floor((WIDTH - 2 * MARGIN) / CHARACTER)

function heading(record: PodTermination, now: Micros | undefined, timeZone: string | undefined): Block {
  const end = verdict(record)
  const { namespace, name, node } = record.pod
  const id = shorten(clean(`${namespace}/${name}`), columns - displayWidth(end.text) - 4)
  const owner = [ownerWords(record.pod), node].filter((part) => part !== undefined).join('   ')
  const below = [
    ...(owner === '' ? [] : [{ words: shorten(clean(owner), columns), tone: 'quiet' }]),
    ...wrap(story(record, now, timeZone), columns).map((words) => ({ words, tone: 'plain' })),
  ]
  const rows = [
    text(MARGIN, 26, id, 'plain strong'),
    text(WIDTH - MARGIN, 26, end.text, `${end.tone ?? 'plain'} strong end`),
    ...below.map(({ words, tone }, index) => text(MARGIN, 46 + 20 * index, words, tone)),
  ]
  return { markup: element('g', {}, ...rows), height: 42 + 20 * below.length }
}

function findings(list: readonly Finding[], from: number): Block {
  const rows: Markup[] = []
  let y = from + 4
  for (const { type, severity, container, service, message } of list) {
    const subject = container ?? service
    const head = `${severity === 'Warning' ? 'WARNING' : 'INFO'} ${type}${subject === undefined ? '' : ` (${subject})`}`
    y += 26
    rows.push(text(MARGIN, y, shorten(clean(head), columns), severity === 'Warning' ? 'warning strong' : 'quiet strong'))
    for (const words of wrap(clean(message), columns - 2)) {
      y += 18
      rows.push(text(MARGIN + 2 * CHARACTER, y, words))
    }
  }
  return { markup: element('g', {}, ...rows), height: y }
}

interface Lane {
  readonly y: number
  readonly label: string
  readonly drawing: readonly Markup[]
  readonly end: readonly Span[]
  /** A moment in it is not sure. */
  readonly bands?: boolean
  /** Of which marks this lane is. */
  readonly container?: string
  readonly service?: string
}

function picture(record: PodTermination, timeline: Timeline, top: number, alone: boolean): Block {
  const { drawn, left } = drawnContainers(record)
  const endpoints = (record.endpoints ?? []).slice(0, MOST_SERVICES)
  const fewer = (record.endpoints ?? []).length - endpoints.length
  const widest = (words: readonly string[], most: number) =>
    Math.min(most, Math.ceil(Math.max(3, ...words.map((word) => displayWidth(clean(word)))) * CHARACTER))
  const labelWidth = widest([...drawn.map(({ name }) => name), ...endpoints.map(({ service }) => `service ${service}`)], 230)
  const endWidth = widest(
    drawn.map((container) => wordsFor(endOf(container, timeline))),
    200,
  )
  const x0 = MARGIN + labelWidth + 18
  const scale = scaleOf(timeline, WIDTH - MARGIN - endWidth - 24 - x0, TAIL)
  const place: Place = { timeline, scale, x: (at) => x0 + scale.column(at), right: x0 + scale.columns }

  const axisY = top + 14
  const frameTop = top + 24
  let y = frameTop + 30
  const pod: Lane = { y: frameTop + 14, label: 'pod', drawing: [], end: [] }
  const lanes: Lane[] = [pod]
  for (const container of drawn) {
    lanes.push({
      y: y + LANE / 2,
      label: container.name,
      container: container.name,
      ...containerLane(container, place, y + LANE / 2),
    })
    y += LANE
  }
  const frameBottom = y + 4
  y = frameBottom + (endpoints.length === 0 ? 0 : 10)
  for (const endpoint of endpoints) {
    const middle = y + LANE / 2 - 2
    lanes.push({
      y: middle,
      label: `service ${endpoint.service}`,
      service: endpoint.service,
      ...serviceLane(endpoint, place, middle),
    })
    y += LANE - 4
  }
  const bottom = y
  const deadline = shownDeadline(timeline)
  const endX = place.x(timeline.end)
  const parts: Markup[] = [
    ...axis(place, axisY, frameTop, bottom),
    element('rect', {
      class: `frame pod-tone${timeline.open ? ' open' : ''}`,
      x: place.x(0),
      y: frameTop,
      width: Math.max(2, endX - place.x(0)),
      height: frameBottom - frameTop,
      rx: 3,
    }),
    ...(deadline === undefined || deadline > scale.end
      ? []
      : [line(place.x(deadline), frameTop - 4, place.x(deadline), frameBottom + 4, 'deadline')]),
    ...lanes.map((lane) => element('g', {}, ...label(lane, labelWidth), ...lane.drawing, ...ends(lane, place, endWidth))),
    ...breakSigns(place, frameTop, frameBottom),
  ]
  const more = [counted(left, 'container'), counted(fewer, 'Service')].filter((words) => words !== '')
  if (more.length > 0) {
    y += 18
    parts.push(text(MARGIN, y, `and ${more.join(', ')} in the record`, 'quiet small'))
  }
  y += 24
  parts.push(...legend(timeline, lanes, x0, y))
  // A picture that stands alone may be shown where nothing can be pointed at.
  const told = alone ? undefined : y + 28
  if (told !== undefined)
    parts.push(
      text(MARGIN, told, 'Point at a mark, or tab to it: what happened, how sure that is, and who says so.', 'quiet small hint'),
    )
  parts.push(...marks(record, place, lanes, told))
  return { markup: element('g', {}, ...parts), height: told === undefined ? y : told + 16 }
}

/** The signs that do not explain themselves, where they were drawn. */
const LEGEND: readonly [MarkType, string][] = [
  ['PreStopStarted', 'preStop starts'],
  ['PreStopFinished', 'preStop ends'],
  ['StopSignal', 'stop signal'],
  ['Kill', 'SIGKILL'],
  ['ContainerExited', 'exit'],
]

function legend(timeline: Timeline, lanes: readonly Lane[], from: number, y: number): Markup[] {
  let x = from
  const entry = (drawn: readonly Markup[], words: string): Markup => {
    const group = element('g', { class: 'quiet' }, ...drawn, text(x + 16, y + 4, words, 'quiet small'))
    x += 16 + displayWidth(words) * SMALL + 18
    return group
  }
  const entries = LEGEND.filter(([type]) => timeline.marks.some(({ mark }) => mark.mark === type)).map(([type, words]) =>
    entry(sign(type, x + 5, y), words),
  )
  if (lanes.some(({ bands }) => bands))
    entries.push(
      entry([element('rect', { class: 'band unknown', x, y: y - 6, width: 12, height: 12 })], 'at some moment in here'),
    )
  return entries
}

const counted = (count: number, what: string) => (count > 0 ? `${count} more ${what}${count === 1 ? '' : 's'}` : '')

interface Place {
  readonly timeline: Timeline
  readonly scale: Scale
  x(at: Micros): number
  /** Where the plot ends. */
  readonly right: number
}

const wordsFor = (spans: readonly Span[]) => spans.map((span) => span.text).join('')

function label({ label: words, y, container }: Lane, width: number): Markup[] {
  const fit = Math.floor(width / CHARACTER)
  const tone = words === 'pod' && container === undefined ? 'pod-tone strong' : 'plain'
  return [text(MARGIN, y + 4, shorten(clean(words), fit), tone)]
}

function ends({ end, y }: Lane, { right }: Place, width: number): Markup[] {
  let x = right + 14
  let room = Math.floor(width / CHARACTER)
  return end.map(({ text: words, tone }) => {
    const shown = shorten(clean(words), Math.max(0, room))
    const piece = text(x, y + 4, shown, tone ?? 'plain')
    room -= displayWidth(shown)
    x += displayWidth(shown) * CHARACTER
    return piece
  })
}

function breakSigns({ scale, right }: Place, top: number, bottom: number): Markup[] {
  if (scale.break === undefined) return []
  const at = right - scale.columns + scale.break.column
  const slash = (from: number) => [top, bottom].flatMap((y) => [line(from + 4, y - 6, from - 4, y + 6, 'thin quiet')])
  return [
    element('rect', { class: 'paper', x: at - 3, y: top - 2, width: 8, height: 4 }),
    element('rect', { class: 'paper', x: at - 3, y: bottom - 2, width: 8, height: 4 }),
    ...slash(at - 3),
    ...slash(at + 5),
  ]
}

/** The start, the end and the deadline first, then round moments wherever there is room. */
function axis({ timeline, scale, x, right }: Place, y: number, top: number, bottom: number): Markup[] {
  const taken: [number, number][] = []
  const parts: Markup[] = []
  /** Below the moment, or ending or beginning beside it, where that is clear of the others. */
  const put = (at: Micros, words: string, tone: Tone, shifts: readonly number[]) => {
    const width = displayWidth(words) * SMALL
    for (const shift of shifts) {
      const from = Math.min(Math.max(x(at) - width * shift, MARGIN), right + 8 - width / 2)
      if (taken.some(([start, end]) => from < end + 8 && start < from + width + 8)) continue
      taken.push([from, from + width])
      parts.push(element('text', { x: from, y, class: `${tone} small` }, words))
      return true
    }
    return false
  }
  put(0, '0 s', 'quiet', [0.5])
  put(timeline.end, `${duration(timeline.end)}${timeline.present ? ' now' : ''}`, 'quiet', [0.5])
  const deadline = shownDeadline(timeline)
  if (deadline !== undefined) put(deadline, `${shortDuration(deadline)} deadline`, 'warning', [0.5, 1, 0])
  for (const { at, label } of ticks(scale.from, scale.break?.at ?? scale.end, Math.max(2, Math.floor(scale.columns / 80))))
    if (put(at, label, 'quiet', [0.5])) parts.push(line(x(at), top, x(at), bottom, 'grid'))
  return parts
}

/** From the earliest to the latest moment, where that is more than the mark itself. */
function band({ x }: Place, { earliest, latest, arrival, upperBound }: Moment, middle: number, tone: Tone): Markup[] {
  const width = x(latest) - x(earliest)
  if (arrival || upperBound || width < LEAST_BAND) return []
  return [element('rect', { class: `band ${tone}`, x: x(earliest), y: middle - BAR / 2, width, height: BAR })]
}

/** What stands behind the lane of a container. */
function endOf(container: ContainerEnd, timeline: Timeline): Span[] {
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

function containerLane(container: ContainerEnd, place: Place, middle: number): Pick<Lane, 'drawing' | 'end' | 'bands'> {
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

function serviceLane(endpoint: EndpointEnd, { timeline, x }: Place, middle: number): Pick<Lane, 'drawing' | 'end'> {
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

/** Every mark on its lane, in causal order, which is also the order of the tab key. */
function marks(record: PodTermination, place: Place, lanes: readonly Lane[], told: number | undefined): Markup[] {
  const words = wordsOf(record)
  const drawn: Markup[] = []
  const shifted = new Map<PlacedMark, number>()
  for (const lane of lanes) {
    // Where marks are pushed apart, the later one gives way; that is told by time, not by cause.
    const own = place.timeline.marks
      .filter((placed) => laneOf(placed, lanes) === lane)
      .toSorted((one, other) => one.at - other.at)
    const xs = apart(
      own.map(({ at }) => place.x(at)),
      place.right + APART,
    )
    for (const [index, placed] of own.entries()) shifted.set(placed, xs[index] ?? place.x(placed.at))
  }
  for (const placed of place.timeline.marks) {
    const lane = laneOf(placed, lanes)
    const x = shifted.get(placed)
    if (lane === undefined || x === undefined) continue
    const what = words(placed.mark)
    const { when, range } = timingOf(placed, place.timeline)
    const about = placed.mark.container ?? placed.mark.service
    const first = `${when.trim().replace(/ +/g, ' ')}   ${clean(what.text)}${about === undefined ? '' : `   ${clean(about)}`}`
    const note = placed.mark.message
    const second = `${provenance(placed.mark, range)}${note === undefined || note === '' ? '' : `; ${clean(note)}`}`
    const fit = Math.floor((WIDTH - 2 * MARGIN) / SMALL)
    const y = lane.y
    const trueX = place.x(placed.at)
    drawn.push(
      element(
        'g',
        {
          class: `mark ${what.tone ?? 'plain'}`,
          tabindex: 0,
          role: 'img',
          'aria-label': `${first.replace(/ {3}/g, ', ')}. ${second}`,
        },
        ...(Math.abs(trueX - x) < 1 ? [] : [line(trueX, y, x, y, 'thin')]),
        ...sign(placed.mark.mark, x, y),
        // By this moment it had happened, and nobody knows when.
        ...(placed.upperBound === true
          ? [element('path', { class: 'thin', d: `M${r(x - 8)} ${y}h-12m4 -4l-4 4l4 4`, fill: 'none' })]
          : []),
        element('circle', { class: 'ring', cx: x, cy: y, r: 10 }),
        element('circle', { class: 'touch', cx: x, cy: y, r: 10 }),
        ...(told === undefined
          ? [element('title', {}, `${first}\n${second}`)]
          : [
              text(MARGIN, told, shorten(first, fit), 'told plain small strong'),
              text(MARGIN, told + 16, shorten(second, fit), 'told plain small'),
            ]),
      ),
    )
  }
  return drawn
}

/** Places, in their order, at least APART from each other, or as far as there is room before `end`. */
function apart(places: readonly number[], end: number): number[] {
  const room = end - (places[0] ?? end)
  const step = Math.min(APART, room / Math.max(1, places.length - 1))
  const pushed: number[] = []
  for (const x of places) pushed.push(Math.max(x, (pushed.at(-1) ?? Number.NEGATIVE_INFINITY) + step))
  for (let i = pushed.length - 1, most = end; i >= 0; i--) {
    most = Math.min(pushed[i] ?? most, most)
    pushed[i] = most
    most -= step
  }
  return pushed
}

const laneOf = ({ mark }: PlacedMark, lanes: readonly Lane[]) =>
  lanes.find(({ container, service }) => container === mark.container && service === mark.service)

/** Shapes tell the marks apart, as well as colours. */
function sign(type: MarkType, x: number, y: number): Markup[] {
  const path = (d: string, classes: string) => element('path', { d, class: classes })
  switch (type) {
    case 'StopSignal':
      return [element('circle', { class: 'hollow', cx: x, cy: y, r: 7 }), text(x, y + 4, 'T', 'small middle strong')]
    case 'Kill':
      return [path(`M${r(x - 5)} ${y - 5}l10 10m0 -10l-10 10`, 'cross')]
    case 'ContainerExited':
    case 'PodFinished':
    case 'Removed':
      return [element('circle', { class: 'sign', cx: x, cy: y, r: 4.5 })]
    case 'PreStopStarted':
      return [path(`M${r(x - 4)} ${y - 5}l9 5l-9 5z`, 'sign')]
    case 'PreStopFinished':
      return [path(`M${r(x - 4)} ${y - 4}h8v8h-8z`, 'sign')]
    case 'EndpointNotReady':
    case 'EndpointTerminating':
    case 'EndpointNotServing':
    case 'EndpointRemoved':
      return [element('circle', { class: 'hollow', cx: x, cy: y, r: 5 })]
    case 'Terminating':
    case 'GraceShortened':
    case 'Acknowledged':
      return [path(`M${r(x)} ${y - 5}l5 5l-5 5l-5 -5z`, type === 'Acknowledged' ? 'hollow' : 'sign')]
  }
}

const r = (value: number) => Math.round(value * 100) / 100
