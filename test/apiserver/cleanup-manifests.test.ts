/** deploy/cleanup on a real API server, under other names: what it adds to deploy/manifests, alone and beside the gates, and what it does not allow. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { SETTINGS } from '../../src/settings.ts'
import { envName } from '../../src/settings-table.ts'
import { root } from './connect.ts'
import { useOverlay } from './overlay.ts'

const COMPONENT = 'deploy/cleanup/component'
const without = useOverlay('deploy/manifests', 'no-cleanup')
const alone = useOverlay('deploy/cleanup', 'cleanup-manifests')
const beside = useOverlay('deploy/gates/controller', 'cleanup-and-gates', [COMPONENT])

type Overlay = ReturnType<typeof useOverlay>
const may = ({ can, controller }: Overlay, what: string, namespace = 'default') => {
  const [verb = '', resource = ''] = what.split(' ')
  return can(controller(), verb, resource, namespace)
}

async function environment({ bed, prefix }: Overlay): Promise<Record<string, string | undefined>> {
  const path = 'jsonpath={.spec.template.spec.containers[0].env}'
  const text = await bed.kubectl('get', 'deployment', `${prefix}gracewatch-controller`, '-n', bed.namespace, '-o', path)
  const env = JSON.parse(text) as { name: string; value?: string }[] // as the API server has it
  return Object.fromEntries(env.map(({ name, value }) => [name, value]))
}

/** A kustomization.yaml that lies beside a clone of the repository called gracewatch. */
async function renderedOf(kustomization: string): Promise<{ kind: string; metadata: { name: string } }[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-kustomization-'))
  try {
    writeFileSync(join(folder, 'kustomization.yaml'), kustomization.replaceAll('gracewatch/', `${relative(folder, root)}/`))
    return parseAllDocuments(await alone.bed.kubectl('kustomize', folder)).map((document) => document.toJS())
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const CLEANUP = envName(SETTINGS.cleanup.flag)
const GATES = envName(SETTINGS.gates.flag)
const RIGHTS = [
  'get pods',
  'delete pods',
  'list jobs.batch',
  'watch jobs.batch',
  'list podcleanups.gracewatch.dev',
  'watch podcleanups.gracewatch.dev',
  'patch podcleanups.gracewatch.dev/status',
]

describe('the manifests of the cleanup', () => {
  it('are accepted without a warning, alone and beside the gates', () => {
    expect(alone.warnings).toBe('')
    expect(beside.warnings).toBe('')
  })

  it('switch cleanup on beside what is there, and the other manifests do not', async () => {
    expect(await environment(without)).not.toHaveProperty(CLEANUP)
    const own = await environment(alone)
    expect(Object.keys(own).toSorted()).toEqual([CLEANUP, 'GRACEWATCH_NAMESPACE', 'GRACEWATCH_POD_NAME'])
    expect(own[CLEANUP]).toBe('true')
    expect(await environment(beside)).toMatchObject({ [CLEANUP]: 'true', [GATES]: 'true' })
  })

  it('go together with the gates as docs/cleanup.md says', async () => {
    const guide = readFileSync(join(root, 'docs/cleanup.md'), 'utf8')
    const [, text = ''] = /<!-- example: with-gates -->\n```yaml\n(.*?)^```$/ms.exec(guide) ?? []
    const rendered = await renderedOf(text)
    const controller = JSON.stringify(rendered.find(({ kind }) => kind === 'Deployment'))
    expect(controller).toContain(CLEANUP)
    expect(controller).toContain(GATES)
    const names = rendered.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    expect(names).toEqual(
      expect.arrayContaining([
        'ClusterRole gracewatch-cleaner',
        'ClusterRole gracewatch-gatekeeper',
        'MutatingAdmissionPolicy gracewatch-readiness-gates',
      ]),
    )
  })
})

describe.concurrent('the controller', () => {
  it.each(RIGHTS)('without deploy/cleanup may not %s', async (what) => expect(await may(without, what)).toBe(false))

  it.each(RIGHTS)('with it may %s in every namespace', async (what) => {
    expect(await may(alone, what)).toBe(true)
    expect(await may(beside, what)).toBe(true)
  })

  it('beside the gates keeps the rights of both', async () => {
    expect(await may(beside, 'patch pods/status')).toBe(true)
    expect(await may(alone, 'patch pods/status')).toBe(false)
  })

  it.each([
    'deletecollection pods',
    'patch pods',
    'update pods',
    'create pods/eviction',
    'create pods/exec',
    'create podcleanups.gracewatch.dev',
    'update podcleanups.gracewatch.dev/status',
    'patch podcleanups.gracewatch.dev',
    'delete podcleanups.gracewatch.dev',
    'delete jobs.batch',
    'patch jobs.batch',
    'delete replicasets.apps',
    'get secrets',
    'get configmaps',
    'list namespaces',
  ])('with it may not %s', async (what) => expect(await may(alone, what, alone.bed.namespace)).toBe(false))
})

describe('people', () => {
  it('view may read PodCleanups, edit and admin may write them, none of them their status', async () => {
    const { bed, can } = alone
    const resource = 'podcleanups.gracewatch.dev'
    const verbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']
    const found: Record<string, string[]> = {}
    for (const role of ['view', 'edit', 'admin']) {
      await bed.kubectl('create', 'rolebinding', role, `--clusterrole=${role}`, `--user=the-${role}er`, '-n', bed.namespace)
      // Filled by a controller of Kubernetes after the apply.
      const last = role === 'view' ? 'get' : 'delete'
      await expect.poll(() => can(`the-${role}er`, last, resource), { timeout: 20_000 }).toBe(true)
      const allowed = await Promise.all(verbs.map((verb) => can(`the-${role}er`, verb, resource)))
      found[role] = verbs.filter((_, index) => allowed[index])
      expect(await can(`the-${role}er`, 'patch', `${resource}/status`)).toBe(false)
      // Whoever may write one has the pods of the namespace deleted, which its role has to allow by itself.
      expect(await can(`the-${role}er`, 'delete', 'pods')).toBe(role !== 'view')
    }
    expect(found).toEqual({ view: verbs.slice(0, 3), edit: verbs, admin: verbs })
  })
})
