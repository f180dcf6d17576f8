import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createClock } from '../../../src/kube/clock.ts'
import { openConnection } from '../../../src/kube/connection.ts'
import { HttpClient } from '../../../src/kube/http-client.ts'
import { inClusterServer, serviceAccountCredentials } from '../../../src/kube/in-cluster.ts'
import { loadKubeconfig } from '../../../src/kube/kubeconfig.ts'
import { Authority } from './support/certificates.ts'
import { fail, TestApiServer } from './support/server.ts'
import { until, Watching } from './support/watching.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gracewatch-credentials-'))
})
afterEach(() => rm(folder, { recursive: true }))

const write = (name: string, text: string) => writeFile(join(folder, name), text)

describe('the service account of a pod', () => {
  beforeEach(async () => {
    await Promise.all([write('token', 'first\n'), write('ca.crt', 'CA 1'), write('namespace', 'gracewatch-system')])
  })

  test('token and CA are kept for a minute and read again then', async () => {
    let nowMs = 0
    const credentials = serviceAccountCredentials(folder, () => nowMs)
    const first = await credentials(false)
    expect(first.headers).toEqual({ authorization: 'Bearer first' })
    expect(first.tls.ca?.toString()).toBe('CA 1')
    await write('token', 'second')
    nowMs = 59_000
    expect(await credentials(false)).toBe(first)
    nowMs = 61_000
    const second = await credentials(false)
    expect(second.headers).toEqual({ authorization: 'Bearer second' })
    // The same CA is the same object: no connection is made anew for a token.
    expect(second.tls).toBe(first.tls)
    await write('ca.crt', 'CA 2')
    nowMs = 130_000
    expect((await credentials(false)).tls.ca?.toString()).toBe('CA 2')
  })

  test('a refusal reads them at once; where nothing is new, the same object says so', async () => {
    const credentials = serviceAccountCredentials(folder, () => 0)
    const first = await credentials(false)
    expect(await credentials(true)).toBe(first)
    await write('token', 'second')
    expect((await credentials(true)).headers).toEqual({ authorization: 'Bearer second' })
  })

  test('files that are gone for a moment are covered by what was read before', async () => {
    const credentials = serviceAccountCredentials(folder, () => 0)
    const first = await credentials(false)
    await rm(join(folder, 'token'))
    expect(await credentials(true)).toBe(first)
  })

  test('files that never were are an error that says what to do', async () => {
    await rm(join(folder, 'token'))
    await expect(serviceAccountCredentials(folder)(false)).rejects.toMatchObject({
      code: 'Unauthorized',
      message: expect.stringContaining('automountServiceAccountToken'),
    })
  })

  test('calls that come together read the files once', async () => {
    const credentials = serviceAccountCredentials(folder, () => 0)
    const all = await Promise.all([credentials(false), credentials(false), credentials(true)])
    expect(new Set(all).size).toBe(1)
  })

  test('a watch whose token has expired goes on with the new one', async () => {
    const server = await TestApiServer.start()
    server.world.create('web-0')
    const http = new HttpClient({
      server: server.url,
      clock: createClock(),
      userAgent: 'test',
      credentials: serviceAccountCredentials(folder),
    })
    const watching = new Watching(server, { http })
    watching.reflector.start()
    await until(() => server.watching === 1)
    await write('token', 'second')
    server.answers.push(fail(401, 'Unauthorized', 'Unauthorized'))
    server.endWatches()
    server.world.delete('uid-1')
    await until(() => watching.changes.length === 2)
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer first', 'Bearer second'])
    expect(watching.reflector.stats.failures).toEqual({})
    await watching.end()
    await http.close()
    await server.stop()
  })

  test('a token that stays refused backs off, and works once it is replaced', async () => {
    const server = await TestApiServer.start()
    const http = new HttpClient({
      server: server.url,
      clock: createClock(),
      userAgent: 'test',
      credentials: serviceAccountCredentials(folder),
    })
    for (let i = 0; i < 3; i++) server.answers.push(fail(401, 'Unauthorized', 'Unauthorized'))
    const watching = new Watching(server, { http })
    watching.reflector.start()
    await until(() => server.requests.length === 2)
    expect(watching.reflector.stats.lastError).toBe('GET /api/v1/pods: 401 Unauthorized')
    await watching.reflector.whenSynced()
    expect(watching.reflector.stats.failures).toEqual({ Unauthorized: 3 })
    await watching.end()
    await http.close()
    await server.stop()
  })

  test('gives a connection, with its namespace and a description', async () => {
    const connection = await openConnection({ inCluster: true, host: '10.96.0.1', port: '443', directory: folder })
    expect(connection.namespace).toBe('gracewatch-system')
    expect(connection.describe()).toBe('the cluster of this pod (https://10.96.0.1:443)')
    await connection.http.close()
    await rm(join(folder, 'namespace'))
    await expect(openConnection({ inCluster: true, host: '10.96.0.1', port: '443', directory: folder })).rejects.toThrow(
      "cannot read the service account's namespace",
    )
  })

  test('the address may be IPv6, and has to be there', () => {
    expect(inClusterServer('fd00::1', '443')).toBe('https://[fd00::1]:443')
    expect(() => inClusterServer('', '')).toThrow('this is no pod; name a kubeconfig')
  })
})

describe('a kubeconfig', () => {
  interface User {
    [key: string]: unknown
  }
  async function kubeconfig(user: User, cluster: Record<string, unknown> = {}, context: Record<string, unknown> = {}) {
    const file = join(folder, 'config')
    // YAML reads JSON.
    await write(
      'config',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'here',
        clusters: [{ name: 'kind', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
        users: [{ name: 'me', user }],
        contexts: [
          { name: 'here', context: { cluster: 'kind', user: 'me', ...context } },
          { name: 'there', context: { cluster: 'kind', user: 'me', namespace: 'elsewhere' } },
        ],
      }),
    )
    return file
  }

  test('client certificates, CA and name of the server', async () => {
    const authority = new Authority('CA')
    const { cert, key } = authority.issue('me')
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    await write('ca.pem', authority.cert)
    const loaded = await loadKubeconfig({
      kubeconfig: await kubeconfig(
        { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) },
        { 'certificate-authority': 'ca.pem', 'tls-server-name': 'api.internal' },
        { namespace: 'shop' },
      ),
    })
    expect(loaded).toMatchObject({ server: 'https://127.0.0.1:6443', context: 'here', namespace: 'shop' })
    const { tls, headers } = await loaded.credentials(false)
    expect(tls.cert?.toString()).toBe(cert)
    expect(tls.key?.toString()).toBe(key)
    expect(tls.ca?.toString()).toBe(authority.cert)
    expect(tls.servername).toBe('api.internal')
    expect(headers).toEqual({})
  })

  test('a token, another context, a proxy', async () => {
    const file = await kubeconfig({ token: 'secret' }, { 'proxy-url': 'http://proxy:3128', 'insecure-skip-tls-verify': true })
    const loaded = await loadKubeconfig({ kubeconfig: file, context: 'there' })
    expect(loaded).toMatchObject({ namespace: 'elsewhere', proxy: 'http://proxy:3128' })
    expect(await loaded.credentials(false)).toEqual({
      headers: { authorization: 'Bearer secret' },
      tls: { rejectUnauthorized: false },
    })
  })

  test('user and password', async () => {
    const loaded = await loadKubeconfig({ kubeconfig: await kubeconfig({ username: 'me', password: 'pw' }) })
    expect((await loaded.credentials(false)).headers).toEqual({ authorization: `Basic ${btoa('me:pw')}` })
  })

  test('a program that gives tokens: asked once, and again after a refusal', async () => {
    await write(
      'login',
      `#!/bin/sh\nread n < ${folder}/count\necho $((n+1)) > ${folder}/count\n` +
        `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t'$n'"}}'\n`,
    )
    await write('count', '1\n')
    await chmod(join(folder, 'login'), 0o755)
    let nowMs = 0
    const loaded = await loadKubeconfig(
      {
        kubeconfig: await kubeconfig({
          exec: { apiVersion: 'client.authentication.k8s.io/v1', command: join(folder, 'login'), interactiveMode: 'Never' },
        }),
      },
      () => nowMs,
    )
    const first = await loaded.credentials(false)
    expect(first.headers).toEqual({ authorization: 'Bearer t1' })
    nowMs = 60_000
    expect(await loaded.credentials(false)).toBe(first)
    const second = await loaded.credentials(true)
    expect(second.headers).toEqual({ authorization: 'Bearer t2' })
    expect(second.tls).toBe(first.tls)
  })

  test('a program that fails is an error with its words', async () => {
    const loaded = await loadKubeconfig({
      kubeconfig: await kubeconfig({
        exec: { command: 'sh', args: ['-c', 'echo "log in first" >&2; exit 1'], interactiveMode: 'Never' },
      }),
    })
    await expect(loaded.credentials(false)).rejects.toMatchObject({
      code: 'Unauthorized',
      message: "the kubeconfig's credentials cannot be had: log in first",
    })
  })

  test.each([
    ['a file that is not there', { kubeconfig: '/nonexistent/config' }, 'cannot read kubeconfig /nonexistent/config'],
    ['a context that is not there', { context: 'nowhere' }, 'has no context "nowhere"; name one with --context: here, there'],
  ])('%s is said so', async (_name, source, message) => {
    const file = await kubeconfig({})
    await expect(loadKubeconfig({ kubeconfig: file, ...source })).rejects.toThrow(message)
  })

  test('a proxy of a kind that is not known is refused at once', async () => {
    const file = await kubeconfig({}, { 'proxy-url': 'socks4://proxy:1080' })
    await expect(loadKubeconfig({ kubeconfig: file })).rejects.toThrow('must be an http, https or socks5 URL')
  })

  test('gives a connection that works', async () => {
    const server = await TestApiServer.start()
    const connection = await openConnection({
      kubeconfig: await kubeconfig({ token: 'secret' }, { server: server.url, 'insecure-skip-tls-verify': true }),
    })
    expect(connection.describe()).toBe(`context here (${server.url})`)
    const response = await connection.http.request({ method: 'GET', path: '/api/v1/pods' })
    expect(response.json()).toMatchObject({ kind: 'List' })
    expect(server.requests[0]?.headers.authorization).toBe('Bearer secret')
    await connection.http.close()
    await server.stop()
  })
})
