import { afterAll, beforeAll } from 'vitest'
import { attachCluster, ensureCluster, terminalProgress } from '../../cluster/index.ts'
import { type InstallOptions, install } from '../../cluster/install.ts'
import { Bed } from './bed.ts'

/** As for the scenarios: what runs is somebody else's, and stays; leave out the tests that remove it (-t). */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const MINUTES = 60_000

/** The cluster with gates installed, for one test file. */
export const useGates = (command: string): { readonly bed: Bed } => useInstalled(command, { gates: true })

/**
 * The cluster with these parts installed, for one test file: to be called at its top; what it gives is there from beforeAll on.
 *
 * @param command what others are told who wait for the cluster
 */
export function useInstalled(command: string, parts: InstallOptions): { readonly bed: Bed } {
  let bed: Bed | undefined
  let end: () => Promise<void> = async () => undefined
  beforeAll(async () => {
    const progress = terminalProgress(process.stderr)
    const cluster = EXTERNAL ? await attachCluster({ shape: 'node' }) : await ensureCluster({ shape: 'node', progress, command })
    end = () => cluster.close()
    if (!EXTERNAL) await install(cluster, progress, parts)
    bed = await Bed.start(cluster)
  }, 15 * MINUTES)
  afterAll(async () => {
    try {
      await bed?.stop()
    } finally {
      await end()
    }
  }, 5 * MINUTES)
  return {
    get bed() {
      if (bed === undefined) throw new Error('the bed is there from beforeAll on')
      return bed
    },
  }
}
