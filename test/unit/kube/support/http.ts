import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { afterEach } from 'vitest'
import { createClock } from '../../../../src/kube/clock.ts'
import { KubeError } from '../../../../src/kube/errors.ts'
import { type Credentials, HttpClient, type HttpClientOptions } from '../../../../src/kube/http-client.ts'
import { type Answer, TestApiServer } from './server.ts'

export const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export const PLAIN: Credentials = { headers: {}, tls: {} }

export function clientOf(server: string, options: Partial<HttpClientOptions> = {}): HttpClient {
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

export async function given(answers: Answer[] = [], options: Partial<HttpClientOptions> = {}) {
  const server = await TestApiServer.start()
  cleanups.push(() => server.stop())
  server.answers.push(...answers)
  return { server, client: clientOf(server.url, options) }
}

/** A server of bytes: what it does with a connection is the test's. */
export async function rawServer(onSocket: (socket: Socket) => void): Promise<string> {
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

export async function failure(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  )
  if (!(error instanceof KubeError)) throw new Error(`expected a KubeError, got ${String(error)}`)
  return error
}

export const get = (path = '/api/v1/pods') => ({ method: 'GET', path }) as const

export async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of chunks);
}
