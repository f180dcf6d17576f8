/** An account with the rights that the manifests give the controller, no more: what the tests see works with these. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { GROUP } from '../../../src/api/pod-termination.ts'
import { root, type TestBed } from '../connect.ts'
import { eventually } from '../waiting.ts'

const ACCOUNT = 'gracewatch-controller'
const OWN_NAMESPACE = 'gracewatch-system'
/** kube-controller-manager puts the rules of roles with this label into one that is bound. */
const TARGETS = 'gracewatch.dev/aggregate-to-gate-targets'

interface Rule {
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  verbs: string[]
}

interface Manifest {
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  rules?: Rule[]
  roleRef?: { kind: string; name: string }
  subjects?: { namespace: string }[]
}

export interface IdentityOptions {
  /** The controller's own. */
  readonly namespace: string
  /** The test's own CRD group. */
  readonly group: string
  /** Rights left out, by resource. */
  readonly without?: string
  /** The rights of deploy/gates as well. */
  readonly gates?: boolean
  /** The rights of deploy/cleanup as well. */
  readonly cleanup?: boolean
  /** Further manifests of roles and bindings. */
  readonly rights?: readonly string[]
}

/** @returns a token; and the names of the cluster-wide objects that have to be deleted */
export async function createIdentity(
  bed: TestBed,
  { namespace, group, without, gates = false, cleanup = false, rights = [] }: IdentityOptions,
): Promise<{ token: string; clusterRoles: string[] }> {
  const files = [
    'deploy/manifests/rbac.yaml',
    ...(gates ? ['deploy/gates/controller/rbac.yaml'] : []),
    ...(cleanup ? ['deploy/cleanup/component/rbac.yaml'] : []),
    ...rights,
  ]
  const manifests = files.flatMap((file) =>
    // Our own files.
    parseAllDocuments(readFileSync(join(root, file), 'utf8')).map((document) => document.toJS() as Manifest),
  )
  const clusterRoles = new Set<string>()
  for (const manifest of manifests) {
    const { metadata } = manifest
    if (metadata.namespace === OWN_NAMESPACE) metadata.namespace = namespace
    else metadata.name = `${namespace}-${metadata.name}`
    if (manifest.kind === 'ClusterRole') clusterRoles.add(metadata.name)
    if (manifest.roleRef?.kind === 'ClusterRole') manifest.roleRef.name = `${namespace}-${manifest.roleRef.name}`
    for (const subject of manifest.subjects ?? []) subject.namespace = namespace
    if (manifest.rules === undefined) continue
    manifest.rules = manifest.rules
      .filter(({ resources }) => without === undefined || resources?.includes(without) !== true)
      .map((rule) =>
        // Rules of paths have no groups.
        rule.apiGroups === undefined
          ? rule
          : { ...rule, apiGroups: rule.apiGroups.map((name) => (name === GROUP ? group : name)) },
      )
  }
  await bed.create({ apiVersion: 'v1', kind: 'List', items: manifests })
  const bound = new Set(manifests.map(({ roleRef }) => roleRef?.name))
  const granted = manifests.filter(({ metadata }) => bound.has(metadata.name) || metadata.labels?.[TARGETS] === 'true')
  for (const { apiGroups, resources, resourceNames, verbs } of granted.flatMap(({ rules = [] }) => rules)) {
    if (resources === undefined || resourceNames !== undefined) continue
    const [resource, subresource = ''] = resources[0]?.split('/') ?? []
    const right = { namespace, verb: verbs[0], group: apiGroups?.[0], resource, subresource }
    await eventually(() => allowed(bed, namespace, right), 60_000, `${ACCOUNT} in ${namespace}: ${JSON.stringify(right)}`)
  }
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${ACCOUNT}/token`
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } }
  const answer = await bed.http.request({ method: 'POST', path, body })
  return { token: answer.json<{ status: { token: string } }>().status.token, clusterRoles: [...clusterRoles] }
}

/** The authorizer hears of a binding a moment after it was made. */
async function allowed(bed: TestBed, namespace: string, resourceAttributes: object): Promise<true | undefined> {
  const user = `system:serviceaccount:${namespace}:${ACCOUNT}`
  const answer = await bed.http.request({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user, resourceAttributes } },
  })
  return answer.json<{ status: { allowed: boolean } }>().status.allowed || undefined
}
