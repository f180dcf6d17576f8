import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SYSCTLS } from './cleanup.ts'
import { listProcesses } from './processes.ts'
import { tryRun } from './run.ts'

/** What a cluster could leave behind, each as sorted lines, so that two snapshots can be compared. */
export interface MachineSnapshot {
  readonly mounts: readonly string[]
  readonly interfaces: readonly string[]
  readonly routes: readonly string[]
  readonly namespaces: readonly string[]
  readonly nftRules: readonly string[]
  readonly cgroups: readonly string[]
  readonly traceInstances: readonly string[]
  readonly sysctls: readonly string[]
  /** Programs that belong to a cluster. */
  readonly processes: readonly string[]
  /** Files and folders of clusters at their usual places. */
  readonly files: readonly string[]
}

const CLUSTER_PROGRAM = /(^|\/)(etcd|kube-[a-z-]+|kubelet|containerd[a-z0-9-]*|pause)$/
const USUAL_PLACES = [
  '/run/containerd',
  '/run/netns',
  '/var/lib/cni',
  '/var/lib/containerd',
  '/var/lib/kubelet',
  '/var/lib/gracewatch-cluster',
  '/var/log/containers',
  '/var/log/pods',
  '/opt/containerd',
  '/etc/cni',
]

export async function takeSnapshot(): Promise<MachineSnapshot> {
  const lines = async (command: string, args: readonly string[]) =>
    (await tryRun(command, args)).stdout.split('\n').filter((line) => line !== '')
  const interfaces = await lines('ip', ['-brief', 'link'])
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean)
  const cgroupRoots = mounts.flatMap((line) => {
    const [, target = '', type = ''] = line.split(' ')
    return type.startsWith('cgroup') ? [target] : []
  })
  return {
    mounts: mounts.sort(),
    interfaces: interfaces.map((line) => line.split(/\s+/)[0] ?? '').sort(),
    routes: (await lines('ip', ['route'])).map((line) => line.trim()).sort(),
    namespaces: (await lines('ip', ['netns', 'list'])).sort(),
    nftRules: (await lines('nft', ['list', 'ruleset'])).sort(),
    cgroups: cgroupRoots.flatMap((root) => foldersBelow(root, 1)).sort(),
    traceInstances: foldersBelow('/sys/kernel/tracing/instances', 1).sort(),
    sysctls: SYSCTLS.map((name) => join('/proc/sys', name))
      .filter((file) => existsSync(file))
      .map((file) => `${file} ${readFileSync(file, 'utf8').trim()}`),
    processes: listProcesses()
      .filter(({ args }) => CLUSTER_PROGRAM.test(args[0] ?? ''))
      .map(({ id, args }) => `${id.pid} ${args[0]}`)
      .sort(),
    files: USUAL_PLACES.flatMap((place) => (existsSync(place) ? [place, ...pathsBelow(place)] : [])),
  }
}

function foldersBelow(folder: string, depth: number): string[] {
  if (depth === 0 || !existsSync(folder)) return []
  const folders = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name))
  return folders.flatMap((path) => [path, ...foldersBelow(path, depth - 1)])
}

function pathsBelow(place: string): string[] {
  return readdirSync(place, { recursive: true, encoding: 'utf8' }).map((path) => join(place, path))
}
