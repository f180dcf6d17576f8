/**
 * The policy that adds a gate to new pods, as deploy/gates has it but under a name of its own, on the API server alone: no controller runs
 * and no webhook is there.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { established, root, useApiServer } from '../connect.ts'
import { delay, eventually } from '../waiting.ts'

const bed = useApiServer('injection')
const other = `${bed.namespace}-other`
const OWN = ['gracewatch-system', 'gracewatch-agent-system', 'kube-system']
const CRD = 'podreadinessgates.gracewatch.dev'
const name = `gracewatch-readiness-gates-${bed.suffix}`
/** A new gate, or one that has changed, reaches the admission's own cache within so long. */
const CACHE_MS = 10_000

interface Document {
  readonly kind: string
  metadata: { name: string }
  spec: {
    policyName?: string
    paramKind?: object
    matchConstraints?: object
    matchConditions?: { name: string; expression: string }[]
  }
}

interface Pod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  readonly spec: { readonly readinessGates?: readonly { readonly conditionType: string }[] }
}

const documents = () =>
  parseAllDocuments(readFileSync(join(root, 'deploy/gates/injection.yaml'), 'utf8')).map((it) => it.toJS() as Document) // our own file
let broughtCrd = false
const broughtNamespaces: string[] = []
const madeGates: { namespace: string; name: string }[] = []

interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>
  readonly gates?: readonly string[]
  readonly annotations?: Readonly<Record<string, string>>
  readonly namespace?: string
  readonly nodeName?: string
}

/** A pod as the API server would have stored it: the whole of admission has seen it. Returns the types of its readiness gates. */
async function gatesOf({ labels, gates, annotations, nodeName, namespace = bed.namespace }: PodOptions): Promise<string[]> {
  const body = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'probe-', labels, annotations },
    spec: {
      nodeName,
      // What PodSecurity restricted asks for, which Gracewatch's own namespace enforces.
      securityContext: { runAsNonRoot: true, runAsUser: 1, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'app',
          image: 'localhost/none:1',
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
      ...(gates === undefined ? {} : { readinessGates: gates.map((conditionType) => ({ conditionType })) }),
    },
  }
  const path = `/api/v1/namespaces/${namespace}/pods`
  const { spec } = (await bed.http.request({ method: 'POST', path, query: { dryRun: 'All' }, body })).json<Pod>()
  return (spec.readinessGates ?? []).map(({ conditionType }) => conditionType)
}

interface GateOptions {
  readonly selector: object
  readonly inject?: boolean
  readonly namespace?: string
  readonly finalizers?: readonly string[]
}

async function gate(
  of: string,
  { selector, inject = true, namespace = bed.namespace, finalizers }: GateOptions,
): Promise<string> {
  const conditionType = `injection.example.com/${of}`
  const object = {
    apiVersion: 'gracewatch.dev/v1alpha1',
    kind: 'PodReadinessGate',
    metadata: { name: `${of}-${bed.suffix}`, namespace, finalizers },
    spec: { selector, conditionType, checks: [{ annotation: { key: 'example.com/ready', value: 'yes' } }], inject },
  }
  await bed.create(object)
  madeGates.push({ namespace, name: object.metadata.name })
  return conditionType
}

/** Waits until a pod with these labels gets the gate. */
const injected = (type: string, pod: PodOptions) =>
  eventually(async () => (await gatesOf(pod)).includes(type) || undefined, CACHE_MS, `${type} injected`)

beforeAll(async () => {
  broughtCrd = (await bed.cluster.tryKubectl(['get', 'crd', CRD])).code !== 0
  if (broughtCrd) {
    await bed.kubectl('apply', '--server-side', '-f', join(root, 'crds', `${CRD}.yaml`))
    await established(bed, CRD)
  }
  await bed.kubectl('create', 'namespace', other)
  for (const namespace of OWN) {
    if ((await bed.cluster.tryKubectl(['create', 'namespace', namespace])).code === 0) broughtNamespaces.push(namespace)
  }
  for (const document of documents()) {
    document.metadata.name = name
    if (document.spec.policyName !== undefined) document.spec.policyName = name
    await bed.create(document)
  }
})
afterAll(async () => {
  await bed.cluster.tryKubectl(['delete', 'mutatingadmissionpolicy,mutatingadmissionpolicybinding', name, '--ignore-not-found'])
  for (const { namespace, name } of madeGates) {
    const none = ['--type=merge', '-p', '{"metadata":{"finalizers":null}}']
    await bed.cluster.tryKubectl(['patch', 'podreadinessgate', name, '-n', namespace, ...none])
    await bed.cluster.tryKubectl(['delete', 'podreadinessgate', name, '-n', namespace, '--ignore-not-found', '--wait=false'])
  }
  for (const namespace of [other, ...broughtNamespaces]) {
    await bed.cluster.tryKubectl(['delete', 'namespace', namespace, '--wait=false'])
  }
  if (broughtCrd) await bed.cluster.tryKubectl(['delete', 'crd', CRD, '--ignore-not-found'])
})

describe('a gate with inject', () => {
  it('is added to a new pod that it selects, and to no other', async () => {
    const type = await gate('labels', { selector: { matchLabels: { app: 'web', tier: 'front' } } })
    await injected(type, { labels: { app: 'web', tier: 'front', more: 'yes' } })
    expect(await gatesOf({ labels: { app: 'web' } })).toEqual([])
    expect(await gatesOf({ labels: { app: 'web', tier: 'back' } })).toEqual([])
    expect(await gatesOf({})).toEqual([])
    expect(await gatesOf({ labels: { app: 'web', tier: 'front' }, namespace: other })).toEqual([])
  })

  it('keeps the gates that the template names, in their order, and is not added twice', async () => {
    const type = await gate('kept', { selector: { matchLabels: { app: 'kept' } } })
    const labels = { app: 'kept' }
    await injected(type, { labels })
    expect(await gatesOf({ labels, gates: ['example.com/b', 'example.com/a'] })).toEqual(['example.com/b', 'example.com/a', type])
    expect(await gatesOf({ labels, gates: [type, 'example.com/a'] })).toEqual([type, 'example.com/a'])
  })

  it('is added beside others that select the same pod', async () => {
    const labels = { app: 'several' }
    const types: string[] = []
    for (const of of ['several-a', 'several-b', 'several-c', 'several-d', 'several-e']) {
      types.push(await gate(of, { selector: { matchLabels: labels } }))
    }
    for (const type of types) await injected(type, { labels })
    expect((await gatesOf({ labels })).toSorted()).toEqual(types)
    expect((await gatesOf({ labels, gates: ['example.com/own'] })).toSorted()).toEqual(['example.com/own', ...types])
  })

  it('selects by every operator as Kubernetes does', async () => {
    // The first label is there so that the gates of these tests select nothing else.
    const only = { test: 'operators' }
    const gates = {
      in: await gate('in', {
        selector: { matchLabels: only, matchExpressions: [{ key: 'v', operator: 'In', values: ['1', '2'] }] },
      }),
      notIn: await gate('not-in', {
        selector: { matchLabels: only, matchExpressions: [{ key: 'v', operator: 'NotIn', values: ['1', '2'] }] },
      }),
      exists: await gate('exists', { selector: { matchLabels: only, matchExpressions: [{ key: 'v', operator: 'Exists' }] } }),
      absent: await gate('absent', {
        selector: { matchLabels: only, matchExpressions: [{ key: 'v', operator: 'DoesNotExist' }] },
      }),
      all: await gate('all', {
        selector: {
          matchLabels: only,
          matchExpressions: [
            { key: 'v', operator: 'In', values: ['1', '2'] },
            { key: 'v', operator: 'NotIn', values: ['2'] },
            { key: 'w', operator: 'DoesNotExist' },
          ],
        },
      }),
    }
    await injected(gates.all, { labels: { ...only, v: '1' } })
    const found = async (labels: Readonly<Record<string, string>>) =>
      (await gatesOf({ labels: { ...only, ...labels } })).toSorted()
    expect(await found({})).toEqual([gates.absent, gates.notIn].toSorted())
    expect(await found({ v: '1' })).toEqual([gates.in, gates.exists, gates.all].toSorted())
    expect(await found({ v: '2' })).toEqual([gates.in, gates.exists].toSorted())
    expect(await found({ v: '3' })).toEqual([gates.notIn, gates.exists].toSorted())
    expect(await found({ v: '' })).toEqual([gates.notIn, gates.exists].toSorted())
    expect(await found({ v: '1', w: 'x' })).toEqual([gates.in, gates.exists].toSorted())
  })

  it('an empty selector selects every pod of its namespace, with labels or without', async () => {
    const type = await gate('every', { selector: {}, namespace: other })
    await injected(type, { namespace: other })
    expect(await gatesOf({ namespace: other, labels: { any: 'thing' } })).toEqual([type])
    expect(await gatesOf({})).toEqual([])
  })

  it('is in the pods that a Deployment makes', async () => {
    const labels = { app: 'deployed' }
    const type = await gate('deployed', { selector: { matchLabels: labels } })
    await injected(type, { labels })
    await bed.create({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'deployed', namespace: bed.namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'localhost/none:1' }] } },
      },
    })
    const path = `/api/v1/namespaces/${bed.namespace}/pods`
    const list = () => bed.http.request({ method: 'GET', path, query: { labelSelector: 'app=deployed' } })
    const pods = await eventually(
      async () => {
        const { items } = (await list()).json<{ items: Pod[] }>()
        return items.length === 2 ? items : undefined
      },
      60_000,
      'both pods of the Deployment',
    )
    expect(pods.map(({ spec }) => spec.readinessGates)).toEqual([[{ conditionType: type }], [{ conditionType: type }]])
  })

  it('is not added any more while it is being deleted', async () => {
    const labels = { app: 'deleted' }
    const type = await gate('deleted', { selector: { matchLabels: labels }, finalizers: ['example.com/held'] })
    await injected(type, { labels })
    const path = `/apis/gracewatch.dev/v1alpha1/namespaces/${bed.namespace}/podreadinessgates/deleted-${bed.suffix}`
    await bed.http.request({ method: 'DELETE', path })
    const without = async () => (await gatesOf({ labels })).length === 0 || undefined
    expect(await eventually(without, CACHE_MS, 'pods without the gate')).toBe(true)
  })
})

describe('nothing is added', () => {
  it('by a gate without inject, or with inject false', async () => {
    const labels = { app: 'unasked' }
    await gate('unasked', { selector: { matchLabels: labels }, inject: false })
    const asked = await gate('asked', { selector: { matchLabels: labels } })
    await injected(asked, { labels })
    expect(await gatesOf({ labels })).toEqual([asked])
  })

  it('in the namespaces of Gracewatch and in kube-system', async () => {
    const labels = { app: `own-${bed.suffix}` }
    for (const namespace of OWN) await gate('own', { selector: { matchLabels: labels }, namespace })
    const witness = await gate('own', { selector: { matchLabels: labels } })
    await injected(witness, { labels })
    await delay(1_000)
    for (const namespace of OWN) expect(await gatesOf({ labels, namespace })).toEqual([])
  })

  it('to the mirror of a static pod', async () => {
    const labels = { app: 'mirror' }
    const type = await gate('mirror', { selector: { matchLabels: labels } })
    await injected(type, { labels })
    expect(await gatesOf({ labels, nodeName: 'node-1' })).toEqual([type])
    expect(await gatesOf({ labels, nodeName: 'node-1', annotations: { 'kubernetes.io/config.mirror': 'x' } })).toEqual([])
  })
})

describe('the expressions', () => {
  /** The API server checks types of validating policies only, so a validating one with the same expressions stands in. */
  it('have no fault that the API server finds in types', async () => {
    const policy = documents().find(({ kind }) => kind === 'MutatingAdmissionPolicy')
    const { paramKind, matchConstraints, matchConditions = [] } = policy?.spec ?? {}
    expect(matchConditions.length).toBeGreaterThan(3)
    await bed.create({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: { paramKind, matchConstraints, validations: matchConditions.map(({ expression }) => ({ expression })) },
    })
    try {
      const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${name}`
      const checked = async () =>
        (await bed.http.request({ method: 'GET', path })).json<{ status?: { typeChecking?: object } }>().status?.typeChecking
      expect(await eventually(checked, 30_000, 'the policy type-checked')).toEqual({})
    } finally {
      await bed.cluster.tryKubectl(['delete', 'validatingadmissionpolicy', name])
    }
  })
})
