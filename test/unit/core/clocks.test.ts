import { describe, expect, test } from 'vitest'
import { Clocks, type Offset, UNKNOWN_OFFSET } from '../../../src/core/termination/clocks.ts'
import { nodeClock } from '../../../src/core/termination/index.ts'
import { parseTime, SECOND } from '../../../src/core/time.ts'
import { aPod, type PodStory } from '../builders.ts'
import { typesOf } from './reading.ts'

/** An orderly forced kill at 5.13 s, of a pod whose node is so far ahead of the recorder. */
function killed({ node = 0, api = 0, compared = true }: { node?: number; api?: number; compared?: boolean }): PodStory {
  const pod = aPod({ grace: 5 }).clocks({ node, api })
  if (compared) pod.compared('APIServer')
  return pod
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('app', { at: 5.14, code: 137 })
    .reported({ at: 5.2, phase: 'Failed' })
    .removed({ at: 5.4 })
}

const TRUE_TIMES = { Terminating: 0, StopSignal: 0.13, Kill: 5.13, ContainerExited: 5.14, Removed: 5.402 } as const

/** Marks whose bounds do not hold what is true on the clock that they name. */
function wrong(pod: PodStory): string[] {
  const clocks = {
    Recorder: (at: number) => pod.recorderTime(at),
    Node: (at: number) => pod.nodeTime(at),
    APIServer: (at: number) => pod.apiTime(at),
  }
  return (pod.record().timeline ?? []).flatMap(({ mark, clock, earliest, latest }) => {
    const at = TRUE_TIMES[mark as keyof typeof TRUE_TIMES]
    if (at === undefined) return []
    const [low, high] = [parseTime(earliest) ?? Number.NaN, parseTime(latest) ?? Number.NaN]
    const real = clocks[clock](at)
    return low <= real && real <= high ? [] : [`${mark} on ${clock}: ${low - real} .. ${high - real}`]
  })
}

describe('clocks that are apart', () => {
  test.each([
    [3, 0],
    [-3, 0],
    [0, 3],
    [0, -3],
    [7, -8],
  ])('node %i s and API server %i s ahead: each mark holds on the clock that it names', (node, api) => {
    expect(wrong(killed({ node, api }))).toEqual([])
    expect(wrong(killed({ node, api, compared: false }))).toEqual([])
  })

  test('the forced kill is told as one, whatever the node believes the time to be', () => {
    for (const node of [3, -3, 0.4]) expect(killed({ node }).record().outcome).toBe('ForcedKill')
  })

  test('a node that is 3 s off is said to be, with the way and the least that it can be', () => {
    const finding = (node: number) =>
      killed({ node })
        .record()
        .findings?.find(({ type }) => type === 'ClockSkew')?.message
    expect(finding(3)).toContain('ahead of')
    expect(finding(-3)).toContain('behind')
    expect(finding(0.3)).toBeUndefined()
    expect(typesOf(killed({ node: 3, compared: false }).record())).not.toContain('ClockSkew')
  })

  test('facts that contradict each other mean a clock that was set: both have to hold then', () => {
    const pod = killed({})
    pod.also({ type: 'Clock', clock: 'Node', earliest: 60 * SECOND, latest: 61 * SECOND })
    expect(wrong(pod)).toEqual([])
  })

  test("what a termination says of its node's clock holds the truth, within what was on its way", () => {
    for (const node of [0, 3, -3]) {
      const learnt = nodeClock(killed({ node }).facts())
      expect(learnt?.node).toBe('node-1')
      expect(learnt?.offset.earliest).toBeLessThanOrEqual(node * SECOND)
      expect(learnt?.offset.latest).toBeGreaterThanOrEqual(node * SECOND)
      expect((learnt?.offset.latest ?? 0) - (learnt?.offset.earliest ?? 0)).toBeLessThan(1.2 * SECOND)
    }
  })

  test('a crash that the status had not shown yet does not bound the clock', () => {
    const pod = aPod({ containers: ['app', 'crashed'] })
      .compared('APIServer')
      .running()
      .seen()
      .exited('crashed', { at: -0.9, code: 1 })
    pod.unseen(() => pod.reported({ at: -0.1 }))
    const stale = pod.running(['crashed']).deleted({ at: 0 }).exited('crashed', { at: -0.9, code: 1 }).exited('app', { at: 1.5 })
    const learnt = nodeClock(stale.reported({ at: 1.6, phase: 'Failed' }).facts())
    expect(learnt?.offset.latest).toBeGreaterThanOrEqual(0)
  })

  test('nothing is learnt of a pod that no node is known of', () => {
    expect(nodeClock(aPod({ node: null }).seen().removed({ at: 0 }).facts())).toBeUndefined()
    expect(nodeClock([])).toBeUndefined()
  })
})

describe("what one termination tells of its node's clock", () => {
  /** The least and the most that it may be ahead, in seconds. The API server's clock is known to 10 ms. */
  const learnt = (pod: PodStory) => {
    const { earliest, latest } = nodeClock(pod.facts())?.offset ?? { earliest: Number.NaN, latest: Number.NaN }
    return [earliest / SECOND, latest / SECOND]
  }
  const deleted = () => aPod({ grace: 15 }).createdAt(-3.2).compared('APIServer')

  test('by a Killing Event: it was made before it arrived, and after the delete', () => {
    const [least, most] = learnt(deleted().running().seen().deleted({ at: 0 }).killing('app', { at: 0.1, arrives: 0.12 }))
    expect(least).toBeCloseTo(-0.02, 5)
    // The delete is known to the second, which had begun 0.4 s before.
    expect(most).toBeCloseTo(0.1 + 0.4 + 0.01, 4)
  })

  test('by the end of a container that ended as by a signal: after the delete', () => {
    const [, most] = learnt(deleted().running().seen().deleted({ at: 0 }).exited('app', { at: 1.5 }).reported({ at: 1.7 }))
    expect(most).toBeCloseTo(1.5 + 0.1 + 0.4 + 0.01, 4)
  })

  test('by the start of a container: after its pod was created, before the report arrived', () => {
    const [least, most] = learnt(deleted().running(['app'], { since: -1.9 }).seen({ at: -1.8 }).deleted({ at: 0 }))
    // Floored to 12:00:58 of the minute before; the report arrived at 58.605.
    expect(least).toBeCloseTo(-0.605, 4)
    expect(most).toBeCloseTo(-1.9 - 0.5 + 1 + 3.2 + 0.2 + 0.01, 4)
  })
})

describe('the best estimate of a time on another clock', () => {
  const clocks = (node: Offset, api: Offset = UNKNOWN_OFFSET) => new Clocks(api, node)
  const offset = (earliest: number, latest: number): Offset => ({ earliest: earliest * SECOND, latest: latest * SECOND })

  test('takes clocks to agree where nobody has compared them', () => {
    expect(clocks(UNKNOWN_OFFSET).best(0, 'Recorder', 'Node')).toBe(0)
    expect(clocks(offset(-1.5, 1.5)).best(0, 'Recorder', 'Node')).toBe(0)
  })

  test('takes them to be no more apart than they must be', () => {
    expect(clocks(offset(1, 4)).best(0, 'Recorder', 'Node')).toBe(1 * SECOND)
    expect(clocks(offset(-4, -1)).best(0, 'Recorder', 'Node')).toBe(-1 * SECOND)
  })

  test("takes a node's clock, known to 2 s, to be as far as by what arrived, 5 ms after it was made", () => {
    expect(clocks(offset(0.1, 1.1)).best(0, 'Recorder', 'Node')).toBe(0.105 * SECOND)
    expect(clocks(offset(0.1, 0.104)).best(0, 'Recorder', 'Node')).toBe(0.102 * SECOND)
  })

  test("takes the API server's in the middle of what is known to 100 ms", () => {
    expect(clocks(UNKNOWN_OFFSET, offset(0.2, 0.24)).best(0, 'Recorder', 'APIServer')).toBe(0.22 * SECOND)
    expect(clocks(UNKNOWN_OFFSET, offset(-0.1, 0.3)).best(0, 'Recorder', 'APIServer')).toBe(0)
  })

  test('goes from one clock over the recorder to the other, with the bounds of both', () => {
    const both = clocks(offset(1, 1.004), offset(-2, -1.99))
    const at = both.convert({ earliest: 0, at: 1, latest: 2 }, 'Node', 'APIServer')
    expect(at.earliest).toBe(-3.004 * SECOND)
    expect(at.latest).toBe(-2.99 * SECOND + 2)
    expect(at.at).toBe(-1.002 * SECOND - 1.995 * SECOND + 1)
  })
})
