/** The order of a timeline where the marks' times alone do not give it. */
import { describe, expect, it } from 'vitest'
import { assemble } from '../../src/core/termination/index.ts'
import { SECOND } from '../../src/core/time.ts'
import { factsByLine } from './facts.ts'
import { readFixtures } from './fixture.ts'

describe('a hook that overran', () => {
  it('ends after the stop signal, with its container', () => {
    const fixture = readFixtures().find(({ name }) => name.startsWith('03-'))
    if (fixture === undefined) throw new Error('fixture 03 is missing')
    const record = assemble(factsByLine(fixture).flat(), (fixture.lines.at(-1)?.arrivedAt ?? 0) + SECOND)
    const order = record?.timeline?.filter(({ container }) => container === 'app').map(({ mark }) => mark)
    expect(order?.indexOf('StopSignal')).toBe(1)
    expect(order?.indexOf('PreStopFinished')).toBeGreaterThan(1)
  })
})
