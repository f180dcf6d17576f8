/** The real helm, of both majors, built from its Go module and kept in the cache as the cluster's binaries are. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { ClusterError } from '../cluster/errors.ts'
import { workFolder } from '../cluster/image-tar.ts'
import { failureOf, type RunResult, tryRun } from '../cluster/run.ts'
import { readSettings } from '../cluster/settings.ts'

export const HELM_MAJORS = ['4', '3'] as const
export type HelmMajor = (typeof HELM_MAJORS)[number]

const MODULES = join(import.meta.dirname, 'helm')
export const CHART = resolve(import.meta.dirname, '../../deploy/chart')

/**
 * Path of the binary. It is built where the cache does not have it: two to four minutes, with the network, and seconds where Go's own
 * cache has the packages. It appears whole or not at all, so two that build at the same time do no harm.
 */
export async function helmBinary(major: HelmMajor, go = 'go'): Promise<string> {
  const module = join(MODULES, major)
  const text = ['go.mod', 'go.sum'].map((name) => readFileSync(join(module, name), 'utf8'))
  const version = new RegExp(`^\\s*helm\\.sh/helm/v${major} (v\\S+)`, 'm').exec(text.join('\n'))?.[1]
  if (version === undefined) throw new ClusterError(`${module}/go.mod does not require helm.sh/helm/v${major}`)
  const hash = createHash('sha256').update(process.arch).update(text.join('\0')).digest('hex').slice(0, 12)
  const built = join(readSettings().cacheDir, 'helm', `${version}-${hash}`)
  const binary = join(built, 'helm')
  if (existsSync(binary)) return binary
  mkdirSync(dirname(built), { recursive: true })
  const folder = workFolder(dirname(built))
  try {
    const name = `helm.sh/helm/v${major}`
    const [kubeMajor, kubeMinor] = ['1', /^\s*k8s\.io\/client-go v0\.(\d+)/m.exec(text.join('\n'))?.[1] ?? '']
    // As the Makefile of helm has them. Helm 4 reads the release of Kubernetes from the build itself, helm 3 would take itself for 1.20.
    const kube = ['chartutil', 'lint/rules'].flatMap((part) => [
      `-X ${name}/pkg/${part}.k8sVersionMajor=${kubeMajor}`,
      `-X ${name}/pkg/${part}.k8sVersionMinor=${kubeMinor}`,
    ])
    const flags = ['-s', '-w', `-X ${name}/internal/version.version=${version}`, ...(major === '3' ? kube : [])].join(' ')
    const args = ['build', '-buildvcs=false', '-trimpath', '-ldflags', flags, '-o', join(folder, 'helm'), `${name}/cmd/helm`]
    const result = await tryRun(go, args, { cwd: module, env: { CGO_ENABLED: '0', GOWORK: 'off' } })
    if (result.code !== 0) throw new ClusterError(failureOf(go, args, result))
    if (!existsSync(binary)) renameSync(folder, built)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return binary
}

/** Runs helm with nothing of the user's: no kubeconfig, no repositories, no plugins. `input` is its standard input. */
export async function helm(
  major: HelmMajor,
  args: readonly string[],
  { input, env = {} }: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<RunResult> {
  const binary = await helmBinary(major)
  const nobody = { ...helmHome(binary), KUBECONFIG: '/dev/null', HELM_NAMESPACE: undefined, KUBERNETES_SERVICE_HOST: undefined }
  return tryRun(binary, args, { input, env: { ...nobody, ...env } })
}

/** The environment in which helm finds nothing of the user's but a kubeconfig. */
export function helmHome(binary: string): Record<string, string> {
  const nowhere = join(dirname(binary), 'home')
  return { HELM_CACHE_HOME: nowhere, HELM_CONFIG_HOME: nowhere, HELM_DATA_HOME: nowhere }
}
