/** The manifests on a real API server, under other names: accepted without a warning, and what they allow and do not allow. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root, useApiServer } from './connect.ts'

const bed = useApiServer('manifests')
const overlay = mkdtempSync(join(tmpdir(), 'gracewatch-manifests-'))
const prefix = `gw${bed.suffix}-`
let stderr = ''
const CRDS = ['podterminations.gracewatch.dev', 'podreadinessgates.gracewatch.dev']
const broughtCrds: string[] = []

beforeAll(async () => {
  // A right is asked for by the resource's name, which the API server has to know.
  for (const crd of CRDS) {
    if ((await bed.cluster.tryKubectl(['get', 'crd', crd])).code === 0) continue
    broughtCrds.push(crd)
    await bed.kubectl('apply', '--server-side', '-f', join(root, 'crds', `${crd}.yaml`))
  }
  const remove = { $patch: 'delete', apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }
  const kustomization = {
    resources: [relative(overlay, join(root, 'deploy/manifests'))],
    namespace: bed.namespace,
    namePrefix: prefix,
    replicas: [{ name: 'gracewatch-controller', count: 0 }],
    // What is installed on a shared cluster stays as it is.
    patches: CRDS.map((name) => ({ patch: JSON.stringify({ ...remove, metadata: { name } }) })),
  }
  writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify(kustomization))
  const result = await bed.cluster.tryKubectl(['apply', '--server-side', '--validate=strict', '-k', overlay])
  expect(result.code, result.stderr).toBe(0)
  stderr = result.stderr
})
afterAll(async () => {
  await bed.cluster.tryKubectl(['delete', '-k', overlay, '--wait=false', '--ignore-not-found'])
  for (const crd of broughtCrds) await bed.cluster.tryKubectl(['delete', 'crd', crd, '--ignore-not-found'])
  rmSync(overlay, { recursive: true })
})

/** kubectl takes `pods/status` for a pod of that name. */
const SUBRESOURCE = /^(pods)\/(\w+)$/

const can = async (who: string, verb: string, what: string, namespace = bed.namespace) => {
  const [, resource = what, subresource] = SUBRESOURCE.exec(what) ?? []
  const sub = subresource === undefined ? [] : [`--subresource=${subresource}`]
  const { stdout } = await bed.cluster.tryKubectl(['auth', 'can-i', verb, resource, ...sub, `--as=${who}`, '-n', namespace])
  return stdout.trim() === 'yes'
}

describe('the manifests', () => {
  it('are accepted without a warning, in a namespace that enforces PodSecurity restricted', async () => {
    expect(stderr).toBe('')
    const enforced = await bed.kubectl('get', 'namespace', bed.namespace, '-o', 'jsonpath={.metadata.labels}')
    expect(enforced).toContain('"pod-security.kubernetes.io/enforce":"restricted"')
  })

  it('a pod of the Deployment passes PodSecurity restricted', async () => {
    const template = await bed.kubectl(
      'get',
      'deployment',
      `${prefix}gracewatch-controller`,
      '-n',
      bed.namespace,
      '-o',
      'jsonpath={.spec.template}',
    )
    const pod = { apiVersion: 'v1', kind: 'Pod', ...JSON.parse(template) }
    pod.metadata.name = 'probe'
    const { code, stderr } = await bed.cluster.tryKubectl(['create', '--dry-run=server', '-n', bed.namespace, '-f', '-'], {
      input: JSON.stringify(pod),
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    pod.spec.hostPID = true
    const refused = await bed.cluster.tryKubectl(['create', '--dry-run=server', '-n', bed.namespace, '-f', '-'], {
      input: JSON.stringify(pod),
    })
    expect(refused.stderr).toContain('violates PodSecurity "restricted')
  })
})

describe('the controller', () => {
  const controller = () => `system:serviceaccount:${bed.namespace}:${prefix}gracewatch-controller`

  it.each([
    'get pods',
    'list pods',
    'watch pods',
    'list endpointslices.discovery.k8s.io',
    'watch endpointslices.discovery.k8s.io',
    'list events',
    'watch events',
    'create events',
    'patch events',
    'get nodes',
    'get replicasets.apps',
    'get jobs.batch',
    'get podterminations.gracewatch.dev',
    'list podterminations.gracewatch.dev',
    'watch podterminations.gracewatch.dev',
    'create podterminations.gracewatch.dev',
    'patch podterminations.gracewatch.dev',
    'delete podterminations.gracewatch.dev',
  ])('may %s in every namespace', async (what) => {
    const [verb = '', resource = ''] = what.split(' ')
    expect(await can(controller(), verb, resource, 'default')).toBe(true)
  })

  it('may take its own Lease, by name, and no other', async () => {
    expect(await can(controller(), 'create', 'leases.coordination.k8s.io')).toBe(true)
    expect(await can(controller(), 'get', 'leases.coordination.k8s.io/gracewatch-controller')).toBe(true)
    expect(await can(controller(), 'update', 'leases.coordination.k8s.io/gracewatch-controller')).toBe(true)
    expect(await can(controller(), 'update', 'leases.coordination.k8s.io/another')).toBe(false)
    expect(await can(controller(), 'create', 'leases.coordination.k8s.io', 'default')).toBe(false)
  })

  it.each([
    'delete pods',
    'patch pods/status',
    'create pods/eviction',
    'create pods/exec',
    'get secrets',
    'get configmaps',
    'list nodes',
    'list namespaces',
    'list services',
    'list podreadinessgates.gracewatch.dev',
    'patch podreadinessgates.gracewatch.dev',
    'watch replicasets.apps',
    'delete events',
    'update podterminations.gracewatch.dev',
    'deletecollection podterminations.gracewatch.dev',
    'create customresourcedefinitions.apiextensions.k8s.io',
  ])('may not %s', async (what) => {
    const [verb = '', resource = ''] = what.split(' ')
    expect(await can(controller(), verb, resource)).toBe(false)
  })
})

describe('readers', () => {
  it('view and edit may read records, admin may delete them, nobody may write them', async () => {
    const verbs = ['get', 'list', 'watch', 'delete', 'create', 'patch']
    const found: Record<string, string[]> = {}
    for (const role of ['view', 'edit', 'admin']) {
      await bed.kubectl('create', 'rolebinding', role, `--clusterrole=${role}`, `--user=the-${role}er`, '-n', bed.namespace)
      // The aggregation of a ClusterRole and the authorizer's cache follow the apply.
      await expect.poll(() => can(`the-${role}er`, 'get', 'podterminations.gracewatch.dev'), { timeout: 20_000 }).toBe(true)
      const allowed = await Promise.all(verbs.map((verb) => can(`the-${role}er`, verb, 'podterminations.gracewatch.dev')))
      found[role] = verbs.filter((_, index) => allowed[index])
    }
    expect(found).toEqual({
      view: ['get', 'list', 'watch'],
      edit: ['get', 'list', 'watch'],
      admin: ['get', 'list', 'watch', 'delete'],
    })
  })
})
