import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ClusterError } from './errors.ts'
import type { Progress } from './progress.ts'
import { failureOf, run, tryRun } from './run.ts'
import { SEARCH_PATH } from './settings.ts'
import type { Shape } from './state.ts'

/** Something that the machine lacks and that the harness cannot put right by itself. */
export interface Problem {
  readonly what: string
  readonly whatToDo: string
}

/** Debian's package for each command that the harness runs; `shape` is the smaller one that needs it already. */
const PACKAGES: ReadonlyArray<{ readonly command: string; readonly package: string; readonly shape: Shape }> = [
  { command: 'ip', package: 'iproute2', shape: 'control-plane' },
  { command: 'openssl', package: 'openssl', shape: 'control-plane' },
  { command: 'containerd', package: 'containerd', shape: 'node' },
  { command: 'ctr', package: 'containerd', shape: 'node' },
  { command: 'runc', package: 'runc', shape: 'node' },
  { command: 'nft', package: 'nftables', shape: 'node' },
  { command: 'iptables', package: 'iptables', shape: 'node' },
  { command: 'conntrack', package: 'conntrack', shape: 'node' },
  { command: 'buildah', package: 'buildah', shape: 'node' },
  // The init of small images, which the end-to-end tests put in front of a program.
  { command: 'tini-static', package: 'tini', shape: 'node' },
]

const CNI_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin']
const CNI_PLUGINS = ['ptp', 'host-local', 'portmap', 'loopback']
const GO_AT_LEAST = [1, 26] as const

/** The full path of a command, or undefined if there is none. */
export function findCommand(name: string): string | undefined {
  return SEARCH_PATH.split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The folder that holds every CNI plugin which the pods' network needs. */
export function findCniPlugins(): string | undefined {
  return CNI_FOLDERS.find((folder) => CNI_PLUGINS.every((plugin) => isExecutable(join(folder, plugin))))
}

/** A busybox that runs in an image with nothing else in it. */
export async function findStaticBusybox(): Promise<string | undefined> {
  const path = findCommand('busybox')
  if (path === undefined) return undefined
  const linked = await tryRun('ldd', [path])
  return linked.code === 0 && linked.stdout.includes('=>') ? undefined : path
}

/** Debian packages that this shape needs and the machine does not have. */
async function missingPackages(shape: Shape): Promise<string[]> {
  const missing = PACKAGES.filter((entry) => (shape === 'node' || entry.shape === shape) && !findCommand(entry.command)).map(
    (entry) => entry.package,
  )
  if (shape === 'node') {
    if (!findCniPlugins()) missing.push('containernetworking-plugins')
    if (!(await findStaticBusybox())) missing.push('busybox-static')
    if (!existsSync('/etc/ssl/certs/ca-certificates.crt')) missing.push('ca-certificates')
  }
  return [...new Set(missing)]
}

/** What rules this machine out for a cluster of any kind. */
function fundamentalProblems(): Problem[] {
  const whatToDo = (first: string) => `${first}, or use a cluster of your own (kind, say) where a command takes --kubeconfig`
  if (process.platform !== 'linux') return [{ what: `this is ${process.platform}`, whatToDo: whatToDo('use a Linux machine') }]
  return process.getuid?.() === 0 ? [] : [{ what: 'this is not root', whatToDo: whatToDo('run it with sudo') }]
}

/** Throws ClusterError unless this is root on Linux: without that nothing of the cluster can even be looked at. */
export function assertFundamentals(): void {
  const problems = fundamentalProblems()
  if (problems.length > 0) throw new ClusterError(describeProblems(problems))
}

/**
 * Everything that is in the way of a cluster and that the harness cannot install. It changes nothing.
 * `needsGo` is false where the binaries are in the cache already.
 */
export async function preflight(shape: Shape, needsGo: boolean): Promise<Problem[]> {
  const problems = fundamentalProblems()
  if (process.platform !== 'linux') return problems
  if (needsGo) problems.push(...(await goProblems()))
  const missing = await missingPackages(shape)
  if (missing.length > 0 && !findCommand('apt-get')) {
    problems.push({ what: 'there is no apt-get', whatToDo: `install what Debian calls ${missing.join(', ')}` })
  }
  if (shape === 'node') {
    const filesystems = readFileSync('/proc/filesystems', 'utf8')
    for (const name of ['overlay', 'tracefs']) {
      if (!filesystems.includes(`\t${name}\n`) && !(await loadModule(name))) {
        problems.push({ what: `the kernel has no ${name}`, whatToDo: `use a kernel with ${name} built in or as a module` })
      }
    }
    if (!/ cgroup2? /.test(readFileSync('/proc/mounts', 'utf8'))) {
      problems.push({ what: 'no cgroup file system is mounted', whatToDo: 'mount cgroup2 at /sys/fs/cgroup' })
    }
  }
  return problems
}

/** `overlay` is a module on many machines, loaded at its first use. */
async function loadModule(name: string): Promise<boolean> {
  return findCommand('modprobe') !== undefined && (await tryRun('modprobe', [name])).code === 0
}

async function goProblems(): Promise<Problem[]> {
  const wanted = GO_AT_LEAST.join('.')
  const whatToDo = `install Go ${wanted} or later (go.dev/dl) and put it on the PATH`
  const go = findCommand('go')
  if (go === undefined) return [{ what: 'there is no Go', whatToDo }]
  const version = (await run(go, ['env', 'GOVERSION'], { env: { GOWORK: 'off' } })).trim()
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? []
  const recent = Number(major) > GO_AT_LEAST[0] || (Number(major) === GO_AT_LEAST[0] && Number(minor) >= GO_AT_LEAST[1])
  return recent ? [] : [{ what: `Go is ${version}`, whatToDo }]
}

/** The message that lists problems, one a line. */
export function describeProblems(problems: readonly Problem[]): string {
  const lines = problems.map((problem) => `  ${problem.what}: ${problem.whatToDo}`)
  return ['this machine cannot run the cluster:', ...lines].join('\n')
}

/** Installs the Debian packages that are missing, after saying so. */
export async function installPackages(shape: Shape, progress: Progress): Promise<void> {
  const missing = await missingPackages(shape)
  if (missing.length === 0) return
  progress.say(`installing Debian packages: ${missing.join(' ')}`)
  const install = ['install', '--yes', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...missing]
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await progress.step('apt-get install', async (note) => {
    if ((await tryRun('apt-get', install, { env })).code === 0) return
    // The package lists may be missing or older than what the mirror still has.
    note('updating the package lists')
    await run('apt-get', ['update'], { env })
    note('')
    const result = await tryRun('apt-get', install, { env })
    if (result.code !== 0) throw new ClusterError(failureOf('apt-get', install, result))
  })
  const still = await missingPackages(shape)
  if (still.length > 0) throw new ClusterError(`still missing after apt-get install: ${still.join(', ')}; install them by hand`)
}
