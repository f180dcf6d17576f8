/** The page as an application of Request and Response: no socket here. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Context, Hono } from 'hono'
import { secureHeaders } from 'hono/secure-headers'
import { KubeError } from '../kube/errors.ts'
import type { Log } from '../kube/log.ts'
import { element } from '../render/xml.ts'
import { fromThisMachine, onlyReads, withKey } from './access.ts'
import { Stamps, streamChanges } from './events.ts'
import { filterOf } from './filter.ts'
import { listPage } from './list-page.ts'
import { page } from './parts.ts'
import { recordPage } from './record-page.ts'
import type { PageSource } from './source.ts'
import { STYLE } from './style.ts'
import { workloadPage } from './workload-page.ts'

/** Browsers that follow at the same time; each holds a connection. */
const MOST_STREAMS = 32

const LIVE = readFileSync(join(import.meta.dirname, 'live.js'), 'utf8')
const ICON = element(
  'svg',
  { xmlns: 'http://www.w3.org/2000/svg', viewBox: '0 0 16 16' },
  element('path', { d: 'M2 3v10M2 8h9M11 5l4 6m0-6l-4 6', fill: 'none', stroke: '#1f5fbf', 'stroke-width': '2' }),
).text

export interface PageOptions {
  readonly source: PageSource
  readonly log: Log
  /** Without it, nothing is shown. Absent where whoever reaches the port may read. */
  readonly key?: string
  /** Ends the streams. */
  readonly closing: AbortSignal
}

export function pageApp({ source, log, key, closing }: PageOptions): Hono {
  const app = new Hono()
  const stamps = new Stamps(randomBytes(6).toString('hex'))
  const stamp = () => stamps.write(source.book.version)
  let streams = 0

  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
        requireTrustedTypesFor: ["'script'"],
        trustedTypes: ["'none'"],
      },
      xFrameOptions: 'DENY',
      // Loopback has no TLS, and its name is shared by everything that a developer runs there.
      strictTransportSecurity: false,
    }),
  )
  app.use(async (c, next) => {
    await next()
    // What a pod did is nobody's business after the page is closed.
    c.header('Cache-Control', 'no-store')
  })
  app.use(fromThisMachine, onlyReads)
  if (key !== undefined) app.use(withKey(key))

  app.get('/style.css', (c) => c.body(STYLE, 200, { 'Content-Type': 'text/css; charset=utf-8' }))
  app.get('/live.js', (c) => c.body(LIVE, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }))
  app.get('/icon.svg', (c) => c.body(ICON, 200, { 'Content-Type': 'image/svg+xml' }))

  app.get('/', (c) => c.html(listPage(source, filterOf(new URL(c.req.url).searchParams), stamp())))

  app.get('/records/:namespace/:name', async (c) => {
    // Read before the record is: what changes in between is told to the browser.
    const before = stamp()
    const { namespace, name } = c.req.param()
    const opened = isName(namespace) && isName(name) ? await source.open(namespace, name) : undefined
    return opened === undefined
      ? notFound(c, source, `There is no record ${namespace}/${name}: it is older than records are kept, or was never there.`)
      : c.html(recordPage(source, opened, before))
  })

  app.get('/workloads/:namespace/:kind/:name', (c) => {
    const html = workloadPage(source, c.req.param())
    return html === undefined ? notFound(c, source, 'There is no record of a pod of this workload.') : c.html(html)
  })

  app.get('/events', (c) => {
    if (c.req.method === 'HEAD') return c.body(null, 200, { 'Content-Type': 'text/event-stream' })
    if (streams >= MOST_STREAMS) return c.text('Too many pages follow already: close some.\n', 503)
    streams++
    return streamChanges(c, source, stamps, closing, () => streams--)
  })

  app.notFound((c) => notFound(c, source, 'There is no such page.'))
  app.onError((error, c) => {
    // What the API server said is for the user, who has asked it; anything else is a mistake in here.
    const expected = error instanceof KubeError
    if (!expected) log.error({ err: error, path: c.req.path }, 'page failed')
    const words = expected ? error.message : 'Something in Gracewatch went wrong; its log says more.'
    return c.html(message(source, 'This did not work', words), expected ? 502 : 500)
  })
  return app
}

/** Names that the API server could have; nothing else is asked of it. */
const isName = (text: string) => /^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/.test(text)

const message = (source: PageSource, title: string, words: string) =>
  page(
    { title, scope: source.scope, problem: source.problem() },
    element('h1', {}, title),
    element('p', {}, words),
    element('p', {}, element('a', { href: '/' }, 'All terminations')),
  )

const notFound = (c: Context, source: PageSource, words: string) => c.html(message(source, 'Not found', words), 404)
