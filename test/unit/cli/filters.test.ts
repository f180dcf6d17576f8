import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../src/cli/arguments.ts'
import { chosenBy, type FilterFlags } from '../../../src/cli/filters.ts'
import { SECOND } from '../../../src/core/time.ts'

const NOW = 1_000_000 * SECOND

describe('chosenBy', () => {
  it.each<[FilterFlags, object]>([
    [{}, {}],
    [{ outcome: 'forcedkill,OOMKilled' }, { outcomes: ['ForcedKill', 'OOMKilled'] }],
    [{ outcome: 'overdue' }, { outcomes: ['Overdue'] }],
    [{ cause: 'Evicted' }, { causes: ['Evicted'] }],
    [{ finding: 'PreStopOverran' }, { findings: ['PreStopOverran'] }],
    [{ workload: 'web' }, { workload: { name: 'web' } }],
    [{ workload: 'deploy/web' }, { workload: { kind: 'Deployment', name: 'web' } }],
    [{ workload: 'deployments.apps/web' }, { workload: { kind: 'deployment', name: 'web' } }],
    [{ workload: 'Rollout/web' }, { workload: { kind: 'rollout', name: 'web' } }],
    [{ since: '90m' }, { since: NOW - 5400 * SECOND }],
    [{ since: '7d' }, { since: NOW - 604_800 * SECOND }],
  ])('%j', (flags, filter) => {
    expect(chosenBy(flags).filterAt(NOW)).toEqual(filter)
    expect(chosenBy(flags).all).toBe(Object.keys(flags).length === 0)
  })

  it.each<[FilterFlags, string]>([
    [{ outcome: 'ForceKill' }, '--outcome ForceKill: did you mean ForcedKill?'],
    [{ outcome: 'ForcedKill,' }, '--outcome : choose from ForcedKill, OOMKilled, '],
    [{ finding: 'PreStopOverun' }, '--finding PreStopOverun: did you mean PreStopOverran?'],
    [{ since: 'yesterday' }, '--since yesterday: write a duration as 30m, 12h or 7d'],
    [{ workload: 'deploy/' }, '--workload deploy/: write NAME or KIND/NAME, as deploy/web'],
    [{ workload: 'a/b/c' }, '--workload a/b/c: write NAME or KIND/NAME, as deploy/web'],
  ])('%j: %s', (flags, message) => {
    expect(() => chosenBy(flags)).toThrow(UsageError)
    expect(() => chosenBy(flags)).toThrow(message)
  })
})
