import { openConnection } from '../../src/kube/connection.ts'
import { type Cluster, ensureCluster, type Progress } from '../cluster/index.ts'
import { install } from '../cluster/install.ts'
import { createNamespace, newNamespaceName, removeNamespace } from './namespace.ts'
import { Objects } from './objects.ts'
import type { Target } from './target.ts'
import type { Undo } from './undo.ts'

const SYSTEM_NAMESPACE = 'gracewatch-system'

export interface Embedded {
  readonly cluster: Cluster
  /** Installs Gracewatch in it and makes the demo's namespace. */
  prepare(): Promise<Target>
}

/** The machine's own cluster: brought up if it is not, and taken down again unless it was up before. */
export async function openEmbedded(progress: Progress, undo: Undo, agent: boolean): Promise<Embedded> {
  const cluster = await ensureCluster({ shape: 'node', progress, command: 'npm run demo' })
  // A cluster that was up stays up; then the lock on it is all that this gives back.
  undo.add(cluster.foundUp ? 'leaving the cluster up' : 'taking the cluster down', () => cluster.close())
  return { cluster, prepare: () => prepare(cluster, progress, undo, agent) }
}

async function prepare(cluster: Cluster, progress: Progress, undo: Undo, agent: boolean): Promise<Target> {
  const images = await cluster.images()
  const image = images.find((reference) => /\/node:/.test(reference))
  if (image === undefined) throw new Error(`the cluster has no Node image among ${images.join(', ')}`)
  await install(cluster, progress, { agent })
  const { http } = await openConnection({ kubeconfig: cluster.kubeconfigPath, userAgent: 'gracewatch-demo' })
  undo.add('closing the connection', () => http.close())
  const objects = new Objects(http)
  const namespace = newNamespaceName()
  // With the cluster all of it goes.
  if (cluster.foundUp) undo.add(`removing namespace ${namespace}`, () => removeNamespace(objects, namespace, SYSTEM_NAMESPACE))
  await createNamespace(objects, namespace)
  return { objects, namespace, image, systemNamespace: SYSTEM_NAMESPACE, agent }
}
