import { createServer as createHttpServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createClock } from '../../../src/kube/clock.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { ResponseObservation } from '../../../src/kube/http.ts'
import { type Credentials, HttpClient, type HttpClientOptions } from '../../../src/kube/http-client.ts'
import { Authority } from './support/certificates.ts'
import { type Answer, fail, json, TestApiServer } from './support/server.ts'
import { settle, until } from './support/watching.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const PLAIN: Credentials = { headers: {}, tls: {} }

function clientOf(server: string, options: Partial<HttpClientOptions> = {}): HttpClient {
  const client = new HttpClient({
    server,
    clock: createClock(),
    userAgent: 'gracewatch/test',
    credentials: async () => PLAIN,
    ...options,
  })
  cleanups.push(() => client.close())
  return client
}

async function given(answers: Answer[] = [], options: Partial<HttpClientOptions> = {}) {
  const server = await TestApiServer.start()
  cleanups.push(() => server.stop())
  server.answers.push(...answers)
  return { server, client: clientOf(server.url, options) }
}

/** A server of bytes: what it does with a connection is the test's. */
async function rawServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createRawServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  // A listening TCP server has an AddressInfo.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function failure(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  )
  if (!(error instanceof KubeError)) throw new Error(`expected a KubeError, got ${String(error)}`)
  return error
}

const get = (path = '/api/v1/pods') => ({ method: 'GET', path }) as const

describe('a call', () => {
  test('sends method, path, query, body and headers, and gives back what came', async () => {
    const { server, client } = await given([
      ({ response }) => {
        json(response, 201, { made: true }, { Warning: '299 - "this is \\"old\\"", 299 - "that too"', 'x-thing': 'a' })
        return true
      },
    ])
    const before = Date.now() * 1000
    const response = await client.request({
      method: 'PATCH',
      path: '/apis/a/b',
      query: { fieldManager: 'me', force: true, dryRun: undefined, limit: 5 },
      body: { kind: 'Thing' },
      contentType: 'application/apply-patch+yaml',
    })
    const [request] = server.requests
    expect(request?.method).toBe('PATCH')
    expect(Object.fromEntries(request?.query ?? [])).toEqual({ fieldManager: 'me', force: 'true', limit: '5' })
    expect(request?.headers).toMatchObject({
      accept: 'application/json',
      'content-type': 'application/apply-patch+yaml',
      'user-agent': 'gracewatch/test',
    })
    expect(response.status).toBe(201)
    expect(response.json()).toEqual({ made: true })
    expect(response.headers.get('x-thing')).toBe('a')
    expect(response.warnings).toEqual(['this is "old"', 'that too'])
    expect(response.sentAt).toBeGreaterThan(before - 2000)
    expect(response.receivedAt).toBeGreaterThan(response.sentAt)
  })

  test('keeps the path of a server that stands behind one', async () => {
    const { server } = await given()
    await clientOf(`${server.url}/k8s/clusters/c-1/`).request(get())
    expect(server.requests[0]?.path).toBe('/k8s/clusters/c-1/api/v1/pods')
  })

  test('uses the same connections again', async () => {
    const { server, client } = await given()
    for (let i = 0; i < 20; i++) await client.request(get())
    expect(server.connections).toBeLessThanOrEqual(2)
  })

  test('that takes too long is a Timeout, and its connection is dropped', async () => {
    const { server, client } = await given([() => true])
    const error = await failure(client.request({ ...get(), timeoutMs: 50 }))
    expect(error).toMatchObject({ code: 'Timeout', retryable: true, message: 'GET /api/v1/pods: no answer within 0.05 s' })
    await until(() => server.connections === 0)
  })

  test('whose body stops half-way is a Timeout too', async () => {
    const { client } = await given([
      ({ response }) => {
        response.writeHead(200)
        response.write('{"half":')
        return true
      },
    ])
    expect((await failure(client.request({ ...get(), timeoutMs: 50 }))).code).toBe('Timeout')
  })

  test('that is aborted is Aborted, before it begins and while it runs', async () => {
    const { server, client } = await given([() => true])
    expect((await failure(client.request({ ...get(), signal: AbortSignal.abort() }))).code).toBe('Aborted')
    const controller = new AbortController()
    const running = failure(client.request({ ...get(), signal: controller.signal }))
    await server.requested(1)
    controller.abort()
    expect(await running).toMatchObject({ code: 'Aborted', retryable: false })
    await until(() => server.connections === 0)
  })

  test('whose answer is no JSON is a BadResponse when it is read', async () => {
    const { client } = await given([
      ({ response }) => {
        response.end('<html>')
        return true
      },
    ])
    const response = await client.request(get())
    expect(() => response.json()).toThrow(expect.objectContaining({ code: 'BadResponse' }))
  })

  test('to a port where nobody listens is a Network failure that says so', async () => {
    const error = await failure(clientOf('http://127.0.0.1:1').request(get()))
    expect(error).toMatchObject({ code: 'Network', retryable: true })
    expect(error.message).toBe('GET /api/v1/pods: connect ECONNREFUSED 127.0.0.1:1')
  })

  test('that is cut off is a Network failure', async () => {
    const { client } = await given([({ socket }) => !!socket.resetAndDestroy()])
    expect((await failure(client.request(get()))).code).toBe('Network')
  })

  test('answered with something that is not HTTP is a BadResponse', async () => {
    const url = await rawServer((socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.2\r\n')))
    expect((await failure(clientOf(url).request(get()))).code).toBe('BadResponse')
  })
})

describe('a refusal', () => {
  test.each([
    [400, 'BadRequest', 'Invalid', false],
    [401, 'Unauthorized', 'Unauthorized', false],
    [403, 'Forbidden', 'Forbidden', false],
    [404, 'NotFound', 'NotFound', false],
    [409, 'AlreadyExists', 'AlreadyExists', false],
    [409, 'Conflict', 'Conflict', false],
    [410, 'Expired', 'Gone', false],
    [413, 'RequestEntityTooLarge', 'TooLarge', false],
    [422, 'Invalid', 'Invalid', false],
    [429, 'TooManyRequests', 'TooManyRequests', true],
    [500, 'InternalError', 'ServerError', true],
    [500, 'ServerTimeout', 'ServerError', true],
    [503, 'ServiceUnavailable', 'ServerError', true],
    [504, 'Timeout', 'Timeout', true],
    [302, '', 'BadResponse', true],
  ])('%i %s is %s', async (status, reason, code, retryable) => {
    const { client } = await given([fail(status, reason, 'no\n  way')])
    const error = await failure(client.request(get()))
    expect(error).toMatchObject({ code, status, retryable, message: `GET /api/v1/pods: ${status} no way` })
  })

  test('carries the causes, by field', async () => {
    const causes = [{ field: 'spec.x', message: 'Required value', reason: 'FieldValueRequired' }]
    const { client } = await given([fail(422, 'Invalid', 'bad', {}, { causes })])
    expect((await failure(client.request(get()))).causes).toEqual(causes)
  })

  test('says when to come back: the header before the details, and no longer than two minutes', async () => {
    const { client } = await given([
      fail(429, 'TooManyRequests', 'x', { 'retry-after': '3' }, { retryAfterSeconds: 9 }),
      fail(500, 'ServerTimeout', 'x', {}, { retryAfterSeconds: 9 }),
      fail(429, 'TooManyRequests', 'x', { 'retry-after': '86400' }),
    ])
    const waits = []
    for (let i = 0; i < 3; i++) waits.push((await failure(client.request(get()))).retryAfterMs)
    expect(waits).toEqual([3000, 9000, 120_000])
  })

  test('whose body is no Status, or endless, still has a message of one line', async () => {
    const { client } = await given([
      ({ response }) => {
        response.writeHead(502, { 'content-type': 'text/html' })
        response.end(`<html>\n${'bad gateway '.repeat(20_000)}`)
        return true
      },
    ])
    const error = await failure(client.request(get()))
    expect(error.code).toBe('ServerError')
    expect(error.message).toMatch(/^GET \/api\/v1\/pods: 502 <html> bad gateway/)
    expect(error.message.length).toBeLessThan(700)
  })
})

describe('credentials', () => {
  test('that are refused are asked for again, and the call is sent once more', async () => {
    let token = 'old'
    const given401 = fail(401, 'Unauthorized', 'Unauthorized')
    const asked: boolean[] = []
    const { server, client } = await given([given401], {
      credentials: async (rejected) => {
        asked.push(rejected)
        if (rejected) token = 'new'
        return { headers: { authorization: `Bearer ${token}` }, tls: PLAIN.tls }
      },
    })
    await client.request(get())
    expect(asked).toEqual([false, true])
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new'])
  })

  test('that are the same as before are not sent again', async () => {
    const { server, client } = await given([fail(401, 'Unauthorized', 'Unauthorized')])
    expect((await failure(client.request(get()))).code).toBe('Unauthorized')
    expect(server.requests).toHaveLength(1)
  })

  test('that do not come are covered by the deadline', async () => {
    const { client } = await given([], { credentials: () => new Promise(() => {}) })
    expect((await failure(client.request({ ...get(), timeoutMs: 30 }))).code).toBe('Timeout')
  })
})

describe('streams', () => {
  test('give their bytes as they come and end as the server ends them', async () => {
    const { client } = await given([
      ({ response }) => {
        response.write('one')
        setTimeout(() => response.end('two'), 20)
        return true
      },
    ])
    const stream = await client.stream(get())
    const texts: string[] = []
    for await (const chunk of stream.chunks) texts.push(Buffer.from(chunk).toString())
    expect(texts).toEqual(['one', 'two'])
  })

  test('that are reset throw, that are closed here just end', async () => {
    const { server, client } = await given()
    const first = await client.stream({ ...get(), query: { watch: true } })
    const broken = failure(drain(first.chunks))
    await until(() => server.watching === 1)
    server.resetWatches()
    expect((await broken).code).toBe('Network')

    const second = await client.stream({ ...get(), query: { watch: true } })
    const ended = drain(second.chunks)
    second.close()
    second.close()
    await ended
    await until(() => server.connections === 0)
  })

  test('that nobody reads can be closed', async () => {
    const { server, client } = await given()
    const stream = await client.stream({ ...get(), query: { watch: true } })
    stream.close()
    await until(() => server.connections === 0)
  })

  test('do not starve calls, and wait for their turn themselves', async () => {
    const { server, client } = await given([], { maxConnections: 3, maxStreams: 2 })
    const watch = { ...get(), query: { watch: true } }
    const streams = [await client.stream(watch), await client.stream(watch)]
    expect(await failure(client.stream({ ...watch, timeoutMs: 40 }))).toMatchObject({ code: 'Timeout' })
    await client.request(get())
    const third = client.stream(watch)
    streams[0]?.close()
    ;(await third).close()
    expect(server.requests.filter(({ query }) => query.has('watch'))).toHaveLength(3)
  })

  test('have no deadline once their head is there', async () => {
    const { server, client } = await given()
    const stream = await client.stream({ ...get(), query: { watch: true }, timeoutMs: 30 })
    const iterator = stream.chunks[Symbol.asyncIterator]()
    const next = iterator.next()
    await settle(80)
    server.write('late')
    expect(Buffer.from((await next).value).toString()).toBe('late')
    stream.close()
  })
})

describe('observers', () => {
  test('see each call once, with its code, time and the Date header in its bracket', async () => {
    const { client } = await given([() => false, fail(409, 'Conflict', 'x'), fail(401, 'Unauthorized', 'x'), () => true])
    const seen: ResponseObservation[] = []
    const remove = client.onResponse((observation) => seen.push(observation))
    await client.request(get())
    await failure(client.request({ method: 'PATCH', path: '/x', body: {} }))
    await failure(client.stream(get()))
    await failure(client.request({ ...get(), timeoutMs: 20 }))
    remove()
    await client.request(get())
    expect(seen.map(({ verb, code, status }) => [verb, code, status])).toEqual([
      ['GET', 'OK', 200],
      ['PATCH', 'Conflict', 409],
      ['WATCH', 'Unauthorized', 401],
      ['GET', 'Timeout', undefined],
    ])
    const [first] = seen
    expect(Date.parse(first?.date?.text ?? '') * 1000).toBeGreaterThan((first?.date?.sentAt ?? 0) - 1_000_000)
    expect(Date.parse(first?.date?.text ?? '') * 1000).toBeLessThanOrEqual(first?.date?.receivedAt ?? 0)
    expect(first?.seconds).toBeGreaterThan(0)
  })
})

describe('TLS', () => {
  async function tlsServer(authority: Authority, hosts: string[], requestCert = false) {
    const { cert, key } = authority.issue('server', hosts)
    const server = createTlsServer(
      { cert, key, ca: authority.cert, requestCert, rejectUnauthorized: requestCert },
      (_request, response) => {
        json(response, 200, { ok: true })
      },
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanups.push(async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
  }
  const using = (tls: Credentials['tls']) => ({ credentials: async () => ({ headers: {}, tls }) })

  test('trusts the CA that it was given and no other', async () => {
    const authority = new Authority('test CA')
    const { url } = await tlsServer(authority, ['127.0.0.1'])
    const good = await clientOf(url, using({ ca: authority.cert })).request(get())
    expect(good.json()).toEqual({ ok: true })
    const error = await failure(clientOf(url, using({ ca: new Authority('other').cert })).request(get()))
    expect(error.code).toBe('Network')
    expect(error.message).toContain('certificate')
  })

  test('presents the client certificate, and checks the name that it was told to', async () => {
    const authority = new Authority('test CA')
    const { url } = await tlsServer(authority, ['api.internal'], true)
    const client = authority.issue('admin')
    const tls = { ca: authority.cert, ...client, servername: 'api.internal' }
    expect((await clientOf(url, using(tls)).request(get())).status).toBe(200)
    expect((await failure(clientOf(url, using({ ...tls, servername: 'other.internal' })).request(get()))).code).toBe('Network')
    expect((await failure(clientOf(url, using({ ca: authority.cert, servername: 'api.internal' })).request(get()))).code).toBe(
      'Network',
    )
  })

  test('a CA that changes makes new connections', async () => {
    const [old, fresh] = [new Authority('old'), new Authority('fresh')]
    const { url } = await tlsServer(fresh, ['127.0.0.1'])
    let tls: Credentials['tls'] = { ca: old.cert }
    const client = clientOf(url, { credentials: async () => ({ headers: {}, tls }) })
    expect((await failure(client.request(get()))).code).toBe('Network')
    tls = { ca: fresh.cert }
    expect((await client.request(get())).status).toBe(200)
  })
})

describe('a proxy', () => {
  test('is asked for a tunnel to the API server', async () => {
    const authority = new Authority('test CA')
    const { cert, key } = authority.issue('server', ['127.0.0.1'])
    const target = createTlsServer({ cert, key }, (_request, response) => json(response, 200, { ok: true }))
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
    const asked: string[] = []
    const proxy = createHttpServer()
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '')
      const onward = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        onward.pipe(socket).pipe(onward)
      })
      for (const one of [onward, socket]) one.on('error', () => {})
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    cleanups.push(async () => {
      target.closeAllConnections()
      await Promise.all([new Promise((resolve) => target.close(resolve)), new Promise((resolve) => proxy.close(resolve))])
    })
    const address = (server: { address(): unknown }) => `127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = clientOf(`https://${address(target)}`, {
      proxy: `http://${address(proxy)}`,
      credentials: async () => ({ headers: {}, tls: { ca: authority.cert } }),
    })
    expect((await client.request(get())).json()).toEqual({ ok: true })
    expect(asked).toEqual([address(target)])
  })
})

describe('closing', () => {
  test('ends calls, streams and connections that are not made yet', async () => {
    const { server, client } = await given([() => true, () => false])
    const call = failure(client.request(get()))
    await server.requested(1)
    const stream = await client.stream({ ...get(), query: { watch: true } })
    const reading = failure(drain(stream.chunks))
    // Takes the connection and never says a word of TLS.
    const silent = (await rawServer(() => {})).replace('http:', 'https:')
    const stuck = clientOf(silent)
    const connecting = failure(stuck.request(get()))
    await settle(20)
    await Promise.all([client.close(), stuck.close()])
    expect([await call, await reading, await connecting].map(({ code }) => code)).toEqual(['Aborted', 'Aborted', 'Aborted'])
    await until(() => server.connections === 0)
    expect((await failure(client.request(get()))).code).toBe('Aborted')
  })
})

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of chunks);
}
