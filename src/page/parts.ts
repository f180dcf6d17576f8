/** What every page is made of. */
import { OUTCOMES, type Outcome } from '../api/pod-termination.ts'
import { formatTime } from '../core/time.ts'
import type { Tone } from '../render/span.ts'
import { duration, graceText, wallClock } from '../render/units.ts'
import { OUTCOME_TONE } from '../render/words.ts'
import { type Child, element, type Markup } from '../render/xml.ts'
import { standing, type TerminationRow } from './row.ts'

export interface PageFrame {
  readonly title: string
  /** What is shown, as `all namespaces`. */
  readonly scope: string
  readonly problem: string | undefined
  /** Where the changes of what is shown come from; absent: it does not change. */
  readonly events?: string
  /** The list changes, not the whole page. */
  readonly liveList?: boolean
}

export function page(frame: PageFrame, ...body: readonly Child[]): string {
  const { title, scope, problem, events, liveList } = frame
  const live = events !== undefined
  return `<!doctype html>${element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      element('meta', { charset: 'utf-8' }),
      element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      element('title', {}, `${title} · Gracewatch`),
      element('link', { rel: 'icon', href: '/icon.svg', type: 'image/svg+xml' }),
      element('link', { rel: 'stylesheet', href: '/style.css' }),
      live ? element('script', { type: 'module', src: '/live.js' }) : undefined,
    ),
    element(
      'body',
      {},
      element('a', { class: 'skip', href: '#main' }, 'Skip to the content'),
      element(
        'header',
        {},
        element('a', { href: '/' }, 'Gracewatch'),
        element('span', { class: 'quiet' }, scope),
        // Says that it is live once it is, which it never is without JavaScript.
        live ? element('span', { class: 'quiet', id: 'live', role: 'status' }, 'as of the moment it was loaded') : undefined,
      ),
      element(
        'main',
        { id: 'main', ...(live && liveList !== true ? { 'data-events': events } : {}) },
        problem === undefined ? undefined : element('p', { class: 'problem', role: 'alert' }, problem),
        ...body,
      ),
    ),
  )}`
}

/** A cell of a list, for the server and for the browser, which adds rows of the same form. */
export interface Cell {
  readonly text: string
  readonly tone?: Tone
  readonly href?: string
  readonly classes?: string
  /** RFC 3339, of a moment. */
  readonly time?: string
}

/** The columns of a list: title, and whether a narrow window goes without it. */
export const COLUMNS: readonly (readonly [title: string, wide: boolean])[] = [
  ['Began', false],
  ['Pod', false],
  ['Outcome', false],
  ['Findings', false],
  ['Workload', true],
  ['Cause', true],
  ['Grace used', true],
  ['Took', true],
]

export function cellsOf(row: TerminationRow, timeZone: string): Cell[] {
  const { pod, workload } = row
  const used = row.graceUsedPercent === undefined ? '' : `${row.graceUsedPercent} %`
  const grace = row.graceSeconds === undefined ? '' : graceText(row.graceSeconds)
  return [
    row.startedAt === 0
      ? { text: '' }
      : { text: wallClock(row.startedAt, false, timeZone), time: formatTime(row.startedAt), classes: 'time' },
    { text: `${pod.namespace}/${pod.name}`, href: recordPath(row) },
    { text: standing(row), tone: toneOf(row) },
    { text: row.summary ?? '', tone: row.warning ? 'warning' : 'quiet' },
    workload === undefined
      ? { text: '', classes: 'wide' }
      : { text: `${workload.kind} ${workload.name}`, href: workloadPath(pod.namespace, workload), classes: 'wide' },
    { text: row.cause ?? '', classes: 'wide' },
    { text: used === '' || grace === '' ? used || grace : `${used} of ${grace}`, classes: 'wide number' },
    { text: row.tookMs === undefined ? '' : duration(row.tookMs * 1000), classes: 'wide number' },
  ]
}

export interface RowOptions {
  readonly timeZone: string
  /** The record that the page is about. */
  readonly here?: string
}

const tableRow = (row: TerminationRow, { here, timeZone }: RowOptions): Markup =>
  element(
    'tr',
    {
      'data-uid': row.uid,
      'data-at': String(row.startedAt),
      ...(here === row.uid ? { class: 'here', 'aria-current': 'true' } : {}),
    },
    ...cellsOf(row, timeZone).map(cellMarkup),
  )

function cellMarkup({ text, tone, href, classes, time }: Cell): Markup {
  const names = [classes, tone].filter((name) => name !== undefined).join(' ')
  const inner =
    href !== undefined ? element('a', { href }, text) : time !== undefined ? element('time', { datetime: time }, text) : text
  return element('td', names === '' ? {} : { class: names }, inner)
}

export interface TableOptions extends RowOptions {
  /** Says what the table is, to those who cannot see it as well. */
  readonly caption: string
  /** New rows come from here. */
  readonly events?: string
  /** Rows that a live list keeps. */
  readonly most?: number
}

export const table = (rows: readonly TerminationRow[], { caption, events, most, ...options }: TableOptions): Markup =>
  scrollTable({
    ...{ label: caption, caption },
    heads: COLUMNS.map(([title, wide]) => ({ title, wide })),
    body: events === undefined ? {} : { 'data-events': events, 'data-most': String(most ?? rows.length) },
    rows: rows.map((row) => tableRow(row, options)),
  })

export interface ScrollTable {
  /** Of what scrolls where the table is wider than the page. */
  readonly label: string
  readonly caption: string
  readonly heads: readonly { readonly title: string; readonly wide?: boolean }[]
  /** Attributes of what holds the rows. */
  readonly body?: Readonly<Record<string, string>>
  readonly rows: readonly Markup[]
}

export const scrollTable = ({ label, caption, heads, body = {}, rows }: ScrollTable): Markup =>
  element(
    'div',
    { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
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
          ...heads.map(({ title, wide = false }) => element('th', { scope: 'col', ...(wide ? { class: 'wide' } : {}) }, title)),
        ),
      ),
      element('tbody', body, ...rows),
    ),
  )

const isOutcome = (text: string): text is Outcome => (OUTCOMES as readonly string[]).includes(text)

function toneOf({ outcome, state }: TerminationRow): Tone {
  if (state === 'Overdue') return 'warning'
  return outcome !== undefined && isOutcome(outcome) ? OUTCOME_TONE[outcome] : 'plain'
}

const path = (...segments: readonly string[]) => `/${segments.map(encodeURIComponent).join('/')}`

export const recordPath = ({ namespace, name }: { readonly namespace: string; readonly name: string }) =>
  path('records', namespace, name)
export const workloadPath = (namespace: string, { kind, name }: { readonly kind: string; readonly name: string }) =>
  path('workloads', namespace, kind, name)

/** How many ended how, the worst first: `12 ForcedKill, 3 Graceful`. */
export function counts(rows: readonly TerminationRow[], order: readonly string[]): string {
  const found = new Map<string, number>()
  for (const row of rows) found.set(standing(row), (found.get(standing(row)) ?? 0) + 1)
  const known = [...order, ...[...found.keys()].filter((word) => !order.includes(word)).sort()]
  return known.flatMap((word) => (found.has(word) ? [`${found.get(word)} ${word}`] : [])).join(', ')
}
