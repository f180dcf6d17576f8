/** An agent in this process, on real containers of this machine, with an API server of the test's own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { Agent } from '../../../src/agent/agent.ts'
import { NodeClock } from '../../../src/agent/node-clock.ts'
import { LeanHttpClient } from '../../../src/kube/lean-http-client.ts'
import type { Log } from '../../../src/kube/log.ts'
import { Api, type Apply } from './api.ts'
import { type Container, Runtime } from './runtime.ts'
import { instanceName, mountTracefs } from './tracing.ts'

/** A shell that ignores SIGTERM, with a process below it. */
export const DEAF_SHELL = ['sh', '-c', 'trap "" TERM; echo x > /out/app.start; sleep 1000; true', 'app']

export interface Logged {
  readonly level: string
  readonly message: string
  readonly fields: object
}

export async function until<T>(what: () => T | undefined | false, ms = 10_000): Promise<T> {
  const late = performance.now() + ms
  for (;;) {
    const found = what()
    if (found !== undefined && found !== false) return found
    if (performance.now() > late) throw new Error(`not after ${ms} ms`)
    await sleep(5)
  }
}

export const status = (code: number, reason: string, message: string, causes?: object[]) => ({
  status: code,
  body: { kind: 'Status', code, reason, message, ...(causes && { details: { causes } }) },
})

export class Rig {
  readonly mount = mountTracefs()
  readonly runtime: Runtime
  readonly api: Api
  readonly logged: Logged[] = []
  readonly #running: (() => Promise<void>)[] = []

  private constructor(runtime: Runtime, api: Api) {
    this.runtime = runtime
    this.api = api
  }

  static async create(): Promise<Rig> {
    return new Rig(await Runtime.create(), await Api.start())
  }

  async agent(options: { readonly tracing?: string; readonly instance?: string } = {}) {
    const clock = new NodeClock()
    const http = new LeanHttpClient({
      server: this.api.url,
      clock,
      userAgent: 'gracewatch-agent/test',
      credentials: async () => ({ headers: {}, tls: {} }),
    })
    const settings = {
      nodeName: 'node-1',
      tracing: options.tracing ?? this.mount.folder,
      instance: options.instance ?? instanceName(),
      bufferKilobytes: 512,
      linesPerSecond: 5000,
      recordsNamespace: 'gracewatch-system',
      recordCompletions: false,
      namespaces: [],
      excludeNamespaces: [],
    }
    const log = Object.fromEntries(
      ['debug', 'info', 'warn', 'error'].map((level) => [
        level,
        (fields: object, message: string) => this.logged.push({ level, message, fields }),
      ]),
    ) as unknown as Log // each of the four levels has its function
    const agent = new Agent({ http, clock, log, settings })
    let stopped = false
    const stop = async () => {
      if (stopped) return
      stopped = true
      await agent.stop()
      await http.close()
      clock.stop()
    }
    this.#running.push(stop)
    await agent.start()
    return { agent, stop, instance: { folder: settings.tracing, instance: settings.instance } }
  }

  /** A container whose pod the API knows. */
  async app(args: readonly string[] = ['node', '/workload/app.mjs', 'app']): Promise<Container> {
    const container = await this.runtime.pod().run({ args })
    if (args.includes('app')) await container.pod.out('app.start')
    this.api.set(container.pod.uid, { containers: { app: container } })
    return container
  }

  /** As the API server and the kubelet begin it: the object is marked, then the runtime sends the signal. */
  async beginEnd(container: Container): Promise<void> {
    this.api.set(container.pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await sleep(20)
    expect(await container.pod.runc('kill', container.id, 'TERM')).toBe(0)
  }

  async kill(container: Container): Promise<void> {
    expect(await container.pod.runc('kill', container.id, 'KILL')).toBe(0)
    await container.pod.ended(container)
  }

  async end(container: Container, graceMs = 5000): Promise<void> {
    await this.beginEnd(container)
    const late = await Promise.race([container.pod.ended(container).then(() => false), sleep(graceMs, true)])
    if (late) await this.kill(container)
  }

  /** The write that says that all containers of the pod have ended. */
  complete(uid: string): Apply | undefined {
    return this.api.applied(uid).find(({ body }) => body.kernel?.complete)
  }

  async stopAgents(): Promise<void> {
    for (const stop of this.#running.splice(0)) await stop()
    this.logged.length = 0
  }

  async close(): Promise<void> {
    await this.api.down()
    await this.runtime.close()
    this.mount.unmount()
  }
}
