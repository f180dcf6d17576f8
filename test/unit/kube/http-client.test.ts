import { describe, expect, test } from 'vitest'
import type { ResponseObservation } from '../../../src/kube/http.ts'
import { clientOf, failure, get, given, PLAIN, rawServer } from './support/http.ts'
import { fail, json } from './support/server.ts'
import { settle, until } from './support/watching.ts'

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

  test('that waits for a connection ends at its deadline or when it is aborted, not when its turn has come', async () => {
    const { server, client } = await given([() => true], { maxConnections: 1 })
    const first = failure(client.request(get()))
    await server.requested(1)
    expect((await failure(client.request({ ...get(), timeoutMs: 50 }))).code).toBe('Timeout')
    const controller = new AbortController()
    const waiting = failure(client.request({ ...get(), signal: controller.signal }))
    await settle(20)
    controller.abort()
    expect((await waiting).code).toBe('Aborted')
    expect(server.requests).toHaveLength(1)
    await client.close()
    await first
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
