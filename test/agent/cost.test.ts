/** What the agent costs its node, as it is shipped, measured from outside; beside bpftrace with the same filter, at the same time. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AgentProcess, buildAgent, cpuSeconds, residentMegabytes, selfSigned } from './support/agent-process.ts'
import { Api } from './support/api.ts'
import { ensureCommand } from './support/packages.ts'
import { type Container, Runtime } from './support/runtime.ts'
import { instanceName, mountTracefs } from './support/tracing.ts'

const PODS = 110
const POD_BYTES = 8000
const SIGNALS_PER_SECOND = 10_000
const MEASURED_MS = 20_000
const MAX_CORE = 0.01
const MAX_MEGABYTES = 70
const FLOOD_PER_SECOND = 20_000
const FLOOD_MS = 8000

/** The agent's filter (src/agent/tracefs.ts) as far as the language of bpftrace has it: it has no pattern that begins with anything. */
const BPF_FILTER =
  'args->sig == 9 || args->sig == 15 || (args->sig == 17 && (strncmp(args->comm, "containerd-shim", 15) == 0 || ' +
  'strncmp(args->comm, "conmon", 6) == 0 || strncmp(args->comm, "crio", 4) == 0 || strncmp(comm, "kill", 4) == 0)) || ' +
  '(args->sig != 17 && args->sig != 23 && (strncmp(comm, "runc", 4) == 0 || strncmp(comm, "crun", 4) == 0 || strncmp(comm, "youki", 5) == 0))'
const BPF_PROGRAM = `tracepoint:signal:signal_generate /${BPF_FILTER}/ {
  printf("%llu %d %s %d %d %s %d\\n", nsecs, tid, comm, args->sig, args->code, args->comm, args->pid); }`

const mount = mountTracefs()
const runtime = await Runtime.create()
const certificate = selfSigned()
const children: ChildProcess[] = []
let api: Api
let agent: AgentProcess

beforeAll(async () => {
  await ensureCommand('bpftrace')
  buildAgent()
  api = await Api.start(certificate)
  for (let count = 0; count < PODS; count++) api.set(randomUUID(), { containers: {}, ballast: POD_BYTES })
  agent = await AgentProcess.start({ apiPort: api.port, certificate, tracing: mount.folder, instance: instanceName() })
  await agent.ready()
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  expect(await agent.kill('SIGTERM'), agent.output).toBe(0)
  await api.down()
  await runtime.close()
  mount.unmount()
})

/** Sends signals of that number to a process, evenly in steps of 5 ms. @returns how many it has sent by now */
function sender(
  signal: string,
  pid: number,
  perSecond: number,
): { readonly child: ChildProcess; readonly sent: () => Promise<number> } {
  const code = `
    const began = performance.now()
    let sent = 0
    setInterval(() => {
      for (const due = (performance.now() - began) * ${perSecond / 1000}; sent < due; sent++) process.kill(${pid}, '${signal}')
    }, 5)
    process.on('message', () => process.send(sent))`
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  children.push(child)
  const sent = async () => {
    child.send('how many')
    const [count] = await once(child, 'message')
    return Number(count)
  }
  return { child, sent }
}

async function deaf(signal: string): Promise<Container> {
  const script = `trap "" ${signal}; echo x > /out/ready; exec sleep 1000`
  const container = await runtime.pod().run({ args: ['sh', '-c', script] })
  await container.pod.out('ready')
  return container
}

async function bpftrace(): Promise<{ readonly child: ChildProcess; readonly output: () => string }> {
  // It looks for tracefs where most machines have it mounted.
  const script =
    'if [ ! -e /sys/kernel/tracing/trace ]; then mount -t tracefs tracefs /sys/kernel/tracing; fi && exec bpftrace -e "$1"'
  const child = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', BPF_PROGRAM], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
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

const percent = (share: number) => `${(share * 100).toFixed(3)} % of a core`

describe('the cost', () => {
  test('of 10,000 signals a second that the filter drops, beside bpftrace with the same filter', async () => {
    const target = await deaf('USR1')
    const other = await bpftrace()
    // Both do see what passes.
    await target.pod.runc('kill', target.id, 'TERM')
    await sleep(2000)
    expect(other.output()).toMatch(/^\d+ \d+ runc 15 0 /m)
    const { child, sent } = sender('SIGUSR1', target.pid, SIGNALS_PER_SECOND)
    await sleep(2000)
    const pids = [agent.pid, other.child.pid ?? 0]
    const passed = () => other.output().split('\n').length
    const before = { at: performance.now(), sent: await sent(), cpu: pids.map(cpuSeconds), passed: passed() }
    await sleep(MEASURED_MS)
    const seconds = (performance.now() - before.at) / 1000
    const perSecond = ((await sent()) - before.sent) / seconds
    const [agentCpu = 1, bpfCpu = 1] = pids.map((pid, index) => (cpuSeconds(pid) - (before.cpu[index] ?? 0)) / seconds)
    const [agentMemory = 1, bpfMemory = 1] = pids.map(residentMegabytes)
    child.kill('SIGKILL')
    other.child.kill('SIGINT')
    await once(other.child, 'exit')
    console.log(
      `${Math.round(perSecond)} signals a second for ${seconds.toFixed(0)} s, ${PODS} pods watched, ${passed() - before.passed} other signals that pass:\n` +
        `  agent     ${percent(agentCpu)} (limit ${percent(MAX_CORE)}), ${agentMemory.toFixed(1)} MB resident (limit ${MAX_MEGABYTES} MB)\n` +
        `  bpftrace  ${percent(bpfCpu)}, ${bpfMemory.toFixed(1)} MB resident\n` +
        `  ratio     processor ${(agentCpu / bpfCpu).toFixed(2)}, memory ${(agentMemory / bpfMemory).toFixed(2)}`,
    )
    expect(perSecond).toBeGreaterThan(0.95 * SIGNALS_PER_SECOND)
    expect(agentCpu).toBeLessThanOrEqual(MAX_CORE)
    expect(agentMemory).toBeLessThanOrEqual(MAX_MEGABYTES)
  })

  test('of a flood of SIGTERM is bounded, and the record states what was lost', async () => {
    const target = await deaf('TERM')
    const { uid } = target.pod
    api.set(uid, { containers: { app: target } })
    await sleep(1000)
    const { child, sent } = sender('SIGTERM', target.pid, FLOOD_PER_SECOND)
    await sleep(1000)
    const before = { at: performance.now(), cpu: cpuSeconds(agent.pid) }
    await sleep(FLOOD_MS / 2)
    api.set(uid, { containers: { app: target }, deletedAt: new Date() })
    await sleep(FLOOD_MS / 2)
    const seconds = (performance.now() - before.at) / 1000
    const cpu = (cpuSeconds(agent.pid) - before.cpu) / seconds
    const all = await sent()
    child.kill('SIGKILL')
    await target.pod.runc('kill', target.id, 'KILL')
    await target.pod.ended(target)
    const late = performance.now() + 20_000
    const complete = () => api.applied(uid).find(({ body }) => body.kernel?.complete)?.body.kernel
    while (complete() === undefined && performance.now() < late) await sleep(50)
    const kernel = complete()
    const [container] = kernel?.containers ?? []
    console.log(
      `${all} SIGTERM in ${(seconds + 1).toFixed(0)} s: the agent used ${percent(cpu)}, ${residentMegabytes(agent.pid).toFixed(1)} MB resident; ` +
        `${kernel?.lostEvents} events lost during the termination, in ${kernel?.gaps?.length} gaps`,
    )
    expect(kernel?.lostEvents).toBeGreaterThan(0)
    expect(kernel?.gaps?.map(({ reason }) => reason)).toContain("the kernel's buffer ran over")
    // It was not the runtime that sent them, and what was missed is not denied.
    expect(container?.stopSignal).toBeUndefined()
    expect(container?.exit).toMatchObject({ how: 'Killed' })
  })
})
