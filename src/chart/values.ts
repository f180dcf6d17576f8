/**
 * The values of the Helm chart, as one JSON Schema with texts and defaults: values.yaml, values.schema.json and the table of the chart's
 * README are made from it. The settings of the programs come from their own tables, so that none can be missing.
 */
import { AGENT_ROWS } from '../agent/settings.ts'
import { ALERT_NAMES, SEVERITIES } from '../alerts/rules.ts'
import { ROWS } from '../settings.ts'
import { envName, type Rows, type Setting } from '../settings-table.ts'

/** What is used of JSON Schema (draft 7). */
export interface Schema {
  readonly description?: string
  readonly type?: string | readonly string[]
  readonly default?: unknown
  /** Of a setting: the default of the program. */
  readonly examples?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly [keyword: string]: unknown
}

type Properties = Readonly<Record<string, Schema>>

/**
 * `needed`: what has to be given, as in an item of a list. Of the chart's own values that is every section, and every default that is
 * neither list nor map: null takes a default away (Helm's own rule), which only the latter two can do without.
 */
const section = (description: string, properties: Properties, needed: readonly string[] = []): Schema => {
  const isNeeded = ({ type, default: standard, properties: inner }: Schema) =>
    standard === undefined ? inner !== undefined : type !== 'object' && type !== 'array'
  const own = Object.keys(properties).filter((name) => isNeeded(properties[name] ?? {}))
  const required = [...own, ...needed]
  return {
    type: 'object',
    ...(description !== '' && { description }),
    additionalProperties: false,
    ...(required.length > 0 && { required }),
    properties,
  }
}
const flag = (value: boolean, description: string): Schema => ({ type: 'boolean', default: value, description })
const text = (value: string, description: string, rules: Schema = {}): Schema => ({
  type: 'string',
  default: value,
  description,
  ...rules,
})
const count = (value: number, minimum: number, maximum: number, description: string): Schema => ({
  type: 'integer',
  minimum,
  maximum,
  default: value,
  description,
})
const list = (value: readonly unknown[], items: Schema, description: string): Schema => ({
  type: 'array',
  items,
  default: value,
  description,
})
const texts = (value: Readonly<Record<string, string>>, description: string): Schema => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  default: value,
  description,
})

const STRING: Schema = { type: 'string' }
/** Helm shows a person the pattern that a value has failed: in its plainest form. */
const plain = (pattern: string) => pattern.replaceAll('(?:', '(').replaceAll('\\d', '[0-9]')
const NAMESPACE = { pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }
const LABEL_VALUE: Schema = { type: 'string', pattern: '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$', maxLength: 63 }
const labels = (description: string): Schema => ({
  type: 'object',
  additionalProperties: LABEL_VALUE,
  default: {},
  description,
})
const QUANTITY: Schema = { type: ['string', 'number'] }
const QUANTITIES: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: { cpu: QUANTITY, memory: QUANTITY, 'ephemeral-storage': QUANTITY },
  // Huge pages, and what others bring, as nvidia.com/gpu.
  patternProperties: { '^hugepages-': QUANTITY, '/': QUANTITY },
}
const resources = (value: unknown, description: string): Schema => ({
  type: 'object',
  description,
  additionalProperties: false,
  properties: { requests: QUANTITIES, limits: QUANTITIES },
  default: value,
})
const TOLERATION = section('', {
  key: STRING,
  operator: { enum: ['Exists', 'Equal', 'Lt', 'Gt'] },
  value: STRING,
  effect: { enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] },
  tolerationSeconds: { type: 'integer' },
})
/** What lies deeper is the API server's to judge. */
const OPEN: Schema = { type: 'object' }
const affinity = (description: string): Schema => ({
  ...section(description, { nodeAffinity: OPEN, podAffinity: OPEN, podAntiAffinity: OPEN }),
  default: {},
})
const SPREAD = section('', {
  maxSkew: { type: 'integer', minimum: 1 },
  topologyKey: STRING,
  whenUnsatisfiable: { enum: ['DoNotSchedule', 'ScheduleAnyway'] },
  labelSelector: OPEN,
  matchLabelKeys: { type: 'array', items: STRING },
  minDomains: { type: 'integer', minimum: 1 },
  nodeAffinityPolicy: { enum: ['Honor', 'Ignore'] },
  nodeTaintsPolicy: { enum: ['Honor', 'Ignore'] },
})
const PEER = section('', { namespaceSelector: OPEN, podSelector: OPEN, ipBlock: OPEN })
const LINUX = { 'kubernetes.io/os': 'linux' }
const priorityClass = (name: string) =>
  section('Priority of the pods. They have to be there while others are evicted or preempted: that is when pods end badly.', {
    create: flag(true, 'Make the class. Where it is false, one of this name has to be there.'),
    name: text(name, 'Name of the class; empty: none.', { maxLength: 253 }),
    value: count(1_000_000, -2_147_483_648, 1_000_000_000, 'Its priority. It cannot be changed: another one needs another name.'),
  })

/** Flags that the chart sets by itself, or that have no use in a cluster. */
const OWN = new Set([
  'kubeconfig',
  'context',
  'namespace',
  'pod-name',
  'health-address',
  'lease-name',
  'agent-namespace',
  'gates',
  'cleanup',
  'metrics-address',
  'metrics-tls-cert-file',
  'metrics-tls-key-file',
  'page-port',
])
const AGENT_OWN = new Set(['kubeconfig', 'context', 'node-name', 'tracing', 'records-namespace', 'health-address'])
/** Flags of the agent that are the controller's too: it gets the same values. */
const SHARED = new Set(['namespaces', 'exclude-namespaces', 'record-completions'])

const camel = (dashed: string) => dashed.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

/** The settings whose flag begins with `prefix`, by the rest of the name in camel case. */
function settings(rows: Rows, prefix: string, wanted: (flag: string) => boolean): Record<string, Schema> {
  const chosen = rows.map(([, row]) => row).filter(({ flag: name }) => name.startsWith(prefix) && wanted(name))
  return Object.fromEntries(chosen.map((row) => [camel(row.flag.slice(prefix.length)), settingSchema(row)]))
}

/** It has no default here: that stays the program's own, so that a later version can have a better one. The example is that default. */
function settingSchema({ kind, help, fallback, fallbackText, flag: name }: Setting): Schema {
  const type = kind.schema?.type
  const example = fallback === '' ? undefined : type === 'integer' || type === 'boolean' ? JSON.parse(fallback) : fallback
  const standard = fallbackText === undefined ? '' : `; without it: ${fallbackText}`
  const description = `${help} (\`${envName(name)}\`${standard})`
  const schema: Schema = kind.schema ?? STRING
  const pattern = typeof schema.pattern === 'string' && { pattern: plain(schema.pattern) }
  return { ...schema, ...pattern, ...(example !== undefined && { examples: [example] }), description }
}

/** These have sections of their own. */
const isApart = (name: string) => /^(gate|cleanup|metrics|page)-/.test(name)

export const VALUES: Schema = section('', {
  enabled: {
    type: 'boolean',
    description: 'For charts that have this one as a dependency with `condition: gracewatch.enabled`.',
  },
  global: {
    type: 'object',
    description: 'For charts that have this one as a dependency: Helm hands it down. Nothing of it is used.',
  },
  image: section('', {
    repository: text('ghcr.io/gracewatch/gracewatch', 'Where the image of controller and agent is.', { minLength: 1 }),
    tag: text('', "Its tag; empty: the chart's appVersion."),
    digest: text('', 'Its digest, as sha256:…; where it is given, the tag is for readers only.', {
      pattern: '^(sha256:[0-9a-f]{64})?$',
    }),
    pullPolicy: text('IfNotPresent', 'When it is pulled.', { enum: ['Always', 'IfNotPresent', 'Never'] }),
    pullSecrets: list([], section('', { name: STRING }, ['name']), 'Secrets to pull it with, as `{name: …}`.'),
  }),
  namespace: section('', {
    create: flag(
      false,
      "Make the release's namespace, with the labels of PodSecurity restricted: for `helm template --no-hooks | kubectl apply`. With `helm install` leave it, and write --create-namespace. Helm leaves the namespace where the release goes.",
    ),
  }),
  extraLabels: labels('Labels on every object and every pod.'),
  replicas: count(2, 1, 10, 'Replicas of the controller. One leads, the others stand by with warm caches.'),
  resources: resources(
    { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } },
    'Of the container of the controller.',
  ),
  podLabels: labels('Labels on the pods of the controller.'),
  podAnnotations: texts({}, 'Annotations on the pods of the controller.'),
  nodeSelector: texts(LINUX, 'Nodes that the controller may run on.'),
  tolerations: list([], TOLERATION, 'Taints that the controller stands.'),
  affinity: affinity('Affinity of the controller; empty: its replicas prefer different nodes.'),
  topologySpreadConstraints: list([], SPREAD, 'How the replicas of the controller spread.'),
  priorityClass: priorityClass('gracewatch'),
  podDisruptionBudget: section('', {
    enabled: flag(true, 'A PodDisruptionBudget for the controller, where it has more than one replica.'),
    minAvailable: { ...count(1, 1, 9, 'Replicas that a drain leaves running: fewer than `replicas`.') },
  }),
  networkPolicy: section('', {
    enabled: flag(
      false,
      'NetworkPolicies for controller and agent: nothing comes in but probes and who reads the metrics, and nothing goes out but to the ports of the API server and of DNS; with gates, to pods as well, but not to those that use the network of their node: probes of these fail.',
    ),
    metricsFrom: list([], PEER, 'Who may reach the metrics, as peers of a NetworkPolicy; empty: everybody.'),
    apiServerPorts: list(
      [443, 6443],
      { type: 'integer', minimum: 1, maximum: 65_535 },
      "TCP ports of the API server: its Service's, and the one behind it.",
    ),
  }),
  flowSchemas: section('', {
    enabled: flag(
      true,
      "FlowSchemas: the Lease among those of Kubernetes' own components, the agents in a level of their own, so that neither waits for the other or for the rest.",
    ),
  }),
  readerRoles: section('', {
    enabled: flag(
      true,
      'Whoever has the role view, edit or admin in a namespace may read the records of its pods, and write its gates and cleanups as docs/gates.md and docs/cleanup.md say.',
    ),
  }),
  crds: section('', {
    enabled: flag(true, 'Install the CustomResourceDefinitions and bring them up to date.'),
    keep: flag(true, 'Leave them, and with them every record, gate and cleanup, where the release is uninstalled.'),
  }),
  metrics: section('Metrics of the controller: docs/metrics.md.', {
    enabled: flag(
      true,
      'Serve them, over HTTPS, to those who may read them: a Service, and the right to ask the API server who asks.',
    ),
    port: count(8443, 1024, 65_535, 'The port, of the pods and of the Service.'),
    tls: section('', {
      secretName: text(
        '',
        'A Secret with tls.crt and tls.key, as cert-manager writes it; empty: the controller makes a certificate itself, in memory.',
        { maxLength: 253 },
      ),
    }),
    readers: list(
      [],
      section('', { name: STRING, namespace: STRING }, ['name', 'namespace']),
      'Service accounts that may read them, as `{name: prometheus-k8s, namespace: monitoring}`.',
    ),
    ...settings(ROWS, 'metrics-', (name) => !OWN.has(name)),
  }),
  serviceMonitor: section('What Prometheus Operator scrapes by; its CustomResourceDefinitions have to be there.', {
    enabled: flag(false, 'A ServiceMonitor.'),
    labels: labels('Labels of its own, by which a Prometheus may select it.'),
    interval: text('', "How often it scrapes, as 30s; empty: Prometheus' own.", { pattern: '^([0-9]+(ms|s|m|h))*$' }),
    tlsConfig: {
      type: 'object',
      default: {},
      description:
        "Its tlsConfig. Empty: with metrics.tls.secretName the Service's name and the Secret's ca.crt, else no verification.",
    },
    relabelings: list([], OPEN, 'Its relabelings, beside the one that adds the label node.'),
    metricRelabelings: list([], OPEN, 'Its metricRelabelings.'),
  }),
  prometheusRule: section('What Prometheus Operator alerts by: docs/runbooks. Its CustomResourceDefinitions have to be there.', {
    enabled: flag(false, 'A PrometheusRule, with the alerts of what is switched on.'),
    labels: labels('Labels of its own, by which a Prometheus may select it.'),
    alertLabels: labels('Labels on every alert, by which Alertmanager may route it.'),
    disabled: list([], { enum: ALERT_NAMES }, 'Alerts that are left out.'),
    severities: {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(ALERT_NAMES.map((name) => [name, { enum: SEVERITIES }])),
      default: {},
      description: 'Severities that are other than those in docs/runbooks, as `{PodsForceKilled: critical}`.',
    },
    runbookUrl: text('', "Address of the folder of runbooks that alerts link to; empty: the project's own."),
  }),
  dashboard: section('The dashboard, for the sidecar of Grafana that looks for ConfigMaps.', {
    enabled: flag(false, 'A ConfigMap with the dashboard.'),
    labels: { ...labels('Labels of its own, by which the sidecar finds it.'), default: { grafana_dashboard: '1' } },
    annotations: texts({}, 'Annotations of its own, as `{grafana_folder: Kubernetes}`.'),
  }),
  page: section('The page that the controller serves: docs/page.md.', {
    enabled: flag(
      false,
      'Serve it on the loopback of its pods. Whoever may port-forward to them sees the records of all namespaces.',
    ),
    port: count(8085, 1024, 65_535, 'The port of 127.0.0.1.'),
  }),
  settings: section(
    'Settings of the controller: docs/settings.md. The agent gets namespaces, excludeNamespaces and recordCompletions as well.',
    settings(ROWS, '', (name) => !OWN.has(name) && !isApart(name)),
  ),
  gates: section('Readiness gates: docs/gates.md.', {
    enabled: flag(false, 'Manage the conditions of PodReadinessGates.'),
    injection: text(
      'Auto',
      'The policy by which gates with `inject: true` are added to new pods. Auto: where the cluster is Kubernetes 1.36 or later, which has the kind.',
      { enum: ['Auto', 'Enabled', 'Disabled'] },
    ),
    targets: list(
      [],
      section('', { apiGroup: STRING, resource: { type: 'string', pattern: '^[a-z0-9.]+$' } }, ['resource']),
      'Kinds beside Jobs that the check `condition` may read, as `{apiGroup: cert-manager.io, resource: certificates}`.',
    ),
    ...settings(ROWS, 'gate-', () => true),
  }),
  cleanup: section('Cleanup of finished pods: docs/cleanup.md.', {
    enabled: flag(false, 'Delete finished pods as PodCleanups ask. The controller gets the right to delete pods.'),
    ...settings(ROWS, 'cleanup-', () => true),
  }),
  agent: section('The node agent: docs/agent.md.', {
    enabled: flag(false, 'Measure on every node. The agent runs as root with the PID namespace of its node.'),
    namespace: section('', {
      name: text('gracewatch-agent-system', 'Namespace of the agents: one of their own, not that of the release.', NAMESPACE),
      create: flag(
        true,
        'Make it, with the labels of PodSecurity privileged, which hostPID and hostPath need. Before an upgrade that switches this off, annotate it with helm.sh/resource-policy=keep, or Helm would delete it, with the agents in it.',
      ),
    }),
    resources: resources(
      { requests: { cpu: '10m', memory: '80Mi' }, limits: { memory: '128Mi' } },
      'Of the container of the agent.',
    ),
    podLabels: labels('Labels on the pods of the agent.'),
    podAnnotations: texts({}, 'Annotations on the pods of the agent.'),
    nodeSelector: texts(LINUX, 'Nodes that it runs on.'),
    tolerations: list([{ operator: 'Exists' }], TOLERATION, 'Taints that it stands; as it is, all: pods end on every node.'),
    affinity: affinity('Affinity of the agent.'),
    priorityClass: priorityClass('gracewatch-agent'),
    maxUnavailable: {
      type: ['integer', 'string'],
      minimum: 1,
      pattern: '^([1-9][0-9]?|100)%$',
      default: '10%',
      description: 'Agents that an update replaces at a time, as a number or a share.',
    },
    metrics: section('', {
      enabled: flag(
        true,
        'Serve the metrics of the agents too, where those of the controller are served (`metrics.enabled`), to the same readers.',
      ),
      port: count(8443, 1024, 65_535, 'The port, of the pods.'),
    }),
    settings: section(
      'Settings of the agent: docs/agent-settings.md.',
      settings(AGENT_ROWS, '', (name) => !AGENT_OWN.has(name) && !SHARED.has(name) && !isApart(name)),
    ),
  }),
  uninstallHook: section('', {
    enabled: flag(
      true,
      'Before the release is uninstalled, a Job stops the controller, takes the finalizers off gates and removes the Lease; after an upgrade or a rollback that switched gates off, one takes the finalizers off alone. Without it, gates that are deleted later wait for nobody.',
    ),
    releaseSeconds: count(
      60,
      0,
      600,
      'How long it waits for the controller to release the pods of gates that go with their CRD (where `crds.keep` is false). Past 60, give `helm uninstall` a --timeout of 240 s more than this: by default it gives up after 300 s.',
    ),
  }),
})
