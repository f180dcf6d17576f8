/** A termination record as the object that is written: its name, namespace and labels. */
import { API_VERSION, GROUP } from '../api/group.ts'
import { FINDINGS, OUTCOMES, type PodTermination } from '../api/pod-termination.ts'
import { labelValue, recordName } from './record-name.ts'

export { recordName } from './record-name.ts'

export interface RecordObject extends PodTermination {
  readonly apiVersion: string
  readonly kind: 'PodTermination'
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly labels: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
}

export const LABEL = {
  outcome: `${GROUP}/outcome`,
  cause: `${GROUP}/cause`,
  state: `${GROUP}/state`,
  workloadKind: `${GROUP}/workload-kind`,
  workload: `${GROUP}/workload`,
  node: `${GROUP}/node`,
  warning: `${GROUP}/warning`,
  backup: 'velero.io/exclude-from-backup',
} as const

/** Outcomes that a platform team has to look at. */
const ABNORMAL = new Set<string>(OUTCOMES.slice(0, OUTCOMES.indexOf('Unknown') + 1))

export const hasWarning = (record: PodTermination): boolean =>
  record.findings?.some(({ severity }) => severity === 'Warning') ?? false

/** An outcome from ForcedKill to Unknown, or a finding of severity Warning. */
export function isAbnormal(record: PodTermination): boolean {
  return (record.outcome !== undefined && ABNORMAL.has(record.outcome)) || hasWarning(record)
}

/** By the labels of a stored record alone: what isAbnormal said when it was written. */
export function isAbnormalByLabels(labels: Readonly<Record<string, string>>): boolean {
  const outcome = labels[LABEL.outcome]
  return labels[LABEL.warning] !== undefined || outcome === undefined || ABNORMAL.has(outcome)
}

/** @param elsewhere Gracewatch's own namespace, where the pod's namespace takes no new objects */
export function recordObject(record: PodTermination, options: { full?: boolean; elsewhere?: string } = {}): RecordObject {
  const { pod, outcome, cause, state } = record
  const labels: Record<string, string> = { [LABEL.backup]: 'true' }
  if (outcome !== undefined) labels[LABEL.outcome] = outcome
  if (cause !== undefined) labels[LABEL.cause] = cause.type
  if (state !== undefined) labels[LABEL.state] = state
  if (hasWarning(record))
    labels[LABEL.warning] = record.findings?.find(({ type }) => FINDINGS[type] === 'Warning')?.type ?? 'true'
  if (pod.workload !== undefined) {
    labels[LABEL.workloadKind] = labelValue(pod.workload.kind)
    labels[LABEL.workload] = labelValue(pod.workload.name)
  }
  if (pod.node !== undefined) labels[LABEL.node] = labelValue(pod.node)
  return {
    apiVersion: API_VERSION,
    kind: 'PodTermination',
    metadata: {
      name: recordName(pod, {
        ...(options.full === undefined ? {} : { full: options.full }),
        ...(options.elsewhere === undefined ? {} : { prefix: pod.namespace }),
      }),
      namespace: options.elsewhere ?? pod.namespace,
      labels,
    },
    ...record,
  }
}
