import { describe, expect, it } from 'vitest'
import { expired, type RetentionRules, type StoredRecord } from '../../../src/controllers/recorder/retention.ts'

const NOW = Date.parse('2026-11-24T12:00:00Z')
const HOUR = 3_600_000
const RULES: RetentionRules = { gracefulMs: HOUR, abnormalMs: 168 * HOUR, perNamespace: 1000, total: 20_000 }

let count = 0
function record(hours: number, more: Partial<StoredRecord> = {}): StoredRecord {
  count++
  return {
    namespace: 'shop',
    name: `r${count}`,
    uid: `u${count}`,
    createdAtMs: NOW - hours * HOUR,
    abnormal: false,
    open: false,
    ...more,
  }
}
const names = (records: readonly StoredRecord[]) => records.map(({ name }) => name)

describe('records that have to go', () => {
  it('are graceful ones past their hour, and others past their week', () => {
    const [young, old] = [record(0.9), record(1.1)]
    const [bad, ancient] = [record(100, { abnormal: true }), record(169, { abnormal: true })]
    expect(names(expired([young, old, bad, ancient], RULES, NOW))).toEqual([old.name, ancient.name])
  })

  it('are never of a termination that still runs, and those count towards the limits', () => {
    const open = record(1000, { open: true, abnormal: true })
    const settled = record(0.5)
    expect(expired([open], RULES, NOW)).toEqual([])
    expect(names(expired([open, settled], { ...RULES, perNamespace: 1 }, NOW))).toEqual([settled.name])
  })

  it('past the count of a namespace are the oldest graceful ones before any abnormal one, and none of another namespace', () => {
    const graceful = [record(0.3), record(0.2), record(0.1)]
    const abnormal = [record(20, { abnormal: true }), record(10, { abnormal: true })]
    const other = record(0.9, { namespace: 'other' })
    const all = [...abnormal, ...graceful, other]
    expect(names(expired(all, { ...RULES, perNamespace: 3 }, NOW))).toEqual(names(graceful.slice(0, 2)))
    expect(names(expired(all, { ...RULES, perNamespace: 1 }, NOW))).toEqual(names([...graceful, abnormal[0] as StoredRecord]))
  })

  it('past the count of the cluster are the oldest graceful ones of any namespace', () => {
    const all = [record(0.5), record(0.9, { namespace: 'other' }), record(0.1), record(30, { abnormal: true })]
    expect(names(expired(all, { ...RULES, total: 2 }, NOW))).toEqual(names([all[1] as StoredRecord, all[0] as StoredRecord]))
  })

  it('are the same in whatever order the records are listed', () => {
    const all = Array.from({ length: 30 }, (_, index) =>
      record(index / 10, { abnormal: index % 3 === 0, namespace: `n${index % 4}` }),
    )
    const rules = { ...RULES, perNamespace: 4, total: 12 }
    expect(names(expired(all.toReversed(), rules, NOW))).toEqual(names(expired(all, rules, NOW)))
    expect(all.length - expired(all, rules, NOW).length).toBe(12)
  })
})
