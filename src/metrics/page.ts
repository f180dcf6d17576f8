/** docs/metrics.md, made from the table. */
import {
  type Definition,
  entriesOf,
  LABELS,
  type LabelDefinition,
  type LabelName,
  type MetricName,
  type MetricSource,
} from './definitions.ts'

const SECTIONS: readonly (readonly [MetricSource, string, string])[] = [
  [
    'Leader',
    'How pods end',
    'Only the leader counts. A standby has the same counters at what it had counted while it led, so sum over the replicas: ' +
      '`sum by (namespace, workload) (increase(gracewatch_pod_terminations_total{outcome="ForcedKill"}[1h]))`.',
  ],
  ['Replica', 'The controller itself', 'Every replica tells these of itself.'],
  [
    'Agent',
    'The agent',
    'Each agent tells these of itself and of its node, under the names that the controller has for the same thing. They are there where the ' +
      'setting metrics-address of the agent is given.',
  ],
]

/** @param note says what the page is generated from */
export function metricsPage(note: string): string {
  return [
    '# Metrics',
    '',
    note,
    '',
    'The controller serves them at `/metrics` of the address in the setting [metrics-address](settings.md#metrics), over HTTPS alone, to whoever sends',
    'the bearer token of somebody who may `get` the nonResourceURL `/metrics`: it asks the API server for both (TokenReview, SubjectAccessReview) and',
    'keeps a yes for a minute and a no for ten seconds. `deploy/metrics` switches it on and brings the rights for that; bind the ClusterRole',
    '`gracewatch-metrics-reader` to the service account of Prometheus. Without files for it the certificate is of the controller’s own making, which',
    'Prometheus has to be told not to verify (`insecure_skip_verify`). `namespace` is the namespace of the workload: scrape with `honor_labels: true`.',
    '',
    'A counter that names a workload is told as 0 from the moment the workload is seen, and what is counted in a new series is told one scrape after',
    'its 0: Prometheus sees no increase in a series that begins at 1 ([ADR 15](adr/0015-metrics.md)). No label holds the name of a pod.',
    ...SECTIONS.flatMap(([source, title, text]) => ['', `## ${title}`, '', ...wrapped(text), '', ...table(source)]),
    '',
    '## Labels',
    '',
    '| label | | values |',
    '|---|---|---|',
    ...(Object.keys(LABELS) as LabelName[]).map(labelRow), // Object.keys forgets the literal keys
    '',
    'Beside these, the controller tells what prom-client knows of the process: `process_*` and `nodejs_*`.',
    '',
  ].join('\n')
}

function table(source: MetricSource): string[] {
  return [
    '| metric | type | labels | |',
    '|---|---|---|---|',
    ...entriesOf(source).map(([name, definition]) => row(name, definition)),
  ]
}

function row(name: MetricName, { type, labels, help, buckets, with: part }: Definition): string {
  const more = [
    ...(part === undefined ? [] : [`With the setting ${part}.`]),
    ...(buckets === undefined ? [] : [`Buckets: ${buckets.join(', ')}.`]),
  ]
  return `| \`${name}\` | ${type.toLowerCase()} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${[help, ...more].join(' ')} |`
}

function labelRow(name: LabelName): string {
  const label: LabelDefinition = LABELS[name]
  return `| \`${name}\` | ${label.help} | ${label.values === undefined ? `not known beforehand; bounded by ${label.bound}` : label.values.join(', ')} |`
}

/** At the width of the repository's Markdown. */
function wrapped(text: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= 150) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}
