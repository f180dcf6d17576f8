/** The pages as HTML: what they show, what they leave out, and that nothing of the cluster becomes markup. */
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { SECOND } from '../../../src/core/time.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import * as records from '../render/records.ts'
import { MARKUP, nasty } from './nasty.ts'
import { NOW, Records, stored, visit } from './source.ts'
import { all, byClass, byName, type Node, nodesOf, parseMarkup, textOf } from './xml.ts'

/** Begun so many seconds after the start that the builders have, and over at once. */
const shift = (record: PodTermination, seconds: number): PodTermination => ({
  ...record,
  startedAt: records.at(seconds),
  finishedAt: records.at(seconds),
})
const named = (record: PodTermination, name: string) => ({ ...record, pod: { ...record.pod, name } })

function shop() {
  return new Records(
    stored('web-1', shift(named(records.forcedKill(), 'web-7d4b9c-aaaaa'), 0)),
    stored('web-2', shift(named(records.graceful(), 'web-7d4b9c-bbbbb'), 120)),
    stored('orders-0', shift(records.sidecars(), 300)),
    stored('web-old', shift(named(records.graceful(), 'web-5f5f5f-ccccc'), -86_400)),
  )
}

async function pageAt(source: Records, path: string, status = 200): Promise<Node> {
  const response = await visit(source).ask(path)
  expect(response.status).toBe(status)
  expect(response.headers.get('content-type')).toBe('text/html; charset=UTF-8')
  return parseMarkup(await response.text())
}

const rowsOf = (page: Node) => byName(page, 'tr').filter(({ attributes }) => attributes.has('data-uid'))
const uids = (page: Node) => rowsOf(page).map(({ attributes }) => attributes.get('data-uid')?.replace('uid-of-', ''))
const links = (page: Node) => byName(page, 'a').map(({ attributes }) => attributes.get('href'))

describe('the list', () => {
  it('has the newest first, with what one wants to know of each, and leads on', async () => {
    const page = await pageAt(shop(), '/')
    expect(uids(page)).toEqual(['orders-0', 'web-2', 'web-1', 'web-old'])
    const [, , forced] = rowsOf(page)
    expect(byName(forced ?? page, 'td').map(textOf)).toEqual([
      '2026-11-24 21:31:01 UTC',
      'shop/web-7d4b9c-aaaaa',
      'ForcedKill',
      'PreStopOverran',
      'Deployment web',
      'Deleted',
      '113 % of 15 s',
      '17.4 s',
    ])
    expect(links(forced ?? page)).toEqual(['/records/shop/web-1', '/workloads/shop/Deployment/web'])
    expect(textOf(page)).toContain('4 terminations: 1 ForcedKill, 3 Graceful.')
  })

  it('says at the top which workloads lose pods badly', async () => {
    const [list] = byName(await pageAt(shop(), '/'), 'ul')
    expect(byName(list ?? (await pageAt(shop(), '/')), 'li').map(textOf)).toEqual(['1 of 3: Deployment shop/web (1 ForcedKill)'])
  })

  it.each([
    ['namespace=shop', ['orders-0', 'web-2', 'web-1', 'web-old']],
    ['namespace=elsewhere', []],
    ['workload=WEB', ['web-2', 'web-1', 'web-old']],
    ['workload=StatefulSet%2Forders', ['orders-0']],
    ['workload=set%2Forders', []],
    ['outcome=Bad', ['web-1']],
    ['outcome=Graceful', ['orders-0', 'web-2', 'web-old']],
    ['finding=StopSignalIgnored', ['orders-0']],
    ['since=1h', ['orders-0', 'web-2', 'web-1']],
    ['since=55m', ['orders-0']],
    ['since=nonsense', ['orders-0', 'web-2', 'web-1', 'web-old']],
    ['workload=web&outcome=Graceful&since=24h', ['web-2']],
  ])('is narrowed by ?%s', async (query, expected) => {
    const page = await pageAt(shop(), `/?${query}`)
    expect(uids(page)).toEqual(expected)
  })

  it('leaves out what was over by then, and nothing that still runs', async () => {
    const early = (record: PodTermination, finished?: number): PodTermination => ({
      ...record,
      startedAt: records.at(-7200),
      ...(finished === undefined ? {} : { finishedAt: records.at(finished) }),
    })
    const source = new Records(
      stored('over', early(records.graceful(), -7100)),
      stored('just-over', early(records.graceful(), 3000)),
      stored('running', early(records.overdue().record)),
    )
    expect(uids(await pageAt(source, '/?since=1h'))).toEqual(expect.arrayContaining(['just-over', 'running']))
    expect(uids(await pageAt(source, '/?since=1h'))).not.toContain('over')
  })

  it('keeps what was asked for in the form, and in the address of the changes', async () => {
    const page = await pageAt(shop(), '/?namespace=elsewhere&workload=we&outcome=Bad')
    const chosen = all(page, ({ attributes }) => attributes.has('selected')).map(({ attributes }) => attributes.get('value'))
    expect(chosen).toEqual(['elsewhere', 'Bad'])
    expect(byName(page, 'input')[0]?.attributes.get('value')).toBe('we')
    const [body] = byName(page, 'tbody')
    expect(body?.attributes.get('data-events')).toMatch(
      /^\/events\?namespace=elsewhere&workload=we&outcome=Bad&stamp=[0-9a-f]+-4$/,
    )
  })

  it('shows a termination that is late as that, and one without a verdict', async () => {
    const page = await pageAt(
      new Records(stored('late', records.overdue().record), stored('begun', records.begunByTheAgent())),
      '/',
    )
    expect(rowsOf(page).map((row) => textOf(byName(row, 'td')[2] ?? row))).toEqual(['NoVerdict', 'Overdue'])
  })

  it('shows a hundred at a time, each once, also while new ones come', async () => {
    const source = new Records(
      ...Array.from({ length: 250 }, (_, i) => stored(`web-${i}`, shift(records.graceful(), Math.floor(i / 2)))),
    )
    const seen: (string | undefined)[] = []
    let next: string | undefined = '/'
    for (let pages = 0; next !== undefined; pages++) {
      const page: Node = await pageAt(source, next)
      seen.push(...uids(page))
      next = all(page, ({ attributes }) => attributes.get('rel') === 'next')[0]?.attributes.get('href')
      source.put(stored(`new-${pages}`, shift(records.graceful(), 1000 + pages)))
    }
    expect(seen).toHaveLength(250)
    expect(new Set(seen).size).toBe(250)
  })
})

describe('a record', () => {
  it('has the verdict, the story, the picture, the findings, every mark, and the record', async () => {
    const page = await pageAt(shop(), '/records/shop/web-1')
    const text = textOf(page)
    expect(textOf(byName(page, 'h1')[0] ?? page)).toBe('shop/web-7d4b9c-aaaaaFORCED KILL')
    expect(text).toContain('Deleted 2026-11-24 21:31:01.2 UTC by an API delete, grace 15 s (113 % used), gone after 17.4 s.')
    expect(byClass(page, 'mark')).toHaveLength(10)
    expect(textOf(byClass(page, 'finding')[0] ?? page)).toMatch(/^Warning: PreStopOverran \(app\)The preStop hook was still/)
    const [marks] = byName(page, 'table')
    expect(byName(byName(marks ?? page, 'tr')[7] ?? page, 'td').map(textOf)).toEqual([
      '+17.03 s',
      'SIGKILL by the runtime',
      'app',
      "measured: kernel trace, 17.03 s on the node's clock",
    ])
    const raw = parse(textOf(byName(page, 'pre')[0] ?? page))
    expect(raw).toMatchObject({ kind: 'PodTermination', metadata: { name: 'web-1' }, outcome: 'ForcedKill' })
  })

  it('has its neighbours in the rollout, and not the pods of another day', async () => {
    const page = await pageAt(shop(), '/records/shop/web-1')
    expect(uids(page)).toEqual(['web-1', 'web-2'])
    expect(byClass(page, 'here').map(({ attributes }) => attributes.get('data-uid'))).toEqual(['uid-of-web-1'])
    expect(uids(await pageAt(shop(), '/records/shop/web-old'))).toEqual([])
  })

  it('follows only while the termination runs', async () => {
    const source = shop()
    const { record } = records.terminating()
    source.put(stored('running', record))
    const running = await pageAt(source, '/records/shop/running')
    expect(byName(running, 'main')[0]?.attributes.get('data-events')).toMatch(/^\/events\?uid=uid-of-running&stamp=/)
    expect(byName(await pageAt(source, '/records/shop/web-1'), 'script')).toEqual([])
  })

  it('is shown as it is where this version cannot read it', async () => {
    const source = new Records(stored('odd', { ...records.graceful(), outcome: 'Vaporised' as 'Graceful' })) // of a version to come
    const page = await pageAt(source, '/records/shop/odd')
    expect(textOf(byClass(page, 'problem')[0] ?? page)).toContain('This version cannot read the record: outcome:')
    expect(textOf(byName(page, 'pre')[0] ?? page)).toContain('Vaporised')
  })

  it.each([
    '/records/shop/nobody',
    '/records/shop/..%2F..%2Fsecrets',
    '/records/Shop/web-1',
    '/workloads/shop/Deployment/none',
    '/x',
  ])('is not found at %s', async (path) => {
    expect(textOf(await pageAt(shop(), path, 404))).toContain('Not found')
  })
})

describe('a workload', () => {
  it('has a point for each termination, each with its words and its way to the record', async () => {
    const page = await pageAt(shop(), '/workloads/shop/Deployment/web')
    const points = byClass(page, 'mark')
    expect(points.map(({ attributes }) => attributes.get('href'))).toEqual([
      '/records/shop/web-old',
      '/records/shop/web-1',
      '/records/shop/web-2',
    ])
    expect(points[1]?.attributes.get('aria-label')).toBe(
      'web-7d4b9c-aaaaa, ForcedKill, 113 % of the grace period, 2026-11-24 21:31:01 UTC',
    )
    expect(textOf(page)).toContain('3 terminations: 1 ForcedKill, 2 Graceful.')
    expect(uids(page)).toEqual(['web-2', 'web-1', 'web-old'])
  })
})

describe('every page', () => {
  const paths = ['/', '/?outcome=Bad', '/records/shop/web-1', '/workloads/shop/Deployment/web', '/nowhere']

  it.each(paths)('%s has a language, a title, one h1, labels, named regions, and no id twice', async (path) => {
    const page = await pageAt(shop(), path, path === '/nowhere' ? 404 : 200)
    expect(page.attributes.get('lang')).toBe('en')
    expect(textOf(byName(page, 'title')[0] ?? page)).toMatch(/Gracewatch$/)
    expect(byName(page, 'h1')).toHaveLength(1)
    const ids = [...nodesOf(page)].flatMap(({ attributes }) => attributes.get('id') ?? [])
    expect(new Set(ids).size).toBe(ids.length)
    for (const field of all(page, ({ name }) => name === 'select' || name === 'input')) {
      const label = byName(page, 'label').find((one) => [...nodesOf(one)].includes(field))
      expect(label === undefined ? '' : textOf(label)).not.toBe('')
    }
    // What scrolls can be reached with the keyboard, and has a name.
    for (const region of byClass(page, 'scroll'))
      expect([...region.attributes.keys()]).toEqual(expect.arrayContaining(['tabindex', 'aria-label']))
  })

  it.each(paths)('%s asks for nothing from anywhere else and has no script or style in it', async (path) => {
    const page = await pageAt(shop(), path, path === '/nowhere' ? 404 : 200)
    for (const { name, attributes, children } of nodesOf(page)) {
      for (const key of attributes.keys()) expect(key).not.toMatch(/^on|^style$/)
      if (name === 'script') expect(children).toEqual([])
      expect(name).not.toBe('style')
      for (const key of ['href', 'src', 'action']) expect(attributes.get(key) ?? '/').toMatch(/^[/#]/)
      for (const key of ['href', 'src', 'action']) expect(attributes.get(key) ?? '/').not.toMatch(/^\/\//)
    }
  })

  it('says so where the watch is interrupted', async () => {
    const source = shop()
    source.trouble = 'The watch of the records is interrupted, so this may be behind: no route to host.'
    for (const path of ['/', '/records/shop/web-1'])
      expect(all(await pageAt(source, path), ({ attributes }) => attributes.get('role') === 'alert').map(textOf)).toEqual([
        source.trouble,
      ])
  })

  it('says what the API server refused, and of a mistake in here no more than that there is one', async () => {
    const source = shop()
    source.failure = new KubeError('Forbidden', 'GET of the record was refused: you <b>may</b> not')
    expect(textOf(await pageAt(source, '/records/shop/web-1', 502))).toContain('you <b>may</b> not')
    source.failure = new TypeError('secret detail')
    const { ask, errors } = visit(source)
    const response = await ask('/records/shop/web-1')
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('secret detail')
    expect(errors).toHaveLength(1)
  })
})

describe('markup in every field that a user can set', () => {
  const record = nasty()
  const source = new Records(stored('nasty', record), stored('neighbour', nasty()))
  const workload = `/workloads/${[record.pod.namespace, record.pod.workload?.kind, record.pod.workload?.name].map((part) => encodeURIComponent(part ?? '')).join('/')}`

  it.each(['/', '/records/shop/nasty', workload])('is text at %s', async (path) => {
    const response = await visit(source).ask(path)
    expect(response.status).toBe(200)
    const html = await response.text()
    const page = parseMarkup(html)
    expect(html).not.toMatch(/<script(?! type="module" src="\/live\.js">)|<img/)
    expect(textOf(page)).toContain(MARKUP)
    for (const { attributes } of nodesOf(page)) for (const key of attributes.keys()) expect(key).not.toMatch(/^on/)
  })

  it('is text where it was asked for in the address', async () => {
    const asked = ['namespace', 'workload', 'outcome', 'finding'].map((key) => `${key}=${encodeURIComponent(MARKUP)}`).join('&')
    const page = await pageAt(source, `/?${asked}`)
    expect(byName(page, 'script')).toHaveLength(1)
    expect(byName(page, 'img')).toEqual([])
    expect(byName(page, 'input')[0]?.attributes.get('value')).toBe(MARKUP)
  })
})

it('counts back from the clock of the API server', async () => {
  const source = shop()
  source.now = () => NOW - 3300 * SECOND + 30 * SECOND
  expect(uids(await pageAt(source, '/?since=1m'))).toEqual(['orders-0'])
})
