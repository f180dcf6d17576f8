import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { ReflectorStats } from '../../../src/kube/reflector-types.ts'
import { cacheSynced, type HealthServer, leaseReachable, startHealthServer, watchAlive } from '../../../src/web/health.ts'

const loopback = { host: '127.0.0.1', port: 0 }
let server: HealthServer | undefined
afterEach(async () => server?.close())

async function get(path: string, init?: RequestInit) {
  const response = await fetch(`http://127.0.0.1:${server?.port}${path}`, init)
  return { status: response.status, body: await response.text() }
}

const stats = (given: Partial<ReflectorStats>): ReflectorStats => ({
  phase: 'Watching',
  lists: 0,
  relists: 0,
  watches: 0,
  gaps: 0,
  events: 0,
  bookmarks: 0,
  duplicates: 0,
  decodeErrors: 0,
  handlerErrors: 0,
  failures: {},
  failuresInRow: 0,
  open: true,
  ...given,
})

describe('the server', () => {
  it('answers each path with its own checks, failing ones named with the reason', async () => {
    server = await startHealthServer({
      address: loopback,
      live: [{ name: 'a', check: () => undefined }],
      ready: [
        { name: 'b', check: () => undefined },
        { name: 'c', check: () => 'not yet' },
      ],
    })
    expect(await get('/livez')).toEqual({ status: 200, body: '[+] a ok\nok\n' })
    expect(await get('/readyz?verbose')).toEqual({ status: 503, body: '[+] b ok\n[-] c: not yet\nfailed\n' })
    expect(await get('/')).toMatchObject({ status: 404 })
    expect(await get('/livez', { method: 'POST' })).toMatchObject({ status: 405 })
  })

  it('closes although a client keeps its connection, and closes twice', async () => {
    server = await startHealthServer({ address: loopback, live: [], ready: [] })
    const client = connect(server.port, '127.0.0.1')
    await new Promise((connected) => client.once('connect', connected))
    const dropped = new Promise((closed) => client.once('close', closed))
    client.on('error', () => {})
    await server.close()
    await dropped
    await server.close()
  })

  it('says which setting to change where the address is taken', async () => {
    server = await startHealthServer({ address: loopback, live: [], ready: [] })
    const again = startHealthServer({ address: { host: '127.0.0.1', port: server.port }, live: [], ready: [] })
    await expect(again).rejects.toThrow(`127.0.0.1:${server.port} is in use: write another --health-address`)
  })
})

describe('the checks', () => {
  it('a watch is stuck when it is silent for minutes and does not even fail', () => {
    const now = () => 1_000_000_000
    const alive = (given: Partial<ReflectorStats>) => watchAlive('pods', () => stats(given), now).check()
    expect(alive({})).toBeUndefined()
    expect(alive({ lastAliveAt: 701_000_000 })).toBeUndefined()
    expect(alive({ lastAliveAt: 600_000_000 })).toBe('silent for 400 s')
    expect(alive({ lastAliveAt: 600_000_000, failuresInRow: 1 })).toBeUndefined()
    expect(alive({ lastAliveAt: 600_000_000, phase: 'Stopped' })).toBeUndefined()
  })

  it('a cache is ready once listed, and says why it is not', () => {
    expect(cacheSynced('pods', { synced: true, stats: stats({}) }).check()).toBeUndefined()
    const failing = { synced: false, stats: stats({ lastError: 'GET /api/v1/pods: 403 forbidden' }) }
    expect(cacheSynced('pods', failing).check()).toBe('not listed yet: GET /api/v1/pods: 403 forbidden')
  })

  it('the Lease has to be read, by the standby too', () => {
    const lease = (lastContactAgoMs: number | undefined) =>
      leaseReachable(() => ({ leading: false, holder: 'a', renewals: 0, terms: 0, failures: {}, lastContactAgoMs })).check()
    expect([lease(undefined), lease(2000), lease(61_000)]).toEqual(['not read yet', undefined, 'not reached for 61 s'])
  })
})
