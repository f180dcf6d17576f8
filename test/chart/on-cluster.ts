import { join } from 'node:path'
import type { Cluster } from '../cluster/index.ts'
import { importTreeImage, install } from '../cluster/install.ts'
import type { Progress } from '../cluster/progress.ts'
import { CHART } from './helm.ts'

/** Leaves the cluster with the image of this tree and nothing of Gracewatch installed. Returns the reference of the image. */
export async function emptyForChart(cluster: Cluster, progress: Progress): Promise<string> {
  return (await removeInstalled(cluster, progress)) ?? importTreeImage(cluster, progress)
}

/** Leaves nothing of Gracewatch installed. Returns the reference of the image of this tree, where it took that. */
export async function removeInstalled(cluster: Cluster, progress: Progress): Promise<string | undefined> {
  const namespaces = ['gracewatch-system', 'gracewatch-agent-system']
  const there = await cluster.kubectl(['get', 'namespace', ...namespaces, '--ignore-not-found', '-o', 'name'])
  if (there.trim() === '') return undefined
  // What is there is brought to what is known, so that all of it can go: gates and PodCleanups before what serves them.
  const { image } = await install(cluster, progress)
  await cluster.kubectl(['delete', '-k', join(CHART, '../manifests'), '--ignore-not-found', '--timeout=180s'])
  return image
}
