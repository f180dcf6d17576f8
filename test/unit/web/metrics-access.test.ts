/** Who may read the metrics, asked of an API server that answers as the test says; test/apiserver/metrics asks a real one. */
import { beforeEach, describe, expect, it } from 'vitest'
import { KubeError } from '../../../src/kube/errors.ts'
import type { HttpRequest, HttpResponse, KubeHttp } from '../../../src/kube/http.ts'
import { TokenAccess } from '../../../src/web/metrics-access.ts'

const USER = { username: 'system:serviceaccount:monitoring:prometheus', uid: 'u1', groups: ['a', 'b'], extra: { node: ['n1'] } }

let asked: HttpRequest[]
let users: Map<string, typeof USER>
let allowed: boolean
let fails: KubeError | undefined
let gate: Promise<void> | undefined
let now: number
let warnings: object[]
let access: TokenAccess

beforeEach(() => {
  asked = []
  users = new Map([['good', USER]])
  allowed = true
  fails = undefined
  gate = undefined
  now = 0
  warnings = []
  const answer = (body: unknown): HttpResponse => ({
    ...{ status: 201, headers: new Map(), body: new Uint8Array(), sentAt: 0, receivedAt: 0, warnings: [] },
    // The caller names the type, as with the real one.
    json: <T>() => body as T,
  })
  const http: Pick<KubeHttp, 'request'> = {
    async request(request) {
      asked.push(request)
      await gate
      if (fails !== undefined) throw fails
      // What TokenAccess sends, and no other request.
      const { spec } = request.body as { spec: { token?: string } }
      if (!request.path.endsWith('/tokenreviews')) return answer({ status: { allowed } })
      const user = users.get(spec.token ?? '')
      return answer({ status: user === undefined ? { error: 'unknown' } : { authenticated: true, user } })
    },
  }
  const log = { debug() {}, info() {}, warn: (fields: object) => void warnings.push(fields), error() {} }
  access = new TokenAccess({ http: http as KubeHttp, log, now: () => now }) // nothing else is called
})

/** Each from an address of its own, where none is given. */
let clients = 0
const check = (authorization: string | undefined, path = '/metrics', client = `10.0.0.${++clients}`) =>
  access.check(authorization, path, client)
const pathsAsked = () => asked.map(({ path }) => path.split('/').at(-1))

describe('a token', () => {
  it('is reviewed, and its owner with all that is known of him asked about', async () => {
    expect(await check('Bearer good')).toBe('Allowed')
    expect(asked.map(({ method, path, body }) => ({ method, path, spec: (body as { spec: unknown }).spec }))).toEqual([
      { method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', spec: { token: 'good' } },
      {
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        spec: {
          user: USER.username,
          uid: 'u1',
          groups: ['a', 'b'],
          extra: { node: ['n1'] },
          nonResourceAttributes: { path: '/metrics', verb: 'get' },
        },
      },
    ])
  })

  it('that nobody knows is Unauthorized, and nothing more is asked', async () => {
    expect(await check('Bearer bad')).toBe('Unauthorized')
    expect(pathsAsked()).toEqual(['tokenreviews'])
  })

  it('whose owner may not get the path is Forbidden', async () => {
    allowed = false
    expect(await check('Bearer good')).toBe('Forbidden')
  })

  it.each([undefined, '', 'good', 'Basic Z29vZA==', 'Bearer', 'Bearer ', 'Bearer a b', `Bearer ${'x'.repeat(40_000)}`])(
    'that is none (%s) asks nobody',
    async (authorization) => {
      expect(await check(authorization)).toBe('Unauthorized')
      expect(asked).toEqual([])
    },
  )

  it('is known for a minute, and its refusal for ten seconds', async () => {
    await check('Bearer good')
    await check('Bearer bad')
    asked.length = 0
    now = 9_999
    expect([await check('bearer good'), await check('Bearer bad')]).toEqual(['Allowed', 'Unauthorized'])
    expect(asked).toEqual([])
    now = 10_000
    users.set('bad', USER)
    expect([await check('Bearer good'), await check('Bearer bad')]).toEqual(['Allowed', 'Allowed'])
    expect(pathsAsked()).toEqual(['tokenreviews', 'subjectaccessreviews'])
    now = 60_000
    users.clear()
    expect([await check('Bearer good'), await check('Bearer bad')]).toEqual(['Unauthorized', 'Allowed'])
  })

  it('that may get one path has not got another by it', async () => {
    expect(await check('Bearer good')).toBe('Allowed')
    allowed = false
    expect(await check('Bearer good', '/other')).toBe('Forbidden')
  })

  it('is asked about once, however many come with it at one time', async () => {
    const opened = Promise.withResolvers<void>()
    gate = opened.promise
    const answers = Array.from({ length: 50 }, () => check('Bearer good'))
    opened.resolve()
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['Allowed']))
    expect(asked).toHaveLength(2)
  })
})

describe('a flood of made-up tokens', () => {
  it('is a few reviews at a time', async () => {
    const opened = Promise.withResolvers<void>()
    gate = opened.promise
    const answers = Array.from({ length: 100 }, (_, index) => check(`Bearer made-up-${index}`))
    await Promise.resolve()
    expect(asked).toHaveLength(8)
    opened.resolve()
    const found = await Promise.all(answers)
    expect(found.filter((one) => one === 'Unavailable')).toHaveLength(92)
  })

  it('is a few reviews in a second', async () => {
    for (let index = 0; index < 100; index++) await check(`Bearer made-up-${index}`)
    expect(asked).toHaveLength(20)
    expect(await check('Bearer good')).toBe('Unavailable')
    now = 1000
    expect(await check('Bearer good')).toBe('Allowed')
  })

  it('of one address is a quarter of these, and shuts nobody out who is new', async () => {
    for (let index = 0; index < 1000; index++) await check(`Bearer made-up-${index}`, '/metrics', '10.244.0.9')
    expect(asked).toHaveLength(5)
    expect(await check('Bearer good', '/metrics', '10.244.0.10')).toBe('Allowed')
    now = 1000
    expect(await check('Bearer made-up-7', '/metrics', '10.244.0.9')).toBe('Unauthorized')
  })

  it('does not shut out who is known already', async () => {
    expect(await check('Bearer good')).toBe('Allowed')
    for (let index = 0; index < 100; index++) await check(`Bearer made-up-${index}`)
    expect(await check('Bearer good')).toBe('Allowed')
  })

  it('does not shut out who was known when his minute is over: neither from his place nor by using up the reviews', async () => {
    expect(await check('Bearer good')).toBe('Allowed')
    let made = 0
    for (let second = 1; second <= 120; second++) {
      now = second * 1000
      for (let index = 0; index < 30; index++) await check(`Bearer made-up-${made++}`)
      expect([second, await check('Bearer good')]).toEqual([second, 'Allowed'])
    }
    expect(asked.filter(({ body }) => (body as { spec: { token?: string } }).spec.token === 'good')).toHaveLength(3)
  })

  it('does not keep him waiting while as many as may be are asked about', async () => {
    expect(await check('Bearer good')).toBe('Allowed')
    now = 60_000
    const opened = Promise.withResolvers<void>()
    gate = opened.promise
    const strangers = Array.from({ length: 20 }, (_, index) => check(`Bearer made-up-${index}`))
    const known = check('Bearer good')
    opened.resolve()
    expect(await known).toBe('Allowed')
    await Promise.all(strangers)
  })

  it('gains nothing by a token that was let in once and is refused now', async () => {
    expect(await check('Bearer good')).toBe('Allowed')
    users.clear()
    now = 60_000
    expect(await check('Bearer good')).toBe('Unauthorized')
    now = 70_000
    for (let index = 0; index < 20; index++) await check(`Bearer made-up-${index}`)
    expect(await check('Bearer good')).toBe('Unavailable')
  })
})

it('no more than some hundred tokens are remembered, the latest', async () => {
  for (let count = 0; count < 1000; count++) users.set(`good-${count}`, USER)
  for (let count = 0; count < 1000; count++) {
    // Twenty in a second: the first is less than a minute old when the last is asked about.
    now = Math.floor(count / 20) * 1000
    expect(await check(`Bearer good-${count}`)).toBe('Allowed')
  }
  asked.length = 0
  expect(await check('Bearer good-999')).toBe('Allowed')
  expect(asked).toHaveLength(0)
  now += 1000
  expect(await check('Bearer good-0')).toBe('Allowed')
  expect(asked).toHaveLength(2)
})

describe('an API server that cannot be asked', () => {
  it('lets nobody in, is asked again at once, and is told of once', async () => {
    fails = new KubeError('Network', 'POST /apis/…/tokenreviews: connect ECONNREFUSED')
    expect([await check('Bearer good'), await check('Bearer good')]).toEqual(['Unavailable', 'Unavailable'])
    expect(warnings).toHaveLength(1)
    fails = undefined
    expect(await check('Bearer good')).toBe('Allowed')
    fails = new KubeError('Network', 'POST /apis/…/tokenreviews: connect ECONNREFUSED')
    now = 60_000
    expect(await check('Bearer good')).toBe('Unavailable')
    expect(warnings).toHaveLength(2)
  })

  it('for want of the right to says which one is lacking', async () => {
    fails = new KubeError('Forbidden', 'POST /apis/…/tokenreviews: cannot create')
    expect(await check('Bearer good')).toBe('Unavailable')
    expect(JSON.stringify(warnings)).toContain('system:auth-delegator')
  })
})
