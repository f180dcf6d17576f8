import { expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { labelSelectorOf, type RecordFilter, selects } from '../../../src/core/record-filter.ts'
import { recordObject } from '../../../src/core/record-object.ts'
import { parseTime } from '../../../src/core/time.ts'
import { at, forcedKill, graceful, overdue, terminating } from '../render/records.ts'

const time = (seconds: number) => parseTime(at(seconds)) ?? 0
const begun: PodTermination = { pod: { namespace: 'shop', name: 'web', uid: '1' } }

it.each<[string, RecordFilter, PodTermination, boolean]>([
  ['everything where nothing is asked for', {}, begun, true],
  ['one of the outcomes', { outcomes: ['Lost', 'ForcedKill'] }, forcedKill(), true],
  ['another outcome', { outcomes: ['Lost'] }, forcedKill(), false],
  ['an outcome of what has none yet', { outcomes: ['ForcedKill'] }, begun, false],
  ['what is not over by its state', { outcomes: ['Overdue', 'Lost'] }, overdue().record, true],
  ['what is overdue by its outcome', { outcomes: ['Graceful'] }, overdue().record, true],
  ['another state', { outcomes: ['Overdue'] }, terminating().record, false],
  ['its cause', { causes: ['Deleted'] }, forcedKill(), true],
  ['another cause', { causes: ['Evicted'] }, forcedKill(), false],
  ['one of its findings', { findings: ['ClockSkew', 'PreStopOverran'] }, forcedKill(), true],
  ['a finding it has not', { findings: ['ClockSkew'] }, forcedKill(), false],
  ['its workload, whatever the kind', { workload: { name: 'web' } }, forcedKill(), true],
  ['its workload, the kind in small letters', { workload: { kind: 'deployment', name: 'web' } }, forcedKill(), true],
  ['a workload of another kind', { workload: { kind: 'StatefulSet', name: 'web' } }, forcedKill(), false],
  ['another workload', { workload: { name: 'we' } }, forcedKill(), false],
  ['all of several conditions', { outcomes: ['ForcedKill'], causes: ['Evicted'] }, forcedKill(), false],
  ['what was over just then', { since: time(17.4) }, forcedKill(), true],
  ['what was over before', { since: time(17.5) }, forcedKill(), false],
  ['what began before and is not over', { since: time(1e6) }, terminating().record, true],
])('%s', (_, filter, record, expected) => {
  expect(selects(filter, record)).toBe(expected)
})

it('asks the API server for no less than it selects', () => {
  const filter: RecordFilter = { outcomes: ['ForcedKill'], causes: ['Deleted'], workload: { name: 'web' } }
  expect(labelSelectorOf(filter)).toBe(
    'gracewatch.dev/outcome in (ForcedKill),gracewatch.dev/cause in (Deleted),gracewatch.dev/workload=web',
  )
  expect(labelSelectorOf({ findings: ['ClockSkew'], since: 1 })).toBeUndefined()
  expect(labelSelectorOf({ outcomes: ['Overdue'] })).toBe('gracewatch.dev/state in (Overdue)')
  expect(labelSelectorOf({ outcomes: ['Overdue', 'Graceful'] })).toBeUndefined()
  const long = 'w'.repeat(100)
  const record = { ...graceful(), pod: { ...graceful().pod, workload: { kind: 'Deployment', name: long } } }
  expect(labelSelectorOf({ workload: { name: long } })).toBe(
    `gracewatch.dev/workload=${recordObject(record).metadata.labels['gracewatch.dev/workload']}`,
  )
})
