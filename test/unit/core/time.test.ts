import { describe, expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { closeUnseen } from '../../../src/core/termination/close-unseen.ts'
import { formatTime, parseTime } from '../../../src/core/time.ts'

describe('times of a record', () => {
  it('have six decimals, and come back as they were', () => {
    const text = '2026-11-25T01:33:49.428737Z'
    expect(formatTime(parseTime(text) ?? 0)).toBe(text)
    expect(parseTime('2026-11-25T02:33:49.4+01:00')).toBe(parseTime('2026-11-25T01:33:49.400000Z'))
    expect(parseTime('yesterday')).toBeUndefined()
  })

  it('lie on a microsecond, also where they were carried over from another clock', () => {
    const at = parseTime('2026-11-25T01:33:49.428737Z') ?? 0
    expect(formatTime(at + 0.75)).toBe('2026-11-25T01:33:49.428738Z')
    expect(formatTime((parseTime('2026-11-25T01:33:49.999999Z') ?? 0) + 0.75)).toBe('2026-11-25T01:33:50.000000Z')
  })
})

describe('a record whose end nobody saw', () => {
  const open: PodTermination = {
    pod: { namespace: 'shop', name: 'web', uid: 'u' },
    state: 'Terminating',
    startedAt: '2026-11-25T01:33:40.000000Z',
    containers: [
      { name: 'app', role: 'Main' },
      { name: 'done', role: 'Main', outcome: 'Graceful', exit: { code: 0 } },
    ],
  }
  const goneBy = parseTime('2026-11-25T01:34:00.000000Z') ?? 0

  it('is one that the schema takes, though the high-water mark lies between two microseconds', () => {
    const closed = closeUnseen(open, goneBy, (parseTime('2026-11-25T01:33:49.428737Z') ?? 0) + 0.75)
    expect(podTerminationSchema.safeParse(closed).error).toBeUndefined()
    expect(closed.timeline?.at(-1)).toMatchObject({ mark: 'Removed', earliest: '2026-11-25T01:33:49.428737Z' })
  })

  it('is Complete and Lost, says why, and keeps what was known', () => {
    const closed = closeUnseen(open, goneBy, undefined)
    expect(closed).toMatchObject({
      state: 'Complete',
      outcome: 'Lost',
      summary: 'EvidenceMissing',
      finishedAt: formatTime(goneBy),
    })
    expect(closed.containers?.map(({ outcome }) => outcome)).toEqual(['Lost', 'Graceful'])
    expect(closed.findings?.map(({ type }) => type)).toEqual(['EvidenceMissing'])
    expect(closed.timeline?.at(-1)?.earliest).toBe(open.startedAt)
  })
})
