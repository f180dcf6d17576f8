/** What a list shows of a record: small enough to hold tens of thousands of them. */
import { OUTCOMES, type Outcome, STATES } from '../api/pod-termination.ts'
import { type Micros, parseTime } from '../core/time.ts'
import {
  asObject,
  compact,
  intern,
  listOf,
  metadataOf,
  optionalInteger,
  optionalObject,
  optionalString,
  requiredString,
} from '../kube/decode/fields.ts'
import type { Identified } from '../kube/reflector-types.ts'

export interface TerminationRow extends Identified {
  /** The pod's own; the record may lie in another namespace. */
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string }
  readonly workload?: { readonly kind: string; readonly name: string }
  readonly state?: string
  /** As the record has it; a newer controller may know others. */
  readonly outcome?: string
  readonly cause?: string
  /** When the termination began; of a record that does not say, when the record was made. */
  readonly startedAt: Micros
  /** Absent while it is not over. */
  readonly finishedAt?: Micros
  readonly tookMs?: number
  readonly graceSeconds?: number
  readonly graceUsedPercent?: number
  readonly summary?: string
  /** Types, each once. */
  readonly findings: readonly string[]
  /** One of the findings is a Warning. */
  readonly warning: boolean
}

/** A raw PodTermination -> TerminationRow. Throws DecodeError. */
export function decodeRow(raw: unknown): TerminationRow {
  const object = asObject(raw, 'object')
  const { uid, namespace, name, resourceVersion, raw: metadata } = metadataOf(object)
  const pod = asObject(object.pod, 'pod')
  const workload = optionalObject(pod, 'workload', 'pod')
  const cause = optionalObject(object, 'cause', '')
  const findings = listOf(object, 'findings', '').map((finding, index) => asObject(finding, `findings[${index}]`))
  const began =
    parseTime(optionalString(object, 'startedAt', '')) ?? parseTime(optionalString(metadata, 'creationTimestamp', 'metadata'))
  const shared = (text: string | undefined) => (text === undefined ? undefined : intern(text))
  return compact<TerminationRow>({
    uid,
    namespace,
    name,
    resourceVersion,
    pod: {
      namespace: intern(requiredString(pod, 'namespace', 'pod')),
      name: requiredString(pod, 'name', 'pod'),
      uid: requiredString(pod, 'uid', 'pod'),
    },
    workload:
      workload === undefined
        ? undefined
        : {
            kind: intern(requiredString(workload, 'kind', 'pod.workload')),
            name: intern(requiredString(workload, 'name', 'pod.workload')),
          },
    state: shared(optionalString(object, 'state', '')),
    outcome: shared(optionalString(object, 'outcome', '')),
    cause: cause === undefined ? undefined : shared(optionalString(cause, 'type', 'cause')),
    startedAt: began ?? 0,
    finishedAt: parseTime(optionalString(object, 'finishedAt', '')),
    tookMs: optionalInteger(object, 'tookMilliseconds', ''),
    graceSeconds: optionalInteger(pod, 'graceSeconds', 'pod'),
    graceUsedPercent: optionalInteger(object, 'graceUsedPercent', ''),
    summary: shared(optionalString(object, 'summary', '')),
    findings: [...new Set(findings.map((finding, index) => intern(requiredString(finding, 'type', `findings[${index}]`))))],
    warning: findings.some(({ severity }) => severity === 'Warning'),
  })
}

/** The newest first; among those of one moment the order is by UID, so that it is always the same. */
export const newestFirst = (a: TerminationRow, b: TerminationRow) => b.startedAt - a.startedAt || (a.uid < b.uid ? -1 : 1)

/** What a filter and a count call the row: its outcome, or its state while it has none or is late. */
export const standing = ({ outcome, state }: TerminationRow) => (state === 'Overdue' ? state : (outcome ?? state ?? 'NoVerdict'))

export const STANDINGS: readonly string[] = [...OUTCOMES, ...STATES.filter((state) => state !== 'Complete'), 'NoVerdict']

const BAD: ReadonlySet<string> = new Set<Outcome>(OUTCOMES.slice(0, OUTCOMES.indexOf('Signalled')))
/** From ForcedKill to Unknown. */
export const isBad = ({ outcome }: TerminationRow) => outcome !== undefined && BAD.has(outcome)

export const sameWorkload = (one: TerminationRow, kind: string, namespace: string, name: string) =>
  one.workload?.name === name && one.workload.kind === kind && one.pod.namespace === namespace
