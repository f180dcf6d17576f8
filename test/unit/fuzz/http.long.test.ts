/** Answers of a server as bytes of a real connection: what is no HTTP, or HTTP that somebody broke. More runs: support.ts. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import { HttpClient } from '../../../src/kube/http-client.ts'
import { LeanHttpClient } from '../../../src/kube/lean-http-client.ts'
import { chunks, expectCleanPrototypes, forAll, mutatedBytes, sizes, TIMEOUT } from './support.ts'

const list = JSON.stringify({ kind: 'PodList', metadata: { resourceVersion: '7' }, items: [{ metadata: { uid: 'u' } }] })
const status = JSON.stringify({ kind: 'Status', message: 'no', reason: 'Forbidden', code: 403 })
const head = (code: string, more: string) =>
  `HTTP/1.1 ${code}\r\nDate: Fri, 27 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n${more}\r\n`
const ANSWERS = [
  head('200 OK', `Content-Length: ${list.length}\r\nWarning: 299 - "old \\"words\\"", 299 - "more"\r\n`) + list,
  `${head('200 OK', 'Transfer-Encoding: chunked\r\n')}${list.length.toString(16)}\r\n${list}\r\n0\r\n\r\n`,
  head('403 Forbidden', `Content-Length: ${status.length}\r\nRetry-After: 3\r\n`) + status,
  `HTTP/1.1 100 Continue\r\n\r\n${head('429 Too Many Requests', 'Content-Length: 0\r\nRetry-After: 1\r\n')}`,
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nmore',
  'HTTP/1.0 204 No Content\r\n\r\n',
  'HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n',
  `${head('200 OK', 'Connection: close\r\n')}${list}`,
]

/** What the next connections are answered with. */
let answer: readonly Uint8Array[] = []
const sockets = new Set<Socket>()
const server = createServer((socket) => {
  sockets.add(socket)
  socket.on('error', () => {})
  socket.once('close', () => sockets.delete(socket))
  socket.once('data', () => {
    for (const chunk of answer) socket.write(chunk)
    socket.end()
  })
})
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  server.close()
  await once(server, 'close')
})

const CLIENTS = [
  ['undici', HttpClient],
  ["Node's own", LeanHttpClient],
] as const

describe('an answer of any bytes is read, or is a KubeError', () => {
  test.for(CLIENTS)('over the client of %s', { timeout: TIMEOUT }, async ([, Client]) => {
    // A listening TCP server has an AddressInfo.
    const { port } = server.address() as AddressInfo
    const http = new Client({
      server: `http://127.0.0.1:${port}`,
      clock: { now: () => 0 },
      userAgent: 'test',
      credentials: async () => ({ headers: {}, tls: {} }),
    })
    let read = 0
    const tried = async (call: () => Promise<unknown>) => {
      try {
        await call()
        read++
      } catch (error) {
        if (!(error instanceof KubeError)) throw error
        expect(error.message).not.toContain('\n')
        expect(error.retryAfterMs ?? 0).toBeLessThanOrEqual(120_000)
      }
    }
    await forAll(fc.tuple(mutatedBytes(ANSWERS), sizes), 120, async ([bytes, at]) => {
      answer = chunks(bytes, at)
      const request = { method: 'GET', path: '/api/v1/pods' } as const
      await tried(async () => {
        const response = await http.request(request)
        for (const warning of response.warnings) expect(typeof warning).toBe('string')
        response.json()
      })
      await tried(async () => {
        const stream = await http.stream(request)
        for await (const chunk of stream.chunks) expect(chunk.length).toBeGreaterThan(0)
      })
      expectCleanPrototypes()
    })
    expect(read).toBeGreaterThan(10)
    // To speak something else is no answer to a GET, and nobody has to wait for the deadline to hear of it.
    answer = [Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n')]
    await expect(http.request({ method: 'GET', path: '/version', timeoutMs: 600_000 })).rejects.toBeInstanceOf(KubeError)
    await http.close()
  })
})
