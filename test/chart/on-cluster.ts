import { join } from 'node:path'
import type { Cluster } from '../cluster/index.ts'
import { importTreeImage, install } from '../cluster/install.ts'
import type { Progress } from '../cluster/progress.ts'
import { CHART } from './helm.ts'

/** Leaves the cluster with the image of this tree and nothing of Gracewatch installed. Returns the reference of the image. */
export async function emptyForChart(cluster: Cluster, progress: Progress): Promise<string> {
  const namespace = ['get', 'namespace', 'gracewatch-system', '--ignore-not-found', '-o', 'name']
  if ((await cluster.kubectl(namespace)).trim() === '') return importTreeImage(cluster, progress)
  // What is there is brought to what is known, so that all of it can go: gates and PodCleanups before what serves them.
  const { image } = await install(cluster, progress)
  await cluster.kubectl(['delete', '-k', join(CHART, '../manifests'), '--ignore-not-found', '--timeout=180s'])
  return image
}
