/** Which records a pass of the retention deletes from a real API server, by several rules. */
import { describe, expect, it } from 'vitest'
import { Retention, type RetentionRules } from '../../../src/controllers/recorder/retention.ts'
import { createRecordClient } from '../../../src/kube/apply.ts'
import { inGroup } from '../connect.ts'
import { type Stage, useStage } from './stage.ts'

const host = useStage('retention')
const HOUR_MS = 3_600_000
const NONE: RetentionRules = { gracefulMs: 1000 * HOUR_MS, abnormalMs: 1000 * HOUR_MS, perNamespace: 1000, total: 1000 }
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

interface Seed {
  readonly name: string
  readonly outcome?: string
  readonly warning?: string
  readonly state?: string
}

const graceful = (name: string): Seed => ({ name, outcome: 'Graceful', state: 'Complete' })
const killed = (name: string): Seed => ({ name, outcome: 'ForcedKill', state: 'Complete' })
const open = (name: string): Seed => ({ name, state: 'Overdue' })

/** Makes the records, runs one pass that long later, and names what is left. */
async function pass(
  stage: Stage,
  label: string,
  seeds: Readonly<Record<string, readonly Seed[]>>,
  rules: Partial<RetentionRules>,
  laterMs = 0,
): Promise<{ left: Record<string, string[]>; deleted: number }> {
  const { group, records: watch } = await stage.crd(label)
  const http = inGroup(stage.bed.http, group)
  const records = createRecordClient({ http })
  const namespaces = await Promise.all(
    Object.keys(seeds).map(async (key) => [key, await stage.namespace(`${label}-${key}`)] as const),
  )
  for (const [key, namespace] of namespaces) {
    for (const { name, outcome, warning, state } of seeds[key] ?? []) {
      const labels = {
        ...(outcome === undefined ? {} : { 'gracewatch.dev/outcome': outcome }),
        ...(warning === undefined ? {} : { 'gracewatch.dev/warning': warning }),
        ...(state === undefined ? {} : { 'gracewatch.dev/state': state }),
      }
      const written = await records.apply({ metadata: { namespace, name, labels }, pod: { namespace, name, uid: `uid-${name}` } })
      expect(written.result).toBe('Written')
    }
  }
  const retention = new Retention({
    http,
    records,
    rules: { ...NONE, ...rules },
    deletesPerSecond: 1000,
    log: quiet,
    nowMs: () => Date.now() + laterMs,
  })
  const deleted = await retention.pass(() => true)
  const left: Record<string, string[]> = {}
  for (const [key, namespace] of namespaces) {
    left[key] = []
    for await (const { metadata } of records.list({ namespace })) left[key]?.push(metadata.name)
  }
  await watch.close()
  return { left, deleted }
}

describe('one pass of the retention', () => {
  it.concurrent('deletes graceful records after their time, those with a Warning or a bad outcome after theirs', async () => {
    const seeds = {
      a: [
        graceful('good'),
        { ...graceful('warned'), warning: 'PreStopFailed' },
        killed('killed'),
        open('open'),
        { name: 'begun' },
      ],
    }
    const ages = { gracefulMs: HOUR_MS, abnormalMs: 24 * HOUR_MS }
    const soon = await pass(host.stage, 'soon', seeds, ages, 2 * HOUR_MS)
    expect(soon).toEqual({ left: { a: ['begun', 'killed', 'open', 'warned'] }, deleted: 1 })
  })

  it.concurrent('deletes all but the open ones after the longest time', async () => {
    const seeds = { a: [graceful('good'), killed('killed'), open('open'), { name: 'begun' }] }
    const late = await pass(host.stage, 'late', seeds, { gracefulMs: HOUR_MS, abnormalMs: 24 * HOUR_MS }, 25 * HOUR_MS)
    expect(late).toEqual({ left: { a: ['open'] }, deleted: 3 })
  })

  it.concurrent('keeps so many in a namespace, graceful ones going first, and leaves the others alone', async () => {
    const seeds = {
      a: [killed('k1'), killed('k2'), graceful('g1'), graceful('g2'), open('o1')],
      b: [graceful('g3'), graceful('g4')],
    }
    const { left } = await pass(host.stage, 'each', seeds, { perNamespace: 3 })
    expect(left).toEqual({ a: ['k1', 'k2', 'o1'], b: ['g3', 'g4'] })
  })

  it.concurrent('keeps so many in the cluster', async () => {
    const seeds = { a: [killed('k1'), graceful('g1')], b: [killed('k2'), graceful('g2'), open('o1'), open('o2')] }
    const { left } = await pass(host.stage, 'total', seeds, { total: 3 })
    expect(left.b).toEqual(expect.arrayContaining(['o1', 'o2']))
    expect([...(left.a ?? []), ...(left.b ?? [])]).toHaveLength(3)
    expect([...(left.a ?? []), ...(left.b ?? [])].some((name) => name.startsWith('g'))).toBe(false)
  })
})
