/**
 * What a table of settings is made of, the same for every program: its rows, the kinds of values, and the texts made from it. Kinds
 * are small functions, not schemas of a library: the agent, which has to be small, reads its settings by them too.
 */

import { DURATION, parseDuration } from './core/duration.ts'
import { MILLISECOND } from './core/time.ts'
import { wrapped } from './wrap.ts'

const MAX_DURATION_MS = 10 * 365 * 24 * 3_600_000

/** What a text means, or what to write in its place. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string }

export interface Kind<T> {
  parse(text: string): Parsed<T>
  /** The same as JSON Schema, for a value that is not written as a text: in the values of the Helm chart. Absent where every text will do. */
  readonly schema?: Readonly<Record<string, unknown>>
  /** May be given several times; the texts are joined by commas. */
  readonly list?: true
}

export interface Setting<T = unknown> {
  /** Heading in `--help` and on the page. */
  readonly group: string
  /** Without the dashes; the environment variable is made from it. */
  readonly flag: string
  /** What stands for the value in `--help`; BOOL: the flag alone means true. */
  readonly value: string
  /** As a person would write it; it goes through the same kind. */
  readonly fallback: string
  /** Said in place of `fallback` where that is not the same everywhere. */
  readonly fallbackText?: string
  readonly help: string
  readonly kind: Kind<T>
}

export type Table = Readonly<Record<string, Setting>>
/** The values of a table, by its keys. */
export type Values<T extends Table> = Readonly<{ [K in keyof T]: T[K] extends Setting<infer V> ? V : never }>
export type Rows<K extends string = string> = readonly (readonly [K, Setting])[]

export const setting = <T>(row: Setting<T>): Setting<T> => row
export const rowsOf = <T extends Table>(table: T): Rows<keyof T & string> =>
  Object.entries(table) as [keyof T & string, Setting][] // Object.entries forgets the literal keys

const quote = (text: string) => `"${text}"`
const matching = (pattern: RegExp, problem: string): Kind<string> => ({
  parse: (text) => (pattern.test(text) ? { value: text } : { problem }),
  schema: { type: 'string', pattern: pattern.source },
})

/** A duration as Kubernetes writes it (`90s`, `1h`, `1h30m`, `1.5h`) -> milliseconds, whole. */
export const duration = (minimum: string, minimumMs: number): Kind<number> => ({
  parse(text) {
    if (/^\d+(\.\d+)?d$/.test(text))
      return { problem: `days are no unit here: write ${Math.ceil(Number.parseFloat(text) * 24)}h` }
    const micros = parseDuration(text)
    if (micros === undefined) return { problem: 'write a duration as 90s, 1h or 1h30m' }
    const sum = micros / MILLISECOND
    if (sum < minimumMs) return { problem: `too short: write ${minimum} or more` }
    if (sum > MAX_DURATION_MS) return { problem: 'too long: write 87600h (ten years) or less' }
    return { value: Math.round(sum) }
  },
  schema: { type: 'string', pattern: DURATION.source },
})

export const integer = (min: number, max: number): Kind<number> => ({
  parse(text) {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? { value } : { problem: `write a whole number from ${min} to ${max}` }
  },
  schema: { type: 'integer', minimum: min, maximum: max },
})

/** Undefined where it is not given. */
export const optionalInteger = (min: number, max: number): Kind<number | undefined> => ({
  ...integer(min, max),
  parse: (text) => (text === '' ? { value: undefined } : integer(min, max).parse(text)),
})

export const flagValue: Kind<boolean> = {
  parse: (text) => (text === 'true' || text === 'false' ? { value: text === 'true' } : { problem: 'write true or false' }),
  schema: { type: 'boolean' },
}

export const oneOf = <const T extends readonly [string, ...string[]]>(...words: T): Kind<T[number]> => ({
  parse(text) {
    const value = words.find((word): word is T[number] => word === text)
    return value === undefined ? { problem: `write one of ${words.join(', ')}` } : { value }
  },
  schema: { enum: words },
})

export const optionalText: Kind<string | undefined> = { parse: (text) => ({ value: text === '' ? undefined : text }) }
export const shortText: Kind<string> = {
  parse: (text) => (text.length <= 253 ? { value: text } : { problem: 'write at most 253 characters' }),
  schema: { type: 'string', maxLength: 253 },
}

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const NAMESPACE_RULE = 'write the name of a namespace: small letters, digits and dashes, at most 63'
export const namespaceName = matching(LABEL, NAMESPACE_RULE)
export const objectName = matching(
  /^[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?$/,
  'write an object name: small letters, digits and dashes',
)

export const namespaceList: Kind<readonly string[]> = {
  list: true,
  schema: { type: 'array', items: { type: 'string', pattern: LABEL.source }, uniqueItems: true },
  parse(text) {
    const names = text
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
    const wrong = names.filter((name) => !LABEL.test(name))
    if (wrong.length === 0) return { value: Object.freeze([...new Set(names)]) }
    return { problem: `${wrong.map(quote).join(', ')}: ${NAMESPACE_RULE}, several with commas between` }
  },
}

export interface ListenAddress {
  /** Absent: all addresses. */
  readonly host?: string
  readonly port: number
}

/** `:8081`, `127.0.0.1:8081`, `[::1]:8081` -> host (all addresses where it is empty) and port (0: one that is free). */
export const address: Kind<ListenAddress> = {
  parse(text) {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
    const port = Number(match?.[3])
    const host = match?.[1] ?? match?.[2] ?? ''
    if (match === null || port > 65_535) return { problem: 'write host:port, or :port for all addresses, as :8081' }
    return { value: Object.freeze(host === '' ? { port } : { host, port }) }
  },
}

/** Undefined where it is not given: nothing listens. */
export const optionalAddress: Kind<ListenAddress | undefined> = {
  parse: (text) => (text === '' ? { value: undefined } : address.parse(text)),
}

/** How a program gets to the API server. */
export const connectionOf = (program: string) => ({
  kubeconfig: setting({
    group: 'Connection',
    flag: 'kubeconfig',
    value: 'FILE',
    fallback: '',
    fallbackText: "the pod's service account",
    help: `Kubeconfig file to connect with. Without it ${program} has to run in the cluster.`,
    kind: optionalText,
  }),
  context: setting({
    group: 'Connection',
    flag: 'context',
    value: 'NAME',
    fallback: '',
    fallbackText: 'its current context',
    help: 'Context of the kubeconfig file to use.',
    kind: optionalText,
  }),
})

export const LOG_LEVEL = {
  logLevel: setting({
    group: 'Process',
    flag: 'log-level',
    value: 'LEVEL',
    fallback: 'info',
    help: 'Least severe level that is logged: trace, debug, info, warn, error or fatal.',
    kind: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
  }),
} as const

/** Of the metrics port, the same for every program. */
export const METRICS_PORT = {
  metricsAddress: setting({
    group: 'Metrics',
    flag: 'metrics-address',
    value: 'HOST:PORT',
    fallback: '',
    fallbackText: 'none: no metrics are served',
    help: 'Where /metrics is served, over HTTPS.',
    kind: optionalAddress,
  }),
  metricsTlsCertFile: setting({
    group: 'Metrics',
    flag: 'metrics-tls-cert-file',
    value: 'FILE',
    fallback: '',
    fallbackText: 'one of its own making, in memory',
    help: 'Certificate of the metrics port in PEM, with those between it and its CA. It is read again when it changes.',
    kind: optionalText,
  }),
  metricsTlsKeyFile: setting({
    group: 'Metrics',
    flag: 'metrics-tls-key-file',
    value: 'FILE',
    fallback: '',
    fallbackText: 'that of its own certificate',
    help: 'Private key of that certificate, in PEM.',
    kind: optionalText,
  }),
  metricsAuth: setting({
    group: 'Metrics',
    flag: 'metrics-auth',
    value: 'BOOL',
    fallback: 'true',
    help: 'Ask the API server whose token it is and whether its owner may get /metrics. Without this, everybody who reaches the port may.',
    kind: flagValue,
  }),
} as const

export const ENV_PREFIX = 'GRACEWATCH_'
export const envName = (flag: string) => `${ENV_PREFIX}${flag.toUpperCase().replaceAll('-', '_')}`

/** `--help`, for a terminal of 100 columns. `title`: the program and what it does, in one line. */
export function settingsHelp(title: string, rows: Rows): string {
  const lines = [title, '', 'Each setting is a flag (--name=value) or an environment variable; the flag goes first.']
  let group = ''
  for (const [, row] of rows) {
    if (row.group !== group) lines.push('', `${row.group}:`)
    group = row.group
    lines.push(`  --${row.flag}=${row.value}`.padEnd(44) + envName(row.flag))
    lines.push(
      ...wrapped(`${row.help} (default: ${row.fallbackText ?? row.fallback})`.split(' '), 92).map((line) => `      ${line}`),
    )
  }
  return `${lines.join('\n')}\n`
}

/** One Markdown table a group, each below its heading. */
export function settingsTables(rows: Rows): string[] {
  const lines: string[] = []
  let group = ''
  for (const [, row] of rows) {
    if (row.group !== group) lines.push('', `## ${row.group}`, '', '| flag | environment | default | |', '|---|---|---|---|')
    group = row.group
    const fallback = row.fallbackText ?? `\`${row.fallback}\``
    lines.push(`| \`--${row.flag}=${row.value}\` | \`${envName(row.flag)}\` | ${fallback} | ${row.help} |`)
  }
  return lines
}
