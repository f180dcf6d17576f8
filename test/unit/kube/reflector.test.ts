import { afterEach, describe, expect, test } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import { bookmarkLine, errorLine, fail, line, TestApiServer } from './support/server.ts'
import { settle, until, Watching } from './support/watching.ts'

const open: { end(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.end()))
})

/** A server with these objects and a reflector on it that is not started yet. */
async function given(names: string[], options: ConstructorParameters<typeof Watching>[1] = {}) {
  const server = await TestApiServer.start()
  const uids = names.map((name) => server.world.create(name).metadata.uid)
  const watching = new Watching(server, options)
  open.push({
    async end() {
      await watching.end()
      await server.stop()
    },
  })
  const uid = (index: number) => uids[index] ?? ''
  return { server, world: server.world, watching, reflector: watching.reflector, uid }
}

async function synced(names: string[], options?: ConstructorParameters<typeof Watching>[1]) {
  const all = await given(names, options)
  all.reflector.start()
  await all.reflector.whenSynced()
  await until(() => all.server.watching === 1)
  return all
}

describe('a healthy server', () => {
  test('the first list reports every object as Listed, with nobody having watched before', async () => {
    const { watching, reflector, server } = await synced(['web-0', 'web-1'])
    expect(watching.told).toEqual(['Listed web-0', 'Listed web-1'])
    expect(watching.changes.every((change) => change.since === undefined && change.previous === undefined)).toBe(true)
    expect(watching.names).toEqual(['web-0', 'web-1'])
    expect(reflector.synced).toBe(true)
    expect(server.requests).toHaveLength(1)
    expect(Object.fromEntries(server.requests[0]?.query ?? [])).toMatchObject({
      watch: 'true',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    })
  })

  test('changes come in order, each with the version before it and its time of arrival', async () => {
    const { world, watching, uid } = await synced(['web-0'])
    const before = watching.clock.now()
    world.create('web-1')
    world.update(uid(0), { text: 'new' })
    world.delete(uid(0))
    await until(() => watching.changes.length === 4)
    expect(watching.told.slice(1)).toEqual(['Added web-1', 'Modified web-0', 'Deleted web-0'])
    expect(watching.changes[2]?.previous?.resourceVersion).toBe('101')
    expect(watching.changes[2]?.object.text).toBe('new')
    for (const change of watching.changes.slice(1)) {
      expect(change.arrivedAt).toBeGreaterThanOrEqual(before)
      expect(change.arrivedAt).toBeLessThanOrEqual(watching.clock.now())
      expect(change.since).toBeUndefined()
    }
    expect(watching.names).toEqual(['web-1'])
    expect(watching.gaps).toEqual([])
  })

  test('selectors and a time-out within the range are sent with list and watch', async () => {
    const { server } = await synced([], {
      labelSelector: 'app=web',
      fieldSelector: 'involvedObject.kind=Pod',
      timings: { serverTimeoutSeconds: [300, 600] },
    })
    server.endWatches()
    const { query } = await server.requested(2)
    expect(query.get('labelSelector')).toBe('app=web')
    expect(query.get('fieldSelector')).toBe('involvedObject.kind=Pod')
    expect(Number(query.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300)
    expect(Number(query.get('timeoutSeconds'))).toBeLessThanOrEqual(600)
  })

  test('with keep none no object is held, yet nothing is told twice', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0', 'web-1'], { keep: 'none' })
    expect([...reflector.values()]).toEqual([])
    expect(reflector.size).toBe(2)
    world.update(uid(1))
    await until(() => watching.changes.length === 3)
    server.resetWatches()
    world.create('web-2')
    world.delete(uid(0))
    world.compact()
    await until(() => reflector.stats.relists === 1)
    expect(watching.told.slice(2)).toEqual(['Modified web-1', 'Listed web-2'])
    expect(reflector.size).toBe(2)
    expect(watching.changes.every((change) => change.previous === undefined)).toBe(true)
  })
})

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

describe('a watch that breaks', () => {
  test('a clean end is followed by a watch from the last version, at once and without a gap', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'])
    world.update(uid(0))
    await until(() => watching.changes.length === 2)
    const seen = world.version
    server.endWatches()
    world.delete(uid(0))
    await until(() => watching.changes.length === 3)
    expect(server.resumes).toEqual(['list', String(seen)])
    expect(watching.told).toEqual(['Listed web-0', 'Modified web-0', 'Deleted web-0'])
    expect(watching.gaps).toEqual([])
    expect(reflector.stats.failures).toEqual({})
  })

  test('a reset is followed by a watch from the last version, and what happened meanwhile comes through', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'])
    server.resetWatches()
    const fresh = world.recreate(uid(0))
    world.update(fresh.metadata.uid)
    await until(() => watching.changes.length === 4)
    expect(watching.told).toEqual(['Listed web-0', 'Deleted web-0', 'Added web-0', 'Modified web-0'])
    expect(watching.gaps).toEqual([])
    expect(reflector.stats.failures).toEqual({ Network: 1 })
    expect(watching.errors).toHaveLength(1)
  })

  test('a bookmark moves the place to resume from', async () => {
    const { server, world, reflector } = await synced(['web-0'])
    world.version = 500
    server.bookmark()
    await until(() => reflector.stats.bookmarks === 2)
    server.endWatches()
    await server.requested(2)
    expect(server.resumes).toEqual(['list', '500'])
  })

  test('the place to resume from never moves back', async () => {
    const { server, reflector, world } = await synced([])
    const object = (name: string, resourceVersion: string) => ({
      metadata: { uid: name, namespace: 'shop', name, resourceVersion },
    })
    server.write(line('ADDED', object('a', '300')))
    server.write(line('ADDED', object('b', '299')))
    await until(() => reflector.size === 2)
    world.version = 300
    server.endWatches()
    await server.requested(2)
    expect(server.resumes).toEqual(['list', '300'])
  })

  test('a half-open connection is given up after the inactivity limit', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'], { timings: { inactivityMs: 60 } })
    server.freezeWatches()
    world.delete(uid(0))
    await until(() => watching.changes.length === 2)
    expect(watching.told).toEqual(['Listed web-0', 'Deleted web-0'])
    expect(reflector.stats.failures.Timeout).toBeGreaterThanOrEqual(1)
    expect(watching.gaps).toEqual([])
  })

  test('bookmarks alone keep a watch alive', async () => {
    const { server, reflector } = await synced(['web-0'], { timings: { inactivityMs: 120 } })
    for (let i = 0; i < 10; i++) {
      await settle(30)
      server.bookmark()
    }
    expect(server.requests).toHaveLength(1)
    expect(reflector.stats.failures).toEqual({})
  })

  test('JSON that is cut off in the middle is asked for again', async () => {
    const { server, world, watching, uid } = await synced(['web-0'])
    const text = line('MODIFIED', { ...world.objects.get(uid(0)), text: 'half' })
    server.write(text.slice(0, text.length / 2))
    server.endWatches()
    world.update(uid(0), { text: 'whole' })
    await until(() => watching.changes.length === 2)
    expect(watching.changes[1]?.object.text).toBe('whole')
    expect(watching.reflector.stats.failures).toEqual({ BadResponse: 1 })
    expect(watching.gaps).toEqual([])
  })

  test('a line that is no JSON ends the watch, which resumes', async () => {
    const { server, world, watching, uid } = await synced(['web-0'])
    server.write('<html>upstream timed out</html>\n')
    await server.requested(2)
    world.update(uid(0))
    await until(() => watching.changes.length === 2)
    expect(watching.reflector.stats.failures).toEqual({ BadResponse: 1 })
    expect(server.resumes).toEqual(['list', '101'])
  })

  test('a place at which only garbage comes is given up for a new list, with a gap', async () => {
    const { server, world, watching, uid } = await synced(['web-0'])
    const garbage = ({ response }: { response: { writeHead(code: number): unknown; end(text: string): unknown } }) => {
      response.writeHead(200)
      response.end('garbage\n')
      return true
    }
    server.answers.push(garbage, garbage, garbage)
    world.update(uid(0))
    server.write('garbage\n')
    await until(() => watching.gaps.length === 1)
    expect(watching.gaps[0]?.reason).toContain('cannot be read')
    expect(watching.names).toEqual(['web-0'])
  })

  test('a server that is away for a while is asked again, ever more slowly', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'])
    const before = server.requests.length
    const destroy = ({ socket }: { socket: { destroy(): unknown } }) => {
      socket.destroy()
      return true
    }
    server.answers.push(destroy, destroy, destroy, destroy)
    server.resetWatches()
    world.delete(uid(0))
    const startedMs = performance.now()
    await until(() => watching.changes.length === 2)
    // At once, then 10, 20 and 40 ms of which at least the half.
    expect(performance.now() - startedMs).toBeGreaterThan(35)
    expect(server.requests.length - before).toBe(5)
    expect(reflector.stats.failures.Network).toBe(5)
    expect(watching.gaps).toEqual([])
  })
})

describe('a place that was compacted away', () => {
  /** While the watch is cut: one goes, one is replaced under its name, one changes, one comes, one stays as it is. */
  async function lossWith(answer: (server: TestApiServer) => void) {
    const all = await synced(['gone', 'replaced', 'changed', 'same'])
    const { server, world, uid, watching } = all
    const seen = [...world.objects.values()].map((object) => object.metadata.resourceVersion)
    answer(server)
    server.resetWatches()
    world.delete(uid(0))
    world.recreate(uid(1))
    world.update(uid(2))
    world.create('new')
    world.compact()
    await until(() => watching.gaps.length === 1)
    await until(() => watching.changes.length === 9)
    return { ...all, seen }
  }

  const forms: [string, (server: TestApiServer) => void][] = [
    ['an HTTP status', (server) => server.answers.push(fail(410, 'Expired', 'too old resource version'))],
    ['an HTTP status with the older reason', (server) => server.answers.push(fail(410, 'Gone', 'gone'))],
    ['an ERROR event', () => {}],
    [
      'an ERROR event that says Expired under another code',
      (server) =>
        server.answers.push(({ response }) => {
          response.writeHead(200)
          response.end(errorLine(500, 'Expired', 'The resourceVersion for the provided watch is too old.'))
          return true
        }),
    ],
  ]

  test.each(forms)('as %s: a new list, the difference by UID, and a gap', async (_name, answer) => {
    const { watching, uid } = await lossWith(answer)
    const changes = watching.changes.slice(4)
    expect(watching.told.slice(4)).toEqual([
      'Listed changed',
      'Vanished replaced',
      'Listed replaced',
      'Listed new',
      'Vanished gone',
    ])
    const [changed, vanished, replacing, fresh, gone] = changes
    expect(changed?.previous?.uid).toBe(uid(2))
    expect(vanished?.object.uid).toBe(uid(1))
    expect(vanished?.replacedBy).toBe(replacing?.object.uid)
    expect(gone?.object.uid).toBe(uid(0))
    expect(gone?.replacedBy).toBeUndefined()
    expect(fresh?.previous).toBeUndefined()
    const [gap] = watching.gaps
    for (const change of changes) expect(change.since).toBe(gap?.from)
    expect(gap?.from).toBeLessThanOrEqual(changes[0]?.arrivedAt ?? 0)
    expect(gap?.to).toBe(gone?.arrivedAt)
    expect(gap?.reason).toBe('the watch was cut and its place was compacted away')
    expect(watching.names).toEqual(['changed', 'new', 'replaced', 'same'])
  })

  test('the gap begins no later than the list that the watch went on from', async () => {
    const server = await TestApiServer.start()
    const watching = new Watching(server)
    open.push({
      async end() {
        await watching.end()
        await server.stop()
      },
    })
    const askedBefore = watching.clock.now()
    watching.reflector.start()
    await watching.reflector.whenSynced()
    const askedAfter = watching.clock.now()
    server.world.create('web-0')
    server.world.compact()
    server.resetWatches()
    server.answers.push(fail(410, 'Expired', 'too old resource version'))
    await until(() => watching.gaps.length === 1)
    expect(watching.gaps[0]?.from).toBeGreaterThanOrEqual(askedBefore)
    expect(watching.gaps[0]?.from).toBeLessThanOrEqual(askedAfter)
  })

  test('a new list by pages tells the same', async () => {
    const all = await given(['gone', 'stays'], { timings: { pageSize: 1 } })
    const { server, world, watching, reflector, uid } = all
    server.streamingLists = false
    reflector.start()
    await until(() => server.watching === 1)
    server.resetWatches()
    world.delete(uid(0))
    world.create('new')
    world.compact()
    await until(() => watching.gaps.length === 1)
    expect(watching.told).toEqual(['Listed gone', 'Listed stays', 'Listed new', 'Vanished gone'])
  })

  test('a server that only ever answers 410 is not asked without pause', async () => {
    const { server, reflector } = await given([])
    for (let i = 0; i < 200; i++) server.answers.push(fail(410, 'Expired', 'too old'))
    reflector.start()
    await settle(150)
    // 10, 20, 40, 80 ms, each at least the half: five or six requests, not two hundred.
    expect(server.requests.length).toBeLessThan(10)
  })

  test('a version that the server does not know yet is waited for, and given up at last', async () => {
    const { server, watching } = await synced(['web-0'])
    const tooLarge = fail(
      504,
      'Timeout',
      'Too large resource version: 101, current: 50',
      {},
      {
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      },
    )
    server.answers.push(tooLarge, tooLarge, tooLarge)
    server.resetWatches()
    await until(() => watching.gaps.length === 1)
    expect(server.resumes).toEqual(['list', '101', '101', '101', 'list'])
    expect(watching.gaps[0]?.reason).toContain('does not know the version')
  })
})

describe('a server that refuses', () => {
  test('429 is waited out for as long as Retry-After says', async () => {
    const { server, reflector } = await given(['web-0'])
    server.answers.push(fail(429, 'TooManyRequests', 'slow down', { 'retry-after': '1' }))
    const startedMs = performance.now()
    reflector.start()
    await reflector.whenSynced()
    expect(performance.now() - startedMs).toBeGreaterThan(990)
    expect(reflector.stats.failures).toEqual({ TooManyRequests: 1 })
  })

  test.each([
    [500, 'InternalError', 'ServerError'],
    [503, 'ServiceUnavailable', 'ServerError'],
    [504, 'Timeout', 'Timeout'],
  ])('%i %s is a passing failure: the watch resumes without a gap', async (status, reason, code) => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'])
    server.answers.push(fail(status, reason, 'etcd has no leader'), fail(status, reason, 'etcd has no leader'))
    server.endWatches()
    world.delete(uid(0))
    await until(() => watching.changes.length === 2)
    expect(reflector.stats.failures).toEqual({ [code]: 2 })
    expect(watching.gaps).toEqual([])
    expect(server.resumes).toEqual(['list', '101', '101', '101'])
  })

  test.each([
    [403, 'Forbidden', 'pods is forbidden: User "x" cannot list resource "pods"'],
    [404, 'NotFound', 'the server could not find the requested resource'],
  ])('%i backs off, says why, and works once it is put right', async (status, reason, message) => {
    const { server, reflector, watching } = await given(['web-0'])
    for (let i = 0; i < 3; i++) server.answers.push(fail(status, reason, message))
    const startedMs = performance.now()
    reflector.start()
    await until(() => server.requests.length === 3)
    expect(reflector.stats.lastError).toBe(`GET /api/v1/pods: ${status} ${message}`)
    expect(reflector.stats.failuresInRow).toBeGreaterThanOrEqual(2)
    await reflector.whenSynced()
    expect(performance.now() - startedMs).toBeGreaterThan(35)
    expect(reflector.stats.lastError).toBeUndefined()
    expect(reflector.stats.failuresInRow).toBe(0)
    expect(watching.log.filter(({ level }) => level === 'warn')).toHaveLength(1)
    expect(watching.log.at(-1)?.message).toBe('list and watch work again')
  })
})

describe('strange events', () => {
  test('what was seen already is dropped and counted', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'])
    const first = world.update(uid(0))
    const second = world.update(uid(0))
    server.write(line('MODIFIED', first))
    server.write(line('MODIFIED', second))
    world.delete(uid(0))
    server.write(line('MODIFIED', second))
    server.write(line('DELETED', world.history.at(-1)?.object))
    world.create('web-1')
    await until(() => watching.told.includes('Added web-1'))
    expect(watching.told).toEqual(['Listed web-0', 'Modified web-0', 'Modified web-0', 'Deleted web-0', 'Added web-1'])
    expect(reflector.stats.duplicates).toBe(4)
  })

  test('a change of an unknown object counts as Added, its deletion is told', async () => {
    const { server, watching } = await synced([])
    const object = (uid: string, version: string) => ({
      metadata: { uid, namespace: 'shop', name: uid, resourceVersion: version },
    })
    server.write(line('MODIFIED', object('x', '200')))
    server.write(line('DELETED', object('y', '201')))
    await until(() => watching.changes.length === 2)
    expect(watching.told).toEqual(['Added x', 'Deleted y'])
  })

  test('a known name with a new UID means that the old object is gone', async () => {
    const { server, watching, reflector, uid } = await synced(['web-0'])
    server.write(line('ADDED', { metadata: { uid: 'other', namespace: 'shop', name: 'web-0', resourceVersion: '300' } }))
    await until(() => watching.changes.length === 3)
    expect(watching.told).toEqual(['Listed web-0', 'Vanished web-0', 'Added web-0'])
    expect(watching.changes[1]).toMatchObject({ object: { uid: uid(0) }, replacedBy: 'other' })
    expect(reflector.size).toBe(1)
  })

  test('types that are not known yet are passed over', async () => {
    const { server, world, watching } = await synced([])
    server.write(line('PATCHED', { metadata: { resourceVersion: '400' } }))
    world.version = 400
    world.create('web-0')
    await until(() => watching.changes.length === 1)
    expect(watching.told).toEqual(['Added web-0'])
  })

  test('an object that cannot be decoded is counted, told with its field, and passed over', async () => {
    const { server, world, watching, reflector } = await given(['web-0'])
    world.create('bad', { broken: true })
    reflector.start()
    await reflector.whenSynced()
    await until(() => server.watching === 1)
    world.update('uid-2')
    world.update('uid-1')
    await until(() => watching.changes.length === 2)
    expect(watching.told).toEqual(['Listed web-0', 'Modified web-0'])
    expect(reflector.stats.decodeErrors).toBe(2)
    expect(watching.errors[0]).toMatchObject({ name: 'DecodeError', field: 'spec.broken' })
    expect(watching.log[0]).toMatchObject({ level: 'warn', fields: { field: 'spec.broken', uid: 'uid-2' } })
    server.endWatches()
    await server.requested(2)
    expect(server.resumes).toEqual(['list', String(world.version)])
  })

  test('a known object whose deletion cannot be decoded is told as it was last seen', async () => {
    const { world, watching, reflector, uid } = await synced(['web-0'])
    world.update(uid(0), { broken: true })
    world.delete(uid(0))
    await until(() => watching.changes.length === 2)
    expect(watching.changes[1]).toMatchObject({ type: 'Deleted', object: { uid: uid(0), resourceVersion: '101' } })
    expect(reflector.size).toBe(0)
  })

  test('a known object that a new list shows undecodably has not vanished', async () => {
    const { server, world, watching, reflector, uid } = await synced(['web-0'])
    server.resetWatches()
    world.update(uid(0), { broken: true })
    world.compact()
    await until(() => watching.gaps.length === 1)
    expect(watching.told).toEqual(['Listed web-0'])
    expect(reflector.get(uid(0))?.resourceVersion).toBe('101')
  })

  test('characters and objects may be cut anywhere, and objects may be long', async () => {
    const { server, world, watching, uid } = await synced(['web-0'])
    const text = `${'größer ☃ 🦉 '.repeat(20_000)}`
    const bytes = Buffer.from(
      line('MODIFIED', {
        ...world.objects.get(uid(0)),
        text,
        metadata: { ...world.objects.get(uid(0))?.metadata, resourceVersion: '200' },
      }),
    )
    for (let i = 0; i < bytes.length; i += 7001) {
      server.write(bytes.subarray(i, i + 7001))
      if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => watching.changes.length === 2)
    expect(watching.changes[1]?.object.text).toBe(text)
  })
})

describe('handlers', () => {
  test('one that throws is counted and told, and the stream goes on', async () => {
    const { world, watching, reflector, uid } = await synced(['web-0'], {
      onChange: ({ type }) => {
        if (type !== 'Deleted') throw new Error('the handler is broken')
      },
    })
    world.update(uid(0))
    world.delete(uid(0))
    await until(() => watching.changes.length === 3)
    expect(reflector.stats.handlerErrors).toBe(2)
    expect(watching.errors).toHaveLength(2)
    expect(reflector.stats.failures).toEqual({})
    expect(reflector.size).toBe(0)
  })

  test('one for errors that throws as well changes nothing', async () => {
    const { world, watching, uid } = await synced(['web-0'], {
      onChange: () => {
        throw new Error('broken')
      },
      onError: () => {
        throw new Error('broken too')
      },
    })
    world.delete(uid(0))
    await until(() => watching.changes.length === 2)
  })

  test('a slow one delays the stream, loses nothing and keeps the order', async () => {
    const { world, watching, uid } = await synced(['web-0'], {
      onChange: () => {
        const end = performance.now() + 5
        while (performance.now() < end);
      },
    })
    for (let i = 0; i < 30; i++) world.update(uid(0))
    await until(() => watching.changes.length === 31)
    const versions = watching.changes.map(({ object }) => Number(object.resourceVersion))
    expect(versions).toEqual([...versions].sort((a, b) => a - b))
  })

  test('one that stops the reflector is the last to be called', async () => {
    const stopping: Promise<void>[] = []
    const { server, world, watching, reflector } = await synced(['a', 'b', 'c'], {
      onChange: ({ type }) => {
        if (type === 'Vanished') stopping.push(reflector.stop())
      },
    })
    server.resetWatches()
    for (const uid of [...world.objects.keys()]) world.delete(uid)
    world.compact()
    await until(() => stopping.length > 0)
    await Promise.all(stopping)
    expect(watching.told).toEqual(['Listed a', 'Listed b', 'Listed c', 'Vanished a'])
    expect(reflector.synced).toBe(true)
  })

  test('whenSynced rejects where the reflector is stopped before', async () => {
    const { server, reflector } = await given([])
    server.answers.push(() => true)
    reflector.start()
    const outcome = reflector.whenSynced()
    await server.requested(1)
    await reflector.stop()
    await expect(outcome).rejects.toBeInstanceOf(KubeError)
  })
})
