import { describe, expect, test } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import { given, synced } from './support/given.ts'
import { line } from './support/server.ts'
import { until } from './support/watching.ts'

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
