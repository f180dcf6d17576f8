/** The list: a filter, which workloads lose pods badly, and the terminations, the newest first. */
import { FINDINGS, OUTCOMES } from '../api/pod-termination.ts'
import { type Child, element, type Markup } from '../render/xml.ts'
import { type Filter, matcher, placeOf, queryOf } from './filter.ts'
import { counts, page, table, workloadPath } from './parts.ts'
import { isBad, STANDINGS, type TerminationRow } from './row.ts'
import type { PageSource } from './source.ts'

export const PAGE_SIZE = 100
const MOST_WORKLOADS = 5

export function listPage(source: PageSource, filter: Filter, stamp: string): string {
  const { book, scope } = source
  const { after, ...narrowed } = filter
  const all = book.rows()
  const matching = all.filter(matcher(narrowed, source.now()))
  const from = after === undefined ? 0 : placeIn(matching, after)
  const shown = matching.slice(from, from + PAGE_SIZE)
  const live = after === undefined
  const query = queryOf(narrowed)
  const events = `/events${query}${query === '' ? '?' : '&'}stamp=${stamp}`
  const last = shown.at(-1)
  const more = matching.length - from - shown.length
  return page(
    {
      title: 'Terminations',
      scope,
      problem: source.problem(),
      ...(live ? { events, liveList: true } : {}),
    },
    element('h1', {}, 'How pods ended'),
    filterForm(narrowed, all),
    summary(matching, all.length),
    ...worst(matching),
    shown.length === 0 && !live
      ? element('p', {}, 'Nothing is older than this.')
      : table(shown, {
          timeZone: source.timeZone,
          caption: captionOf(from, shown.length, matching.length),
          ...(live ? { events, most: PAGE_SIZE } : {}),
        }),
    element(
      'p',
      {},
      ...(from > 0 ? [element('a', { href: `/${query}` }, 'The newest'), '  '] : []),
      ...(more > 0 && last !== undefined
        ? [element('a', { href: `/${queryOf({ ...narrowed, after: placeOf(last) })}`, rel: 'next' }, `Older: ${more} more`)]
        : []),
    ),
  )
}

const captionOf = (from: number, count: number, all: number) =>
  count === 0
    ? 'Terminations, the newest first: none'
    : `Terminations, the newest first: ${from + 1} to ${from + count} of ${all}`

/** Index of the first row behind a place; a row that is gone since leaves its place. */
function placeIn(rows: readonly TerminationRow[], place: string): number {
  const at = Number(place.slice(0, place.indexOf('.')))
  const uid = place.slice(place.indexOf('.') + 1)
  const index = rows.findIndex((row) => row.startedAt < at || (row.startedAt === at && row.uid > uid))
  return index === -1 ? rows.length : index
}

function summary(rows: readonly TerminationRow[], all: number): Markup {
  const total = rows.length === all ? `${all} termination${all === 1 ? '' : 's'}` : `${rows.length} of ${all} terminations`
  const how = counts(rows, STANDINGS)
  return element('p', {}, how === '' ? `${total}.` : `${total}: ${how}.`)
}

/** Which workloads lose pods badly, the worst first. */
function worst(rows: readonly TerminationRow[]): Child[] {
  const workloads = new Map<string, { all: number; bad: TerminationRow[] }>()
  for (const row of rows) {
    if (row.workload === undefined) continue
    const key = workloadPath(row.pod.namespace, row.workload)
    const known = workloads.get(key) ?? { all: 0, bad: [] }
    known.all++
    if (isBad(row)) known.bad.push(row)
    workloads.set(key, known)
  }
  const list = [...workloads].filter(([, { bad }]) => bad.length > 0).sort(([, a], [, b]) => b.bad.length - a.bad.length)
  if (list.length === 0) return []
  const left = list.length - MOST_WORKLOADS
  return [
    element('h2', {}, 'Workloads that lose pods badly'),
    element(
      'ul',
      {},
      ...list
        .slice(0, MOST_WORKLOADS)
        .map(([href, { all, bad }]) =>
          element('li', {}, `${bad.length} of ${all}: `, element('a', { href }, nameOf(bad[0])), ` (${counts(bad, OUTCOMES)})`),
        ),
      left > 0 ? element('li', { class: 'quiet' }, `and ${left} more`) : undefined,
    ),
  ]
}

const nameOf = (row: TerminationRow | undefined) =>
  `${row?.workload?.kind ?? ''} ${row?.pod.namespace ?? ''}/${row?.workload?.name ?? ''}`

const SINCE = ['15m', '1h', '6h', '24h', '168h'] as const
const SINCE_WORDS: Readonly<Record<(typeof SINCE)[number], string>> = {
  '15m': '15 minutes',
  '1h': '1 hour',
  '6h': '6 hours',
  '24h': '1 day',
  '168h': '7 days',
}

function filterForm(filter: Filter, rows: readonly TerminationRow[]): Markup {
  const namespaces = [...new Set(rows.map(({ pod }) => pod.namespace))].sort()
  const options = (key: keyof Filter, values: readonly (readonly [string, string])[]) => {
    const given = filter[key]
    // What is asked for is shown, also where nothing has it any more.
    const all = given === undefined || values.some(([value]) => value === given) ? values : [...values, [given, given] as const]
    return element(
      'select',
      { name: key },
      element('option', { value: '' }, 'any'),
      ...all.map(([value, words]) => element('option', { value, ...(given === value ? { selected: 'selected' } : {}) }, words)),
    )
  }
  const same = (values: readonly string[]) => values.map((value) => [value, value] as const)
  return element(
    'form',
    { method: 'get', action: '/', role: 'search', 'aria-label': 'Filter' },
    element('label', {}, 'Namespace', options('namespace', same(namespaces))),
    element(
      'label',
      {},
      'Workload',
      element('input', { name: 'workload', value: filter.workload, placeholder: 'part of its name', autocomplete: 'off' }),
    ),
    element('label', {}, 'Outcome', options('outcome', [['Bad', 'all bad ones'], ...same(STANDINGS)])),
    element('label', {}, 'Finding', options('finding', same(Object.keys(FINDINGS)))),
    element(
      'label',
      {},
      'In the last',
      options(
        'since',
        SINCE.map((value) => [value, SINCE_WORDS[value]] as const),
      ),
    ),
    element('button', { type: 'submit' }, 'Filter'),
    Object.keys(filter).length > 0 ? element('a', { href: '/' }, 'Show all') : undefined,
  )
}
