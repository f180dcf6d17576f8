/** The real controller as a child process, with what it logs, answers and asks for. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../connect.ts'
import { Arrivals, eventually } from '../waiting.ts'

/** The image's own, between `node` and the program. */
export const NODE_FLAGS = (
  JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8'))?.[1] ?? '[]') as string[]
).slice(1, -1) // a list of strings, or Docker would not take it
/** Types are stripped once, not by each process: that costs time, and memory that the image's process does not need. */
const COMPILE_CACHE = join(root, 'out', 'test', 'compile-cache')
const READY_MS = 120_000

export interface LogLine {
  readonly level: string
  readonly time: string
  readonly msg: string
  readonly [field: string]: unknown
}

export interface ControllerOptions {
  /** Where its API server is. */
  readonly server: string
  readonly token: string
  readonly namespace: string
  readonly name: string
  readonly args?: readonly string[]
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class ControllerProcess {
  readonly name: string
  readonly lines = new Arrivals<LogLine>()
  /** What came on stderr, and lines of stdout that are no JSON. */
  text = ''
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  readonly #health: string

  private constructor(name: string, child: ChildProcess, health: string) {
    this.name = name
    this.#child = child
    this.#health = health
    if (child.stdout === null || child.stderr === null) throw new Error('a child process without pipes')
    createInterface({ input: child.stdout }).on('line', (line) => this.#line(line))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
    })
    // close and not exit: what it had said last has arrived then.
    this.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  }

  /** One that was started elsewhere; health: where its /readyz is. */
  static of(name: string, child: ChildProcess, health: string): ControllerProcess {
    return new ControllerProcess(name, child, health)
  }

  static async start(options: ControllerOptions): Promise<ControllerProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'gracewatch-controller-'))
    const kubeconfig = join(folder, 'kubeconfig')
    writeFileSync(kubeconfig, kubeconfigOf(options), { mode: 0o600 })
    const health = `127.0.0.1:${await freePort()}`
    const settings = [
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${options.namespace}`,
      `--pod-name=${options.name}`,
      `--health-address=${health}`,
    ]
    const started = spawnController([...settings, ...(options.args ?? [])])
    const controller = new ControllerProcess(options.name, started, health)
    void controller.ended.then(() => rmSync(folder, { recursive: true, force: true }))
    return controller
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start`)
    return this.#child.pid
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The first line with this message, of those that came and those to come. */
  says(msg: string, timeoutMs = 60_000, fits: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    const line = this.lines.first((item) => item.msg === msg && fits(item), timeoutMs, `"${msg}" of ${this.name}`)
    return line.catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#tail()}`)
    })
  }

  said(msg: string): readonly LogLine[] {
    return this.lines.all.filter((line) => line.msg === msg)
  }

  /** Body and status of /readyz or /livez; undefined where nobody answers, as one that is stopped in its tracks. */
  async health(path: '/readyz' | '/livez'): Promise<{ status: number; body: string } | undefined> {
    try {
      const response = await fetch(`http://${this.#health}${path}`, { signal: AbortSignal.timeout(10_000) })
      return { status: response.status, body: await response.text() }
    } catch {
      return undefined
    }
  }

  /** Resolves when its caches are complete. */
  async ready(): Promise<this> {
    let last: string | undefined
    const ready = async () => {
      if (!this.running) throw new Error(`${this.name} has ended`)
      const answer = await this.health('/readyz')
      last = answer?.body
      return answer?.status === 200 || undefined
    }
    await eventually(ready, READY_MS, `${this.name} ready`).catch((error: Error) => {
      throw new Error(`${error.message}\n${last ?? 'no answer of /readyz'}\n${this.#tail()}`)
    })
    return this
  }

  async leads(timeoutMs = 60_000): Promise<this> {
    await this.says('leading', timeoutMs)
    return this
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }

  /** SIGTERM; how it ended, and after how long. */
  async stop(): Promise<Ended & { ms: number }> {
    const at = performance.now()
    this.#child.kill('SIGTERM')
    return { ...(await this.ended), ms: performance.now() - at }
  }

  /** Resident memory in bytes: now, and at its highest. */
  memory(): { readonly resident: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024
    return { resident: bytes('VmRSS'), peak: bytes('VmHWM') }
  }

  #tail(): string {
    const last = this.lines.all.slice(-5).map((item) => JSON.stringify(item))
    return ['the last it said:', ...last, this.text].join('\n')
  }

  #line(line: string): void {
    try {
      this.lines.add(JSON.parse(line) as LogLine) // pino's own form; fields are looked at one by one
    } catch {
      this.text += `${line}\n`
    }
  }
}

/** Without this process's own settings. */
export function spawnController(args: readonly string[]): ChildProcess {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('GRACEWATCH_') && !name.startsWith('KUBE')),
  )
  return spawn(process.execPath, [...NODE_FLAGS, join(root, 'src/main.ts'), ...args], {
    env: { ...env, NODE_OPTIONS: '', NODE_COMPILE_CACHE: COMPILE_CACHE },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

export function kubeconfigOf({ server, token }: Pick<ControllerOptions, 'server' | 'token'>): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    // The front speaks plain HTTP, which the Kubernetes client allows only so.
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'controller', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'controller' } }],
  })
}

/** Free at this moment: nobody else on a loopback address is likely to take it before it is used. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
  return address.port
}
