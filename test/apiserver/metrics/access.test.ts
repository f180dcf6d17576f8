/** deploy/metrics on a real API server, and the metrics port before it: who is let in, with real tokens and real rights. */
import { rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openConnection } from '../../../src/kube/connection.ts'
import type { KubeHttp } from '../../../src/kube/http.ts'
import { type MetricsServer, startMetricsServer } from '../../../src/web/metrics.ts'
import { TokenAccess } from '../../../src/web/metrics-access.ts'
import { ownCertificate } from '../../../src/web/metrics-certificate.ts'
import { useOverlay } from '../overlay.ts'
import { eventually } from '../waiting.ts'

const REVIEWS = 'subjectaccessreviews.authorization.k8s.io'
const overlay = useOverlay('deploy/manifests', 'metrics', ['deploy/metrics'])
const { bed, prefix, can, controller } = overlay
const warned: object[] = []
const log = { debug() {}, info() {}, warn: (fields: object) => void warned.push(fields), error() {} }
const kubeconfig = join(tmpdir(), `gracewatch-metrics-${bed.suffix}.kubeconfig`)
let http: KubeHttp
let server: MetricsServer

const token = async (account: string) => (await bed.kubectl('create', 'token', account, '-n', bed.namespace)).trim()

const mayRead = (account: string) => can(`system:serviceaccount:${bed.namespace}:${account}`, 'get', '/metrics')

/** A connection with the rights of a service account. */
async function connectAs(account: string): Promise<KubeHttp> {
  const config = JSON.parse(await bed.kubectl('config', 'view', '--raw', '--minify', '-o', 'json'))
  config.users[0].user = { token: await token(account) }
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
  const connection = await openConnection({ kubeconfig, clock: bed.clock })
  return connection.http
}

function get(authorization?: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = authorization === undefined ? {} : { authorization }
    // The certificate is of the server's own making.
    const call = request(
      { host: '127.0.0.1', port: server.port, path: '/metrics', headers, rejectUnauthorized: false },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode, body }))
      },
    )
    call.on('error', reject).end()
  })
}

beforeAll(async () => {
  await bed.kubectl('create', 'serviceaccount', 'prometheus', '-n', bed.namespace)
  await bed.kubectl('create', 'serviceaccount', 'stranger', '-n', bed.namespace)
  const role = `--clusterrole=${prefix}gracewatch-metrics-reader`
  const account = `--serviceaccount=${bed.namespace}:prometheus`
  await bed.kubectl('create', 'clusterrolebinding', `${prefix}prometheus`, role, account)
  // The authorizer of the API server takes a moment to see them.
  const seen = async () => (await can(controller(), 'create', REVIEWS)) && (await mayRead('prometheus'))
  await eventually(async () => (await seen()) || undefined, 30_000, 'the rights that were given')
  http = await connectAs(`${prefix}gracewatch-controller`)
  server = await startMetricsServer({
    address: { host: '127.0.0.1', port: 0 },
    certificate: ownCertificate(['localhost']),
    access: new TokenAccess({ http, log }),
    exposition: { contentType: 'text/plain', scrape: async () => ({ text: 'up 1\n' }) },
    log,
  })
})
afterAll(async () => {
  await server?.close()
  await http?.close()
  await bed.cluster.tryKubectl(['delete', 'clusterrolebinding', `${prefix}prometheus`, '--ignore-not-found'])
  rmSync(kubeconfig, { force: true })
})

describe('the manifests of the metrics', () => {
  it('are accepted without a warning', () => expect(overlay.warnings).toBe(''))

  it('open the port, and a Service leads to it', async () => {
    const [where, one] = ['jsonpath={.spec.template.spec.containers[0]', '?(@.name=="metrics")']
    const read = (path: string) =>
      bed.kubectl('get', 'deployment', `${prefix}gracewatch-controller`, '-n', bed.namespace, '-o', `${where}${path}}`)
    expect(await read(`.ports[${one}].containerPort`)).toBe('8443')
    expect(await read('.env[?(@.name=="GRACEWATCH_METRICS_ADDRESS")].value')).toBe(':8443')
    const target = ['service', `${prefix}gracewatch-metrics`, '-n', bed.namespace, '-o', 'jsonpath={.spec.ports[0].targetPort}']
    expect(await bed.kubectl('get', ...target)).toBe('metrics')
  })

  it.each(['tokenreviews.authentication.k8s.io', REVIEWS])('let the controller create %s', async (what) =>
    expect(await can(controller(), 'create', what)).toBe(true),
  )

  it('let nobody but those who were bound to it read the metrics', async () => {
    expect(await mayRead('prometheus')).toBe(true)
    expect(await mayRead('stranger')).toBe(false)
  })
})

describe('the metrics port', () => {
  it('lets in who may get /metrics', async () => {
    expect(await get(`Bearer ${await token('prometheus')}`)).toEqual({ status: 200, body: 'up 1\n' })
  })

  it('refuses whom the API server knows but does not allow', async () => {
    const { status, body } = await get(`Bearer ${await token('stranger')}`)
    expect(status).toBe(403)
    expect(body).toContain('nonResourceURL /metrics')
  })

  it('refuses a token that nobody knows, and a request without one', async () => {
    expect((await get('Bearer made.up.token')).status).toBe(401)
    expect((await get()).status).toBe(401)
    expect((await get('Basic YTpi')).status).toBe(401)
  })

  it('lets nobody in where it may not ask, and says once what it lacks', async () => {
    const stranger = await connectAs('stranger')
    const access = new TokenAccess({ http: stranger, log })
    const authorization = `Bearer ${await token('prometheus')}`
    warned.length = 0
    expect(await access.check(authorization, '/metrics', '10.244.0.7')).toBe('Unavailable')
    expect(await access.check(authorization, '/metrics', '10.244.0.7')).toBe('Unavailable')
    expect(warned).toHaveLength(1)
    expect(JSON.stringify(warned)).toContain('system:auth-delegator')
    await stranger.close()
  })

  it('goes by the rights as they are now, a minute later at the most', async () => {
    let now = 0
    const access = new TokenAccess({ http, log, now: () => now })
    const authorization = `Bearer ${await token('prometheus')}`
    expect(await access.check(authorization, '/metrics', '10.244.0.7')).toBe('Allowed')
    await bed.kubectl('delete', 'clusterrolebinding', `${prefix}prometheus`)
    expect(await access.check(authorization, '/metrics', '10.244.0.7')).toBe('Allowed')
    const aMinuteLater = () => {
      now += 60_000
      return access.check(authorization, '/metrics', '10.244.0.7')
    }
    // The authorizer of the API server takes a moment to see the deletion.
    await expect.poll(aMinuteLater, { timeout: 30_000 }).toBe('Forbidden')
  })
})
