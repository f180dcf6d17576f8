import { Cluster } from './cluster.ts'
import { ClusterError } from './errors.ts'
import { DEFAULT_VERSION } from './kubernetes.ts'
import { layoutOf } from './layout.ts'
import { bringUp, describe, openCluster, takeDown } from './lifecycle.ts'
import { acquireLock, type Lock } from './lock.ts'
import { assertFundamentals } from './machine.ts'
import { type Progress, silentProgress } from './progress.ts'
import { readSettings, type Settings } from './settings.ts'
import { readState, type Shape } from './state.ts'

export { Cluster } from './cluster.ts'
export { type Progress, silentProgress, terminalProgress } from './progress.ts'
export type { PartName, Shape } from './state.ts'

export interface EnsureOptions {
  readonly shape: Shape
  /** As `v1.37.2`; without it KUBE_VERSION, without that the default. */
  readonly version?: string
  readonly progress?: Progress
  /** What others are told while they wait, as `npm run demo`. */
  readonly command?: string
}

/**
 * The machine's cluster, for this process alone until `close()` or its end: other commands that want to use or change it
 * wait. A running cluster of the wanted version and shape is used, and healed where a part has died; any other is replaced,
 * after saying so.
 */
export async function ensureCluster(options: EnsureOptions): Promise<Cluster> {
  assertFundamentals()
  const settings = readSettings()
  const progress = options.progress ?? silentProgress
  const version = options.version ?? settings.version ?? DEFAULT_VERSION
  const lock = await lockCluster(settings, options.command ?? commandOfThisProcess(), progress)
  try {
    const found = readState(layoutOf(settings.stateDir).stateFile)
    const foundUp = found?.version === version && found.shape === options.shape
    const running = await bringUp(settings, version, options.shape, progress)
    return new Cluster(running, foundUp, closer(settings, progress, lock))
  } catch (error) {
    await lock.release()
    throw error
  }
}

/**
 * The running cluster as it is, without waiting for or keeping out anybody: for a process below one that has called
 * `ensureCluster` (a test runner's worker), and for a look from outside. Throws ClusterError if there is none or it differs.
 */
export async function attachCluster(options: { readonly shape?: Shape } = {}): Promise<Cluster> {
  const settings = readSettings()
  const running = await openCluster(settings)
  if (!running) throw new ClusterError('no cluster is up: run npm run cluster -- up')
  if (options.shape !== undefined && running.state.shape !== options.shape) {
    throw new ClusterError(
      `a ${describe(running.state)} is up where a cluster of shape ${options.shape} is needed: run npm run cluster -- up`,
    )
  }
  return new Cluster(running, true, closer(settings, silentProgress, { release: async () => undefined }))
}

/** Takes turns with every other command of this machine that uses or changes the cluster. */
export function lockCluster(settings: Settings, command: string, progress: Progress): Promise<Lock> {
  return acquireLock(`gracewatch-cluster ${settings.stateDir}`, command, progress)
}

function closer(settings: Settings, progress: Progress, lock: Lock): (down: boolean) => Promise<void> {
  return async (down) => {
    try {
      if (down) await takeDown(settings, progress)
    } finally {
      await lock.release()
    }
  }
}

function commandOfThisProcess(): string {
  return ['node', ...process.argv.slice(1)].join(' ')
}
