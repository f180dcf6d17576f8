/**
 * `node test/replay/examples.ts`: writes the real terminations that come with the package, for `gracewatch replay NAME`, out of the
 * recorded ones of the tests.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { evidenceLine } from '../../src/cli/evidence-file.ts'
import { SECOND } from '../../src/core/time.ts'
import { CLOCKS, factsByLine } from './facts.ts'
import { readFixtures } from './fixture.ts'

const FOLDER = resolve(import.meta.dirname, '../../examples')
const AFTER = 5 * SECOND

/** Name of the example -> beginning of the fixture's name. */
const EXAMPLES = {
  'prestop-overran': '03-',
  'signal-not-passed-on': '04-',
  graceful: '05-',
  sidecars: '16-',
  drain: '19-',
  finalizer: '29-',
  'behind-a-service': '30-service-endpoints-readiness-fails-on-the-signal-1',
} as const

/** Name of the file -> its one line. */
export function exampleFiles(): Map<string, string> {
  const fixtures = readFixtures()
  return new Map(
    Object.entries(EXAMPLES).map(([name, start]) => {
      const fixture = fixtures.find((one) => one.name.startsWith(start))
      if (fixture === undefined) throw new Error(`there is no fixture ${start}`)
      const facts = [...factsByLine(fixture).flat(), ...CLOCKS]
      return [`${name}.jsonl`, evidenceLine(facts, (fixture.lines.at(-1)?.arrivedAt ?? 0) + AFTER)] as const
    }),
  )
}

if (import.meta.main) {
  mkdirSync(FOLDER, { recursive: true })
  for (const [file, line] of exampleFiles()) writeFileSync(join(FOLDER, file), line)
}
