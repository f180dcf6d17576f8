/** The manifests on a real API server, under other names: accepted without a warning, and what they allow and do not allow. */
import { describe, expect, it } from 'vitest'
import { useOverlay } from './overlay.ts'

const overlay = useOverlay('deploy/manifests', 'manifests')
const { bed, prefix, can, controller } = overlay

describe('the manifests', () => {
  it('are accepted without a warning, in a namespace that enforces PodSecurity restricted', async () => {
    expect(overlay.warnings).toBe('')
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
  it.each([
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
    'get pods',
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
    'list podcleanups.gracewatch.dev',
    'watch replicasets.apps',
    'watch jobs.batch',
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
