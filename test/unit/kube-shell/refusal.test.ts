import { describe, expect, it } from 'vitest'
import { KubeError, type KubeErrorCode } from '../../../src/kube/errors.ts'
import { refusalOf } from '../../../src/kube/refusal.ts'

// The messages are the API server's; test/apiserver/records.test.ts gets most of them from a real one.
const CASES: [string, KubeErrorCode, string, string | undefined][] = [
  [
    'a quota that is used up',
    'Forbidden',
    '403 … exceeded quota: q, requested: count/x=1, used: count/x=1, limited: count/x=1',
    'QuotaExceeded',
  ],
  [
    'a quota that is not counted yet',
    'Forbidden',
    '403 … is forbidden: status unknown for quota: q, resources: count/x',
    'QuotaExceeded',
  ],
  ['RBAC', 'Forbidden', '403 … is forbidden: User "u" cannot patch resource "podterminations"', 'Forbidden'],
  ['no namespace', 'NotFound', '404 namespaces "shop" not found', 'NamespaceNotFound'],
  ['no CRD', 'NotFound', '404 page not found', 'NotInstalled'],
  ['a schema violation', 'Invalid', '422 … Unsupported value', 'Invalid'],
  [
    'an object that does not fit the schema',
    'ServerError',
    '500 failed to create typed patch object (…): duplicate entries',
    'Invalid',
  ],
  ['an object over the limit of etcd', 'ServerError', '500 etcdserver: request is too large', 'TooLarge'],
  ['an object over the limit of the API server', 'TooLarge', '413 …', 'TooLarge'],
  ['a server error', 'ServerError', '500 etcdserver: leader changed', undefined],
  ['a lost race', 'Conflict', '409 …', undefined],
  ['overload', 'TooManyRequests', '429 …', undefined],
  ['a bad token', 'Unauthorized', '401 …', undefined],
]

describe('refusalOf', () => {
  it.each(CASES)('%s', (_title, code, message, reason) => {
    expect(refusalOf(new KubeError(code, message))?.reason).toBe(reason)
  })

  it('a namespace that is being deleted is known by the cause, not by the words', () => {
    const causes = [{ reason: 'NamespaceTerminating', field: 'metadata.namespace' }]
    expect(refusalOf(new KubeError('Forbidden', '403 …', { causes }))).toMatchObject({
      reason: 'NamespaceTerminating',
      retry: 'Never',
    })
  })

  it('what is no KubeError is no refusal', () => {
    expect(refusalOf(new TypeError('x'))).toBeUndefined()
  })
})
