import { describe, expect, test } from 'vitest'
import { given, synced } from './support/given.ts'
import { errorLine, fail, type TestApiServer } from './support/server.ts'
import { settle, until } from './support/watching.ts'

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
    const { server, watching } = await given([])
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
