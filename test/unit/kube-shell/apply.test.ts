import { describe, expect, it } from 'vitest'
import { createRecordClient } from '../../../src/kube/apply.ts'
import { KubeError } from '../../../src/kube/errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from '../../../src/kube/http.ts'

/** Answers one request after the other, whatever it is. test/apiserver/records.test.ts runs against a real API server. */
function scripted(...answers: (object | KubeError)[]): KubeHttp & { requests: HttpRequest[] } {
  const requests: HttpRequest[] = []
  return {
    requests,
    async request(request) {
      requests.push(request)
      const answer = answers.shift()
      if (answer === undefined) throw new Error('the script has ended')
      if (answer instanceof KubeError) throw answer
      return { status: 200, json: () => answer } as HttpResponse // nothing else of it is read
    },
    stream: () => Promise.reject(new Error('not used')),
    onResponse: () => () => {},
    close: async () => {},
  }
}

const page = (uids: string[], token = '') => ({
  metadata: { continue: token },
  items: uids.map((uid) => ({ metadata: { uid } })),
})
const record = { metadata: { namespace: 'shop', name: 'web.1' }, pod: { namespace: 'shop', name: 'web', uid: '1' } }

async function listed(http: KubeHttp): Promise<string[]> {
  const uids: string[] = []
  for await (const { metadata } of createRecordClient({ http }).list({ namespace: 'shop' })) uids.push(metadata.uid)
  return uids
}

describe('list', () => {
  it('starts again where its place was compacted away, without doubles', async () => {
    const gone = new KubeError('Gone', '410 the continue token is too old')
    const http = scripted(page(['a', 'b'], 'next'), gone, page(['a', 'c'], 'other'), page(['b', 'd']))
    expect(await listed(http)).toEqual(['a', 'b', 'c', 'd'])
    expect(http.requests.map(({ query }) => query?.continue)).toEqual([undefined, 'next', undefined, 'other'])
  })

  it('fails with what the first page says', async () => {
    await expect(listed(scripted(new KubeError('Gone', '410')))).rejects.toMatchObject({ code: 'Gone' })
    await expect(listed(scripted(page(['a'], 't'), new KubeError('ServerError', '500')))).rejects.toMatchObject({
      code: 'ServerError',
    })
  })
})

describe('apply', () => {
  it('never leaves out what makes a record one', async () => {
    const unknown = new KubeError('ServerError', 'failed to create typed patch object (…): .pod: field not declared in schema')
    expect(await createRecordClient({ http: scripted(unknown) }).apply(record)).toMatchObject({
      result: 'Refused',
      reason: 'Invalid',
    })
  })

  it('understands strict decoding as well, and gives up on a server that goes on naming fields', async () => {
    const named = (field: string) => new KubeError('Invalid', `400 strict decoding error: unknown field "containers[0].${field}"`)
    const http = scripted(named('kill'), { metadata: { uid: 'u', resourceVersion: '1' } })
    const containers = [{ name: 'app', role: 'Main' as const, kill: { by: 'OOM' as const } }]
    expect(await createRecordClient({ http }).apply({ ...record, containers })).toMatchObject({ result: 'Written' })
    expect(http.requests[1]?.body).toMatchObject({ containers: [{ name: 'app', role: 'Main' }] })
    expect(http.requests[1]?.body).not.toHaveProperty('containers.0.kill')
    const endless = scripted(...Array.from({ length: 100 }, (_, index) => named(`f${index}`)))
    expect(await createRecordClient({ http: endless }).apply(record)).toMatchObject({ result: 'Refused', reason: 'Invalid' })
    expect(endless.requests.length).toBeLessThan(20)
  })

  it.each(['TooManyRequests', 'ServerError', 'Timeout', 'Network', 'Conflict'] as const)(
    '%s may pass, so it is thrown',
    async (code) => {
      const http = scripted(new KubeError(code, 'no'))
      await expect(createRecordClient({ http }).apply(record)).rejects.toMatchObject({ code })
    },
  )
})
