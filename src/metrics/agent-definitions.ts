/**
 * The metrics that agents have, some of them beside the controller. Apart from the others, which take their labels from schemas: those
 * load zod, and the agent has to be small (docs/adr/0009-memory-of-the-agent.md).
 */
import type { RefusalReason } from '../kube/refusal.ts'
import type { Definition } from './definitions.ts'

const BOTH = ['Replica', 'Agent'] as const
const AGENT = ['Agent'] as const

export const AGENT_DEFINITIONS = {
  gracewatch_records_written_total: {
    type: 'Counter',
    from: BOTH,
    labels: [],
    help: 'Writes of records that the API server took.',
  },
  gracewatch_records_refused_total: {
    type: 'Counter',
    from: BOTH,
    labels: ['reason'],
    help: 'Writes of records that the API server refused.',
  },
  gracewatch_api_requests_total: {
    type: 'Counter',
    from: BOTH,
    labels: ['verb', 'code'],
    help: 'Requests to the API server that ended.',
  },
  gracewatch_watch_silence_seconds: {
    type: 'Gauge',
    from: BOTH,
    labels: ['resource'],
    help: 'For how long nothing has come by the watch; of a watch that is well, about a minute at the most.',
  },
  gracewatch_watch_synced: {
    type: 'Gauge',
    from: BOTH,
    labels: ['resource'],
    help: 'Whether the first list has been complete (1).',
  },
  gracewatch_watch_lists_total: { type: 'Counter', from: BOTH, labels: ['resource'], help: 'Complete lists.' },
  gracewatch_watch_relists_total: {
    type: 'Counter',
    from: BOTH,
    labels: ['resource'],
    help: 'Lists that were made because the place of the watch was lost.',
  },
  gracewatch_watch_gaps_total: {
    type: 'Counter',
    from: BOTH,
    labels: ['resource'],
    help: 'Times in which changes may have come and gone unseen.',
  },
  gracewatch_watch_failures_total: {
    type: 'Counter',
    from: BOTH,
    labels: ['resource'],
    help: 'Lists and watches that failed; gracewatch_api_requests_total says with which code.',
  },
  gracewatch_watch_undecodable_objects_total: {
    type: 'Counter',
    from: BOTH,
    labels: ['resource'],
    help: 'Objects that could not be decoded and were left out.',
  },
  gracewatch_api_clock_offset_seconds: {
    type: 'Gauge',
    from: BOTH,
    labels: ['bound'],
    help: "The API server's clock against that of this process: the truth lies between the two bounds.",
  },
  gracewatch_build_info: { type: 'Gauge', from: BOTH, labels: ['version'], help: '1, for its label.' },
  gracewatch_agent_tracing: { type: 'Gauge', from: AGENT, labels: [], help: "Whether the node's trace is open (1)." },
  gracewatch_agent_lost_events_total: {
    type: 'Counter',
    from: AGENT,
    labels: [],
    help: 'Events of the kernel that were lost, for its buffer ran over.',
  },
  gracewatch_agent_dropped_facts_total: {
    type: 'Counter',
    from: AGENT,
    labels: [],
    help: 'Signals that were seen and dropped for want of room.',
  },
  gracewatch_agent_dropped_terminations_total: {
    type: 'Counter',
    from: AGENT,
    labels: [],
    help: 'Terminations of which nothing was written, for want of room or because the API server refused it for good.',
  },
  gracewatch_agent_signals_total: {
    type: 'Counter',
    from: AGENT,
    labels: [],
    help: 'Signals to processes of containers that the trace has shown.',
  },
  gracewatch_agent_malformed_lines_total: {
    type: 'Counter',
    from: AGENT,
    labels: [],
    help: 'Lines of the trace that could not be read.',
  },
} as const satisfies Record<`gracewatch_${string}`, Definition>

/** Beside those of the table, the agent has these by the names that every exporter has for them. */
export const AGENT_PROCESS = {
  process_cpu_seconds_total: ['counter', 'Total user and system CPU time spent in seconds.'],
  process_resident_memory_bytes: ['gauge', 'Resident memory size in bytes.'],
  process_start_time_seconds: ['gauge', 'Start time of the process since unix epoch in seconds.'],
} as const

/** What the API server may refuse a record for, each told from the start: the first refusal is to show as an increase. */
export const NO_REFUSALS: Readonly<Record<RefusalReason, number>> = {
  NamespaceTerminating: 0,
  NamespaceNotFound: 0,
  QuotaExceeded: 0,
  Forbidden: 0,
  NotInstalled: 0,
  Invalid: 0,
  TooLarge: 0,
}
