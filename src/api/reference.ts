/** The reference page of a kind (Markdown), from the same schema as its CRD. */
import { type CustomResource, type StructuralSchema, structuralSchema } from './crd.ts'
import { API_VERSION } from './pod-termination.ts'

/** `note`: the line that says where the page comes from. Fields stand in one table an object, in the order of the schema. */
export function referencePage(resource: CustomResource, note: string): string {
  const schema = structuralSchema(resource.schema, resource.kind)
  const lines = [
    `# ${resource.kind}`,
    '',
    `<!-- ${note} -->`,
    '',
    schema.description ?? '',
    '',
    `\`apiVersion: ${API_VERSION}\`, \`kind: ${resource.kind}\`, namespaced. \`kubectl get ${resource.shortName}\` lists them;` +
      ` \`kubectl explain ${resource.kind.toLowerCase()} --recursive\` shows this page in the terminal.`,
    '',
    '## Columns of `kubectl get`',
    '',
    '| Column | Field | Meaning |',
    '|---|---|---|',
    ...resource.columns.map(({ name, jsonPath, description, priority }) =>
      row([name.toUpperCase(), `\`${jsonPath}\``, description + (priority === 1 ? ' Only with `-o wide`.' : '')]),
    ),
    '',
    '## Fields that can be selected by',
    '',
    `With \`--field-selector\`, for example \`kubectl get ${resource.shortName} -A --field-selector ${example(resource)}\`:`,
    '',
    ...resource.selectableFields.map((path) => `- \`${path.slice(1)}\``),
    '',
    ...rules(schema),
    '## Fields',
    '',
    'A time is a string as RFC 3339 has it, in UTC. A field with `*` is required.',
    ...tables(schema, ''),
  ]
  return `${lines.join('\n')}\n`
}

function example(resource: CustomResource): string {
  const path = resource.selectableFields.find((field) => field === '.outcome') ?? resource.selectableFields[0] ?? ''
  const value = resource.schema.shape[path.slice(1)] === undefined ? 'VALUE' : 'ForcedKill'
  return `${path.slice(1)}=${value}`
}

function rules(schema: StructuralSchema): string[] {
  const found: string[] = []
  const walk = (node: StructuralSchema) => {
    for (const rule of node['x-kubernetes-validations'] ?? []) found.push(`- ${rule.message ?? rule.rule}`)
    for (const property of Object.values(node.properties ?? {})) walk(property)
    if (node.items !== undefined) walk(node.items)
  }
  walk(schema)
  return found.length === 0 ? [] : ['## Rules that the API server enforces', '', ...found, '']
}

/** The table of an object, then those of the objects inside it. */
function tables(node: StructuralSchema, path: string): string[] {
  const properties = Object.entries(node.properties ?? {})
  const lines = [
    '',
    ...(path === '' ? [] : [`### ${path}`, '', node.description ?? '', '']),
    '| Field | Type | Meaning |',
    '|---|---|---|',
    ...properties.map(([name, property]) =>
      row([
        `\`${name}\`${node.required?.includes(name) ? ' \\*' : ''}`,
        typeOf(property),
        (property.description ?? '').replaceAll(/\n - (\w+):/g, '<br>`$1`:').replaceAll('\n', ' '),
      ]),
    ),
  ]
  for (const [name, property] of properties) {
    const below = path === '' ? name : `${path}.${name}`
    if (property.properties !== undefined) lines.push(...tables(property, below))
    if (property.items?.properties !== undefined)
      lines.push(...tables({ ...property.items, description: property.description ?? '' }, `${below}[]`))
  }
  return lines
}

function typeOf(node: StructuralSchema): string {
  if (node.enum !== undefined) return 'one of the values'
  switch (node.type) {
    case 'array': {
      const key = node['x-kubernetes-list-map-keys']
      return `list, at most ${node.maxItems}${key === undefined ? '' : `, each \`${key.join('`, `')}\` once`}`
    }
    case 'string':
      return node.format === 'date-time' ? 'time' : `string, at most ${node.maxLength} characters`
    case 'integer':
      return node.maximum === undefined || node.maximum >= Number.MAX_SAFE_INTEGER
        ? `integer, ${node.minimum} or more`
        : `integer, ${node.minimum} to ${node.maximum}`
    default:
      return node.type ?? ''
  }
}

const row = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
