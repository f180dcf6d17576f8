/**
 * The scenarios on the real cluster, once without the agent and once with it, each a test of its own: those that disturb nothing side by
 * side, then the others one by one, then the figures of all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attachCluster, ensureCluster, terminalProgress } from '../cluster/index.ts'
import { install } from '../cluster/install.ts'
import { FARTHEST_MEASURED, figuresOf, table } from './figures.ts'
import { WIDEST_MEASURED } from './measured.ts'
import { writePage, writeReport } from './report.ts'
import { runScenario, type ScenarioResult } from './runner.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios/index.ts'
import { World } from './world.ts'

/** `external`: what somebody else keeps installed on the cluster that is up, for work on the product; choose the half with -t. */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const MEMORY_LIMIT = 110 * 2 ** 20
const AGENT_MEMORY_LIMIT = 70 * 2 ** 20
const MINUTES = 60_000

let world: World
let end: () => Promise<void> = async () => undefined
const results: ScenarioResult[] = []
const figures = new Map<boolean, string>()
const progress = terminalProgress(process.stderr)

beforeAll(async () => {
  const cluster = EXTERNAL
    ? await attachCluster({ shape: 'node' })
    : await ensureCluster({ shape: 'node', progress, command: 'the end-to-end tests' })
  end = () => cluster.close()
  world = await World.start(cluster)
}, 15 * MINUTES)

afterAll(async () => {
  try {
    if (results.length > 0) {
      console.log(`\n${writeReport(results)}`)
      const whole = [false, true].every((agent) => played(agent).length === scenariosOf(agent).length)
      const right = results.every(({ problems }) => problems.length === 0)
      if (whole && right && process.env.GRACEWATCH_E2E_DOCS === 'write') writePage(results, figures, world.cluster.version)
    }
  } finally {
    try {
      await world?.stop()
    } finally {
      await end()
    }
  }
}, 5 * MINUTES)

const scenariosOf = (agent: boolean) => SCENARIOS.filter(({ agentOnly }) => agent || !agentOnly)
const played = (agent: boolean) => results.filter((result) => result.agent === agent)

async function play(scenario: Scenario): Promise<void> {
  const result = await runScenario(world, scenario)
  results.push(result)
  expect(result.problems).toEqual([])
}

const name = ({ number, title }: Scenario) => `${number}. ${title}`

describe.each([
  { title: 'without the agent', agent: false },
  { title: 'with the agent', agent: true },
])('$title', ({ title, agent }) => {
  beforeAll(async () => {
    if (!EXTERNAL) await install(world.cluster, progress, { agent })
    await world.meetProduct({ agent })
  }, 15 * MINUTES)

  afterAll(async () => {
    if (played(agent).length === 0) return
    await world.removeNamespaces()
    const text = table(figuresOf(played(agent), world.controller?.memory() ?? [], world.agent?.memory()))
    figures.set(agent, text)
    console.log(`\n${title}:\n${text}`)
  }, 5 * MINUTES)

  describe.concurrent('side by side', () => {
    for (const scenario of scenariosOf(agent).filter(({ alone }) => !alone)) it(name(scenario), () => play(scenario))
  })

  describe('alone', () => {
    for (const scenario of scenariosOf(agent).filter(({ alone }) => alone)) it(name(scenario), () => play(scenario))
  })

  describe('figures', () => {
    it('every mark holds the truth', () => {
      const { marks, holding } = figuresOf(played(agent), [])
      expect(marks).toBeGreaterThan(0)
      expect(holding).toBe(marks)
    })

    it('the controller needs at most 110 MiB', () => {
      const resident = (world.controller?.memory() ?? []).map((it) => it.resident)
      expect(resident.length).toBeGreaterThan(0)
      expect(Math.max(...resident)).toBeLessThanOrEqual(MEMORY_LIMIT)
    })

    it('records are Complete within 1 s of the removal', () => {
      expect(figuresOf(played(agent), []).delay.p99).toBeLessThanOrEqual(1_000_000)
    })

    if (!agent) return
    it('measured marks are at most 10 ms wide, and at the 95th percentile at most 5 ms from the truth', () => {
      const { measured } = figuresOf(played(agent), [])
      expect(measured?.count).toBeGreaterThan(0)
      expect(measured?.widest).toBeLessThanOrEqual(WIDEST_MEASURED)
      expect(measured?.distanceP95).toBeLessThanOrEqual(FARTHEST_MEASURED)
    })

    it('the agent needs at most 70 MiB', () => {
      expect(world.agent?.memory()?.resident).toBeLessThanOrEqual(AGENT_MEMORY_LIMIT)
    })
  })
})
