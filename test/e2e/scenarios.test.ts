/**
 * The scenarios on the real cluster, each a test of its own: those that disturb nothing side by side, then the others one by one,
 * then the figures of all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attachCluster, ensureCluster, terminalProgress } from '../cluster/index.ts'
import { install } from '../cluster/install.ts'
import { figuresOf, table } from './figures.ts'
import { writePage, writeReport } from './report.ts'
import { runScenario, type ScenarioResult } from './runner.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios/index.ts'
import { World } from './world.ts'

/** `external`: a controller that somebody else keeps running against the cluster that is up, for work on the product. */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const MEMORY_LIMIT = 110 * 2 ** 20
const MINUTES = 60_000

let world: World
let end: () => Promise<void> = async () => undefined
const results: ScenarioResult[] = []

beforeAll(async () => {
  const progress = terminalProgress(process.stderr)
  const cluster = EXTERNAL
    ? await attachCluster({ shape: 'node' })
    : await ensureCluster({ shape: 'node', progress, command: 'the end-to-end tests' })
  end = () => cluster.close()
  if (!EXTERNAL) await install(cluster, progress)
  world = await World.start(cluster)
  await world.meetController()
}, 15 * MINUTES)

afterAll(async () => {
  try {
    if (results.length > 0) {
      const memory = world.controller?.memory() ?? []
      const figures = table(figuresOf(results, memory))
      console.log(`\n${figures}\n\n${writeReport(results)}`)
      const whole = results.length === SCENARIOS.length && results.every(({ problems }) => problems.length === 0)
      if (whole && process.env.GRACEWATCH_E2E_DOCS === 'write') writePage(results, figures, world.cluster.version)
    }
  } finally {
    try {
      await world?.stop()
    } finally {
      await end()
    }
  }
}, 5 * MINUTES)

async function play(scenario: Scenario): Promise<void> {
  const result = await runScenario(world, scenario)
  results.push(result)
  expect(result.problems).toEqual([])
}

const name = ({ number, title }: Scenario) => `${number}. ${title}`

describe.concurrent('side by side', () => {
  for (const scenario of SCENARIOS.filter(({ alone }) => !alone)) it(name(scenario), () => play(scenario))
})

describe('alone', () => {
  for (const scenario of SCENARIOS.filter(({ alone }) => alone)) it(name(scenario), () => play(scenario))
})

describe('figures', () => {
  it('every mark holds the truth', () => {
    const { marks, holding } = figuresOf(results, [])
    expect(marks).toBeGreaterThan(0)
    expect(holding).toBe(marks)
  })

  it('the controller needs at most 110 MiB', () => {
    const resident = (world.controller?.memory() ?? []).map((it) => it.resident)
    expect(resident.length).toBeGreaterThan(0)
    expect(Math.max(...resident)).toBeLessThanOrEqual(MEMORY_LIMIT)
  })

  it('records are Complete within 1 s of the removal', () => {
    expect(figuresOf(results, []).delay.p99).toBeLessThanOrEqual(1_000_000)
  })
})
