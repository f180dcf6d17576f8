/** What the dashboard shows, row by row. Queries come from the table of metrics; sums go over the replicas, of which only the leader counts. */
import { buckets, counts, increase, type Matchers, maxBy, ofController, series, sumBy } from '../alerts/promql.ts'
import type { NamesOf } from '../metrics/definitions.ts'

/** Of Grafana. */
export type Unit = 'short' | 's' | 'percentunit' | 'bytes' | 'reqps'

export interface Query {
  readonly expr: string
  /** A template of Grafana: `{{label}}`. */
  readonly legend: string
}

export interface Panel {
  readonly title: string
  /** What it tells, and how it is to be read. */
  readonly help: string
  readonly type: 'timeseries' | 'bars' | 'stat' | 'ranking' | 'heatmap'
  readonly unit: Unit
  /** Of 24 columns. */
  readonly width: number
  readonly queries: readonly Query[]
  /** A value from which on it is a warning. */
  readonly warnFrom?: number
  /** May be below 0. */
  readonly signed?: true
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

/** The workloads that are chosen above. */
const CHOSEN = { namespace: { like: '$namespace' }, workload: { like: '$workload' } } as const
const IN_NAMESPACE = { namespace: { like: '$namespace' } } as const
const WORKLOAD = ['namespace', 'workload_kind', 'workload'] as const
const NAME = '{{workload_kind}} {{namespace}}/{{workload}}'
const STEP = '$__rate_interval'
const SPAN = '$__range'

const one = (expr: string, legend = ''): readonly Query[] => [{ expr, legend }]
const top = (expr: string): string => `sort_desc(topk(15, ${expr} > 0))`
const terminations = (outcome?: string) =>
  series('gracewatch_pod_terminations_total', outcome === undefined ? CHOSEN : { ...CHOSEN, outcome })

/** Gauges that are there only for what there is: 0 where none is and a leader would tell of it. */
const orNone = (expr: string): string => `${expr} or max(${series('gracewatch_leader')} == 1) * 0`

/** @param by what it is told apart by, beside the buckets */
const quantile = (share: number, counted: string, by: readonly string[] = []): string =>
  `histogram_quantile(${share}, ${sumBy([...by, 'le'], counted)})`
const quantiles = <K extends NamesOf<'Histogram'>>(name: K, matchers: Matchers<K>): readonly Query[] =>
  [0.5, 0.95, 0.99].map((share) => ({
    expr: quantile(share, increase(buckets(name, matchers), STEP)),
    legend: `p${share * 100}`,
  }))

const ENDS: Row = {
  title: 'How pods end',
  panels: [
    {
      title: 'Terminations',
      help: 'Pods that ended in the time shown.',
      type: 'stat',
      unit: 'short',
      width: 4,
      queries: one(`sum(${increase(terminations(), SPAN)})`),
    },
    {
      title: 'Killed by force',
      help: 'SIGKILL, because the grace period was over.',
      type: 'stat',
      unit: 'short',
      width: 4,
      warnFrom: 1,
      queries: one(`sum(${increase(terminations('ForcedKill'), SPAN)})`),
    },
    {
      title: 'By outcome',
      help: "How pods ended, by the worst of each pod's main containers.",
      type: 'bars',
      unit: 'short',
      width: 8,
      queries: one(`${sumBy(['outcome'], increase(terminations(), STEP))} > 0`, '{{outcome}}'),
    },
    {
      title: 'By cause',
      help: 'Who ended them.',
      type: 'bars',
      unit: 'short',
      width: 8,
      queries: one(`${sumBy(['cause'], increase(terminations(), STEP))} > 0`, '{{cause}}'),
    },
    {
      title: 'Forced kills by workload',
      help: 'In the time shown, the most first.',
      type: 'ranking',
      unit: 'short',
      width: 12,
      warnFrom: 1,
      queries: one(top(sumBy(WORKLOAD, increase(terminations('ForcedKill'), SPAN))), NAME),
    },
    {
      title: 'Findings by workload',
      help: 'What stood out, in the time shown, the most first.',
      type: 'ranking',
      unit: 'short',
      width: 12,
      queries: one(
        top(sumBy([...WORKLOAD, 'finding'], increase(series('gracewatch_pod_termination_findings_total', CHOSEN), SPAN))),
        `{{finding}}: ${NAME}`,
      ),
    },
  ],
}

const signalToExit = (evidence: 'Kernel' | 'API', told: Pick<Panel, 'title' | 'help'>): Panel => ({
  ...told,
  ...{ type: 'heatmap', unit: 's', width: 12 },
  queries: one(
    sumBy(
      ['le'],
      increase(buckets('gracewatch_container_signal_to_exit_seconds', { ...CHOSEN, container_role: 'Main', evidence }), STEP),
    ),
    '{{le}}',
  ),
})

const GRACE: Row = {
  title: 'The time that it takes',
  panels: [
    {
      title: 'Worst users of their grace period',
      help: 'Share of the grace period that the slowest main container used; 95 % of pods used less. Over 100 % it was killed. What is over 125 % shows as that.',
      type: 'ranking',
      unit: 'percentunit',
      width: 12,
      warnFrom: 0.8,
      queries: one(top(quantile(0.95, increase(buckets('gracewatch_pod_grace_used_ratio', CHOSEN), SPAN), WORKLOAD)), NAME),
    },
    signalToExit('Kernel', {
      title: 'From the stop signal to the exit, measured',
      help: 'Main containers on nodes with an agent, which takes the times from the kernel.',
    }),
    signalToExit('API', {
      title: 'From the stop signal to the exit, as the API tells it',
      help: 'Main containers on nodes without an agent: in whole seconds.',
    }),
    {
      title: 'From Terminating to removed',
      help: 'The whole termination of a pod.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: quantiles('gracewatch_pod_termination_duration_seconds', CHOSEN),
    },
    {
      title: 'In preStop hooks',
      help: 'A hook that overran ends with its container.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: quantiles('gracewatch_container_prestop_duration_seconds', CHOSEN),
    },
  ],
}

const ENDPOINTS: Row = {
  title: 'Endpoints and stuck pods',
  panels: [
    {
      title: 'Out of rotation in time',
      help: 'Share of the endpoints that had left their Service when the stop signal came.',
      type: 'timeseries',
      unit: 'percentunit',
      width: 8,
      queries: one(
        `sum(${increase(buckets('gracewatch_endpoint_lag_seconds', CHOSEN, 0), STEP)}) / ` +
          `sum(${increase(counts('gracewatch_endpoint_lag_seconds', CHOSEN), STEP)})`,
        'in time',
      ),
    },
    {
      title: 'Endpoint lag by workload',
      help: 'How long after the stop signal a Service still sent new traffic; 95 % of endpoints were quicker. What is over 10 s shows as that.',
      type: 'ranking',
      unit: 's',
      width: 8,
      warnFrom: 0.1,
      queries: one(top(quantile(0.95, increase(buckets('gracewatch_endpoint_lag_seconds', CHOSEN), SPAN), WORKLOAD)), NAME),
    },
    {
      title: 'Ending now',
      help: 'Overdue: past the deadline and still there.',
      type: 'timeseries',
      unit: 'short',
      width: 8,
      queries: [
        { expr: orNone(`sum(${series('gracewatch_pods_terminating', CHOSEN)})`), legend: 'Terminating' },
        { expr: orNone(`sum(${series('gracewatch_pods_overdue', CHOSEN)})`), legend: 'Overdue' },
      ],
    },
    {
      title: 'Stuck pods',
      help: 'Past their deadline and still there, by workload.',
      type: 'ranking',
      unit: 'short',
      width: 24,
      warnFrom: 1,
      queries: one(top(sumBy(WORKLOAD, series('gracewatch_pods_overdue', CHOSEN))), NAME),
    },
  ],
}

const GATES: Row = {
  title: 'Readiness gates',
  panels: [
    {
      title: 'Pods by condition',
      help: 'Pods that a gate selects and that name its condition.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: one(sumBy(['state'], series('gracewatch_gate_pods', IN_NAMESPACE)), '{{state}}'),
    },
    {
      title: 'Longest hold now',
      help: 'For how long each gate has held the pod that it holds longest.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: one(
        `${maxBy(['namespace', 'gate'], series('gracewatch_gate_longest_hold_seconds', IN_NAMESPACE))} > 0`,
        '{{namespace}}/{{gate}}',
      ),
    },
    {
      title: 'Holds that ended',
      help: 'How long a gate had held a pod when it let it in.',
      type: 'heatmap',
      unit: 's',
      width: 6,
      queries: one(sumBy(['le'], increase(buckets('gracewatch_gate_hold_duration_seconds', IN_NAMESPACE), STEP)), '{{le}}'),
    },
    {
      title: 'Rollouts that the brake holds',
      help: 'For how long.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: one(
        `${maxBy([...WORKLOAD, 'gate'], series('gracewatch_rollout_held_seconds', CHOSEN))} > 0`,
        `${NAME} by {{gate}}`,
      ),
    },
  ],
}

const CLEANUP: Row = {
  title: 'Cleanup of finished pods',
  panels: [
    {
      title: 'Deleted',
      help: 'By reason.',
      type: 'bars',
      unit: 'short',
      width: 6,
      queries: one(`${sumBy(['reason'], increase(series('gracewatch_cleanup_deleted_pods_total'), STEP))} > 0`, '{{reason}}'),
    },
    {
      title: 'Kept',
      help: 'What the last pass left alone, by reason.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: one(sumBy(['reason'], series('gracewatch_cleanup_kept_pods')), '{{reason}}'),
    },
    {
      title: 'Failed',
      help: 'Should have been deleted and were not. Each pass counts.',
      type: 'bars',
      unit: 'short',
      width: 6,
      queries: one(`${sumBy(['reason'], increase(series('gracewatch_cleanup_failures_total'), STEP))} > 0`, '{{reason}}'),
    },
    {
      title: 'PodCleanups with a problem',
      help: 'The one without a name is the threshold.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: one(
        `${maxBy(['namespace', 'cleanup', 'problem'], series('gracewatch_cleanup_rule_problems'))} > 0`,
        '{{problem}}: {{namespace}}/{{cleanup}}',
      ),
    },
  ],
}

const HEALTH: Row = {
  title: 'The controller and the agents themselves',
  panels: [
    {
      title: 'Leader',
      help: 'One at a time.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: one(series('gracewatch_leader'), '{{pod}} {{instance}}'),
    },
    {
      title: 'Records',
      help: 'Written, and refused by the API server, by controller and agents.',
      type: 'bars',
      unit: 'short',
      width: 6,
      queries: [
        { expr: `sum(${increase(series('gracewatch_records_written_total'), STEP)})`, legend: 'written' },
        {
          expr: `${sumBy(['reason'], increase(series('gracewatch_records_refused_total'), STEP))} > 0`,
          legend: 'refused: {{reason}}',
        },
        { expr: `sum(${increase(series('gracewatch_records_deleted_total'), STEP)})`, legend: 'deleted for their age or number' },
      ],
    },
    {
      title: 'Requests to the API server',
      help: 'Those that ended, by verb and code.',
      type: 'timeseries',
      unit: 'reqps',
      width: 6,
      queries: one(
        `${sumBy(['verb', 'code'], `rate(${series('gracewatch_api_requests_total')}[${STEP}])`)} > 0`,
        '{{verb}} {{code}}',
      ),
    },
    {
      title: 'Time that requests take',
      help: '99 % took less; of a watch, until its first byte.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: one(quantile(0.99, increase(buckets('gracewatch_api_request_duration_seconds'), STEP), ['verb']), '{{verb}}'),
    },
    {
      title: 'Delay of the watch',
      help: 'From the deletion of a pod to its arrival. The API server writes the former in whole seconds.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: quantiles('gracewatch_watch_delay_seconds', {}),
    },
    {
      title: 'Silence of the watches',
      help: 'For how long nothing has come; of a watch that is well, a minute at the most.',
      type: 'timeseries',
      unit: 's',
      width: 6,
      queries: one(ofController(series('gracewatch_watch_silence_seconds')), '{{resource}} {{pod}}'),
    },
    {
      title: 'Relists, gaps and failures of the watches',
      help: 'A gap: changes may have come and gone unseen.',
      type: 'bars',
      unit: 'short',
      width: 6,
      queries: [
        {
          expr: `${sumBy(['resource'], increase(series('gracewatch_watch_relists_total'), STEP))} > 0`,
          legend: 'relist: {{resource}}',
        },
        {
          expr: `${sumBy(['resource'], increase(series('gracewatch_watch_gaps_total'), STEP))} > 0`,
          legend: 'gap: {{resource}}',
        },
        {
          expr: `${sumBy(['resource'], increase(series('gracewatch_watch_failures_total'), STEP))} > 0`,
          legend: 'failed: {{resource}}',
        },
      ],
    },
    {
      title: 'Queues and terminations',
      help: 'What is due and waits, and the terminations that are followed.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: [
        { expr: maxBy(['queue'], series('gracewatch_queue_backlog')), legend: 'due: {{queue}}' },
        { expr: `max(${series('gracewatch_terminations_followed')})`, legend: 'followed' },
      ],
    },
    {
      title: 'Evidence dropped',
      help: 'For want of room, by the controller.',
      type: 'bars',
      unit: 'short',
      width: 6,
      queries: one(`${sumBy(['reason'], increase(series('gracewatch_evidence_dropped_total'), STEP))} > 0`, '{{reason}}'),
    },
    {
      title: 'Agents',
      help: 'Nodes with an agent that is Ready, and agents that trace.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: [
        { expr: `max(${series('gracewatch_agent_nodes')})`, legend: 'ready' },
        { expr: `sum(${series('gracewatch_agent_tracing')})`, legend: 'tracing' },
      ],
    },
    {
      title: 'Lost by agents',
      help: 'Events of the kernel that were lost, and signals that were dropped.',
      type: 'bars',
      unit: 'short',
      width: 6,
      queries: [
        {
          expr: `${sumBy(['node', 'instance'], increase(series('gracewatch_agent_lost_events_total'), STEP))} > 0`,
          legend: 'lost: {{node}} {{instance}}',
        },
        {
          expr: `${sumBy(['node', 'instance'], increase(series('gracewatch_agent_dropped_facts_total'), STEP))} > 0`,
          legend: 'dropped: {{node}} {{instance}}',
        },
      ],
    },
    {
      title: 'Clocks against that of the API server',
      help: 'The middle of the two bounds, of each controller and agent.',
      type: 'timeseries',
      signed: true,
      unit: 's',
      width: 6,
      queries: one(
        `avg by (pod, node, instance) (${series('gracewatch_api_clock_offset_seconds')})`,
        '{{pod}} {{node}} {{instance}}',
      ),
    },
    {
      title: 'Memory of the controller',
      help: 'Resident, of each replica.',
      type: 'timeseries',
      unit: 'bytes',
      width: 6,
      queries: one(ofController('process_resident_memory_bytes'), '{{pod}} {{instance}}'),
    },
    {
      title: 'Workloads with series of their own',
      help: 'At the setting metrics-workloads, others are counted as one.',
      type: 'timeseries',
      unit: 'short',
      width: 6,
      queries: one(`max(${series('gracewatch_metrics_workloads')})`, 'workloads'),
    },
  ],
}

export const ROWS: readonly Row[] = [ENDS, GRACE, ENDPOINTS, GATES, CLEANUP, HEALTH]
