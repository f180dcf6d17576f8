/** The picture in the documentation is what `gracewatch show -o svg` draws of a real termination. `vitest -u` writes it anew: look at it. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { podTerminationSchema } from '../../../src/api/pod-termination.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { SECOND } from '../../../src/core/time.ts'
import { drawSvg } from '../../../src/render/svg.ts'
import { CLOCKS, factsByLine } from '../../replay/facts.ts'
import { readFixtures } from '../../replay/fixture.ts'

it('docs/images/forced-kill.svg is current', async () => {
  const fixture = readFixtures().find(({ name }) => name.startsWith('03-'))
  if (fixture === undefined) throw new Error('the fixture is gone')
  const workload = { type: 'Workload', workload: { kind: 'Pod', name: fixture.truth.pod.name } } as const
  const facts = [...factsByLine(fixture).flat(), ...CLOCKS, workload]
  const record = podTerminationSchema.parse(assemble(facts, (fixture.lines.at(-1)?.arrivedAt ?? 0) + 5 * SECOND))
  expect(record.outcome).toBe('ForcedKill')
  const file = join(resolve(import.meta.dirname, '../../..'), 'docs/images/forced-kill.svg')
  // toMatchFileSnapshot would write a missing file and pass.
  if (expect.getState().snapshotState.snapshotUpdateState === 'none') expect(existsSync(file)).toBe(true)
  await expect(`${drawSvg(record)}\n`).toMatchFileSnapshot(file)
})
