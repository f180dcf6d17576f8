/** As long as `npm run chaos` asks for: each fault once, then at random; a line a round, a table at the end. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { useStage } from '../apiserver/recorder/stage.ts'
import { FAULTS_OF_AUDIT, problemsOf } from './audit.ts'
import { atRandom, FAULTS } from './faults.ts'
import { line, type Outcome, round } from './round.ts'
import { seeded } from './seed.ts'
import { namespaceDeleted, withoutCrd } from './special.ts'
import { KINDS } from './stories.ts'
import { table } from './table.ts'
import { World } from './world.ts'

const minutes = Number(process.env.GRACEWATCH_CHAOS_MINUTES)
const seed = Number(process.env.GRACEWATCH_CHAOS_SEED)
/** Each round may wait for all that it has to wait for. */
const LAST_ROUND_MS = 1_200_000

const host = useStage('chaos')
let world: World

beforeAll(async () => {
  world = await World.on(host.stage)
})
afterAll(() => world?.close())

it(
  `chaos for ${minutes} minutes with seed ${seed}`,
  async () => {
    const until = performance.now() + minutes * 60_000
    const random = seeded(seed)
    const outcomes: Outcome[] = []
    const broken: string[] = []
    let count = 0
    const run = async (name: string, act: (label: string) => Promise<Outcome>) => {
      const label = `l${++count}`
      try {
        const outcome = await act(label)
        outcomes.push(outcome)
        console.log(`${count} ${line(outcome)}`)
      } catch (error) {
        broken.push(`${name}: ${String(error)}`)
        console.log(`${count} FAIL ${name}: ${String(error)}`)
        world = await world.anew()
      }
    }
    const whole = { kinds: KINDS, random }
    for (const fault of FAULTS) {
      if (performance.now() > until) break
      await run(fault.name, (label) => round(world, fault, { ...whole, label }))
    }
    await run('the namespace is deleted', (label) => namespaceDeleted(world, label))
    while (performance.now() < until) {
      const fault = atRandom(random)
      await run(fault.name, (label) => round(world, fault, { ...whole, label }))
    }
    await run('the CRD is missing', () => withoutCrd(host.stage))
    console.log(table(outcomes, { minutes, seed, broken: broken.length }))
    expect([...broken, ...outcomes.flatMap(problemsOf)]).toEqual([])
    expect(outcomes.flatMap((outcome) => FAULTS_OF_AUDIT.filter((kind) => outcome[kind].length > 0))).toEqual([])
  },
  minutes * 60_000 + LAST_ROUND_MS,
)
