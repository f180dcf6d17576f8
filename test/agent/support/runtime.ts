/**
 * Real containers without Kubernetes: the machine's runc, below a shim as containerd's is one, in cgroups named as the kubelet names
 * them. So that what the agent sees are the signals, names and deaths of the real thing.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { findCommand, installPackages } from '../../cluster/machine.ts'
import { terminalProgress } from '../../cluster/progress.ts'
import { SEARCH_PATH } from '../../cluster/settings.ts'

const PATH = { ...process.env, PATH: SEARCH_PATH }
const SHIM_MODULE = resolve(import.meta.dirname, '../shim')
const WORKLOADS = resolve(import.meta.dirname, '../workload')
const NODE_FOLDER = resolve(process.execPath, '..')
const WAIT_MS = 10_000
const CLOSED_AT_ONCE = 8

export interface ContainerSpec {
  readonly args: readonly string[]
  /** Default: a PID namespace of its own. */
  readonly pidNamespace?: 'Node' | { readonly of: Container }
  readonly memoryBytes?: number
}

export interface Container {
  readonly id: string
  /** On the node. */
  readonly pid: number
  readonly pod: Pod
}

/** Ends of the shim's other children, as wait(2) told it. */
export interface End {
  readonly pid: number
  readonly code: number
  readonly signal: number
}

export class Runtime {
  readonly folder = mkdtempSync(join(tmpdir(), 'gracewatch-agent-runtime-'))
  readonly shimProgram = join(this.folder, 'containerd-shim-runc-v2')
  readonly cgroup = `/kubepods-test-${process.pid}`
  readonly #pods: Pod[] = []

  readonly runc: string

  private constructor(runc: string) {
    this.runc = runc
  }

  /** Builds the shim, and installs the machine's runc where there is none, as the cluster's own commands do. */
  static async create(): Promise<Runtime> {
    if (findCommand('runc') === undefined) await installPackages('node', terminalProgress(process.stderr))
    const runc = findCommand('runc')
    const go = findCommand('go')
    if (runc === undefined || go === undefined) throw new Error('these tests need runc, and Go for the shim that it runs below')
    const runtime = new Runtime(runc)
    execFileSync(go, ['build', '-buildvcs=false', '-trimpath', '-o', runtime.shimProgram, '.'], {
      cwd: SHIM_MODULE,
      env: { ...PATH, CGO_ENABLED: '0', GOWORK: 'off' },
    })
    return runtime
  }

  pod(): Pod {
    const pod = new Pod(this)
    this.#pods.push(pod)
    return pod
  }

  async close(): Promise<void> {
    const open = [...this.#pods]
    await Promise.all(
      Array.from({ length: CLOSED_AT_ONCE }, async () => {
        for (let pod = open.shift(); pod !== undefined; pod = open.shift()) await pod.close()
      }),
    )
    for (const root of cgroupRoots()) removeCgroups(join(root, this.cgroup))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Pod {
  readonly uid = randomUUID()
  readonly folder: string
  readonly ends: End[] = []
  readonly #runtime: Runtime
  readonly #shim: ChildProcess
  readonly #containers: Container[] = []
  readonly #answers: ((code: number) => void)[] = []
  readonly #waiting = new Map<number, () => void>()

  constructor(runtime: Runtime) {
    this.#runtime = runtime
    this.folder = join(runtime.folder, this.uid)
    mkdirSync(this.folder)
    const sandbox = hexId()
    this.#shim = spawn(runtime.shimProgram, ['-namespace', 'k8s.io', '-id', sandbox], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: PATH,
    })
    if (this.#shim.stdout === null) throw new Error('the shim has no output')
    createInterface(this.#shim.stdout).on('line', (line) => {
      const end = JSON.parse(line) as End & { command: boolean } // what the shim writes
      if (end.command) this.#answers.shift()?.(end.code)
      else {
        this.ends.push(end)
        this.#waiting.get(end.pid)?.()
      }
    })
  }

  get shim(): number {
    return this.#shim.pid ?? 0
  }

  /** @returns the exit code */
  command(...argv: string[]): Promise<number> {
    return new Promise((answered) => {
      this.#answers.push(answered)
      this.#shim.stdin?.write(`${JSON.stringify(argv)}\n`)
    })
  }

  runc(...words: string[]): Promise<number> {
    return this.command(this.#runtime.runc, '--root', join(this.#runtime.folder, 'runc'), ...words)
  }

  async run(spec: ContainerSpec): Promise<Container> {
    const id = hexId()
    const bundle = join(this.folder, id)
    makeBundle(bundle, `${this.#runtime.cgroup}/pod${this.uid}/${id}`, this.folder, spec)
    const pidFile = join(bundle, 'pid')
    const created = await this.runc('create', '--bundle', bundle, '--pid-file', pidFile, id)
    const started = created === 0 ? await this.runc('start', id) : created
    if (started !== 0) throw new Error(`runc could not run ${spec.args.join(' ')}: ${started}`)
    const container = { id, pid: Number(readFileSync(pidFile, 'utf8')), pod: this }
    this.#containers.push(container)
    return container
  }

  /** Waits for the file that a workload writes into /out. */
  async out(name: string): Promise<string> {
    const file = join(this.folder, name)
    const until = performance.now() + WAIT_MS
    while (!existsSync(file) || readFileSync(file, 'utf8') === '') {
      if (performance.now() > until) throw new Error(`no ${name} after ${WAIT_MS} ms`)
      await sleep(5)
    }
    return readFileSync(file, 'utf8')
  }

  /** Waits until the shim was told of its end. */
  async ended({ pid }: { readonly pid: number }): Promise<End> {
    const known = () => this.ends.find((end) => end.pid === pid)
    if (known() === undefined) await new Promise<void>((done) => this.#waiting.set(pid, done))
    const end = known()
    if (end === undefined) throw new Error('the shim has no end of it')
    return end
  }

  async close(): Promise<void> {
    for (const { id } of this.#containers) await this.runc('delete', '--force', id)
    this.#shim.stdin?.end()
    this.#shim.kill('SIGKILL')
    if (this.#shim.exitCode === null && this.#shim.signalCode === null) await once(this.#shim, 'exit')
  }
}

const hexId = () => randomBytes(32).toString('hex')

function makeBundle(bundle: string, cgroupsPath: string, out: string, spec: ContainerSpec): void {
  const root = join(bundle, 'rootfs')
  for (const folder of ['usr', 'proc', 'dev', 'tmp', 'out', 'node', 'workload', 'etc'])
    mkdirSync(join(root, folder), { recursive: true })
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(root, name))
  const bind = (source: string, destination: string, mode: 'ro' | 'rw') => ({
    destination,
    source,
    type: 'bind',
    options: ['rbind', mode],
  })
  const { pidNamespace } = spec
  const pid =
    pidNamespace === 'Node'
      ? []
      : [{ type: 'pid', ...(pidNamespace === undefined ? {} : { path: `/proc/${pidNamespace.of.pid}/ns/pid` }) }]
  const capabilities = ['CAP_KILL', 'CAP_SETUID', 'CAP_SETGID', 'CAP_DAC_OVERRIDE']
  writeFileSync(
    join(bundle, 'config.json'),
    JSON.stringify({
      ociVersion: '1.0.2',
      process: {
        user: { uid: 0, gid: 0 },
        args: spec.args,
        env: ['PATH=/node:/bin:/usr/bin:/usr/sbin', 'HOME=/tmp'],
        cwd: '/tmp',
        capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      },
      root: { path: 'rootfs' },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
        { destination: '/tmp', type: 'tmpfs', source: 'tmpfs' },
        bind('/usr', '/usr', 'ro'),
        bind(NODE_FOLDER, '/node', 'ro'),
        bind(WORKLOADS, '/workload', 'ro'),
        bind(out, '/out', 'rw'),
      ],
      linux: {
        namespaces: [...pid, { type: 'mount' }, { type: 'ipc' }, { type: 'uts' }],
        cgroupsPath,
        resources: spec.memoryBytes === undefined ? {} : { memory: { limit: spec.memoryBytes } },
      },
    }),
  )
}

function cgroupRoots(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .flatMap(([, target]) => target ?? [])
}

function removeCgroups(folder: string): void {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(join(folder, entry.name))
  }
  rmdirSync(folder)
}
