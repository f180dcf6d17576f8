import { expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { CommandError } from '../../../src/cli/arguments.ts'
import { recordsFromEvidence } from '../../../src/cli/evidence-file.ts'
import { TraceVerdicts, type TraceVerdictsOptions } from '../../../src/cli/trace-verdicts.ts'
import { SECOND } from '../../../src/core/time.ts'
import { CLOCKS, factsByLine } from '../../replay/facts.ts'
import { readFixtures } from '../../replay/fixture.ts'

const evidence = ['03-', '05-'].map((start) => {
  const fixture = readFixtures().find(({ name }) => name.startsWith(start))
  if (fixture === undefined) throw new Error(`there is no fixture ${start}`)
  return [[...factsByLine(fixture).flat(), ...CLOCKS], (fixture.lines.at(-1)?.arrivedAt ?? 0) + 5 * SECOND] as const
})

function taken(options: Pick<TraceVerdictsOptions, 'count' | 'save'>, order: readonly number[]) {
  const shown: (readonly [PodTermination, boolean])[] = []
  const verdicts = new TraceVerdicts({ ...options, show: (record, again) => shown.push([record, again]) })
  for (const index of order) {
    const [facts, now] = evidence[index] ?? [[], 0]
    verdicts.take(facts, now)
  }
  const outcome = Promise.race([
    verdicts.done.then(
      () => 'enough',
      (error: unknown) => error,
    ),
    new Promise((resolve) => setImmediate(resolve, 'goes on')),
  ])
  return { shown, outcome }
}
const outcomes = (shown: ReturnType<typeof taken>['shown']) => shown.map(([{ outcome }, again]) => [outcome, again])

it('shows what it keeps, and what comes to be known later once more', async () => {
  const lines: string[] = []
  const save = { file: 'it', write: (line: string) => void lines.push(line) }
  const { shown, outcome } = taken({ save }, [0, 1, 0])
  expect(outcomes(shown)).toEqual([
    ['ForcedKill', false],
    ['Graceful', false],
    ['ForcedKill', true],
  ])
  expect(recordsFromEvidence(lines.join(''), 'it')).toEqual([shown[1]?.[0], shown[2]?.[0]])
  expect(await outcome).toBe('goes on')
})

it('has enough with as many pods as were asked for, however often it is told of one', async () => {
  expect(await taken({ count: 2 }, [0, 0]).outcome).toBe('goes on')
  const { shown, outcome } = taken({ count: 1 }, [0, 1])
  expect(await outcome).toBe('enough')
  expect(outcomes(shown)).toEqual([['ForcedKill', false]])
})

it('shows what cannot be kept, and ends with what is wrong', async () => {
  const save = {
    file: '/dev/full',
    write: () => {
      throw new Error('ENOSPC: no space left on device, write')
    },
  }
  const { shown, outcome } = taken({ count: 1, save }, [0])
  expect(outcomes(shown)).toEqual([['ForcedKill', false]])
  expect(await outcome).toEqual(new CommandError('cannot write /dev/full: ENOSPC: no space left on device, write'))
})
