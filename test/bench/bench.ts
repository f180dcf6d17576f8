/** The parts of a bench in their order, and what is told of them. */
import { cpus, version as kernelVersion, totalmem } from 'node:os'
import { type Beside, CostRig } from '../agent/support/cost.ts'
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
const SIGNALS_PER_SECOND = 10_000

export interface BenchPlan {
  readonly pods: number
  readonly memory: readonly Plan[]
  readonly settleMs: number
  readonly throughput: ThroughputPlan
  readonly idleSeconds: number
  /** Finished pods; 0: not measured. */
  readonly cleanupPods: number
  /** That have nothing to do with any container; 0: not measured. */
  readonly signalsPerSecond: number
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
    signalsPerSecond: SIGNALS_PER_SECOND,
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
  readonly notMeasured: Readonly<NotMeasured>
  readonly memory: readonly Size[]
  readonly throughput: Throughput
  readonly idle: Idle
  readonly cleanup: Cleanup | null
  readonly agent: Beside | null
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
  const notMeasured: NotMeasured = {}
  // What was measured before is not lost with a part that fails.
  const part = async <T>(ratio: Ratio, amount: number, title: string, measure: () => Promise<T>): Promise<T | null> => {
    if (amount > 0) {
      try {
        return await progress.step(title, measure)
      } catch (error) {
        notMeasured[ratio] = messageOf(error)
      }
    } else notMeasured[ratio] = 'left out of this form'
    return null
  }
  const { cleanupPods, signalsPerSecond } = plan
  const finished = `${cleanupPods} finished pods, beside podgc`
  const cleanup = await part('cleanupToPodgc', cleanupPods, finished, () => measureCleanup(cleanupPods))
  const foreign = `the agent at ${signalsPerSecond} foreign signals a second, beside bpftrace`
  const agent = await part('agentCpuToBpftrace', signalsPerSecond, foreign, () => measureAgent(signalsPerSecond))
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
    ...ratiosOf({ memory, throughput, cleanup, agent, notMeasured }),
    memory,
    throughput,
    idle,
    cleanup,
    agent,
  }
}

/** The agent needs this machine's kernel, and no cluster. */
async function measureAgent(signalsPerSecond: number): Promise<Beside> {
  const rig = await CostRig.open()
  try {
    return await rig.besideBpftrace(signalsPerSecond)
  } finally {
    await rig.close()
  }
}

type NotMeasured = Partial<Record<Ratio, string>>

interface Measured {
  readonly memory: readonly Size[]
  readonly throughput: Throughput
  readonly cleanup: Cleanup | null
  readonly agent: Beside | null
  /** Why parts are missing. */
  readonly notMeasured: NotMeasured
}

export function ratiosOf({ memory, throughput, cleanup, agent, ...rest }: Measured): Pick<Report, 'ratios' | 'notMeasured'> {
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
    agentCpuToBpftrace: agent === null ? null : agent.agent.core / agent.bpftrace.core,
  }
  const notMeasured = { ...rest.notMeasured }
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
