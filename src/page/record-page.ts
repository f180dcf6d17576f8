/** One termination: the verdict, the picture, what to change, every mark with its bounds, its neighbours, and the record itself. */
import { stringify } from 'yaml'
import { API_VERSION, type Finding, type PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { timingOf, wordsOf } from '../render/marks.ts'
import { drawSvg } from '../render/svg.ts'
import { timelineOf } from '../render/timeline.ts'
import { wallClock } from '../render/units.ts'
import { provenance, story, verdict } from '../render/words.ts'
import { type Child, element, Markup, preformatted } from '../render/xml.ts'
import { rolloutOf } from './neighbours.ts'
import { page, table, workloadPath } from './parts.ts'
import { decodeRow } from './row.ts'
import type { OpenedRecord, PageSource } from './source.ts'

export function recordPage(source: PageSource, { stored, record, problem }: OpenedRecord, stamp: string): string {
  const { metadata, pod } = stored
  const events = `/events?uid=${encodeURIComponent(metadata.uid)}&stamp=${stamp}`
  const open = stored.state !== 'Complete'
  const title = `${pod.namespace}/${pod.name}`
  return page(
    { title, scope: source.scope, problem: source.problem(), ...(open ? { events } : {}) },
    ...(record === undefined
      ? [element('h1', {}, title), element('p', { class: 'problem' }, `This version cannot read the record: ${problem ?? ''}.`)]
      : told(source, record)),
    ...neighbours(source, stored),
    element('h2', {}, 'The record'),
    element(
      'details',
      {},
      element('summary', {}, `${metadata.namespace}/${metadata.name} as YAML`),
      element('pre', { tabindex: 0 }, yamlOf(stored)),
    ),
  )
}

function told(source: PageSource, record: PodTermination): Child[] {
  const now = source.now()
  const end = verdict(record)
  const { namespace, name, workload, node } = record.pod
  const words = record.cause?.message
  const picture = drawSvg(record, { now, alone: false, timeZone: source.timeZone })
  const findings = record.findings ?? []
  return [
    element(
      'h1',
      {},
      element('span', {}, `${namespace}/${name}`),
      element('span', { class: `verdict ${end.tone ?? 'plain'}` }, end.text),
    ),
    element(
      'p',
      { class: 'quiet' },
      ...(workload === undefined
        ? []
        : [element('a', { href: workloadPath(namespace, workload) }, `${workload.kind} ${workload.name}`)]),
      workload !== undefined && node !== undefined ? ' on ' : '',
      node ?? '',
    ),
    element('p', {}, sentence(story(record, now, source.timeZone))),
    words === undefined || words === '' ? undefined : element('p', { class: 'quiet' }, `The API says: ${words}`),
    element(
      'figure',
      {
        class: 'scroll',
        tabindex: 0,
        role: 'region',
        'aria-label': 'The timeline as a picture; the table of marks below says the same',
      },
      new Markup(picture),
    ),
    ...(findings.length === 0 ? [] : [element('h2', {}, 'Findings'), ...findings.map(findingMarkup)]),
    ...marks(record, now, source.timeZone),
  ]
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

function findingMarkup({ type, severity, container, service, message }: Finding): Markup {
  const subject = container ?? service
  const warning = severity === 'Warning'
  return element(
    'section',
    { class: warning ? 'finding warning' : 'finding' },
    element(
      'h3',
      { class: warning ? 'warning' : 'quiet' },
      `${severity}: ${type}${subject === undefined ? '' : ` (${subject})`}`,
    ),
    element('p', {}, sentence(message.replace(/\.$/, ''))),
  )
}

function marks(record: PodTermination, now: Micros, timeZone: string): Child[] {
  const timeline = timelineOf(record, now)
  if (timeline === undefined || timeline.marks.length === 0) return []
  const words = wordsOf(record)
  const caption = `What happened, in causal order; counted from ${wallClock(timeline.start, true, timeZone)}`
  return [
    element('h2', {}, 'Marks'),
    element(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Marks' },
      element(
        'table',
        {},
        element('caption', {}, caption),
        element(
          'thead',
          {},
          element(
            'tr',
            {},
            ...['When', 'What', 'Where', 'Who says so, and how sure it is'].map((title) =>
              element('th', { scope: 'col' }, title),
            ),
          ),
        ),
        element(
          'tbody',
          {},
          ...timeline.marks.map((placed) => {
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
        ),
      ),
    ),
  ]
}

/** The others of the same rollout. */
function neighbours({ book, timeZone }: PageSource, stored: OpenedRecord['stored']): Child[] {
  const rows = rolloutOf(decodeRow(stored), book.rows())
  if (rows.length < 2) return []
  const { workload } = stored.pod
  const caption = `${workload?.kind ?? ''} ${workload?.name ?? ''}: the ${rows.length} pods that ended one after the other with this one`
  return [element('h2', {}, 'In the same rollout'), table(rows, { caption, timeZone, here: stored.metadata.uid })]
}

/** As kubectl shows it: without the API server's bookkeeping. */
function yamlOf(stored: OpenedRecord['stored']): Markup {
  const { metadata, ...rest } = stored
  const { managedFields: _, ...own } = metadata as Record<string, unknown> // a field that the type leaves out, for nothing else needs it
  return preformatted(stringify({ apiVersion: API_VERSION, kind: 'PodTermination', metadata: own, ...rest }))
}
