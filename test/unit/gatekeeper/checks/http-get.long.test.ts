import { setTimeout as passed } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { conditionOf } from '../../../../src/core/gates/decide.ts'
import { productVersion } from '../../../../src/version.ts'
import { condition } from '../../core/gates/builders.ts'
import { Handles } from '../../kube/support/handles.ts'
import { gateWith, httpServer, httpsServer, local, Probing, rawServer } from './probing.ts'

describe('what passes', () => {
  test.each([200, 204, 299, 301, 304, 399])('%i', async (status) => {
    const { port } = await httpServer((_request, response) => response.writeHead(status).end())
    const probing = new Probing()
    expect(await probing.found(gateWith({ port }), local())).toEqual({
      state: 'Pass',
      reason: 'Answered',
      message: `GET http://127.0.0.1:${port}/ is answered`,
    })
  })

  test.each([400, 404, 500, 503])('not %i', async (status) => {
    const { port } = await httpServer((_request, response) => response.writeHead(status).end('no'))
    const probing = new Probing()
    expect(await probing.found(gateWith({ port, path: '/healthz' }), local())).toEqual({
      state: 'Fail',
      reason: 'ProbeFailed',
      message: `GET http://127.0.0.1:${port}/healthz failed: it was answered with ${status}`,
    })
  })

  test('a redirect is an answer, and is not followed', async () => {
    const other = await httpServer((_request, response) => response.end())
    const { port } = await httpServer((_request, response) => {
      response.writeHead(302, { location: `http://127.0.0.1:${other.port}/` }).end()
    })
    const probing = new Probing()
    expect(await probing.found(gateWith({ port }), local())).toMatchObject({ state: 'Pass' })
    await passed(250)
    expect(other.connections).toHaveLength(0)
  })

  test('HTTPS with a certificate that nobody trusts, for another name', async () => {
    const { port } = await httpsServer((_request, response) => response.end('ok'))
    const probing = new Probing()
    expect(await probing.found(gateWith({ port, scheme: 'HTTPS' }), local())).toMatchObject({
      state: 'Pass',
      message: `GET https://127.0.0.1:${port}/ is answered`,
    })
  })

  test('IPv6', async () => {
    const hosts: unknown[] = []
    const { port } = await httpServer((request, response) => {
      hosts.push(request.headers.host)
      response.end()
    }, '::1')
    const probing = new Probing()
    expect(await probing.found(gateWith({ port }), local({ podIP: '::1' }))).toMatchObject({
      state: 'Pass',
      message: `GET http://[::1]:${port}/ is answered`,
    })
    expect(hosts[0]).toBe(`[::1]:${port}`)
  })
})

describe('what fails', () => {
  const failureOf = async (port: number, scheme: 'HTTP' | 'HTTPS' = 'HTTP', timeout = '300ms') => {
    const result = await new Probing().found(gateWith({ port, scheme, timeout }), local())
    expect(result).toMatchObject({ state: 'Fail', reason: 'ProbeFailed' })
    return result.message.replace(/^GET \S+ failed: /, '')
  }
  const late = 'no whole answer within 0.3 s'

  test('nobody listens', async () => {
    const { port } = await rawServer(() => {})
    const other = await new Probing().found(gateWith({ port: port === 1 ? 2 : 1 }), local())
    expect(other.message).toContain('failed: connection refused')
  })

  test('a server that takes the connection and says nothing', async () => {
    const server = await rawServer(() => {})
    expect(await failureOf(server.port)).toBe(late)
  })

  test('one that says its head byte by byte', async () => {
    const { port } = await rawServer((socket) => {
      const drip = setInterval(() => socket.write('H'), 20)
      socket.on('close', () => clearInterval(drip))
    })
    expect(await failureOf(port)).toMatch(/no whole answer within 0.3 s|the answer is no HTTP/)
  })

  test('a body that comes byte by byte without end', async () => {
    const { port } = await httpServer((_request, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(drip))
    })
    expect(await failureOf(port)).toBe(late)
  })

  test('a body that ends before its length', async () => {
    const { port } = await rawServer((socket) =>
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')),
    )
    expect(await failureOf(port)).toBe('the connection was closed before the answer was whole')
  })

  test('a connection that is reset', async () => {
    const { port } = await rawServer((socket) => socket.on('data', () => socket.resetAndDestroy()))
    expect(await failureOf(port)).toBe('the connection was closed before the answer was whole')
  })

  test('an answer that is no HTTP', async () => {
    const { port } = await rawServer((socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'))
    expect(await failureOf(port)).toBe('the answer is no HTTP')
  })

  test('a head without end', async () => {
    const { port } = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const flood = setInterval(() => socket.write(`x: ${'y'.repeat(10_000)}\r\n`), 5)
      socket.on('close', () => clearInterval(flood))
    })
    expect(await failureOf(port)).toBe('the answer is no HTTP')
  })

  test('another protocol instead of an answer', async () => {
    const { port } = await rawServer((socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'))
    })
    expect(await failureOf(port)).toBe('the connection was closed before the answer was whole')
  })

  test('HTTPS where HTTP is spoken, and the same each time', async () => {
    const { port } = await httpServer((_request, response) => response.end())
    const words = new Set<string>()
    for (let i = 0; i < 5; i++) words.add(await failureOf(port, 'HTTPS'))
    expect([...words]).toEqual(['no TLS connection could be made'])
  })

  test('a request that cannot be sent', async () => {
    const { port } = await httpServer((_request, response) => response.end())
    const result = await new Probing().found(gateWith({ port, path: '/a b' }), local())
    expect(result.message).toContain('failed: it cannot be sent')
  })
})

describe('a request', () => {
  test('is one of its own: no connection is used twice, and nothing says who asks but the User-Agent', async () => {
    const seen: string[][] = []
    const server = await httpServer((request, response) => {
      seen.push(request.rawHeaders)
      response.writeHead(200, { 'set-cookie': 'who=you', 'keep-alive': 'timeout=60' }).end('ok')
    })
    const { port } = server
    const probing = new Probing()
    const gate = gateWith({ port, headers: [{ name: 'X-Check', value: 'gate' }] })
    await Promise.all([probing.found(gate, local()), probing.found(gate, local({ uid: 'pod-2' }))])
    while (seen.length < 6) await passed(20)
    expect(server.connections).toHaveLength(seen.length)
    for (const headers of seen) {
      expect(headers).toEqual([
        ...['host', `127.0.0.1:${port}`],
        ...['user-agent', `gracewatch-gate/${productVersion()}`],
        ...['accept', '*/*'],
        ...['x-check', 'gate'],
        ...['connection', 'close'],
      ])
    }
  })

  test.each(['Host', 'AUTHORIZATION', 'proxy-Authorization', 'Cookie', 'Connection', 'Transfer-Encoding', 'upgrade', 'TE'])(
    'with the header %s is not sent',
    async (name) => {
      const server = await httpServer((_request, response) => response.end())
      const probing = new Probing()
      const gate = gateWith({ port: server.port, headers: [{ name, value: 'x' }] })
      expect(probing.result(gate, local())).toMatchObject({ state: 'Unknown', reason: 'HeaderRefused' })
      expect(probing.checker.problems(gate.uid)).toEqual([expect.stringContaining(name)])
      await passed(50)
      expect(server.connections).toHaveLength(0)
    },
  )

  test('takes 64 KiB of a body that never ends, and closes', async () => {
    let written = 0
    const server = await httpServer((_request, response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16 * 1024))) written += 16 * 1024
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    })
    const probing = new Probing()
    expect(await probing.found(gateWith({ port: server.port, interval: '1h', timeout: '5s' }), local())).toMatchObject({
      state: 'Pass',
    })
    while (server.open() > 0) await passed(10)
    // What was under way in the buffers of both sides is more than was taken, but it ends.
    expect(written).toBeLessThan(32 * 1024 * 1024)
  })
})

describe('which pods are asked', () => {
  test.each([
    ['127.0.0.1', {}],
    ['::1', {}],
    ['::ffff:127.0.0.1', {}],
    ['127.0.0.1', { hostNetwork: true }],
    ['127.0.0.1', { hostIPs: ['127.0.0.1'] }],
  ])('by the real policy none at %s %j: nothing connects', async (podIP, part) => {
    const server = await httpServer((_request, response) => response.end(), podIP === '::1' ? '::1' : '127.0.0.1')
    const probing = new Probing()
    const strict = new Probing({ refusal: undefined } as object) // the default, whatever the tests have
    const gate = gateWith({ port: server.port })
    expect(strict.result(gate, local({ podIP, ...part }))).toMatchObject({ state: 'Unknown', reason: 'AddressRefused' })
    expect(strict.checker.problems(gate.uid)).toHaveLength(1)
    expect(strict.gatesTold).toEqual([gate.uid])
    await passed(50)
    expect(server.connections).toHaveLength(0)
    // The server would have answered.
    expect(await probing.found(gate, local({ podIP }))).toMatchObject({ state: 'Pass' })
  })

  test('none without an address, until it has one', async () => {
    const { port } = await httpServer((_request, response) => response.end())
    const probing = new Probing()
    const gate = gateWith({ port })
    const { podIP: _, ...starting } = local()
    expect(probing.result(gate, starting)).toEqual({ state: 'Fail', reason: 'NoPodIP', message: 'the pod has no IP address yet' })
    expect(probing.checker.problems(gate.uid)).toEqual([])
    expect(await probing.found(gate, local())).toMatchObject({ state: 'Pass' })
  })

  test('at a named port; where no container has it, the names that there are', async () => {
    const { port } = await httpServer((_request, response) => response.end())
    const probing = new Probing()
    const gate = gateWith({ port: 'web' })
    expect(await probing.found(gate, local({ ports: { web: port } }))).toMatchObject({ state: 'Pass' })
    expect(probing.result(gate, local({ uid: 'pod-2', ports: { metrics: 1, admin: 2 } }))).toEqual({
      state: 'Unknown',
      reason: 'PortNotFound',
      message: 'no container of the pod has a port named web: its ports are named admin, metrics',
    })
    expect(probing.result(gate, local({ uid: 'pod-3' }))).toMatchObject({
      message: expect.stringContaining('none of its ports has a name'),
    })
    expect(probing.checker.problems(gate.uid)).toEqual(['checks.httpGet.port: there are pods without a port named web'])
    // A name that every object has is no port.
    expect(probing.result(gateWith({ port: 'constructor' }), local())).toMatchObject({ reason: 'PortNotFound' })
  })
})

describe('over time', () => {
  const True = { conditions: [condition('True')] }

  test('a pod is told of when its answers turn, with one message each', async () => {
    let status = 200
    let asked = 0
    const { port } = await httpServer((_request, response) => {
      asked++
      response.writeHead(status).end()
    })
    const probing = new Probing()
    const gate = gateWith({ port, failureThreshold: 2 })
    expect(await probing.found(gate, local())).toMatchObject({ state: 'Pass' })
    for (const from = asked; asked < from + 3; ) await passed(20)
    expect(probing.told).toHaveLength(1)
    status = 500
    await probing.until(gate, local(), ({ state }) => state === 'Fail')
    for (const from = asked; asked < from + 3; ) await passed(20)
    expect(probing.told).toHaveLength(2)
    status = 200
    await probing.until(gate, local(), ({ state }) => state === 'Pass')
    expect(probing.told).toHaveLength(3)
  })

  test('the time between two requests is the interval, within a tenth', async () => {
    const times: number[] = []
    const { port } = await httpServer((_request, response) => {
      times.push(performance.now())
      response.end()
    })
    for (const random of [0, 0.999]) {
      times.length = 0
      const probing = new Probing({ random: () => random })
      await probing.found(gateWith({ port, interval: '500ms' }), local())
      while (times.length < 3) await passed(10)
      await probing.checker.stop()
      const gap = ((times[2] ?? 0) - (times[0] ?? 0)) / 2
      const least = random === 0 ? 445 : 545
      expect(gap).toBeGreaterThan(least)
      expect(gap).toBeLessThan(least + 100)
    }
  })

  test('a controller that has just begun leaves a True condition until it has an answer', async () => {
    const { port } = await httpServer((_request, response) => response.writeHead(500).end())
    const probing = new Probing()
    const gate = gateWith({ port, failureThreshold: 3 })
    expect(probing.result(gate, local(True))).toMatchObject({ state: 'Unknown', reason: 'NotYetProbed', pending: true })
    expect(probing.result(gate, local({ uid: 'new' }))).toMatchObject({ state: 'Fail', reason: 'NotYetProbed', pending: true })
    expect(await probing.found(gate, local(True))).toMatchObject({ state: 'Fail', reason: 'ProbeFailed' })
  })

  test('a restarted container has to answer anew', async () => {
    const answers: (() => void)[] = []
    const { port } = await httpServer((_request, response) => answers.push(() => response.end()))
    const probing = new Probing()
    const gate = gateWith({ port, timeout: '5s', interval: '1h' })
    probing.result(gate, local())
    while (answers.length < 1) await passed(5)
    answers.pop()?.()
    await probing.found(gate, local())
    const restarted = local({ ...True, incarnation: 'app:1' })
    expect(conditionOf(restarted, gate.spec.conditionType)?.status).toBe('True')
    const result = probing.result(gate, restarted)
    expect(result).toMatchObject({ state: 'Fail', reason: 'NotYetProbed' })
    // This one is to be written.
    expect(result.pending).toBeUndefined()
    while (answers.length < 1) await passed(5)
    answers.pop()?.()
    expect(await probing.found(gate, restarted)).toMatchObject({ state: 'Pass' })
  })

  test('another check takes the place of the one before, and the rest goes on as it was', async () => {
    const paths: string[] = []
    const { port } = await httpServer((request, response) => {
      paths.push(request.url ?? '')
      response.end()
    })
    const probing = new Probing()
    const before = gateWith({ port, path: '/before' })
    await probing.found(before, local())
    const after = gateWith({ port, path: '/after' })
    probing.checker.changed(after)
    await probing.found(after, local())
    const from = paths.length
    await passed(350)
    expect(new Set(paths.slice(from))).toEqual(new Set(['/after']))
    // A change of something else changes nothing here.
    const told = probing.told.length
    const again = gateWith({ port, path: '/after' })
    probing.checker.changed(again)
    expect(probing.result(again, local())).toMatchObject({ state: 'Pass' })
    await passed(150)
    expect(probing.told).toHaveLength(told)
  })
})

describe('many pods', () => {
  test('64 slow pods do not hold up a quick one, and each gets its own time', async () => {
    let slow = 0
    const tarpit = await rawServer(() => {
      slow++
    })
    const { port } = await httpServer((_request, response) => response.end())
    const probing = new Probing()
    const stuck = gateWith({ port: tarpit.port, timeout: '1h' })
    for (let i = 0; i < 64; i++) probing.result(stuck, local({ uid: `slow-${i}` }))
    while (slow < 64) await passed(20)
    // The same namespace, and no turn before them, who have an hour each.
    const quick = { ...gateWith({ port }), uid: 'gate-2' }
    await probing.found(quick, local({ uid: 'quick' }))
    // Half of the slow lane: they are all of one namespace.
    await passed(600)
    expect(tarpit.open()).toBeLessThanOrEqual(16)
    expect(probing.checker.running).toBeLessThanOrEqual(17)
  })

  test('a pod that takes longer than a quick one, but less than its time-out, passes', async () => {
    const { port } = await httpServer((_request, response) => setTimeout(() => response.end(), 700))
    const result = await new Probing().found(gateWith({ port, timeout: '3s' }), local())
    expect(result).toMatchObject({ state: 'Pass' })
  })

  test('500 pods are all asked, no more than so many at the same time', async () => {
    let [open, most] = [0, 0]
    const { port } = await httpServer((_request, response) => {
      most = Math.max(most, ++open)
      setTimeout(() => {
        open--
        response.end()
      }, 5)
    })
    const probing = new Probing({ parallel: 32 })
    const gate = gateWith({ port, interval: '1h' })
    const pods = Array.from({ length: 500 }, (_, i) => local({ uid: `pod-${i}`, namespace: `ns-${i % 7}` }))
    await Promise.all(pods.map((pod) => probing.until(gate, pod, ({ state }) => state === 'Pass', 20_000)))
    expect(most).toBeLessThanOrEqual(16)
    expect(most).toBeGreaterThan(8)
  }, 30_000)
})

describe('the end', () => {
  test('nothing asks for a pod that was forgotten, and nothing is left open when it is stopped', async () => {
    const server = await httpServer((_request, response) => response.end())
    const tarpit = await rawServer(() => {})
    const handles = new Handles()
    const probing = new Probing()
    const gate = gateWith({ port: server.port })
    await probing.found(gate, local())
    await probing.found(gate, local({ uid: 'pod-2' }))
    probing.checker.forget(gate.uid, 'pod-1')
    probing.checker.forget(gate.uid, 'pod-2')
    probing.checker.forget(gate.uid, 'never asked')
    const asked = server.connections.length
    await passed(300)
    expect(server.connections).toHaveLength(asked)
    const stuck = gateWith({ port: tarpit.port, timeout: '1h' })
    for (let i = 0; i < 40; i++) probing.result(stuck, local({ uid: `slow-${i}` }))
    while (tarpit.open() < 16) await passed(20)
    await probing.checker.stop()
    const told = probing.told.length
    while (tarpit.open() > 0) await passed(10)
    await passed(50)
    expect(probing.checker.running).toBe(0)
    expect(probing.told).toHaveLength(told)
    expect(handles.left().timers).toEqual([])
  })
})
