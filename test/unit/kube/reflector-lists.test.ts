import { describe, expect, test } from 'vitest'
import { given } from './support/given.ts'
import { bookmarkLine, fail, line } from './support/server.ts'
import { until } from './support/watching.ts'

describe('lists', () => {
  test.each([
    [422, 'Invalid'],
    [400, 'BadRequest'],
  ])('pages are used where the server refuses to list by stream with %i', async (status, reason) => {
    const { server, watching, reflector } = await given(['a', 'b', 'c', 'd', 'e'], { timings: { pageSize: 2 } })
    server.answers.push(fail(status, reason, 'sendInitialEvents is forbidden'))
    reflector.start()
    await reflector.whenSynced()
    await until(() => server.watching === 1)
    expect(watching.told).toEqual(['a', 'b', 'c', 'd', 'e'].map((name) => `Listed ${name}`))
    expect(server.requests.map(({ query }) => query.get('limit'))).toEqual([null, '2', '2', '2', null])
    expect(server.resumes).toEqual(['list', '105'])
    expect(reflector.stats.failures).toEqual({})
  })

  test('pages are used where a bookmark comes that does not end the initial events', async () => {
    const { server, reflector, watching } = await given(['a'])
    server.answers.push(({ response }) => {
      response.writeHead(200)
      response.write(line('ADDED', server.world.objects.get('uid-1')))
      response.write(bookmarkLine(101))
      return true
    })
    reflector.start()
    await reflector.whenSynced()
    expect(watching.told).toEqual(['Listed a'])
    expect(server.requests[1]?.query.get('limit')).toBe('500')
  })

  test('pages are used where a streaming list falls silent', async () => {
    const { server, reflector, watching } = await given(['a'], { timings: { initialEventsMs: 40 } })
    server.answers.push(({ response }) => {
      response.writeHead(200)
      response.flushHeaders()
      return true
    })
    reflector.start()
    await reflector.whenSynced()
    expect(watching.told).toEqual(['Listed a'])
    expect(reflector.stats.failures).toEqual({ Timeout: 1 })
  })

  test('a 410 in mid-paging begins the list again, and tells nothing twice', async () => {
    const { server, world, watching, reflector, uid } = await given(['a', 'b', 'c', 'd'], { timings: { pageSize: 2 } })
    server.streamingLists = false
    server.answers.push(
      () => false,
      () => false,
      (exchange) => {
        world.delete(uid(0))
        world.update(uid(3))
        return fail(410, 'Expired', 'the provided continue parameter is too old')(exchange)
      },
    )
    reflector.start()
    await reflector.whenSynced()
    expect(watching.told).toEqual(['Listed a', 'Listed b', 'Listed c', 'Listed d', 'Vanished a'])
    // It was in the first attempt's list, so it went after that was asked for.
    expect(watching.changes[4]?.since).toBeLessThanOrEqual(watching.changes[0]?.arrivedAt ?? 0)
    expect(watching.gaps).toEqual([])
  })

  test('a list that dribbles in does not time out, and an interrupted one is begun again', async () => {
    const { server, world, reflector, watching } = await given(['a', 'b'], { timings: { initialEventsMs: 300, headersMs: 300 } })
    server.answers.push(({ response, socket }) => {
      response.writeHead(200)
      const objects = [...world.objects.values()]
      let sent = 0
      const timer = setInterval(() => {
        // Longer in all than the limit on silence, but never silent for long.
        response.write(line('ADDED', objects[sent % 2]))
        if (++sent < 12) return
        clearInterval(timer)
        socket.resetAndDestroy()
      }, 30)
      return true
    })
    reflector.start()
    await reflector.whenSynced()
    expect(watching.told).toEqual(['Listed a', 'Listed b'])
    expect(reflector.stats.failures).toEqual({ Network: 1 })
  })

  test('a page that takes too long is given up', async () => {
    const { server, reflector } = await given(['a'], { timings: { pageMs: 60 } })
    server.streamingLists = false
    server.answers.push(
      () => false,
      ({ response }) => {
        response.writeHead(200)
        response.write('{"items":[')
        return true
      },
    )
    reflector.start()
    await reflector.whenSynced()
    expect(reflector.stats.failures).toEqual({ Timeout: 1 })
  })
})
