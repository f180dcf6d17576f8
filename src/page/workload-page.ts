/** A workload over time: which share of its grace period each pod used, how each ended, and the terminations themselves. */
import { drawWorkload } from '../render/svg-workload.ts'
import { element, Markup } from '../render/xml.ts'
import { queryOf } from './filter.ts'
import { PAGE_SIZE } from './list-page.ts'
import { counts, page, recordPath, table } from './parts.ts'
import { STANDINGS, sameWorkload, standing } from './row.ts'
import type { PageSource } from './source.ts'

export interface WorkloadName {
  readonly namespace: string
  readonly kind: string
  readonly name: string
}

/** Undefined: no record is of such a workload. */
export function workloadPage(source: PageSource, { namespace, kind, name }: WorkloadName): string | undefined {
  const rows = source.book.rows().filter((row) => sameWorkload(row, kind, namespace, name))
  if (rows.length === 0) return undefined
  const title = `${kind} ${namespace}/${name}`
  const points = rows.flatMap((row) =>
    row.startedAt === 0
      ? []
      : [
          {
            at: row.startedAt,
            ...(row.graceUsedPercent === undefined ? {} : { usedPercent: row.graceUsedPercent }),
            outcome: standing(row),
            name: row.pod.name,
            href: recordPath(row),
          },
        ],
  )
  const shown = rows.slice(0, PAGE_SIZE)
  return page(
    { title, scope: source.scope, problem: source.problem() },
    element('h1', {}, title),
    element('p', {}, `${rows.length} termination${rows.length === 1 ? '' : 's'}: ${counts(rows, STANDINGS)}.`),
    element('h2', {}, 'Share of the grace period used'),
    element(
      'figure',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Terminations over time; the table below says the same' },
      new Markup(drawWorkload(title, points, source.timeZone)),
    ),
    table(shown, {
      timeZone: source.timeZone,
      caption: `Terminations of ${title}, the newest first: 1 to ${shown.length} of ${rows.length}`,
    }),
    rows.length > shown.length
      ? element(
          'p',
          {},
          element('a', { href: `/${queryOf({ namespace, workload: `${kind}/${name}` })}` }, 'All of them, in the list'),
        )
      : undefined,
  )
}
