import { describe, expect, test } from 'vitest'
import { EvidenceStore } from '../../../src/controllers/recorder/evidence-store.ts'
import type { EndpointFact, EndpointSliceSnapshot, EndpointState, EventFact } from '../../../src/core/evidence.ts'
import { MILLISECOND, type Micros, SECOND } from '../../../src/core/time.ts'
import { EPOCH } from '../builders.ts'

const event = (pod: string, arrivedAt: Micros, name = 'e'): EventFact => ({
  type: 'Event',
  arrivedAt,
  listed: false,
  event: {
    uid: `${pod}-${name}`,
    resourceVersion: '1',
    namespace: 'shop',
    name: `${pod}.${name}`,
    reason: 'Killing',
    eventType: 'Normal',
    message: 'Stopping container app',
    count: 1,
    pod: { namespace: 'shop', name: pod, uid: pod },
  },
})

const endpoint = (podUid: string, more: Partial<EndpointState> = {}): EndpointState => ({
  podUid,
  podName: podUid,
  ready: true,
  serving: true,
  terminating: false,
  ...more,
})
const LEAVING = { ready: false, terminating: true }

/** The slices as the reflector keeps them, and the store that is told of each change. */
class World {
  readonly slices = new Map<string, EndpointSliceSnapshot>()
  readonly store = new EvidenceStore((uid) => this.slices.get(uid))
  #version = 10

  /** Facts by pod, those without a tracker put by as the recorder does. */
  slice(
    uid: string,
    endpoints: readonly EndpointState[],
    arrivedAt: Micros,
    { service = 'web', followed = [] as string[] } = {},
  ) {
    const previous = this.slices.get(uid)
    const object: EndpointSliceSnapshot = {
      uid,
      resourceVersion: String(this.#version++),
      namespace: 'shop',
      name: uid,
      ...(service === '' ? {} : { service }),
      endpoints,
    }
    this.slices.set(uid, object)
    return this.#told({ type: previous === undefined ? 'Added' : 'Modified', object, arrivedAt, previous }, followed)
  }

  remove(uid: string, arrivedAt: Micros, { type = 'Deleted' as 'Deleted' | 'Vanished', followed = [] as string[] } = {}) {
    const object = this.slices.get(uid)
    if (object === undefined) throw new Error(`no slice ${uid}`)
    this.slices.delete(uid)
    return this.#told(
      { type, object: { ...object, resourceVersion: String(this.#version++) }, arrivedAt, previous: object },
      followed,
    )
  }

  #told(
    change: {
      type: 'Added' | 'Modified' | 'Deleted' | 'Vanished'
      object: EndpointSliceSnapshot
      arrivedAt: Micros
      previous: EndpointSliceSnapshot | undefined
    },
    followed: readonly string[],
  ): EndpointFact[] {
    const { previous, ...rest } = change
    const found = this.store.endpointFacts(previous === undefined ? rest : { ...rest, previous })
    for (const { uid, fact } of found) if (!followed.includes(uid)) this.store.addEndpoint(uid, fact, change.arrivedAt)
    return found.map(({ fact }) => fact)
  }
}

const at = (seconds: number): Micros => EPOCH + Math.round(seconds * SECOND)
const shown = (facts: readonly (EventFact | EndpointFact)[]) =>
  facts.map((fact) =>
    fact.type === 'Event'
      ? fact.event.name
      : `${fact.slice}: ${fact.present ? `ready ${fact.ready}, terminating ${fact.terminating}` : 'gone'}`,
  )

describe('Events that come before the pod itself is seen to end', () => {
  test('wait for it, and are taken once', () => {
    const { store } = new World()
    store.addEvent(event('pod-1', at(0)))
    store.addEvent(event('pod-2', at(0)))
    expect(shown(store.take('pod-1'))).toEqual(['pod-1.e'])
    expect(store.take('pod-1')).toEqual([])
    expect([...store.eventsByPod()].map(([uid]) => uid)).toEqual(['pod-2'])
  })

  test('are forgotten after 10 minutes', () => {
    const { store } = new World()
    store.addEvent(event('pod-1', at(0)))
    store.addEvent(event('pod-2', at(599)))
    expect(store.take('pod-1')).toHaveLength(1)
    store.addEvent(event('pod-3', at(599 + 601)))
    expect(store.take('pod-2')).toEqual([])
    expect(store.dropped).toEqual({ events: 0, endpoints: 0, kernel: 0 })
  })

  test('past 20,000 go the oldest first, and are counted', () => {
    const { store } = new World()
    for (let index = 0; index < 20_003; index++) store.addEvent(event(`pod-${index}`, at(0)))
    expect(store.dropped.events).toBe(3)
    expect(store.take('pod-2')).toEqual([])
    expect(store.take('pod-3')).toHaveLength(1)
  })

  test('that were taken are none that were dropped, however many there are', () => {
    const { store } = new World()
    for (let index = 0; index < 30_000; index++) {
      store.addEvent(event(`pod-${index}`, at(0)))
      if (index !== 5) store.take(`pod-${index}`)
    }
    expect(store.dropped.events).toBe(1)
    const when = '2026-03-01T12:00:00.000000Z'
    const kernel = { node: 'node-1', tracedFrom: when, tracedUntil: when, complete: true, lostEvents: 0 }
    for (let index = 0; index < 5000; index++) {
      store.addKernel(`pod-${index}`, { type: 'Kernel', arrivedAt: at(0), kernel })
      store.takeKernel(`pod-${index}`)
    }
    expect(store.dropped.kernel).toBe(0)
  })

  test('that were taken count no more, and forgetting them later takes nothing else', () => {
    const { store } = new World()
    store.addEvent(event('pod-1', at(0), 'first'))
    store.take('pod-1')
    store.addEvent(event('pod-1', at(400), 'second'))
    store.addEvent(event('pod-2', at(700)))
    expect(shown(store.take('pod-1'))).toEqual(['pod-1.second'])
  })
})

describe('what a change of a slice says', () => {
  test.each([{ ready: false }, { serving: false }, { terminating: true }])('is told where only %o is new', (change) => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-1))
    const facts = world.slice('s1', [endpoint('pod-1', change)], at(0))
    expect(facts).toHaveLength(1)
    expect(facts[0]).toMatchObject({ present: true, ready: true, serving: true, terminating: false, ...change })
    expect(world.slice('s1', [endpoint('pod-1', change)], at(1))).toEqual([])
  })

  test('is that a pod is gone, and neither ready, serving nor terminating in it any more', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1', LEAVING)], at(-1))
    expect(world.slice('s1', [], at(0)).at(-1)).toEqual({
      type: 'Endpoint',
      arrivedAt: at(0),
      listed: false,
      service: 'web',
      slice: 's1',
      sliceVersion: '11',
      present: false,
      ready: false,
      serving: false,
      terminating: false,
    })
  })

  test('is told for the pods that changed, with the state before', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1'), endpoint('pod-2')], at(-100))
    world.store.take('pod-1')
    const facts = world.slice('s1', [endpoint('pod-1', LEAVING), endpoint('pod-2')], at(0))
    expect(shown(facts)).toEqual(['s1: ready true, terminating false', 's1: ready false, terminating true'])
    expect(facts.map(({ arrivedAt, sliceVersion }) => [arrivedAt, sliceVersion])).toEqual([
      [0, '10'],
      [at(0), '11'],
    ])
  })

  test('is told as the end of all its endpoints where the slice itself goes', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-100))
    world.store.take('pod-1')
    expect(shown(world.remove('s1', at(0)))).toEqual(['s1: ready true, terminating false', 's1: gone'])
  })

  test('is told as listed where a list showed it, with the time until which the watch was complete', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-100))
    const [fact] = world.remove('s1', at(0), { type: 'Vanished' }).slice(-1)
    expect(fact).toMatchObject({ listed: true, present: false })
  })

  test('of no Service is nothing', () => {
    const world = new World()
    expect(world.slice('s1', [endpoint('pod-1')], at(0), { service: '' })).toEqual([])
  })

  test('that repeats what was known is nothing', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-100))
    expect(world.slice('s1', [endpoint('pod-1')], at(0))).toEqual([])
  })
})

describe('endpoints of a pod that begins to be followed', () => {
  test('that left just before the pod was seen to end are found, with the state before', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-1000))
    world.slice('s1', [endpoint('pod-1', LEAVING)], at(-0.02))
    const facts = world.store.take('pod-1')
    expect(shown(facts)).toEqual(['s1: ready true, terminating false', 's1: ready false, terminating true'])
    expect(facts.map((fact) => fact.arrivedAt)).toEqual([0, at(-0.02)])
  })

  test('that leave one slice after the other are found with the state before in each', () => {
    const world = new World()
    for (const slice of ['v4', 'v6']) world.slice(slice, [endpoint('pod-1')], at(-1000))
    world.slice('v4', [endpoint('pod-1', LEAVING)], at(-0.02))
    world.slice('v6', [endpoint('pod-1', LEAVING)], at(-0.01))
    expect(shown(world.store.take('pod-1'))).toEqual([
      'v4: ready true, terminating false',
      'v4: ready false, terminating true',
      'v6: ready true, terminating false',
      'v6: ready false, terminating true',
    ])
  })

  test('that have not changed for long are found standing in every slice that names the pod', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-1000))
    world.slice('s2', [endpoint('pod-1'), endpoint('pod-2')], at(-900), { service: 'admin' })
    // Other pods come and go meanwhile, and what is remembered of changes runs out.
    world.slice('s3', [endpoint('pod-3')], at(-10))
    const facts = world.store.take('pod-1').filter((fact) => fact.type === 'Endpoint')
    expect(facts.map(({ service, slice, arrivedAt, listed }) => [service, slice, arrivedAt, listed])).toEqual([
      ['web', 's1', 0, true],
      ['admin', 's2', 0, true],
    ])
  })

  test('of a slice that is gone are not found standing', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-1000))
    world.remove('s1', at(-500))
    world.slice('s2', [endpoint('pod-2')], at(-10))
    expect(world.store.take('pod-1')).toEqual([])
  })

  test('that the slice has dropped are not found standing', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1'), endpoint('pod-2')], at(-1000))
    world.slice('s1', [endpoint('pod-2')], at(-500))
    world.slice('s2', [endpoint('pod-3')], at(-10))
    expect(world.store.take('pod-1')).toEqual([])
  })

  test('go on to be told of from then on', () => {
    const world = new World()
    world.slice('s1', [endpoint('pod-1')], at(-1000))
    world.store.take('pod-1')
    const facts = world.slice('s1', [], at(0), { followed: ['pod-1'] })
    expect(shown(facts).at(-1)).toBe('s1: gone')
  })
})

describe('gaps', () => {
  test('are told that reach into the time asked for, the latest 64 of them', () => {
    const { store } = new World()
    for (let index = 0; index < 70; index++) {
      store.addGap({ type: 'Gap', resource: 'Pod', from: at(index * 10), to: at(index * 10 + 5), reason: `gap ${index}` })
    }
    expect(store.gapsSince(at(0))).toHaveLength(64)
    expect(store.gapsSince(at(685)).map(({ reason }) => reason)).toEqual(['gap 68', 'gap 69'])
    expect(store.gapsSince(at(695) + MILLISECOND)).toEqual([])
  })
})
