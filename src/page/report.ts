/** Records as one HTML file that needs nothing beside it: to keep, to send, to look at without a cluster. Pure. */
import type { PodTermination } from '../api/pod-termination.ts'
import type { Micros } from '../core/time.ts'
import { type Child, element, Markup } from '../render/xml.ts'
import { STYLE } from './style.ts'
import { told } from './told.ts'

export interface ReportOptions {
  /** The title; without it the name of the one pod. */
  readonly title?: string
  /** Below the title, before the records. */
  readonly intro?: readonly string[]
  readonly now?: Micros
  readonly timeZone: string
}

export function report(records: readonly PodTermination[], { title, intro = [], now, timeZone }: ReportOptions): string {
  const [first] = records
  const name = title ?? (first === undefined ? 'No terminations' : `${first.pod.namespace}/${first.pod.name}`)
  const level = title === undefined ? 1 : 2
  const body: Child[] = [
    ...(title === undefined ? [] : [element('h1', {}, title)]),
    ...intro.map((words) => element('p', {}, words)),
    ...records.map((record, index) => element('section', {}, ...told(record, { now, timeZone, id: `gw${index + 1}`, level }))),
  ]
  // Nothing may be loaded by it or run in it, wherever it is opened.
  const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
  const html = element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      element('meta', { charset: 'utf-8' }),
      element('meta', { 'http-equiv': 'Content-Security-Policy', content: policy }),
      element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      element('title', {}, `${name} · Gracewatch`),
      element('style', {}, new Markup(STYLE)),
    ),
    element('body', {}, element('main', {}, ...body)),
  )
  return `<!doctype html>${html}\n`
}
