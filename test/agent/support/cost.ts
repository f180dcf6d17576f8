/** What the agent costs its node, as it is shipped, measured from outside; beside bpftrace with the same filter, at the same time. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { AgentProcess, buildAgent, cpuSeconds, residentMegabytes, selfSigned } from './agent-process.ts'
import { Api } from './api.ts'
import { ensureCommand } from './packages.ts'
import { type Container, Runtime } from './runtime.ts'
import { instanceName, mountTracefs } from './tracing.ts'

const PODS = 110
const POD_BYTES = 8000
const MEASURED_MS = 20_000

/** The agent's filter (src/agent/tracefs.ts) as far as the language of bpftrace has it: it has no pattern that begins with anything. */
const BPF_FILTER =
  'args->sig == 9 || args->sig == 15 || (args->sig == 17 && (strncmp(args->comm, "containerd-shim", 15) == 0 || ' +
  'strncmp(args->comm, "conmon", 6) == 0 || strncmp(args->comm, "crio", 4) == 0 || strncmp(comm, "kill", 4) == 0)) || ' +
  '(args->sig != 17 && args->sig != 23 && (strncmp(comm, "runc", 4) == 0 || strncmp(comm, "crun", 4) == 0 || strncmp(comm, "youki", 5) == 0))'
const BPF_PROGRAM = `tracepoint:signal:signal_generate /${BPF_FILTER}/ {
  printf("%llu %d %s %d %d %s %d\\n", nsecs, tid, comm, args->sig, args->code, args->comm, args->pid); }`

interface Cost {
  /** Share of one core. */
  readonly core: number
  /** Resident, in MB of a million bytes. */
  readonly megabytes: number
}

export interface Beside {
  readonly signalsPerSecond: number
  readonly seconds: number
  /** Pods that the agent watches. */
  readonly pods: number
  /** Signals of others on this machine that the filter lets pass meanwhile. */
  readonly passed: number
  readonly agent: Cost
  readonly bpftrace: Cost
}

export class CostRig {
  readonly api: Api
  readonly agent: AgentProcess
  readonly #runtime: Runtime
  readonly #mount: ReturnType<typeof mountTracefs>
  readonly #children: ChildProcess[] = []

  private constructor(api: Api, agent: AgentProcess, runtime: Runtime, mount: ReturnType<typeof mountTracefs>) {
    this.api = api
    this.agent = agent
    this.#runtime = runtime
    this.#mount = mount
  }

  /** The agent runs and is ready, on a node with as many pods as nodes have at most. Needs root and Debian's packages, which it installs. */
  static async open(): Promise<CostRig> {
    await ensureCommand('bpftrace')
    buildAgent()
    const mount = mountTracefs()
    const runtime = await Runtime.create()
    const certificate = selfSigned()
    const api = await Api.start(certificate)
    for (let count = 0; count < PODS; count++) api.set(randomUUID(), { containers: {}, ballast: POD_BYTES })
    const agent = await AgentProcess.start({ apiPort: api.port, certificate, tracing: mount.folder, instance: instanceName() })
    const rig = new CostRig(api, agent, runtime, mount)
    try {
      await agent.ready()
    } catch (error) {
      await rig.close()
      throw error
    }
    return rig
  }

  /** @returns the exit code of the agent */
  async close(): Promise<number | null> {
    for (const child of this.#children) child.kill('SIGKILL')
    const code = await this.agent.kill('SIGTERM')
    await this.api.down()
    await this.#runtime.close()
    this.#mount.unmount()
    return code
  }

  /** A container whose process ignores the signal. */
  async deaf(signal: string): Promise<Container> {
    const script = `trap "" ${signal}; echo x > /out/ready; exec sleep 1000`
    const container = await this.#runtime.pod().run({ args: ['sh', '-c', script] })
    await container.pod.out('ready')
    return container
  }

  /** Sends signals of that number to a process, evenly in steps of 5 ms. `sent` asks how many it has sent by now. */
  sender(signal: string, pid: number, perSecond: number): { readonly child: ChildProcess; readonly sent: () => Promise<number> } {
    const code = `
      const began = performance.now()
      let sent = 0
      setInterval(() => {
        for (const due = (performance.now() - began) * ${perSecond / 1000}; sent < due; sent++) process.kill(${pid}, '${signal}')
      }, 5)
      process.on('message', () => process.send(sent))`
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#children.push(child)
    const sent = async () => {
      child.send('how many')
      const [count] = await once(child, 'message')
      return Number(count)
    }
    return { child, sent }
  }

  /** So many signals a second, all of which the filter drops. */
  async besideBpftrace(signalsPerSecond: number): Promise<Beside> {
    const target = await this.deaf('USR1')
    const other = await this.#bpftrace()
    // Both do see what passes.
    await target.pod.runc('kill', target.id, 'TERM')
    await sleep(2000)
    if (!/^\d+ \d+ runc 15 0 /m.test(other.output()))
      throw new Error(`bpftrace does not see a SIGTERM of runc: ${other.output()}`)
    const { child, sent } = this.sender('SIGUSR1', target.pid, signalsPerSecond)
    await sleep(2000)
    const pids = [this.agent.pid, other.child.pid ?? 0]
    const passed = () => other.output().split('\n').length
    const before = { at: performance.now(), sent: await sent(), cpu: pids.map(cpuSeconds), passed: passed() }
    await sleep(MEASURED_MS)
    const seconds = (performance.now() - before.at) / 1000
    const perSecond = ((await sent()) - before.sent) / seconds
    const [agent, bpftrace] = pids.map((pid, index) => ({
      core: (cpuSeconds(pid) - (before.cpu[index] ?? 0)) / seconds,
      megabytes: residentMegabytes(pid),
    }))
    child.kill('SIGKILL')
    other.child.kill('SIGINT')
    await once(other.child, 'exit')
    if (agent === undefined || bpftrace === undefined) throw new Error('a process is missing')
    return { signalsPerSecond: perSecond, seconds, pods: PODS, passed: passed() - before.passed, agent, bpftrace }
  }

  async #bpftrace(): Promise<{ readonly child: ChildProcess; readonly output: () => string }> {
    // It looks for tracefs where most machines have it mounted.
    const script =
      'if [ ! -e /sys/kernel/tracing/trace ]; then mount -t tracefs tracefs /sys/kernel/tracing; fi && exec bpftrace -e "$1"'
    const child = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', BPF_PROGRAM], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#children.push(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        output += String(chunk)
      })
    }
    const late = performance.now() + 20_000
    while (!output.includes('Attaching 1 probe')) {
      if (child.exitCode !== null || performance.now() > late) throw new Error(`bpftrace does not run: ${output}`)
      await sleep(50)
    }
    return { child, output: () => output }
  }
}

const percent = (share: number) => `${(share * 100).toFixed(3)} % of a core`

export function textOfBeside({ signalsPerSecond, seconds, pods, passed, agent, bpftrace }: Beside): string {
  const told = ({ core, megabytes }: Cost) => `${percent(core)}, ${megabytes.toFixed(1)} MB resident`
  return [
    `${Math.round(signalsPerSecond)} signals a second for ${seconds.toFixed(0)} s, ${pods} pods watched, ${passed} other signals that pass:`,
    `  agent     ${told(agent)}`,
    `  bpftrace  ${told(bpftrace)}`,
    `  ratio     processor ${(agent.core / bpftrace.core).toFixed(2)}, memory ${(agent.megabytes / bpftrace.megabytes).toFixed(2)}`,
  ].join('\n')
}
