/** Memory and start of the controller beside client-go's informer, as it comes and stripped, at growing numbers of pods. */

import { delay } from '../apiserver/waiting.ts'
import type { Progress } from '../cluster/progress.ts'
import { type Memory, memoryOf, type Started, startGracewatch, startInformer } from './measured.ts'
import type { World } from './world.ts'

export const PROGRAMS = ['gracewatch', 'goStripped', 'goPlain'] as const
export type Program = (typeof PROGRAMS)[number]

export interface Start extends Memory {
  readonly startMs: number
  /** Resident, where a program gave back what it did not need when it was told to: the informers. */
  readonly freed: number
  /** At most so much while it started. */
  readonly peak: number
}

export interface Size {
  readonly pods: number
  /** Every start. */
  readonly starts: Readonly<Record<Program, readonly Start[]>>
}

export interface Plan {
  readonly pods: number
  readonly starts: number
}

export async function measureMemory(world: World, plan: readonly Plan[], settleMs: number, progress: Progress): Promise<Size[]> {
  const sizes: Size[] = []
  for (const { pods, starts } of plan) {
    const { population } = world
    if (population.size < pods) await progress.step(`making ${pods - population.size} pods`, async () => population.grow(pods))
    const measured: Record<Program, Start[]> = { gracewatch: [], goStripped: [], goPlain: [] }
    for (let round = 1; round <= starts; round += 1) {
      await progress.step(`starts with ${pods} pods, ${round} of ${starts}`, async () => {
        const round = await startEach(world, pods, settleMs)
        for (const program of PROGRAMS) measured[program].push(round[program])
      })
    }
    sizes.push({ pods, starts: measured })
  }
  return sizes
}

/** Started one after the other; then all of them have their time to settle. */
async function startEach(world: World, pods: number, settleMs: number): Promise<Record<Program, Start>> {
  const running: [Program, Started][] = []
  try {
    const start = async (program: Program, starting: Promise<Started>) => {
      const started = await starting
      running.push([program, started])
      if (started.pods !== pods) throw new Error(`${program} holds ${started.pods} pods of ${pods}`)
    }
    await start('gracewatch', startGracewatch(world))
    await start('goStripped', startInformer(world, true))
    await start('goPlain', startInformer(world, false))
    await delay(settleMs)
    const result: Partial<Record<Program, Start>> = {}
    for (const [program, started] of running) {
      const memory = memoryOf(started.pid)
      await started.free()
      result[program] = { startMs: started.startMs, ...memory, freed: memoryOf(started.pid).resident }
    }
    const { gracewatch, goStripped, goPlain } = result
    if (gracewatch === undefined || goStripped === undefined || goPlain === undefined) throw new Error('a program is missing')
    return { gracewatch, goStripped, goPlain }
  } finally {
    await Promise.all(running.map(([, started]) => started.stop()))
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export const medianOf = ({ starts }: Size, program: Program, field: keyof Start): number =>
  median(starts[program].map((start) => start[field]))

/** Bytes of resident memory for each pod more, between the smallest and the largest size. */
export function bytesPerPod(sizes: readonly Size[], program: Program, field: 'resident' | 'freed'): number {
  const [first, last] = [sizes.at(0), sizes.at(-1)]
  if (first === undefined || last === undefined || first.pods === last.pods) return Number.NaN
  return (medianOf(last, program, field) - medianOf(first, program, field)) / (last.pods - first.pods)
}
