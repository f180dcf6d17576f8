/** The CRD of PodCleanup on a real API server, a copy of it under a group of the test's own: what is refused, in what words, and defaults. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cleanupSpecSchema, type PodCleanup } from '../../src/api/pod-cleanup.ts'
import { createCrd, root, useApiServer } from './connect.ts'

const bed = useApiServer('cleanup-crd')
const group = `g${bed.suffix}.gracewatch.dev`
const file = join(root, 'crds/podcleanups.gracewatch.dev.yaml')
const resource = `podcleanups.${group}`

beforeAll(() => createCrd(bed, group, undefined, 'podcleanups'))
afterAll(() => bed.cluster.tryKubectl(['delete', 'crd', resource, '--wait=false']))

const kubectl = (args: readonly string[], input?: unknown) =>
  bed.cluster.tryKubectl(args, input === undefined ? {} : { input: JSON.stringify(input) })

async function accepted(args: readonly string[], input?: unknown): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args, input)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

/** kubectl's standard error of a call that has to fail. */
async function refusal(args: readonly string[], input?: unknown): Promise<string> {
  const { code, stderr } = await kubectl(args, input)
  expect(code, 'the call was accepted').not.toBe(0)
  return stderr
}

const object = (name: string, spec: object, rest: object = {}) => ({
  apiVersion: `${group}/v1alpha1`,
  kind: 'PodCleanup',
  metadata: { name, namespace: bed.namespace },
  spec,
  ...rest,
})
const MINIMAL = { selector: {}, keep: { total: 10 } }
const create = ['create', '--validate=strict', '-f', '-']
const read = async (name: string) =>
  JSON.parse(await accepted(['get', resource, name, '-n', bed.namespace, '-o', 'json'])) as PodCleanup & {
    metadata: { generation: number }
  }

it('is taken without a warning', async () => {
  await accepted(['apply', '--server-side', '--force-conflicts', '--dry-run=server', '--validate=strict', '-f', file])
})

it('gets every default from the API server, the same as from the schema', async () => {
  await accepted(create, object('defaults', MINIMAL))
  const { spec } = await read('defaults')
  expect(spec).toEqual(cleanupSpecSchema.parse(MINIMAL))
  expect(spec).toEqual({
    ...MINIMAL,
    phases: ['Succeeded', 'Failed'],
    minAge: '60s',
    barePods: false,
    finishedJobPods: false,
    recordSucceeded: false,
    onRecordFailure: 'Keep',
    dryRun: false,
  })
})

it('comes back as it was written, and is found by dryRun', async () => {
  const spec: PodCleanup['spec'] = {
    selector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'example.com/tier', operator: 'Exists' }] },
    phases: ['Failed'],
    reasons: ['Evicted', 'NodeShutdown'],
    keep: { total: 0, perOwner: 1 },
    olderThan: '1h30m',
    minAge: '0s',
    barePods: true,
    finishedJobPods: true,
    recordSucceeded: true,
    onRecordFailure: 'Delete',
    dryRun: true,
  }
  await accepted(create, object('whole', spec))
  expect((await read('whole')).spec).toEqual(spec)
  const found = await accepted(['get', resource, '-n', bed.namespace, '--field-selector', 'spec.dryRun=true', '-o', 'name'])
  expect(found.trim()).toBe(`podcleanup.${group}/whole`)
})

describe.concurrent('is refused, with what to write', () => {
  it.each<[string, object, string]>([
    ['without a selector', { keep: { total: 1 } }, 'spec.selector: Required value'],
    ['without anything to keep', { selector: {} }, 'write keep, olderThan or both'],
    ['with an empty keep', { selector: {}, keep: {} }, 'write total, perOwner or both'],
    ['with an empty keep beside olderThan', { selector: {}, keep: {}, olderThan: '1h' }, 'write total, perOwner or both'],
    ['with a negative number', { selector: {}, keep: { total: -1 } }, 'should be greater than or equal to 0'],
    ['with perOwner 0', { selector: {}, keep: { perOwner: 0 } }, 'should be greater than or equal to 1'],
    ['with a phase that is no end', { ...MINIMAL, phases: ['Running'] }, 'supported values: "Succeeded", "Failed"'],
    ['without a phase', { ...MINIMAL, phases: [] }, 'should have at least 1 items'],
    ['with a phase twice', { ...MINIMAL, phases: ['Failed', 'Failed'] }, 'Duplicate value: "Failed"'],
    ['with a sentence for a reason', { ...MINIMAL, reasons: ['low on memory'] }, 'write a reason as it stands in status.reason'],
    ['with no reasons', { ...MINIMAL, reasons: [] }, 'should have at least 1 items'],
    ['with a day', { selector: {}, olderThan: '7d' }, 'write a duration of 1s or more, as 90s, 10m or 1h30m'],
    ['with olderThan 0s', { selector: {}, olderThan: '0s' }, 'write a duration of 1s or more'],
    ['with a negative minAge', { ...MINIMAL, minAge: '-60s' }, 'write a duration of 0s or more'],
    ['with another answer to a refused record', { ...MINIMAL, onRecordFailure: 'Ignore' }, 'supported values: "Keep", "Delete"'],
    [
      'with In without values',
      { ...MINIMAL, selector: { matchExpressions: [{ key: 'app', operator: 'In' }] } },
      'In and NotIn need values',
    ],
    ['with a label that is none', { ...MINIMAL, selector: { matchLabels: { app: 'a b' } } }, 'write the value of a label'],
    ['with a field that there is not', { ...MINIMAL, keepTotal: 1 }, 'unknown field "spec.keepTotal"'],
  ])('%s', async (_, spec, words) => {
    expect(await refusal([...create, '--dry-run=server'], object('bad', spec))).toContain(words)
  })
})

describe('its status', () => {
  const status: PodCleanup['status'] = {
    observedGeneration: 1,
    candidates: 14,
    toDelete: 2,
    deleted: 40,
    kept: [
      { reason: 'BarePod', count: 2, message: 'it has no owner' },
      { reason: 'WithinKeepTotal', count: 10 },
    ],
    lastRun: '2026-03-01T12:00:00Z',
    nextRun: '2026-03-01T12:00:20Z',
    errors: [{ pod: 'web-1', reason: 'Forbidden', message: 'no' }],
    conditions: [
      { type: 'Accepted', status: 'True', reason: 'Usable', lastTransitionTime: '2026-03-01T12:00:00Z' },
      { type: 'Failing', status: 'True', reason: 'Forbidden', lastTransitionTime: '2026-03-01T12:00:00Z' },
    ],
  }

  it('is written by its own resource only, and shows in the columns', async () => {
    await accepted(create, object('told', MINIMAL, { status }))
    expect((await read('told')).status).toBeUndefined()
    const patch = ['patch', resource, 'told', '-n', bed.namespace, '--type=merge', '--subresource=status']
    await accepted([...patch, '-p', JSON.stringify({ status, spec: { dryRun: true } })])
    const stored = await read('told')
    expect(stored.status).toEqual(status)
    expect(stored.spec.dryRun).toBe(false)
    expect(stored.metadata.generation).toBe(1)
    const [header, row] = (await accepted(['get', resource, 'told', '-n', bed.namespace, '-o', 'wide'])).split('\n')
    expect(header?.split(/ {2,}/)).toEqual([
      ...['NAME', 'CANDIDATES', 'TO DELETE', 'DELETED', 'DRY RUN', 'ACCEPTED', 'LAST RUN', 'AGE', 'RECORD REFUSED', 'FAILING'],
    ])
    expect(row?.split(/ +/).slice(0, 6)).toEqual(['told', '14', '2', '40', 'false', 'True'])
    expect(row).toMatch(/ True$/)
  })

  it('lists a reason and a condition once', async () => {
    await accepted(create, object('twice', MINIMAL))
    const patch = ['patch', resource, 'twice', '-n', bed.namespace, '--type=merge', '--subresource=status', '-p']
    const kept = [
      { reason: 'BarePod', count: 1 },
      { reason: 'BarePod', count: 2 },
    ]
    expect(await refusal([...patch, JSON.stringify({ status: { kept } })])).toContain('Duplicate value')
  })
})
