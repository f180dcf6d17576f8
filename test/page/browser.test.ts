/**
 * The page in Chromium, as a person meets it. The records are the tests' own; what a watch does with those of an API server is
 * tested in test/unit/page. Screenshots of what was seen are left in out/page.
 */
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { type PageServer, startPage } from '../../src/page/server.ts'
import { PALETTES } from '../../src/render/svg-style.ts'
import { findCommand } from '../cluster/machine.ts'
import { nasty } from '../unit/page/nasty.ts'
import { logged, Records, stored } from '../unit/page/source.ts'
import * as records from '../unit/render/records.ts'

const shots = join(resolve(import.meta.dirname, '../..'), 'out', 'page')
const KEY = 'the-key-of-this-run'

let browser: Browser
beforeAll(async () => {
  mkdirSync(shots, { recursive: true })
  // Root has no sandbox in Chromium.
  browser = await chromium.launch({ executablePath: findCommand('chromium') ?? 'chromium', args: ['--no-sandbox'] })
})
afterAll(() => browser?.close())

const named = (record: PodTermination, name: string, seconds: number): PodTermination => ({
  ...record,
  startedAt: records.at(seconds),
  pod: { ...record.pod, name },
})

const shop = () => [
  stored('web-1', named(records.forcedKillInferred(), 'web-7d4b9c-aaaaa', 0)),
  stored('web-2', named(records.graceful(), 'web-7d4b9c-bbbbb', 120)),
  stored('orders-0', named(records.sidecars(), 'orders-0', 300)),
  stored('running', named(records.terminating().record, 'web-7d4b9c-ccccc', 200)),
  stored('batch', named(records.twelve(), 'batch-6f7c9d8b7d-qq8wz', 30)),
]

interface Visit {
  readonly page: Page
  readonly context: BrowserContext
  readonly source: Records
  readonly server: PageServer
  /** What a browser complains of: errors, what its policy refused, dialogs, requests to elsewhere. */
  readonly complaints: string[]
}

/** A new browser window that has opened the address with the key. */
async function visit(options: BrowserContextOptions = {}, source = new Records(...shop())): Promise<Visit> {
  const server = await startPage({ source, log: logged().log, port: 0, key: KEY })
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options })
  onTestFinished(async () => {
    await context.close()
    await server.close()
  })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('dialog', (dialog) => {
    complaints.push(`dialog ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('request', (request) => {
    if (new URL(request.url()).port !== String(server.port)) complaints.push(`asked for ${request.url()}`)
  })
  await page.goto(server.address)
  return { page, context, source, server, complaints }
}

const shot = (page: Page, name: string) => page.screenshot({ path: join(shots, `${name}.png`), fullPage: true })
const namesIn = (page: Page) => page.locator('tbody[data-events] tr td:nth-child(2)').allTextContents()
/** As the browser has it; expressions are texts, since these tests know no types of a document. */
const background = (page: Page) => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
const rgb = (hex: string) => `rgb(${[1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join(', ')})`

describe('the list', () => {
  it('shows by itself what is recorded, what changes and what is removed, where one is', async () => {
    const { page, source, complaints } = await visit()
    await expect.poll(() => page.locator('#live').textContent()).toBe('live')
    expect(new URL(page.url()).search).toBe('')
    await page.evaluate('window.stayed = true')
    source.put(stored('late', named(records.forcedKill(), 'web-new', 400)))
    source.put(stored('between', named(records.graceful(), 'web-between', 100)))
    await expect
      .poll(() => namesIn(page))
      .toEqual([
        'shop/web-new',
        'shop/orders-0',
        'shop/web-7d4b9c-ccccc',
        'shop/web-7d4b9c-bbbbb',
        'shop/web-between',
        'shop/batch-6f7c9d8b7d-qq8wz',
        'shop/web-7d4b9c-aaaaa',
      ])
    await page.locator('tr[data-uid=uid-of-running] a').first().focus()
    source.put(stored('running', named(records.forcedKill(), 'web-7d4b9c-ccccc', 200)))
    const outcome = page.locator('tr[data-uid=uid-of-running] td:nth-child(3)')
    await expect.poll(() => outcome.textContent()).toBe('ForcedKill')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('shop/web-7d4b9c-ccccc')
    source.book.remove('uid-of-late')
    await expect.poll(async () => (await namesIn(page)).includes('shop/web-new')).toBe(false)
    expect(await page.evaluate('window.stayed')).toBe(true)
    await shot(page, 'list')
    expect(complaints).toEqual([])
  })

  it('is narrowed by its form, with and without JavaScript', async () => {
    for (const javaScriptEnabled of [true, false]) {
      const { page, complaints } = await visit({ javaScriptEnabled })
      await page.getByLabel('Outcome').selectOption('Bad')
      await page.getByLabel('Workload').fill('web')
      await page.getByRole('button', { name: 'Filter' }).click()
      await page.waitForURL(/outcome=Bad/)
      await expect.poll(() => namesIn(page)).toEqual(['shop/web-7d4b9c-aaaaa'])
      await page.getByRole('link', { name: 'Show all' }).click()
      await expect.poll(async () => (await namesIn(page)).length).toBe(5)
      expect(complaints).toEqual([])
    }
  })

  it('shows 10,000 records', async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => stored(`web-${i}`, named(records.forcedKill(), `web-${i}`, i)))
    const { page, server } = await visit({}, new Records(...many))
    const start = performance.now()
    await page.goto(`http://127.0.0.1:${server.port}/?outcome=Bad`)
    await page.getByText('1 to 100 of 10000').waitFor()
    // The work that it is for the server is measured in test/unit/page; to be drawn is as much as of 100.
    console.log(`10,000 records: shown after ${Math.round(performance.now() - start)} ms`)
    expect(await namesIn(page)).toHaveLength(100)
  })
})

describe('a record', () => {
  it('is reached from the list, and tells of each mark to the mouse and to the keyboard', async () => {
    const { page, complaints } = await visit()
    await page.getByRole('link', { name: 'shop/web-7d4b9c-aaaaa' }).click()
    await page.locator('h1').waitFor()
    expect(await page.locator('h1 .verdict').textContent()).toBe('FORCED KILL')
    const told = () => page.locator('.told:visible').allTextContents()
    expect(await told()).toEqual([])
    const kill = page.getByRole('img', { name: /SIGKILL by the runtime/ })
    await kill.locator('.touch').hover()
    expect((await told())[0]).toMatch(/^about \+17\.1 s {3}SIGKILL by the runtime {3}app$/)
    await shot(page, 'record-light')
    await page.mouse.move(0, 0)
    await page.locator('figure').focus()
    await page.keyboard.press('Tab')
    expect((await told())[0]).toMatch(/termination began/)
    await page.keyboard.press('Tab')
    expect((await told())[0]).toMatch(/out of rotation {3}web$/)
    expect(await page.locator('.hint').isVisible()).toBe(false)
    expect(complaints).toEqual([])
  })

  it('is shown anew when it has changed', async () => {
    const { page, source, server, complaints } = await visit()
    await page.goto(`http://127.0.0.1:${server.port}/records/shop/running`)
    await expect.poll(() => page.locator('#live').textContent()).toBe('live')
    source.put(stored('running', named(records.forcedKill(), 'web-7d4b9c-ccccc', 200)))
    await expect.poll(() => page.locator('h1 .verdict').textContent()).toBe('FORCED KILL')
    expect(complaints).toEqual([])
  })

  it('has its neighbours, its YAML and its workload without JavaScript', async () => {
    const { page, server } = await visit({ javaScriptEnabled: false })
    await page.goto(`http://127.0.0.1:${server.port}/records/shop/web-1`)
    await page.getByText('shop/web-1 as YAML').click()
    expect(await page.locator('pre').isVisible()).toBe(true)
    await page.locator('tr:not(.here) a', { hasText: 'bbbbb' }).click()
    await expect.poll(() => page.locator('h1 .verdict').textContent()).toBe('GRACEFUL')
    await page.getByRole('link', { name: 'Deployment web' }).first().click()
    await expect.poll(() => page.locator('h1').textContent()).toBe('Deployment shop/web')
    await page.locator('svg a.mark').last().click()
    await expect.poll(() => new URL(page.url()).pathname).toMatch(/^\/records\/shop\//)
  })
})

describe('how it looks', () => {
  const paths = {
    list: '/',
    record: '/records/shop/web-1',
    batch: '/records/shop/batch',
    workload: '/workloads/shop/Deployment/web',
  }

  it.each(['light', 'dark'] as const)('is %s where the system is', async (colorScheme) => {
    const { page, server, complaints } = await visit({ colorScheme })
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(`http://127.0.0.1:${server.port}${path}`)
      expect(await background(page), name).toBe(rgb(PALETTES[colorScheme].paper))
      await shot(page, `${name}-${colorScheme}`)
    }
    await page.goto(`http://127.0.0.1:${server.port}${paths.record}`)
    const stroke = await page.evaluate("getComputedStyle(document.querySelector('svg .frame.bad')).stroke")
    expect(stroke).toBe(rgb(PALETTES[colorScheme].bad))
    expect(complaints).toEqual([])
  })

  it('fits a narrow window: what is wide scrolls by itself', async () => {
    const { page, server, complaints } = await visit({ viewport: { width: 360, height: 720 } })
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(`http://127.0.0.1:${server.port}${path}`)
      expect(await page.evaluate<number>('document.documentElement.scrollWidth'), name).toBeLessThanOrEqual(360)
      await shot(page, `${name}-narrow`)
    }
    expect(complaints).toEqual([])
  })
})

it('does not send its key to another server of this machine', async () => {
  const server = await startPage({ source: new Records(...shop()), log: logged().log, port: 0, key: KEY, apart: true })
  const cookies: (string | undefined)[] = []
  const other = createServer((request, response) => {
    if (request.url === '/') cookies.push(request.headers.cookie)
    response.end('another')
  })
  await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
  const context = await browser.newContext()
  onTestFinished(async () => {
    await context.close()
    await server.close()
    other.close()
  })
  const page = await context.newPage()
  await page.goto(server.address)
  await page.getByRole('link', { name: 'shop/web-7d4b9c-aaaaa' }).waitFor()
  const { port } = other.address() as AddressInfo // it listens on TCP
  await page.goto(`http://127.0.0.1:${port}/`)
  expect(cookies).toEqual([undefined])
})

it('runs nothing that a user put into a record, wherever it stands', async () => {
  const record = nasty()
  const source = new Records(stored('nasty', record), stored('other', nasty()))
  const { page, server, complaints } = await visit({}, source)
  const workload = [record.pod.namespace, record.pod.workload?.kind, record.pod.workload?.name].map((part) =>
    encodeURIComponent(part ?? ''),
  )
  for (const path of ['/', '/records/shop/nasty', `/workloads/${workload.join('/')}`]) {
    await page.goto(`http://127.0.0.1:${server.port}${path}`)
    expect(await page.locator('img').count(), path).toBe(0)
    expect(await page.locator('script').count(), path).toBeLessThanOrEqual(1)
  }
  await page.goto(`http://127.0.0.1:${server.port}/`)
  await expect.poll(() => page.locator('#live').textContent()).toBe('live')
  source.put(stored('third', { ...nasty(), startedAt: records.at(900) }))
  await expect.poll(() => page.locator('tbody tr').count()).toBe(3)
  expect(await page.locator('tbody img, tbody script').count()).toBe(0)
  await shot(page, 'markup')
  expect(complaints).toEqual([])
})
