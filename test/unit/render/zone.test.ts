import { expect, it } from 'vitest'
import { parseTime } from '../../../src/core/time.ts'
import { wallClock } from '../../../src/render/units.ts'
import { wallTime } from '../../../src/render/zone.ts'

const micros = (text: string) => parseTime(text) ?? Number.NaN

it.each([
  ['2026-11-24T21:31:01.250000Z', 'UTC', '2026-11-24', '21:31:01.250000', 'UTC'],
  ['2026-11-24T21:31:01.250000Z', 'Europe/Berlin', '2026-11-24', '22:31:01.250000', '+01:00'],
  // The offset of that day, not of today.
  ['2026-07-24T21:31:01.250000Z', 'Europe/Berlin', '2026-07-24', '23:31:01.250000', '+02:00'],
  ['2026-11-24T21:31:01.250000Z', 'Europe/London', '2026-11-24', '21:31:01.250000', '+00:00'],
  ['2026-11-24T21:31:01.250000Z', 'Asia/Kolkata', '2026-11-25', '03:01:01.250000', '+05:30'],
  ['2026-11-25T02:31:01.250000Z', 'America/St_Johns', '2026-11-24', '23:01:01.250000', '-03:30'],
])('%s in %s', (at, zone, date, time, offset) => {
  expect(wallTime(micros(at), zone)).toEqual({ date, time, offset })
})

it('writes tenths where they are sure', () => {
  expect(wallClock(micros('2026-11-24T21:31:01.26Z'), true, 'Europe/Berlin')).toBe('2026-11-24 22:31:01.3 +01:00')
  expect(wallClock(micros('2026-11-24T21:31:01.26Z'), false)).toBe('2026-11-24 21:31:01 UTC')
})
