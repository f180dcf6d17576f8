/** The marks of a picture: each a shape on its lane, with what it means, when it was and who says so. */
import type { MarkType, PodTermination } from '../api/pod-termination.ts'
import { timingOf, wordsOf } from './marks.ts'
import { type Lane, line, MARGIN, type Place, r, SMALL, text, WIDTH } from './svg-parts.ts'
import { clean, shorten } from './text.ts'
import type { PlacedMark } from './timeline.ts'
import { provenance } from './words.ts'
import { element, type Markup } from './xml.ts'

/** Marks of one lane stand at least this far apart, or one would hide the other; their lines stand where they belong. */
const APART = 13
/** Every mark on its lane, in causal order, which is also the order of the tab key. */
export function marks(record: PodTermination, place: Place, lanes: readonly Lane[], told: number | undefined): Markup[] {
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
export function sign(type: MarkType, x: number, y: number): Markup[] {
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
