/** docs/cleanup.md against the code, both ways: reasons, fields and defaults, conditions; and the setting that the manifests switch on. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { cleanupSpecSchema } from '../../../src/api/pod-cleanup.ts'
import { KEEP_REASONS } from '../../../src/core/cleanup/sentences.ts'
import { SETTINGS } from '../../../src/settings.ts'
import { envName } from '../../../src/settings-table.ts'

const root = resolve(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const guide = read('docs/cleanup.md')

/** The cells of the rows below a header. */
function table(header: string): string[][] {
  const [, rest = ''] = guide.split(header)
  return (rest.split('\n\n')[0] ?? '')
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

describe('docs/cleanup.md', () => {
  it('has every reason for which a pod stays, and no other', () => {
    const reasons = table('| reason | means |').flatMap(([cell = '']) => cell.split(', '))
    expect(reasons.toSorted()).toEqual([...KEEP_REASONS, 'RecordRefused'].toSorted())
  })

  it('has every reason for which a pod goes', () => {
    const source = read('src/core/cleanup/types.ts')
    const [, union = ''] = /export type DeleteReason = (.*)/.exec(source) ?? []
    const reasons = [...union.matchAll(/'(\w+)'/g)].map(([, reason = '']) => reason)
    expect(reasons.length).toBeGreaterThan(4)
    expect(reasons.filter((reason) => !guide.includes(reason))).toEqual([])
  })

  it('has every field of a spec, with its default', () => {
    const defaults = cleanupSpecSchema.parse({ selector: {}, olderThan: '1h' })
    const rows = new Map(
      table('| field | means | default |').map(([field = '', , value = '']) => [field.replaceAll('`', ''), value]),
    )
    const { keep, ...fields } = cleanupSpecSchema.shape
    const expected = [...Object.keys(fields), ...Object.keys(keep.unwrap().shape).map((field) => `keep.${field}`)]
    expect([...rows.keys()].toSorted()).toEqual(expected.toSorted())
    for (const field of ['minAge', 'barePods', 'finishedJobPods', 'recordSucceeded', 'onRecordFailure', 'dryRun'] as const)
      expect([field, rows.get(field)]).toEqual([field, `\`${defaults[field]}\``])
    expect(defaults.phases).toEqual(['Succeeded', 'Failed'])
    expect(rows.get('phases')).toBe('both')
  })

  it('names settings that there are', () => {
    const names = [...guide.matchAll(/GRACEWATCH_[A-Z_]+/g)].map(([name]) => name)
    const known = Object.values(SETTINGS).map(({ flag }) => envName(flag))
    expect(names).not.toEqual([])
    expect(names.filter((name) => !known.includes(name))).toEqual([])
    const rate = SETTINGS.cleanupDeletesPerSecond
    expect(guide.replaceAll(/\s+/g, ' ')).toContain(`\`${rate.flag}\` (${rate.fallback})`)
  })
})

describe('deploy/cleanup', () => {
  it('switches on the setting by its own name', () => {
    const { spec } = parse(read('deploy/cleanup/component/switched-on.yaml'))
    expect(spec.template.spec.containers[0].env).toEqual([{ name: envName(SETTINGS.cleanup.flag), value: 'true' }])
  })
})
