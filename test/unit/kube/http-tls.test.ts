import { createServer as createHttpServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Credentials } from '../../../src/kube/http-client.ts'
import { Authority } from './support/certificates.ts'
import { cleanups, clientOf, failure, get } from './support/http.ts'
import { json } from './support/server.ts'

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
