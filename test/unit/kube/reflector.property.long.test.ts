import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Micros } from '../../../src/core/time.ts'
import { errorLine, fail, line, TestApiServer } from './support/server.ts'
import { settle, until, Watching } from './support/watching.ts'
import type { WorldEvent } from './support/world.ts'

/** What can happen to the server's objects, and to the connections. `pick` chooses the object where one is needed. */
const STEPS = {
  create: 6,
  update: 8,
  delete: 5,
  recreate: 3,
  compact: 2,
  bookmark: 2,
  pause: 4,
  reset: 3,
  end: 2,
  freeze: 1,
  garbage: 1,
  half: 1,
  expired: 1,
  gone: 1,
  error: 2,
  refuseStreams: 1,
  duplicate: 2,
  swap: 2,
} as const
type Kind = keyof typeof STEPS

const step = fc.record({
  kind: fc.oneof(...Object.entries(STEPS).map(([kind, weight]) => ({ arbitrary: fc.constant(kind as Kind), weight }))),
  pick: fc.nat({ max: 1000 }),
})

interface Truth {
  readonly event: WorldEvent
  readonly at: Micros
}

class Trial {
  readonly truths: Truth[] = []
  readonly server: TestApiServer
  readonly watching: Watching
  #names = 0

  constructor(server: TestApiServer) {
    this.server = server
    this.watching = new Watching(server, {
      timings: { backoffBaseMs: 2, backoffMaxMs: 8, inactivityMs: 40, initialEventsMs: 40, pageSize: 2 },
    })
    server.world.onEvent((event) => this.truths.push({ event, at: this.watching.clock.now() }))
  }

  async act(kind: Kind, pick: number): Promise<void> {
    const { server } = this
    const { world } = server
    const alive = [...world.objects.keys()]
    const uid = alive[pick % alive.length]
    switch (kind) {
      case 'create':
        world.create(`pod-${this.#names++ % 7}-${this.#names}`)
        return
      case 'update':
        if (uid !== undefined) world.update(uid)
        return
      case 'delete':
        if (uid !== undefined) world.delete(uid)
        return
      case 'recreate':
        if (uid !== undefined) world.recreate(uid)
        return
      case 'compact':
        world.compact()
        return
      case 'bookmark':
        server.bookmark()
        return
      case 'pause':
        return settle(pick % 12)
      case 'reset':
        server.resetWatches()
        return
      case 'end':
        server.endWatches()
        return
      case 'freeze':
        server.freezeWatches()
        return
      case 'garbage':
        server.write('no json\n')
        return
      case 'half':
        server.write('{"type":"MOD')
        server.endWatches()
        return
      case 'expired':
        server.write(errorLine(410, 'Expired', 'too old'))
        server.endWatches()
        return
      case 'gone':
        server.answers.push(fail(410, 'Gone', 'too old'))
        return
      case 'error':
        server.answers.push(fail(pick % 2 === 0 ? 500 : 403, '', 'not now'))
        return
      case 'refuseStreams':
        server.streamingLists = !server.streamingLists
        return
      case 'duplicate': {
        const old = world.history[pick % world.history.length]
        if (old !== undefined) server.write(line(old.type, old.object))
        return
      }
      case 'swap':
        return this.#swap(pick)
    }
  }

  /** Two events in the wrong order, both of which get through: no server loses one and keeps the later. */
  async #swap(pick: number): Promise<void> {
    const { server, watching } = this
    if (server.watching === 0) return
    const before = watching.reflector.stats.events
    const held = server.hold()
    await this.act('update', pick)
    await this.act('create', pick)
    held.release((lines) => lines.reverse())
    await until(() => server.watching === 0 || watching.reflector.stats.events >= before + held.count)
  }

  /** The faults are over: the reflector must come to agree with the server. */
  async heal(): Promise<void> {
    const { server, watching } = this
    server.answers.length = 0
    // So that agreement is about all that was, and not about a present that looks like the past.
    server.world.create('last')
    const want = () => [...server.world.objects.values()].map(({ metadata }) => `${metadata.uid}@${metadata.resourceVersion}`)
    const have = () => [...watching.reflector.values()].map(({ uid, resourceVersion }) => `${uid}@${resourceVersion}`)
    await until(() => watching.reflector.synced && String(have().sort()) === String(want().sort()))
    await watching.end()
  }

  /** Everything that was told, held against everything that was true. */
  check(): void {
    const { changes, gaps } = this.watching
    const last = new Map<string, string>()
    const ended = new Set<string>()
    for (const change of changes) {
      const { uid, resourceVersion, name } = change.object
      expect(ended.has(uid), `${uid} was told of after its end`).toBe(false)
      const known = change.type === 'Vanished' ? resourceVersion : change.previous?.resourceVersion
      expect(known).toBe(last.get(uid))
      const truth = this.truths.find(
        ({ event }) => event.object.metadata.uid === uid && event.version === Number(resourceVersion),
      )
      expect(truth, `${uid}@${resourceVersion} never was`).toBeDefined()
      switch (change.type) {
        case 'Added':
          expect(last.has(uid)).toBe(false)
          break
        case 'Modified':
          expect(Number(resourceVersion)).toBeGreaterThan(Number(last.get(uid) ?? Number.NaN))
          break
        case 'Listed':
          if (change.since !== undefined) expect(truth?.at).toBeGreaterThanOrEqual(change.since)
          break
        case 'Deleted':
          ended.add(uid)
          break
        case 'Vanished': {
          ended.add(uid)
          const end = this.truths.find(({ event }) => event.type === 'DELETED' && event.object.metadata.uid === uid)
          expect(end?.at).toBeGreaterThanOrEqual(change.since ?? Number.NaN)
          expect(end?.at).toBeLessThanOrEqual(change.arrivedAt)
          if (change.replacedBy === undefined) break
          const next = this.truths.find(({ event }) => event.object.metadata.uid === change.replacedBy)
          expect(next?.event.object.metadata.name).toBe(name)
          break
        }
      }
      expect(truth?.at).toBeLessThanOrEqual(change.arrivedAt)
      last.set(uid, resourceVersion)
    }
    for (const uid of last.keys()) expect(ended.has(uid)).toBe(!this.server.world.objects.has(uid))
    this.#checkLosses(gaps.map(({ from, to }) => [from, to] as const))
  }

  /** What was not told lies in a gap, or before the first list. */
  #checkLosses(gaps: (readonly [Micros, Micros])[]): void {
    const { changes } = this.watching
    const told = new Set(
      changes.map(({ type, object }) => `${object.uid}@${object.resourceVersion}${type === 'Deleted' ? '-' : ''}`),
    )
    const firstSynced = this.syncedAt
    for (const { event, at } of this.truths) {
      const { uid, resourceVersion } = event.object.metadata
      if (told.has(`${uid}@${resourceVersion}${event.type === 'DELETED' ? '-' : ''}`)) continue
      const inGap = gaps.some(([from, to]) => from <= at && at <= to)
      expect(inGap || at <= firstSynced, `${event.type} ${uid}@${resourceVersion} was lost without a word`).toBe(true)
    }
  }

  syncedAt: Micros = Number.POSITIVE_INFINITY
}

test('whatever happens to server and connection: what was told is true, in order, and no loss goes unsaid', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const server = await TestApiServer.start()
      const trial = new Trial(server)
      try {
        for (let i = 0; i < 3; i++) server.world.create(`first-${i}`)
        trial.watching.reflector.start()
        void trial.watching.reflector.whenSynced().then(
          () => {
            trial.syncedAt = trial.watching.clock.now()
          },
          () => {},
        )
        for (const { kind, pick } of steps) await trial.act(kind, pick)
        await trial.heal()
        trial.check()
      } finally {
        await trial.watching.end()
        await server.stop()
      }
    }),
    { numRuns: 40 },
  )
})
