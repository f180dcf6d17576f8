/**
 * `npm run generate`: writes every generated file of the repository. With `--check` it writes nothing and exits 1 if one is
 * stale, naming each and the command that brings them up to date.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { agentSettingsPage } from '../agent/settings.ts'
import { ruleFileYaml, runbookIndex } from '../alerts/files.ts'
import { CHART, chartFiles } from '../chart/files.ts'
import { commandPage } from '../cli/page.ts'
import { dashboardJson } from '../dashboard/dashboard.ts'
import { metricsPage } from '../metrics/page.ts'
import { settingsPage } from '../settings.ts'
import { customResourceDefinition, RESOURCES } from './crd.ts'
import { licencesPage } from './licences.ts'
import { GROUP } from './pod-termination.ts'
import { referencePage } from './reference.ts'

const COMMAND = 'npm run generate'
const ROOT = resolve(import.meta.dirname, '../..')
/** Folders that hold generated files only: whatever else lies in them is stale. */
const FOLDERS = ['crds', 'docs/reference', 'deploy/alerts', 'deploy/dashboard', `${CHART}/templates/crds`, `${CHART}/files`]

const note = (source: string) => `Generated from ${source} by \`${COMMAND}\`: edit that, not this.`
// A line break inside a description is a line break for kubectl explain: literal blocks keep it visible here too.
const yaml = (value: unknown, source: string) =>
  `# ${note(source)}\n${stringify(value, { lineWidth: 120, blockQuote: 'literal' })}`

/** Path in the repository -> content, for every generated file. */
export function generatedFiles(): Map<string, string> {
  const files = new Map<string, string>()
  for (const resource of RESOURCES) {
    const source = `src/api/${resource.file}`
    files.set(`crds/${resource.plural}.${GROUP}.yaml`, yaml(customResourceDefinition(resource), source))
    files.set(`docs/reference/${resource.kind.toLowerCase()}.md`, referencePage(resource, note(source)))
  }
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: RESOURCES.map(({ plural }) => `${plural}.${GROUP}.yaml`),
  }
  files.set('crds/kustomization.yaml', yaml(kustomization, 'src/api/crd.ts'))
  files.set('docs/licences.md', licencesPage(ROOT, note('package-lock.json')))
  files.set('docs/cli.md', commandPage(note('src/cli')))
  files.set('docs/settings.md', settingsPage())
  files.set('docs/agent-settings.md', agentSettingsPage())
  files.set('docs/metrics.md', metricsPage(note('src/metrics/definitions.ts')))
  files.set('docs/runbooks/README.md', runbookIndex(note('src/alerts/rules.ts')))
  // Twice each: a chart reads nothing that lies outside of it.
  for (const folder of ['deploy/alerts', `${CHART}/files`])
    files.set(`${folder}/rules.yaml`, ruleFileYaml(note('src/alerts/rules.ts')))
  for (const path of ['deploy/dashboard/gracewatch.json', `${CHART}/files/dashboard.json`]) files.set(path, dashboardJson())
  for (const [path, content] of chartFiles(note)) files.set(path, content)
  return files
}

/** Files under `root` that are not what they should be: missing, different, or left over in a generated folder. */
export function staleFiles(root: string, files: ReadonlyMap<string, string> = generatedFiles()): string[] {
  const stale = [...files].filter(([path, content]) => {
    const file = join(root, path)
    return !existsSync(file) || readFileSync(file, 'utf8') !== content
  })
  return [...stale.map(([path]) => path), ...leftOver(root, files)].sort()
}

function leftOver(root: string, files: ReadonlyMap<string, string>): string[] {
  return FOLDERS.filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((path) => !files.has(path))
}

/** Writes what is stale under `root`, removes what is left over, and returns the paths of both. */
export function writeFiles(root: string, files: ReadonlyMap<string, string> = generatedFiles()): string[] {
  const stale = staleFiles(root, files)
  for (const path of stale) {
    const content = files.get(path)
    const file = join(root, path)
    if (content === undefined) {
      rmSync(file)
      continue
    }
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
  }
  return stale
}

function main(args: string[]): number {
  const root = ROOT
  const wrong = args.filter((arg) => arg !== '--check')
  if (wrong.length > 0) {
    console.error(`unknown argument ${wrong.join(' ')}: the only one is --check`)
    return 2
  }
  if (args.includes('--check')) {
    const stale = staleFiles(root)
    if (stale.length === 0) return 0
    console.error(`stale: ${stale.join(', ')}. Run \`${COMMAND}\` and commit the result.`)
    return 1
  }
  const written = writeFiles(root)
  console.log(written.length === 0 ? 'every generated file is up to date' : `wrote ${written.join(', ')}`)
  return 0
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2))
