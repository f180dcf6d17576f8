/** deploy/gates/controller on a real API server, under other names: what it adds to deploy/manifests, and what it does not allow. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { established, root, useApiServer } from '../connect.ts'

const bed = useApiServer('gate-manifests')
const overlay = mkdtempSync(join(tmpdir(), 'gracewatch-gate-manifests-'))
const prefix = `gw${bed.suffix}-`
const CRDS = ['podterminations.gracewatch.dev', 'podreadinessgates.gracewatch.dev']
const broughtCrds: string[] = []
const extended = `gw${bed.suffix}-gate-targets-deployments`
let stderr = ''

beforeAll(async () => {
  for (const crd of CRDS) {
    if ((await bed.cluster.tryKubectl(['get', 'crd', crd])).code === 0) continue
    broughtCrds.push(crd)
    await bed.kubectl('apply', '--server-side', '-f', join(root, 'crds', `${crd}.yaml`))
    await established(bed, crd)
  }
  const remove = { $patch: 'delete', apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }
  const kustomization = {
    resources: [relative(overlay, join(root, 'deploy/gates/controller'))],
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
  await bed.cluster.tryKubectl(['delete', 'clusterrole', extended, '--ignore-not-found'])
  await bed.cluster.tryKubectl(['delete', '-k', overlay, '--wait=false', '--ignore-not-found'])
  for (const crd of broughtCrds) await bed.cluster.tryKubectl(['delete', 'crd', crd, '--ignore-not-found'])
  rmSync(overlay, { recursive: true })
})

/** `pods/status`: the subresource, which kubectl would take for a pod's name. */
const can = async (who: string, verb: string, what: string, namespace = bed.namespace) => {
  const [resource = '', subresource] = what.split('/')
  const sub = subresource === undefined ? [] : [`--subresource=${subresource}`]
  const { stdout } = await bed.cluster.tryKubectl(['auth', 'can-i', verb, resource, ...sub, `--as=${who}`, '-n', namespace])
  return stdout.trim() === 'yes'
}
const controller = () => `system:serviceaccount:${bed.namespace}:${prefix}gracewatch-controller`
const may = (what: string, namespace = 'default') => {
  const [verb = '', resource = ''] = what.split(' ')
  return can(controller(), verb, resource, namespace)
}

describe('the manifests of the gates', () => {
  it('are accepted without a warning', () => expect(stderr).toBe(''))

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
    'patch podreadinessgates.gracewatch.dev/status',
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
    'patch pods',
    'delete pods',
    'create pods/eviction',
    'create pods/exec',
    'create podreadinessgates.gracewatch.dev',
    'delete podreadinessgates.gracewatch.dev',
    'patch services',
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
