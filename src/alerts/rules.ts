/**
 * The alerts, in one table, as the mixins of Kubernetes have theirs. The rule file, the chart's PrometheusRule and the index of the runbooks
 * are made from it. Counters of workloads begin at 0 and are told of before they count (docs/adr/0015-metrics.md), so `increase` sees
 * the first kill ever; sums go over the replicas, of which only the leader counts.
 */
import { increase, lately, maxBy, ofController, ofLeader, series, sumBy } from './promql.ts'

export const SEVERITIES = ['critical', 'warning', 'info'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Alert {
  readonly name: string
  /** Of an alert that several rules have: which one it is. It is a label. */
  readonly problem?: string
  readonly severity: Severity
  readonly for: string
  readonly expr: string
  /** A sentence without names. */
  readonly summary: string
  /** A template of Prometheus. */
  readonly description: string
}

export interface Group {
  readonly name: string
  readonly alerts: readonly Alert[]
}

const CLUSTER = 'cluster'
const WORKLOAD = [CLUSTER, 'namespace', 'workload_kind', 'workload'] as const

/** What a workload is called, by the labels of an alert. */
const NAMED =
  '{{ if eq $labels.workload_kind "Pod" }}Pods without an owner in {{ $labels.namespace }}' +
  '{{ else if $labels.workload_kind }}{{ $labels.workload_kind }} {{ $labels.namespace }}/{{ $labels.workload }}' +
  '{{ else }}Workloads over the limit of metrics-workloads{{ end }}'

/** The command that lists its records; `fields` are further ones that it selects by. */
const listed = (fields: readonly string[] = []): string => {
  const selected = (all: readonly string[]) => ` --field-selector=${all.join(',')}`
  const named = selected(['pod.workload.name={{ $labels.workload }}', ...fields])
  const others = fields.length === 0 ? '' : `{{ else }}${selected(fields)}`
  return (
    'kubectl get podterminations ' +
    '{{ if $labels.namespace }}-n {{ $labels.namespace }}{{ else }}-A{{ end }}' +
    `{{ if and $labels.namespace $labels.workload }}${named}${others}{{ end }}`
  )
}

/** Counters are extrapolated to the whole window: a number of pods is about right, and none for a window that has just begun. */
const ABOUT = 'about {{ printf "%.0f" $value }}'

const found = (types: readonly [string, ...string[]], more: readonly string[] = []): string => {
  const finding = types.length === 1 ? types[0] : { in: types }
  const counted = series('gracewatch_pod_termination_findings_total', { finding })
  return `${sumBy([...WORKLOAD, ...more], increase(counted, '1h'))} > 0`
}

const TERMINATIONS: readonly Alert[] = [
  {
    name: 'PodsForceKilled',
    severity: 'warning',
    for: '1m',
    expr: `${sumBy(WORKLOAD, increase(series('gracewatch_pod_terminations_total', { outcome: 'ForcedKill' }), '15m'))} > 0`,
    summary: 'Pods were killed because their grace period was over.',
    description: `${NAMED}: ${ABOUT} killed by force in 15 minutes. Their grace period was over before they had ended. ${listed(['outcome=ForcedKill'])}`,
  },
  {
    name: 'GracePeriodNearlyExhausted',
    severity: 'info',
    for: '1m',
    expr: found(['GraceNearlyExhausted']),
    summary: 'Pods needed more than 80 % of their grace period to end.',
    description: `${NAMED}: ${ABOUT} ended in the last hour with less than a fifth of their grace period left. A slower day, and they are killed. ${listed()}`,
  },
  {
    name: 'StopSignalIgnored',
    severity: 'warning',
    for: '1m',
    expr: found(['StopSignalIgnored', 'StopSignalNotForwarded'], ['finding']),
    summary: 'The stop signal did not reach the app.',
    description: `${NAMED}: ${ABOUT} in the last hour did not get to stop by themselves ({{ $labels.finding }}): {{ if eq $labels.finding "StopSignalIgnored" }}process 1 of the container has no handler for the stop signal{{ else }}process 1 of the container did not pass the stop signal on{{ end }}. ${listed()}`,
  },
  {
    name: 'PreStopHookOverran',
    severity: 'warning',
    for: '1m',
    expr: found(['PreStopOverran']),
    summary: 'The preStop hooks of pods still ran when the grace period ended.',
    description: `${NAMED}: ${ABOUT} in the last hour spent the whole grace period in the preStop hook, so the app had 2 s for its own shutdown. ${listed()}`,
  },
  {
    name: 'EndpointReadyAtStopSignal',
    severity: 'warning',
    for: '1m',
    expr: found(['EndpointReadyAtStopSignal']),
    summary: 'Services still sent new traffic to pods that had been told to stop.',
    description: `${NAMED}: ${ABOUT} in the last hour got the stop signal while a Service could still send new requests. ${listed()}`,
  },
  {
    name: 'PodStuckTerminating',
    severity: 'warning',
    for: '10m',
    expr: `${maxBy(WORKLOAD, lately(series('gracewatch_pods_overdue')))} > 0`,
    summary: 'Pods are past their deadline and still there.',
    description: `${NAMED}: {{ $value }} past the deadline and not gone, for more than 10 minutes. ${listed(['state=Overdue'])}`,
  },
]

const HELD = series('gracewatch_rollout_held_seconds')
const GATE = [CLUSTER, 'namespace', 'gate'] as const

const GATES: readonly Alert[] = [
  {
    name: 'GateHoldingTooLong',
    severity: 'warning',
    for: '1m',
    // Ten minutes are the progressDeadlineSeconds of a Deployment that says nothing else. What the brake holds has an alert of its own.
    expr: `${maxBy(GATE, lately(series('gracewatch_gate_longest_hold_seconds')))} > 600\nunless\n${maxBy(GATE, lately(HELD))} > 0`,
    summary: 'A readiness gate has held a pod for more than 10 minutes.',
    description:
      'PodReadinessGate {{ $labels.namespace }}/{{ $labels.gate }} has held a pod for {{ $value | humanizeDuration }}. kubectl describe prg {{ $labels.gate }} -n {{ $labels.namespace }}',
  },
  {
    name: 'RolloutHeldByBrake',
    severity: 'warning',
    for: '1m',
    expr: `${maxBy([...WORKLOAD, 'gate'], lately(HELD))} > 0`,
    summary: 'A rollout is held, because the pods that it replaces end badly.',
    description:
      "The brake of PodReadinessGate {{ $labels.namespace }}/{{ $labels.gate }} has held the rollout of {{ $labels.workload_kind }} {{ $labels.workload }} for {{ $value | humanizeDuration }}. kubectl get prg {{ $labels.gate }} -n {{ $labels.namespace }} -o jsonpath='{.status.holds[*].message}'",
  },
]

const CLEANUP: readonly Alert[] = [
  {
    name: 'CleanupFailing',
    severity: 'warning',
    for: '15m',
    expr: `${maxBy([CLUSTER, 'namespace', 'cleanup', 'problem'], lately(series('gracewatch_cleanup_rule_problems')))} > 0`,
    summary: 'Finished pods that should be deleted stay.',
    description:
      '{{ if $labels.cleanup }}PodCleanup {{ $labels.namespace }}/{{ $labels.cleanup }}{{ else }}The threshold of the cleanup{{ end }}: {{ if eq $labels.problem "Unusable" }}the spec cannot be used, so no finished pod of the namespace is deleted{{ else if eq $labels.problem "RecordRefused" }}the API server refuses the records, so the pods stay{{ else }}deletions fail{{ end }}, for more than 15 minutes. {{ if $labels.cleanup }}kubectl describe pclean {{ $labels.cleanup }} -n {{ $labels.namespace }}{{ else }}kubectl events -n gracewatch-system --for lease/gracewatch-controller{{ end }}',
  },
]

/** These end with the namespace, or before there was one: nobody can write a record there. */
const OF_NAMESPACE = ['NamespaceTerminating', 'NamespaceNotFound']

const CONTROLLER: readonly Alert[] = [
  {
    name: 'RecorderBlind',
    problem: 'NoReplica',
    severity: 'critical',
    for: '10m',
    expr: `absent(${series('gracewatch_leader')})`,
    summary: 'How pods end is not recorded.',
    description:
      'For 10 minutes Prometheus has heard of no replica of the controller: none runs, or none is scraped. kubectl get pods -n gracewatch-system',
  },
  {
    name: 'RecorderBlind',
    problem: 'NoLeader',
    severity: 'critical',
    for: '5m',
    // Not that none says that it leads: the one that does may be the one that is not scraped.
    expr: `${maxBy([CLUSTER], series('gracewatch_lease_held'))} == 0`,
    summary: 'How pods end is not recorded.',
    description:
      'For 5 minutes no replica of the controller has known of a leader: nothing is recorded, no gate opens, nothing is cleaned up. kubectl get lease gracewatch-controller -n gracewatch-system',
  },
  {
    name: 'RecorderBlind',
    problem: 'WatchSilent',
    severity: 'warning',
    for: '2m',
    // A watch that hears nothing for 90 s is begun anew.
    expr: `${maxBy([CLUSTER, 'resource'], ofLeader(series('gracewatch_watch_silence_seconds')))} > 180`,
    summary: 'The controller does not see changes.',
    description:
      'The leader has heard nothing of {{ $labels.resource }} for {{ $value | humanizeDuration }}. kubectl logs -n gracewatch-system deployment/gracewatch-controller --tail=50',
  },
  {
    name: 'RecorderBlind',
    problem: 'WatchNotSynced',
    severity: 'warning',
    for: '10m',
    expr: `count by (cluster, resource) (${ofController(`${series('gracewatch_watch_synced')} == 0`)})`,
    summary: 'The controller does not see changes.',
    description:
      '{{ $value }} of the replicas of the controller have not been able to list {{ $labels.resource }} for 10 minutes. kubectl logs -n gracewatch-system deployment/gracewatch-controller --tail=50',
  },
  {
    name: 'RecorderBlind',
    problem: 'RecordsRefused',
    severity: 'warning',
    for: '1m',
    expr: `${sumBy([CLUSTER, 'reason'], ofController(increase(series('gracewatch_records_refused_total', { reason: { notIn: OF_NAMESPACE } }), '15m')))} > 0`,
    summary: 'The API server refuses records.',
    description: `Refused in 15 minutes: ${ABOUT} writes of records ({{ $labels.reason }}). kubectl logs -n gracewatch-system deployment/gracewatch-controller | grep 'records refused'`,
  },
  {
    name: 'RecorderBlind',
    problem: 'EvidenceDropped',
    severity: 'warning',
    for: '1m',
    expr: `${sumBy([CLUSTER, 'reason'], increase(series('gracewatch_evidence_dropped_total'), '15m'))} > 0`,
    summary: 'The controller drops evidence for want of room.',
    description: `Dropped in 15 minutes: ${ABOUT} ({{ $labels.reason }}). Records of that time are less exact, or missing, and say so.`,
  },
]

const AGENT = [CLUSTER, 'node', 'instance'] as const
const ON_NODE = '{{ if $labels.node }}node {{ $labels.node }}{{ else }}{{ $labels.instance }}{{ end }}'

const AGENTS: readonly Alert[] = [
  {
    name: 'AgentLosingEvents',
    problem: 'EventsLost',
    severity: 'warning',
    for: '1m',
    expr: `${sumBy(AGENT, increase(series('gracewatch_agent_lost_events_total'), '15m'))} > 0`,
    summary: 'An agent does not see every signal of its node.',
    description: `The agent of ${ON_NODE} has lost ${ABOUT} events of the kernel in 15 minutes: its buffer ran over. Records of that time say so, and prove less.`,
  },
  {
    name: 'AgentLosingEvents',
    problem: 'Dropped',
    severity: 'warning',
    for: '1m',
    expr: `${sumBy(AGENT, increase(series('gracewatch_agent_dropped_facts_total'), '15m'))} > 0\nor\n${sumBy(AGENT, increase(series('gracewatch_agent_dropped_terminations_total'), '15m'))} > 0`,
    summary: 'An agent drops what it has seen.',
    description: `The agent of ${ON_NODE} has dropped ${ABOUT} signals or terminations in 15 minutes: it had no room, or the API server refused them.`,
  },
  {
    name: 'AgentLosingEvents',
    problem: 'NotTracing',
    severity: 'warning',
    for: '15m',
    expr: `${maxBy(AGENT, series('gracewatch_agent_tracing'))} == 0`,
    summary: 'An agent does not see any signal of its node.',
    description: `The agent of ${ON_NODE} has had no trace for 15 minutes: it measures nothing. Its log says why.`,
  },
]

export const GROUPS: readonly Group[] = [
  { name: 'gracewatch-terminations', alerts: TERMINATIONS },
  { name: 'gracewatch-gates', alerts: GATES },
  { name: 'gracewatch-cleanup', alerts: CLEANUP },
  { name: 'gracewatch-controller', alerts: CONTROLLER },
  { name: 'gracewatch-agent', alerts: AGENTS },
]

const names = GROUPS.flatMap(({ alerts }) => alerts.map(({ name }) => name))
export const ALERT_NAMES: readonly string[] = [...new Set(names)]
