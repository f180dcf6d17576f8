import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { call } from './api.ts'
import { certificatesOf, makeCertificates, writeKubeconfig } from './certificates.ts'
import {
  isTracefsMounted,
  killContainers,
  mountTracefs,
  removeCgroups,
  removeShimSockets,
  removeStrayFiles,
  removeTracing,
  SYSCTLS,
  strayParts,
  unmountBelow,
} from './cleanup.ts'
import { importImageFile } from './containerd.ts'
import { ClusterError } from './errors.ts'
import { type Binaries, binariesIn, build, findRelease, isBuilt } from './kubernetes.ts'
import { API_SERVER_URL, type Layout, layoutOf, NODE_NAME } from './layout.ts'
import { describeProblems, findCniPlugins, findCommand, installPackages, preflight } from './machine.ts'
import { listForeignChains, listNftTables, makeNodeInterface, makeServiceRoutes, removeNetwork } from './network.ts'
import { cniConfig } from './part-config.ts'
import { partsOf } from './parts.ts'
import { kill } from './processes.ts'
import type { Progress } from './progress.ts'
import type { Settings } from './settings.ts'
import {
  bootId,
  type ClusterState,
  PART_NAMES,
  type PartName,
  partCondition,
  readBefore,
  readState,
  type Shape,
  writeBefore,
  writeState,
} from './state.ts'
import { Supervisor } from './supervisor.ts'
import { buildPauseImage, buildTestImages } from './test-images.ts'

const READY_TIMEOUT_MS = 120_000

export interface RunningCluster {
  readonly layout: Layout
  readonly state: ClusterState
  readonly binaries: Binaries
  readonly supervisor: Supervisor
}

/**
 * Brings the cluster to `shape` and `version`, from nothing or from whatever state it is in. The caller holds the lock.
 * Throws ClusterError, before anything has been changed, with all that the machine lacks.
 */
export async function bringUp(settings: Settings, version: string, shape: Shape, progress: Progress): Promise<RunningCluster> {
  const layout = layoutOf(settings.stateDir)
  const release = findRelease(version, settings.cacheDir)
  const problems = await preflight(shape, !isBuilt(release))
  if (problems.length > 0) throw new ClusterError(describeProblems(problems))
  await replaceIfOther(settings, version, shape, progress)
  await installPackages(shape, progress)
  const binaries = await build(release, findCommand('go') ?? 'go', progress)
  await recordBefore(layout)
  const state = recordCluster(layout, version, shape, release.built)
  await makeNodeInterface()
  await makeCertificates(layout)
  for (const name of ['admin', 'controller-manager', 'scheduler', 'kubelet', 'proxy'] as const) writeKubeconfig(layout, name)
  if (shape === 'node') await prepareNode(layout)
  const supervisor = await superviseParts(settings, layout, state)
  for (const group of START_ORDER) {
    const names = group.filter((name) => supervisor.names.includes(name))
    if (names.length === 0) continue
    if (names.includes('kube-proxy'))
      await progress.step('waiting for the node to register', () => untilRegistered(layout, supervisor))
    await progress.step(`starting ${names.join(', ')}`, () =>
      Promise.all(names.map((name) => healPart(supervisor, name, progress))),
    )
  }
  await progress.step('waiting for the API server', () => untilUsable(layout, supervisor, 'control-plane'))
  if (shape === 'node') {
    const images = await buildTestImages(settings.cacheDir, progress)
    const pause = await buildPauseImage(binaries, settings.cacheDir)
    await progress.step('importing images', async () => {
      for (const image of [pause, images.busybox, images.node]) await importImageFile(layout.containerdSocket, image)
    })
    await progress.step('waiting for the node to be Ready', () => untilUsable(layout, supervisor, 'node'))
  }
  state.complete = true
  writeState(layout.stateFile, state)
  return { layout, state, binaries, supervisor }
}

/** The cluster as recorded, without changing it; undefined if there is none. */
export async function openCluster(settings: Settings): Promise<RunningCluster | undefined> {
  const layout = layoutOf(settings.stateDir)
  const state = readState(layout.stateFile)
  if (!state) return undefined
  if (!existsSync(state.built))
    throw new ClusterError(`the binaries of the running cluster are gone from ${state.built}: run up again`)
  return { layout, state, binaries: binariesIn(state.built), supervisor: await superviseParts(settings, layout, state) }
}

/** True if the cluster is what is wanted and every part does its work. */
export async function isWhole(settings: Settings, version: string, shape: Shape): Promise<boolean> {
  const { built } = findRelease(version, settings.cacheDir)
  const known = readState(layoutOf(settings.stateDir).stateFile)
  if (!known?.complete || known.version !== version || known.shape !== shape || known.built !== built || !existsSync(built))
    return false
  const cluster = await openCluster(settings)
  if (!cluster) return false
  const { supervisor } = cluster
  const whole = await Promise.all(supervisor.names.map((name) => supervisor.isWhole(name)))
  return whole.every(Boolean) && (await isUsable(cluster.layout, shape))
}

/** Takes the cluster down and leaves the machine as it was. Returns false if there was none. The caller holds the lock. */
export async function takeDown(settings: Settings, progress: Progress): Promise<boolean> {
  const layout = layoutOf(settings.stateDir)
  if (!existsSync(layout.root)) return false
  await progress.step('taking the cluster down', async (note) => {
    const state = readState(layout.stateFile)
    const before = readBefore(layout.beforeFile)
    note('stopping the parts')
    await stopParts(layout, state)
    note('removing containers, mounts and networks')
    await killContainers(layout)
    removeShimSockets()
    await unmountBelow(layout.root)
    await removeNetwork(before ?? { nftTables: await listNftTables(), chains: [] })
    removeCgroups()
    const busy = await removeTracing(before?.tracefsMounted ?? true)
    for (const [name, value] of Object.entries(before?.sysctls ?? {})) writeFileSync(join('/proc/sys', name), value)
    removeStrayFiles(layout)
    rmSync(layout.root, { recursive: true, force: true })
    for (const sentence of busy) progress.say(sentence)
  })
  return true
}

/** The kubelet first, or it would start again what is taken from under it; containerd last, it knows the containers. */
async function stopParts(layout: Layout, state: ClusterState | undefined): Promise<void> {
  const order: PartName[] = ['kubelet', 'kube-proxy', 'kube-scheduler', 'kube-controller-manager', 'kube-apiserver', 'etcd']
  for (const name of order) {
    const part = state?.parts[name]
    // At once: none of them has anything to save that outlives the cluster.
    if (state && part && partCondition(state, name) !== 'died') await kill(part)
  }
  await Promise.all(
    strayParts(
      layout,
      [...PART_NAMES].filter((name) => name !== 'containerd'),
    ).map(kill),
  )
  await killContainers(layout)
  await Promise.all(strayParts(layout, ['containerd']).map(kill))
}

async function replaceIfOther(settings: Settings, version: string, shape: Shape, progress: Progress): Promise<void> {
  const state = readState(layoutOf(settings.stateDir).stateFile)
  if (!state) {
    // A folder without a record is what an interrupted `down` leaves.
    await takeDown(settings, progress)
    return
  }
  if (state.version === version && state.shape === shape && state.bootId === bootId()) return
  const rebooted = state.bootId === bootId() ? '' : ' from before a restart of the machine'
  progress.say(`replacing the ${describe(state)}${rebooted} by a ${describe({ version, shape })}`)
  await takeDown(settings, progress)
}

/** `v1.37.2 cluster with a node`. */
export function describe(state: { readonly version: string; readonly shape: Shape }): string {
  return `${state.version} ${state.shape === 'node' ? 'cluster with a node' : 'control plane'}`
}

/** Writes down what the machine is like before the first change, so that `down` can restore it. */
async function recordBefore(layout: Layout): Promise<void> {
  if (existsSync(layout.beforeFile)) return
  const sysctls: Record<string, string> = {}
  for (const name of SYSCTLS) {
    const file = join('/proc/sys', name)
    if (existsSync(file)) sysctls[name] = readFileSync(file, 'utf8').trim()
  }
  const [nftTables, chains] = await Promise.all([listNftTables(), listForeignChains()])
  writeBefore(layout.beforeFile, { sysctls, nftTables, chains, tracefsMounted: isTracefsMounted() })
}

function recordCluster(layout: Layout, version: string, shape: Shape, built: string): ClusterState {
  const startedAt = new Date().toISOString()
  const known = readState(layout.stateFile) ?? { version, shape, bootId: bootId(), startedAt, parts: {} }
  const state: ClusterState = { ...known, built, complete: false }
  writeState(layout.stateFile, state)
  return state
}

async function prepareNode(layout: Layout): Promise<void> {
  await makeServiceRoutes()
  await mountTracefs()
  for (const folder of [layout.cni, layout.staticPods]) mkdirSync(folder, { recursive: true })
  writeFileSync(join(layout.cni, '10-pods.conflist'), cniConfig(layout))
}

async function superviseParts(settings: Settings, layout: Layout, state: ClusterState): Promise<Supervisor> {
  const binaries = binariesIn(state.built)
  const pauseImage = (await buildPauseImage(binaries, settings.cacheDir)).reference
  const cniPlugins = findCniPlugins() ?? ''
  return new Supervisor(layout, state, partsOf({ layout, binaries, shape: state.shape, pauseImage, cniPlugins }))
}

/** What has to be there before the next starts; within a group the order does not matter. */
const START_ORDER: readonly (readonly PartName[])[] = [
  ['etcd'],
  ['kube-apiserver'],
  ['kube-controller-manager', 'kube-scheduler', 'containerd'],
  // It wants to find its runtime, and waits half a minute where it does not.
  ['kubelet'],
  // It wants to find its node's address, and ends when that changes later.
  ['kube-proxy'],
]

async function healPart(supervisor: Supervisor, name: PartName, progress: Progress): Promise<void> {
  const hadDied = supervisor.conditionOf(name) === 'died'
  const done = await supervisor.heal(name)
  if (hadDied || done === 'resumed' || done === 'restarted') {
    progress.say(`${name} ${hadDied ? 'had died and was started again' : `was ${done}`}`)
  }
}

const nodeSchema = z.object({
  status: z.object({
    addresses: z.array(z.object({ type: z.string() })).default([]),
    conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
  }),
})
type NodeStatus = z.infer<typeof nodeSchema>['status']

async function get(layout: Layout, path: string): Promise<string | undefined> {
  const answer = await call(`${API_SERVER_URL}${path}`, certificatesOf(layout), 'admin')
  return answer?.status === 200 ? answer.body : undefined
}

async function readNode(layout: Layout): Promise<NodeStatus | undefined> {
  const body = await get(layout, `/api/v1/nodes/${NODE_NAME}`)
  return body === undefined ? undefined : nodeSchema.safeParse(JSON.parse(body)).data?.status
}

async function isUsable(layout: Layout, shape: Shape): Promise<boolean> {
  // Pods are refused until the controller manager has made their namespace's account.
  if ((await get(layout, '/api/v1/namespaces/default/serviceaccounts/default')) === undefined) return false
  if (shape === 'control-plane') return true
  const node = await readNode(layout)
  return node?.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false
}

function untilUsable(layout: Layout, supervisor: Supervisor, shape: Shape): Promise<void> {
  const missing = shape === 'node' ? `node ${NODE_NAME} is not Ready` : 'namespace default has no service account'
  return until(() => isUsable(layout, shape), missing, layout, supervisor)
}

function untilRegistered(layout: Layout, supervisor: Supervisor): Promise<void> {
  const registered = async () => ((await readNode(layout))?.addresses.length ?? 0) > 0
  return until(registered, `node ${NODE_NAME} has not registered its address`, layout, supervisor)
}

async function until(ready: () => Promise<boolean>, missing: string, layout: Layout, supervisor: Supervisor): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  while (!(await ready())) {
    supervisor.assertAlive()
    if (performance.now() > deadline) {
      throw new ClusterError(`${missing} after ${READY_TIMEOUT_MS / 1_000} s: see the logs in ${layout.logs}`)
    }
    await sleep(100)
  }
}
