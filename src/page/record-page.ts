/** One termination: the verdict, the picture, what to change, every mark with its bounds, its neighbours, and the record itself. */
import { stringify } from 'yaml'
import { API_VERSION } from '../api/pod-termination.ts'
import { type Child, element, type Markup, preformatted } from '../render/xml.ts'
import { rolloutOf } from './neighbours.ts'
import { page, table, workloadPath } from './parts.ts'
import { decodeRow } from './row.ts'
import type { OpenedRecord, PageSource } from './source.ts'
import { told } from './told.ts'

export function recordPage(source: PageSource, { stored, record, problem }: OpenedRecord, stamp: string): string {
  const { metadata, pod } = stored
  const events = `/events?uid=${encodeURIComponent(metadata.uid)}&stamp=${stamp}`
  const open = stored.state !== 'Complete'
  const title = `${pod.namespace}/${pod.name}`
  return page(
    { title, scope: source.scope, problem: source.problem(), ...(open ? { events } : {}) },
    ...(record === undefined
      ? [element('h1', {}, title), element('p', { class: 'problem' }, `This version cannot read the record: ${problem ?? ''}.`)]
      : told(record, {
          now: source.now(),
          timeZone: source.timeZone,
          workloadHref: pod.workload && workloadPath(pod.namespace, pod.workload),
        })),
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
