/**
 * The CRD on a real API server. A copy under a group of the test's own takes the records, so that nothing that is installed on
 * a shared cluster is touched; the file itself is applied as a dry run.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { RESOURCES } from '../../src/api/crd.ts'
import type { PodTermination } from '../../src/api/pod-termination.ts'
import { attachCluster, type Cluster, ensureCluster } from '../cluster/index.ts'
import { begunByTheAgent, forcedKill, mark } from '../unit/render/records.ts'
import { answersOf } from './answers.ts'

const root = resolve(import.meta.dirname, '../..')
const file = join(root, 'crds/podterminations.gracewatch.dev.yaml')
const suffix = Math.random().toString(36).slice(2, 8)
const group = `t${suffix}.gracewatch.dev`
const namespace = `gw-crd-${suffix}`
const resource = `podterminations.${group}`

// The assertions below name what the API documents of its own answers.
interface Definition {
  metadata: { name: string }
  spec: { group: string; names: { categories: string[]; shortNames: string[] } }
}

let cluster: Cluster
let attached = true

const { kubectl, refusal, accepted } = answersOf(() => cluster)

const object = (name: string, record: object) => ({
  apiVersion: `${group}/v1alpha1`,
  kind: 'PodTermination',
  metadata: { name, namespace },
  ...record,
})
const create = ['create', '--validate=strict', '-f', '-']
const patch = (name: string, change: object) => [
  'patch',
  resource,
  name,
  '-n',
  namespace,
  '--type=merge',
  '-p',
  JSON.stringify(change),
]
const apply = (manager: string) => ['apply', '--server-side', `--field-manager=${manager}`, '--validate=strict', '-f', '-']
const read = async (name: string) =>
  JSON.parse(await accepted(['get', resource, name, '-n', namespace, '-o', 'json'])) as PodTermination & { metadata: object }

beforeAll(async () => {
  cluster = await attachCluster().catch(() => {
    attached = false
    return ensureCluster({ shape: 'control-plane' })
  })
  const definition = parse(readFileSync(file, 'utf8')) as Definition // what this test reads of it; the API server checks the rest
  definition.metadata.name = resource
  definition.spec.group = group
  // Another CRD may hold the names themselves on a shared cluster.
  expect(definition.spec.names).toMatchObject({ categories: ['gracewatch'], shortNames: ['pterm'] })
  definition.spec.names.categories = [`gracewatch${suffix}`]
  definition.spec.names.shortNames = [`pterm${suffix}`]
  // The copy has to come in as clean as the file: a warning here is one that every user would see.
  await accepted(['create', '-f', '-'], definition)
  await accepted(['wait', '--for=condition=Established', '--timeout=30s', `crd/${resource}`])
  await accepted(['create', 'namespace', namespace])
})

afterAll(async () => {
  if (cluster === undefined) return
  await kubectl(['delete', 'namespace', namespace, '--wait=false'])
  await kubectl(['delete', 'crd', resource, '--wait=false'])
  if (!attached) await cluster.close()
})

describe('the file', () => {
  it('is taken without a warning, alone and through its kustomization', async () => {
    // Server-side, so that however the cluster got the CRD it has, the only warnings are those about this file.
    const dryRun = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '--validate=strict']
    await accepted([...dryRun, '-f', file])
    await accepted([...dryRun, '-k', join(root, 'crds')])
  })

  it('gives a structural schema whose names are accepted', async () => {
    const { status } = JSON.parse(await accepted(['get', 'crd', resource, '-o', 'json'])) as {
      status: { conditions: { type: string; status: string }[] }
    }
    const conditions = Object.fromEntries(status.conditions.map(({ type, status }) => [type, status]))
    expect(conditions).toEqual({ NamesAccepted: 'True', Established: 'True' })
  })
})

describe('a record', () => {
  it('comes back as it was written', async () => {
    await accepted(create, object('whole', forcedKill()))
    const { apiVersion, kind, metadata, ...record } = (await read('whole')) as PodTermination & Record<string, unknown>
    expect({ apiVersion, kind }).toEqual({ apiVersion: `${group}/v1alpha1`, kind: 'PodTermination' })
    expect(metadata).toMatchObject({ name: 'whole' })
    expect(record).toEqual(forcedKill())
  })

  it('needs its pod and nothing else: the agent may write first', async () => {
    await accepted(create, object('begun', begunByTheAgent()))
    expect(await refusal(create, object('podless', { state: 'Complete' }))).toMatch(/\bpod: Required value/)
  })

  it.each<[string, object, RegExp]>([
    ['an outcome that there is not', { outcome: 'Exploded' }, /outcome: Unsupported value: "Exploded"/],
    ['a time that is none', { startedAt: 'yesterday' }, /startedAt: Invalid value: .*date-time/],
    ['a negative number', { tookMilliseconds: -1 }, /tookMilliseconds: Invalid value: -1/],
    [
      'more marks than a timeline holds',
      { timeline: Array.from({ length: 513 }, () => mark('Kill', 1)) },
      /timeline: Too many: 513/,
    ],
    [
      'a text that is too long',
      { findings: [{ type: 'ClockSkew', severity: 'Info', message: 'x'.repeat(1025) }] },
      /findings\[0\]\.message: Too long/,
    ],
    [
      'two containers of one name',
      { containers: [0, 1].map(() => ({ name: 'app', role: 'Main' })) },
      /containers\[1\]: Duplicate value/,
    ],
    [
      'two entries of one Service',
      { endpoints: [0, 1].map(() => ({ service: 'web', readyAtStopSignal: 'False' })) },
      /endpoints\[1\]: Duplicate value/,
    ],
    ['a field that there is not', { verdict: 'bad' }, /unknown field "verdict"/],
  ])('is refused with %s', async (_, parts, message) => {
    expect(await refusal(create, object('refused', { ...begunByTheAgent(), ...parts }))).toMatch(message)
  })

  it('keeps the uid of its pod', async () => {
    await accepted(create, object('uid', begunByTheAgent()))
    expect(await refusal(patch('uid', { pod: { uid: 'another' } }))).toMatch(/pod\.uid: Invalid value: .*pod\.uid never changes/)
    await accepted(patch('uid', { pod: { uid: begunByTheAgent().pod.uid, node: 'node-2' } }))
  })

  it('goes from Terminating over Overdue to Complete and never back', async () => {
    await accepted(create, object('state', begunByTheAgent()))
    for (const state of ['Terminating', 'Overdue', 'Terminating', 'Complete', 'Complete'])
      await accepted(patch('state', { state }))
    for (const state of ['Overdue', 'Terminating', null])
      expect(await refusal(patch('state', { state })), String(state)).toMatch(/state: .*a record that is Complete stays Complete/)
    await accepted(patch('state', { summary: 'found out later' }))
    expect(await read('state')).toMatchObject({ state: 'Complete', summary: 'found out later' })
  })

  it('is shared by two field managers, its containers merged by name', async () => {
    const { pod } = begunByTheAgent()
    await accepted(apply('agent'), object('shared', { pod, containers: [{ name: 'a', role: 'Main', restarts: 1 }] }))
    await accepted(
      apply('controller'),
      object('shared', { pod, state: 'Terminating', containers: [{ name: 'b', role: 'Main' }] }),
    )
    expect(await read('shared')).toMatchObject({ state: 'Terminating', containers: [{ name: 'a', restarts: 1 }, { name: 'b' }] })
    // What one manager stops saying goes, and takes nothing of the other's with it.
    await accepted(apply('controller'), object('shared', { pod, state: 'Complete' }))
    const { containers } = await read('shared')
    expect(containers).toEqual([{ name: 'a', role: 'Main', restarts: 1 }])
  })
})

describe('kubectl', () => {
  const columns = (row = '') => row.trim().split(/ {2,}/)

  beforeAll(async () => {
    await accepted(create, object('listed', { ...forcedKill(), summary: 'PreStopOverran,+1' }))
  })

  it('answers at a glance', async () => {
    const [header, row] = (await accepted(['get', resource, 'listed', '-n', namespace])).split('\n')
    expect(columns(header)).toEqual(['NAME', 'POD', 'OUTCOME', 'CAUSE', 'GRACE', 'TOOK', 'FINDINGS', 'AGE'])
    expect(columns(row).slice(0, -1)).toEqual([
      'listed',
      'web-7d4b9c-x2x9k',
      'ForcedKill',
      'Deleted',
      '15',
      '17.4s',
      'PreStopOverran,+1',
    ])
    const [wideHeader, wideRow] = (await accepted(['get', resource, 'listed', '-n', namespace, '-o', 'wide'])).split('\n')
    expect(columns(wideHeader).slice(8)).toEqual(['STATE', 'WORKLOAD', 'NODE', 'POD NAMESPACE'])
    expect(columns(wideRow).slice(8)).toEqual(['Complete', 'web', 'node-1', 'shop'])
  })

  it.each(RESOURCES[0]?.selectableFields.map((path) => path.slice(1)) ?? [])('selects by %s', async (path) => {
    const record = await read('listed')
    const value = path.split('.').reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], record)
    const names = async (selector: string) =>
      (await accepted(['get', resource, '-n', namespace, '-o', 'name', '--field-selector', selector])).split('\n')
    expect(await names(`${path}=${value}`)).toContain(`podtermination.${group}/listed`)
    expect(await names(`${path}!=${value}`)).not.toContain(`podtermination.${group}/listed`)
  })

  it('explains what each value means', async () => {
    const text = await accepted(['explain', `${resource}.outcome`])
    expect(text).toMatch(/- ForcedKill: SIGKILL, for the grace period was over/)
  })

  it('finds it by its short name and its category', async () => {
    expect(await accepted(['get', `pterm${suffix}`, 'listed', '-n', namespace, '-o', 'name'])).toMatch(/listed/)
    expect(await accepted(['get', `gracewatch${suffix}`, '-n', namespace, '-o', 'name'])).toMatch(/podtermination.*listed/)
  })
})
