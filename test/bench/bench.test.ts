/** The bench in small. Of its figures only what no machine can change is asserted: times and sizes are told. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { attachCluster, type Cluster, ensureCluster, silentProgress } from '../cluster/index.ts'
import { planOf, type Report, runBench } from './bench.ts'
import { PROGRAMS } from './memory.ts'
import { plotOf } from './plot.ts'
import { textOf } from './print.ts'

const PODS = 300
const WITHIN_MS = 900_000

let cluster: Cluster
let close = async () => {}
let report: Report

beforeAll(async () => {
  cluster = await attachCluster({ shape: 'control-plane' }).catch(async () => {
    const own = await ensureCluster({ shape: 'control-plane' })
    close = () => own.close()
    return own
  })
  // The cleanup has its own test in the suite apiserver, and the agent in the suite of its name.
  report = await runBench(cluster, { ...planOf(PODS), cleanupPods: 0, signalsPerSecond: 0 }, silentProgress)
  console.log(textOf(report))
}, WITHIN_MS)

afterAll(() => close(), WITHIN_MS)

it('every termination has exactly one record that is Complete, and no other pod has one', () => {
  const { ended, recorded, surplus, burst, steady } = report.throughput
  expect(ended).toBe(burst.terminations + steady.reduce((sum, { terminations }) => sum + terminations, 0))
  expect({ recorded, surplus }).toEqual({ recorded: ended, surplus: 0 })
  expect(report.ratios.recorded).toBe(1)
})

it('no record of a quick termination was written more than twice', () => {
  // Once, as a rule: where the watch lags behind by a second or two the controller sees it go on for longer than it did.
  const { burst, steady } = report.throughput
  for (const { short, shortWrites } of [burst, ...steady]) {
    expect(shortWrites).toBeGreaterThanOrEqual(short)
    expect(shortWrites).toBeLessThanOrEqual(2 * short)
  }
})

it('the informers and the controller hold the same pods, of a usual size', () => {
  expect(report.memory.map(({ pods }) => pods)).toEqual([0, PODS / 2, PODS])
  expect(report.podJsonBytes).toBeGreaterThan(6 * 1024)
  expect(report.podJsonBytes).toBeLessThan(10 * 1024)
})

it('each ratio is a number, or the report says why there is none', () => {
  for (const [name, value] of Object.entries(report.ratios)) {
    const reason = (report.notMeasured as Readonly<Record<string, string>>)[name] // by the name of any ratio
    if (value === null) expect(reason).toMatch(/\w/)
    else expect([Number.isFinite(value), reason]).toEqual([true, undefined])
  }
  expect(Object.keys(report.notMeasured).sort()).toEqual(['agentCpuToBpftrace', 'cleanupToPodgc'])
  expect(JSON.parse(JSON.stringify(report))).toEqual(report)
})

it('the plot has a line for each program in each chart, with a point for each size', () => {
  const plot = plotOf(report.memory)
  const lines = [...plot.matchAll(/points="([^"]*)"/g)].map(([, points = '']) => points.split(' '))
  expect(lines).toHaveLength(2 * PROGRAMS.length)
  for (const points of lines) expect(points).toHaveLength(report.memory.length)
  expect(plot).not.toContain('NaN')
})
