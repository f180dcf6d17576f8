/** What the controller costs while pods change that do not end. */
import { delay } from '../apiserver/waiting.ts'
import { cpuSeconds, startGracewatch } from './measured.ts'
import { atRate } from './parallel.ts'
import type { World } from './world.ts'

const SETTLE_MS = 10_000

export interface Idle {
  readonly pods: number
  readonly updatesPerSecond: number
  readonly seconds: number
  /** Share of one core, 0.01 is 1 %: with these updates, and with none. */
  readonly cpuShare: number
  readonly cpuShareWithout: number
}

export async function measureIdle(world: World, updatesPerSecond: number, seconds: number): Promise<Idle> {
  const { population } = world
  const started = await startGracewatch(world)
  try {
    await started.controller.leads(60_000)
    await delay(SETTLE_MS)
    const during = async (what: () => Promise<unknown>) => {
      const [cpu, from] = [cpuSeconds(started.pid), performance.now()]
      await what()
      return (cpuSeconds(started.pid) - cpu) / ((performance.now() - from) / 1000)
    }
    const cpuShareWithout = await during(() => delay(seconds * 1000))
    const cpuShare = await during(() => atRate(updatesPerSecond, updatesPerSecond * seconds, (turn) => population.touch(turn)))
    return { pods: population.size, updatesPerSecond, seconds, cpuShare, cpuShareWithout }
  } finally {
    await started.stop()
  }
}
