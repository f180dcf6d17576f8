/**
 * Reads settings by their table (src/settings.ts, src/agent/settings.ts). A flag goes before its environment variable, that before the
 * default; an empty value counts as not given. This is the only file that reads the environment.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { nearest } from './nearest.ts'
import { helpText, type Key, ROWS, SETTINGS } from './settings.ts'
import { ENV_PREFIX, envName, type Rows, type Setting, type Table, type Values } from './settings-table.ts'

const SERVICE_ACCOUNT_NAMESPACE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace'

type Environment = Readonly<Record<string, string | undefined>>

/** The API server's address as the kubelet gives it to every pod. */
export interface InClusterAddress {
  readonly host: string
  readonly port: string
}

/** All settings, checked. Names that end in Ms are whole milliseconds. */
export type Config = Configured<typeof SETTINGS>
export type Configured<T extends Table> = Values<T> & {
  /** Where to connect if there is no kubeconfig. */
  readonly inCluster: InClusterAddress | undefined
}

/** Warnings and problems are sentences. */
export type ParsedConfig<C = Config> =
  | { readonly config: C; readonly warnings: readonly string[] }
  /** All that is wrong. */
  | { readonly problems: readonly string[] }
  /** The text to print. */
  | { readonly help: string }

const quote = (text: string) => `"${text}"`
const isBoolean = (row: Setting) => row.value === 'BOOL'

/** A program's table, and what only the program knows of it. */
export interface SettingsOf<T extends Table> {
  readonly rows: Rows<keyof T & string>
  /** What `--help` prints. */
  readonly help: () => string
  /** Defaults that are not the same everywhere, by key. */
  readonly computed?: Readonly<Partial<Record<keyof T, string | undefined>>>
  /** What each value allows but all together do not, as sentences. Values that were wrong by themselves are absent. */
  readonly contradictions?: (values: Partial<Values<T>>) => readonly string[]
}

/**
 * Reads flags and environment of the controller. Only what the operating system says of this pod (its namespace file, its host name)
 * is read beside the two arguments; `readText` gives undefined for a file that is not there.
 */
export function parseConfig(
  argv: readonly string[] = process.argv.slice(2),
  env: Environment = process.env,
  readText: (path: string) => string | undefined = readOptional,
): ParsedConfig {
  const computed: Partial<Record<Key, string | undefined>> = {
    namespace: readText(SERVICE_ACCOUNT_NAMESPACE)?.trim(),
    podName: hostname(),
  }
  return readSettings<typeof SETTINGS>({ rows: ROWS, help: helpText, computed, contradictions }, argv, env)
}

/** Reads flags and environment by a table that has the setting kubeconfig. */
export function readSettings<T extends Table>(
  { rows, help, computed, contradictions = () => [] }: SettingsOf<T>,
  argv: readonly string[] = process.argv.slice(2),
  env: Environment = process.env,
): ParsedConfig<Configured<T>> {
  if (argv.includes('--help') || argv.includes('-h')) return { help: help() }
  const problems: string[] = []
  const given = readFlags(argv, rows, problems)
  const values: Partial<Record<keyof T, unknown>> = {}
  for (const [key, row] of rows) {
    const flag = given.get(row.flag) ?? ''
    const variable = env[envName(row.flag)] ?? ''
    const [text, where] = flag !== '' ? [flag, `--${row.flag}`] : [variable, envName(row.flag)]
    const parsed = row.kind.parse(text !== '' ? text : computed?.[key] || row.fallback)
    if ('value' in parsed) values[key] = parsed.value
    else problems.push(`${where}=${quoteIfNeeded(text)}: ${parsed.problem}`)
  }
  problems.push(...contradictions(values as Partial<Values<T>>)) // each value came from its own row's kind
  const inCluster = inClusterAddress(env)
  if (!given.get('kubeconfig') && !env[envName('kubeconfig')] && inCluster === undefined)
    problems.push('not in a cluster (KUBERNETES_SERVICE_HOST is not set) and no kubeconfig: write --kubeconfig=FILE')
  if (problems.length > 0) return { problems }
  const config = Object.freeze({ ...values, inCluster }) as Configured<T> // every row has put its value
  return { config, warnings: unknownVariables(env, rows) }
}

function inClusterAddress(env: Environment): InClusterAddress | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  return host ? Object.freeze({ host, port: port || '443' }) : undefined
}

function readFlags(argv: readonly string[], table: Rows, problems: string[]): Map<string, string> {
  const rows = new Map(table.map(([, row]) => [row.flag, row]))
  const given = new Map<string, string>()
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? ''
    const match = /^--([^=]+)(?:=(.*))?$/s.exec(word)
    if (match === null) {
      problems.push(`unexpected argument ${quote(word)}: settings are given as --name=value (see --help)`)
      continue
    }
    const [, name = '', inline] = match
    const row = rows.get(name)
    if (row === undefined) {
      const meant = flagMeant(name, rows)
      problems.push(`unknown flag --${name}: ${meant?.advice ?? 'see --help for those there are'}`)
      // The value of a misspelt flag is no argument of its own.
      if (inline === undefined && meant?.row.value !== 'BOOL' && argv[index + 1]?.startsWith('-') === false) index++
      continue
    }
    let value = inline
    const next = argv[index + 1]
    if (value === undefined && isBoolean(row)) {
      value = 'true'
      if (next === 'true' || next === 'false') {
        value = next
        index++
      }
    } else if (value === undefined) {
      if (next === undefined || next.startsWith('--')) {
        problems.push(`--${name} has no value: write --${name}=${row.value}`)
        continue
      }
      value = next
      index++
    }
    const before = given.get(name)
    if (before === undefined) given.set(name, value)
    else if (row.kind.list) given.set(name, `${before},${value}`)
    else problems.push(`--${name} is given twice (${quoteIfNeeded(before)} and ${quoteIfNeeded(value)}): leave one`)
  }
  return given
}

function flagMeant(name: string, rows: ReadonlyMap<string, Setting>): { row: Setting; advice: string } | undefined {
  const negated = name.startsWith('no-') ? rows.get(name.slice(3)) : undefined
  if (negated !== undefined && isBoolean(negated)) return { row: negated, advice: `write --${negated.flag}=false` }
  const row = rows.get(nearest(name.toLowerCase().replaceAll('_', '-'), [...rows.keys()]) ?? '')
  return row && { row, advice: `did you mean --${row.flag}?` }
}

/** What each value allows but both together do not. */
function contradictions(config: Partial<Config>): string[] {
  const found: string[] = []
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs, maxRecords, maxRecordsPerNamespace } = config
  if (config.context !== undefined && config.kubeconfig === undefined)
    found.push('--context is given without --kubeconfig: name the file that has this context, or leave --context out')
  if (leaseDurationMs !== undefined && leaseDurationMs % 1000 !== 0)
    found.push('--lease-duration: a Lease holds whole seconds: write 15s, not a part of a second')
  if (leaseDurationMs !== undefined && renewDeadlineMs !== undefined && renewDeadlineMs >= leaseDurationMs)
    found.push('--renew-deadline has to be shorter than --lease-duration: the leader must stop before another may start')
  if (renewDeadlineMs !== undefined && retryPeriodMs !== undefined && retryPeriodMs * 2 > renewDeadlineMs)
    found.push('--retry-period has to be at most half of --renew-deadline: one failed renewal must not cost the leadership')
  if (maxRecords !== undefined && maxRecordsPerNamespace !== undefined && maxRecordsPerNamespace > maxRecords)
    found.push('--records-per-namespace is more than --records-total: raise the total or lower the other')
  const threshold = (['cleanupTotal', 'cleanupPerNamespace'] as const).find((key) => config[key] !== undefined)
  if (threshold !== undefined && config.cleanup === false)
    found.push(`--${SETTINGS[threshold].flag} is given without --cleanup: add --cleanup, or nothing is deleted`)
  return [...found, ...keyPairProblem(config), ...namespacesInBoth(config)]
}

/** A certificate without its key, or a key without its certificate: for the controller and the agent. */
export function keyPairProblem({ metricsTlsCertFile: cert, metricsTlsKeyFile: key }: KeyPairFiles): string[] {
  if ((cert === undefined) === (key === undefined)) return []
  const [given, lacking] = cert === undefined ? ['key', 'cert'] : ['cert', 'key']
  return [`--metrics-tls-${given}-file is given without --metrics-tls-${lacking}-file: give both, or leave both out`]
}

interface KeyPairFiles {
  readonly metricsTlsCertFile?: string | undefined
  readonly metricsTlsKeyFile?: string | undefined
}

/** A namespace that is wanted and left out: for the controller and the agent. */
export function namespacesInBoth({ namespaces = [], excludeNamespaces = [] }: Namespaces): string[] {
  const both = namespaces.filter((name) => excludeNamespaces.includes(name))
  return both.length === 0
    ? []
    : [`${both.map(quote).join(', ')} stands in --namespaces and in --exclude-namespaces: take it out of one`]
}

interface Namespaces {
  readonly namespaces?: readonly string[] | undefined
  readonly excludeNamespaces?: readonly string[] | undefined
}

/** A misspelt variable would be silently without effect. Those that Kubernetes adds for a Service of our name are left out. */
function unknownVariables(env: Environment, rows: Rows): string[] {
  const known = rows.map(([, row]) => envName(row.flag))
  return Object.keys(env)
    .filter((name) => name.startsWith(ENV_PREFIX) && !known.includes(name) && !/_(SERVICE_(HOST|PORT)|PORT)(_|$)/.test(name))
    .flatMap((name) => {
      const near = nearest(name, known)
      return near === undefined ? [] : [`${name} is no setting and has no effect: did you mean ${near}?`]
    })
}

const quoteIfNeeded = (text: string) => (/^[\w:.,/@%+-]+$/.test(text) ? text : JSON.stringify(text))

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // not in a pod
  }
}
