/**
 * Every metric, in one table: the registry, the agent's exposition and docs/metrics.md are made from it. Names and units follow
 * https://prometheus.io/docs/practices/naming/. No label ever holds the name of a pod: what a label may be is in LABELS.
 */
import { CAUSES, FINDINGS, OUTCOMES } from '../api/pod-termination.ts'
import { AGENT_DEFINITIONS } from './agent-definitions.ts'

export type MetricType = 'Counter' | 'Gauge' | 'Histogram'

/** Who tells it. Leader: others have it too, but only the leader's grows. Agent: only agents have it. */
export type MetricSource = 'Leader' | 'Replica' | 'Agent'

export interface Definition {
  readonly type: MetricType
  /** One sentence. It is the HELP of the exposition, too. */
  readonly help: string
  readonly from: readonly MetricSource[]
  readonly labels: readonly LabelName[]
  /** Of a histogram, in its unit. */
  readonly buckets?: readonly number[]
  /** Only there where this part is switched on. */
  readonly with?: 'gates' | 'cleanup'
}

export interface LabelDefinition {
  readonly help: string
  /** All values that there are; where they are not known beforehand, `bound` says what limits them. */
  readonly values?: readonly string[]
  readonly bound?: string
}

const ROLES = ['Main', 'Init', 'Sidecar', 'Ephemeral'] as const
const WORKLOADS =
  'the setting metrics-workloads; what is over it has no labels of its own: `workload` is then `other`, and the two others are empty. ' +
  'Of gracewatch_rollout_held_seconds by the 64 rollouts that the status of each of 500 gates names, and those of the last six minutes, ' +
  '2,000 at most'

export const LABELS = {
  namespace: {
    help: 'Namespace of the workload, of the gate or of the PodCleanup.',
    bound: 'those in whose names a series stands',
  },
  workload_kind: {
    help: 'Kind of what the owner chain of the pod ends in, as Deployment; Pod for pods without an owner, all of a namespace as one.',
    bound: WORKLOADS,
  },
  workload: { help: 'Name of it; empty for pods without an owner.', bound: WORKLOADS },
  outcome: { help: 'How the pod ended.', values: OUTCOMES },
  cause: { help: 'Who ended it.', values: CAUSES },
  finding: { help: 'What stood out.', values: Object.keys(FINDINGS) },
  container_role: { help: 'What the container is to its pod.', values: ROLES },
  evidence: {
    help: "Where the times come from: the kernel's trace (microseconds), or objects of the API (a second).",
    values: ['Kernel', 'API'],
  },
  gate: { help: 'Name of the PodReadinessGate.', bound: '500 gates; those over it are told of as `other`' },
  state: { help: 'What the condition of the gate is.', values: ['Passing', 'Failing', 'Unknown'] },
  cleanup: {
    help: 'Name of the PodCleanup; empty for the threshold.',
    bound: '100 problems at a time, and those of the last six minutes, 2,000 at most',
  },
  problem: {
    help: 'What is wrong with it: the spec cannot be used, records are refused, or deletions fail.',
    values: ['Unusable', 'RecordRefused', 'Failing'],
  },
  reason: { help: 'Why; the words are those of the status, or of the log.', bound: 'the reasons that this version knows' },
  verb: {
    help: 'Method of the request; WATCH for a watch, until its first byte.',
    values: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'WATCH'],
  },
  code: { help: 'OK, or what went wrong.', bound: 'the codes of errors that this version knows' },
  resource: { help: 'What is watched.', bound: 'the watches of this version' },
  queue: { help: 'Which queue.', values: ['terminations', 'gate_pods', 'gates'] },
  bound: { help: 'Which end of the interval.', values: ['Earliest', 'Latest'] },
  version: { help: 'Of Gracewatch.', bound: 'one' },
} as const satisfies Record<string, LabelDefinition>
export type LabelName = keyof typeof LABELS

export const WORKLOAD_LABELS = ['namespace', 'workload_kind', 'workload'] as const

/**
 * Few, since each workload has them: grace periods are from a second to ten minutes, and what is over them is stuck, which the gauges tell.
 */
const TERMINATION = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600]
const GRACE_SHARE = [0.1, 0.25, 0.5, 0.8, 0.9, 1, 1.25]
const PRE_STOP = [0.1, 1, 5, 10, 15, 30, 60, 300]
const SIGNAL_TO_EXIT = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
/** The first bucket holds those that left rotation in time. */
const ENDPOINT_LAG = [0, 0.05, 0.1, 0.5, 1, 5, 10]
const HOLD = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]
const REQUEST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15]
const WATCH_DELAY = [0.5, 1, 2, 5, 10, 30, 60, 300]

const LEADER = ['Leader'] as const
const REPLICA = ['Replica'] as const

export const DEFINITIONS = {
  gracewatch_pod_terminations_total: {
    type: 'Counter',
    from: LEADER,
    labels: [...WORKLOAD_LABELS, 'outcome', 'cause'],
    help:
      'Pods that ended, each as soon as it is known how, whether a record of it is kept or not. Those that ran to their end and Succeeded, ' +
      'as the pods of Jobs do, only with the setting record-completions.',
  },
  gracewatch_corrected_verdicts_total: {
    type: 'Counter',
    from: LEADER,
    labels: ['outcome'],
    help: 'Pods counted again under another outcome, for later evidence showed it; by the outcome that they were counted under before.',
  },
  gracewatch_container_forced_kills_total: {
    type: 'Counter',
    from: LEADER,
    labels: [...WORKLOAD_LABELS, 'container_role'],
    help: 'Containers that got SIGKILL because the grace period was over. For a sidecar that is normal.',
  },
  gracewatch_pod_termination_findings_total: {
    type: 'Counter',
    from: LEADER,
    labels: [...WORKLOAD_LABELS, 'finding'],
    help: 'Pods that ended with this finding, each pod once.',
  },
  gracewatch_pod_termination_duration_seconds: {
    type: 'Histogram',
    from: LEADER,
    labels: WORKLOAD_LABELS,
    buckets: TERMINATION,
    help: 'From the beginning of the termination to the removal of the pod, or to its end where nobody deletes it.',
  },
  gracewatch_pod_grace_used_ratio: {
    type: 'Histogram',
    from: LEADER,
    labels: WORKLOAD_LABELS,
    buckets: GRACE_SHARE,
    help: 'Share of the grace period that the slowest main container used; over 1 it was killed, or about to be.',
  },
  gracewatch_container_prestop_duration_seconds: {
    type: 'Histogram',
    from: LEADER,
    labels: WORKLOAD_LABELS,
    buckets: PRE_STOP,
    help: 'From the beginning of the preStop hook to its end; one that overran ends with its container.',
  },
  gracewatch_container_signal_to_exit_seconds: {
    type: 'Histogram',
    from: LEADER,
    labels: [...WORKLOAD_LABELS, 'container_role', 'evidence'],
    buckets: SIGNAL_TO_EXIT,
    help: 'From the stop signal to the exit of the container.',
  },
  gracewatch_endpoint_lag_seconds: {
    type: 'Histogram',
    from: LEADER,
    labels: WORKLOAD_LABELS,
    buckets: ENDPOINT_LAG,
    help: 'How long after the stop signal a Service still sent new traffic to the pod; 0 where it had stopped before. Each Service counts.',
  },
  gracewatch_pods_terminating: {
    type: 'Gauge',
    from: LEADER,
    labels: WORKLOAD_LABELS,
    help: 'Pods that are ending now, those past their deadline among them.',
  },
  gracewatch_pods_overdue: {
    type: 'Gauge',
    from: LEADER,
    labels: WORKLOAD_LABELS,
    help: 'Pods that are past their deadline and still there; 0 for some minutes where there were some.',
  },
  gracewatch_gate_pods: {
    type: 'Gauge',
    from: LEADER,
    with: 'gates',
    labels: ['namespace', 'gate', 'state'],
    help: 'Pods that the gate selects and that name its condition, by what the condition is.',
  },
  gracewatch_gate_longest_hold_seconds: {
    type: 'Gauge',
    from: LEADER,
    with: 'gates',
    labels: ['namespace', 'gate'],
    help: 'For how long the gate has held the pod that it holds longest, also for want of a condition; 0 where it holds none.',
  },
  gracewatch_gate_hold_duration_seconds: {
    type: 'Histogram',
    from: LEADER,
    with: 'gates',
    labels: ['namespace', 'gate'],
    buckets: HOLD,
    help: 'How long the gate had held a pod when it let it in.',
  },
  gracewatch_gate_condition_writes_total: {
    type: 'Counter',
    from: LEADER,
    with: 'gates',
    labels: ['reason'],
    help: 'Conditions of pods that were written (Patched), that the API server refused (Refused), and whose pod was gone (Gone).',
  },
  gracewatch_rollout_held_seconds: {
    type: 'Gauge',
    from: LEADER,
    with: 'gates',
    labels: ['gate', ...WORKLOAD_LABELS],
    help: 'For how long the rollout brake of the gate has held the rollout of the workload; 0 for some minutes where it did.',
  },
  gracewatch_cleanup_deleted_pods_total: {
    type: 'Counter',
    from: LEADER,
    with: 'cleanup',
    labels: ['reason'],
    help: 'Finished pods that were deleted, by reason.',
  },
  gracewatch_cleanup_kept_pods: {
    type: 'Gauge',
    from: LEADER,
    with: 'cleanup',
    labels: ['reason'],
    help: 'Finished pods that the last pass left alone, by reason.',
  },
  gracewatch_cleanup_failures_total: {
    type: 'Counter',
    from: LEADER,
    with: 'cleanup',
    labels: ['reason'],
    help: 'Finished pods that should have been deleted and were not: RecordRefused, or the code of the error. Each pass counts.',
  },
  gracewatch_cleanup_rule_problems: {
    type: 'Gauge',
    from: LEADER,
    with: 'cleanup',
    labels: ['namespace', 'cleanup', 'problem'],
    help: 'PodCleanups that have a problem: 1 for each, and 0 for some minutes where it had.',
  },
  gracewatch_leader: { type: 'Gauge', from: REPLICA, labels: [], help: 'Whether this replica leads (1) or stands by (0).' },
  gracewatch_lease_held: {
    type: 'Gauge',
    from: REPLICA,
    labels: [],
    help: 'Whether this replica knows of a leader (1): itself, or another one that it sees renew the Lease in time.',
  },
  gracewatch_leader_terms_total: {
    type: 'Counter',
    from: REPLICA,
    labels: [],
    help: 'How often this replica became the leader.',
  },
  gracewatch_lease_failures_total: {
    type: 'Counter',
    from: REPLICA,
    labels: ['code'],
    help: 'Tries to read or write the Lease that failed.',
  },
  gracewatch_record_retries_total: {
    type: 'Counter',
    from: REPLICA,
    labels: [],
    help: 'Records that could not be written or read, for a reason that may pass: they are tried again.',
  },
  gracewatch_records_deleted_total: {
    type: 'Counter',
    from: LEADER,
    labels: [],
    help: 'Records that were deleted for their age or their number.',
  },
  gracewatch_events_failed_total: {
    type: 'Counter',
    from: LEADER,
    labels: [],
    help: 'Kubernetes Events that could not be written.',
  },
  gracewatch_terminations_followed: {
    type: 'Gauge',
    from: REPLICA,
    labels: [],
    help: 'Terminations that are followed: under way, or over and still open for late evidence.',
  },
  gracewatch_evidence_dropped_total: {
    type: 'Counter',
    from: REPLICA,
    labels: ['reason'],
    help: 'Facts that were dropped for want of room, by which: events, endpoints, kernel, facts (of one termination), trackers (whole terminations).',
  },
  gracewatch_agent_facts_refused_total: {
    type: 'Counter',
    from: REPLICA,
    labels: ['reason'],
    help: 'What agents wrote that is not believed: malformed, or of a pod of another node (foreign).',
  },
  gracewatch_agent_nodes: { type: 'Gauge', from: REPLICA, labels: [], help: 'Nodes that have an agent that is Ready.' },
  gracewatch_queue_depth: {
    type: 'Gauge',
    from: REPLICA,
    labels: ['queue'],
    help: 'What is in the queue, whether it is due or not.',
  },
  gracewatch_queue_backlog: {
    type: 'Gauge',
    from: REPLICA,
    labels: ['queue'],
    help: 'What is due and waits for its turn.',
  },
  gracewatch_api_request_duration_seconds: {
    type: 'Histogram',
    from: REPLICA,
    labels: ['verb'],
    buckets: REQUEST,
    help: 'How long requests to the API server took; of a watch, until its first byte.',
  },
  gracewatch_watch_delay_seconds: {
    type: 'Histogram',
    from: REPLICA,
    labels: ['resource'],
    buckets: WATCH_DELAY,
    help: 'From the deletion of a pod, which the API server writes in whole seconds, to its arrival by the watch.',
  },
  gracewatch_watch_objects: { type: 'Gauge', from: REPLICA, labels: ['resource'], help: 'Objects that the watch keeps.' },
  gracewatch_metrics_workloads: {
    type: 'Gauge',
    from: REPLICA,
    labels: [],
    help: 'Workloads that have series of their own; at the setting metrics-workloads, others are counted as workload "other".',
  },
  ...AGENT_DEFINITIONS,
} as const satisfies Record<`gracewatch_${string}`, Definition>

export type MetricName = keyof typeof DEFINITIONS
/** The names of one type. */
export type NamesOf<T extends MetricType> = {
  [K in MetricName]: (typeof DEFINITIONS)[K]['type'] extends T ? K : never
}[MetricName]
export type LabelsOf<K extends MetricName> = (typeof DEFINITIONS)[K]['labels'][number]

export const entriesOf = (source: MetricSource): [MetricName, Definition][] =>
  (Object.entries(DEFINITIONS) as [MetricName, Definition][]) // Object.entries forgets the literal keys
    .filter(([, { from }]) => from.includes(source))
