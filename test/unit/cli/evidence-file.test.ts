import { expect, it } from 'vitest'
import { CommandError } from '../../../src/cli/arguments.ts'
import { recordsFromEvidence } from '../../../src/cli/evidence-file.ts'

const line = (facts: unknown, rest: object = {}) =>
  JSON.stringify({ format: 'gracewatch.dev/evidence/v1', version: '0.1.0', now: 1, facts, ...rest })

it.each([
  ['', /^a\.jsonl holds no evidence: gracewatch trace --save FILE writes it$/],
  ['{"format"', /^a\.jsonl, line 1, is not JSON: /],
  ['\n\nkind: PodTermination', /^a\.jsonl, line 3, is not JSON: /],
  ['{}', /^a\.jsonl, line 1, is no evidence that this version reads: format: /],
  [line([{ type: 'Gap' }], { format: 'gracewatch.dev/evidence/v2' }), /is no evidence that this version reads: format: /],
  [line([]), /is no evidence that this version reads: facts: /],
  [line([{ type: 'Rumour' }]), /is no evidence that this version reads: facts\.0\.type: /],
  [line([{ type: 'Gap' }]), /^a\.jsonl, line 1, tells of no termination$/],
  [line([{ type: 'Pod' }]), /^a\.jsonl, line 1, has facts that cannot be read: /],
])('says in one line what is wrong with %j', (text, message) => {
  const read = () => recordsFromEvidence(text, 'a.jsonl')
  expect(read).toThrow(CommandError)
  expect(read).toThrow(message)
})
