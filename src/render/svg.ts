/**
 * A record as a picture: the pod's frame, in it a frame for each container, below it a lane for each Service, all on one time axis.
 * Pure. Every time that is not sure is drawn as a band from its earliest to its latest moment.
 */
import type { Finding, MarkType, PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { drawnContainers } from './lanes.ts'
import { scaleOf, shownDeadline } from './scale.ts'
import type { Span, Tone } from './span.ts'
import { containerLane, endOf, serviceLane } from './svg-lanes.ts'
import { marks, sign } from './svg-marks.ts'
import { CHARACTER, type Lane, line, MARGIN, type Place, SMALL, text, WIDTH } from './svg-parts.ts'
import { SVG_STYLE } from './svg-style.ts'
import { clean, displayWidth, shorten, wrap } from './text.ts'
import { type Timeline, timelineOf } from './timeline.ts'
import { duration, shortDuration, ticks } from './units.ts'
import { ownerWords, story, verdict } from './words.ts'
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

const LANE = 34
const TAIL = 80
const MOST_SERVICES = 8
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
