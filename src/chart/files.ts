/** The generated files of the Helm chart: what the schema of the values, the CRDs and the package say. Its other templates are written by hand. */
import { stringify } from 'yaml'
import { customResourceDefinition, RESOURCES } from '../api/crd.ts'
import { GROUP } from '../api/group.ts'
import { productVersion } from '../version.ts'
import { wrapped } from '../wrap.ts'
import { type Schema, VALUES } from './values.ts'

export const CHART = 'deploy/chart'
/** Selectable fields of custom resources are stable from here on. */
const OLDEST_KUBERNETES = '1.32.0-0'
const WIDTH = 150

/** Path in the repository -> content. `note` makes the line that says from where a file is generated. */
export function chartFiles(note: (source: string) => string): Map<string, string> {
  const files = new Map<string, string>()
  const values = note('src/chart/values.ts')
  files.set(`${CHART}/Chart.yaml`, `# ${note('src/chart/files.ts')}\n${stringify(chart())}`)
  files.set(`${CHART}/values.yaml`, valuesYaml(`# ${values}`))
  files.set(`${CHART}/values.schema.json`, `${JSON.stringify(jsonSchema(values), null, 2)}\n`)
  files.set(`${CHART}/README.md`, readme(values))
  for (const resource of RESOURCES) {
    const name = `${resource.plural}.${GROUP}`
    const template = crdTemplate(customResourceDefinition(resource))
    files.set(`${CHART}/templates/crds/${name}.yaml`, `{{- /* ${note(`src/api/${resource.file}`)} */}}\n${template}`)
  }
  return files
}

function chart(): object {
  const version = productVersion()
  return {
    apiVersion: 'v2',
    name: 'gracewatch',
    description: 'Records how the pods of a cluster really end, manages readiness gates, and cleans up finished pods.',
    type: 'application',
    version,
    appVersion: version,
    kubeVersion: `>=${OLDEST_KUBERNETES}`,
    keywords: ['pods', 'graceful shutdown', 'termination', 'readiness gates', 'cleanup'],
    annotations: { 'artifacthub.io/license': 'Apache-2.0' },
  }
}

const jsonSchema = (comment: string): object => ({
  $schema: 'http://json-schema.org/draft-07/schema#',
  $comment: comment,
  title: 'Values of the chart gracewatch',
  ...VALUES,
})

interface Definition {
  readonly metadata: { readonly name: string }
  readonly [field: string]: unknown
}

/** As a template, not in the folder crds/, which Helm never upgrades. */
function crdTemplate(definition: object): string {
  const { metadata, ...rest } = definition as Definition // a CustomResourceDefinition has a name
  const { apiVersion, kind, ...spec } = rest
  const yaml = (value: unknown) => stringify(value, { lineWidth: 120, blockQuote: 'literal' })
  const body = yaml(spec)
  if (body.includes('{{')) throw new Error(`${metadata.name}: a description has {{ in it, which Helm would take for its own`)
  return [
    '{{- if .Values.crds.enabled }}',
    yaml({ apiVersion, kind }).trimEnd(),
    'metadata:',
    `  name: ${metadata.name}`,
    '  labels:',
    '    {{- include "gracewatch.labels" (dict "root" $) | nindent 4 }}',
    '  {{- if .Values.crds.keep }}',
    '  annotations:',
    '    helm.sh/resource-policy: keep',
    '  {{- end }}',
    `${body}{{- end }}`,
    '',
  ].join('\n')
}

const childrenOf = ({ properties }: Schema): [string, Schema][] => Object.entries(properties ?? {})
/** A section holds other values; an object with a default is a value by itself. */
const isSection = (schema: Schema) => schema.properties !== undefined && schema.default === undefined
/** Only for charts that have this one as a dependency: they would be noise in the values of everybody else. */
const ofDependents = new Set(['enabled', 'global'])
const listed = (): [string, Schema][] => childrenOf(VALUES).filter(([name]) => !ofDependents.has(name))

function valuesYaml(head: string): string {
  const lines = [head, '', '# A value that is commented out has the default of the program, which stands behind it.', '']
  for (const [name, schema] of listed()) lines.push(...valueLines(name, schema, ''), '')
  return `${lines.join('\n').trimEnd()}\n`
}

function valueLines(name: string, schema: Schema, indent: string): string[] {
  const comment = wrapped((schema.description ?? '').match(/\S+/g) ?? [], WIDTH - indent.length - 2).map(
    (line) => `${indent}# ${line}`,
  )
  if (isSection(schema)) {
    const children = childrenOf(schema)
    const set = children.some(([, child]) => isSection(child) || child.default !== undefined)
    const inner = children.flatMap(([key, child]) => valueLines(key, child, `${indent}  `))
    return [...comment, `${indent}${name}:${set ? '' : ' {}'}`, ...inner]
  }
  if (schema.default === undefined) {
    const [example] = schema.examples ?? []
    return [...comment, `${indent}# ${name}:${example === undefined ? '' : ` ${JSON.stringify(example)}`}`]
  }
  const text = stringify({ [name]: schema.default }, { lineWidth: 0 }).trimEnd()
  return [...comment, ...text.split('\n').map((line) => `${indent}${line}`)]
}

function readme(note: string): string {
  const rows = listed().flatMap(([name, schema]) => tableRows(name, schema))
  return [
    '# The chart gracewatch',
    '',
    note,
    '',
    'Gracewatch tells how the pods of a cluster really end: the README of the project. Helm 4 or 3, Kubernetes 1.32 or later.',
    '',
    '```sh',
    'helm install gracewatch deploy/chart -n gracewatch-system --create-namespace',
    'helm install gracewatch deploy/chart -n gracewatch-system --create-namespace --set agent.enabled=true,gates.enabled=true',
    '```',
    '',
    '- One release a cluster: its cluster-wide objects have fixed names, and two controllers would both record every pod.',
    '- The CRDs are templates, so that an upgrade brings them up to date. Where `kubectl` installed them, `helm install` takes them over with',
    '  all objects in them by `--take-ownership --force-conflicts` (Helm 3 has and needs the first alone). With `crds.keep` they stay on',
    '  `helm uninstall`, and with them every record; the next install under the same name and in the same namespace takes them up again.',
    '- `helm uninstall` first runs a Job that stops the controller, takes the finalizers off gates and removes the Lease (`uninstallHook`).',
    '  An upgrade or a rollback to `gates.enabled: false` runs it last, for the finalizers alone. Gates hold pods that nobody opens any more',
    '  once the controller is gone or gates are off: delete them before. Where a step fails, the controller is started again, and the Job',
    '  `gracewatch-uninstall` stays, for its log. Where its image cannot be pulled any more, go without it, and remove what it has left:',
    '',
    '  ```sh',
    '  helm uninstall gracewatch -n gracewatch-system --no-hooks',
    '  kubectl delete job,serviceaccount,role,rolebinding gracewatch-uninstall -n gracewatch-system --ignore-not-found',
    '  kubectl delete clusterrole,clusterrolebinding gracewatch-uninstall --ignore-not-found',
    '  ```',
    '',
    '- Without Helm in the cluster: `helm template --no-hooks | kubectl apply -f -`. `helm template` alone prints the Jobs as well, which are no hooks',
    '  to `kubectl`: it starts them. The one that uninstalls then does nothing, since Helm has not installed the controller that it finds.',
    '  What such tools switch off or delete has no Job to run first: delete gates before.',
    '- Unknown and wrong values are refused, by values.schema.json. A chart that has this one as a dependency can hand down `global` and',
    '  `enabled`.',
    '- What is switched off leaves no rights behind: RBAC is cut to what is on.',
    '',
    '## Values',
    '',
    'Those under `settings`, and the like of gates, cleanup and agent, have no default in the chart: the program has it.',
    '',
    '| value | default | |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function tableRows(path: string, schema: Schema): string[] {
  const help = (schema.description ?? '').replaceAll('|', '\\|')
  if (isSection(schema)) return childrenOf(schema).flatMap(([name, child]) => tableRows(`${path}.${name}`, child))
  const [standard = schema.examples?.[0]] = [schema.default]
  const fallback = standard === undefined ? '' : `\`${JSON.stringify(standard)}\``
  const words = Array.isArray(schema.enum) ? ` One of ${schema.enum.map((word) => `\`${word}\``).join(', ')}.` : ''
  return [`| \`${path}\` | ${fallback} | ${help}${words} |`]
}
