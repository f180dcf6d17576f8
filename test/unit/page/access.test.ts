/** Who is let in, and with which headers what they get comes. */
import { request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { startPage } from '../../../src/page/server.ts'
import { forcedKill } from '../render/records.ts'
import { HOST, logged, Records, stored, visit } from './source.ts'

const source = () => new Records(stored('web-1', forcedKill()))
const PATHS = ['/', '/records/shop/web-1', '/workloads/shop/Deployment/web', '/events', '/style.css', '/nowhere']

describe('Host', () => {
  it.each(['localhost', 'localhost:8090', '127.0.0.1:1', '127.83.6.201:41573', '[::1]:65535'])(
    '%s is this machine',
    async (host) => {
      expect((await visit(source()).ask('/', { host })).status).toBe(200)
    },
  )

  it.each([
    '',
    'evil.example',
    'evil.example:8090',
    'localhost.evil.example',
    'localhost:8090.evil.example',
    'localhost@evil.example',
    '127.0.0.1.evil.example:8090',
    '127.evil.example:8090',
    '127.0.0.1.1:8090',
    '10.0.0.1:8090',
    '0.0.0.0:8090',
  ])('%s is not, whatever it resolves to', async (host) => {
    for (const path of PATHS) {
      const response = await visit(source()).ask(path, { host })
      expect(response.status, path).toBe(421)
      expect(await response.text()).not.toContain('web-1')
    }
  })
})

describe('Origin and where a request comes from', () => {
  it.each([
    [{ origin: 'http://evil.example' }],
    [{ origin: 'null' }],
    [{ origin: 'http://localhost:9999' }],
    [{ origin: `https://${HOST}` }],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' }],
    [{ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }],
  ])('refuses %j', async (headers) => {
    for (const path of PATHS) expect((await visit(source()).ask(path, headers)).status, path).toBe(403)
  })

  it.each([
    [{ origin: `http://${HOST}` }],
    [{ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }],
    [{ 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }],
  ])('takes %j', async (headers) => {
    expect((await visit(source()).ask('/', headers)).status).toBe(200)
  })
})

it('only reads', async () => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    const response = await visit(source()).ask('/', {}, method)
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  }
  const head = await visit(source()).ask('/', {}, 'HEAD')
  expect([head.status, await head.text()]).toEqual([200, ''])
})

describe('headers', () => {
  it.each([...PATHS, '/?key=wrong'])('of %s forbid everything that the page does not need', async (path) => {
    const { ask, closing } = visit(source(), path.includes('key') ? 'right' : undefined)
    const response = await ask(path)
    closing.abort()
    const policy = response.headers.get('content-security-policy')
    expect(policy?.split(/; ?/).sort()).toEqual([
      "base-uri 'none'",
      "connect-src 'self'",
      "default-src 'none'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "img-src 'self'",
      "require-trusted-types-for 'script'",
      "script-src 'self'",
      "style-src 'self'",
      "trusted-types 'none'",
    ])
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'cache-control': 'no-store',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    })
    expect(response.headers.has('strict-transport-security')).toBe(false)
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })
})

describe('the key', () => {
  const KEY = 'k'.repeat(24)

  it('lets nobody in who does not have it, anywhere', async () => {
    const { ask } = visit(source(), KEY)
    for (const path of [...PATHS, '/?key=', `/?key=${KEY}x`, '/live.js']) {
      for (const headers of [
        {},
        { cookie: 'gracewatch-8090=' },
        { cookie: `gracewatch-8090=${KEY}x` },
        { cookie: `other=${KEY}` },
      ]) {
        const response = await ask(path, headers)
        expect(response.status, path).toBe(403)
        expect(await response.text()).not.toContain('web-1')
      }
    }
  })

  it('becomes a cookie of this port that no script can read, and leaves the address', async () => {
    const { ask } = visit(source(), KEY)
    const first = await ask(`/?outcome=Bad&key=${KEY}`)
    expect([first.status, first.headers.get('location')]).toEqual([303, '/?outcome=Bad'])
    const cookie = first.headers.get('set-cookie') ?? ''
    expect(cookie.split('; ').sort()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Lax', `gracewatch-8090=${KEY}`])
    expect((await ask('/', { cookie: `theme=dark; gracewatch-8090=${KEY}` })).status).toBe(200)
    // The cookie of another page on this machine is not one of this.
    expect((await ask('/', { cookie: `gracewatch-8091=${KEY}` })).status).toBe(403)
  })
})

describe('on a socket', () => {
  const ends: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })

  async function serve(port = 0) {
    const page = await startPage({ source: source(), log: logged().log, port, key: 'secret' })
    ends.push(page.close)
    return page
  }

  const get = (port: number, headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/', headers }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })

  it('checks what the browser really sends', async () => {
    const page = await serve()
    expect(page.address).toBe(`http://127.0.0.1:${page.port}/?key=secret`)
    const first = await fetch(page.address, { redirect: 'manual' })
    expect(first.status).toBe(303)
    const cookie = (first.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
    expect(await get(page.port, { cookie })).toBe(200)
    expect(await get(page.port, { cookie, host: 'evil.example' })).toBe(421)
    expect(await get(page.port, { cookie, host: `localhost:${page.port}` })).toBe(200)
    expect(await get(page.port, { cookie, origin: 'http://evil.example' })).toBe(403)
    expect(await get(page.port, {})).toBe(403)
  })

  it('listens to one address of this machine, and to no other', async () => {
    const { port } = await serve()
    await expect(fetch(`http://127.0.0.2:${port}/`)).rejects.toThrow('fetch failed')
    await expect(fetch(`http://[::1]:${port}/`)).rejects.toThrow('fetch failed')
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(403)
  })

  it('listens to one that nothing else has, where it is to be apart', async () => {
    const [one, other] = await Promise.all(
      [1, 2].map(() => startPage({ source: source(), log: logged().log, port: 0, key: 'secret', apart: true })),
    )
    ends.push(...[one, other].flatMap((page) => (page === undefined ? [] : [page.close])))
    expect(one?.address).toMatch(/^http:\/\/127\.\d+\.\d+\.\d+:\d+\/\?key=secret$/)
    expect(new URL(one?.address ?? '').hostname).not.toBe(new URL(other?.address ?? '').hostname)
    expect((await fetch(one?.address ?? '', { redirect: 'manual' })).status).toBe(303)
    await expect(fetch(`http://127.0.0.1:${one?.port}/`)).rejects.toThrow('fetch failed')
  })

  it('says so where the port is taken', async () => {
    const { port } = await serve()
    await expect(serve(port)).rejects.toThrow(`127.0.0.1:${port} is in use`)
  })
})
