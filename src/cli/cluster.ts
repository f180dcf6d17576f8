/** Records out of a cluster, and what to tell a person where there are none. */
import { GROUP, type PodTermination } from '../api/pod-termination.ts'
import { labelSelectorOf, selects } from '../core/record-filter.ts'
import { type Micros, parseTime } from '../core/time.ts'
import { createRecordClient, type RecordClient, type StoredPodTermination } from '../kube/apply.ts'
import { openConnection } from '../kube/connection.ts'
import { KubeError } from '../kube/errors.ts'
import type { KubeHttp } from '../kube/http.ts'
import { CommandError, UsageError } from './arguments.ts'
import type { Chosen } from './filters.ts'
import { recordOf } from './records.ts'

export const CLUSTER_FLAGS = {
  namespace: { short: 'n', value: 'NAMESPACE', help: 'Namespace; without it that of the kubeconfig context.' },
  context: { value: 'NAME', help: 'Context of the kubeconfig; without it the current one.' },
  kubeconfig: { value: 'FILE', help: 'Kubeconfig; without it $KUBECONFIG or ~/.kube/config.' },
} as const

export const ALL_NAMESPACES = { 'all-namespaces': { short: 'A', help: 'The terminations of every namespace.' } } as const

/** Whether -A was given; throws UsageError where -n was as well. */
export function everywhereOf(flags: { readonly 'all-namespaces'?: true; readonly namespace?: string }): boolean {
  if (flags['all-namespaces'] !== true) return false
  if (flags.namespace !== undefined) throw new UsageError('-A is every namespace and -n is one: leave one of them out')
  return true
}

export interface ClusterFlags {
  readonly namespace?: string
  readonly context?: string
  readonly kubeconfig?: string
}

export interface ClusterAccess {
  readonly http: KubeHttp
  readonly records: RecordClient
  readonly namespace: string
  /** The present on the API server's clock, as near as a laptop can know it. */
  now(): Micros
  /** The API server's clock less this machine's, in microseconds; 0 where they may be the same. */
  skew(): Micros
}

const PLURAL = 'podterminations'

/** Above this the laptop's clock and the API server's are apart; below it, the whole seconds of a Date header prove nothing. */
const SKEW = 1_500_000

/** Runs `use` with a connection that is closed after it. KubeErrors become a line that says what to do. */
export async function withCluster<T>(flags: ClusterFlags, use: (access: ClusterAccess) => Promise<T>): Promise<T> {
  const { kubeconfig, context } = flags
  const connection = await openConnection({ kubeconfig, context }).catch((error: unknown) => {
    throw new CommandError(error instanceof Error ? error.message : String(error))
  })
  let skew: Micros = 0
  connection.http.onResponse(({ date }) => {
    if (date === undefined) return
    const served = parseTime(isoOf(date.text))
    if (served !== undefined) skew = Math.abs(served - date.receivedAt) > SKEW ? served - date.receivedAt : 0
  })
  try {
    const namespace = flags.namespace ?? connection.namespace
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace))
      throw new UsageError(`-n ${namespace}: this cannot be the name of a namespace`)
    return await use({
      http: connection.http,
      records: createRecordClient({ http: connection.http }),
      namespace,
      now: () => Date.now() * 1000 + skew,
      skew: () => skew,
    })
  } catch (error) {
    if (error instanceof KubeError) throw new CommandError(`${error.message}${adviceFor(error, connection.describe())}`)
    throw error
  } finally {
    await connection.http.close()
  }
}

function isoOf(date: string): string | undefined {
  const millis = Date.parse(date)
  return Number.isNaN(millis) ? undefined : new Date(millis).toISOString()
}

function adviceFor({ code, message }: KubeError, where: string): string {
  switch (code) {
    case 'NotFound':
      return message.includes(PLURAL)
        ? `. ${where} has no PodTermination records: is Gracewatch installed there? gracewatch trace needs nothing installed.`
        : ''
    case 'Forbidden':
      if (!message.includes(PLURAL)) return ''
      return `. Ask for the right to get and list ${PLURAL}.${GROUP}; the ClusterRole view includes it.`
    case 'Unauthorized':
      return `. ${where} does not accept these credentials: log in again.`
    case 'Network':
    case 'Timeout':
      return `. Is ${where} reachable from here?`
    default:
      return ''
  }
}

/** All records of a selection, the earliest start first. */
export async function readAll(
  records: RecordClient,
  selection: { namespace?: string; fieldSelector?: string; labelSelector?: string },
): Promise<StoredPodTermination[]> {
  const all: StoredPodTermination[] = []
  for await (const record of records.list(selection)) all.push(record)
  const started = ({ startedAt, metadata }: StoredPodTermination) => parseTime(startedAt ?? metadata.creationTimestamp) ?? 0
  return all.sort((a, b) => started(a) - started(b))
}

/**
 * Those that the flags choose, the earliest start first, as they are stored: what a newer version wrote is for other programs all the same.
 * Without a namespace, of all.
 */
export async function readChosen(
  { records, now }: ClusterAccess,
  namespace: string | undefined,
  chosen: Chosen,
): Promise<StoredPodTermination[]> {
  const labelSelector = labelSelectorOf(chosen.filterAt(now()))
  const all = await readAll(records, {
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
  })
  // The server's clock is known once it has answered.
  const filter = chosen.filterAt(now())
  return all.filter((record) => selects(filter, record))
}

/** As this version knows them; throws CommandError that names the first which it does not. */
export const knownOf = (stored: readonly StoredPodTermination[]): PodTermination[] =>
  stored.map((record) => recordOf(record, `record ${record.metadata.namespace}/${record.metadata.name}`))
