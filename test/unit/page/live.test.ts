/** The live part, over sockets from end to end: a watch of an API server on one side, an event stream on the other. */
import { get } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { Book } from '../../../src/page/book.ts'
import { servePage } from '../../../src/page/controller-page.ts'
import { rolloutOf } from '../../../src/page/neighbours.ts'
import { decodeRow, type TerminationRow } from '../../../src/page/row.ts'
import { startPage } from '../../../src/page/server.ts'
import { watchRecords } from '../../../src/page/source.ts'
import { cleanups, given } from '../kube/support/http.ts'
import * as records from '../render/records.ts'
import { logged, NOW, stored } from './source.ts'

interface Told {
  readonly event: string
  readonly data: { uid?: string; cells?: { text: string }[] }
  readonly id: string
}

/** What a stream tells, until `enough` does. */
class Stream {
  readonly told: Told[] = []
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #rest = ''

  private constructor(reader: ReadableStreamDefaultReader<Uint8Array>) {
    this.#reader = reader
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<Stream> {
    const response = await fetch(url, { headers })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    if (response.body === null) throw new Error('no stream')
    return new Stream(response.body.getReader())
  }

  /** False: the stream has ended. */
  async until(enough: (told: readonly Told[]) => boolean): Promise<boolean> {
    while (!enough(this.told)) {
      const { done, value } = await this.#reader.read()
      if (done) return false
      this.#rest += new TextDecoder().decode(value)
      const blocks = this.#rest.split('\n\n')
      this.#rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const field = (name: string) =>
          block
            .split('\n')
            .find((line) => line.startsWith(`${name}: `))
            ?.slice(name.length + 2)
        const event = field('event')
        if (event !== undefined) this.told.push({ event, data: JSON.parse(field('data') ?? '{}'), id: field('id') ?? '' })
      }
    }
    return true
  }

  close = () => this.#reader.cancel()
}

async function begin(...first: readonly PodTermination[]) {
  const { server, client } = await given()
  const object = (record: PodTermination): Record<string, unknown> => ({ ...record })
  const uids = first.map((record) => server.world.create(record.pod.name, object(record)).metadata.uid)
  const { log } = logged()
  const source = watchRecords({ http: client, log, now: () => NOW, timeZone: 'UTC' })
  cleanups.push(() => source.stop())
  await source.whenSynced()
  const page = await startPage({ source, log, port: 0 })
  cleanups.push(() => page.close())
  /** The address of the changes, as the list names it. */
  const eventsAt = async (path: string) => {
    const html = await (await fetch(`http://127.0.0.1:${page.port}${path}`)).text()
    const events = /data-events="([^"]*)"/.exec(html)?.[1]?.replaceAll('&amp;', '&')
    if (events === undefined) throw new Error('the page does not follow')
    return `http://127.0.0.1:${page.port}${events}`
  }
  const put = (record: PodTermination) => server.world.create(record.pod.name, object(record)).metadata.uid
  return { server, source, page, uids, eventsAt, put }
}

const named = (record: PodTermination, name: string) => ({ ...record, pod: { ...record.pod, name } })

describe('a list', () => {
  it('is told of what is recorded, of what changes, and of what is removed', async () => {
    const { server, eventsAt, put } = await begin(named(records.graceful(), 'old'))
    const stream = await Stream.open(await eventsAt('/'))
    const uid = put(named(records.terminating().record, 'new'))
    await stream.until(({ length }) => length > 0)
    expect(stream.told[0]).toMatchObject({ event: 'row', data: { uid } })
    expect(stream.told[0]?.data.cells?.slice(1, 3).map(({ text }) => text)).toEqual(['shop/new', 'Terminating'])
    server.world.update(uid, { ...named(records.forcedKill(), 'new') })
    await stream.until(({ length }) => length > 1)
    expect(stream.told[1]?.data.cells?.[2]?.text).toBe('ForcedKill')
    server.world.delete(uid)
    await stream.until(({ length }) => length > 2)
    expect(stream.told[2]).toMatchObject({ event: 'gone', data: { uid } })
    await stream.close()
  })

  it('is told only of what fits its filter, and of what no longer does', async () => {
    const running = named(records.terminating().record, 'slow')
    const { server, uids, eventsAt, put } = await begin(running)
    const stream = await Stream.open(await eventsAt('/?outcome=Terminating'))
    put(named(records.forcedKill(), 'other'))
    server.world.update(uids[0] ?? '', { ...named(records.forcedKill(), 'slow') })
    const last = put(named(running, 'next'))
    await stream.until((told) => told.some(({ data }) => data.uid === last))
    expect(stream.told.filter(({ event }) => event === 'row').map(({ data }) => data.uid)).toEqual([last])
    expect(stream.told.filter(({ event }) => event === 'gone').map(({ data }) => data.uid)).toContain(uids[0])
    await stream.close()
  })

  it('misses nothing between the page and its stream, nor while it was away', async () => {
    const { source, eventsAt, put } = await begin()
    const events = await eventsAt('/')
    const listen = new Promise<void>((resolve) => source.book.listen(resolve))
    const first = put(named(records.graceful(), 'meanwhile'))
    await listen
    const stream = await Stream.open(events)
    await stream.until(({ length }) => length > 0)
    expect(stream.told.map(({ data }) => data.uid)).toEqual([first])
    await stream.close()
    const second = put(named(records.graceful(), 'away'))
    // A browser that comes back says what it had last, in a header that goes before the address.
    const again = await Stream.open(events, { 'last-event-id': stream.told[0]?.id ?? '' })
    await again.until(({ length }) => length > 0)
    expect(again.told.map(({ data }) => data.uid)).toEqual([second])
    await again.close()
  })

  it('is loaded anew where another process had made it', async () => {
    const { page } = await begin()
    const stream = await Stream.open(`http://127.0.0.1:${page.port}/events?stamp=ffffffffffff-3`)
    expect(await stream.until(() => false)).toBe(false)
    expect(stream.told.map(({ event }) => event)).toEqual(['anew'])
  })

  it('takes thousands of changes as one, and is loaded anew', async () => {
    const { eventsAt, put, source } = await begin()
    const events = await eventsAt('/')
    for (let i = 0; i < 2000; i++) put(named(records.graceful(), `web-${i}`))
    await expect.poll(() => source.book.rows().length).toBe(2000)
    const stream = await Stream.open(events)
    expect(await stream.until(() => false)).toBe(false)
    expect(stream.told.map(({ event }) => event)).toEqual(['anew'])
  })
})

it('tells an open record of its own changes, and of no others', async () => {
  const { server, uids, page, put, source } = await begin(named(records.terminating().record, 'web-1'))
  const stream = await Stream.open(
    `http://127.0.0.1:${page.port}/events?uid=${uids[0]}&stamp=${/stamp=([0-9a-f-]+)/.exec(await (await fetch(`http://127.0.0.1:${page.port}/`)).text())?.[1]}`,
  )
  put(named(records.forcedKill(), 'web-2'))
  await expect.poll(() => source.book.rows().length).toBe(2)
  server.world.update(uids[0] ?? '', { ...named(records.forcedKill(), 'web-1') })
  await stream.until(({ length }) => length > 0)
  expect(stream.told.map(({ event }) => event)).toEqual(['anew'])
  await stream.close()
})

it('ends its streams when it is closed, and holds no more than it can', async () => {
  const { page, eventsAt } = await begin()
  const events = await eventsAt('/')
  const streams = await Promise.all(Array.from({ length: 32 }, () => Stream.open(events)))
  onTestFinished(async () => {
    await Promise.all(streams.map(({ close }) => close()))
  })
  expect((await fetch(events)).status).toBe(503)
  await streams[0]?.close()
  await expect
    .poll(async () => {
      const response = await fetch(events)
      await response.body?.cancel()
      return response.status
    })
    .toBe(200)
  // With 31 of them open.
  await page.close()
  expect(await streams[1]?.until(() => false).catch(() => false)).toBe(false)
})

it('shows one namespace only, where it is to', async () => {
  const { server, client } = await given()
  const source = watchRecords({ http: client, log: logged().log, namespace: 'shop', now: () => NOW, timeZone: 'UTC' })
  cleanups.push(() => source.stop())
  await source.whenSynced()
  const asked = server.requests.length
  expect(await source.open('other', 'web-1')).toBeUndefined()
  expect(server.requests).toHaveLength(asked)
  expect(server.requests.map(({ path }) => path)).toEqual(
    server.requests.map(() => '/apis/gracewatch.dev/v1alpha1/namespaces/shop/podterminations'),
  )
})

it('is served by the controller without a key, of all namespaces, and says which setting chose its port', async () => {
  const { server, client } = await given()
  server.world.create('web-1', { ...records.forcedKill() })
  const { log } = logged()
  const page = await servePage({ port: 0, http: client, clock: { now: () => NOW }, log })
  cleanups.push(() => page.close())
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${page.port}/`)).text()).toContain('href="/records/shop/web-1"')
  expect(new Set(server.requests.map(({ path }) => path))).toEqual(new Set(['/apis/gracewatch.dev/v1alpha1/podterminations']))
  // As the browser of somebody has it who forwards another port of theirs.
  const forwarded = {
    host: 'localhost:9999',
    'sec-fetch-site': 'none',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
  }
  const status = await new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: page.port, headers: forwarded }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })
  expect(status).toBe(200)
  await expect(servePage({ port: page.port, http: client, clock: { now: () => NOW }, log })).rejects.toThrow(
    `127.0.0.1:${page.port} is in use: write another --page-port`,
  )
})

describe('a book', () => {
  const row = (uid: string): TerminationRow => decodeRow(stored(uid, records.graceful(), uid))

  it('tells what changed since, each once, and knows when it does not know', () => {
    const book = new Book()
    for (const uid of ['a', 'b', 'c']) book.put(row(uid))
    const { version } = book
    book.put(row('a'))
    book.put(row('a'))
    book.remove('b')
    book.remove('nobody')
    expect(book.since(version)).toMatchObject({ changed: [{ uid: 'a' }], gone: ['b'] })
    expect(book.since(book.version)).toMatchObject({ changed: [], gone: [] })
    expect(book.since(book.version + 1)).toBeUndefined()
    // One that comes back is gone no more.
    book.put(row('b'))
    expect(book.since(version)).toMatchObject({ changed: [{ uid: 'a' }, { uid: 'b' }], gone: [] })
    for (let i = 0; i < 2100; i++) {
      book.put(row('x'))
      book.put(row(`y${i}`))
      book.remove(`y${i}`)
    }
    expect(book.since(version)).toBeUndefined()
    expect(
      book
        .rows()
        .map(({ uid }) => uid)
        .sort(),
    ).toEqual(['a', 'b', 'c', 'x'])
  })
})

it('takes for one rollout what follows without ten minutes of silence', () => {
  const rows = [0, 300, 800, 1500, 2000].map((seconds) =>
    decodeRow(stored(`web-${seconds}`, { ...records.graceful(), startedAt: records.at(seconds) })),
  )
  const alien = decodeRow(stored('orders-0', { ...records.sidecars(), startedAt: records.at(400) }))
  const all = [...rows, alien].toSorted((a, b) => b.startedAt - a.startedAt)
  const names = (row: TerminationRow | undefined) => (row === undefined ? [] : rolloutOf(row, all).map(({ name }) => name))
  expect(names(rows[1])).toEqual(['web-0', 'web-300', 'web-800'])
  expect(names(rows[4])).toEqual(['web-1500', 'web-2000'])
  expect(names(alien)).toEqual(['orders-0'])
})
