/** What an API server that enforces Pod Security says of the pods of the chart, of the demo and of the guides; and of the NetworkPolicies. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { helmBinary } from '../../chart/helm.ts'
import { template } from '../../chart/manifests.ts'
import { EXPERIMENTS, experimentPod } from '../../demo/experiments.ts'
import { answersOf } from '../answers.ts'
import { root, useApiServer } from '../connect.ts'
import { eventually } from '../waiting.ts'

const bed = useApiServer('admission')
const { accepted, refusal } = answersOf(() => bed.cluster)
const LEVELS = ['restricted', 'baseline', 'privileged'] as const
type Level = (typeof LEVELS)[number]

interface Template {
  metadata?: { labels?: Record<string, string> }
  spec: Record<string, unknown> & { containers: { ports?: { name: string }[] }[] }
}
interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  spec: Record<string, unknown> & { template?: Template }
}

const documents = (text: string): Manifest[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null) // what helm wrote, or our own guides; each test looks closer
    .filter((object) => object !== null)
const rendered = async (...settings: string[]) => documents(await template(settings))
/** Everything that the controller can do. */
const FULL = [
  'gates.enabled=true',
  'cleanup.enabled=true',
  'page.enabled=true',
  'networkPolicy.enabled=true',
  'namespace.create=true',
]

function found(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const object = objects.find((it) => it.kind === kind && it.metadata.name === name)
  if (object === undefined) throw new Error(`there is no ${kind} ${name}`)
  return object
}

const namespaceOf = (level: Level) => `${bed.namespace}-${level}`

/** As its controller would create it. What the account and the class are called is a matter of other checks. */
function podOf({ metadata: { name }, spec }: Manifest, at: Level): object {
  const { serviceAccountName: _, priorityClassName: __, ...rest } = spec.template?.spec ?? spec
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: namespaceOf(at) }, spec: rest }
}

const DRY = ['create', '--dry-run=server', '--validate=strict', '-f', '-']

beforeAll(async () => {
  // Where nobody has used it yet it is built, which takes longer than a test may.
  await helmBinary('4')
  for (const level of LEVELS) {
    await bed.create({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespaceOf(level), labels: { 'pod-security.kubernetes.io/enforce': level } },
    })
    const path = `/api/v1/namespaces/${namespaceOf(level)}/serviceaccounts/default`
    await eventually(() => bed.http.request({ method: 'GET', path }).catch(() => undefined), 60_000, `the account of ${level}`)
  }
})
afterAll(() => bed.cluster.tryKubectl(['delete', 'namespace', ...LEVELS.map(namespaceOf), '--wait=false']))

describe('the level restricted', () => {
  it('lets in the controller with all that it can do, and what runs before an uninstall', async () => {
    const objects = await rendered(...FULL)
    for (const object of [
      found(objects, 'Deployment', 'gracewatch-controller'),
      found(objects, 'Job', 'gracewatch-uninstall'),
      found(await rendered(), 'Job', 'gracewatch-gates-off'),
    ])
      await accepted(DRY, podOf(object, 'restricted'))
    const { labels } = found(objects, 'Namespace', 'gracewatch-system').metadata
    expect(labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' })
  })

  it.each(EXPERIMENTS.map((experiment) => [experiment.name, experiment] as const))(
    'lets in pod %s of the demo',
    async (_, experiment) => {
      await accepted(DRY, experimentPod(experiment, namespaceOf('restricted'), 'registry.invalid/demo:1'))
    },
  )

  it('keeps the agent out', async () => {
    const agent = found(await rendered('agent.enabled=true'), 'DaemonSet', 'gracewatch-agent')
    expect(await refusal(DRY, podOf(agent, 'restricted'))).toContain('violates PodSecurity "restricted')
  })
})

describe('the agent', () => {
  it('needs the level privileged for the ids of processes and for one folder of its node, and for nothing else', async () => {
    const objects = await rendered('agent.enabled=true')
    const agent = found(objects, 'DaemonSet', 'gracewatch-agent')
    await accepted(DRY, podOf(agent, 'privileged'))
    const said = await refusal(DRY, podOf(agent, 'baseline'))
    const [, violations = ''] = /violates PodSecurity "baseline:[^"]*": (.*)/.exec(said) ?? []
    expect(violations.trim()).toBe('host namespaces (hostPID=true), hostPath volumes (volume "instances")')
    const { labels } = found(objects, 'Namespace', 'gracewatch-agent-system').metadata
    expect(labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' })
  })
})

describe('the guides', () => {
  /** They are short on purpose: the level that most namespaces have, and not the one that each of them would have to be written for. */
  it.each(['README.md', 'docs/cleanup.md'])('%s: its pods are let in by the level baseline', async (file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const blocks = [...text.matchAll(/```(?:yaml|sh)\n(.*?)^```$/gms)].map(([, block = '']) => {
      const [, document] = /<<'?END'?\n(.*?)^END$/ms.exec(block) ?? []
      return document ?? block
    })
    const pods = blocks
      .filter((block) => /^kind: (Pod|Job|Deployment)$/m.test(block))
      .flatMap(documents)
      .filter(({ kind }) => ['Pod', 'Job', 'Deployment'].includes(kind))
    for (const pod of pods) await accepted(DRY, podOf(pod, 'baseline'))
    expect(pods.length).toBeGreaterThan(0)
  })
})

describe('the NetworkPolicies', () => {
  const FROM = 'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=monitoring'

  it('are valid, select the pods that they are for, and name ports that these have', async () => {
    const objects = await rendered(...FULL, 'agent.enabled=true', FROM)
    for (const [policy, kind] of [
      ['gracewatch-controller', 'Deployment'],
      ['gracewatch-agent', 'DaemonSet'],
    ] as const) {
      const object = found(objects, 'NetworkPolicy', policy)
      await accepted(DRY, { ...object, metadata: { ...object.metadata, namespace: bed.namespace } })
      const workload = found(objects, kind, policy)
      expect(object.metadata.namespace).toBe(workload.metadata.namespace)
      const spec = object.spec as {
        podSelector: { matchLabels: Record<string, string> }
        policyTypes: string[]
        ingress: { ports?: { port: string | number }[]; from?: object[] }[]
      } // the API server has taken it
      expect(workload.spec.template?.metadata?.labels).toMatchObject(spec.podSelector.matchLabels)
      expect(spec.policyTypes).toEqual(['Ingress', 'Egress'])
      const ports = workload.spec.template?.spec.containers.flatMap((container) => container.ports ?? []).map(({ name }) => name)
      const open = spec.ingress.flatMap((rule) => rule.ports ?? []).map(({ port }) => port)
      expect(open.toSorted()).toEqual(['health', 'metrics'])
      expect(ports).toEqual(expect.arrayContaining(open))
    }
  })

  it('are looked at by the API server: one that names a port wrongly is refused', async () => {
    const object = found(await rendered('networkPolicy.enabled=true'), 'NetworkPolicy', 'gracewatch-controller')
    const wrong = { ...object.spec, ingress: [{ ports: [{ port: 'not_a_port', protocol: 'TCP' }] }] }
    const broken = { ...object, metadata: { ...object.metadata, namespace: bed.namespace }, spec: wrong }
    expect(await refusal(DRY, broken)).toContain('spec.ingress[0].ports[0].port')
  })
})
