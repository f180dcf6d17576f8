import { describe, expect, test } from 'vitest'
import { synced } from './support/given.ts'
import { line } from './support/server.ts'
import { settle, until } from './support/watching.ts'

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
