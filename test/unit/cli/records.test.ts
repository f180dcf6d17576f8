import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { API_VERSION } from '../../../src/api/pod-termination.ts'
import { CommandError } from '../../../src/cli/arguments.ts'
import { printed, recordsIn } from '../../../src/cli/records.ts'
import { forcedKill, graceful } from '../render/records.ts'

const stored = (record: object) => ({
  apiVersion: API_VERSION,
  kind: 'PodTermination',
  metadata: { name: 'web.84b61cdb', namespace: 'shop', uid: '1', managedFields: [{ manager: 'gracewatch-controller' }] },
  ...record,
})

describe('recordsIn', () => {
  it('reads one object, several documents, and a List', () => {
    const [one, two] = [stored(forcedKill()), stored(graceful())]
    expect(recordsIn(stringify(one), 'a.yaml')).toEqual([forcedKill()])
    expect(recordsIn(JSON.stringify(one), 'a.json')).toEqual([forcedKill()])
    expect(recordsIn(`${stringify(one)}---\n${stringify(two)}`, 'a.yaml')).toEqual([forcedKill(), graceful()])
    expect(recordsIn(stringify({ apiVersion: 'v1', kind: 'List', items: [one, two] }), 'a.yaml')).toEqual([
      forcedKill(),
      graceful(),
    ])
  })

  it('reads a bare record, as the core makes it', () => {
    expect(recordsIn(stringify(forcedKill()), 'a.yaml')).toEqual([forcedKill()])
  })

  it.each([
    ['', /^a\.yaml holds no PodTermination$/],
    ['{ kind: [', /^a\.yaml is not YAML: .+ at line 1/],
    ['kind: Pod\n', /^a\.yaml is a Pod, not a PodTermination$/],
    ['hello\n', /^a\.yaml is no PodTermination that this version knows: the object: /],
    ['kind: PodTermination\nstate: Complete\n', /: pod: /],
    [stringify({ ...forcedKill(), outcome: 'Exploded' }), /that this version knows: outcome: /],
    [stringify({ ...forcedKill(), timeline: [{ mark: 'Kill' }] }), /timeline\.0\.at: .*; and 3 more$/],
    [stringify({ items: [stored(forcedKill()), { kind: 'Pod' }] }), /^a\.yaml, object 2, is a Pod/],
  ])('says in one line what is wrong with %j', (text, message) => {
    const read = () => recordsIn(text, 'a.yaml')
    expect(read).toThrow(CommandError)
    expect(read).toThrow(message)
  })
})

describe('printed', () => {
  it.each(['yaml', 'json'] as const)('comes back as it went out, as %s', (format) => {
    const text = printed(stored(forcedKill()), format)
    expect(recordsIn(text, 'it')).toEqual([forcedKill()])
    expect(text).toMatch(
      format === 'yaml' ? /^apiVersion: gracewatch.dev\/v1alpha1\nkind: PodTermination\nmetadata:\n/ : /^\{\n {2}"apiVersion"/,
    )
    expect(text).not.toMatch(/managedFields/)
  })
})
