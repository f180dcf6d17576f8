import { expect, it } from 'vitest'
import { cut, moment, wholeSeconds } from '../../../../src/core/gates/text.ts'
import { parseTime } from '../../../../src/core/time.ts'

it('cuts a message without a half character at its end, which the API server would give back as another', () => {
  expect(cut('as it is', 8)).toBe('as it is')
  expect(cut('too long', 7)).toBe('too lo…')
  for (const max of [3, 4, 5, 6]) {
    const text = cut('🚦🚦🚦🚦', max)
    expect(text.length).toBeLessThanOrEqual(max)
    expect(text.isWellFormed()).toBe(true)
  }
})

it('writes a time with its date, and for the API in whole seconds', () => {
  const at = parseTime('2026-11-26T22:00:01.999999Z') ?? 0
  expect(moment(at)).toBe('2026-11-26 22:00:01 UTC')
  expect(wholeSeconds(at)).toBe('2026-11-26T22:00:01Z')
})
