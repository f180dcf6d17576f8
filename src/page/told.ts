/** What a record tells, as HTML: the verdict, the story, the picture, what to change, and every mark with its bounds. */
import type { Finding, PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { timingOf, wordsOf } from '../render/marks.ts'
import { drawSvg } from '../render/svg.ts'
import { timelineOf } from '../render/timeline.ts'
import { wallClock } from '../render/units.ts'
import { ownerWords, provenance, story, verdict } from '../render/words.ts'
import { type Child, element, Markup } from '../render/xml.ts'
import { scrollTable } from './parts.ts'

export interface ToldOptions {
  /** Where an unfinished termination is drawn to; without it, to the last thing known. */
  readonly now?: Micros | undefined
  /** Of the times of day, as Europe/Berlin. */
  readonly timeZone: string
  /** Before the ids in the picture, where a document has several. */
  readonly id?: string
  /** Of the heading: 2 below a title. */
  readonly level?: 1 | 2
  /** Where the workload has a page; absent: it has none. */
  readonly workloadHref?: string | undefined
}

export function told(record: PodTermination, { now, timeZone, id, level = 1, workloadHref }: ToldOptions): Child[] {
  const end = verdict(record)
  const { namespace, name, node } = record.pod
  const words = record.cause?.message
  const findings = record.findings ?? []
  const owner = ownerWords(record.pod)
  const heading = (below: number, words: string) => element(`h${level + below}`, {}, words)
  return [
    element(
      `h${level}`,
      { class: 'pod' },
      element('span', {}, `${namespace}/${name}`),
      element('span', { class: `verdict ${end.tone ?? 'plain'}` }, end.text),
    ),
    element(
      'p',
      { class: 'quiet' },
      owner !== undefined && workloadHref !== undefined ? element('a', { href: workloadHref }, owner) : owner,
      owner !== undefined && node !== undefined ? ' on ' : '',
      node ?? '',
    ),
    element('p', {}, sentence(story(record, now, timeZone))),
    words === undefined || words === '' ? undefined : element('p', { class: 'quiet' }, `The API says: ${words}`),
    ...figure(record, { now, timeZone, ...(id === undefined ? {} : { id }) }),
    ...(findings.length === 0 ? [] : [heading(1, 'Findings'), ...findings.map((finding) => findingMarkup(finding, level))]),
    ...marks(record, timeZone, now, heading(1, 'Marks')),
  ]
}

/** None for a record that holds no time at all. */
function figure(record: PodTermination, { now, timeZone, id }: ToldOptions): Markup[] {
  if (timelineOf(record, now) === undefined) return []
  const options = { alone: false, timeZone, ...(now === undefined ? {} : { now }), ...(id === undefined ? {} : { id }) }
  const label = `The timeline of ${record.pod.name} as a picture; the table of marks below says the same`
  return [
    element(
      'figure',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
      new Markup(drawSvg(record, options)),
    ),
  ]
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

function findingMarkup({ type, severity, container, service, message }: Finding, level: number): Markup {
  const subject = container ?? service
  const warning = severity === 'Warning'
  return element(
    'section',
    { class: warning ? 'finding warning' : 'finding' },
    element(
      `h${level + 2}`,
      { class: warning ? 'warning' : 'quiet' },
      `${severity}: ${type}${subject === undefined ? '' : ` (${subject})`}`,
    ),
    element('p', {}, sentence(message.replace(/\.$/, ''))),
  )
}

function marks(record: PodTermination, timeZone: string, now: Micros | undefined, heading: Markup): Child[] {
  const timeline = timelineOf(record, now)
  if (timeline === undefined || timeline.marks.length === 0) return []
  const words = wordsOf(record)
  const caption = `What happened, in causal order; counted from ${wallClock(timeline.start, true, timeZone)}`
  return [
    heading,
    scrollTable({
      ...{ label: 'Marks', caption },
      heads: ['When', 'What', 'Where', 'Who says so, and how sure it is'].map((title) => ({ title })),
      rows: timeline.marks.map((placed) => {
        const { mark } = placed
        const { when, range } = timingOf(placed, timeline)
        const what = words(mark)
        const note = mark.message === undefined || mark.message === '' ? '' : `; ${mark.message}`
        return element(
          'tr',
          {},
          element('td', { class: 'time' }, when.replace(/ +/g, ' ')),
          element('td', { class: what.tone ?? 'plain' }, what.text),
          element('td', {}, mark.container ?? (mark.service === undefined ? '' : `service ${mark.service}`)),
          element('td', { class: 'quiet' }, `${provenance(mark, range)}${note}`),
        )
      }),
    }),
  ]
}
