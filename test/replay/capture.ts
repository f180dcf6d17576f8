/**
 * `node test/replay/capture.ts [NUMBER…]`: runs those scenarios (none: the six of the first fixtures) on the embedded cluster and
 * writes what the API showed, and what was true, to fixtures/. It needs no controller of the product and none of its code.
 */
import { ensureCluster, terminalProgress } from '../cluster/index.ts'
import type { Scenario } from '../e2e/scenario.ts'
import { SCENARIOS } from '../e2e/scenarios/index.ts'
import { Stage } from '../e2e/stage.ts'
import { World } from '../e2e/world.ts'
import { recordLines, writeFixture } from './fixture.ts'

const AT_ONCE = 6
const SLUG_LENGTH = 48
const FIRST_SIX = [1, 2, 3, 4, 5, 31]
/** The kubelet's last events come a moment after the object has gone. */
const LATE_EVENTS_SECONDS = 2

async function capture(world: World, scenario: Scenario): Promise<void> {
  const stage = await Stage.open(world, `capture-${scenario.number}`)
  const pods = await scenario.act(stage)
  await stage.pass(LATE_EVENTS_SECONDS)
  for (const [index, pod] of pods.entries()) {
    const { uid, name } = pod.metadata
    if (scenario.unrecorded?.test(name)) continue
    const number = String(scenario.number).padStart(2, '0')
    const slug = scenario.title
      .replaceAll(/[^a-z0-9]+/gi, '-')
      .toLowerCase()
      .slice(0, SLUG_LENGTH)
      .replace(/-$/, '')
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

/** Several stories at a time, no more than the machine can play without holding one up. */
async function captureAll(world: World, scenarios: readonly Scenario[], atOnce: number): Promise<void> {
  const left = [...scenarios]
  const player = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      try {
        await capture(world, next)
      } catch (error) {
        console.error(`${next.number}. ${next.title}:`, error)
        process.exitCode = 1
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, player))
}

const numbers = process.argv.slice(2).map(Number)
const wanted = numbers.length === 0 ? FIRST_SIX : numbers
const chosen = SCENARIOS.filter(({ number }) => wanted.includes(number))
const cluster = await ensureCluster({
  shape: 'node',
  progress: terminalProgress(process.stderr),
  command: 'the capture of fixtures',
})
try {
  const world = await World.start(cluster)
  try {
    const together = chosen.filter(({ alone }) => !alone)
    await captureAll(world, together, AT_ONCE)
    const alone = chosen.filter((scenario) => scenario.alone)
    await captureAll(world, alone, 1)
  } finally {
    await world.stop()
  }
} finally {
  await cluster.close()
}
