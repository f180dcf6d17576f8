import { describe, expect, it } from 'vitest'
import { judge } from '../../../../src/core/doctor/judge.ts'
import type { DoctorFacts, OwnPod } from '../../../../src/core/doctor/types.ts'
import { parseTime, SECOND } from '../../../../src/core/time.ts'
import { drawChecks } from '../../../../src/render/doctor.ts'
import { displayWidth } from '../../../../src/render/text.ts'

const now = parseTime('2026-11-24T12:00:00Z') ?? 0
const pod = (name: string, namespace: string, node: string, ready = true): OwnPod => ({ name, namespace, node, ready })
const well: DoctorFacts = {
  now,
  kubernetes: 'v1.37.2',
  resources: { found: ['podterminations', 'podreadinessgates', 'podcleanups'] },
  controllers: { found: [pod('c-1', 'gracewatch-system', 'a'), pod('c-2', 'gracewatch-system', 'b')] },
  agents: { found: [pod('a-1', 'gracewatch-agent', 'a'), pod('a-2', 'gracewatch-agent', 'b')] },
  lease: { found: { holder: 'c-2_0f0e', renewedAt: now - 3 * SECOND } },
  nodes: { found: ['a', 'b'] },
  clocks: { found: [{ node: 'a', earliest: -2000, latest: 5000, measuredAt: now }] },
  skew: 0,
  denied: { found: [] },
  namespace: 'shop',
}
const checkOf = (about: string, facts: Partial<DoctorFacts>) =>
  judge({ ...well, ...facts }).find((check) => check.about === about)

it('finds nothing to say where all is well', () => {
  expect(judge(well).filter(({ health, missed }) => health !== 'Ok' || missed !== undefined)).toEqual([])
  expect(drawChecks(judge(well), { width: 100, colour: false })).toEqual([
    'ok       API server        Kubernetes v1.37.2',
    'ok       custom resources  podterminations, podreadinessgates, podcleanups',
    'ok       controller        2 of 2 Ready in gracewatch-system',
    'ok       leader            c-2, renewed 3 s ago',
    'ok       agent             Ready on 2 nodes',
    "ok       this clock        as the API server's, as near as its answers tell",
    'ok       node clocks       1 node within 1 s',
    'ok       your rights       in shop: list, show, summary; watch; trace; trace --delete; trace',
    '                           KIND/NAME; open; cleanup plan',
  ])
})

describe('what is missed', () => {
  it.each<[string, string, Partial<DoctorFacts>, string, RegExp, RegExp | undefined]>([
    [
      'no custom resource',
      'custom resources',
      { resources: { found: [] } },
      'Failed',
      /has no podterminations/,
      /gracewatch trace/,
    ],
    [
      'only records',
      'custom resources',
      { resources: { found: ['podterminations'] } },
      'Note',
      /not installed: podreadinessgates/,
      undefined,
    ],
    ['no controller', 'controller', { controllers: { found: [] } }, 'Failed', /no pod of it runs/, /^Nothing is recorded/],
    [
      'a controller that is not Ready',
      'controller',
      { controllers: { found: [pod('c-1', 'gw', 'a', false)] } },
      'Failed',
      /none of 1 is Ready in gw/,
      /kubectl logs -n gw c-1/,
    ],
    [
      'one replica of two',
      'controller',
      { controllers: { found: [pod('c-1', 'gw', 'a'), pod('c-2', 'gw', 'b', false)] } },
      'Warning',
      /1 of 2 Ready/,
      /nobody to take over/,
    ],
    ['no leader', 'leader', { lease: { found: undefined } }, 'Failed', /nobody holds the Lease/, /until a replica leads/],
    [
      'a leader that no longer renews',
      'leader',
      { lease: { found: { holder: 'c-2_0f0e', renewedAt: now - 120 * SECOND } } },
      'Failed',
      /c-2, renewed 120 s ago/,
      /until a replica leads/,
    ],
    ['no agent', 'agent', { agents: { found: [] } }, 'Note', /not installed/, /inferred .* agent\.enabled=true/],
    [
      'a node without an agent',
      'agent',
      { agents: { found: [pod('a-1', 'gw', 'a'), pod('a-2', 'gw', 'b', false)] } },
      'Warning',
      /Ready on 1 of 2 nodes/,
      /^On b signals are inferred/,
    ],
    [
      'a clock that is off',
      'node clocks',
      { clocks: { found: [{ node: 'a', earliest: 4_900_000, latest: 5_100_000, measuredAt: now }] } },
      'Warning',
      /^a 5\.0 s behind$/,
      /NTP/,
    ],
    [
      'a clock that was off and is set',
      'node clocks',
      {
        clocks: {
          found: [
            { node: 'a', earliest: 0, latest: 1000, measuredAt: now },
            { node: 'a', earliest: 4_900_000, latest: 5_100_000, measuredAt: now - SECOND },
          ],
        },
      },
      'Ok',
      /1 node within 1 s/,
      undefined,
    ],
    [
      'a laptop ahead',
      'this clock',
      { skew: -4 * SECOND },
      'Note',
      /4\.0 s ahead of the API server's/,
      /allows for the difference/,
    ],
  ])('%s', (_, about, facts, health, text, missed) => {
    const check = checkOf(about, facts)
    expect(check?.health).toBe(health)
    expect(check?.text).toMatch(text)
    if (missed === undefined) expect(check?.missed).toBeUndefined()
    else expect(check?.missed).toMatch(missed)
  })

  it('names each command that lacks a right, and what it does without', () => {
    const denied = {
      found: [
        { verb: 'watch', group: '', resource: 'events' } as const,
        { verb: 'delete', group: '', resource: 'pods' } as const,
        { verb: 'get', group: 'apps', resource: 'deployments' } as const,
        { verb: 'get', group: '', resource: 'services' } as const,
      ],
    }
    const rights = judge({ ...well, denied }).filter(({ about }) => about === 'your rights')
    expect(rights.map(({ text }) => text)).toEqual([
      'in shop: list, show, summary; watch; open; cleanup plan',
      'in shop: trace may not watch events',
      'in shop: trace --delete may not delete pods',
      'in shop: trace KIND/NAME may not get deployments.apps, get services',
    ])
    expect(rights.map(({ missed }) => missed)).toEqual([
      undefined,
      'A trace does not tell when hooks began and stop signals were sent: their bounds get wide.',
      'A trace can follow a termination, and cannot start one.',
      'A trace of what such an object selects is refused: choose its pods with -l.',
    ])
  })

  it('is said to be unknown where one may not look, and fits into any width', () => {
    const unknown = { unknown: 'not to be seen: GET /api/v1/pods: pods is forbidden' }
    const checks = judge({
      ...well,
      controllers: unknown,
      agents: unknown,
      nodes: unknown,
      lease: unknown,
      clocks: unknown,
      denied: unknown,
    })
    expect(checks.filter(({ health }) => health === 'Unknown').map(({ about }) => about)).toEqual([
      'controller',
      'agent',
      'node clocks',
      'your rights',
    ])
    for (const width of [50, 80, 100])
      for (const line of drawChecks(checks, { width, colour: false })) expect(displayWidth(line), line).toBeLessThanOrEqual(width)
  })
})
