/** What a trace saves of a real termination gives the same record again, and says nothing that it must not. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { evidenceLine, recordsFromEvidence } from '../../src/cli/evidence-file.ts'
import type { Fact } from '../../src/core/evidence.ts'
import { assemble } from '../../src/core/termination/index.ts'
import { SECOND } from '../../src/core/time.ts'
import { exampleFiles } from './examples.ts'
import { CLOCKS, factsByLine } from './facts.ts'
import { readFixtures } from './fixture.ts'

const AFTER = 5 * SECOND

it('the examples of the package are what the recorded terminations give', () => {
  const folder = resolve(import.meta.dirname, '../../examples')
  const files = exampleFiles()
  expect(readdirSync(folder).sort()).toEqual([...files.keys()].sort())
  // They stay readable when the version goes on.
  const parsed = (line: string) => ({ ...JSON.parse(line), version: '' })
  for (const [file, line] of files) expect(parsed(readFileSync(join(folder, file), 'utf8')), file).toEqual(parsed(line))
})

describe.each(readFixtures().map((fixture) => [fixture.name, fixture] as const))('%s', (_, fixture) => {
  const facts = [...factsByLine(fixture).flat(), ...CLOCKS]
  const now = (fixture.lines.at(-1)?.arrivedAt ?? 0) + AFTER

  it('comes back as it was judged', () => {
    const record = assemble(facts, now)
    expect(recordsFromEvidence(evidenceLine(facts, now), 'it')).toEqual([record])
  })

  it('keeps no words of the containers', () => {
    const secret = 'password=hunter2'
    const spoken = facts.map((fact): Fact => {
      if (fact.type === 'Event') {
        const { event } = fact
        return event.reason === 'Killing' ? fact : { ...fact, event: { ...event, message: `${event.message} ${secret}` } }
      }
      if (fact.type !== 'Pod') return fact
      const statuses = fact.pod.statuses.map((status) => ({
        ...status,
        ...(status.terminated === undefined ? {} : { terminated: { ...status.terminated, message: secret } }),
        ...(status.lastTerminated === undefined ? {} : { lastTerminated: { ...status.lastTerminated, message: secret } }),
      }))
      return { ...fact, pod: { ...fact.pod, statuses } }
    })
    const line = evidenceLine(spoken, now)
    expect(line).not.toContain(secret)
    expect(recordsFromEvidence(line, 'it')).toEqual([assemble(facts, now)])
  })
})
