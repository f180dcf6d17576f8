/**
 * The chart on a real node, with the real helm of both majors, in the order in which a cluster lives: CRDs and records that are there from
 * before there was a chart, install, upgrades and a rollback that switch parts on and off, uninstall with the CRDs kept and without them.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { FINALIZER } from '../../../src/kube/gate-objects.ts'
import { CHART, HELM_MAJORS, type HelmMajor, helm } from '../../chart/helm.ts'
import { emptyForChart } from '../../chart/on-cluster.ts'
import { type Cluster, ensureCluster, terminalProgress } from '../../cluster/index.ts'
import type { Raw } from '../api.ts'

const MINUTES = 60_000
/** As for the scenarios: what runs is somebody else's, and stays. */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const SYSTEM = 'gracewatch-system'
const AGENTS = 'gracewatch-agent-system'
const SHOP = 'shop'
const RECORDS = 'podterminations.gracewatch.dev'
const GATES = 'podreadinessgates.gracewatch.dev'
const CRDS = [RECORDS, GATES, 'podcleanups.gracewatch.dev'].sort()
const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name)

const EVERYTHING = 'agent.enabled=true,gates.enabled=true,cleanup.enabled=true,networkPolicy.enabled=true'

let cluster: Cluster
/** Values that every command here has: the image of this tree, and that the records of the fixture are not too old to be kept. */
let base: string[]

const kubectl = (...args: string[]) => cluster.kubectl(args)
const get = async (...args: string[]): Promise<Raw> => JSON.parse(await kubectl('get', ...args, '-o', 'json'))
const items = async (...args: string[]): Promise<Raw[]> => (await get(...args)).items

async function run(
  major: HelmMajor,
  command: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  return helm(major, [command, 'gracewatch', ...args, '-n', SYSTEM, '--timeout=4m'], {
    env: { KUBECONFIG: cluster.kubeconfigPath },
  })
}

async function succeed(major: HelmMajor, command: string, ...args: string[]): Promise<string> {
  const values = command === 'uninstall' ? [] : [CHART, ...base]
  const result = await run(major, command, [...values, '--wait', ...args])
  expect(result.code, result.stderr).toBe(0)
  return result.stdout
}

/** Everything in the cluster that has the label of the project, as `kind/name`, but for what is on its way out with its owner. */
async function ours(): Promise<string[]> {
  const kinds = (await kubectl('api-resources', '--verbs=list', '-o', 'name')).trim().split('\n')
  const wanted = kinds.filter(
    (kind) => !/^(events|pods|replicasets|controllerrevisions|endpoints|endpointslices)(\.|$)/.test(kind),
  )
  const { stdout } = await cluster.tryKubectl(
    ['get', wanted.join(','), '-A', '-l', 'app.kubernetes.io/name=gracewatch', '-o', 'name', '--ignore-not-found'],
    {},
  )
  return stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .sort()
}

const crdNames = CRDS.map((name) => `customresourcedefinition.apiextensions.k8s.io/${name}`)

async function until(what: string, holds: () => Promise<boolean>, withinMs = 2 * MINUTES): Promise<void> {
  for (const end = performance.now() + withinMs; ; ) {
    if (await holds()) return
    if (performance.now() > end) throw new Error(`not in ${withinMs} ms: ${what}`)
    await sleep(500)
  }
}

const isReady = (status: Raw): boolean =>
  status.conditions?.some((it: Raw) => it.type === 'Ready' && it.status === 'True') ?? false

/** Deletes a pod, and waits until its record is Complete and has what is wanted of it. */
async function recordOf(selector: string, hasAll: (record: Raw) => boolean = () => true): Promise<Raw> {
  let pod: Raw
  await until(`a pod that is ready of ${selector}`, async () => {
    const pods = await items('pods', '-n', SHOP, '-l', selector)
    pod = pods.find(({ metadata, status }) => isReady(status) && metadata.deletionTimestamp === undefined)
    return pod !== undefined
  })
  await kubectl('delete', 'pod', pod.metadata.name, '-n', SHOP, '--wait=false')
  let found: Raw
  await until(`a record of ${pod.metadata.name}`, async () => {
    found = (await items(RECORDS, '-n', SHOP)).find(
      (record) => record.pod.uid === pod.metadata.uid && record.state === 'Complete' && hasAll(record),
    )
    return found !== undefined
  })
  return found
}

/** @param subresource by itself: kubectl would take `pods/status` for a pod of that name */
const may = async (verb: string, resource: string, subresource = '') => {
  const who = `--as=system:serviceaccount:${SYSTEM}:gracewatch-controller`
  return (
    await cluster.tryKubectl(['auth', 'can-i', verb, resource, `--subresource=${subresource}`, '-n', SHOP, who])
  ).stdout.trim()
}

/** Of the gate that these tests make. */
const finalizers = async (): Promise<string[]> => (await get(GATES, 'registered', '-n', SHOP)).metadata.finalizers ?? []

beforeAll(async () => {
  if (EXTERNAL) return
  const progress = terminalProgress(process.stderr)
  cluster = await ensureCluster({ shape: 'node', progress, command: 'npm test -- e2e (the chart)' })
  const image = await emptyForChart(cluster, progress)
  await kubectl('delete', 'namespace', SHOP, '--ignore-not-found', '--timeout=180s')
  const separator = image.lastIndexOf(':')
  const values = [`image.repository=${image.slice(0, separator)}`, `image.tag=${image.slice(separator + 1)}`]
  const kept = ['settings.retentionGraceful=87600h', 'settings.retentionAbnormal=87600h']
  base = [...values, ...kept].flatMap((value) => ['--set', value])
  await kubectl('create', 'namespace', SHOP)
  const busybox = (await cluster.images()).find((reference) => reference.includes('/busybox:'))
  const labels = { app: 'web' }
  // Ready once its handler is there: before that, PID 1 would not hear the signal.
  const script = 'trap "exit 0" TERM; touch /tmp/ready; while :; do sleep 0.1; done'
  const container = {
    name: 'app',
    image: busybox,
    command: ['sh', '-c', script],
    readinessProbe: { exec: { command: ['test', '-f', '/tmp/ready'] }, periodSeconds: 1 },
  }
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: SHOP },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  }
  await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(deployment) })
}, 20 * MINUTES)

afterAll(async () => {
  if (EXTERNAL) return
  await cluster?.tryKubectl(['delete', 'namespace', SHOP, '--wait=false'])
  await cluster?.close()
}, 5 * MINUTES)

describe.skipIf(EXTERNAL)('the chart on a cluster', () => {
  const first = parseAllDocuments(readFileSync(fixture('first-records.yaml'), 'utf8')).map((document): Raw => document.toJS())

  it(
    'takes over the CRDs and the records that are there from before, where it is told to',
    async () => {
      await kubectl('apply', '-f', fixture('first-crd.yaml'))
      await until('the CRD served', async () => (await cluster.tryKubectl(['get', RECORDS, '-n', SHOP])).code === 0)
      await kubectl('create', '-f', fixture('first-records.yaml'))
      const before = await items(RECORDS, '-n', SHOP)

      const refused = await run('4', 'install', [CHART, ...base, '--create-namespace'])
      expect(refused.code).toBe(1)
      expect(refused.stderr).toMatch(/podterminations\.gracewatch\.dev.*invalid ownership metadata/s)

      const notes = await succeed('4', 'install', '--create-namespace', '--take-ownership', '--force-conflicts')
      expect(notes).toContain('kubectl get podterminations -A')
      expect(await items(RECORDS, '-n', SHOP)).toEqual(before)
      const told = (records: readonly Raw[]) => records.map(({ pod, outcome }) => `${pod.name} ${outcome}`).sort()
      expect(told(before)).toEqual(told(first))
      const crd = await get('crd', RECORDS)
      expect(crd.spec.versions[0].schema.openAPIV3Schema.properties).toHaveProperty('kernel')
      expect(crd.metadata.annotations['helm.sh/resource-policy']).toBe('keep')
    },
    6 * MINUTES,
  )

  it(
    'has a controller that records, with no right that was not switched on',
    async () => {
      const record = await recordOf('app=web')
      expect(record.outcome).toBe('Graceful')
      expect(await may('delete', 'pods')).toBe('no')
      expect(await may('patch', 'pods', 'status')).toBe('no')
    },
    3 * MINUTES,
  )

  it(
    'is upgraded by the other helm to everything, and each part works',
    async () => {
      await succeed('3', 'upgrade', '--set', EVERYTHING)
      await kubectl('rollout', 'status', 'daemonset/gracewatch-agent', '-n', AGENTS, '--timeout=120s')
      // The agent adds to a record what it has measured, before or after the controller's last word.
      const { kernel } = await recordOf('app=web', (record) => record.kernel !== undefined)
      expect(kernel).toMatchObject({ node: cluster.nodeName })
      expect(await may('delete', 'pods')).toBe('yes')
      const gate = {
        apiVersion: 'gracewatch.dev/v1alpha1',
        kind: 'PodReadinessGate',
        metadata: { name: 'registered', namespace: SHOP },
        spec: {
          selector: { matchLabels: { app: 'gated' } },
          conditionType: 'example.com/registered',
          checks: [{ annotation: { key: 'example.com/ok', value: 'yes' } }],
        },
      }
      await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(gate) })
      await until('the finalizer of the gate', async () => (await finalizers()).includes(FINALIZER))
    },
    8 * MINUTES,
  )

  it(
    'does not have the namespace of the agents deleted under them where somebody else is to have it',
    async () => {
      const agents = async () => (await items('pods', '-n', AGENTS)).map(({ metadata }) => metadata.uid)
      const before = await agents()
      expect(before).toHaveLength(1)
      const own = ['--set', `${EVERYTHING},agent.namespace.create=false`]
      for (const major of HELM_MAJORS) {
        const refused = await run(major, 'upgrade', [CHART, ...base, ...own])
        expect(refused.stderr).toContain(`First: kubectl annotate namespace ${AGENTS} helm.sh/resource-policy=keep`)
        expect(refused.code).toBe(1)
      }
      await kubectl('annotate', 'namespace', AGENTS, 'helm.sh/resource-policy=keep')
      await succeed('4', 'upgrade', ...own)
      expect((await get('namespace', AGENTS)).metadata.deletionTimestamp).toBeUndefined()
      expect(await agents()).toEqual(before)
      // As it was, for the rollback.
      await kubectl('annotate', 'namespace', AGENTS, 'helm.sh/resource-policy-')
      await succeed('3', 'upgrade', '--set', EVERYTHING)
      expect(await agents()).toEqual(before)
    },
    5 * MINUTES,
  )

  it.each([
    ['gracewatch-lease', `${SYSTEM}:gracewatch-controller`, ['lease', 'gracewatch-controller', '-n', SYSTEM]],
    ['gracewatch-agent', `${AGENTS}:gracewatch-agent`, ['pods', '-A', '--field-selector=spec.nodeName=none']],
  ])('has the API server put under %s what %s asks', async (name, account, asked) => {
    const { uid } = (await get('flowschema', name)).metadata
    const { code, stderr } = await cluster.tryKubectl(['get', ...asked, `--as=system:serviceaccount:${account}`, '-v=8'])
    expect(code, stderr).toBe(0)
    // Of the last answer: those before it may be of the discovery of kinds.
    expect([...stderr.matchAll(/X-Kubernetes-Pf-Flowschema-Uid: (\S+)/gi)].at(-1)?.[1]).toBe(uid)
  })

  it(
    'gives up what a rollback switches off: rights, agents, and the finalizers of gates',
    async () => {
      const result = await run('3', 'rollback', ['1', '--wait'])
      expect(result.code, result.stderr).toBe(0)
      expect(await may('delete', 'pods')).toBe('no')
      expect(await may('patch', 'pods', 'status')).toBe('no')
      expect(await finalizers()).toEqual([])
      await until(
        'the namespace of the agents gone',
        async () => (await cluster.tryKubectl(['get', 'namespace', AGENTS])).code !== 0,
      )
      const parts = /agent|cleaner|cleanup|network|gates-|gatekeeper|uninstall/
      expect((await ours()).filter((name) => parts.test(name) && !crdNames.includes(name))).toEqual([])
    },
    8 * MINUTES,
  )

  it(
    'takes the finalizers off gates that an upgrade switches off, and asks for no Job where there are none',
    async () => {
      const one = ['--set', 'replicas=1']
      await succeed('4', 'upgrade', ...one, '--set', 'gates.enabled=true')
      expect(await may('patch', 'pods', 'status')).toBe('yes')
      await until('the finalizer of the gate', async () => (await finalizers()).includes(FINALIZER))
      await succeed('4', 'upgrade', ...one)
      expect(await finalizers()).toEqual([])
      const { code, stdout, stderr } = await run('4', 'upgrade', [CHART, ...base, ...one, '--dry-run=server'])
      expect(code, stderr).toBe(0)
      expect(stdout).toMatch(/helm.sh\/hook: .*post-rollback/)
      expect(stdout).not.toMatch(/helm.sh\/hook: .*post-upgrade/)
    },
    8 * MINUTES,
  )

  it(
    'leaves nothing but the CRDs and what is in them, and no finalizer',
    async () => {
      const before = (await items(RECORDS, '-n', SHOP)).map(({ metadata }) => metadata.uid).sort()
      // As of a gate from before, where nobody took it off.
      const patch = ['--type=merge', '-p', JSON.stringify({ metadata: { finalizers: [FINALIZER] } })]
      await kubectl('patch', GATES, 'registered', '-n', SHOP, ...patch)
      await succeed('4', 'uninstall')
      await until('everything but the CRDs gone', async () => (await ours()).join() === crdNames.join())
      const left = await kubectl(
        'get',
        'leases.coordination.k8s.io,secrets,configmaps,serviceaccounts',
        '-n',
        SYSTEM,
        '-o',
        'name',
      )
      expect(left.trim().split('\n').sort()).toEqual(['configmap/kube-root-ca.crt', 'serviceaccount/default'])
      const after = (await items(RECORDS, '-n', SHOP)).map(({ metadata }) => metadata.uid)
      expect(after).toEqual(expect.arrayContaining(before))
      expect(await finalizers()).toEqual([])
    },
    8 * MINUTES,
  )

  it(
    'takes its CRDs up again, and releases pods and takes everything with it where it is not to keep them',
    async () => {
      await succeed('3', 'install', '--set', 'gates.enabled=true,crds.keep=false,replicas=1')
      const busybox = (await cluster.images()).find((reference) => reference.includes('/busybox:'))
      const container = { name: 'app', image: busybox, command: ['sleep', '3600'] }
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'gated', namespace: SHOP, labels: { app: 'gated' } },
        spec: {
          terminationGracePeriodSeconds: 1,
          readinessGates: [{ conditionType: 'example.com/registered' }],
          containers: [container],
        },
      }
      await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(pod) })
      await until('a condition of the gate that is False', async () => {
        const { status } = await get('pod', 'gated', '-n', SHOP)
        return status.conditions?.some((it: Raw) => it.type === 'example.com/registered' && it.status === 'False') ?? false
      })
      await succeed('3', 'uninstall')
      await until('everything gone', async () => (await ours()).length === 0)
      await until('the pod Ready', async () => isReady((await get('pod', 'gated', '-n', SHOP)).status))
    },
    8 * MINUTES,
  )

  it(
    'goes on where kubectl applies what helm renders, and so runs the Job of the uninstall',
    async () => {
      const set = ['--set', 'namespace.create=true,crds.keep=false,replicas=1']
      const { code, stdout, stderr } = await helm('4', ['template', 'gracewatch', CHART, '-n', SYSTEM, ...base, ...set])
      expect(code, stderr).toBe(0)
      await cluster.kubectl(['apply', '-f', '-'], { input: stdout })
      await kubectl('wait', '--for=condition=complete', 'job/gracewatch-uninstall', '-n', SYSTEM, '--timeout=120s')
      expect(await kubectl('logs', 'job/gracewatch-uninstall', '-n', SYSTEM)).toContain('did nothing')
      expect((await get('deployment', 'gracewatch-controller', '-n', SYSTEM)).spec.replicas).toBe(1)
      await kubectl('rollout', 'status', 'deployment/gracewatch-controller', '-n', SYSTEM, '--timeout=120s')
      expect((await recordOf('app=web')).outcome).toBe('Graceful')
      await cluster.kubectl(['delete', '-f', '-', '--timeout=180s'], { input: stdout })
      await until('everything gone', async () => (await ours()).length === 0)
    },
    8 * MINUTES,
  )
})
