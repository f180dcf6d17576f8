import { describe, expect, test } from 'vitest'
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
