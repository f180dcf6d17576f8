/**
 * `npm run manifests`: renders the manifests of deploy/ from the chart, for people who have no Helm. With `--check` it writes nothing and
 * exits 1 if one is stale. What kustomize adds, by hand: the kustomization.yaml files, and two patches that switch gates and cleanup on.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { failureOf } from '../cluster/run.ts'
import { CHART, type HelmMajor, helm } from './helm.ts'

const ROOT = resolve(import.meta.dirname, '../..')
export const NAMESPACE = 'gracewatch-system'

/** Templates of the chart -> folder that they are rendered to, under the same name. */
const FOLDERS: ReadonlyMap<string, string> = new Map([
  ['controller/namespace.yaml', 'deploy/manifests'],
  ['controller/rbac.yaml', 'deploy/manifests'],
  ['controller/reader-roles.yaml', 'deploy/manifests'],
  ['controller/controller.yaml', 'deploy/manifests'],
  ['controller/flow-schemas.yaml', 'deploy/manifests'],
  ['gates/rbac.yaml', 'deploy/gates/controller'],
  ['gates/gate-targets.yaml', 'deploy/gates/controller'],
  ['gates/reader-roles.yaml', 'deploy/gates/controller'],
  ['gates/injection.yaml', 'deploy/gates'],
  ['cleanup/rbac.yaml', 'deploy/cleanup/component'],
  ['cleanup/reader-roles.yaml', 'deploy/cleanup/component'],
  ['metrics/rbac.yaml', 'deploy/metrics'],
  ['metrics/service.yaml', 'deploy/metrics'],
  ['agent-metrics/rbac.yaml', 'deploy/metrics/agent'],
  ['agent/namespace.yaml', 'deploy/agent'],
  ['agent/rbac.yaml', 'deploy/agent'],
  ['agent/admission-policy.yaml', 'deploy/agent'],
  ['agent/daemonset.yaml', 'deploy/agent'],
  ['agent/flow-schemas.yaml', 'deploy/agent'],
])

/** The Namespace belongs to the manifests; the CRDs come from crds/, and what runs when a release goes is Helm's alone. */
export const AS_MANIFESTS = [
  'namespace.create=true',
  'crds.enabled=false',
  'uninstallHook.enabled=false',
  'metrics.enabled=false',
]
/** A template is taken from the first of these that has it: each part as it is without the others. */
const RENDERS: readonly (readonly string[])[] = [
  [],
  ['agent.enabled=true'],
  ['metrics.enabled=true', 'agent.enabled=true', 'gates.enabled=true', 'gates.injection=Enabled', 'cleanup.enabled=true'],
]
/** Labels that say of an object that Helm has installed it, and as what. */
export const HELM_LABELS = /^\s+(app\.kubernetes\.io\/(instance|version|managed-by)|helm\.sh\/chart): .*\n/gm

/** What says to Helm alone that it leaves a namespace. */
const KEPT = /^ {2}annotations:\n(?: {4}#.*\n)* {4}helm\.sh\/resource-policy: keep\n/m

/** What `helm template` writes, with values as of a file. Throws with what helm said where it refuses. */
export async function template(settings: readonly string[], major: HelmMajor = '4', values: object = {}): Promise<string> {
  const set = settings.flatMap((setting) => ['--set', setting])
  const args = ['template', 'gracewatch', CHART, '--namespace', NAMESPACE, '--kube-version=1.37.2', '--values=-', ...set]
  const result = await helm(major, args, { input: JSON.stringify(values) })
  if (result.code !== 0) throw new Error(failureOf('helm', args, result))
  return result.stdout
}

/** Template -> its documents, as text and in order. */
function bySource(rendered: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const document of rendered.split(/^---\n/m)) {
    const [, source, body = ''] = /^# Source: gracewatch\/templates\/(\S+)\n(.*)$/s.exec(document) ?? []
    if (source !== undefined) found.set(source, [...(found.get(source) ?? []), body])
  }
  return found
}

/** Path in the repository -> content, for every manifest that is rendered. */
export async function manifestFiles(): Promise<Map<string, string>> {
  const renders = await Promise.all(RENDERS.map((settings) => template([...AS_MANIFESTS, ...settings])))
  const sources = renders.map(bySource)
  const files = new Map<string, string>()
  for (const [name, folder] of FOLDERS) {
    const documents = sources.find((source) => source.has(name))?.get(name)
    if (documents === undefined) throw new Error(`the chart renders nothing from templates/${name}`)
    const head = `# Rendered from deploy/chart/templates/${name} by \`npm run manifests\`: edit that, not this.\n`
    const bodies = documents.map((body) => `${body.replaceAll(HELM_LABELS, '').replace(KEPT, '').trimEnd()}\n`)
    files.set(`${folder}/${name.slice(name.indexOf('/') + 1)}`, `${head}${bodies.join('---\n')}`)
  }
  return files
}

/** Those that are not what they should be. */
export async function staleManifests(): Promise<Map<string, string>> {
  const stale = [...(await manifestFiles())].filter(([path, content]) => {
    const file = join(ROOT, path)
    return !existsSync(file) || readFileSync(file, 'utf8') !== content
  })
  return new Map(stale)
}

async function main(args: readonly string[]): Promise<number> {
  const check = args.includes('--check')
  if (args.some((arg) => arg !== '--check')) {
    console.error(`unknown argument ${args.join(' ')}: the only one is --check`)
    return 2
  }
  const stale = await staleManifests()
  const names = [...stale.keys()].join(', ')
  if (check && stale.size > 0) {
    console.error(`stale: ${names}. Run \`npm run manifests\` and commit the result.`)
    return 1
  }
  for (const [path, content] of check ? [] : stale) writeFileSync(join(ROOT, path), content)
  console.log(stale.size === 0 ? 'every manifest is up to date' : `wrote ${names}`)
  return 0
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
