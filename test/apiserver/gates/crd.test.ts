/** The CRD of PodReadinessGate on a real API server, a copy of it under a group of the test's own: what is refused, in what words, and defaults. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { RESOURCES } from '../../../src/api/crd.ts'
import { gateSpecSchema, MAX_HOLDS, type PodReadinessGate, REFUSED_HEADERS } from '../../../src/api/pod-readiness-gate.ts'
import { answersOf } from '../answers.ts'
import { createCrd, root, useApiServer } from '../connect.ts'

const bed = useApiServer('gate-crd')
const group = `g${bed.suffix}.gracewatch.dev`
const file = join(root, 'crds/podreadinessgates.gracewatch.dev.yaml')
const resource = `podreadinessgates.${group}`

beforeAll(() => createCrd(bed, group, undefined, 'podreadinessgates'))
afterAll(() => bed.cluster.tryKubectl(['delete', 'crd', resource, '--wait=false']))

const { refusal, accepted } = answersOf(() => bed.cluster)

const annotation = { annotation: { key: 'example.com/ok', value: 'yes' } }
const MINIMAL = { selector: {}, conditionType: 'example.com/registered', checks: [annotation] }
const object = (name: string, spec: object = {}, rest: object = {}) => ({
  apiVersion: `${group}/v1alpha1`,
  kind: 'PodReadinessGate',
  metadata: { name, namespace: bed.namespace },
  spec: { ...MINIMAL, ...spec },
  ...rest,
})
const create = ['create', '--validate=strict', '-f', '-']
const merge = (name: string, change: object, ...more: string[]) => [
  ...['patch', resource, name, '-n', bed.namespace, '--type=merge', '-p', JSON.stringify(change)],
  ...more,
]
const read = async (name: string) =>
  JSON.parse(await accepted(['get', resource, name, '-n', bed.namespace, '-o', 'json'])) as PodReadinessGate & {
    metadata: { generation: number }
  }

it('is taken without a warning', async () => {
  const dryRun = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '--validate=strict']
  await accepted([...dryRun, '-f', file])
})

it('stands in the category gracewatch, as prg', () => {
  const { spec } = parse(readFileSync(file, 'utf8')) as { spec: { names: object } } // our own file
  expect(spec.names).toMatchObject({ categories: ['gracewatch'], shortNames: ['prg'] })
})

describe('a gate', () => {
  it('gets every default from the API server, the same as from the schema', async () => {
    const checks = [annotation, { httpGet: { port: 8080 } }, { endpoints: {} }, { handover: {} }]
    const condition = { apiVersion: 'batch/v1', kind: 'Job', name: 'migrate', type: 'Complete' }
    const written = { ...MINIMAL, checks: [...checks, { condition }] }
    await accepted(create, object('defaults', written))
    const { spec } = await read('defaults')
    expect(spec).toEqual(gateSpecSchema.parse(written))
    expect(spec).toMatchObject({ failOpenAfter: '10m', inject: false, onDelete: 'Release' })
    expect(spec.checks).toEqual([
      annotation,
      {
        httpGet: {
          port: 8080,
          path: '/',
          scheme: 'HTTP',
          interval: '10s',
          timeout: '1s',
          successThreshold: 1,
          failureThreshold: 3,
        },
      },
      { endpoints: {} },
      { handover: { maxForcedKills: 0, window: '10m', outcomes: ['ForcedKill'], waitForVerdict: true, maxHold: '30m' } },
      { condition: { ...condition, status: 'True' } },
    ])
  })

  it('comes back as it was written', async () => {
    const spec: PodReadinessGate['spec'] = {
      selector: {
        matchLabels: { app: 'web', 'example.com/tier': '' },
        matchExpressions: [
          { key: 'track', operator: 'NotIn', values: ['canary', ''] },
          { key: 'example.com/old', operator: 'DoesNotExist' },
        ],
      },
      conditionType: 'gates.example.com/lb_Registered.v2',
      checks: [
        {
          httpGet: {
            port: 'web-1',
            path: '/healthz?full=1',
            scheme: 'HTTPS',
            headers: [{ name: 'X-Probe', value: 'gate, one' }],
            interval: '1s',
            timeout: '1s',
            successThreshold: 2,
            failureThreshold: 1,
          },
        },
        {
          condition: { apiVersion: 'example.com/v1beta2', kind: 'Cache', name: 'warm.up-1', type: 'x.io/Warm', status: 'False' },
        },
        {
          handover: {
            maxForcedKills: 2,
            window: '1h30m',
            outcomes: ['ForcedKill', 'OOMKilled'],
            waitForVerdict: false,
            maxHold: '1.5h',
          },
        },
      ],
      failOpenAfter: 'Never',
      inject: true,
      onDelete: 'Leave',
    }
    await accepted(create, object('whole', spec))
    expect((await read('whole')).spec).toEqual(spec)
  })

  const check = (one: object) => ({ checks: [one] })
  const http = (fields: object) => check({ httpGet: { port: 80, ...fields } })
  const brake = (fields: object) => check({ handover: fields })
  const target = (fields: object) =>
    check({ condition: { apiVersion: 'batch/v1', kind: 'Job', name: 'migrate', type: 'Complete', ...fields } })
  const expression = (fields: object) => ({ selector: { matchExpressions: [{ key: 'app', ...fields }] } })
  const header = (name: string, value = 'x') => http({ headers: [{ name, value }] })
  const aDuration = (field: string, least = '1s') =>
    new RegExp(`${field}: Invalid value: .*: write a duration of ${least} or more, as 90s, 10m or 1h30m`)

  it.each<[string, object, RegExp]>([
    ['no selector', { selector: undefined }, /spec\.selector: Required value/],
    ['no condition type', { conditionType: undefined }, /spec\.conditionType: Required value/],
    ['no checks', { checks: [] }, /spec\.checks: Invalid value: .*at least 1 items/],
    ['too many checks', { checks: Array.from({ length: 17 }, () => annotation) }, /spec\.checks: Too many: 17/],
    ...['Ready', 'PodScheduled', 'ContainersReady', 'DisruptionTarget', '/x', 'a.b/', 'A.b/c', 'a.b/c/d'].map(
      (type): [string, object, RegExp] => [
        `the condition type ${type}`,
        { conditionType: type },
        /spec\.conditionType: Invalid value: .*: write a name with a domain of your own in front, as example\.com\/registered/,
      ],
    ),
    ...['kubernetes.io/x', 'k8s.io/x', 'node.kubernetes.io/x', 'a.b.k8s.io/x'].map((type): [string, object, RegExp] => [
      `the condition type ${type}`,
      { conditionType: type },
      /spec\.conditionType: Invalid value: .*reserved: write one of your own, as example\.com\/registered/,
    ]),
    ['a field that there is not', { selektor: {} }, /unknown field "spec\.selektor"/],
    [
      'a policy that there is not',
      { onDelete: 'Keep' },
      /spec\.onDelete: Unsupported value: "Keep": supported values: "Release", "Leave"/,
    ],
    ['never in small letters', { failOpenAfter: 'never' }, /spec\.failOpenAfter: Invalid value: .*, or Never/],
    ['no time to fail open', { failOpenAfter: '0s' }, aDuration(String.raw`spec\.failOpenAfter`)],
    ['a duration without a unit', { failOpenAfter: '600' }, aDuration(String.raw`spec\.failOpenAfter`)],
    ['a duration of ages', { failOpenAfter: '99999999h' }, aDuration(String.raw`spec\.failOpenAfter`)],
    ['an operator that there is not', expression({ operator: 'Gt' }), /operator: Unsupported value: "Gt"/],
    ['In without values', expression({ operator: 'In' }), /matchExpressions\[0\]\.values: .*In and NotIn need values/],
    ['NotIn with an empty list', expression({ operator: 'NotIn', values: [] }), /matchExpressions\[0\]\.values: /],
    ['Exists with values', expression({ operator: 'Exists', values: ['a'] }), /Exists and DoesNotExist take none/],
    ['the key of no label', expression({ key: 'no key', operator: 'Exists' }), /key: Invalid value: .*write the key of a label/],
    ['the value of no label', expression({ operator: 'In', values: ['no value'] }), /values\[0\]: .*write the value of a label/],
    [
      'the value of no label among matchLabels',
      { selector: { matchLabels: { app: '-' } } },
      /matchLabels\[app\]: .*write the value of a label/,
    ],
    ['an empty check', check({}), /spec\.checks\[0\]: Invalid value: each check is exactly one of annotation, httpGet/],
    ['two checks in one', check({ ...annotation, endpoints: {} }), /spec\.checks\[0\]: .*each check is exactly one of/],
    ['two brakes', { checks: [{ handover: {} }, { handover: {} }] }, /name handover and endpoints once each at most/],
    ['endpoints twice', { checks: [{ endpoints: {} }, { endpoints: {} }] }, /name handover and endpoints once each at most/],
    ['the key of no annotation', check({ annotation: { key: 'a/b/c', value: '' } }), /write the key of an annotation/],
    ['an annotation without a value', check({ annotation: { key: 'a' } }), /annotation\.value: Required value/],
    ['port 0', http({ port: 0 }), /httpGet\.port: Invalid value: 0: write a number from 1 to 65535/],
    ['port 65536', http({ port: 65_536 }), /httpGet\.port: Invalid value: 65536: write a number from 1 to 65535/],
    ['a port number in quotes', http({ port: '80' }), /httpGet\.port: Invalid value: "80": write .*without quotes/],
    ['the name of no port', http({ port: 'Web' }), /httpGet\.port: Invalid value: "Web": .*or the name of a port/],
    ['a long name of a port', http({ port: 'a-name-too-long1' }), /httpGet\.port: /],
    ['a path without /', http({ path: 'healthz' }), /httpGet\.path: .*begin the path with \//],
    ['a path with a line break', http({ path: '/a\r\nX: y' }), /httpGet\.path: .*without blanks/],
    ['a scheme that there is not', http({ scheme: 'https' }), /httpGet\.scheme: Unsupported value: "https"/],
    ['an interval under a second', http({ interval: '999ms' }), aDuration(String.raw`httpGet\.interval`)],
    ['an interval that is none', http({ interval: 'often' }), aDuration(String.raw`httpGet\.interval`)],
    ['a time-out of nothing', http({ timeout: '0s' }), aDuration(String.raw`httpGet\.timeout`, '100ms')],
    [
      'a time-out over the interval',
      http({ interval: '2s', timeout: '2001ms' }),
      /httpGet\.timeout: .*write no more than the interval/,
    ],
    ['a threshold of 0', http({ failureThreshold: 0 }), /failureThreshold: Invalid value: 0/],
    ...REFUSED_HEADERS.map((name, index): [string, object, RegExp] => [
      `the header ${name}, in large letters or small`,
      header(index % 2 === 0 ? name.toUpperCase() : name),
      /headers\[0\]\.name: .*leave out headers that say who asks whom, or how: host, authorization/,
    ]),
    ['the name of no header', header('X Y'), /headers\[0\]\.name: .*write the name of an HTTP header/],
    ['a header in two lines', header('X', 'a\r\nHost: b'), /headers\[0\]\.value: .*write printable ASCII/],
    ['a group without a version', target({ apiVersion: 'batch' }), /condition\.apiVersion: .*as v1 or batch\/v1/],
    ['a plural for a kind', target({ kind: 'jobs' }), /condition\.kind: .*as Job/],
    ['the name of no object', target({ name: '../x' }), /condition\.name: .*write the name of an object/],
    ['the type of no condition', target({ type: 'is complete' }), /condition\.type: .*as Complete/],
    ['a status that there is not', target({ status: 'Yes' }), /condition\.status: Unsupported value: "Yes"/],
    ['fewer than no kills', brake({ maxForcedKills: -1 }), /handover\.maxForcedKills: Invalid value: -1/],
    ['a window of nothing', brake({ window: '0s' }), aDuration(String.raw`handover\.window`)],
    ['a longest hold of nothing', brake({ maxHold: '0m' }), aDuration(String.raw`handover\.maxHold`)],
    ['no outcomes', brake({ outcomes: [] }), /handover\.outcomes: .*at least 1 items/],
    ['an outcome that there is not', brake({ outcomes: ['Slow'] }), /outcomes\[0\]: Unsupported value: "Slow"/],
    ['an outcome twice', brake({ outcomes: ['Lost', 'Lost'] }), /outcomes\[1\]: Duplicate value: "Lost"/],
  ])('is refused with %s', async (_, spec, message) => {
    const told = await refusal(create, object('refused', spec))
    expect(told).toMatch(message)
    // A rule that fails by itself would say nothing about what to write.
    expect(told).not.toContain('evaluating rule')
  })

  it('keeps its condition type', async () => {
    await accepted(create, object('kept'))
    expect(await refusal(merge('kept', { spec: { conditionType: 'example.com/other' } }))).toMatch(
      /spec\.conditionType: .*never changes, .*: delete this gate and make another/,
    )
    await accepted(merge('kept', { spec: { inject: true, conditionType: MINIMAL.conditionType } }))
  })

  it('has a status that is written apart from the spec', async () => {
    await accepted(create, object('apart', {}, { status: { matched: 5 } }))
    expect((await read('apart')).status).toBeUndefined()
    await accepted(merge('apart', { status: { matched: 5 }, spec: { inject: true } }, '--subresource=status'))
    const { spec, status, metadata } = await read('apart')
    expect({ status, inject: spec.inject, generation: metadata.generation }).toEqual({
      status: { matched: 5 },
      inject: false,
      generation: 1,
    })
  })

  it('takes as many holds as the controller may write, at their longest', async () => {
    const hold = {
      workload: { kind: 'K'.repeat(63), name: 'n'.repeat(253), uid: 'u'.repeat(36), apiVersion: 'apps/v1' },
      revision: 'r'.repeat(253),
      since: '2026-11-26T12:00:00Z',
      until: '2026-11-26T12:30:00Z',
      pods: 1000,
      message: 'm'.repeat(1024),
    }
    await accepted(create, object('holds'))
    const holds = (count: number) => merge('holds', { status: { holds: Array(count).fill(hold) } }, '--subresource=status')
    await accepted(holds(MAX_HOLDS))
    expect(await refusal(holds(MAX_HOLDS + 1))).toMatch(/status\.holds: Too many: 65/)
  })
})

describe('kubectl', () => {
  const columns = (row = '') => row.trim().split(/ {2,}/)

  it('answers at a glance', async () => {
    await accepted(create, object('listed'))
    const conditions = [{ type: 'Accepted', status: 'False', reason: 'InvalidSelector' }]
    const status = { matched: 9, passing: 4, failing: 3, unknown: 2, withoutGate: 1, holding: 3, conditions }
    await accepted(merge('listed', { status }, '--subresource=status'))
    const [header, row] = (await accepted(['get', resource, 'listed', '-n', bed.namespace, '-o', 'wide'])).split('\n')
    expect(columns(header)).toEqual([
      ...['NAME', 'CONDITION', 'MATCHED', 'PASSING', 'FAILING', 'HOLDING', 'AGE'],
      ...['UNKNOWN', 'WITHOUT GATE', 'ACCEPTED'],
    ])
    expect(columns(row).toSpliced(6, 1)).toEqual([
      ...['listed', 'example.com/registered', '9', '4', '3', '3'],
      ...['2', '1', 'InvalidSelector'],
    ])
    const narrow = (await accepted(['get', resource, 'listed', '-n', bed.namespace])).split('\n')[0]
    expect(columns(narrow)).toHaveLength(7)
  })

  it('selects by condition type', async () => {
    expect(RESOURCES[1]?.selectableFields).toEqual(['.spec.conditionType'])
    await accepted(create, object('selected', { conditionType: 'example.com/selected' }))
    const selector = ['--field-selector', 'spec.conditionType=example.com/selected']
    const names = await accepted(['get', resource, '-n', bed.namespace, '-o', 'name', ...selector])
    expect(names.trim()).toBe(`podreadinessgate.${group}/selected`)
  })

  it('explains the fields', async () => {
    const explained = await accepted(['explain', `${resource}.spec.checks.handover`])
    expect(explained).toMatch(/The rollout brake: fails for pods of a new revision/)
    expect(await accepted(['explain', `${resource}.spec.onDelete`])).toMatch(
      /- Release: it becomes True, with reason GateDeleted/,
    )
  })
})
