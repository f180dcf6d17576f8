/** What a bench needs of the control plane: its definitions, an account, nodes that stay alive, namespaces, and nobody who touches its pods. */
import { join } from 'node:path'
import { GROUP } from '../../src/api/group.ts'
import { createClock } from '../../src/kube/clock.ts'
import { openConnection } from '../../src/kube/connection.ts'
import { buildController } from '../apiserver/cleanup-bench/gracewatch.ts'
import { established, root, type TestBed } from '../apiserver/connect.ts'
import { createIdentity } from '../apiserver/recorder/identity.ts'
import { Kubelet } from '../apiserver/recorder/kubelet.ts'
import { eventually } from '../apiserver/waiting.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { buildInformer } from '../cluster/informer.ts'
import type { Progress } from '../cluster/progress.ts'
import { Population } from './pods.ts'

const MANAGER = 'kube-controller-manager'
const PODS_OF_A_NODE = 100
const MAX_NODES = 50
const PODS_OF_A_NAMESPACE = 500
const MAX_NAMESPACES = 40
const CRD = `podterminations.${GROUP}`

export interface World {
  readonly bed: TestBed
  readonly token: string
  /** Path of the Go program. */
  readonly informer: string
  readonly population: Population
  /** Of the population's pods. */
  readonly namespaces: readonly string[]
  /** For records that are nobody's. */
  readonly spare: string
  close(): Promise<void>
}

const within = (least: number, most: number, value: number) => Math.max(least, Math.min(most, value))

export async function openWorld(cluster: Cluster, pods: number, progress: Progress): Promise<World> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const step of undo.reverse()) await step()
  }
  try {
    return { ...(await build(cluster, pods, progress, undo)), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function build(
  cluster: Cluster,
  pods: number,
  progress: Progress,
  undo: (() => Promise<unknown>)[],
): Promise<Omit<World, 'close'>> {
  const informer = await buildInformer(progress)
  await progress.step('building the controller', async () => buildController())
  const clock = createClock()
  const { http } = await openConnection({ kubeconfig: cluster.kubeconfigPath, clock, maxConnections: 64 })
  undo.push(() => http.close())
  const suffix = `b${Math.random().toString(36).slice(2, 7).padEnd(5, '0')}`
  const bed: TestBed = {
    ...{ cluster, http, clock, suffix, namespace: `gw-bench-${suffix}` },
    kubectl: (...args) => cluster.kubectl(args),
    create: (object) => cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(object) }),
  }
  if ((await cluster.tryKubectl(['get', 'crd', CRD])).code !== 0) {
    // Waited for: with thousands of records it takes a while, and whoever comes next would take it for one that stays.
    undo.push(() => cluster.tryKubectl(['delete', 'crd', CRD]))
    await cluster.kubectl(['apply', '--server-side', '-f', join(root, 'crds', `${CRD}.yaml`)])
  }
  await established(bed, CRD)

  const count = within(1, MAX_NAMESPACES, Math.ceil(pods / PODS_OF_A_NAMESPACE))
  const namespaces = Array.from({ length: count }, (_, index) => `${bed.namespace}-${index}`)
  const spare = `${bed.namespace}-spare`
  const all = [bed.namespace, spare, ...namespaces]
  for (const namespace of all) {
    await http.request({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: namespace } } })
  }
  undo.push(() => cluster.tryKubectl(['delete', 'namespace', ...all, '--wait=false']))
  for (const namespace of namespaces) {
    const account = { method: 'GET', path: `/api/v1/namespaces/${namespace}/serviceaccounts/default` } as const
    await eventually(() => http.request(account).catch(() => undefined), 60_000, `the default account of ${namespace}`)
  }
  const { token, clusterRoles } = await createIdentity(bed, { namespace: bed.namespace, group: GROUP })
  const roles = clusterRoles.flatMap((name) => [`clusterrole/${name}`, `clusterrolebinding/${name}`])
  undo.push(() => cluster.tryKubectl(['delete', ...roles, '--wait=false']))

  const nodes: string[] = []
  for (let index = 0; index < within(1, MAX_NODES, Math.ceil(pods / PODS_OF_A_NODE)); index += 1) {
    const kubelet = await Kubelet.start(http, `${bed.namespace}-${index}`)
    undo.push(() => kubelet.stop())
    nodes.push(kubelet.node)
  }
  // It would make pods of its own for those that end, and its work on thousands of them is not what is measured.
  await cluster.stopPart(MANAGER)
  undo.push(() => cluster.startPart(MANAGER))
  const population = new Population(http, `gracewatch-bench=${suffix}`, namespaces, nodes)
  undo.push(() => population.clear())
  return { bed, token, informer, population, namespaces, spare }
}
