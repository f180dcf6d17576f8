/** The rules of the controller's roles, one by one, and which of them a request to the API server needs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { GROUP } from '../../../src/api/group.ts'
import { root } from '../connect.ts'
import type { Call } from '../recorder/front.ts'

const ACCOUNT = 'gracewatch-controller'
const TARGETS = 'gracewatch.dev/aggregate-to-gate-targets'

/** What the chart renders for each part of the controller (`npm run manifests`, whose freshness is a test of its own). */
export const PARTS = {
  always: 'deploy/manifests/rbac.yaml',
  gates: 'deploy/gates/controller/rbac.yaml',
  targets: 'deploy/gates/controller/gate-targets.yaml',
  cleanup: 'deploy/cleanup/component/rbac.yaml',
  metrics: 'deploy/metrics/rbac.yaml',
} as const

interface Role {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  readonly rules?: readonly {
    readonly apiGroups: readonly string[]
    readonly resources: readonly string[]
    readonly resourceNames?: readonly string[]
    readonly verbs: readonly string[]
  }[]
  readonly roleRef?: { readonly kind: string; readonly name: string }
  readonly subjects?: readonly { readonly name: string }[]
}

/** One verb on one resource. `name`: of this object alone. */
export interface Right {
  readonly verb: string
  readonly group: string
  /** With its subresource, as pods/status. */
  readonly resource: string
  readonly name?: string
}

/** `patch pods/status`, `update leases.coordination.k8s.io gracewatch-controller` */
export const textOf = ({ verb, group, resource, name }: Right): string =>
  [verb, group === '' ? resource : `${resource}.${group}`, ...(name === undefined ? [] : [name])].join(' ')

/** What this part gives the controller's account. */
export function rightsOf(part: keyof typeof PARTS): Right[] {
  const objects = parseAllDocuments(readFileSync(join(root, PARTS[part]), 'utf8')).map((document) => document.toJS() as Role) // our own files
  const bound = objects
    .filter(({ subjects = [] }) => subjects.some(({ name }) => name === ACCOUNT))
    .map(({ roleRef }) => `${roleRef?.kind} ${roleRef?.name}`)
  return objects
    .filter(({ kind, metadata }) => bound.includes(`${kind} ${metadata.name}`) || metadata.labels?.[TARGETS] === 'true')
    .flatMap(({ rules = [] }) => rules)
    .flatMap(({ apiGroups, resources, verbs, resourceNames }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.flatMap((verb): Right[] =>
            resourceNames === undefined
              ? [{ verb, group, resource }]
              : resourceNames.map((name) => ({ verb, group, resource, name })),
          ),
        ),
      ),
    )
}

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }

/**
 * What the API server asks its authorizer for this request (RequestInfo of k8s.io/apiserver), as far as this product's go; none where it is
 * for no resource, as discovery. `moved`: what stands for gracewatch.dev in the cluster.
 */
export function needsOf({ method, path, query, status }: Call, moved: string): Right[] {
  const [, found = '', rest] = /^\/(?:api|apis\/([^/]+))\/[^/]+\/(.+)$/.exec(path) ?? []
  if (rest === undefined) return []
  const group = found === moved ? GROUP : found
  const words = rest.split('/')
  // The one kind whose own path begins like that of what it holds.
  const within = words[0] === 'namespaces' && words.length > 2 ? words.slice(2) : words
  const [collection = '', name, subresource] = within
  const resource = subresource === undefined ? collection : `${collection}/${subresource}`
  const named = name === undefined ? {} : { name }
  if (method === 'GET') {
    const verb = query.get('watch') === 'true' ? 'watch' : name === undefined ? 'list' : 'get'
    return [{ verb, group, resource, ...named }]
  }
  const verb = method === 'DELETE' && name === undefined ? 'deletecollection' : (VERBS[method] ?? method)
  const needs = [{ verb, group, resource, ...named }]
  // An apply of what is not there yet: the API server asks for this as well.
  return method === 'PATCH' && status === 201 ? [...needs, { verb: 'create', group, resource }] : needs
}

/** Whether a rule with this right lets the request be. */
export const covers = (right: Right, need: Right): boolean =>
  right.verb === need.verb &&
  right.group === need.group &&
  right.resource === need.resource &&
  (right.name === undefined || right.name === need.name)
