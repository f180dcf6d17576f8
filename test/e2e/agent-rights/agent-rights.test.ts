/**
 * What the agent may and may not do in the API, tried with the token of an agent that runs: read from its pod's volume on the node, as
 * somebody who has taken over the agent or the node would. And what its process has on the node.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { API_VERSION, GROUP, type PodTermination, podTerminationSchema, VERSION } from '../../../src/api/pod-termination.ts'
import { recordName } from '../../../src/core/record-name.ts'
import { attachCluster, type Cluster, ensureCluster, terminalProgress } from '../../cluster/index.ts'
import { install } from '../../cluster/install.ts'
import { type Body, bearer, type Method, type Reply, type Send } from './bearer.ts'
import { type ControllersFields, FINDING, kernelOf, MARK, OTHER, OTHER_POD, POD, type PodFields, WRITTEN } from './values.ts'

/** As for the scenarios: what runs is somebody else's, and stays. */
const EXTERNAL = process.env.GRACEWATCH_E2E_CONTROLLER === 'external'
const MINUTES = 60_000
const NAMESPACE = 'gracewatch-agent-system'
const ACCOUNT = 'gracewatch-agent'
const CONTROLLERS_NAMESPACE = 'gracewatch-system'

const SAYS = {
  verbs: 'an agent creates and changes PodTerminations, and does nothing else',
  unbound: 'the token of an agent has to be bound to its pod: it has no node claim',
  ownNode: 'an agent writes only in records of pods of its own node, which is ',
  kernel: 'an agent writes the field kernel, with its own node in it',
  namespace: 'a record stands in the namespace of its pod, or in that of Gracewatch',
  name: 'a record is named after the UID of its pod',
  pod: 'an agent names the pod where it creates the record, and never changes it',
  fields: 'an agent writes the field kernel and no other',
  metadata: 'an agent writes no labels, annotations, finalizers or owners',
  managers: 'an agent keeps who has written which field',
} as const

const suffix = Math.random().toString(36).slice(2, 8)
const shop = `gw-rights-${suffix}`
const otherNode = `gw-node-${suffix}`
const probe = `probes.${GROUP}`
const wider = `gw-rights-${suffix}`

let cluster: Cluster
let end: () => Promise<void> = async () => undefined
let agent: { readonly name: string; readonly uid: string; readonly container: string }
let node: string
let as: Send

type Stored = PodTermination & { metadata: { name: string; namespace: string; [field: string]: unknown } }
/** The record with all that a controller writes; the one that an agent began; the one of a pod of another node. */
let written: Stored
let begun: Stored
let elsewhere: Stored

const collection = (namespace: string) => `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/podterminations`
const pathOf = ({ metadata }: Stored) => `${collection(metadata.namespace)}/${metadata.name}`
const uidOf = (digit: number) => `${String(digit).repeat(8)}-0c1f-4a52-9d4e-5c7f0b1f3a11`

function stored(pod: PodTermination['pod'], rest: Partial<PodTermination> = {}, metadata: object = {}): Stored {
  return { metadata: { namespace: shop, name: recordName(pod), ...metadata }, pod, ...rest }
}

const whole = (record: object) => ({ apiVersion: API_VERSION, kind: 'PodTermination', ...record })
const json = (value: unknown): Body => ({ type: 'application/json', value })

const apply = (record: Stored, send: Send = as) =>
  send('PATCH', `${pathOf(record)}?fieldManager=gracewatch-agent&force=true`, {
    type: 'application/apply-patch+yaml',
    value: whole(record),
  })
const merge = (record: Stored, value: object, manager = 'gracewatch-agent') =>
  as('PATCH', `${pathOf(record)}?fieldManager=${manager}`, { type: 'application/merge-patch+json', value })
const jsonPatch = (record: Stored, value: readonly object[]) =>
  as('PATCH', `${pathOf(record)}?fieldManager=gracewatch-agent`, { type: 'application/json-patch+json', value })
const create = (record: Stored, send: Send = as) =>
  send('POST', `${collection(record.metadata.namespace)}?fieldManager=gracewatch-agent`, json(whole(record)))

/** Refused by the admission policy, or by a rule of the CRD that speaks first; the answer must say it in these words. */
async function refused(reply: Promise<Reply>, words: string): Promise<void> {
  const { status, body } = await reply
  expect(`${status} ${body}`).toMatch(/^422 /)
  expect(body).toContain(words)
}

async function forbidden(reply: Promise<Reply>): Promise<void> {
  const { status, body } = await reply
  expect(`${status} ${body}`).toMatch(/^403 /)
  expect(body).toContain(`User \\"system:serviceaccount:${NAMESPACE}:${ACCOUNT}\\" cannot`)
}

const asAdmin = (object: object) =>
  cluster.kubectl(['apply', '--server-side', '--force-conflicts', '--field-manager=gracewatch-controller', '-f', '-'], {
    input: JSON.stringify(object),
  })

const get = async (record: Stored): Promise<Stored> =>
  JSON.parse(await cluster.kubectl(['get', '--raw', pathOf(record)])) as Stored // what was written here

/** What the policy holds: all but the agent's own field and what the API server itself counts up. */
const held = ({ kernel: _, metadata: { resourceVersion, generation, managedFields, ...metadata }, ...rest }: Stored) => ({
  ...rest,
  metadata,
})

beforeAll(async () => {
  const progress = terminalProgress(process.stderr)
  cluster = EXTERNAL
    ? await attachCluster({ shape: 'node' })
    : await ensureCluster({ shape: 'node', progress, command: "the tests of the agent's rights" })
  end = () => cluster.close()
  if (!EXTERNAL) await install(cluster, progress, { agent: true })
  node = cluster.nodeName
  const pods = await cluster.kubectl([
    ...['get', 'pods', '-n', NAMESPACE, '-l', 'app.kubernetes.io/component=agent', '--field-selector=status.phase=Running'],
    ...[
      '-o',
      'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].containerID}{"\\n"}{end}',
    ],
  ])
  const [name = '', uid = '', container = ''] = pods.trim().split('\n')[0]?.split(' ') ?? []
  agent = { name, uid, container: container.replace(/^.*:\/\//, '') }
  as = sender(await tokenOfAgent())

  await cluster.kubectl(['create', 'namespace', shop])
  await cluster.kubectl(['create', 'configmap', 'owner', '-n', shop])
  const owner = await cluster.kubectl(['get', 'configmap', 'owner', '-n', shop, '-o', 'jsonpath={.metadata.uid}'])
  written = stored({ ...POD, namespace: shop, node }, WRITTEN, {
    labels: { 'gracewatch.dev/outcome': 'Graceful' },
    annotations: { 'example.com/note': 'as it was' },
    finalizers: ['example.com/held'],
    ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner }],
  })
  elsewhere = stored({ ...POD, namespace: shop, node: otherNode, uid: uidOf(2) }, WRITTEN)
  begun = stored({ namespace: shop, name: 'begun', uid: uidOf(3), node }, { kernel: kernelOf(node) })
  for (const record of [written, elsewhere]) await asAdmin(whole(record))
  expect(await apply(begun)).toMatchObject({ status: 201 })
}, 15 * MINUTES)

afterAll(async () => {
  try {
    if (cluster !== undefined) {
      // First of all: while a kind of the group goes kubectl may not find the others.
      if (written !== undefined) {
        const none = '{"metadata":{"finalizers":null}}'
        const patch = await cluster.tryKubectl([
          'patch',
          'podtermination',
          written.metadata.name,
          '-n',
          shop,
          '--type=merge',
          '-p',
          none,
        ])
        if (patch.code !== 0) console.error(`namespace ${shop} cannot go: ${patch.stderr}`)
      }
      await cluster.tryKubectl(['delete', 'clusterrolebinding,clusterrole', wider, '--ignore-not-found'])
      await cluster.tryKubectl(['delete', 'crd', probe, '--ignore-not-found'])
      await cluster.tryKubectl(['delete', 'pod', otherNode, '-n', NAMESPACE, '--force', '--ignore-not-found'])
      await cluster.tryKubectl(['delete', 'namespace', shop, '--wait=false'])
    }
  } finally {
    await end()
  }
}, 5 * MINUTES)

const sender = (token: string): Send => bearer(cluster.apiServerUrl, cluster.adminCertificate.ca, token)

async function tokenOfAgent(): Promise<string> {
  const folder = join(cluster.kubeletFolder, 'pods', agent.uid, 'volumes/kubernetes.io~projected')
  const volumes = JSON.parse(
    await cluster.kubectl(['get', 'pod', agent.name, '-n', NAMESPACE, '-o', 'jsonpath={.spec.volumes}']),
  ) as { name: string }[] // of the API server's own making
  const volume = volumes.find(({ name }) => name.startsWith('kube-api-access'))
  return readFileSync(join(folder, volume?.name ?? '', 'token'), 'utf8')
}

describe('the admission policy', () => {
  it('has no expression that the API server finds fault with', async () => {
    const status = await cluster.kubectl(['get', 'validatingadmissionpolicy', 'gracewatch-agent', '-o', 'jsonpath={.status}'])
    expect(JSON.parse(status)).toMatchObject({ typeChecking: {} })
    expect(status).not.toContain('expressionWarnings')
  })

  it('has every field of the record among those that are tried here', () => {
    expect(Object.keys(WRITTEN).concat('pod', 'kernel').sort()).toEqual(Object.keys(podTerminationSchema.shape).sort())
    expect(Object.keys(POD).sort()).toEqual(Object.keys(podTerminationSchema.shape.pod.shape).sort())
  })
})

describe('an agent may', () => {
  it('add kernel to a record that the controller writes, and change it, and nothing else changes', async () => {
    const before = await get(written)
    for (const lost of [0, 7]) {
      const { pod, metadata } = written
      const { namespace, name, uid } = pod
      const target = { namespace: metadata.namespace, name: metadata.name }
      expect(await apply({ metadata: target, pod: { namespace, name, uid, node }, kernel: kernelOf(node, lost) })).toMatchObject({
        status: 200,
      })
      const after = await get(written)
      expect(after.kernel).toEqual(kernelOf(node, lost))
      expect(held(after)).toEqual(held(before))
    }
  })

  it('begin a record, also under the whole UID, and in the namespace of the controller', async () => {
    const pod = { namespace: shop, name: 'fresh', uid: uidOf(4), node }
    const full = stored(pod, { kernel: kernelOf(node) }, { name: recordName(pod, { full: true }) })
    const moved = stored(
      pod,
      { kernel: kernelOf(node) },
      { namespace: CONTROLLERS_NAMESPACE, name: recordName(pod, { prefix: shop }) },
    )
    expect(await create(stored(pod, { kernel: kernelOf(node) }))).toMatchObject({ status: 201 })
    expect(await apply(full)).toMatchObject({ status: 201 })
    expect(await apply(moved)).toMatchObject({ status: 201 })
    await cluster.kubectl(['delete', '--raw', pathOf(moved)])
  })

  it('add kernel to a record as large as records are', async () => {
    const many = <T>(count: number, item: (index: number) => T) => Array.from({ length: count }, (_, index) => item(index))
    const large = stored(
      { ...POD, namespace: shop, node, uid: uidOf(5) },
      {
        ...WRITTEN,
        timeline: many(512, () => ({ ...MARK, container: 'c'.repeat(63), message: 'm'.repeat(256) })),
        findings: many(256, () => ({ ...FINDING, message: 'm'.repeat(1024) })),
        containers: many(512, (index) => ({ name: `container-${index}`, role: 'Main' as const, outcome: 'Graceful' as const })),
        endpoints: many(256, (index) => ({ service: `${'s'.repeat(200)}-${index}`, readyAtStopSignal: 'False' as const })),
      },
    )
    await asAdmin(whole(large))
    expect(await merge(large, { kernel: kernelOf(node) })).toMatchObject({ status: 200 })
  })
})

describe("an agent may not touch the controller's fields", () => {
  /** What is Complete stays so, by a rule of the CRD that speaks before the policy. */
  const says = (field: string) => (field === 'state' ? 'a record that is Complete stays Complete' : SAYS.fields)
  // Object.keys forgets the literal keys.
  const fields = Object.keys(WRITTEN) as (keyof ControllersFields)[]

  for (const field of fields) {
    it(field, async () => {
      const kernel = kernelOf(node, 1)
      const change = { [field]: OTHER[field] }
      const identity = { namespace: shop, name: written.pod.name, uid: written.pod.uid, node }
      const target = { namespace: shop, name: written.metadata.name }
      await refused(apply({ metadata: target, pod: identity, kernel, ...change }), says(field))
      await refused(merge(written, { kernel, ...change }), says(field))
      await refused(merge(written, { kernel, [field]: null }), says(field))
      await refused(jsonPatch(written, [{ op: 'replace', path: `/${field}`, value: OTHER[field] }]), says(field))
      await refused(jsonPatch(written, [{ op: 'remove', path: `/${field}` }]), says(field))
      await refused(merge(begun, change), SAYS.fields)
      await refused(apply({ ...begun, ...change }), SAYS.fields)
      const pod = { namespace: shop, name: 'fresh', uid: uidOf(6), node }
      await refused(create(stored(pod, { kernel, ...change })), SAYS.fields)
      await refused(apply(stored(pod, { kernel, ...change })), SAYS.fields)
    })
  }
})

describe('an agent may not touch the metadata', () => {
  const CHANGES = {
    labels: { 'gracewatch.dev/outcome': 'ForcedKill' },
    annotations: { 'example.com/note': 'as it was not' },
    finalizers: ['example.com/other'],
    ownerReferences: [] as object[],
  }
  for (const [field, value] of Object.entries(CHANGES)) {
    it(field, async () => {
      const kernel = kernelOf(node, 1)
      await refused(merge(written, { kernel, metadata: { [field]: value } }), SAYS.metadata)
      await refused(merge(written, { kernel, metadata: { [field]: null } }), SAYS.metadata)
      await refused(jsonPatch(written, [{ op: 'remove', path: `/metadata/${field}` }]), SAYS.metadata)
      const [owner] = written.metadata.ownerReferences as object[] // given above
      const added = field === 'ownerReferences' ? [owner] : value
      await refused(merge(begun, { kernel, metadata: { [field]: added } }), SAYS.metadata)
      const pod = { namespace: shop, name: 'fresh', uid: uidOf(6), node }
      await refused(create(stored(pod, { kernel }, { [field]: added })), SAYS.metadata)
      await refused(apply(stored(pod, { kernel }, { [field]: added })), SAYS.metadata)
    })
  }

  it('who has written which field', async () => {
    await refused(jsonPatch(written, [{ op: 'replace', path: '/metadata/managedFields', value: [{}] }]), SAYS.managers)
    await refused(merge(written, { kernel: kernelOf(node, 1) }, 'gracewatch-controller'), SAYS.managers)
  })
})

describe('an agent may not change the pod of a record', () => {
  /** The CRD's own rule and the policy's other ones speak first where they are about the same. */
  const SAID: Partial<Record<keyof PodFields, string>> = {
    uid: 'pod.uid never changes',
    node: SAYS.ownNode,
    namespace: SAYS.namespace,
  }
  // Object.keys forgets the literal keys.
  const fields = Object.keys(POD) as (keyof PodFields)[]
  for (const field of fields) {
    it(field, async () => {
      const words = SAID[field] ?? SAYS.pod
      const kernel = kernelOf(node, 1)
      const changed = { ...written.pod, [field]: OTHER_POD[field] }
      const target = { namespace: shop, name: written.metadata.name }
      await refused(apply({ metadata: target, pod: changed, kernel }), words)
      await refused(merge(written, { kernel, pod: { [field]: OTHER_POD[field] } }), words)
      await refused(jsonPatch(written, [{ op: 'replace', path: `/pod/${field}`, value: OTHER_POD[field] }]), words)
      const needed = podTerminationSchema.shape.pod.shape[field].safeParse(undefined).success === false
      await refused(merge(written, { kernel, pod: { [field]: null } }), needed ? 'Required value' : words)
    })
  }

  for (const field of ['graceSeconds', 'restartPolicy', 'workload'] as const) {
    it(`nor say more of it than who it is: ${field}`, async () => {
      const pod = { namespace: shop, name: 'fresh', uid: uidOf(6), node, [field]: POD[field] }
      await refused(create(stored(pod, { kernel: kernelOf(node) })), SAYS.pod)
      await refused(apply(stored(pod, { kernel: kernelOf(node) })), SAYS.pod)
    })
  }
})

describe('an agent may not write of what is not its own', () => {
  it("a pod of another node's, whatever it says", async () => {
    const { metadata, pod } = elsewhere
    const target = { namespace: metadata.namespace, name: metadata.name }
    for (const of of [otherNode, node]) {
      await refused(apply({ metadata: target, pod: { ...pod, node: of }, kernel: kernelOf(node) }), SAYS.ownNode + node)
      await refused(merge(elsewhere, { kernel: kernelOf(of) }), SAYS.ownNode + node)
    }
    const fresh = { namespace: shop, name: 'fresh', uid: uidOf(6), node: otherNode }
    await refused(create(stored(fresh, { kernel: kernelOf(node) })), SAYS.ownNode + node)
    const { node: _, ...nowhere } = fresh
    await refused(create(stored(nowhere, { kernel: kernelOf(node) })), SAYS.ownNode + node)
  })

  it('measurements of another node, or none', async () => {
    const pod = { namespace: shop, name: 'fresh', uid: uidOf(6), node }
    await refused(merge(written, { kernel: kernelOf(otherNode) }), SAYS.kernel)
    await refused(merge(written, { kernel: null }), SAYS.kernel)
    await refused(merge(begun, { kernel: null }), SAYS.kernel)
    await refused(create(stored(pod, { kernel: kernelOf(otherNode) })), SAYS.kernel)
    await refused(create(stored(pod)), SAYS.kernel)
  })

  it('a record in a third namespace', async () => {
    const pod = { namespace: shop, name: 'fresh', uid: uidOf(6), node }
    await refused(create(stored(pod, { kernel: kernelOf(node) }, { namespace: 'default' })), SAYS.namespace)
  })

  it("the name of another pod's record", async () => {
    const pod = { namespace: shop, name: 'fresh', uid: uidOf(6), node }
    for (const name of [`fresh.${uidOf(7).slice(0, 8)}`, `fresh.${uidOf(7)}`, 'fresh', `fresh.${uidOf(6).slice(0, 9)}`])
      await refused(create(stored(pod, { kernel: kernelOf(node) }, { name: name.replace(/-$/, 'x') })), SAYS.name)
  })
})

describe('a token of the account that is not of an agent of this node', () => {
  it('and bound to no pod writes nothing', async () => {
    const token = await cluster.kubectl(['create', 'token', ACCOUNT, '-n', NAMESPACE])
    await refused(apply({ ...begun, kernel: kernelOf(node, 9) }, sender(token.trim())), SAYS.unbound)
  })

  it('but of another one writes nothing of this one, and nothing at all once its pod is gone', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: otherNode, namespace: NAMESPACE },
      spec: { nodeName: otherNode, serviceAccountName: ACCOUNT, containers: [{ name: 'none', image: 'none' }] },
    }
    await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(pod) })
    const bound = ['--bound-object-kind=Pod', `--bound-object-name=${otherNode}`]
    const token = await cluster.kubectl(['create', 'token', ACCOUNT, '-n', NAMESPACE, ...bound])
    const other = sender(token.trim())
    await refused(apply({ ...begun, kernel: kernelOf(node, 9) }, other), SAYS.ownNode + otherNode)
    const fresh = { namespace: shop, name: 'fresh', uid: uidOf(8), node: otherNode }
    expect(await create(stored(fresh, { kernel: kernelOf(otherNode) }), other)).toMatchObject({ status: 201 })
    // The API server remembers for some seconds that a token was good.
    await cluster.kubectl(['delete', 'pod', otherNode, '-n', NAMESPACE, '--force', '--grace-period=0'])
    await expect
      .poll(async () => (await apply(stored(fresh, { kernel: kernelOf(otherNode) }), other)).status, { timeout: 30_000 })
      .toBe(401)
  })
})

describe('the rights of the account', () => {
  it('are these, and beyond them no more than every account has', async () => {
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace: shop } }
    const rulesIn = (answer: string) =>
      (JSON.parse(answer) as { status: { resourceRules: { resources: string[] }[] } }).status.resourceRules // authorization.k8s.io/v1
    const ask = async (send: Send) =>
      rulesIn((await send('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', json(review))).body)
    const another = sender((await cluster.kubectl(['create', 'token', 'default', '-n', shop])).trim())
    const common = (await ask(another)).map(sorted)
    const own = (await ask(as)).map(sorted).filter((rule) => !common.includes(rule))
    expect(own.sort()).toEqual(
      [
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
        { apiGroups: [GROUP], resources: ['podterminations'], verbs: ['create', 'get', 'patch'] },
      ]
        .map(sorted)
        .sort(),
    )
  })

  const REQUESTS: readonly (readonly [Method, string])[] = [
    ['GET', '/api/v1/secrets'],
    ['GET', `/api/v1/namespaces/${NAMESPACE}/secrets`],
    ['GET', '/api/v1/configmaps'],
    ['GET', '/api/v1/nodes'],
    ['GET', '/api/v1/namespaces'],
    ['GET', `/api/v1/namespaces/${shop}/pods/one`],
    ['POST', `/api/v1/namespaces/${shop}/pods`],
    ['DELETE', `/api/v1/namespaces/${shop}/pods/one`],
    ['DELETE', `/api/v1/namespaces/${shop}/pods`],
    ['PATCH', `/api/v1/namespaces/${shop}/pods/one/status`],
    ['POST', `/api/v1/namespaces/${shop}/pods/one/exec`],
    ['GET', `/api/v1/namespaces/${shop}/pods/one/log`],
    ['POST', `/api/v1/namespaces/${shop}/pods/one/eviction`],
    ['POST', `/api/v1/namespaces/${shop}/events`],
    ['POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${ACCOUNT}/token`],
    ['PATCH', `/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/gracewatch-agent`],
    ['DELETE', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/gracewatch-agent'],
    ['DELETE', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/gracewatch-agent'],
    ['PATCH', '/apis/rbac.authorization.k8s.io/v1/clusterroles/gracewatch-agent'],
    ['PATCH', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podterminations.${GROUP}`],
    ['GET', `/apis/${GROUP}/${VERSION}/podterminations`],
    ['PUT', `/apis/${GROUP}/${VERSION}/namespaces/${shop}/podterminations/one`],
    ['DELETE', `/apis/${GROUP}/${VERSION}/namespaces/${shop}/podterminations/one`],
    ['DELETE', `/apis/${GROUP}/${VERSION}/namespaces/${shop}/podterminations`],
    ['PATCH', `/apis/${GROUP}/${VERSION}/namespaces/${shop}/podterminations/one/status`],
    ['GET', '/api/v1/nodes/node-1/proxy/pods'],
  ]
  for (const [method, path] of REQUESTS) {
    it(`not ${method} ${path.replaceAll(suffix, '…')}`, async () => {
      const patch = { type: 'application/merge-patch+json', value: {} }
      await forbidden(
        as(method, path, method === 'PATCH' ? patch : method === 'GET' || method === 'DELETE' ? undefined : json({})),
      )
    })
  }
})

describe('an account that was given too much', () => {
  it('is held by the policy all the same: no delete, no other kind, no field by PUT', async () => {
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: probe },
      spec: {
        group: GROUP,
        scope: 'Namespaced',
        names: { plural: 'probes', singular: 'probe', kind: 'Probe', listKind: 'ProbeList' },
        versions: [
          {
            name: VERSION,
            served: true,
            storage: true,
            subresources: { status: {} },
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    }
    await cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(definition) })
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', `crd/${probe}`])
    await cluster.kubectl(['create', 'clusterrole', wider, '--verb=*', `--resource=*.${GROUP}`])
    await cluster.kubectl([
      'create',
      'clusterrolebinding',
      wider,
      `--clusterrole=${wider}`,
      `--serviceaccount=${NAMESPACE}:${ACCOUNT}`,
    ])
    await expect.poll(async () => (await as('GET', collection(shop))).status, { timeout: 30_000 }).toBe(200)

    await refused(as('DELETE', pathOf(elsewhere)), SAYS.verbs)
    await refused(as('DELETE', pathOf(begun)), SAYS.verbs)
    await refused(as('DELETE', collection(shop)), SAYS.verbs)
    const stands = await get(written)
    await refused(as('PUT', pathOf(written), json({ ...stands, outcome: 'ForcedKill' })), SAYS.fields)
    const { findings: _, ...without } = stands
    await refused(as('PUT', pathOf(written), json(without)), SAYS.fields)
    expect(
      await as('PUT', `${pathOf(written)}?fieldManager=gracewatch-agent`, json({ ...stands, kernel: kernelOf(node, 3) })),
    ).toMatchObject({ status: 200 })

    const probes = `/apis/${GROUP}/${VERSION}/namespaces/${shop}/probes`
    const one = { apiVersion: API_VERSION, kind: 'Probe', metadata: { name: 'one' } }
    const created = async () => (await as('POST', probes, json(one))).body
    await expect.poll(created, { timeout: 30_000 }).toContain(SAYS.verbs)
    await cluster.kubectl(['create', '-n', shop, '-f', '-'], { input: JSON.stringify(one) })
    const status = { type: 'application/merge-patch+json', value: { status: { ready: true } } }
    await refused(as('PATCH', `${probes}/one`, status), SAYS.verbs)
    await refused(as('DELETE', `${probes}/one`), SAYS.verbs)
    for (const record of [written, elsewhere, begun]) await get(record)
  })
})

describe('on the node', () => {
  /** Where the agent sees the node's folder of trace instances. */
  const INSTANCES = '/tracing/instances'

  /** By the ids of the kernel's own view, which is what counts. */
  async function processId(): Promise<number> {
    const tasks = await cluster.ctr(['tasks', 'ls'])
    const line = tasks.split('\n').find((task) => task.startsWith(agent.container))
    return Number(line?.trim().split(/\s+/)[1])
  }

  it('the agent measures as root without a capability, without a way to new ones, and under seccomp', async () => {
    const status = readFileSync(`/proc/${await processId()}/status`, 'utf8')
    const of = (field: string) => new RegExp(`^${field}:\\s+(.*)$`, 'm').exec(status)?.[1]
    expect(of('Uid')).toMatch(/^0\s/)
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(of(set), set).toMatch(/^0+$/)
    expect(of('NoNewPrivs')).toBe('1')
    expect(of('Seccomp')).toBe('2')
  })

  /** Runs it in the agent's container, with its rights. @returns what it says, errors too */
  async function run(script: string): Promise<string> {
    const id = `rights-${Math.random().toString(36).slice(2, 8)}`
    return cluster.ctr(['tasks', 'exec', '--exec-id', id, agent.container, '/bin/sh', '-c', `{ ${script}; } 2>&1 || true`])
  }

  it.each([
    ['read the environment of a process with capabilities', 'cat /proc/1/environ', 'Permission denied'],
    ['read its memory map', 'cat /proc/1/maps', 'Permission denied'],
    ['get at the files of the node through it', 'ls /proc/1/root', 'Permission denied'],
    ['mount anything', 'mount -t tmpfs none /tmp', /denied|not permitted/],
    ['make a device', 'mknod /dev/shm/null c 1 3', 'not permitted'],
    ['write to its own root', 'touch /left', 'Read-only file system'],
    ["change the kernel's settings", 'echo 1 >/proc/sys/kernel/panic', 'Read-only file system'],
    ['put probes into the kernel or into programs', 'ls /tracing/uprobe_events /tracing/kprobe_events', 'No such file'],
    ['stop the tracing of others', 'ls /tracing/tracing_on', 'No such file'],
  ])('whoever is in its place cannot %s', async (_, script, answer) => {
    expect(await run(script)).toMatch(answer)
  })

  it('whoever is in its place can signal the processes of root, and see the command lines of all', async () => {
    expect(await run('kill -0 1 && echo signalled')).toBe('signalled\n')
    expect((await run('cat /proc/1/cmdline')).length).toBeGreaterThan(0)
  })

  it('it has of the files of the node the trace alone, and no place of its own to write to', async () => {
    const mounts = readFileSync(`/proc/${await processId()}/mountinfo`, 'utf8')
      .trim()
      .split('\n')
      .map(mountOf)
    expect(mounts.find(({ at }) => at === '/')?.options).toContain('ro')
    expect(mounts.filter(({ type }) => type === 'tracefs').map(({ at }) => at)).toEqual([INSTANCES])
    const writable = mounts
      .filter(({ options, type }) => options.includes('rw') && !['proc', 'mqueue', 'devpts'].includes(type))
      .filter(({ at }) => !/^\/(dev|proc|etc)\//.test(at))
    // The runtime's, for this container: /dev and, with cgroup v1, the folder that its read-only hierarchies are mounted in, both in memory;
    // /dev/null over files of /proc, and the hosts file and the like.
    const runtimes = ['/dev', '/sys/fs/cgroup']
    expect(writable.map(({ at }) => at).filter((at) => !runtimes.includes(at))).toEqual([INSTANCES])
  })
})

/** A rule as text, whatever the order of its fields and of their values. */
function sorted(rule: object): string {
  const fields = Object.entries(rule).map(([field, values]) => [field, Array.isArray(values) ? [...values].sort() : values])
  return JSON.stringify(fields.sort(([one], [other]) => String(one).localeCompare(String(other))))
}

/** @see proc_pid_mountinfo(5) */
function mountOf(line: string): { at: string; options: string[]; type: string } {
  const [own = '', filesystem = ''] = line.split(' - ')
  const fields = own.split(' ')
  return { at: fields[4] ?? '', options: (fields[5] ?? '').split(','), type: filesystem.split(' ')[0] ?? '' }
}
