/** docs/metrics.md, made from the table. */
import { wrapped } from '../wrap.ts'
import { AGENT_PROCESS } from './agent-definitions.ts'
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
    'Only the leader counts. A standby has the same counters at what it had counted while it led, so sum over the replicas, as in ' +
      '`sum by (namespace, workload) (increase(gracewatch_pod_terminations_total{outcome="ForcedKill"}[1h]))`. What a replica counted after its ' +
      'last scrape, or in a series that was new then after the last but one, goes with it when it ends, as in the drain of its node: the records ' +
      'have it, and the next leader does not count it again ([ADR 15](adr/0015-metrics.md)).',
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
    'The controller serves them at `/metrics` of the address in the setting [metrics-address](settings.md#metrics), over HTTPS alone, to whoever',
    'sends the bearer token of somebody who may `get` the nonResourceURL `/metrics`: it asks the API server for both (TokenReview,',
    'SubjectAccessReview) and keeps a yes for a minute and a no for ten seconds. Without files for it the certificate is of its own making.',
    '',
    'A counter that names a workload is told as 0 from the moment the workload is seen, and what is counted in a new series is told one scrape after',
    'its 0: Prometheus sees no increase in a series that begins at 1 ([ADR 15](adr/0015-metrics.md)). No label holds the name of a pod.',
    '',
    '## Scraping them',
    '',
    'The chart serves them unless `metrics.enabled` is false; `metrics.readers` names the service accounts of Prometheus, and `serviceMonitor.enabled`',
    'is for Prometheus Operator. With kustomize they are a component, of the controller and of the agents:',
    '',
    '```yaml',
    'apiVersion: kustomize.config.k8s.io/v1beta1',
    'kind: Kustomization',
    'resources: [gracewatch/deploy/manifests, gracewatch/deploy/agent]',
    'components: [gracewatch/deploy/metrics, gracewatch/deploy/metrics/agent]',
    '```',
    '',
    'Then bind the ClusterRole `gracewatch-metrics-reader` to the service account of Prometheus, and have it scrape each pod: every replica of the',
    'controller has its own counters. `namespace` is the namespace of the workload, so the labels of the metrics have to win (`honor_labels`):',
    '',
    '```yaml',
    'scrape_configs:',
    '  - job_name: gracewatch',
    '    scheme: https',
    '    honor_labels: true',
    '    authorization: {credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token}',
    '    tls_config: {insecure_skip_verify: true} # or ca_file, with a certificate of yours: metrics-tls-cert-file',
    '    kubernetes_sd_configs: [{role: pod, namespaces: {names: [gracewatch-system, gracewatch-agent-system]}}]',
    '    relabel_configs:',
    '      - {source_labels: [__meta_kubernetes_pod_container_port_name], regex: metrics, action: keep}',
    '      - {source_labels: [__meta_kubernetes_pod_node_name], target_label: node}',
    '```',
    ...SECTIONS.flatMap(([source, title, text]) => ['', `## ${title}`, '', ...wrapped(wordsOf(text), 150), '', ...table(source)]),
    '',
    '## Labels',
    '',
    '| label | | values |',
    '|---|---|---|',
    ...(Object.keys(LABELS) as LabelName[]).map(labelRow), // Object.keys forgets the literal keys
    '',
    'Beside these, the controller tells what prom-client knows of the process: `process_*` and `nodejs_*`. The agent tells three of the former:',
    `${Object.keys(AGENT_PROCESS)
      .map((name) => `\`${name}\``)
      .join(', ')}.`,
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

/** What stands as code is one word. */
const wordsOf = (text: string): readonly string[] => text.match(/`[^`]*`\S*|\S+/g) ?? []
