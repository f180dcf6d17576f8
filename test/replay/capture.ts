/**
 * `node test/replay/capture.ts [NUMBER…]`: runs those scenarios (none: the six of the first fixtures) on the running cluster and
 * writes what the API showed, and what was true, to fixtures/. It needs no controller of the product and none of its code.
 */
import { attachCluster } from '../cluster/index.ts'
import type { Scenario } from '../e2e/scenario.ts'
import { SCENARIOS } from '../e2e/scenarios/index.ts'
import { Stage } from '../e2e/stage.ts'
import { World } from '../e2e/world.ts'
import { recordLines, writeFixture } from './fixture.ts'

const FIRST_SIX = [1, 2, 3, 4, 5, 31]
/** The kubelet's last events come a moment after the object has gone. */
const LATE_EVENTS_SECONDS = 2

async function capture(world: World, scenario: Scenario): Promise<void> {
  const stage = await Stage.open(world, `capture-${scenario.number}`)
  const pods = await scenario.act(stage)
  await stage.pass(LATE_EVENTS_SECONDS)
  for (const [index, pod] of pods.entries()) {
    const { uid } = pod.metadata
    const number = String(scenario.number).padStart(2, '0')
    const slug = scenario.title.replaceAll(/[^a-z0-9]+/gi, '-').toLowerCase()
    const path = writeFixture({
      name: `${number}-${slug}${pods.length > 1 ? `-${index + 1}` : ''}`,
      did: scenario.did,
      kubernetes: world.cluster.version,
      capturedAt: new Date().toISOString(),
      uid,
      lines: recordLines(world.observations, uid),
      truth: world.truthOf(uid, stage.actionsOn(uid)),
    })
    console.log(path)
  }
}

const numbers = process.argv.slice(2).map(Number)
const wanted = numbers.length === 0 ? FIRST_SIX : numbers
const chosen = SCENARIOS.filter(({ number }) => wanted.includes(number))
const world = await World.start(await attachCluster({ shape: 'node' }))
try {
  const results = await Promise.allSettled(chosen.filter(({ alone }) => !alone).map((scenario) => capture(world, scenario)))
  for (const scenario of chosen.filter(({ alone }) => alone))
    results.push(...(await Promise.allSettled([capture(world, scenario)])))
  for (const result of results) {
    if (result.status === 'fulfilled') continue
    console.error(result.reason)
    process.exitCode = 1
  }
} finally {
  await world.stop()
}
