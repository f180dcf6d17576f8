/** Each fault once, then some at random: every termination of the test's own ledger has one record that is true, and nothing else has one. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { useStage } from '../apiserver/recorder/stage.ts'
import { problemsOf } from './audit.ts'
import { atRandom, QUICK } from './faults.ts'
import { line, type Outcome, round } from './round.ts'
import { seeded } from './seed.ts'
import { namespaceDeleted, withoutCrd } from './special.ts'
import { KINDS, someOf } from './stories.ts'
import { World } from './world.ts'

const SEED = 20_261_127
const AT_RANDOM = 2
/** Kinds of ends in one round, out of all that there are: each comes in some of the rounds, before, across, inside and after the fault. */
const KINDS_OF_A_ROUND = 5
/** The limit that the manifests give the container: past it the controller would be killed. */
const MOST_MIB = 256

const host = useStage('chaos')
let world: World

beforeAll(async () => {
  world = await World.on(host.stage)
})
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') world = await world.anew()
})
afterAll(() => world?.close())

function judge(outcome: Outcome): void {
  console.log(line(outcome))
  expect(problemsOf(outcome)).toEqual([])
  for (const { replica, now } of outcome.memory) expect(now, `MiB of ${replica}`).toBeLessThan(MOST_MIB)
}

describe('every termination has one record that is true', () => {
  for (const [index, fault] of QUICK.entries()) {
    it(fault.name, async () => {
      const random = seeded(SEED + index)
      judge(
        await round(world, fault, {
          label: `f${index}`,
          kinds: fault.unseen || fault.losesChanges ? KINDS : someOf(KINDS_OF_A_ROUND, random),
          random,
        }),
      )
    })
  }

  it('the namespace is deleted, and the leader is killed over it', async () => judge(await namespaceDeleted(world, 'deleted')))

  for (let index = 0; index < AT_RANDOM; index++) {
    it(`at random, ${index + 1} of seed ${SEED}`, async () => {
      const random = seeded(SEED + 1000 + index)
      judge(await round(world, atRandom(random, QUICK), { label: `r${index}`, kinds: someOf(KINDS_OF_A_ROUND, random), random }))
    })
  }

  it('the CRD is missing at start and comes later', async () => judge(await withoutCrd(host.stage)))
})
