/** Each fault once: every termination of the test's own ledger has one record that holds the truth, and nothing else has one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useStage } from '../apiserver/recorder/stage.ts'
import { problemsOf } from './audit.ts'
import { FAULTS } from './faults.ts'
import { line, round } from './round.ts'
import { seeded } from './seed.ts'
import { World } from './world.ts'

const host = useStage('chaos')
let world: World

beforeAll(async () => {
  // Its watch does not outlive the API server, and the records are listed here.
  await host.stage.records.close()
  world = new World(host.stage)
  await world.open()
})
afterAll(() => world?.close())

describe('every termination has one record that is true', () => {
  for (const [index, fault] of FAULTS.entries()) {
    it(fault.name, async () => {
      const outcome = await round(world, fault, { label: `f${index}`, random: seeded(index) })
      console.log(line(outcome))
      expect(problemsOf(outcome)).toEqual([])
    })
  }
})
