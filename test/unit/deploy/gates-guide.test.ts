/** docs/gates.md against the code, both ways: the reasons that a condition can have, and the settings that the manifests switch on. */
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { SETTINGS } from '../../../src/settings.ts'
import { envName } from '../../../src/settings-table.ts'

const root = resolve(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const guide = read('docs/gates.md')

const sources = ['src/core/gates/{checks,decide,handover}.ts', 'src/controllers/gatekeeper/**/*.ts']
  .flatMap((pattern) => globSync(pattern, { cwd: root }))
  .map(read)
  .join('\n')
/** A result that is still to come is never written; that of a check that passes is told of as ChecksPassed. */
const NEVER_WRITTEN = new Set(['NotLookedAt'])
const reasonsOfCode = new Set(
  [...sources.matchAll(/(state: '(\w+)',\s*)?(?:reason: |'(?:Fail|Unknown)',\s*|verdict\('\w+', )'([A-Z]\w+)'/g)]
    .filter(([, , state, reason = '']) => state !== 'Pass' && !NEVER_WRITTEN.has(reason))
    .map(([, , , reason = '']) => reason),
)
const [, table = ''] = guide.split('| reason | with | means |')
const reasonsOfGuide = (table.split('\n\n')[0] ?? '')
  .split('\n')
  .flatMap((line) => (line.split('|')[1] ?? '').split(','))
  .map((reason) => reason.trim())
  .filter((reason) => /^[A-Z]/.test(reason))

describe('docs/gates.md', () => {
  it('has every reason that a condition can have', () => {
    expect(reasonsOfCode.size).toBeGreaterThan(20)
    expect([...reasonsOfCode].filter((reason) => !reasonsOfGuide.includes(reason))).toEqual([])
  })

  it('has no reason that no condition has', () => {
    expect(reasonsOfGuide.filter((reason) => !sources.includes(`'${reason}'`))).toEqual([])
  })
})

describe('deploy/gates', () => {
  it('switches on the setting by its own name', () => {
    const { spec } = parse(read('deploy/gates/controller/switched-on.yaml'))
    expect(spec.template.spec.containers[0].env).toEqual([{ name: envName(SETTINGS.gates.flag), value: 'true' }])
  })
})
