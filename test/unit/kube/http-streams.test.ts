import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { clientOf, drain, failure, get, given, rawServer } from './support/http.ts'
import { settle, until } from './support/watching.ts'

describe('streams', () => {
  test('give their bytes as they come and end as the server ends them', async () => {
    let end = () => {}
    const { client } = await given([
      ({ response }) => {
        response.write('one')
        end = () => void response.end('two')
        return true
      },
    ])
    const stream = await client.stream(get())
    const texts: string[] = []
    for await (const chunk of stream.chunks) {
      texts.push(Buffer.from(chunk).toString())
      // Only now, so that the two cannot come as one.
      if (texts.length === 1) end()
    }
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
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const stream = await client.stream({ ...get(), query: { watch: true }, timeoutMs: 1000 })
    const iterator = stream.chunks[Symbol.asyncIterator]()
    const next = iterator.next()
    vi.advanceTimersByTime(3_600_000)
    server.write('late')
    expect(Buffer.from((await next).value).toString()).toBe('late')
    stream.close()
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
