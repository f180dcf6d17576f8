/** Server-sent events: which rows of a list changed, or that an open record did. */
import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Changes } from './book.ts'
import { filterOf, matcher } from './filter.ts'
import { cellsOf } from './parts.ts'
import type { PageSource } from './source.ts'

/** Changes that come within this time go out together. */
const GATHER_MS = 250
/** A proxy or a port-forward drops a connection on which nothing is said. */
const SILENCE_MS = 15_000
/** A browser that has missed more than this loads the page anew. */
const MOST_CHANGES = 500

/** Names a version of a book; those of another process do not fit. */
export class Stamps {
  readonly #run: string
  constructor(run: string) {
    this.#run = run
  }

  write(version: number): string {
    return `${this.#run}-${version}`
  }

  read(stamp: string): number | undefined {
    const [run, version = ''] = stamp.split('-')
    return run === this.#run && /^\d{1,15}$/.test(version) ? Number(version) : undefined
  }
}

/** Streams until the browser leaves or `closing` says so. What a slow browser has not read is not queued: it gets the newest state. */
export function streamChanges(c: Context, source: PageSource, stamps: Stamps, closing: AbortSignal, onEnd: () => void): Response {
  const { book } = source
  const query = new URL(c.req.url).searchParams
  const filter = filterOf(query)
  const uid = query.get('uid') ?? undefined
  // A browser that comes back says itself what it had last.
  let seen = stamps.read(c.req.header('last-event-id') ?? query.get('stamp') ?? '')
  c.header('X-Accel-Buffering', 'no')
  return streamSSE(c, async (stream) => {
    const ended = new AbortController()
    const signal = AbortSignal.any([ended.signal, closing])
    stream.onAbort(() => ended.abort())
    let due = Promise.withResolvers<void>()
    const stop = book.listen(() => due.resolve())
    const wake = () => due.resolve()
    signal.addEventListener('abort', wake)
    try {
      // Something at once, so that the browser knows that it is connected.
      await stream.write(': connected\n\n')
      while (!signal.aborted) {
        const changes = seen === undefined ? undefined : book.since(seen)
        if (changes === undefined || changes.changed.length + changes.gone.length > MOST_CHANGES) {
          await stream.writeSSE({ event: 'anew', data: '{}', id: stamps.write(book.version) })
          return
        }
        seen = changes.version
        const messages = uid === undefined ? listMessages(changes) : recordMessages(changes, uid)
        for (const { event, data } of messages)
          await stream.writeSSE({ event, data: JSON.stringify(data), id: stamps.write(changes.version) })
        if (book.version !== seen) continue
        due = Promise.withResolvers()
        const quiet = setTimeout(wake, SILENCE_MS)
        if (!signal.aborted) await due.promise
        clearTimeout(quiet)
        if (book.version === seen) {
          if (!signal.aborted) await stream.write(': still here\n\n')
        } else await stream.sleep(GATHER_MS)
      }
    } finally {
      stop()
      signal.removeEventListener('abort', wake)
      onEnd()
    }
  })

  function listMessages({ changed, gone }: Changes): { event: string; data: unknown }[] {
    const matches = matcher(filter, source.now())
    return [
      // A row that no longer fits the filter leaves the list.
      ...[...gone, ...changed.filter((row) => !matches(row)).map((row) => row.uid)].map((one) => ({
        event: 'gone',
        data: { uid: one },
      })),
      ...changed
        .filter(matches)
        .map((row) => ({ event: 'row', data: { uid: row.uid, at: row.startedAt, cells: cellsOf(row, source.timeZone) } })),
    ]
  }
}

function recordMessages({ changed, gone }: Changes, uid: string): { event: string; data: unknown }[] {
  const concerned = gone.includes(uid) || changed.some((row) => row.uid === uid)
  return concerned ? [{ event: 'anew', data: {} }] : []
}
