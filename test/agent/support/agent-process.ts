/** The agent as it is shipped: compiled, with the flags of its manifest, as a process with a service account that talks TLS. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'

const ROOT = resolve(import.meta.dirname, '../../..')
/** As the image has it: the program asks the file beside `dist` which version it is. */
const APP = join(ROOT, 'out/test/agent-app')
const DIST = join(APP, 'dist')
const MANIFEST = join(ROOT, 'deploy/agent/daemonset.yaml')
const ENTRY = 'dist/agent/main.js'
const SERVICE_ACCOUNT = '/run/secrets/kubernetes.io/serviceaccount'
const READY_MS = 15_000

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** For 127.0.0.1, signed by itself. */
export function selfSigned(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'gracewatch-agent-certificate-'))
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')]
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', ['req', '-x509', ...ec, ...names, '-days', '1', '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const made = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  rmSync(folder, { recursive: true })
  return made
}

/** Compiles the sources as the image's build does. */
export function buildAgent(): void {
  rmSync(APP, { recursive: true, force: true })
  mkdirSync(APP, { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(APP, 'package.json'))
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', DIST], {
    cwd: ROOT,
    stdio: 'inherit',
  })
}

/** Flags of Node.js as the DaemonSet has them. */
function manifestFlags(): string[] {
  const text = readFileSync(MANIFEST, 'utf8')
  const command = /command:\s+(\[node, .*\])/.exec(text)?.[1]
  const words = command === undefined ? [] : (parse(command) as string[]) // a list of words, by that expression
  if (words.at(-1) !== ENTRY) throw new Error(`${MANIFEST} does not start ${ENTRY}`)
  return words.slice(1, -1)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export interface AgentProcessOptions {
  readonly apiPort: number
  readonly certificate: Certificate
  readonly tracing: string
  readonly instance: string
  readonly flags?: readonly string[]
}

export class AgentProcess {
  readonly #child: ChildProcess
  readonly #folder: string
  readonly #health: number
  #output = ''

  private constructor(child: ChildProcess, folder: string, health: number) {
    this.#child = child
    this.#folder = folder
    this.#health = health
    child.stdout?.on('data', (chunk) => {
      this.#output += String(chunk)
    })
    child.stderr?.on('data', (chunk) => {
      this.#output += String(chunk)
    })
  }

  static async start({ apiPort, certificate, tracing, instance, flags = [] }: AgentProcessOptions): Promise<AgentProcess> {
    if (!existsSync(DIST)) buildAgent()
    const folder = mkdtempSync(join(tmpdir(), 'gracewatch-agent-process-'))
    mkdirSync(join(folder, 'account'))
    writeFileSync(join(folder, 'account/token'), 'token')
    writeFileSync(join(folder, 'account/ca.crt'), certificate.cert)
    const health = await freePort()
    // A mount namespace of its own has the service account where a pod has it; the process stays the same one.
    const mounting = `mount -t tmpfs tmpfs /run && mkdir -p ${SERVICE_ACCOUNT} && mount --bind "$0" ${SERVICE_ACCOUNT} && exec "$@"`
    const words = [process.execPath, ...manifestFlags(), join(DIST, 'agent/main.js'), '--node-name=node-1']
    const settings = [`--tracing=${tracing}`, `--instance=${instance}`, `--health-address=127.0.0.1:${health}`, ...flags]
    const child = spawn('unshare', ['--mount', 'sh', '-c', mounting, join(folder, 'account'), ...words, ...settings], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(apiPort) },
    })
    return new AgentProcess(child, folder, health)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get output(): string {
    return this.#output
  }

  /** What /readyz answers. */
  async readiness(): Promise<{ readonly ok: boolean; readonly text: string }> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#health}/readyz`)
      return { ok: response.ok, text: await response.text() }
    } catch (error) {
      return { ok: false, text: String(error) }
    }
  }

  async ready(): Promise<void> {
    const late = performance.now() + READY_MS
    while (!(await this.readiness()).ok) {
      if (this.#child.exitCode !== null || performance.now() > late) throw new Error(`the agent is not ready: ${this.#output}`)
      await sleep(50)
    }
  }

  /** @returns the exit code, null where a signal ended it */
  async kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal)
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    rmSync(this.#folder, { recursive: true, force: true })
    return this.#child.exitCode
  }
}

/** Processor time that the threads of a process have used, in seconds, as the scheduler counts it to the nanosecond. */
export function cpuSeconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const used = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]))
  return used.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e9
}

/** The memory that the DaemonSet asks for, in MB of a million bytes. */
export function requestedMegabytes(): number {
  const [, mebibytes] = /requests:\n.*\n\s+memory: (\d+)Mi/.exec(readFileSync(MANIFEST, 'utf8')) ?? []
  if (mebibytes === undefined) throw new Error(`${MANIFEST} asks for no memory in Mi`)
  return (Number(mebibytes) * 1024 * 1024) / 1_000_000
}

/** Resident memory, in MB of a million bytes. */
export function residentMegabytes(pid: number): number {
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  return (kilobytes * 1024) / 1_000_000
}
