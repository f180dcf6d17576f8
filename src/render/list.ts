/** Many records: one line each, and which workloads lose their pods badly. */
import { OUTCOMES, type Outcome, type PodTermination } from '../api/pod-termination.ts'
import { type Micros, parseTime } from '../core/time.ts'
import { type Line, type Span, type Tone, toText } from './span.ts'
import { clean, displayWidth, pad, shorten, wrap } from './text.ts'
import { duration, graceText } from './units.ts'
import { OUTCOME_TONE } from './words.ts'

export interface ListOptions {
  now: Micros
  /** Columns of the terminal; without it no line is cut, as for a pipe. */
  width?: number
  colour?: boolean
  /** Name the namespace of every pod. */
  namespaces?: boolean
  /** Workload and node as well. */
  wide?: boolean
}

interface Column {
  title: 'AGE' | 'POD' | 'OUTCOME' | 'CAUSE' | 'GRACE' | 'TOOK' | 'FINDINGS' | 'WORKLOAD' | 'NODE'
  cell: (record: PodTermination) => Span
}

/** The records in the order given, a blank line, and the summary. No records, no lines. */
export function list(records: readonly PodTermination[], options: ListOptions): string[] {
  if (records.length === 0) return []
  return [...table(records, options), [], ...summary(records, options.width)].map((line) => toText(line, options.colour ?? false))
}

function table(records: readonly PodTermination[], options: ListOptions): Line[] {
  const columns = columnsOf(options).map((column) => {
    const cells = records.map(column.cell)
    return { ...column, cells, width: Math.max(column.title.length, ...cells.map(({ text }) => displayWidth(text))) }
  })
  const shown = options.width === undefined ? columns : narrowed(columns, options.width)
  const row = (cell: (column: (typeof columns)[number]) => Span): Line =>
    shown.map((column, i) => {
      const span = cell(column)
      return { ...span, text: `${pad(shorten(span.text, column.width), column.width)}${i < shown.length - 1 ? '  ' : ''}` }
    })
  return [
    row(({ title }) => ({ text: title, tone: 'quiet' })),
    ...records.map((_, i) => row(({ cells }) => cells[i] ?? { text: '' })),
  ]
}

/** What gives way in a narrow terminal, in this order; 0: the column goes. The names of the pods come last: one copies them. */
const GIVING_WAY: readonly [Column['title'], number][] = [
  ['WORKLOAD', 16],
  ['NODE', 10],
  ['GRACE', 0],
  ['CAUSE', 0],
  ['FINDINGS', 14],
  ['NODE', 0],
  ['WORKLOAD', 0],
  ['POD', 16],
  ['FINDINGS', 0],
  ['TOOK', 0],
  ['POD', 1],
]

function narrowed<T extends { title: Column['title']; width: number }>(columns: readonly T[], width: number): T[] {
  let left = [...columns]
  for (const [title, floor] of GIVING_WAY) {
    const over = left.reduce((sum, column) => sum + column.width + 2, -2) - width
    if (over <= 0) break
    left = left.flatMap((column) => {
      if (column.title !== title) return [column]
      return floor === 0 ? [] : [{ ...column, width: Math.max(Math.min(floor, column.width), column.width - over) }]
    })
  }
  return left
}

function columnsOf({ now, namespaces, wide }: ListOptions): Column[] {
  const plain = (text: string | undefined, tone: Tone = 'plain'): Span => ({ text: clean(text ?? ''), tone })
  return [
    {
      title: 'AGE',
      cell: ({ startedAt }) => {
        const started = parseTime(startedAt)
        return plain(started === undefined ? '' : age(now - started), 'quiet')
      },
    },
    { title: 'POD', cell: ({ pod }) => plain(namespaces ? `${pod.namespace}/${pod.name}` : pod.name) },
    { title: 'OUTCOME', cell: outcomeSpan },
    { title: 'CAUSE', cell: ({ cause }) => plain(cause?.type) },
    { title: 'GRACE', cell: ({ pod }) => plain(pod.graceSeconds === undefined ? '' : graceText(pod.graceSeconds)) },
    {
      title: 'TOOK',
      cell: ({ tookMilliseconds }) => plain(tookMilliseconds === undefined ? '' : duration(tookMilliseconds * 1000)),
    },
    { title: 'FINDINGS', cell: (record) => plain(record.summary, worstSeverity(record)) },
    ...(wide
      ? [
          { title: 'WORKLOAD', cell: ({ pod }: PodTermination) => plain(workloadOf(pod)) } as const,
          { title: 'NODE', cell: ({ pod }: PodTermination) => plain(pod.node) } as const,
        ]
      : []),
  ]
}

/** The largest unit alone: `45 s`, `10 min`, `3 h`, `2 d`. */
const age = (micros: Micros) => {
  const [size = '', unit = ''] = duration(Math.max(0, micros)).split(' ')
  return `${Math.floor(Number(size))} ${unit}`
}

const workloadOf = ({ workload }: PodTermination['pod']) => (workload === undefined ? '' : `${workload.kind} ${workload.name}`)

export const worstSeverity = ({ findings }: PodTermination): Tone =>
  findings?.some(({ severity }) => severity === 'Warning') ? 'warning' : 'quiet'

/** The outcome in the record's own word, as a selector needs it; while it is late or there is none yet, the state. */
export function outcomeSpan({ outcome, state }: PodTermination): Span {
  if (outcome === undefined || state === 'Overdue') return { text: state ?? '', tone: state === 'Overdue' ? 'warning' : 'plain' }
  return { text: outcome, tone: OUTCOME_TONE[outcome] }
}

const BAD: readonly Outcome[] = OUTCOMES.slice(0, OUTCOMES.indexOf('Signalled'))
const MOST_WORKLOADS = 5

/** How many ended how, and the workloads that lost pods badly, the worst first. */
function summary(records: readonly PodTermination[], width = Number.POSITIVE_INFINITY): Line[] {
  const counts = countBy(records, ({ outcome, state }) =>
    state === 'Overdue' ? state : (outcome ?? state ?? 'without a verdict'),
  )
  const order = [...OUTCOMES, 'Overdue', 'Terminating', 'without a verdict']
  const total = `${records.length} termination${records.length === 1 ? '' : 's'}: `
  const parts = order.flatMap((word) => {
    const count = counts.get(word)
    return count === undefined ? [] : [`${count} ${word}`]
  })
  const lines: Line[] = wrap(total + parts.join(', '), width, 2).map((text, i) => [{ text: i === 0 ? text : `  ${text}` }])
  const workloads = [
    ...groupBy(records, ({ pod }) => pod.workload && `${pod.workload.kind} ${pod.namespace}/${pod.workload.name}`),
  ]
    .map(([name, its]) => ({
      name,
      all: its.length,
      bad: its.filter(({ outcome }) => outcome !== undefined && BAD.includes(outcome)),
    }))
    .filter(({ bad }) => bad.length > 0)
    .sort((a, b) => b.bad.length - a.bad.length || (a.name < b.name ? -1 : 1))
  if (workloads.length === 0) return lines
  lines.push([{ text: shorten('Pods that ended badly:', width) }])
  const shares = workloads.slice(0, MOST_WORKLOADS).map(({ all, bad }) => `${bad.length} of ${all}`)
  const shareWidth = Math.max(...shares.map((share) => share.length))
  const nameWidth = Math.min(40, Math.max(...workloads.slice(0, MOST_WORKLOADS).map(({ name }) => displayWidth(clean(name)))))
  for (const [i, { name, bad }] of workloads.slice(0, MOST_WORKLOADS).entries()) {
    const how = countBy(bad, ({ outcome }) => outcome ?? '')
    const words = order.flatMap((word) => (how.has(word) ? [`${how.get(word)} ${word}`] : []))
    const findings = [
      ...countBy(
        bad.flatMap(({ findings }) => findings?.filter(({ severity }) => severity === 'Warning') ?? []),
        ({ type }) => type,
      ),
    ]
    const worst = findings.sort((a, b) => b[1] - a[1])[0]?.[0]
    const text = `  ${pad(shares[i] ?? '', shareWidth)}  ${pad(clean(name), nameWidth)}  ${words.join(', ')}${worst === undefined ? '' : ` (${worst})`}`
    lines.push([{ text: shorten(text, width) }])
  }
  const left = workloads.length - MOST_WORKLOADS
  if (left > 0) lines.push([{ text: shorten(`  and ${left} more workload${left === 1 ? '' : 's'}`, width), tone: 'quiet' }])
  return lines
}

function groupBy<T>(items: readonly T[], key: (item: T) => string | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const name = key(item)
    if (name === undefined) continue
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [item])
    else group.push(item)
  }
  return groups
}

const countBy = <T>(items: readonly T[], key: (item: T) => string) =>
  new Map([...groupBy(items, key)].map(([name, group]) => [name, group.length]))
