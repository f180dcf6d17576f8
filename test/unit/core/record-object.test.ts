import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FINDINGS, OUTCOMES, type Outcome, type PodTermination } from '../../../src/api/pod-termination.ts'
import { recordName } from '../../../src/core/record-name.ts'
import { hasWarning, isAbnormal, isAbnormalByLabels, recordObject } from '../../../src/core/record-object.ts'
import { UID } from '../builders.ts'

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const LABEL_VALUE = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/

/** Names that Kubernetes takes: labels of letters, digits and dashes, joined by dots. */
const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/)
const subdomain = fc
  .array(label, { minLength: 1, maxLength: 12 })
  .map((labels) =>
    labels
      .join('.')
      .slice(0, 253)
      .replace(/[-.]+$/, ''),
  )
  .filter((name) => name.length > 0)

const pod = (name: string, uid = UID) => ({ name, uid })

describe('the name of a record', () => {
  test("is the pod's name, a dot and the first 8 of its UID", () => {
    expect(recordName(pod('web-7d4b9c-x2x9k'))).toBe('web-7d4b9c-x2x9k.84b61cdb')
  })

  test('has the full UID where another pod has the short name', () => {
    expect(recordName(pod('web-0'), { full: true })).toBe(`web-0.${UID}`)
  })

  test("has the namespace before it in Gracewatch's own namespace", () => {
    expect(recordName(pod('web-0'), { prefix: 'shop' })).toBe('shop.web-0.84b61cdb')
  })

  test('cuts a long name to 244, and leaves no dash or dot at the cut', () => {
    expect(recordName(pod('a'.repeat(253)))).toBe(`${'a'.repeat(244)}.84b61cdb`)
    expect(recordName(pod(`${'a'.repeat(240)}-.-.b${'c'.repeat(8)}`))).toBe(`${'a'.repeat(240)}.84b61cdb`)
  })

  test('is one that the API server takes, whatever the pod is called, and the same every time', () => {
    fc.assert(
      fc.property(subdomain, fc.uuid(), fc.option(label, { nil: undefined }), fc.boolean(), (name, uid, prefix, full) => {
        const options = { full, ...(prefix === undefined ? {} : { prefix }) }
        const made = recordName({ name, uid }, options)
        expect(made.length).toBeLessThanOrEqual(253)
        expect(made).toMatch(SUBDOMAIN)
        expect(made.endsWith(full ? uid : uid.slice(0, 8))).toBe(true)
        expect(recordName({ name, uid }, options)).toBe(made)
      }),
    )
  })

  test('tells a pod from the next of the same name', () => {
    expect(recordName(pod('db-0', '11111111-0'))).not.toBe(recordName(pod('db-0', '22222222-0')))
  })
})

const labelOf = (workload: string) =>
  recordObject({ pod: { namespace: 'shop', name: 'web-0', uid: UID, workload: { kind: 'Deployment', name: workload } } }).metadata
    .labels['gracewatch.dev/workload'] ?? ''

describe('a label value', () => {
  test('of up to 63 characters is the text itself', () => {
    expect(labelOf('x'.repeat(63))).toBe('x'.repeat(63))
  })

  test('of more is its first 54, a dash and a hash of the whole, so that two long ones stay apart', () => {
    const [one, other] = [labelOf(`${'x'.repeat(70)}1`), labelOf(`${'x'.repeat(70)}2`)]
    expect(one).toMatch(/^x{54}-[0-9a-f]{8}$/)
    expect(one).not.toBe(other)
  })

  test('is one that the API server takes', () => {
    fc.assert(
      fc.property(subdomain, (name) => {
        expect(labelOf(name)).toMatch(LABEL_VALUE)
        expect(labelOf(name).length).toBeLessThanOrEqual(63)
      }),
    )
  })
})

const record = (more: Partial<PodTermination> = {}): PodTermination => ({
  pod: { namespace: 'shop', name: 'web-0', uid: UID, node: 'node-1', workload: { kind: 'StatefulSet', name: 'web' } },
  state: 'Complete',
  cause: { type: 'Deleted' },
  outcome: 'Graceful',
  findings: [],
  ...more,
})

describe('the object of a record', () => {
  test('stands in the namespace of its pod with labels to select by, and is left out of backups', () => {
    expect(recordObject(record()).metadata).toEqual({
      name: 'web-0.84b61cdb',
      namespace: 'shop',
      labels: {
        'gracewatch.dev/outcome': 'Graceful',
        'gracewatch.dev/cause': 'Deleted',
        'gracewatch.dev/state': 'Complete',
        'gracewatch.dev/workload-kind': 'StatefulSet',
        'gracewatch.dev/workload': 'web',
        'gracewatch.dev/node': 'node-1',
        'velero.io/exclude-from-backup': 'true',
      },
    })
  })

  test("stands in Gracewatch's own where the pod's takes nothing, and the pod's stays in the field", () => {
    const { metadata, pod: told } = recordObject(record(), { elsewhere: 'gracewatch' })
    expect(metadata).toMatchObject({ namespace: 'gracewatch', name: 'shop.web-0.84b61cdb' })
    expect(told.namespace).toBe('shop')
  })

  test('has no label for what is not known', () => {
    const { metadata } = recordObject({ pod: { namespace: 'shop', name: 'web-0', uid: UID } })
    expect(metadata.labels).toEqual({ 'velero.io/exclude-from-backup': 'true' })
  })

  test('names its first warning, but no finding that only informs', () => {
    const warned = record({
      findings: [
        { type: 'NoDrainTime', severity: 'Info', message: '' },
        { type: 'PreStopFailed', severity: 'Warning', message: '' },
      ],
    })
    expect(recordObject(warned).metadata.labels['gracewatch.dev/warning']).toBe('PreStopFailed')
    const informed = record({ findings: [{ type: 'NoDrainTime', severity: 'Info', message: '' }] })
    expect(recordObject(informed).metadata.labels['gracewatch.dev/warning']).toBeUndefined()
  })
})

describe('what is abnormal', () => {
  const abnormal: Outcome[] = ['ForcedKill', 'OOMKilled', 'Killed', 'Lost', 'Failed', 'Unknown']

  test.each(OUTCOMES)('outcome %s by itself', (outcome) => {
    expect(isAbnormal(record({ outcome }))).toBe(abnormal.includes(outcome))
  })

  test('is a graceful end with a warning, and none with an information', () => {
    expect(isAbnormal(record({ findings: [{ type: 'GraceNearlyExhausted', severity: 'Warning', message: '' }] }))).toBe(true)
    expect(isAbnormal(record({ findings: [{ type: 'GraceShortened', severity: 'Info', message: '' }] }))).toBe(false)
    expect(hasWarning(record({ findings: undefined } as Partial<PodTermination>))).toBe(false)
  })

  test('is the same by the labels of the stored record', () => {
    const findings = Object.entries(FINDINGS).map(([type, severity]) => ({
      type: type as keyof typeof FINDINGS,
      severity,
      message: '',
    })) // the literal keys
    fc.assert(
      fc.property(fc.constantFrom(...OUTCOMES), fc.subarray(findings), (outcome, found) => {
        const made = record({ outcome, findings: found })
        expect(isAbnormalByLabels(recordObject(made).metadata.labels)).toBe(isAbnormal(made))
      }),
    )
  })

  test('is a record that only an agent has begun', () => {
    expect(isAbnormalByLabels({})).toBe(true)
  })
})
