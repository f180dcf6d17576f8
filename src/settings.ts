/** The settings of the controller: the one table that parsing, `--help` and docs/settings.md are made from. */
import { z } from 'zod'

const MAX_DURATION_MS = 10 * 365 * 24 * 3_600_000

export interface Setting<S extends z.ZodType = z.ZodType> {
  readonly group: 'Connection' | 'Scope' | 'Records' | 'Leader election' | 'Process'
  /** Without the dashes; the environment variable is made from it. */
  readonly flag: string
  /** What stands for the value in `--help`. */
  readonly value: string
  /** As a person would write it; it goes through the same schema. */
  readonly fallback: string
  /** Said in place of `fallback` where that is not the same everywhere. */
  readonly fallbackText?: string
  readonly help: string
  readonly schema: S
}
const setting = <S extends z.ZodType>(row: Setting<S>) => row

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A duration as Kubernetes writes it (`90s`, `1h`, `1h30m`, `1.5h`) -> milliseconds, whole. */
const duration = (minimum: string, minimumMs: number) =>
  z.string().transform((text, ctx) => {
    const fail = (message: string) => {
      ctx.addIssue({ code: 'custom', message })
      return z.NEVER
    }
    if (/^\d+(\.\d+)?d$/.test(text)) return fail(`days are no unit here: write ${Math.ceil(Number.parseFloat(text) * 24)}h`)
    if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return fail('write a duration as 90s, 1h or 1h30m')
    let sum = 0
    for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) sum += Number(count) * (UNIT_MS[unit ?? ''] ?? 0)
    if (sum < minimumMs) return fail(`too short: write ${minimum} or more`)
    if (sum > MAX_DURATION_MS) return fail('too long: write 87600h (ten years) or less')
    return Math.round(sum)
  })

const integer = (min: number, max: number) =>
  z.string().transform((text, ctx) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (number >= min && number <= max) return number
    ctx.addIssue({ code: 'custom', message: `write a whole number from ${min} to ${max}` })
    return z.NEVER
  })

const flagValue = z.string().transform((text, ctx) => {
  if (text === 'true' || text === 'false') return text === 'true'
  ctx.addIssue({ code: 'custom', message: 'write true or false' })
  return z.NEVER
})

const oneOf = <const T extends readonly [string, ...string[]]>(...words: T) =>
  z.enum(words, { error: () => `write one of ${words.join(', ')}` })

const optionalText = z.string().transform((text) => (text === '' ? undefined : text))

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const NAMESPACE_RULE = 'write the name of a namespace: small letters, digits and dashes, at most 63'
const namespaceName = z.string().regex(LABEL, NAMESPACE_RULE)

export const namespaceList = z.string().transform((text, ctx): readonly string[] => {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const wrong = names.filter((name) => !LABEL.test(name))
  if (wrong.length === 0) return Object.freeze([...new Set(names)])
  ctx.addIssue({ code: 'custom', message: `${wrong.map(quote).join(', ')}: ${NAMESPACE_RULE}, several with commas between` })
  return z.NEVER
})

/** `:8081`, `127.0.0.1:8081`, `[::1]:8081` -> host (all addresses where it is empty) and port (0: any free one). */
const address = z.string().transform((text, ctx) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2] ?? ''
  if (match !== null && port <= 65_535) return Object.freeze({ ...(host === '' ? {} : { host }), port }) as ListenAddress // the spread loses the optional key
  ctx.addIssue({ code: 'custom', message: 'write host:port, or :port for all addresses, as :8081' })
  return z.NEVER
})

export interface ListenAddress {
  /** Absent: all addresses. */
  readonly host?: string
  readonly port: number
}

export const SETTINGS = {
  kubeconfig: setting({
    group: 'Connection',
    flag: 'kubeconfig',
    value: 'FILE',
    fallback: '',
    fallbackText: "the pod's service account",
    help: 'Kubeconfig file to connect with. Without it the controller has to run in the cluster.',
    schema: optionalText,
  }),
  context: setting({
    group: 'Connection',
    flag: 'context',
    value: 'NAME',
    fallback: '',
    fallbackText: 'its current context',
    help: 'Context of the kubeconfig file to use.',
    schema: optionalText,
  }),
  namespaces: setting({
    group: 'Scope',
    flag: 'namespaces',
    value: 'NAME,…',
    fallback: '',
    fallbackText: 'all',
    help: 'Record terminations in these namespaces only.',
    schema: namespaceList,
  }),
  excludeNamespaces: setting({
    group: 'Scope',
    flag: 'exclude-namespaces',
    value: 'NAME,…',
    fallback: '',
    fallbackText: 'none',
    help: 'Leave these namespaces out.',
    schema: namespaceList,
  }),
  record: setting({
    group: 'Records',
    flag: 'record',
    value: 'WHICH',
    fallback: 'All',
    help:
      'All: a record for every termination. Abnormal: only for those with a finding of severity Warning or an outcome of ' +
      'ForcedKill, OOMKilled, Killed, Lost, Failed or Unknown.',
    schema: oneOf('All', 'Abnormal'),
  }),
  recordCompletions: setting({
    group: 'Records',
    flag: 'record-completions',
    value: 'BOOL',
    fallback: 'false',
    help: 'Also record pods that ran to their end and Succeeded with nobody stopping them, as those of Jobs do.',
    schema: flagValue,
  }),
  gracefulRetentionMs: setting({
    group: 'Records',
    flag: 'retention-graceful',
    value: 'DURATION',
    fallback: '1h',
    help: 'How long a record is kept whose outcome is Graceful, Signalled or NeverStarted and that has no Warning.',
    schema: duration('1s', 1000),
  }),
  abnormalRetentionMs: setting({
    group: 'Records',
    flag: 'retention-abnormal',
    value: 'DURATION',
    fallback: '168h',
    help: 'How long all other records are kept.',
    schema: duration('1s', 1000),
  }),
  maxRecordsPerNamespace: setting({
    group: 'Records',
    flag: 'records-per-namespace',
    value: 'COUNT',
    fallback: '1000',
    help: 'Records kept in one namespace; past that the oldest go, graceful ones first.',
    schema: integer(1, 100_000),
  }),
  maxRecords: setting({
    group: 'Records',
    flag: 'records-total',
    value: 'COUNT',
    fallback: '20000',
    help: 'Records kept in the whole cluster; past that the oldest go, graceful ones first.',
    schema: integer(1, 1_000_000),
  }),
  catchUpMs: setting({
    group: 'Records',
    flag: 'catch-up',
    value: 'DURATION',
    fallback: '1h',
    help: 'How far back terminations are reconstructed that happened while no controller ran; 0s: not at all.',
    schema: duration('0s', 0),
  }),
  events: setting({
    group: 'Records',
    flag: 'events',
    value: 'BOOL',
    fallback: 'true',
    help: 'Write Kubernetes Events on the pod and its workload for forced kills and for findings of severity Warning.',
    schema: flagValue,
  }),
  writeConcurrency: setting({
    group: 'Records',
    flag: 'write-concurrency',
    value: 'COUNT',
    fallback: '8',
    help: 'Records written at the same time.',
    schema: integer(1, 64),
  }),
  writesPerSecond: setting({
    group: 'Records',
    flag: 'writes-per-second',
    value: 'COUNT',
    fallback: '100',
    help: 'Records written in a second at most, averaged over a second; what is over waits.',
    schema: integer(1, 10_000),
  }),
  deletesPerSecond: setting({
    group: 'Records',
    flag: 'deletes-per-second',
    value: 'COUNT',
    fallback: '10',
    help: 'Old records deleted in a second at most.',
    schema: integer(1, 1000),
  }),
  leaseName: setting({
    group: 'Leader election',
    flag: 'lease-name',
    value: 'NAME',
    fallback: 'gracewatch-controller',
    help: "Lease, in the controller's own namespace, whose holder is the one that writes.",
    schema: z.string().regex(/^[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?$/, 'write an object name: small letters, digits and dashes'),
  }),
  leaseDurationMs: setting({
    group: 'Leader election',
    flag: 'lease-duration',
    value: 'DURATION',
    fallback: '15s',
    help: 'How long a standby waits after the last renewal that it saw before it takes the Lease over; whole seconds.',
    schema: duration('2s', 2000),
  }),
  renewDeadlineMs: setting({
    group: 'Leader election',
    flag: 'renew-deadline',
    value: 'DURATION',
    fallback: '10s',
    help: 'How long the leader goes on writing after its last renewal; less than lease-duration.',
    schema: duration('1s', 1000),
  }),
  retryPeriodMs: setting({
    group: 'Leader election',
    flag: 'retry-period',
    value: 'DURATION',
    fallback: '2s',
    help: 'How often the leader renews and a standby looks.',
    schema: duration('100ms', 100),
  }),
  namespace: setting({
    group: 'Process',
    flag: 'namespace',
    value: 'NAME',
    fallback: 'gracewatch-system',
    fallbackText: "the service account's namespace, else gracewatch-system",
    help: "The controller's own namespace: for its Lease, and for records of namespaces that are being deleted.",
    schema: namespaceName,
  }),
  podName: setting({
    group: 'Process',
    flag: 'pod-name',
    value: 'NAME',
    fallback: '',
    fallbackText: 'the host name',
    help: 'Name of this replica in the Lease and in the log.',
    schema: z.string().max(253, 'write at most 253 characters'),
  }),
  healthAddress: setting({
    group: 'Process',
    flag: 'health-address',
    value: 'HOST:PORT',
    fallback: ':8081',
    help: 'Where /livez and /readyz are served.',
    schema: address,
  }),
  logLevel: setting({
    group: 'Process',
    flag: 'log-level',
    value: 'LEVEL',
    fallback: 'info',
    help: 'Least severe level that is logged: trace, debug, info, warn, error or fatal.',
    schema: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
  }),
} as const

export type Key = keyof typeof SETTINGS
export const ROWS: readonly (readonly [Key, Setting])[] = Object.entries(SETTINGS) as [Key, Setting][] // Object.entries forgets the literal keys

export const ENV_PREFIX = 'GRACEWATCH_'
export const envName = (flag: string) => `${ENV_PREFIX}${flag.toUpperCase().replaceAll('-', '_')}`
const quote = (text: string) => `"${text}"`
const defaultOf = (row: Setting) => row.fallbackText ?? row.fallback

/** `--help`, for a terminal of 100 columns. */
export function helpText(): string {
  const lines = [
    'gracewatch-controller: records how the pods of a cluster really end.',
    '',
    'Each setting is a flag (--name=value) or an environment variable; the flag goes first.',
  ]
  let group = ''
  for (const [, row] of ROWS) {
    if (row.group !== group) lines.push('', `${row.group}:`)
    group = row.group
    lines.push(`  --${row.flag}=${row.value}`.padEnd(44) + envName(row.flag))
    lines.push(...wrap(`${row.help} (default: ${defaultOf(row)})`, 92).map((line) => `      ${line}`))
  }
  return `${lines.join('\n')}\n`
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** docs/settings.md. */
export function settingsPage(): string {
  const lines = [
    '# Settings',
    '',
    'Generated from `src/settings.ts` by `npm run generate`: edit that, not this.',
    '',
    'Each setting of the controller is a flag or an environment variable; the flag goes first.',
    'An empty value counts as not given. Durations are written as Kubernetes writes them: `90s`, `1h`, `1h30m`.',
  ]
  let group = ''
  for (const [, row] of ROWS) {
    if (row.group !== group) lines.push('', `## ${row.group}`, '', '| flag | environment | default | |', '|---|---|---|---|')
    group = row.group
    const fallback = row.fallbackText ?? `\`${row.fallback}\``
    lines.push(`| \`--${row.flag}=${row.value}\` | \`${envName(row.flag)}\` | ${fallback} | ${row.help} |`)
  }
  return `${lines.join('\n')}\n`
}
