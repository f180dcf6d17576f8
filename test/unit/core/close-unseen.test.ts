import { describe, expect, test } from 'vitest'
import { MAX_TIMELINE, type PodTermination, podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { closeUnseen } from '../../../src/core/termination/close-unseen.ts'
import { aPod, micros, secondsOf } from '../builders.ts'
import { endOf, markOf } from './reading.ts'

/** As it was written 2 s after the delete: one container had ended, the other had not. */
const begun = (): PodTermination =>
  aPod({ containers: ['app', 'other'] })
    .running()
    .seen()
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('other', { at: 1, code: 1 })
    .reported({ at: 1.2 })
    .record(2)

describe('a record that nobody completed', () => {
  test('is Complete and Lost once a list no longer has the pod', () => {
    const closed = closeUnseen(begun(), micros(100), micros(40))
    expect(closed).toMatchObject({ state: 'Complete', outcome: 'Lost', cause: { type: 'Deleted' } })
    expect(secondsOf(closed.finishedAt)).toBe(100)
    expect(podTerminationSchema.safeParse(closed).success).toBe(true)
  })

  test('keeps what it said, and the ends that it had seen', () => {
    const [before, closed] = [begun(), closeUnseen(begun(), micros(100), undefined)]
    expect(closed.timeline?.slice(0, -1)).toEqual(before.timeline)
    expect(closed.startedAt).toBe(before.startedAt)
    expect(endOf(closed, 'app').outcome).toBe('Lost')
    expect(endOf(closed, 'other')).toMatchObject({ outcome: 'Failed', exit: { code: 1 } })
  })

  test('says that the end was not seen', () => {
    const closed = closeUnseen(begun(), micros(100), micros(40))
    expect(closed.findings?.at(-1)).toMatchObject({ type: 'EvidenceMissing', severity: 'Info' })
    expect(closed.summary).toContain('EvidenceMissing')
  })

  test('bounds the removal by the time until which somebody watched, and by the start', () => {
    expect(markOf(closeUnseen(begun(), micros(100), micros(40)), 'Removed')).toEqual({ earliest: 40, at: 100, latest: 100 })
    expect(markOf(closeUnseen(begun(), micros(100), micros(-40)), 'Removed')?.earliest).toBeCloseTo(0, 1)
    expect(markOf(closeUnseen(begun(), micros(100), micros(140)), 'Removed')?.earliest).toBe(100)
  })

  test('that only an agent has begun is closed too, with bounds as wide as what is known', () => {
    const closed = closeUnseen({ pod: begun().pod }, micros(100), undefined)
    expect(closed).toMatchObject({ state: 'Complete', outcome: 'Lost', cause: { type: 'Unknown' } })
    expect(markOf(closed, 'Removed')?.earliest).toBe(100 - 86_400)
    expect(podTerminationSchema.safeParse(closed).success).toBe(true)
  })

  test('stays within what a record holds', () => {
    const [mark] = begun().timeline ?? []
    const full = { ...begun(), timeline: Array.from({ length: MAX_TIMELINE }, () => mark as NonNullable<typeof mark>) }
    const closed = closeUnseen(full, micros(100), micros(40))
    expect(closed.timeline).toHaveLength(MAX_TIMELINE)
    expect(closed.timeline?.at(-1)?.mark).toBe('Removed')
  })

  test('at a time between two microseconds is one that the schema takes', () => {
    expect(podTerminationSchema.safeParse(closeUnseen(begun(), micros(100), micros(40) + 0.5)).error).toBeUndefined()
  })
})
