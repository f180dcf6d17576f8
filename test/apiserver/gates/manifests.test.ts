/** deploy/gates/controller on a real API server, under other names: what it adds to deploy/manifests, and what it does not allow. */
import { afterAll, describe, expect, it } from 'vitest'
import { useOverlay } from '../overlay.ts'

const overlay = useOverlay('deploy/gates/controller', 'gate-manifests')
const { bed, prefix, can, controller } = overlay
const extended = `gw${bed.suffix}-gate-targets-deployments`
afterAll(() => bed.cluster.tryKubectl(['delete', 'clusterrole', extended, '--ignore-not-found']))

const may = (what: string, namespace = 'default') => {
  const [verb = '', resource = ''] = what.split(' ')
  return can(controller(), verb, resource, namespace)
}

describe('the manifests of the gates', () => {
  it('are accepted without a warning', () => expect(overlay.warnings).toBe(''))

  it('switch gates on beside the settings that the controller has anyway', async () => {
    const path = 'jsonpath={.spec.template.spec.containers[0].env[*].name}={.spec.template.spec.containers[0].env[*].value}'
    const env = await bed.kubectl('get', 'deployment', `${prefix}gracewatch-controller`, '-n', bed.namespace, '-o', path)
    expect(env.split('=')[0]?.split(' ').toSorted()).toEqual(['GRACEWATCH_GATES', 'GRACEWATCH_NAMESPACE', 'GRACEWATCH_POD_NAME'])
    expect(env.split('=')[1]).toBe('true')
  })
})

describe('the controller with gates', () => {
  it.each([
    'patch pods/status',
    'list podreadinessgates.gracewatch.dev',
    'watch podreadinessgates.gracewatch.dev',
    'patch podreadinessgates.gracewatch.dev',
    'update podreadinessgates.gracewatch.dev/status',
    'get namespaces',
    'list services',
    'watch services',
    'get replicasets.apps',
    'get controllerrevisions.apps',
    'watch deployments.apps',
    'watch statefulsets.apps',
    'watch daemonsets.apps',
  ])('may %s in every namespace', async (what) => expect(await may(what)).toBe(true))

  it.each([
    'update pods/status',
    'get pods',
    'patch pods',
    'delete pods',
    'create pods/eviction',
    'create pods/exec',
    'create podreadinessgates.gracewatch.dev',
    'get podreadinessgates.gracewatch.dev',
    'update podreadinessgates.gracewatch.dev',
    'delete podreadinessgates.gracewatch.dev',
    'patch services',
    'get deployments.apps',
    'patch deployments.apps',
    'list replicasets.apps',
    'list namespaces',
    'get secrets',
    'get configmaps',
    'list ingresses.networking.k8s.io',
    'create mutatingadmissionpolicies.admissionregistration.k8s.io',
    'get mutatingadmissionpolicies.admissionregistration.k8s.io',
  ])('may not %s', async (what) => expect(await may(what, bed.namespace)).toBe(false))

  it('may read the targets of checks that some ClusterRole with the label allows, and no others', async () => {
    // Filled by a controller of Kubernetes after the apply.
    await expect.poll(() => may('watch jobs.batch'), { timeout: 20_000 }).toBe(true)
    expect(await may('list pods.metrics.k8s.io')).toBe(false)
    expect(await may('watch persistentvolumeclaims')).toBe(false)
    await bed.create({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: extended, labels: { 'gracewatch.dev/aggregate-to-gate-targets': 'true' } },
      rules: [{ apiGroups: [''], resources: ['persistentvolumeclaims'], verbs: ['get', 'list', 'watch'] }],
    })
    await expect.poll(() => may('watch persistentvolumeclaims'), { timeout: 20_000 }).toBe(true)
    expect(await may('patch persistentvolumeclaims')).toBe(false)
  })
})

describe('people', () => {
  it('view may read gates, edit and admin may write them, none of them their status', async () => {
    const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']
    const found: Record<string, string[]> = {}
    for (const role of ['view', 'edit', 'admin']) {
      await bed.kubectl('create', 'rolebinding', role, `--clusterrole=${role}`, `--user=the-${role}er`, '-n', bed.namespace)
      await expect.poll(() => can(`the-${role}er`, 'get', 'podreadinessgates.gracewatch.dev'), { timeout: 20_000 }).toBe(true)
      const allowed = await Promise.all(verbs.map((verb) => can(`the-${role}er`, verb, 'podreadinessgates.gracewatch.dev')))
      found[role] = verbs.filter((_, index) => allowed[index])
      expect(await can(`the-${role}er`, 'patch', 'podreadinessgates.gracewatch.dev/status')).toBe(false)
      expect(await can(`the-${role}er`, 'patch', 'pods/status')).toBe(false)
    }
    expect(found).toEqual({ view: verbs.slice(0, 3), edit: verbs, admin: verbs })
  })
})
