import { describe, expect, it } from 'vitest'
import { decodeJob } from '../../../../src/kube/decode/finished-pod.ts'
import { decodePodCleanup } from '../../../../src/kube/decode/pod-cleanup.ts'

const metadata = { uid: 'u', namespace: 'shop', name: 'nightly', resourceVersion: '1' }
const decoded = (spec: unknown, more: object = {}) => decodePodCleanup({ metadata: { ...metadata, ...more }, spec })
const SPEC = { selector: {}, keep: { total: 3 } }

describe('a PodCleanup', () => {
  it('is a rule, with the defaults of the schema where the API server wrote none', () => {
    expect(decoded(SPEC)).toMatchObject({
      uid: 'u',
      namespace: 'shop',
      name: 'nightly',
      spec: { minAge: '60s', phases: ['Succeeded', 'Failed'] },
    })
  })

  it('is none once it is being deleted', () => {
    expect(decoded(SPEC, { deletionTimestamp: '2026-03-01T12:00:00Z' })).toBeUndefined()
  })

  it.each<[string, unknown, RegExp]>([
    ['without a spec', undefined, /^spec: /],
    ['of a later version', { ...SPEC, keepFor: '1h' }, /^spec: .*keepFor/],
    ['with something more to keep', { selector: {}, keep: { total: 3, perNode: 2 } }, /^spec\.keep: .*perNode/],
    ['with another phase', { ...SPEC, phases: ['Lost'] }, /^spec\.phases\.0: /],
    ['with no selector', { keep: { total: 3 } }, /^spec\.selector: /],
    ['with another selector', { ...SPEC, selector: { matchFields: {} } }, /^spec\.selector: .*matchFields/],
  ])('%s is unreadable, and says where', (_, spec, problem) => {
    expect(decoded(spec)).toEqual({ uid: 'u', namespace: 'shop', name: 'nightly', problem: expect.stringMatching(problem) })
  })
})

describe('a Job', () => {
  const job = (conditions?: object[]) => decodeJob({ metadata, status: { conditions } })
  it.each<[string, object[] | undefined, boolean]>([
    ['has not finished without conditions', undefined, false],
    ['has not while its pods are still being stopped', [{ type: 'FailureTarget', status: 'True' }], false],
    ['has not where it is suspended', [{ type: 'Suspended', status: 'True' }], false],
    [
      'has once it is Complete',
      [
        { type: 'SuccessCriteriaMet', status: 'True' },
        { type: 'Complete', status: 'True' },
      ],
      true,
    ],
    ['has once it Failed', [{ type: 'Failed', status: 'True' }], true],
    ['has not where that is False', [{ type: 'Failed', status: 'False' }], false],
  ])('%s', (_, conditions, finished) => {
    expect(job(conditions)).toMatchObject({ uid: 'u', finished })
  })
})
