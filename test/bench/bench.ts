/** The parts of a bench in their order, and what is told of them. */
import { cpus, version as kernelVersion, totalmem } from 'node:os'
import { root } from '../apiserver/connect.ts'
import { NODE_FLAGS } from '../apiserver/recorder/controller.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { messageOf } from '../cluster/errors.ts'
import { informerVersion } from '../cluster/informer.ts'
import type { Progress } from '../cluster/progress.ts'
import { run } from '../cluster/run.ts'
import { type Cleanup, measureCleanup } from './cleanup.ts'
import { type Idle, measureIdle } from './idle.ts'
import { bytesPerPod, measureMemory, medianOf, type Plan, type Size } from './memory.ts'
import { measureThroughput, type Throughput, type ThroughputPlan } from './throughput.ts'
import { openWorld } from './world.ts'

const MAX_BURST = 2000
const SHARE_OF_BURST = 1 / 5
const STEADY_PER_SECOND = 20
const MINUTE = 60
const UPDATES_PER_SECOND = 50

export interface BenchPlan {
  readonly pods: number
  readonly memory: readonly Plan[]
  readonly settleMs: number
  readonly throughput: ThroughputPlan
  readonly idleSeconds: number
  /** Finished pods; 0: not measured. */
  readonly cleanupPods: number
}

export function planOf(pods: number): BenchPlan {
  const large = pods >= 10_000
  const long = pods > 10_000
  const seconds = large ? MINUTE : Math.max(3, Math.min(10, Math.floor((pods * SHARE_OF_BURST) / STEADY_PER_SECOND)))
  const part = (share: number, starts = 1) => ({ pods: Math.round(pods * share), starts })
  return {
    pods,
    memory: long
      ? [part(0, 2), part(1 / 5), part(2 / 5, 2), part(1, 3)]
      : [part(0, large ? 2 : 1), part(1 / 2), part(1, large ? 2 : 1)],
    settleMs: large ? 20_000 : 5000,
    throughput: {
      burst: Math.min(MAX_BURST, Math.floor(pods * SHARE_OF_BURST)),
      steady: [{ perSecond: STEADY_PER_SECOND, seconds }, ...(long ? [{ perSecond: 100, seconds }] : [])],
    },
    idleSeconds: large ? MINUTE / 2 : 10,
    cleanupPods: long ? 10_000 : 300,
  }
}

const RATIOS = [
  'memoryPerPodToStrippedGo',
  'startToGo',
  'peakToSettled',
  'recorded',
  'writesPerGraceful',
  'burstToBareWrites',
  'cleanupToPodgc',
  'agentCpuToBpftrace',
] as const
export type Ratio = (typeof RATIOS)[number]

export interface Report {
  readonly pods: number
  readonly startedAt: string
  readonly seconds: number
  readonly commit: string
  readonly versions: Readonly<Record<string, string>>
  readonly machine: { readonly processors: number; readonly model: string; readonly memoryBytes: number; readonly kernel: string }
  readonly flags: readonly string[]
  readonly podJsonBytes: number
  readonly ratios: Readonly<Record<Ratio, number | null>>
  /** Why a ratio is null. */
  readonly notMeasured: Readonly<Partial<Record<Ratio, string>>>
  readonly memory: readonly Size[]
  readonly throughput: Throughput
  readonly idle: Idle
  readonly cleanup: Cleanup | null
}

/** @param cluster a control plane that nobody else uses */
export async function runBench(cluster: Cluster, plan: BenchPlan, progress: Progress): Promise<Report> {
  const startedAt = new Date()
  const world = await openWorld(cluster, plan.pods, progress)
  let memory: Size[]
  let throughput: Throughput
  let idle: Idle
  let podJsonBytes: number
  try {
    memory = await measureMemory(world, plan.memory, plan.settleMs, progress)
    podJsonBytes = await world.population.jsonBytes()
    idle = await progress.step('pods that change and do not end', () => measureIdle(world, UPDATES_PER_SECOND, plan.idleSeconds))
    throughput = await measureThroughput(world, plan.throughput, progress)
  } finally {
    await progress.step('removing what was made', () => world.close())
  }
  let cleanup: Cleanup | null = null
  let cleanupMissing = 'left out of this form'
  if (plan.cleanupPods > 0) {
    const measure = () => measureCleanup(plan.cleanupPods)
    try {
      cleanup = await progress.step(`${plan.cleanupPods} finished pods, beside podgc`, measure)
    } catch (error) {
      // What was measured before is not lost with it.
      cleanupMissing = messageOf(error)
    }
  }
  const { commit, versions } = await versionsOf(cluster)
  const [processor] = cpus()
  return {
    pods: plan.pods,
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
    commit,
    versions,
    machine: {
      processors: cpus().length,
      model: processor?.model ?? '',
      memoryBytes: totalmem(),
      kernel: kernelVersion(),
    },
    flags: NODE_FLAGS,
    podJsonBytes,
    ...ratiosOf({ memory, throughput, cleanup, cleanupMissing }),
    memory,
    throughput,
    idle,
    cleanup,
  }
}

interface Measured {
  readonly memory: readonly Size[]
  readonly throughput: Throughput
  readonly cleanup: Cleanup | null
  /** Why there is none. */
  readonly cleanupMissing: string
}

export function ratiosOf({ memory, throughput, cleanup, cleanupMissing }: Measured): Pick<Report, 'ratios' | 'notMeasured'> {
  const largest = memory.at(-1)
  if (largest === undefined) throw new Error('no size was measured')
  const terminations = [throughput.burst, ...throughput.steady]
  const sum = (field: 'short' | 'shortWrites') => terminations.reduce((total, part) => total + part[field], 0)
  const ratios = {
    // The informer after it gave back what it could: its best.
    memoryPerPodToStrippedGo: bytesPerPod(memory, 'gracewatch', 'resident') / bytesPerPod(memory, 'goStripped', 'freed'),
    startToGo: medianOf(largest, 'gracewatch', 'startMs') / medianOf(largest, 'goStripped', 'startMs'),
    peakToSettled: medianOf(largest, 'gracewatch', 'peak') / medianOf(largest, 'gracewatch', 'resident'),
    recorded: throughput.recorded / throughput.ended,
    writesPerGraceful: sum('shortWrites') / sum('short'),
    burstToBareWrites: throughput.burst.seconds / throughput.bareWithPods.seconds,
    cleanupToPodgc: cleanup === null ? null : cleanup.mixed / cleanup.podgc,
    agentCpuToBpftrace: null,
  }
  const notMeasured: Partial<Record<Ratio, string>> = { agentCpuToBpftrace: 'a control plane has no node for an agent to run on' }
  if (cleanup === null) notMeasured.cleanupToPodgc = cleanupMissing
  // A quotient of nothing is none.
  const sound = Object.fromEntries(
    RATIOS.map((name) => {
      const value = ratios[name]
      if (value === null || Number.isFinite(value)) return [name, value]
      notMeasured[name] = 'there was nothing to divide by'
      return [name, null]
    }),
  ) as Record<Ratio, number | null> // one entry for each name
  return { ratios: sound, notMeasured }
}

async function versionsOf(cluster: Cluster): Promise<Pick<Report, 'commit' | 'versions'>> {
  const line = async (command: string, args: readonly string[]) => (await run(command, args, { cwd: root })).trim()
  const dirty = (await line('git', ['status', '--porcelain', '--', 'src']).catch(() => '')) === '' ? '' : '+'
  const go = await line('go', ['version'])
  const clientGo = informerVersion()
  return {
    // A tree that was copied has none.
    commit: (await line('git', ['rev-parse', '--short', 'HEAD']).catch(() => 'unknown')) + dirty,
    versions: { node: process.version, kubernetes: cluster.version, go: go.split(' ')[2] ?? go, clientGo },
  }
}
