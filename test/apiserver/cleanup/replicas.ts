/** Replicas: one deletes; another goes on where it was killed, or stopped, in the middle of a pass. */
import { expect, it } from 'vitest'
import type { Running } from '../recorder/stage.ts'
import { eventually } from '../waiting.ts'
import type { Shared } from './shared.ts'
import { deletes } from './world.ts'

const COUNT = 90
const KEEP = 20
/** A second: of what there is to do no leader does all before it ends. */
const RATE = 5

export function replicas(shared: Shared): void {
  it.concurrent('a leader that is killed in mid-pass, and one that is stopped, is followed by one that goes on, and keep.total stays', async () => {
    const { world } = shared
    const [namespace, own] = [await world.namespace('heirs'), await world.stage.namespace('heirs-own')]
    const args = [`--cleanup-deletes-per-second=${RATE}`]
    // None is to lose the lease for being slow: who leads is what is looked at.
    const start = () => world.stage.start({ own, namespaces: [namespace], cleanup: true, lease: [], args })
    const names = await world.many(namespace, COUNT)
    const first = await start()
    await first.controller.leads()
    const others = [await start(), await start()]
    for (const { controller } of others) await controller.ready()
    const done = ({ front }: Running) => deletes(front, namespace).filter(({ status }) => status === 200).length
    const leader = (among: readonly Running[]) =>
      eventually(() => among.find((running) => done(running) >= 10), 60_000, '10 pods deleted by one')

    await world.rule(namespace, 'all', { keep: { total: KEEP } })
    const watching = world.downTo(namespace, KEEP, 150_000)
    expect(await leader([first, ...others])).toBe(first)
    for (const { front } of others) expect(deletes(front)).toEqual([])
    await first.controller.kill()
    const second = await leader(others)
    const third = others.find((other) => other !== second)
    if (third === undefined) throw new Error('there were two others')
    expect(deletes(third.front)).toEqual([])
    await second.controller.stop()
    const by = [done(first), done(second)]
    expect((by[0] ?? 0) + (by[1] ?? 0)).toBeLessThan(COUNT - KEEP)

    const { fewest, halfDeleted } = await watching
    const stay = names.slice(-KEEP)
    await world.left(namespace, stay)
    expect(fewest).toBe(KEEP)
    const all = [first, second, third].map(done)
    console.log(`${all.join(', ')} pods deleted by the first, second and third leader, ${halfDeleted} half deleted`)
    // One whose answer died with the leader was deleted, too.
    const sum = all.reduce((total, count) => total + count, 0)
    expect(sum).toBeLessThanOrEqual(COUNT - KEEP)
    expect(sum).toBeGreaterThanOrEqual(COUNT - KEEP - 8)
    // The count goes on where the one before had written it, which was after whole passes.
    const status = await world.statusOf(namespace, 'all', 'settled', ({ toDelete }) => toDelete === 0)
    expect(status.deleted).toBeGreaterThanOrEqual(done(third))
    expect(status.deleted).toBeLessThanOrEqual(COUNT - KEEP)
    const states = (name: string) =>
      world.stage.records.all
        .filter(({ type, record: { pod } }) => type !== 'DELETED' && pod.namespace === namespace && pod.name === name)
        .map(({ record }) => record.state)
    const gone = names.slice(0, -KEEP)
    await eventually(() => gone.every((name) => states(name).length > 0) || undefined, 15_000, 'the record of each that went')
    for (const name of gone) expect(states(name), name).toEqual(['Complete'])
    // One goes for each that comes, and no other.
    for (const [index, name] of ['x-1', 'x-2'].entries()) {
      await world.finished(namespace, name)
      await world.left(namespace, [...stay.slice(index + 1), ...['x-1', 'x-2'].slice(0, index + 1)])
    }
    await third.controller.stop()
  })
}
