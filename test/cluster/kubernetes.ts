import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ClusterError } from './errors.ts'
import { workFolder } from './image-tar.ts'
import type { Progress } from './progress.ts'
import { failureOf, tryRun } from './run.ts'

const MODULES = join(import.meta.dirname, 'kubernetes')
const PAUSE_MODULE = join(import.meta.dirname, 'pause')

export const DEFAULT_VERSION = 'v1.37.2'

/** The programs of a release: one binary that runs as whichever part it is called. */
const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kube-proxy'] as const
export type Program = (typeof PROGRAMS)[number]

/** A Kubernetes release that the tree has a Go module for. */
export interface Release {
  /** As Kubernetes writes it: `v1.37.2`. */
  readonly version: string
  /** Folder of the Go module. */
  readonly module: string
  /** Folder of the built binaries, named by version and content of the module. It may not exist yet. */
  readonly built: string
}

export interface Binaries {
  /** A folder that holds kubectl and nothing else, fit for a PATH. */
  readonly pathFolder: string
  readonly kubectl: string
  /** Static program for the pods' pause container. */
  readonly pause: string
  program(name: Program): string
}

/** Every release that can come up, newest minor first. */
export function releases(cacheDir: string): Release[] {
  return readdirSync(MODULES)
    .sort((a, b) => Number(b.split('.')[1]) - Number(a.split('.')[1]))
    .map((minor) => {
      const module = join(MODULES, minor)
      const required = /^\s*k8s\.io\/kubernetes (v\S+)$/m.exec(readFileSync(join(module, 'go.mod'), 'utf8'))?.[1]
      if (required === undefined)
        throw new ClusterError(`${module}/go.mod does not require k8s.io/kubernetes: add the requirement`)
      return { version: required, module, built: join(cacheDir, 'kubernetes', `${required}-${contentOf(module, PAUSE_MODULE)}`) }
    })
}

/** The release of this version. Throws ClusterError, with those that exist, if the tree has no module for it. */
export function findRelease(version: string, cacheDir: string): Release {
  const all = releases(cacheDir)
  const found = all.find((release) => release.version === version)
  if (found) return found
  const known = all.map((release) => release.version).join(', ')
  throw new ClusterError(
    `there is no Kubernetes ${version} here: set KUBE_VERSION to one of ${known}, or add a Go module beside those in ${MODULES}`,
  )
}

export function isBuilt(release: Release): boolean {
  return existsSync(release.built)
}

/** The binaries in a folder that `build` made. */
export function binariesIn(built: string): Binaries {
  const folder = (name: string) => join(built, name)
  return {
    pathFolder: folder('bin'),
    kubectl: join(folder('bin'), 'kubectl'),
    pause: folder('pause'),
    program: (name) => join(folder('programs'), name),
  }
}

/** Builds the release's binaries unless the cache has them. The folder appears whole or not at all. */
export async function build(release: Release, go: string, progress: Progress): Promise<Binaries> {
  if (isBuilt(release)) return binariesIn(release.built)
  const folder = workFolder(dirname(release.built))
  try {
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(release.version) ?? []
    const version = 'k8s.io/component-base/version'
    // Without these the node reports v0.0.0, and clients take it for a release before everything.
    const flags = `-s -w -X ${version}.gitVersion=${release.version} -X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor}`
    await progress.step(`building Kubernetes ${release.version} (once; about six minutes on two free cores)`, async (note) => {
      let packages = 0
      await goBuild(go, release.module, join(folder, 'kubernetes'), flags, (line) => {
        if (line.startsWith('go: ')) note('fetching modules')
        else note(`${++packages} packages compiled`)
      })
      await goBuild(go, PAUSE_MODULE, join(folder, 'pause'), '-s -w', () => undefined)
    })
    mkdirSync(join(folder, 'programs'))
    mkdirSync(join(folder, 'bin'))
    for (const name of PROGRAMS) symlinkSync('../kubernetes', join(folder, 'programs', name))
    symlinkSync('../kubernetes', join(folder, 'bin', 'kubectl'))
    renameSync(folder, release.built)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return binariesIn(release.built)
}

/** Builds the program of a Go module, stripped and static. */
export async function goBuild(
  go: string,
  module: string,
  output: string,
  ldflags: string,
  onLine: (line: string) => void,
): Promise<void> {
  const args = ['build', '-v', '-buildvcs=false', '-trimpath', '-ldflags', ldflags, '-o', output, '.']
  // GOWORK: a workspace of the user's must not pull this module in. CGO: the binary also runs in images made from nothing.
  const result = await tryRun(go, args, { cwd: module, env: { CGO_ENABLED: '0', GOWORK: 'off' }, onLine })
  if (result.code !== 0) throw new ClusterError(failureOf(go, args, result))
}

/** Twelve hex digits over the names and contents of the modules' files and the machine's architecture. */
export function contentOf(...modules: string[]): string {
  const hash = createHash('sha256').update(process.arch)
  for (const module of modules) {
    for (const name of readdirSync(module).sort()) hash.update(`\0${name}\0`).update(readFileSync(join(module, name)))
  }
  return hash.digest('hex').slice(0, 12)
}
