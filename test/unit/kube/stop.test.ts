import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Handles } from './support/handles.ts'
import { fail, line, TestApiServer } from './support/server.ts'
import { settle, until, Watching } from './support/watching.ts'

/** Each longer than a test may take, as those of the client's calls are: a stop that waits for one does not come in time. */
const NEVER = { inactivityMs: 60_000, initialEventsMs: 60_000 }

/** Brings a reflector into a phase, stops it there, and holds it to its promise. */
async function stopsIn(
  phase: (server: TestApiServer, watching: Watching) => Promise<void>,
  backoff: { backoffBaseMs?: number; backoffMaxMs?: number } = {},
): Promise<Watching> {
  const server = await TestApiServer.start()
  server.world.create('web-0')
  const handles = new Handles()
  const watching = new Watching(server, { timings: { ...NEVER, ...backoff } })
  watching.reflector.start()
  await phase(server, watching)
  const changes = watching.changes.length
  await watching.reflector.stop()
  expect(watching.reflector.stats.phase).toBe('Stopped')
  server.world.create('too-late')
  await settle()
  expect(watching.changes.length).toBe(changes)
  await watching.http.close()
  await until(() => server.connections === 0)
  expect(handles.left()).toEqual({ sockets: 0, timers: [] })
  await server.stop()
  return watching
}

test('before anything was sent', async () => {
  await stopsIn(async () => {})
})

test('while it waits for the head of a list', async () => {
  await stopsIn(async (server) => {
    server.answers.push(() => true)
    await server.requested(1)
    await settle(10)
  })
})

test('in the middle of a streaming list', async () => {
  await stopsIn(async (server, watching) => {
    server.answers.push(({ response }) => {
      response.writeHead(200)
      response.write(line('ADDED', server.world.objects.get('uid-1')))
      return true
    })
    await until(() => watching.changes.length === 1)
  })
})

test('in the middle of a page', async () => {
  await stopsIn(async (server, watching) => {
    server.answers.push(fail(422, 'Invalid', 'no'), ({ response }) => {
      response.writeHead(200)
      response.write(`{"items":[${JSON.stringify(server.world.objects.get('uid-1'))},`)
      return true
    })
    await until(() => watching.changes.length === 1)
  })
})

test('while it watches', async () => {
  await stopsIn(async (server) => {
    await until(() => server.watching === 1)
  })
})

test('while it waits for the head of a resumed watch', async () => {
  await stopsIn(async (server) => {
    await until(() => server.watching === 1)
    server.answers.push(() => true)
    server.endWatches()
    await server.requested(2)
  })
})

test('in a back-off', async () => {
  const watching = await stopsIn(
    async (server, { reflector }) => {
      server.answers.push(fail(403, 'Forbidden', 'no'))
      await until(() => reflector.stats.phase === 'BackingOff')
    },
    { backoffBaseMs: 60_000, backoffMaxMs: 60_000 },
  )
  await expect(watching.reflector.whenSynced()).rejects.toMatchObject({ code: 'Aborted' })
})

test('while a flood of events is read', async () => {
  const seen: number[] = []
  const watching = await stopsIn(async (server, { reflector, changes }) => {
    await until(() => server.watching === 1)
    for (let i = 0; i < 5000; i++) server.world.update('uid-1', { text: 'x'.repeat(500) })
    await until(() => changes.length > 10)
    expect(reflector.stats.phase).toBe('Watching')
    seen.push(changes.length)
  })
  expect(watching.changes.length).toBeLessThan(5001)
  expect(watching.changes.length).toBe(seen[0])
})

test('while it connects to a server that takes the connection and says nothing', async () => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.resume()
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const handles = new Handles()
  // https, so that the handshake is what it waits in. A listening TCP server has an AddressInfo.
  const watching = new Watching({ url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` })
  watching.reflector.start()
  await until(() => sockets.size === 1)
  await watching.end()
  await until(() => sockets.size === 0)
  expect(handles.left()).toEqual({ sockets: 0, timers: [] })
  await new Promise((resolve) => server.close(resolve))
})

test('twice, and before it was started', async () => {
  const server = await TestApiServer.start()
  const watching = new Watching(server)
  await watching.reflector.stop()
  await watching.end()
  expect(server.requests).toHaveLength(0)
  await server.stop()
})
