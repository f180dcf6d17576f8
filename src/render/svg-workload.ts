/** The terminations of one workload over time: when, and which share of the grace period each used. Pure. */
import type { Outcome } from '../api/pod-termination.ts'
import { type Micros, SECOND } from '../core/time.ts'
import type { Tone } from './span.ts'
import { clean } from './text.ts'
import { wallClock } from './units.ts'
import { OUTCOME_TONE } from './words.ts'
import { element, type Markup } from './xml.ts'

export interface Point {
  readonly at: Micros
  /** Absent where it is not known. */
  readonly usedPercent?: number
  readonly outcome: string
  readonly name: string
  readonly href: string
}

const WIDTH = 960
const LEFT = 64
const RIGHT = 16
const TOP = 14
const PLOT = 190
/** Below the plot: those of which the share is not known. */
const UNKNOWN = 26
const HEIGHT = TOP + PLOT + UNKNOWN + 34
/** The later ones, where there are more. */
const MOST_POINTS = 1000
/** What used more is drawn at the top. */
const HIGHEST = 200

/** `timeZone` of the times of day, as Europe/Berlin; UTC unless told. */
export function drawWorkload(name: string, points: readonly Point[], timeZone?: string): string {
  const moment = (at: Micros) => wallClock(at, false, timeZone)
  const shown = points.toSorted((a, b) => a.at - b.at).slice(-MOST_POINTS)
  const from = shown[0]?.at ?? 0
  const to = Math.max(shown.at(-1)?.at ?? 0, from + 60 * SECOND)
  const most = Math.min(HIGHEST, Math.max(120, ...shown.map(({ usedPercent }) => usedPercent ?? 0)))
  const x = (at: Micros) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT - 12) + 6
  const y = (percent: number) => TOP + PLOT * (1 - Math.min(percent, most) / most)
  const unknownY = TOP + PLOT + UNKNOWN
  const text = (at: number, line: number, words: string, classes: string) =>
    element('text', { x: at, y: line, class: `small ${classes}` }, words)
  const rule = (height: number, classes: string) =>
    element('line', { x1: LEFT, y1: height, x2: WIDTH - RIGHT, y2: height, class: classes })
  const steps = [0, 50, 100, 150, 200].filter((percent) => percent <= most)
  const some = shown.some(({ usedPercent }) => usedPercent === undefined)
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      class: 'gw',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      width: WIDTH,
      height: HEIGHT,
      role: 'group',
      'aria-labelledby': 'gw-over-time',
    },
    element(
      'title',
      { id: 'gw-over-time' },
      `Terminations of ${name} over time, by the share of the grace period that each used`,
    ),
    ...steps.map((percent) => rule(y(percent), percent === 100 ? 'deadline' : 'grid')),
    ...steps.map((percent) => text(LEFT - 8, y(percent) + 4, `${percent} %`, percent === 100 ? 'warning end' : 'quiet end')),
    some ? text(LEFT - 8, unknownY + 4, 'unknown', 'quiet end') : undefined,
    text(LEFT, HEIGHT - 6, moment(from), 'quiet'),
    // What the axis ends with, which is a minute after the first where the last is sooner.
    shown.length > 1 ? text(WIDTH - RIGHT, HEIGHT - 6, moment(to), 'quiet end') : undefined,
    ...shown.map((point) =>
      dot(point, moment(point.at), x(point.at), point.usedPercent === undefined ? unknownY : y(point.usedPercent)),
    ),
  ).text
}

const toneOf = (outcome: string): Tone => (outcome in OUTCOME_TONE ? OUTCOME_TONE[outcome as Outcome] : 'plain') // it is one of its keys

function dot(point: Point, when: string, x: number, y: number): Markup {
  const tone = toneOf(point.outcome)
  const used =
    point.usedPercent === undefined ? 'share of the grace period unknown' : `${point.usedPercent} % of the grace period`
  const words = `${clean(point.name)}, ${clean(point.outcome)}, ${used}, ${when}`
  return element(
    'a',
    { href: point.href, class: `mark ${tone}`, 'aria-label': words },
    element('title', {}, words),
    sign(tone, x, y),
    element('circle', { class: 'ring', cx: x, cy: y, r: 9 }),
    element('circle', { class: 'touch', cx: x, cy: y, r: 8 }),
  )
}

/** A shape for each meaning, as colour alone tells not everybody. */
function sign(tone: Tone, x: number, y: number): Markup {
  const [left, top] = [Math.round((x - 4) * 100) / 100, Math.round((y - 4) * 100) / 100]
  switch (tone) {
    case 'bad':
      return element('path', { class: 'cross', d: `M${left} ${top}l8 8m0 -8l-8 8` })
    case 'warning':
      return element('path', { class: 'sign', d: `M${left + 4} ${top}l4.5 8h-9z` })
    case 'good':
      return element('circle', { class: 'sign', cx: x, cy: y, r: 4 })
    default:
      return element('circle', { class: 'hollow', cx: x, cy: y, r: 4 })
  }
}
