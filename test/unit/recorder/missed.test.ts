/** Ends that no change of a watched pod told of, and which are recorded all the same. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { catchUp } from '../../../src/controllers/recorder/catch-up.ts'
import { Missed } from '../../../src/controllers/recorder/missed.ts'
import type { PodSnapshot } from '../../../src/core/evidence.ts'
import { SECOND } from '../../../src/core/time.ts'
import { aPod, micros, type PodStory } from '../builders.ts'
import { Bench } from './bench.ts'

let bench: Bench
let pods: Map<string, PodSnapshot>
let watching: boolean
let missed: Missed

beforeEach(() => {
  bench = new Bench()
  pods = new Map()
  watching = true
  const { recorder, clock } = bench
  missed = new Missed({ recorder, clock, pods, watching: () => watching, later: (ms, action) => void setTimeout(action, ms) })
})
afterEach(() => {
  vi.useRealTimers()
})

const podOf = (story: PodStory): PodSnapshot => {
  const pod = story.deliveries.flatMap(({ fact }) => (fact.type === 'Pod' ? [fact.pod] : [])).at(-1)
  if (pod === undefined) throw new Error('the story has a pod')
  return pod
}
const failed = () =>
  podOf(aPod({ restartPolicy: 'Never' }).running().exited('app', { at: -50, code: 3 }).reported({ at: -49, phase: 'Failed' }))

/** Leads at `at`, having watched from a second before; the leader before was last well at `mark`. */
async function lead(at: number, mark: number): Promise<void> {
  await bench.until(at)
  const { http, recorder, records, clock, log } = bench
  const options = {
    http,
    recorder,
    records,
    clock,
    log,
    pods,
    missed,
    namespace: 'gracewatch',
    reach: 3600 * SECOND,
    onVerdict() {},
  }
  await catchUp(options, micros(at - 1), micros(mark))
}

describe('a pod that had failed when this replica saw it first, and was deleted before it led', () => {
  test('is recorded when it leads', async () => {
    missed.onPod({ type: 'Deleted', object: failed(), previous: failed(), arrivedAt: micros(-10) })
    await lead(-8, -60)
    await bench.until(100)
    expect(bench.steps.map((step) => step.split(' ')[1])).toEqual(['Complete'])
    expect(bench.last).toMatchObject({ outcome: 'Failed', containers: [{ name: 'app', exit: { code: 3 } }] })
  })

  test('is recorded also where it vanished in a gap', async () => {
    missed.onPod({ type: 'Vanished', object: failed(), arrivedAt: micros(-10) })
    await lead(-8, -60)
    await bench.until(100)
    expect(bench.last).toMatchObject({ state: 'Complete', outcome: 'Failed' })
  })

  test('is not where its namespace is out of scope', async () => {
    bench = new Bench({ excludeNamespaces: [failed().namespace] })
    missed = new Missed({ recorder: bench.recorder, clock: bench.clock, pods, watching: () => watching, later() {} })
    missed.onPod({ type: 'Deleted', object: failed(), previous: failed(), arrivedAt: micros(-10) })
    expect([...missed.ended()]).toEqual([])
  })

  test('is not where the leader before had dealt with it', async () => {
    missed.onPod({ type: 'Deleted', object: failed(), previous: failed(), arrivedAt: micros(-10) })
    await lead(-8, -20)
    await bench.until(100)
    expect(bench.steps).toEqual([])
  })

  test('is forgotten after a while, as what a standby keeps for a leader', async () => {
    missed.onPod({ type: 'Deleted', object: failed(), previous: failed(), arrivedAt: micros(-10) })
    expect([...missed.ended()]).toHaveLength(1)
    await bench.until(115)
    expect([...missed.ended()]).toEqual([])
  })
})

describe('a replica that leads with a dead watch, of which it does not know', () => {
  const begun = () => aPod().running().seen().deleted({ at: -20 })

  test('leaves the open record of a pod alone that is still there', async () => {
    const record = begun().record(-10)
    bench.leave(record, 'web-7d4b9c-x2x9k.84b61cdb')
    bench.there.add(record.pod.uid)
    await lead(-8, -60)
    expect(bench.steps).toEqual([])
    bench.there.delete(record.pod.uid)
    await lead(-7, -60)
    expect(bench.steps.map((step) => step.split(' ')[1])).toEqual(['Complete'])
  })

  test('takes no pod for gone of which an event alone tells, and which is still there', async () => {
    await bench.play(aPod().killing('app', { at: -12, arrives: -11 }))
    bench.there.add(begun().record(-10).pod.uid)
    await lead(-8, -60)
    await bench.until(100)
    expect(bench.steps).toEqual([])
  })
})

describe('after a gap in the watch of pods', () => {
  const gap = { from: micros(-20), to: micros(5), reason: 'the watch was cut and its place was compacted away' }
  const event = (at: number) => aPod().killing('app', { at, arrives: 6 })

  for (const [order, events] of [
    ['before', 'before the gap is known'],
    ['after', 'after it'],
  ] as const) {
    test(`a pod that only a Killing event names is recorded, where the event comes ${events}`, async () => {
      const tellGap = async () => {
        bench.recorder.onGap('Pod', gap)
        missed.onGap(gap)
      }
      const tellEvent = async () => {
        await bench.play(event(1))
        for (const { fact } of event(1).deliveries)
          if (fact.type === 'Event') missed.onEvent({ type: 'Added', object: fact.event, arrivedAt: fact.arrivedAt })
      }
      for (const step of order === 'before' ? [tellEvent, tellGap] : [tellGap, tellEvent]) await step()
      await bench.until(100)
      expect(bench.steps.map((step) => step.split(' ')[1])).toEqual(['Complete'])
      expect(bench.last.outcome).toBe('Lost')
      const findings = bench.last.findings?.map(({ message }) => message)
      expect(findings).toContainEqual(expect.stringContaining(`nobody watched Pods from `))
    })
  }

  test('one that is still there, or that was stopped before the gap, is not', async () => {
    const there = podOf(aPod({ uid: '11111111-0' }).running().seen())
    pods.set(there.uid, there)
    await bench.play(
      aPod({ uid: '11111111-0' }).killing('app', { at: 1, arrives: 6 }),
      aPod().killing('app', { at: -30, arrives: -29 }),
    )
    missed.onGap(gap)
    await bench.until(100)
    expect(bench.steps).toEqual([])
  })

  test('one whose node is half a minute ahead is recorded, one whose event had arrived before the gap is not', async () => {
    await bench.until(6)
    await bench.play(aPod().killing('app', { at: 35, arrives: 36 }))
    missed.onGap(gap)
    await bench.until(100)
    expect(bench.steps).toHaveLength(1)
    missed.onGap({ ...gap, from: micros(60), to: micros(70) })
    await bench.until(200)
    expect(bench.steps).toHaveLength(1)
  })

  test('nothing is judged while the watch of pods is broken again', async () => {
    watching = false
    missed.onGap(gap)
    await bench.play(event(1))
    await bench.until(20)
    expect(bench.steps).toEqual([])
    watching = true
    await bench.until(100)
    expect(bench.steps).toHaveLength(1)
  })

  test('a pod that a later list shows first, and as Failed, is recorded', async () => {
    await bench.until(5)
    bench.recorder.onPod({ type: 'Listed', object: failed(), arrivedAt: micros(5), since: micros(-60) })
    await bench.until(100)
    expect(bench.last).toMatchObject({ outcome: 'Failed', state: 'Complete' })
  })
})
