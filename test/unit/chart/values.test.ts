/** The values of the chart: closed, described, the same in all generated files, and nothing of a setting left out. */
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { AGENT_SETTINGS } from '../../../src/agent/settings.ts'
import { CHART, chartFiles } from '../../../src/chart/files.ts'
import { type Schema, VALUES } from '../../../src/chart/values.ts'
import { SETTINGS } from '../../../src/settings.ts'

const files = chartFiles((source) => `from ${source}`)
const read = (name: string) => files.get(`${CHART}/${name}`) ?? ''

/** Every schema below this one, with its path. */
function* schemas(schema: Schema, path = ''): Generator<[string, Schema]> {
  yield [path, schema]
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    yield* schemas(child, path === '' ? name : `${path}.${name}`)
  if (schema.items !== undefined) yield* schemas(schema.items, `${path}[]`)
}
const all = [...schemas(VALUES)]
const METRICS_OWN = ['metrics-address', 'metrics-tls-cert-file', 'metrics-tls-key-file']

describe('the schema of the values', () => {
  it('is closed: an object takes what it names, or texts by any name, but for what the API server judges itself', () => {
    const open = all.filter(([, { type, additionalProperties }]) => type === 'object' && additionalProperties === undefined)
    const judged = ['nodeAffinity', 'podAffinity', 'podAntiAffinity']
    const ofMonitor = ['tlsConfig', 'relabelings[]', 'metricRelabelings[]']
    expect(open.map(([path]) => path)).toEqual([
      'global',
      ...judged.map((it) => `affinity.${it}`),
      'topologySpreadConstraints[].labelSelector',
      ...['namespaceSelector', 'podSelector', 'ipBlock'].map((it) => `networkPolicy.metricsFrom[].${it}`),
      ...ofMonitor.map((it) => `serviceMonitor.${it}`),
      ...judged.map((it) => `agent.affinity.${it}`),
    ])
  })

  it('has a type or words for every value', () => {
    expect(all.filter(([, { type, enum: words }]) => type === undefined && words === undefined)).toEqual([])
  })

  it('says of every value that a person sets what it is', () => {
    const silent = all.filter(([path, { description, default: standard, properties }]) => {
      const inside = /\[\]|requests|limits|(affinity|resources|severities)\./.test(path)
      return path !== '' && description === undefined && !inside && (properties === undefined || standard !== undefined)
    })
    expect(silent.map(([path]) => path)).toEqual([])
  })

  it('has only patterns that Helm can read', () => {
    const patterns = JSON.stringify(VALUES).match(/"pattern":"[^"]*"/g) ?? []
    expect(patterns.length).toBeGreaterThan(5)
    // RE2 looks neither ahead nor back, and remembers nothing.
    expect(patterns.filter((pattern) => /\(\?[=!<]|\\\\[1-9]/.test(pattern))).toEqual([])
  })

  it('has each setting of the programs once, but for those that the chart gives by itself', () => {
    const flags = (table: object) => Object.values(table).map(({ flag }: { flag: string }) => flag)
    const names = ({ properties = {} }: Schema = {}) => Object.keys(properties)
    const { settings, gates, cleanup, metrics, agent } = VALUES.properties ?? {}
    const dashed = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    const given = [
      ...names(settings),
      ...names(gates).map((name) => `gate-${name}`),
      ...names(cleanup).map((name) => `cleanup-${name}`),
      ...names(metrics).map((name) => `metrics-${name}`),
    ].map(dashed)
    const own = [
      'kubeconfig',
      'context',
      'gates',
      'cleanup',
      'lease-name',
      'agent-namespace',
      'namespace',
      'pod-name',
      'health-address',
      ...METRICS_OWN,
    ]
    const apart = (flag: string) => flag.startsWith('page-')
    expect(
      flags(SETTINGS)
        .filter((flag) => !given.includes(flag) && !apart(flag))
        .toSorted(),
    ).toEqual(own.toSorted())
    const ofAgent = [
      ...names(agent?.properties?.settings).map(dashed),
      'namespaces',
      'exclude-namespaces',
      'record-completions',
      'metrics-auth',
    ]
    const agentOwn = ['kubeconfig', 'context', 'node-name', 'tracing', 'records-namespace', 'health-address', ...METRICS_OWN]
    expect(
      flags(AGENT_SETTINGS)
        .filter((flag) => !ofAgent.includes(flag) && !apart(flag))
        .toSorted(),
    ).toEqual(agentOwn.toSorted())
  })
})

describe('the generated files', () => {
  /** Path -> default, of every value that has one. */
  const defaults = new Map(all.filter(([, { default: it }]) => it !== undefined).map(([path, { default: it }]) => [path, it]))

  it('values.yaml has every default of the schema, and no other value', () => {
    const found = new Map<string, unknown>()
    const collect = (value: unknown, path: string) => {
      if (defaults.has(path)) found.set(path, value)
      else if (value !== null && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length > 0) {
        for (const [name, child] of Object.entries(value)) collect(child, path === '' ? name : `${path}.${name}`)
      } else if (JSON.stringify(value) !== '{}') found.set(path, value)
    }
    collect(parse(read('values.yaml')), '')
    expect(found).toEqual(defaults)
  })

  it('values.yaml names the values that have their default in the program, as comments', () => {
    const text = read('values.yaml')
    for (const [path] of all.filter(([path]) => /^(settings|agent\.settings)\.\w+$/.test(path))) {
      expect(text).toMatch(new RegExp(`^ +# ${path.split('.').at(-1)}:`, 'm'))
    }
  })

  it('README.md has a row for every value, and none for another', () => {
    const rows = [...read('README.md').matchAll(/^\| `([\w.]+)` \|/gm)].map(([, path]) => path)
    const wanted = all
      .filter(([path, { properties, default: standard }]) => path !== '' && (properties === undefined || standard !== undefined))
      .map(([path]) => path)
      .filter((path) => !/\[\]|^(global|enabled)$|(resources|affinity|severities)\./.test(path))
    expect(rows).toEqual(wanted)
  })

  it('values.schema.json is the schema', () => {
    expect(JSON.parse(read('values.schema.json'))).toMatchObject({
      $schema: 'http://json-schema.org/draft-07/schema#',
      ...VALUES,
    })
  })

  it('Chart.yaml has the version of the package', async () => {
    const { default: manifest } = await import('../../../package.json', { with: { type: 'json' } })
    expect(parse(read('Chart.yaml'))).toMatchObject({ apiVersion: 'v2', version: manifest.version, appVersion: manifest.version })
  })
})
