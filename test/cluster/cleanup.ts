import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf } from './errors.ts'
import type { Layout } from './layout.ts'
import { kill, listProcesses, openFiles, type ProcessId } from './processes.ts'
import { run, tryRun } from './run.ts'

const TRACING = '/sys/kernel/tracing'
/** Every trace instance of the project, the product's and the tests', has a name that starts so. */
const TRACE_INSTANCE_PREFIX = 'gracewatch'
const POD_CGROUP = 'kubepods'
/** The kubelet writes its links for log collectors here, whatever it is told. */
const CONTAINER_LOG_LINKS = '/var/log/containers'
const CNI_RESULTS = '/var/lib/cni/results'
/** containerd's shims put their sockets here, whichever containerd they belong to. */
const SHIM_SOCKETS = '/run/containerd/s'
/** The kubelet listens here for device plugins, whatever its root folder is. */
const DEVICE_PLUGINS = '/var/lib/kubelet/device-plugins'

/** Kernel settings that the kubelet and the CNI plugins write. */
export const SYSCTLS = [
  'net/ipv4/ip_forward',
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
] as const

/** The processes of the cluster's containers: its shims, all that descends from them, and what is left in pod cgroups. */
function containerProcesses(layout: Layout): ProcessId[] {
  const all = listProcesses()
  const isShim = (args: readonly string[]) =>
    basename(args[0] ?? '').startsWith('containerd-shim') && args.includes(layout.containerdSocket)
  const mine = new Set(all.filter((entry) => isShim(entry.args)).map((entry) => entry.id.pid))
  const podCgroups = podCgroupFolders()
  for (const folder of podCgroups) for (const pid of pidsBelow(folder)) mine.add(pid)
  for (let grew = true; grew; ) {
    const children = all.filter((entry) => mine.has(entry.parent) && !mine.has(entry.id.pid))
    for (const child of children) mine.add(child.id.pid)
    grew = children.length > 0
  }
  return all.filter((entry) => mine.has(entry.id.pid)).map((entry) => entry.id)
}

/** Kills them until none is left: a process can fork while it is being looked for. */
export async function killContainers(layout: Layout): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const left = containerProcesses(layout)
    if (left.length === 0) return
    await Promise.all(left.map(kill))
  }
}

/** Parts of a cluster under this folder whose record was lost: programs of the harness that name the folder. */
export function strayParts(layout: Layout, programs: readonly string[]): ProcessId[] {
  const namesFolder = (argument: string) => argument.includes(`${layout.root}/`)
  return listProcesses()
    .filter(({ args }) => programs.includes(basename(args[0] ?? '')) && args.slice(1).some(namesFolder))
    .map(({ id }) => id)
}

/** Mount points below a folder, the deepest first. */
function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[1] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((target) => target === folder || target.startsWith(`${folder}/`))
    .reverse()
}

export async function unmountBelow(folder: string): Promise<void> {
  for (const target of mountsBelow(folder)) {
    // A mount may be held for a moment by a process that is just ending; then it goes away with its last user.
    if ((await tryRun('umount', [target])).code !== 0) await run('umount', ['--lazy', target])
  }
}

function cgroupRoots(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, target, type] = line.split(' ')
      return target !== undefined && (type === 'cgroup' || type === 'cgroup2') ? [target] : []
    })
}

/** The kubelet's cgroup in each hierarchy. */
function podCgroupFolders(): string[] {
  return cgroupRoots()
    .map((root) => join(root, POD_CGROUP))
    .filter((folder) => existsSync(folder))
}

function pidsBelow(folder: string): number[] {
  const pids = readIfThere(join(folder, 'cgroup.procs')).split('\n').filter(Boolean).map(Number)
  return [...pids, ...foldersIn(folder).flatMap(pidsBelow)]
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name))
  } catch {
    return []
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

export function removeCgroups(): void {
  for (const folder of podCgroupFolders()) removeCgroup(folder)
}

function removeCgroup(folder: string): void {
  for (const child of foldersIn(folder)) removeCgroup(child)
  rmdirSync(folder)
}

export function isTracefsMounted(): boolean {
  return existsSync(join(TRACING, 'instances'))
}

/** Returns true if it was mounted already. */
export async function mountTracefs(): Promise<boolean> {
  if (isTracefsMounted()) return true
  await run('mount', ['-t', 'tracefs', 'tracefs', TRACING])
  return false
}

function traceInstances(): string[] {
  return foldersIn(join(TRACING, 'instances')).filter((folder) => basename(folder).startsWith(TRACE_INSTANCE_PREFIX))
}

/**
 * Removes the project's trace instances, and tracefs itself if it was not mounted before. Returns a sentence for each
 * instance that a process outside the cluster still reads: that one is its owner's to remove.
 */
export async function removeTracing(mountedBefore: boolean): Promise<string[]> {
  const busy: string[] = []
  for (const folder of traceInstances()) {
    if (!(await removeInstance(folder))) {
      const readers = processesWithFilesBelow(folder)
      busy.push(`the trace instance ${folder} is in use by ${readers.join(', ') || 'a process'}: end it, then rmdir ${folder}`)
    }
  }
  if (!mountedBefore && busy.length === 0 && isTracefsMounted()) await tryRun('umount', [TRACING])
  return busy
}

/** The kernel frees an instance a moment after its last reader has gone. */
async function removeInstance(folder: string): Promise<boolean> {
  for (let attempt = 0; attempt < 20; attempt++) {
    try {
      rmdirSync(folder)
      return true
    } catch (error) {
      // The kernel says ENODEV to the slower of two that remove it.
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return true
      if (codeOf(error) !== 'EBUSY') throw error
      await sleep(100)
    }
  }
  return false
}

/** `node (pid 123)`, ... for every process with a file open below a folder. */
function processesWithFilesBelow(folder: string): string[] {
  return listProcesses().flatMap(({ id, args }) => {
    return openFiles(id.pid).some((target) => target.startsWith(`${folder}/`))
      ? [`${basename(args[0] ?? '')} (pid ${id.pid})`]
      : []
  })
}

/** Sockets of shims that were killed. A path that the kernel no longer knows has no listener, whoever made it. */
export function removeShimSockets(): void {
  const listening = new Set(
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.split(' ').at(-1) ?? ''),
  )
  for (const path of filesIn(SHIM_SOCKETS)) if (!listening.has(path)) rmSync(path)
}

/** Files outside the cluster's folder: what the kubelet and libcni put at fixed places. */
export function removeStrayFiles(layout: Layout): void {
  for (const link of filesIn(CONTAINER_LOG_LINKS)) {
    if (lstatSync(link).isSymbolicLink() && readlinkSync(link).startsWith(`${layout.root}/`)) rmSync(link)
  }
  // Each names the network namespace of its pod, and those lie in the cluster's folder.
  for (const file of filesIn(CNI_RESULTS)) if (readIfThere(file).includes(`"${layout.root}/`)) rmSync(file)
  rmSync(join(DEVICE_PLUGINS, 'kubelet.sock'), { force: true })
  const made = [CONTAINER_LOG_LINKS, CNI_RESULTS, dirname(CNI_RESULTS), DEVICE_PLUGINS, dirname(DEVICE_PLUGINS)]
  for (const folder of [...made, SHIM_SOCKETS, dirname(SHIM_SOCKETS)]) removeIfEmpty(folder)
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name))
  } catch {
    return []
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY'].includes(codeOf(error) ?? '')) throw error
  }
}
