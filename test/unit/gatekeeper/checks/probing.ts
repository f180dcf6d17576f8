/** An httpGet checker on servers of this machine, which the real address policy would refuse. */
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { afterEach } from 'vitest'
import type { HttpGetCheck } from '../../../../src/api/pod-readiness-gate.ts'
import { HttpGetChecker, type HttpGetOptions } from '../../../../src/controllers/gatekeeper/checks/http-get.ts'
import type { CheckResult, Gate, GatePod } from '../../../../src/core/gates/types.ts'
import { aGate, aPod } from '../../core/gates/builders.ts'
import { Authority, type Issued } from '../../kube/support/certificates.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export interface TestServer {
  readonly port: number
  /** Connections that it has had. */
  readonly connections: Socket[]
  open(): number
}

async function listening(server: Server, host: string): Promise<TestServer> {
  const connections: Socket[] = []
  server.on('connection', (socket: Socket) => {
    connections.push(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  cleanups.push(async () => {
    for (const socket of connections) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  // A listening TCP server has an AddressInfo.
  const { port } = server.address() as AddressInfo
  return { port, connections, open: () => connections.filter(({ destroyed }) => !destroyed).length }
}

export const httpServer = (answer: RequestListener, host = '127.0.0.1') => listening(createHttpServer(answer), host)
/** A server of bytes: what it does with a connection is the test's. */
export function rawServer(onSocket: (socket: Socket) => void) {
  const server = createRawServer((socket) => {
    onSocket(socket)
    // A socket that is not read from does not learn that the other side has closed.
    socket.resume()
  })
  return listening(server, '127.0.0.1')
}

/** With a certificate that nobody has reason to trust, for another name. */
export function httpsServer(answer: RequestListener, issued: Issued = new Authority('nobody').issue('other', ['other.example'])) {
  return listening(createHttpsServer(issued, answer), '127.0.0.1')
}

export const gateWith = (...checks: (Partial<HttpGetCheck> & Pick<HttpGetCheck, 'port'>)[]): Gate =>
  aGate({ spec: { checks: checks.map((httpGet) => ({ httpGet: { interval: '100ms', ...httpGet } })) } })

export class Probing {
  readonly checker: HttpGetChecker
  readonly #looks = new Set<() => void>()
  /** Pods that were told of, in order. */
  readonly told: string[] = []
  readonly gatesTold: string[] = []

  constructor(options: Partial<HttpGetOptions> = {}) {
    const pod = (uid: string) => {
      this.told.push(uid)
      for (const look of [...this.#looks]) look()
    }
    this.checker = new HttpGetChecker({
      changed: { pod, gate: (uid) => this.gatesTold.push(uid) },
      refusal: () => undefined,
      random: () => 0.5,
      ...options,
    })
    cleanups.push(() => this.checker.stop())
  }

  /** What the gate's first check finds, once it is as wanted. It is only looked at when the checker tells of a change. */
  async until(gate: Gate, pod: GatePod, fits: (result: CheckResult) => boolean, timeoutMs = 5000): Promise<CheckResult> {
    const { promise, resolve, reject } = Promise.withResolvers<CheckResult>()
    let last = this.result(gate, pod)
    const look = () => {
      last = this.result(gate, pod)
      if (fits(last)) resolve(last)
    }
    const timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms; last: ${JSON.stringify(last)}`)), timeoutMs)
    this.#looks.add(look)
    look()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#looks.delete(look)
    }
  }

  /** The first that was really found. */
  found(gate: Gate, pod: GatePod): Promise<CheckResult> {
    return this.until(gate, pod, ({ pending, reason }) => pending !== true && reason !== 'NotYetProbed')
  }

  result(gate: Gate, pod: GatePod): CheckResult {
    const check = gate.spec.checks[0]?.httpGet
    if (check === undefined) throw new Error('the gate has no check httpGet')
    return this.checker.result(gate, check, pod)
  }
}

/** On this machine. */
export const local = (part: Partial<GatePod> = {}): GatePod => aPod({ podIP: '127.0.0.1', ...part })
