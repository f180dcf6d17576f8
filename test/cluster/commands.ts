import { existsSync } from 'node:fs'
import { ClusterError } from './errors.ts'
import { attachCluster, ensureCluster, lockCluster } from './index.ts'
import { install } from './install.ts'
import { DEFAULT_VERSION } from './kubernetes.ts'
import { layoutOf } from './layout.ts'
import { describe, isWhole, takeDown } from './lifecycle.ts'
import { formatSeconds, type Progress } from './progress.ts'
import type { Settings } from './settings.ts'
import { type ClusterState, PART_NAMES, type PartName, partCondition, readState } from './state.ts'
import { logFileOf, logTail } from './supervisor.ts'

/** A command line that makes no sense: exit code 2. */
export class UsageError extends ClusterError {
  override name = 'UsageError'
}

export interface Invocation {
  readonly args: readonly string[]
  readonly settings: Settings
  readonly progress: Progress
  /** Writes a line of the result. */
  print(text: string): void
}

type Command = (invocation: Invocation) => Promise<number>

export const HELP = `npm run cluster -- COMMAND

A real Kubernetes cluster on this machine (Linux, root), built from Go modules and Debian packages.

  up [--control-plane]   bring it up: a node with everything, or etcd, API server and controller
                         manager alone. Does nothing if it is up, heals it if a part has died.
  env                    print export lines: KUBECONFIG (cluster-admin), and a PATH with its kubectl
  images                 print the references of the images that pods can run from, one a line
  install [--agent] [--gates] [--cleanup]
                         build the image of this tree and install it with deploy/manifests or, for
                         readiness gates and cleanup, deploy/gates and deploy/cleanup, and the agent
                         with deploy/agent. A part that is not named is removed.
  status                 say what runs; exit code 1 if that is not everything
  logs [PART]            print where the logs are, or the end of a part's log
  down                   take it down and leave nothing behind

  eval "$(npm run -s cluster -- env)"     then kubectl speaks to it

Environment:
  KUBE_VERSION            the release, by default ${DEFAULT_VERSION}
  GRACEWATCH_CACHE        binaries and images, by default ~/.cache/gracewatch
  GRACEWATCH_CLUSTER_DIR  the cluster itself, by default /var/lib/gracewatch-cluster
`

export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['up', up],
  ['env', env],
  ['images', images],
  ['install', installCommand],
  ['status', status],
  ['logs', logs],
  ['down', down],
])

async function up({ args, settings, progress }: Invocation): Promise<number> {
  allow('up', args, ['--control-plane'])
  const shape = args.includes('--control-plane') ? 'control-plane' : 'node'
  const version = settings.version ?? DEFAULT_VERSION
  const started = performance.now()
  // A whole cluster needs no turn: `up` must not wait for a test run that is using it.
  if (await isWhole(settings, version, shape)) {
    progress.say(`the ${describe({ version, shape })} is up`)
    return 0
  }
  const cluster = await ensureCluster({ shape, version, progress, command: 'npm run cluster -- up' })
  await cluster.close({ keep: true })
  progress.say(`the ${describe(cluster)} is up after ${formatSeconds(performance.now() - started)}`)
  return 0
}

async function env({ args, print }: Invocation): Promise<number> {
  allow('env', args, [])
  const cluster = await attachCluster()
  print(`export KUBECONFIG=${quote(cluster.kubeconfigPath)}`)
  print(`export PATH=${quote(cluster.kubectlFolder)}:"$PATH"`)
  return 0
}

async function images({ args, print }: Invocation): Promise<number> {
  allow('images', args, [])
  const cluster = await attachCluster()
  for (const reference of await cluster.images()) print(reference)
  return 0
}

async function installCommand({ args, settings, progress }: Invocation): Promise<number> {
  allow('install', args, ['--agent', '--gates', '--cleanup'])
  // Into the cluster that is up, whichever release that is, unless another was asked for.
  const version = settings.version ?? readState(layoutOf(settings.stateDir).stateFile)?.version ?? DEFAULT_VERSION
  const cluster = await ensureCluster({ shape: 'node', version, progress, command: 'npm run cluster -- install' })
  try {
    const wants = (part: string) => args.includes(`--${part}`)
    await install(cluster, progress, { agent: wants('agent'), gates: wants('gates'), cleanup: wants('cleanup') })
  } finally {
    await cluster.close({ keep: true })
  }
  return 0
}

async function status({ args, settings, print }: Invocation): Promise<number> {
  allow('status', args, [])
  const layout = layoutOf(settings.stateDir)
  const state = readState(layout.stateFile)
  if (!state) {
    print('no cluster is up')
    return 1
  }
  print(`${describe(state)}, since ${state.startedAt}, in ${layout.root}`)
  const names = PART_NAMES.filter((name) => state.parts[name])
  for (const name of names) print(partLine(state, name))
  const died = names.filter((name) => partCondition(state, name) === 'died')
  for (const name of died) print(`\nthe end of ${logFileOf(layout, name)}:\n${logTail(logFileOf(layout, name))}`)
  return names.every((name) => partCondition(state, name) === 'running') ? 0 : 1
}

function partLine(state: ClusterState, name: PartName): string {
  const part = state.parts[name]
  return `  ${name.padEnd(24)} ${partCondition(state, name).padEnd(8)} pid ${String(part?.pid).padEnd(8)} since ${part?.startedAt}`
}

async function logs({ args, settings, print }: Invocation): Promise<number> {
  const layout = layoutOf(settings.stateDir)
  const [wanted, ...more] = args
  if (more.length > 0) throw new UsageError('logs takes one part')
  const names = wanted === undefined ? PART_NAMES : PART_NAMES.filter((name) => name === wanted)
  if (names.length === 0) throw new UsageError(`there is no part "${wanted}": choose from ${PART_NAMES.join(', ')}`)
  if (!existsSync(layout.logs)) throw new ClusterError('no cluster is up: there are no logs')
  for (const name of names) {
    const file = logFileOf(layout, name)
    if (wanted !== undefined) print(logTail(file, 200))
    else if (existsSync(file)) print(file)
  }
  return 0
}

async function down({ args, settings, progress }: Invocation): Promise<number> {
  allow('down', args, [])
  const lock = await lockCluster(settings, 'npm run cluster -- down', progress)
  try {
    const was = await takeDown(settings, progress)
    progress.say(was ? 'the cluster is down' : 'no cluster is up')
  } finally {
    await lock.release()
  }
  return 0
}

function allow(command: string, args: readonly string[], flags: readonly string[]): void {
  const unknown = args.find((word) => !flags.includes(word))
  if (unknown === undefined) return
  const known = flags.length === 0 ? 'it takes no arguments' : `it takes ${flags.join(', ')}`
  throw new UsageError(`${command} does not know "${unknown}": ${known}`)
}

/** For a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
