/** The Helm chart, as the real helm of both majors sees it: lint, what each switch adds and takes away, rights, refusals, settings, notes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { parseAgentConfig } from '../../src/agent/config.ts'
import { AGENT_SETTINGS } from '../../src/agent/settings.ts'
import { type Schema, VALUES } from '../../src/chart/values.ts'
import { parseConfig } from '../../src/config.ts'
import { SETTINGS } from '../../src/settings.ts'
import { envName, type Setting, type Table } from '../../src/settings-table.ts'
import { parseUninstallConfig } from '../../src/uninstall/settings.ts'
import { CHART, HELM_MAJORS, type HelmMajor, helm } from '../chart/helm.ts'
import { AS_MANIFESTS, HELM_LABELS, NAMESPACE, staleManifests, template } from '../chart/manifests.ts'

const root = resolve(import.meta.dirname, '../..')
const AGENTS = 'gracewatch-agent-system'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}
interface Container {
  readonly image: string
  readonly command?: readonly string[]
  readonly env: readonly { readonly name: string; readonly value?: string }[]
  readonly ports: readonly object[]
  readonly resources?: object
}
interface PodSpec {
  readonly containers: readonly [Container]
  readonly [field: string]: unknown
}
/** What is looked at of an object. */
interface KubeObject {
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly rules?: readonly Rule[]
  readonly roleRef?: { readonly kind: string; readonly name: string }
  readonly subjects?: readonly { readonly name: string; readonly namespace: string }[]
  readonly spec?: {
    readonly template: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>
        readonly annotations: Readonly<Record<string, string>>
      }
      readonly spec: PodSpec
    }
    readonly [field: string]: unknown
  }
}

const nameOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.name}`
const objectsIn = (text: string): KubeObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null) // what helm wrote, and each test looks closer
    .filter((object) => object !== null)
const render = async (settings: readonly string[] = [], major: HelmMajor = '4', values: object = {}) =>
  objectsIn(await template(settings, major, values))
const find = (objects: readonly KubeObject[], name: string): KubeObject => {
  const found = objects.find((object) => nameOf(object) === name)
  if (found === undefined) throw new Error(`there is no ${name} among ${objects.map(nameOf).join(', ')}`)
  return found
}
const podOf = (objects: readonly KubeObject[], name: string): PodSpec => {
  const { spec } = find(objects, name)
  if (spec === undefined) throw new Error(`${name} has no spec`)
  return spec.template.spec
}
/** Environment of a container. */
const given = ({ env }: Container) => Object.fromEntries(env.map(({ name, value = 'from-the-field' }) => [name, value]))
const DEPLOYMENT = 'Deployment gracewatch-controller'
const DAEMON_SET = 'DaemonSet gracewatch-agent'

/** One of each, as `helm install` makes them by default. */
const HOOK = ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding', 'Job'].map(
  (it) => `${it} gracewatch-uninstall`,
)
/** After gates were switched off. */
const GATES_OFF = 'Job gracewatch-gates-off'
const CRDS = ['podterminations', 'podreadinessgates', 'podcleanups'].map((it) => `CustomResourceDefinition ${it}.gracewatch.dev`)
const READERS = ['ClusterRole gracewatch-view', 'ClusterRole gracewatch-admin']
const METRICS = ['Service gracewatch-metrics', 'ClusterRole gracewatch-metrics-reader']
const METRICS_AUTH = ['ClusterRole gracewatch-metrics-auth', 'ClusterRoleBinding gracewatch-metrics-auth']
const DEFAULT = [
  ...['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'].map((it) => `${it} gracewatch-controller`),
  DEPLOYMENT,
  'PodDisruptionBudget gracewatch-controller',
  'PriorityClass gracewatch',
  'FlowSchema gracewatch-lease',
  ...READERS,
  ...METRICS,
  ...METRICS_AUTH,
  ...CRDS,
  ...HOOK,
  GATES_OFF,
]
const GATES = [
  'ClusterRole gracewatch-gatekeeper',
  'ClusterRoleBinding gracewatch-gatekeeper',
  'ClusterRole gracewatch-gate-targets',
  'ClusterRoleBinding gracewatch-gate-targets',
  'ClusterRole gracewatch-gate-targets-jobs',
]
const GATE_READERS = ['ClusterRole gracewatch-gates-view', 'ClusterRole gracewatch-gates-edit']
const INJECTION = [
  'MutatingAdmissionPolicy gracewatch-readiness-gates',
  'MutatingAdmissionPolicyBinding gracewatch-readiness-gates',
]
const CLEANUP = ['ClusterRole gracewatch-cleaner', 'ClusterRoleBinding gracewatch-cleaner']
const CLEANUP_READERS = ['ClusterRole gracewatch-cleanup-view', 'ClusterRole gracewatch-cleanup-edit']
const AGENT_METRICS = ['ClusterRole gracewatch-agent-metrics-auth', 'ClusterRoleBinding gracewatch-agent-metrics-auth']
const AGENT_MONITOR = ['Service gracewatch-agent-metrics', 'ServiceMonitor gracewatch-agent']
const AGENT = [
  ...AGENT_METRICS,
  'ServiceAccount gracewatch-agent',
  'ClusterRole gracewatch-agent',
  'ClusterRoleBinding gracewatch-agent',
  'ValidatingAdmissionPolicy gracewatch-agent',
  'ValidatingAdmissionPolicyBinding gracewatch-agent',
  'PriorityClass gracewatch-agent',
  DAEMON_SET,
]
const AGENT_FLOW = ['PriorityLevelConfiguration gracewatch-agent', 'FlowSchema gracewatch-agent']
const AGENT_NAMESPACE = [`Namespace ${AGENTS}`]

/** Values -> objects that come with them, and that go. */
const SWITCHES: readonly [string, readonly string[], readonly string[]][] = [
  ['namespace.create=true', [`Namespace ${NAMESPACE}`], []],
  ['gates.enabled=true', [...GATES, ...GATE_READERS, ...INJECTION], [GATES_OFF]],
  ['gates.enabled=true,gates.injection=Disabled', [...GATES, ...GATE_READERS], [GATES_OFF]],
  ['gates.enabled=true,readerRoles.enabled=false', [...GATES, ...INJECTION], [...READERS, GATES_OFF]],
  [
    'gates.enabled=true,gates.targets[0].apiGroup=cert-manager.io,gates.targets[0].resource=certificates',
    [...GATES, ...GATE_READERS, ...INJECTION, 'ClusterRole gracewatch-gate-targets-of-values'],
    [GATES_OFF],
  ],
  ['gates.injection=Enabled', [], []],
  ['page.enabled=true', [], []],
  ['cleanup.enabled=true', [...CLEANUP, ...CLEANUP_READERS], []],
  ['cleanup.enabled=true,readerRoles.enabled=false', CLEANUP, READERS],
  ['agent.enabled=true', [...AGENT, ...AGENT_FLOW, ...AGENT_NAMESPACE], []],
  ['agent.enabled=true,agent.namespace.create=false', [...AGENT, ...AGENT_FLOW], []],
  ['agent.enabled=true,flowSchemas.enabled=false', [...AGENT, ...AGENT_NAMESPACE], ['FlowSchema gracewatch-lease']],
  [
    'agent.enabled=true,agent.priorityClass.create=false',
    [...AGENT.filter((it) => !it.startsWith('PriorityClass')), ...AGENT_FLOW, ...AGENT_NAMESPACE],
    [],
  ],
  [
    'agent.enabled=true,agent.metrics.enabled=false,serviceMonitor.enabled=true',
    [...AGENT.filter((it) => !AGENT_METRICS.includes(it)), ...AGENT_FLOW, ...AGENT_NAMESPACE, 'ServiceMonitor gracewatch'],
    [],
  ],
  [
    'agent.enabled=true,metrics.enabled=false',
    [...AGENT.filter((it) => !AGENT_METRICS.includes(it)), ...AGENT_FLOW, ...AGENT_NAMESPACE],
    [...METRICS, ...METRICS_AUTH],
  ],
  [
    'agent.enabled=true,serviceMonitor.enabled=true',
    [...AGENT, ...AGENT_FLOW, ...AGENT_NAMESPACE, ...AGENT_MONITOR, 'ServiceMonitor gracewatch'],
    [],
  ],
  ['networkPolicy.enabled=true', ['NetworkPolicy gracewatch-controller'], []],
  [
    'networkPolicy.enabled=true,agent.enabled=true',
    ['NetworkPolicy gracewatch-controller', 'NetworkPolicy gracewatch-agent', ...AGENT, ...AGENT_FLOW, ...AGENT_NAMESPACE],
    [],
  ],
  ['podDisruptionBudget.enabled=false', [], ['PodDisruptionBudget gracewatch-controller']],
  ['replicas=1', [], ['PodDisruptionBudget gracewatch-controller']],
  ['flowSchemas.enabled=false', [], ['FlowSchema gracewatch-lease']],
  ['readerRoles.enabled=false', [], READERS],
  ['priorityClass.create=false', [], ['PriorityClass gracewatch']],
  ['metrics.enabled=false', [], [...METRICS, ...METRICS_AUTH]],
  ['metrics.auth=false', [], METRICS_AUTH],
  [
    'metrics.readers[0].name=prometheus,metrics.readers[0].namespace=monitoring',
    ['ClusterRoleBinding gracewatch-metrics-reader'],
    [],
  ],
  ['serviceMonitor.enabled=true', ['ServiceMonitor gracewatch'], []],
  ['prometheusRule.enabled=true', ['PrometheusRule gracewatch'], []],
  ['dashboard.enabled=true', ['ConfigMap gracewatch-dashboard'], []],
  ['crds.enabled=false', [], CRDS],
  ['uninstallHook.enabled=false', [], [...HOOK, GATES_OFF]],
]
/** Everything at once. */
const ALL = [
  'namespace.create=true',
  'gates.enabled=true',
  'gates.injection=Enabled',
  'cleanup.enabled=true',
  'agent.enabled=true',
  'networkPolicy.enabled=true',
  'serviceMonitor.enabled=true',
  'prometheusRule.enabled=true',
  'dashboard.enabled=true',
]
const ALL_OBJECTS = [
  ...DEFAULT.filter((it) => it !== GATES_OFF),
  `Namespace ${NAMESPACE}`,
  ...[...GATES, ...GATE_READERS, ...INJECTION, ...CLEANUP, ...CLEANUP_READERS, ...AGENT, ...AGENT_FLOW, ...AGENT_NAMESPACE],
  'NetworkPolicy gracewatch-controller',
  'NetworkPolicy gracewatch-agent',
  'ServiceMonitor gracewatch',
  'PrometheusRule gracewatch',
  'ConfigMap gracewatch-dashboard',
  ...AGENT_MONITOR,
]

describe.each(HELM_MAJORS)('helm %s', (major) => {
  it('finds nothing to say against the chart, with nothing and with everything switched on', async () => {
    for (const settings of [[], ALL]) {
      const { code, stdout } = await helm(major, ['lint', '--strict', CHART, ...settings.flatMap((it) => ['--set', it])])
      expect(stdout).not.toMatch(/WARNING|ERROR/)
      expect(code, stdout).toBe(0)
    }
  })

  it('renders these objects by default', async () => {
    expect((await render([], major)).map(nameOf).sort()).toEqual([...DEFAULT].sort())
  })

  it.each(SWITCHES)('with %s', async (settings, added, removed) => {
    const wanted = [...DEFAULT.filter((it) => !removed.includes(it)), ...added]
    expect((await render([settings], major)).map(nameOf).sort()).toEqual(wanted.sort())
  })

  it('with everything: each object once, in one of the two namespaces', async () => {
    const objects = await render(ALL, major)
    expect(objects.map(nameOf).sort()).toEqual([...ALL_OBJECTS].sort())
    const namespaces = new Set(objects.map(({ metadata }) => metadata.namespace).filter((it) => it !== undefined))
    expect([...namespaces].sort()).toEqual([AGENTS, NAMESPACE])
  })

  it.each([
    ['a value that is not there', { agent: { enabld: true } }, /at '\/agent': additional properties 'enabld' not allowed/],
    ['one at the top', { repicas: 2 }, /at '': additional properties 'repicas' not allowed/],
    ['a setting that is not there', { settings: { recrod: 'All' } }, /'\/settings': additional properties 'recrod' not allowed/],
    [
      'a setting of the chart itself',
      { settings: { leaseName: 'x' } },
      /'\/settings': additional properties 'leaseName' not allowed/,
    ],
    ['a wrong type', { replicas: 'two' }, /at '\/replicas': got string, want integer/],
    ['a text for a switch', { gates: { enabled: 'yes' } }, /at '\/gates\/enabled': got string, want boolean/],
    ['too few replicas', { replicas: 0 }, /at '\/replicas': minimum: got 0, want 1/],
    [
      'a word that is none of them',
      { settings: { record: 'Some' } },
      /'\/settings\/record': value must be one of 'All', 'Abnormal'/,
    ],
    ['a duration of days', { settings: { retentionAbnormal: '7d' } }, /'7d' does not match pattern '\^\(\[0-9\]\+/],
    ['a number below its least', { cleanup: { total: -1 } }, /at '\/cleanup\/total': minimum: got -1, want 0/],
    ['a list for a map', { nodeSelector: ['linux'] }, /at '\/nodeSelector': got array, want object/],
    [
      'a toleration that is misspelt',
      { tolerations: [{ keys: 'a' }] },
      /'\/tolerations\/0': additional properties 'keys' not allowed/,
    ],
    [
      'a resource that is none',
      { resources: { limits: { memroy: '1Gi' } } },
      /at '\/resources\/limits': additional properties 'memroy' not allowed/,
    ],
    ['a digest that is none', { image: { digest: 'latest' } }, /at '\/image\/digest': 'latest' does not match pattern/],
    [
      'the agents in the namespace of the release',
      { agent: { enabled: true, namespace: { name: NAMESPACE } } },
      /a namespace of their own/,
    ],
    [
      'a budget that no drain can keep',
      { replicas: 2, podDisruptionBudget: { minAvailable: 2 } },
      /\(2\) has to be less than replicas \(2\)/,
    ],
    [
      'a namespace that is wanted and left out',
      { settings: { namespaces: ['a'], excludeNamespaces: ['a'] } },
      /the namespace a stands in/,
    ],
    ['a section that is taken away', { settings: null }, /at '': missing property 'settings'/],
    ['a switch that is taken away', { gates: { enabled: null } }, /at '\/gates': missing property 'enabled'/],
    [
      'a reader without its namespace',
      { metrics: { readers: [{ name: 'prometheus' }] } },
      /at '\/metrics\/readers\/0': missing property 'namespace'/,
    ],
    [
      'a ServiceMonitor of nothing',
      { metrics: { enabled: false }, serviceMonitor: { enabled: true } },
      /nothing to scrape while metrics.enabled is false/,
    ],
    [
      'alerts of nothing',
      { metrics: { enabled: false }, prometheusRule: { enabled: true } },
      /nothing to alert by while metrics.enabled is false/,
    ],
    [
      'an alert that is not there',
      { prometheusRule: { disabled: ['PodsKilled'] } },
      /at '\/prometheusRule\/disabled\/0': value must be one of 'PodsForceKilled'/,
    ],
    [
      'a severity of an alert that is not there',
      { prometheusRule: { severities: { PodsKilled: 'info' } } },
      /'\/prometheusRule\/severities': additional properties 'PodsKilled' not allowed/,
    ],
    [
      "a label of the chart's own",
      { agent: { podLabels: { 'app.kubernetes.io/name': 'x' } } },
      /agent.podLabels: the label app.kubernetes.io\/name/,
    ],
    ['the metrics on the port of the probes', { metrics: { port: 8081 } }, /metrics.port: 8081 is the port of the probes/],
    ['the page on that port', { page: { enabled: true, port: 8081 } }, /page.port: 8081 is the port of the probes/],
    [
      "the agent's metrics on that port",
      { agent: { enabled: true, metrics: { port: 8081 } } },
      /agent.metrics.port: 8081 is the port of the probes/,
    ],
    [
      'metrics and page on one port',
      { metrics: { port: 9000 }, page: { enabled: true, port: 9000 } },
      /metrics.port and page.port are both 9000/,
    ],
    [
      'a PriorityClass that both would create',
      { priorityClass: { name: 'mine' }, agent: { enabled: true, priorityClass: { name: 'mine' } } },
      /priorityClass.name and agent.priorityClass.name are both mine/,
    ],
  ])('refuses %s', async (_, values, message) => {
    const args = ['template', 'gracewatch', CHART, '-n', NAMESPACE, '--values=-']
    const { code, stderr } = await helm(major, args, { input: JSON.stringify(values) })
    expect(stderr).toMatch(message)
    expect(code).toBe(1)
    expect(stderr.trim().split('\n').length).toBeLessThan(12)
  })

  it.each([
    ['1.35.4', 'Auto', false],
    ['1.36.0', 'Auto', true],
    ['1.37.2-gke.1', 'Auto', true],
    ['1.35.4', 'Enabled', true],
  ])('on Kubernetes %s, with injection %s, has its policy: %s', async (version, injection, wanted) => {
    const set = `--set=gates.enabled=true,gates.injection=${injection}`
    const { stdout } = await helm(major, ['template', 'gracewatch', CHART, `--kube-version=${version}`, set])
    expect(stdout.includes('MutatingAdmissionPolicy')).toBe(wanted)
  })

  it.each([
    ['a port that nothing is served on', { metrics: { enabled: false, port: 8085 }, page: { enabled: true } }],
    ['one that the probes have, of what is off', { metrics: { enabled: false, port: 8081 }, page: { port: 8081 } }],
    [
      'a PriorityClass that one creates and the other uses',
      { priorityClass: { name: 'mine' }, agent: { enabled: true, priorityClass: { name: 'mine', create: false } } },
    ],
    ['none for either', { priorityClass: { name: '' }, agent: { enabled: true, priorityClass: { name: '' } } }],
  ])('takes %s', async (_, values) => {
    await expect(render([], major, values)).resolves.toContainEqual(expect.objectContaining({ kind: 'Deployment' }))
  })

  it('prints no hook where it is told to, as the chart says to those who apply what it prints', async () => {
    const args = ['template', 'gracewatch', CHART, '-n', NAMESPACE, '--no-hooks', ...ALL.flatMap((it) => ['--set', it])]
    const { stdout } = await helm(major, args)
    const wanted = ALL_OBJECTS.filter((name) => !HOOK.includes(name))
    expect(objectsIn(stdout).map(nameOf).sort()).toEqual(wanted.sort())
    const texts = ['README.md', 'values.yaml', 'values.schema.json'].map((name) => readFileSync(join(CHART, name), 'utf8'))
    const applied = texts.flatMap((text) => text.replaceAll(/\n *#? */g, ' ').match(/`helm template[^`]*\|[^`]*`/g) ?? [])
    expect(applied.length).toBeGreaterThan(3)
    for (const command of applied) expect(command).toContain('helm template --no-hooks ')
  })

  it('refuses a cluster whose custom resources have no selectable fields', async () => {
    const { code, stderr } = await helm(major, ['template', 'gracewatch', CHART, '--kube-version=1.31.9'])
    expect(stderr).toContain('chart requires kubeVersion: >=1.32.0-0')
    expect(code).toBe(1)
  })

  it('packs the chart, and renders the same from the package', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gracewatch-chart-'))
    try {
      const packed = await helm(major, ['package', CHART, '--destination', folder])
      expect(packed.code, packed.stderr).toBe(0)
      const names = readdirSync(folder)
      expect(names).toEqual([expect.stringMatching(/^gracewatch-\d+\.\d+\.\d+\.tgz$/)])
      const args = [
        join(folder, names[0] ?? ''),
        '--namespace',
        NAMESPACE,
        '--kube-version=1.37.2',
        ...ALL.flatMap((it) => ['--set', it]),
      ]
      const { stdout } = await helm(major, ['template', 'gracewatch', ...args])
      expect(stdout).toBe(await template(ALL, major))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('takes what a chart hands down that has this one as a dependency', async () => {
    await expect(render([], major, { global: { region: 'eu' }, enabled: true })).resolves.toHaveLength(DEFAULT.length)
  })
})

/** By helm 4 alone: helm 3 makes no dry run without a cluster. */
describe('NOTES.txt', () => {
  it('prints the next three commands, and what is worth knowing of the values', async () => {
    const notes = async (...settings: string[]) => {
      const set = settings.flatMap((it) => ['--set', it])
      const args = ['install', 'gracewatch', CHART, '-n', 'watch', '--dry-run=client', ...set]
      const { code, stdout, stderr } = await helm('4', args)
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
      return stdout.slice(stdout.indexOf('NOTES:'))
    }
    const plain = await notes()
    expect(plain.match(/^ {2}kubectl .*$/gm)).toHaveLength(3)
    expect(plain).toContain('kubectl rollout status deployment/gracewatch-controller -n watch')
    expect(plain).toContain('--set agent.enabled=true')
    expect(await notes('agent.enabled=true')).not.toContain('agent.enabled')
    expect(await notes('replicas=1')).toContain('no PodDisruptionBudget')
    expect(await notes('cleanup.enabled=true', 'cleanup.dryRun=true')).toContain('deletes nothing')
    expect(await notes('gates.enabled=true', 'gates.injection=Disabled')).toContain('gates.injection is Disabled')
  })
})

describe('the manifests', () => {
  it('are what the chart renders', async () => {
    expect([...(await staleManifests()).keys()]).toEqual([])
  })

  it('come out the same of both helms, with everything and in another namespace too', async () => {
    for (const settings of [[], AS_MANIFESTS, ALL]) {
      const [new4, old3] = await Promise.all([template(settings, '4'), template(settings, '3')])
      const byName = (text: string) => new Map(objectsIn(text).map((object) => [nameOf(object), object]))
      expect(byName(old3)).toEqual(byName(new4))
    }
  })

  it.each([
    [DEPLOYMENT, 'gates.enabled=true', 'deploy/gates/controller/switched-on.yaml'],
    [DEPLOYMENT, 'cleanup.enabled=true', 'deploy/cleanup/component/switched-on.yaml'],
    [DEPLOYMENT, 'metrics.enabled=true', 'deploy/metrics/switched-on.yaml'],
    [DAEMON_SET, 'metrics.enabled=true', 'deploy/metrics/agent/switched-on.yaml'],
  ])('the %s with %s is that of the plain ones with the patch %s', async (name, settings, patch) => {
    const { spec } = parse(readFileSync(join(root, patch), 'utf8'))
    const base = [...AS_MANIFESTS, 'agent.enabled=true']
    const [plain, switched] = await Promise.all([render(base), render([...base, settings])])
    const { containers, ...rest } = podOf(plain, name)
    const { containers: after, ...restAfter } = podOf(switched, name)
    expect(restAfter).toEqual(rest)
    const [{ env, ports, ...container }] = containers
    const [patched] = spec.template.spec.containers
    const wanted = { ...container, env: [...env, ...patched.env], ports: [...ports, ...(patched.ports ?? [])] }
    expect(after).toEqual([wanted])
  })
})

describe('the CRDs', () => {
  it.each(CRDS)('%s is that of crds/, and stays where the release goes unless it is told not to', async (name) => {
    const { metadata, ...written } = parse(readFileSync(join(root, `crds/${name.split(' ')[1]}.yaml`), 'utf8'))
    const [kept, dropped] = await Promise.all([render(), render(['crds.keep=false'])])
    const { metadata: found, ...rest } = find(kept, name)
    expect(rest).toEqual(written)
    expect(Object.keys(metadata)).toEqual(['name', 'labels'])
    expect(found.labels).toMatchObject(metadata.labels)
    expect(found.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' })
    expect(find(dropped, name).metadata.annotations).toBeUndefined()
  })
})

/** helm upgrade deletes what is in the manifest no more; the namespace of the agents is the test's of a real cluster. */
describe('the namespace of the release', () => {
  it('is left to its own where it is no longer part of the release, which Helm says and the manifests do not', async () => {
    const name = `Namespace ${NAMESPACE}`
    const { metadata } = find(await render(['namespace.create=true']), name)
    expect(metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' })
    const applied = parse(readFileSync(join(root, 'deploy/manifests/namespace.yaml'), 'utf8'))
    expect(applied.metadata).not.toHaveProperty('annotations')
  })
})

describe('rights', () => {
  /** `verb group/resource`, and the name where it is limited to one: what all roles together allow that an account is bound to. */
  const rightsOf = (objects: readonly KubeObject[], account: string): string[] => {
    const bindings = objects.filter(({ subjects = [] }) => subjects.some(({ name }) => name === account))
    const rights = bindings
      .flatMap(({ roleRef }) => find(objects, `${roleRef?.kind} ${roleRef?.name}`).rules ?? [])
      .flatMap(({ apiGroups, resources, verbs, resourceNames = [''] }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((resource) =>
            verbs.flatMap((verb) => resourceNames.map((name) => `${verb} ${group}/${resource} ${name}`.trim())),
          ),
        ),
      )
    return [...new Set(rights)].sort()
  }
  const rights = async (...settings: string[]) => rightsOf(await render(settings), 'gracewatch-controller')
  const METRICS_RIGHTS = ['create authentication.k8s.io/tokenreviews', 'create authorization.k8s.io/subjectaccessreviews']
  const PLAIN = [
    ...['create', 'patch'].map((verb) => `${verb} /events`),
    ...['list', 'watch'].map((verb) => `${verb} /pods`),
    ...['list', 'watch'].flatMap((verb) => [`${verb} /events`, `${verb} discovery.k8s.io/endpointslices`]),
    ...METRICS_RIGHTS,
    ...['get /nodes', 'get apps/replicasets', 'get batch/jobs', 'create coordination.k8s.io/leases'],
    ...['get', 'update'].map((verb) => `${verb} coordination.k8s.io/leases gracewatch-controller`),
    ...['get', 'list', 'watch', 'create', 'patch', 'delete'].map((verb) => `${verb} gracewatch.dev/podterminations`),
  ]
  const GATE_RIGHTS = [
    'patch /pods/status',
    'get /namespaces',
    'get apps/controllerrevisions',
    ...['list /services', 'watch /services'],
    ...['deployments', 'statefulsets', 'daemonsets'].flatMap((it) => ['list', 'watch'].map((verb) => `${verb} apps/${it}`)),
    ...['list', 'watch', 'patch'].map((verb) => `${verb} gracewatch.dev/podreadinessgates`),
    'update gracewatch.dev/podreadinessgates/status',
  ]
  const CLEANUP_RIGHTS = [
    'get /pods',
    'delete /pods',
    ...['list', 'watch'].flatMap((verb) => [`${verb} batch/jobs`, `${verb} gracewatch.dev/podcleanups`]),
    'patch gracewatch.dev/podcleanups/status',
  ]

  it('are these by default', async () => expect(await rights()).toEqual([...PLAIN].sort()))

  it.each([
    [['settings.events=false'], PLAIN.filter((it) => it !== 'create /events' && it !== 'patch /events')],
    [['metrics.enabled=false'], PLAIN.filter((it) => !METRICS_RIGHTS.includes(it))],
    [['metrics.auth=false'], PLAIN.filter((it) => !METRICS_RIGHTS.includes(it))],
    [['gates.enabled=true'], [...PLAIN, ...GATE_RIGHTS]],
    [['cleanup.enabled=true'], [...PLAIN, ...CLEANUP_RIGHTS]],
    [
      ['cleanup.enabled=true', 'gates.enabled=true'],
      [...PLAIN, ...GATE_RIGHTS, ...CLEANUP_RIGHTS],
    ],
    [['agent.enabled=true', 'networkPolicy.enabled=true'], PLAIN],
  ])('with %j', async (settings, wanted) => expect(await rights(...settings)).toEqual([...wanted].sort()))

  it('of the kinds that values name go into the role that the check condition reads with', async () => {
    const objects = await render(['gates.enabled=true'], '4', { gates: { targets: [{ resource: 'configmaps' }] } })
    const { metadata, rules } = find(objects, 'ClusterRole gracewatch-gate-targets-of-values')
    expect(metadata.labels).toMatchObject({ 'gracewatch.dev/aggregate-to-gate-targets': 'true' })
    expect(rules).toEqual([{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }])
  })

  it('of the hook are to stop the controller and to take finalizers off, and to delete gates only where their CRD goes', async () => {
    const kept = [
      'delete coordination.k8s.io/leases gracewatch-controller',
      'get apps/deployments gracewatch-controller',
      'list /pods',
      'list gracewatch.dev/podreadinessgates',
      'patch apps/deployments/scale gracewatch-controller',
      'patch gracewatch.dev/podreadinessgates',
    ]
    expect(rightsOf(await render(), 'gracewatch-uninstall')).toEqual(kept)
    const all = [...kept, 'delete gracewatch.dev/podreadinessgates'].sort()
    expect(rightsOf(await render(['crds.keep=false']), 'gracewatch-uninstall')).toEqual(all)
  })
})

describe('the hook', () => {
  const hooksIn = (objects: readonly KubeObject[]) =>
    Object.fromEntries(
      objects.flatMap((object) => {
        const on = object.metadata.annotations?.['helm.sh/hook']
        return on === undefined ? [] : [[nameOf(object), on]]
      }),
    )
  const BEFORE_IT_GOES = Object.fromEntries(HOOK.map((name) => [name, 'pre-delete']))
  const WITH_GATES_OFF = {
    ...BEFORE_IT_GOES,
    ...Object.fromEntries(
      ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding'].map((it) => [
        `${it} gracewatch-uninstall`,
        'pre-delete,post-rollback',
      ]),
    ),
    [GATES_OFF]: 'post-rollback',
  }

  it('is there only while it runs: before the release goes, and where a rollback may have switched gates off', async () => {
    const objects = await render()
    for (const name of [...HOOK, GATES_OFF])
      expect(find(objects, name).metadata.annotations?.['helm.sh/hook-delete-policy']).toBe('before-hook-creation,hook-succeeded')
    expect(hooksIn(objects)).toEqual(WITH_GATES_OFF)
    expect(hooksIn(await render(['gates.enabled=true']))).toEqual(BEFORE_IT_GOES)
  })

  it.each(HELM_MAJORS)('of an upgrade by helm %s that asks no cluster does no more', async (major) => {
    const upgrade = ['--is-upgrade', '--api-versions=gracewatch.dev/v1alpha1/PodReadinessGate']
    const { stdout, stderr } = await helm(major, ['template', 'gracewatch', CHART, '-n', NAMESPACE, ...upgrade])
    expect(stderr).toBe('')
    expect(hooksIn(objectsIn(stdout))).toEqual(WITH_GATES_OFF)
  })

  it('ends before Helm gives up on it, and by a time-out of 240 s more than it is to wait', async () => {
    const deadline = async (...settings: string[]) =>
      Number(find(await render(settings), 'Job gracewatch-uninstall').spec?.activeDeadlineSeconds)
    // What `helm uninstall` waits for by default.
    expect(await deadline()).toBeLessThan(300)
    expect(await deadline('uninstallHook.releaseSeconds=600')).toBeLessThan(600 + 240)
    expect(Number(find(await render(), GATES_OFF).spec?.activeDeadlineSeconds)).toBeLessThan(300)
  })

  it('runs a program of the image by its own settings', async () => {
    const { containers } = podOf(await render(['crds.keep=false', 'uninstallHook.releaseSeconds=5']), 'Job gracewatch-uninstall')
    const [{ command, env }] = containers
    const entry = command?.at(-1)?.replace(/^dist\/(.*)\.js$/, 'src/$1.ts')
    expect(readFileSync(join(root, entry ?? ''), 'utf8')).toContain('parseUninstallConfig')
    expect(env.slice(1)).toEqual([
      { name: 'GRACEWATCH_DELETE_GATES', value: 'true' },
      { name: 'GRACEWATCH_RELEASE_WITHIN', value: '5s' },
    ])
    const [gatesOff] = podOf(await render(), GATES_OFF).containers
    expect(gatesOff).toMatchObject({ command, env: [env[0], { name: 'GRACEWATCH_KEEP_CONTROLLER', value: 'true' }] })
    expect(parseUninstallConfig([], { ...given(gatesOff), KUBERNETES_SERVICE_HOST: '10.96.0.1' })).toMatchObject({
      config: { keepController: true, deleteGates: false },
      warnings: [],
    })
  })
})

describe('settings', () => {
  /** Flags that the chart gives by itself, or not at all. */
  const OWN = [
    'kubeconfig',
    'context',
    'gates',
    'cleanup',
    'lease-name',
    'agent-namespace',
    'namespace',
    'pod-name',
    'health-address',
  ]
  const AGENT_OWN = [
    ...['kubeconfig', 'context', 'node-name', 'tracing', 'records-namespace', 'health-address'],
    // It makes its certificate itself: a Secret of the release is in another namespace.
    ...['metrics-tls-cert-file', 'metrics-tls-key-file'],
  ]
  /** What each kind of value allows but all together do not, and what a text says nothing of. */
  const CHOSEN: Readonly<Record<string, unknown>> = {
    namespaces: ['shop', 'web'],
    excludeNamespaces: ['other'],
    leaseDuration: '40s',
    renewDeadline: '20s',
    retryPeriod: '5s',
    instance: 'mine',
  }
  /** A value that is not the default: the highest number, since that is where formats break. */
  const sample = (name: string, { type, maximum, examples, enum: words }: Schema): unknown => {
    if (name in CHOSEN) return CHOSEN[name]
    if (type === 'boolean') return examples?.[0] !== true
    if (type === 'integer') return maximum
    return Array.isArray(words) ? words.at(-1) : '90s'
  }
  const samples = ({ properties = {} }: Schema | undefined = {}, apart: readonly string[] = []) =>
    Object.fromEntries(
      Object.entries(properties)
        .filter(([name]) => !apart.includes(name))
        .map(([name, schema]) => [name, sample(name, schema)]),
    )
  const { settings, gates, cleanup, metrics, agent } = VALUES.properties ?? {}
  const values = {
    settings: samples(settings),
    gates: { ...samples(gates, ['enabled', 'injection', 'targets']), enabled: true },
    cleanup: { ...samples(cleanup, ['enabled']), enabled: true },
    metrics: { ...samples(metrics, ['enabled', 'port', 'tls', 'readers']), tls: { secretName: 'metrics-tls' } },
    agent: { enabled: true, settings: samples(agent?.properties?.settings) },
  }
  /** What the program understands of an environment, by flag; it must not have anything to say against it. */
  const understood = (parsed: ReturnType<typeof parseConfig> | ReturnType<typeof parseAgentConfig>) => {
    if (!('config' in parsed)) throw new Error(JSON.stringify(parsed))
    expect(parsed.warnings).toEqual([])
    return parsed.config as Readonly<Record<string, unknown>> // by key, whichever the program
  }
  const flagged = (table: Table): [string, Setting][] => Object.entries(table)

  it.each<[string, Table, readonly string[], (env: Record<string, string>) => Readonly<Record<string, unknown>>]>([
    [DEPLOYMENT, SETTINGS, OWN, (env) => understood(parseConfig([], env, () => undefined))],
    [DAEMON_SET, AGENT_SETTINGS, AGENT_OWN, (env) => understood(parseAgentConfig([], env))],
  ])(
    'of the %s are given by values, every one of the table, and are what the program understands',
    async (name, table, own, read) => {
      const env = given(podOf(await render([], '4', values), name).containers[0])
      const config = read({ ...env, KUBERNETES_SERVICE_HOST: '10.96.0.1' })
      const open = flagged(table).filter(([, { flag }]) => !own.includes(flag) && !flag.startsWith('page-'))
      expect(open.map(([, { flag }]) => envName(flag)).filter((variable) => env[variable] === undefined)).toEqual([])
      for (const [key, { flag, kind, fallback }] of open) {
        const parsed = kind.parse(env[envName(flag)] ?? '')
        expect({ [flag]: config[key] }).toEqual({ [flag]: 'value' in parsed ? parsed.value : parsed.problem })
        expect(env[envName(flag)]).not.toBe(fallback)
      }
    },
  )

  it('of gates and cleanup are not given where those are off', async () => {
    const off = { ...values, gates: { ...values.gates, enabled: false }, cleanup: { ...values.cleanup, enabled: false } }
    const env = Object.keys(given(podOf(await render([], '4', off), DEPLOYMENT).containers[0]))
    expect(env.filter((name) => /_(GATE|CLEANUP)/.test(name))).toEqual([])
  })

  it('of the page are given where it is switched on: the port, and nothing that a Service could reach', async () => {
    const plain = podOf(await render(), DEPLOYMENT)
    const [container, ...others] = podOf(await render([], '4', { page: { enabled: true, port: 9000 } }), DEPLOYMENT).containers
    const { GRACEWATCH_PAGE_PORT: port, ...env } = given(container)
    expect(port).toBe('9000')
    expect([{ ...container, env: [] }, ...others]).toEqual(plain.containers.map((one) => ({ ...one, env: [] })))
    expect(env).toEqual(given(plain.containers[0]))
    const config = understood(
      parseConfig([], { GRACEWATCH_PAGE_PORT: port, KUBERNETES_SERVICE_HOST: '10.96.0.1' }, () => undefined),
    )
    expect(config.pagePort).toBe(9000)
    expect(understood(parseConfig([], { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, () => undefined)).pagePort).toBeUndefined()
  })

  it('follow the namespaces: of the release, and of the agents', async () => {
    const args = [
      'template',
      'gracewatch',
      CHART,
      '-n',
      'watch',
      '--set=agent.enabled=true,agent.namespace.name=agents,gates.enabled=true',
    ]
    const { stdout } = await helm('4', args)
    expect(stdout).not.toMatch(/gracewatch-(agent-)?system/)
    const objects = objectsIn(stdout)
    expect(given(podOf(objects, DEPLOYMENT).containers[0]).GRACEWATCH_AGENT_NAMESPACE).toBe('agents')
    expect(given(podOf(objects, DAEMON_SET).containers[0]).GRACEWATCH_RECORDS_NAMESPACE).toBe('watch')
    expect(stdout).toContain("request.userInfo.username == 'system:serviceaccount:agents:gracewatch-agent'")
    expect(stdout).toContain("object.metadata.namespace == 'watch'")
    expect(stdout).toContain('operator: NotIn, values: [watch, agents, kube-system]')
  })
})

describe('the metrics', () => {
  const endpoint = async (values: object) => {
    const { spec } = find(await render(['serviceMonitor.enabled=true'], '4', values), 'ServiceMonitor gracewatch')
    return (spec as { endpoints?: readonly Record<string, unknown>[] } | undefined)?.endpoints?.[0] // of another kind than the rest
  }

  it('are scraped over HTTPS with the token of Prometheus, at the port that the Service and the pod name', async () => {
    expect(await endpoint({})).toMatchObject({
      port: 'metrics',
      scheme: 'https',
      honorLabels: true,
      bearerTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      tlsConfig: { insecureSkipVerify: true },
    })
    const objects = await render([], '4', { metrics: { port: 9443 } })
    const { env, ports } = podOf(objects, DEPLOYMENT).containers[0]
    expect(env).toContainEqual({ name: 'GRACEWATCH_METRICS_ADDRESS', value: ':9443' })
    expect(ports).toContainEqual({ name: 'metrics', containerPort: 9443, protocol: 'TCP' })
    expect(find(objects, 'Service gracewatch-metrics').spec?.ports).toEqual([
      { name: 'metrics', port: 9443, targetPort: 'metrics', protocol: 'TCP' },
    ])
  })

  it('come with a certificate that can be verified where there is one', async () => {
    const metrics = { tls: { secretName: 'metrics-tls' } }
    expect((await endpoint({ metrics }))?.tlsConfig).toEqual({
      serverName: `gracewatch-metrics.${NAMESPACE}.svc`,
      ca: { secret: { name: 'metrics-tls', key: 'ca.crt' } },
    })
    const tlsConfig = { serverName: 'other' }
    expect((await endpoint({ metrics, serviceMonitor: { tlsConfig } }))?.tlsConfig).toEqual(tlsConfig)
    const { volumes, containers } = podOf(await render([], '4', { metrics }), DEPLOYMENT)
    expect(volumes).toEqual([{ name: 'metrics-tls', secret: { secretName: 'metrics-tls' } }])
    expect(containers[0]).toMatchObject({ volumeMounts: [{ name: 'metrics-tls', mountPath: '/metrics-tls', readOnly: true }] })
  })

  it('have the labels, interval and relabelings that values give, and are reached by whom they name', async () => {
    const metricsFrom = [{ namespaceSelector: { matchLabels: { team: 'monitoring' } } }]
    const relabelings = [{ targetLabel: 'cluster', replacement: 'one' }]
    const values = {
      serviceMonitor: {
        enabled: true,
        labels: { release: 'prometheus' },
        interval: '15s',
        relabelings,
        metricRelabelings: relabelings,
      },
      networkPolicy: { enabled: true, metricsFrom },
    }
    const objects = await render([], '4', values)
    expect(find(objects, 'ServiceMonitor gracewatch').metadata.labels).toMatchObject({ release: 'prometheus' })
    const ofNode = { sourceLabels: ['__meta_kubernetes_pod_node_name'], targetLabel: 'node' }
    expect(await endpoint(values)).toMatchObject({
      interval: '15s',
      relabelings: [ofNode, ...relabelings],
      metricRelabelings: relabelings,
    })
    expect(find(objects, 'NetworkPolicy gracewatch-controller').spec?.ingress).toContainEqual({
      from: metricsFrom,
      ports: [{ port: 'metrics', protocol: 'TCP' }],
    })
  })
})

describe('what values say of the pods', () => {
  it('can be that there is nothing to say: maps and lists that are taken away are not in the pods', async () => {
    const nothing = {
      nodeSelector: null,
      tolerations: null,
      resources: null,
      affinity: null,
      podLabels: null,
      podAnnotations: null,
    }
    const objects = await render([], '4', { ...nothing, extraLabels: null, agent: { enabled: true, ...nothing } })
    for (const name of [DEPLOYMENT, DAEMON_SET]) {
      const { nodeSelector, tolerations, containers } = podOf(objects, name)
      expect({ nodeSelector, tolerations, resources: containers[0].resources }).toEqual({})
    }
  })

  it('is where they say it', async () => {
    const pods = {
      resources: { requests: { cpu: '2', memory: '1Gi' }, limits: { memory: '2Gi' } },
      podLabels: { team: 'platform' },
      podAnnotations: { 'example.com/scrape': 'no' },
      // Helm merges maps: what is a default and not wanted is written as null.
      nodeSelector: { disk: 'fast', 'kubernetes.io/os': null },
      tolerations: [{ key: 'infra', operator: 'Exists', effect: 'NoSchedule' }],
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
    }
    const values = {
      ...pods,
      replicas: 3,
      priorityClass: { create: false, name: 'system-cluster-critical' },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
      ],
      image: {
        repository: 'registry.example/gracewatch',
        tag: '9',
        digest: `sha256:${'0'.repeat(64)}`,
        pullSecrets: [{ name: 'pull' }],
      },
      agent: { enabled: true, maxUnavailable: 3, ...pods, priorityClass: { name: '' } },
    }
    const objects = await render([], '4', values)
    expect(find(objects, DEPLOYMENT).spec?.replicas).toBe(3)
    expect(find(objects, DAEMON_SET).spec?.updateStrategy).toMatchObject({ rollingUpdate: { maxUnavailable: 3 } })
    for (const name of [DEPLOYMENT, DAEMON_SET]) {
      const { nodeSelector, tolerations, affinity, imagePullSecrets, containers } = podOf(objects, name)
      expect({ nodeSelector, tolerations, affinity, resources: containers[0].resources }).toEqual({
        nodeSelector: { disk: 'fast' },
        tolerations: pods.tolerations,
        affinity: pods.affinity,
        resources: pods.resources,
      })
      expect(imagePullSecrets).toEqual([{ name: 'pull' }])
      expect(containers[0].image).toBe(`registry.example/gracewatch:9@sha256:${'0'.repeat(64)}`)
      const { labels, annotations } = find(objects, name).spec?.template.metadata ?? {}
      expect(labels).toMatchObject({ team: 'platform', 'app.kubernetes.io/name': 'gracewatch' })
      expect(annotations).toMatchObject({ 'example.com/scrape': 'no' })
    }
    expect(podOf(objects, DEPLOYMENT)).toMatchObject({
      priorityClassName: 'system-cluster-critical',
      topologySpreadConstraints: values.topologySpreadConstraints,
    })
    expect(podOf(objects, DAEMON_SET).priorityClassName).toBeUndefined()
  })

  it('extraLabels are on every object and every pod, and in no selector', async () => {
    const text = await template(ALL, '4', { extraLabels: { 'app.kubernetes.io/part-of': 'platform' } })
    const objects = objectsIn(text)
    const pods = objects.filter(({ spec }) => spec?.template !== undefined)
    expect(pods.map(({ kind }) => kind).sort()).toEqual(['DaemonSet', 'Deployment', 'Job'])
    const labels = [...objects.map(({ metadata }) => metadata), ...pods.map(({ spec }) => spec?.template.metadata)].map(
      (it) => it?.labels,
    )
    expect(labels.filter((it) => it?.['app.kubernetes.io/part-of'] !== 'platform')).toEqual([])
    expect(text.match(/part-of/g)).toHaveLength(labels.length)
  })

  it('every object says that Helm has installed it, and as what; no selector does', async () => {
    const text = await template(ALL)
    const objects = objectsIn(text)
    for (const { metadata } of objects) {
      expect(metadata.labels).toMatchObject({
        'app.kubernetes.io/managed-by': 'Helm',
        'app.kubernetes.io/instance': 'gracewatch',
      })
    }
    expect(text.match(HELM_LABELS)).toHaveLength(4 * objects.length)
  })
})
