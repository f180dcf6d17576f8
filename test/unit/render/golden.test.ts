/**
 * The drawings, letter by letter: the expected texts stand in golden/, read and approved by a person before each commit.
 * `vitest -u` writes what changed; look at the difference.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { PodTermination } from '../../../src/api/pod-termination.ts'
import { summarise } from '../../../src/core/summary/index.ts'
import { SECOND } from '../../../src/core/time.ts'
import { type DrawOptions, draw } from '../../../src/render/draw.ts'
import { list } from '../../../src/render/list.ts'
import { drawSummary } from '../../../src/render/summary.ts'
import { displayWidth } from '../../../src/render/text.ts'
import * as records from './records.ts'

const folder = join(import.meta.dirname, 'golden')

const summaries = ['summary', 'summary-80-columns', 'summary-colour']

const drawings: [string, () => PodTermination | { record: PodTermination; now: number }, DrawOptions][] = [
  ['forced-kill', records.forcedKill, {}],
  ['forced-kill-inferred', records.forcedKillInferred, {}],
  ['forced-kill-80-columns', records.forcedKillInferred, { width: 80 }],
  ['forced-kill-wide', records.forcedKillInferred, { wide: true }],
  ['forced-kill-colour', records.forcedKillInferred, { colour: true }],
  ['graceful', records.graceful, {}],
  ['sidecars', records.sidecars, {}],
  ['rolling-update', records.rollingUpdate, {}],
  ['rolling-update-80-columns', records.rollingUpdate, { width: 80 }],
  ['terminating', records.terminating, {}],
  ['terminating-without-a-clock', () => records.terminating().record, {}],
  ['overdue-finalizer', records.overdue, {}],
  ['overdue-node-lost', records.nodeLost, {}],
  ['never-started', records.neverStarted, {}],
  ['lost', records.lost, {}],
  ['evicted', records.evicted, {}],
  ['twelve-containers', records.twelve, {}],
  ['twelve-containers-80-columns', records.twelve, { width: 80 }],
  ['clock-skew', records.skewed, {}],
  ['no-kubelet-events', records.noEvents, {}],
  ['restarted-kubelet', records.restartedKubelet, {}],
  ['begun-by-the-agent', records.begunByTheAgent, {}],
  ['killed-from-inside', records.killedFromInside, {}],
  ['long-names', records.longNames, {}],
  ['long-names-80-columns', records.longNames, { width: 80 }],
  ['narrow', records.forcedKillInferred, { width: 50 }],
]

/** toMatchFileSnapshot would write a missing file and pass. */
async function expectGolden(name: string, lines: readonly string[]) {
  const file = join(folder, `${name}.txt`)
  if (expect.getState().snapshotState.snapshotUpdateState === 'none') expect(existsSync(file), file).toBe(true)
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(file)
}

describe('draw', () => {
  it.each(drawings)('%s', async (name, make, options) => {
    const made = make()
    const [record, now] = 'record' in made ? [made.record, made.now] : [made, undefined]
    await expectGolden(name, draw(record, { ...options, ...(now === undefined ? {} : { now }) }))
  })
})

describe('list', () => {
  const all = [
    records.forcedKill(),
    { ...records.forcedKill(), summary: 'PreStopOverran,+1' },
    records.graceful(),
    records.sidecars(),
    records.rollingUpdate(),
    records.lost(),
    records.evicted(),
    records.twelve(),
    records.neverStarted(),
    records.terminating().record,
    records.overdue().record,
    records.begunByTheAgent(),
  ]
  const now = records.overdue().now + 20 * SECOND

  it.each([
    ['list', { width: 100, namespaces: true }],
    ['list-80-columns', { width: 80 }],
    ['list-wide', { namespaces: true, wide: true }],
    ['list-colour', { width: 100, namespaces: true, colour: true }],
  ])('%s', async (name, options) => {
    await expectGolden(name, list(all, { now, ...options }))
  })

  it('has no lines where there are no records', () => {
    expect(list([], { now })).toEqual([])
  })
})

describe('summary', () => {
  const all = () => [
    ...[records.forcedKill(), records.forcedKillInferred(), records.graceful(), records.sidecars(), records.rollingUpdate()],
    ...[records.lost(), records.evicted(), records.twelve(), records.neverStarted(), records.terminating().record],
  ]

  it.each([
    ['summary', { width: 100, colour: false, wide: true }],
    ['summary-80-columns', { width: 80, colour: false, wide: false }],
    ['summary-colour', { width: 100, colour: true, wide: false }],
  ])('%s', async (name, options) => {
    await expectGolden(name, drawSummary(summarise(all()), options))
  })

  it.each([40, 50, 80, 100, 200])('fits into %d columns', (width) => {
    for (const line of drawSummary(summarise(all()), { width, colour: false, wide: true }))
      expect(displayWidth(line), line).toBeLessThanOrEqual(width)
  })
})

it('has no golden file that nothing compares', () => {
  const expected = [...drawings.map(([name]) => name), 'list', 'list-80-columns', 'list-wide', 'list-colour', ...summaries]
  expect(readdirSync(folder).sort()).toEqual(expected.map((name) => `${name}.txt`).sort())
})
