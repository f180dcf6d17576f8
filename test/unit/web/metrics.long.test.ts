/** The metrics port over real TLS on loopback: its certificate, who gets in, and what it answers. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { gunzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Exposition, type MetricsServer, type MetricsServerOptions, startMetricsServer } from '../../../src/web/metrics.ts'
import { ownCertificate, selfSigned } from '../../../src/web/metrics-certificate.ts'
import { certificateOfFiles } from '../../../src/web/metrics-files.ts'

const DAY = 86_400_000
const told: { level: string; fields: object; message: string }[] = []
const tell = (level: string) => (fields: object, message: string) => void told.push({ level, fields, message })
const log = { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
const folder = mkdtempSync(join(tmpdir(), 'gracewatch-metrics-'))
const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
let server: MetricsServer | undefined

beforeEach(() => told.splice(0))
afterEach(async () => {
  await server?.close()
  server = undefined
})
afterAll(() => rmSync(folder, { recursive: true }))

const exposition = (text: string): Exposition => ({ contentType: 'text/plain; version=0.0.4', scrape: async () => ({ text }) })

async function start(options: Partial<MetricsServerOptions> = {}): Promise<MetricsServer> {
  server = await startMetricsServer({
    address: { host: '127.0.0.1', port: 0 },
    certificate: ownCertificate(['gracewatch', 'localhost']),
    access: undefined,
    exposition: exposition('up 1\n'),
    log,
    ...options,
  })
  return server
}

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
  readonly certificate: X509Certificate | undefined
}

function ask(path = '/metrics', options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // A connection of its own each time: one that is open keeps the certificate that it began with.
    const agent = new Agent({ keepAlive: false, rejectUnauthorized: false })
    const call = request({ ...options, host: '127.0.0.1', port: server?.port, path, agent }, (response) => {
      const certificate = (response.socket as TLSSocket).getPeerX509Certificate() // over TLS it is one
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks), certificate }),
      )
    })
    call.on('error', reject).end()
  })
}

const write = (pair: { cert: string; key: string }) => {
  writeFileSync(files.cert, pair.cert)
  writeFileSync(files.key, pair.key)
}

describe('a certificate of its own making', () => {
  it('is one for its names and a quarter of a year, with its own key', () => {
    const now = Date.UTC(2026, 2, 1, 12)
    const { cert, key } = selfSigned(['gracewatch-controller-0', 'localhost'], now)
    const parsed = new X509Certificate(cert)
    expect(parsed.verify(parsed.publicKey)).toBe(true)
    expect(parsed.subject).toBe('CN=gracewatch-controller-0')
    expect(parsed.checkHost('localhost')).toBe('localhost')
    expect(parsed.ca).toBe(false)
    expect([parsed.validFromDate.getTime(), parsed.validToDate.getTime()]).toEqual([now - 3_600_000, now + 90 * DAY])
    expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true)
  })

  it('is taken by whoever was given it to trust, for its names', async () => {
    const certificate = ownCertificate(['gracewatch', 'localhost'])
    const { port } = await start({ certificate })
    const trusting = (servername: string, ca: string) =>
      new Promise<string>((resolve) => {
        const socket = connectTls({ host: '127.0.0.1', port, servername, ca }, () => resolve('trusted'))
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
        onTestFinished(() => void socket.destroy())
      })
    for (const name of ['gracewatch', 'localhost']) expect(await trusting(name, certificate.current.cert)).toBe('trusted')
    expect(await trusting('other', certificate.current.cert)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await trusting('localhost', selfSigned(['localhost'], Date.now()).cert)).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
  })

  it('has another serial number each time, positive and of full length; a long name is cut', () => {
    const serials = Array.from({ length: 50 }, () => new X509Certificate(selfSigned(['x'], 0).cert).serialNumber)
    expect(new Set(serials).size).toBe(50)
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/)
    const long = `${'a'.repeat(63)}.${'b'.repeat(63)}`
    const { subject, subjectAltName } = new X509Certificate(selfSigned([long], 0).cert)
    expect([subject, subjectAltName]).toEqual([`CN=${long.slice(0, 64)}`, `DNS:${long}`])
  })

  it('is made anew long before it ends, and shown from then on', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const certificate = ownCertificate(['x'])
      const before = certificate.current
      await start({ certificate })
      vi.advanceTimersByTime(19 * DAY)
      expect(certificate.current).toBe(before)
      vi.advanceTimersByTime(2 * DAY)
      expect(certificate.current).not.toBe(before)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a certificate of files', () => {
  const warnings = () => told.filter(({ level }) => level === 'warn').map(({ fields }) => JSON.stringify(fields))

  it('is shown, and the next one when the files change', async () => {
    const [first, second] = [selfSigned(['first'], Date.now()), selfSigned(['second'], Date.now())]
    write(first)
    await start({ certificate: await certificateOfFiles(files, log, 10) })
    expect((await ask()).certificate?.subject).toBe('CN=first')
    write(second)
    await expect.poll(async () => (await ask()).certificate?.subject).toBe('CN=second')
    // Between the writes of the two files it may have looked, too.
    expect(told.filter(({ level }) => level !== 'debug').map(({ message }) => message)).toEqual([
      'the certificate of the metrics port has changed',
    ])
  })

  it('stays while what is there cannot be used, and each thing that is wrong is said once', async () => {
    const first = selfSigned(['first'], Date.now())
    write(first)
    await start({ certificate: await certificateOfFiles(files, log, 10) })
    // In between the two files of a renewal the certificate has the key of another.
    writeFileSync(files.cert, selfSigned(['second'], Date.now()).cert)
    await expect.poll(warnings).toEqual([expect.stringContaining('no pair that can be used')])
    expect((await ask()).certificate?.subject).toBe('CN=first')
    writeFileSync(files.cert, '')
    await expect.poll(warnings).toEqual([expect.anything(), expect.stringContaining(`${files.cert} is empty`)])
    expect((await ask()).certificate?.subject).toBe('CN=first')
    rmSync(files.cert)
    await expect.poll(warnings).toEqual([expect.anything(), expect.anything(), expect.stringContaining('ENOENT')])
    expect((await ask()).certificate?.subject).toBe('CN=first')
    write(selfSigned(['third'], Date.now()))
    await expect.poll(async () => (await ask()).certificate?.subject).toBe('CN=third')
    // The same again is said again, after what was in order.
    rmSync(files.key)
    await expect.poll(() => warnings().at(-1)).toContain(files.key)
    expect(warnings()).toHaveLength(4)
  })

  it('says nothing of what is there for a moment, while it is written', async () => {
    const [first, second] = [selfSigned(['first'], Date.now()), selfSigned(['second'], Date.now())]
    write(first)
    const certificate = await certificateOfFiles(files, log)
    const changes: string[] = []
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    certificate.watch(({ cert }) => changes.push(cert))
    onTestFinished(() => certificate.close())
    const underWay = [
      { cert: '', key: first.key },
      { cert: second.cert, key: first.key },
      { cert: second.cert, key: '' },
    ]
    for (const [index, pair] of underWay.entries()) {
      write(pair)
      vi.advanceTimersByTime(30_000)
      await expect.poll(() => told.filter(({ level }) => level === 'debug').length).toBe(index + 1)
    }
    write(second)
    vi.advanceTimersByTime(30_000)
    await expect.poll(() => changes).toEqual([second.cert])
    expect(warnings()).toEqual([])
  })

  it.each([
    ['that are not there', () => rmSync(files.key), 'ENOENT'],
    ['of which the certificate is empty', () => writeFileSync(files.cert, ''), 'tls.crt is empty'],
    ['of which the key is empty', () => writeFileSync(files.key, '\n'), 'tls.key is empty'],
    ['that are no PEM', () => writeFileSync(files.key, 'nonsense'), 'no pair that can be used'],
    ['that do not belong together', () => writeFileSync(files.key, selfSigned(['y'], 0).key), 'no pair that can be used'],
  ])('is refused at the start, in words for the settings, with files %s', async (_, spoil, why) => {
    write(selfSigned(['x'], Date.now()))
    spoil()
    const opened = certificateOfFiles(files, log)
    await expect(opened).rejects.toThrow(/^--metrics-tls-cert-file and --metrics-tls-key-file: /)
    await expect(opened).rejects.toThrow(why)
  })
})

describe('the metrics port', () => {
  it('speaks TLS alone', async () => {
    const { port } = await start()
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow('fetch failed')
    expect((await ask()).body.toString()).toBe('up 1\n')
  })

  it('packs what is long, for whoever takes it packed', async () => {
    const text = 'up 1\n'.repeat(1000)
    await start({ exposition: exposition(text) })
    const packed = await ask('/metrics', { headers: { 'accept-encoding': 'gzip' } })
    expect(packed.headers['content-encoding']).toBe('gzip')
    expect(packed.body.length).toBeLessThan(200)
    expect(gunzipSync(packed.body).toString()).toBe(text)
    const plain = await ask()
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.body.toString()).toBe(text)
  })

  it('has nothing but GET and HEAD of /metrics', async () => {
    await start()
    expect((await ask('/metrics?x=1')).status).toBe(200)
    expect((await ask('/metrics', { method: 'HEAD' })).body.length).toBe(0)
    expect((await ask('/metrics', { method: 'POST' })).status).toBe(405)
    for (const path of ['/', '/metrics/', '/livez', '/readyz', '/debug/pprof']) expect((await ask(path)).status).toBe(404)
  })

  it.each([
    ['Unauthorized', 401],
    ['Forbidden', 403],
    ['Unavailable', 503],
  ] as const)('%s is %i, with nothing of the metrics', async (access, status) => {
    const scrape = vi.fn()
    await start({ access: { check: async () => access }, exposition: { contentType: 'x', scrape } })
    const answer = await ask()
    expect(answer.status).toBe(status)
    expect(answer.headers['www-authenticate']).toBe(access === 'Unauthorized' ? 'Bearer' : undefined)
    expect(scrape).not.toHaveBeenCalled()
  })

  it('asks who it is by the header as it came', async () => {
    const check = vi.fn(async () => 'Allowed' as const)
    await start({ access: { check } })
    await ask('/metrics', { headers: { authorization: 'Bearer x' } })
    await ask()
    expect(check.mock.calls).toEqual([
      ['Bearer x', '/metrics', '127.0.0.1'],
      [undefined, '/metrics', '127.0.0.1'],
    ])
  })

  it('tells when an exposition has been handed over: of a GET, and not of one that was refused', async () => {
    const delivered = vi.fn()
    await start({ exposition: { contentType: 'x', scrape: async () => ({ text: 'up 1\n', delivered }) } })
    await ask('/metrics', { method: 'HEAD' })
    expect(delivered).not.toHaveBeenCalled()
    await ask()
    expect(delivered).toHaveBeenCalledOnce()
  })

  it('goes on where an exposition fails: 500, and a line in the log that says why', async () => {
    const scrape = vi.fn().mockRejectedValueOnce(new Error('no such series')).mockResolvedValue({ text: 'up 1\n' })
    await start({ exposition: { contentType: 'x', scrape } })
    const failed = await ask()
    expect([failed.status, failed.body.toString().includes('no such series')]).toEqual([500, false])
    expect(told.map(({ level }) => level)).toEqual(['error'])
    expect((await ask()).status).toBe(200)
  })

  it('says which setting to change where the address is taken', async () => {
    const { port } = await start()
    const again = startMetricsServer({
      address: { host: '127.0.0.1', port },
      certificate: ownCertificate(['x']),
      access: undefined,
      exposition: exposition(''),
      log,
    })
    await expect(again).rejects.toThrow(`127.0.0.1:${port} is in use: write another --metrics-address`)
  })
})

describe('connections that are open and ask nothing', () => {
  let silent: Socket[] = []
  afterEach(() => {
    for (const socket of silent) socket.destroy()
    silent = []
  })
  /** Resolves when it is there; `gone` is what becomes of it. */
  const open = async (port: number): Promise<{ readonly gone: Promise<number> }> => {
    const socket = connect(port, '127.0.0.1')
    const from = performance.now()
    silent.push(socket)
    const gone = new Promise<number>((resolve) => socket.on('close', () => resolve(performance.now() - from)))
    await new Promise((resolve, reject) => socket.on('connect', resolve).on('error', reject))
    return { gone }
  }

  it('shut nobody out, however many they are: the oldest gives way', async () => {
    const { port } = await start()
    for (let count = 0; count < 64; count++) await open(port)
    expect((await ask()).status).toBe(200)
    for (let count = 0; count < 128; count++) await open(port)
    expect((await ask()).status).toBe(200)
    expect((await ask()).body.toString()).toBe('up 1\n')
  })

  it('do not take the connection of who has been told the metrics', async () => {
    const { port } = await start()
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
    const scrape = () =>
      new Promise<boolean>((resolve, reject) => {
        const call = request({ host: '127.0.0.1', port, path: '/metrics', agent }, (response) => {
          response.resume().on('end', () => resolve(call.reusedSocket))
        })
        call.on('error', reject).end()
      })
    expect(await scrape()).toBe(false)
    for (let count = 0; count < 100; count++) await open(port)
    expect(await scrape()).toBe(true)
    agent.destroy()
  })

  it('are closed after some seconds, before TLS and after it', async () => {
    const { port } = await start()
    const plain = await open(port)
    const secure = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
    silent.push(secure)
    // That it was reset is one way to be ended.
    secure.on('error', () => {})
    // The server ends it: with a word on it that the time is over.
    const ended = new Promise((resolve) => secure.on('close', resolve).resume())
    expect(await plain.gone).toBeGreaterThan(4000)
    await ended
  }, 60_000)

  it.each([
    ['a path that is not there', '/', 'Allowed' as const],
    ['a token that is refused', '/metrics', 'Unauthorized' as const],
    ['an API server that is away', '/metrics', 'Unavailable' as const],
  ])('are not left by %s', async (_, path, access) => {
    await start({ access: { check: async () => access } })
    expect((await ask(path, { headers: { connection: 'keep-alive' } })).headers.connection).toBe('close')
  })
})
