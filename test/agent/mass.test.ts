/** The containers of 500 pods are ended at once, by the machine's runc or by root on the node; the agent as it is shipped looks on. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeClock } from '../../src/agent/node-clock.ts'
import type { KernelContainer, KernelFacts } from '../../src/api/kernel.ts'
import { AgentProcess, buildAgent, cpuSeconds, residentMegabytes, selfSigned } from './support/agent-process.ts'
import { Api, type Apply } from './support/api.ts'
import { within } from './support/measuring.ts'
import { type Container, Runtime } from './support/runtime.ts'
import { instanceName, mountTracefs } from './support/tracing.ts'

const PODS = 500
const STARTED_AT_ONCE = 8
const GRACE_MS = 3000
const WRITTEN_WITHIN_MS = 60_000
/** The first ends itself and passes nothing on to what is below it, the second has to be killed. */
const TRAPS = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done']
const IGNORES = ['sleep', '1000']

const mount = mountTracefs()
const runtime = await Runtime.create()
const certificate = selfSigned()
const clock = new NodeClock()
let api: Api
let agent: AgentProcess

beforeAll(async () => {
  buildAgent()
  api = await Api.start(certificate)
  agent = await AgentProcess.start({ apiPort: api.port, certificate, tracing: mount.folder, instance: instanceName() })
  await agent.ready()
})
afterAll(async () => {
  clock.stop()
  expect(await agent.kill('SIGTERM'), agent.output).toBe(0)
  await api.down()
  await runtime.close()
  mount.unmount()
}, 120_000)

type Bracket = readonly [number, number]

/** What this test did to a container and saw of it, on the monotonic clock. */
interface Ended {
  readonly container: Container
  readonly traps: boolean
  readonly term?: Bracket
  readonly kill?: Bracket
  readonly endedBy: number
}

interface Started {
  readonly container: Container
  readonly traps: boolean
}

async function startAll(): Promise<Started[]> {
  const started: Started[] = []
  const waiting = Array.from({ length: PODS }, (_, index) => index % 2 === 0)
  await Promise.all(
    Array.from({ length: STARTED_AT_ONCE }, async () => {
      for (let traps = waiting.shift(); traps !== undefined; traps = waiting.shift()) {
        const container = await runtime.pod().run({ args: traps ? TRAPS : IGNORES })
        started.push({ container, traps })
        api.set(container.pod.uid, { containers: { app: container } })
      }
    }),
  )
  await sleep(1000)
  return started
}

async function bracket(action: () => Promise<unknown>): Promise<Bracket> {
  const before = clock.mono()
  await action()
  return [before, clock.mono()]
}

/** As a kubelet ends a pod: it is deleted, its container is sent SIGTERM, and SIGKILL after the grace period. */
async function end({ container, traps }: Started): Promise<Ended> {
  const { pod, id } = container
  api.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
  const term = await bracket(() => pod.runc('kill', id, 'TERM'))
  const late = await Promise.race([pod.ended(container).then(() => false), sleep(GRACE_MS, true)])
  const kill = late ? await bracket(() => pod.runc('kill', id, 'KILL')) : undefined
  await pod.ended(container)
  return { container, traps, term, ...(kill === undefined ? {} : { kill }), endedBy: clock.mono() }
}

type Verdict = 'whole' | 'stated' | 'missing' | 'wrong'

const complete = ({ container }: Ended): Apply | undefined =>
  api.applied(container.pod.uid).find(({ body }) => body.kernel?.complete)

/** Missing: something that happened is not in the record, and the record does not say that anything may be. */
function judge(ended: Ended, by: 'Runtime' | 'Node', kernel: KernelFacts | undefined): Verdict {
  const found = kernel?.containers?.[0]
  if (kernel === undefined || found === undefined) return 'missing'
  const { term, kill, endedBy } = ended
  const marks = [
    ...(term === undefined ? [] : [[found.stopSignal, term] as const]),
    ...(kill === undefined ? [] : [[found.kill, kill] as const]),
    [found.exit, [(kill ?? term)?.[0] ?? 0, endedBy]] as const,
  ]
  if (marks.some(([moment, [from, to]]) => moment !== undefined && !within(clock, moment, from, to))) return 'wrong'
  if (kernel.containers?.length !== 1 || !agrees(ended, by, found)) return 'wrong'
  if (marks.every(([moment]) => moment !== undefined) && (kill === undefined || found.kill?.by === by)) return 'whole'
  return (kernel.gaps?.length ?? 0) > 0 || (found.notes?.length ?? 0) > 0 ? 'stated' : 'missing'
}

function agrees({ traps, term, kill }: Ended, by: 'Runtime' | 'Node', found: KernelContainer): boolean {
  const oneOf = <T>(value: T | undefined, ...allowed: readonly T[]) => value === undefined || allowed.includes(value)
  return (
    oneOf(found.process?.disposition, traps && term !== undefined ? 'Handler' : found.process?.disposition, 'Unknown') &&
    oneOf(found.stopSignal?.result, traps ? 'Delivered' : 'Ignored', 'Unknown') &&
    oneOf(found.passedOn?.result, traps ? 'NotPassedOn' : 'NothingBelow', 'Unknown') &&
    oneOf(found.kill?.by, by, 'Unknown') &&
    oneOf(found.exit?.how, kill === undefined ? 'Exited' : 'Killed', 'Unknown') &&
    (term !== undefined || found.stopSignal === undefined) &&
    (kill !== undefined || found.kill === undefined)
  )
}

const peakMegabytes = (pid: number) =>
  (Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024) / 1_000_000

async function allWritten(ends: readonly Ended[], by: 'Runtime' | 'Node', what: string, before: { cpu: number; at: number }) {
  const late = performance.now() + WRITTEN_WITHIN_MS
  while (ends.some((ended) => complete(ended) === undefined) && performance.now() < late) await sleep(100)
  const counts: Record<Verdict, number> = { whole: 0, stated: 0, missing: 0, wrong: 0 }
  let lost = 0
  const examples: string[] = []
  for (const ended of ends) {
    const kernel = complete(ended)?.body.kernel
    const verdict = judge(ended, by, kernel)
    counts[verdict]++
    lost = Math.max(lost, kernel?.lostEvents ?? 0)
    const { traps, term, kill, endedBy } = ended
    if (verdict === 'missing' || verdict === 'wrong')
      examples.push(JSON.stringify({ verdict, traps, term, kill, endedBy, kernel }))
  }
  const lastEnd = Math.max(...ends.map(({ endedBy }) => endedBy)) / 1000
  const lastWrite = Math.max(...ends.map((ended) => complete(ended)?.at ?? Number.POSITIVE_INFINITY))
  const monoNow = clock.mono() / 1000 - performance.now()
  console.log(
    `${what}: all over after ${((lastEnd - monoNow - before.at) / 1000).toFixed(1)} s, the last record written ` +
      `${Math.round(lastWrite - (lastEnd - monoNow))} ms later; ${counts.whole} records have every mark, ${counts.stated} say what they lack, ` +
      `${counts.missing} lack something unsaid, ${counts.wrong} are wrong; lost events ${lost}; agent: ` +
      `${(cpuSeconds(agent.pid) - before.cpu).toFixed(2)} s of a core, ${residentMegabytes(agent.pid).toFixed(1)} MB resident, ` +
      `${peakMegabytes(agent.pid).toFixed(1)} MB at most`,
  )
  expect(examples.slice(0, 3)).toEqual([])
  expect(counts.whole + counts.stated).toBe(PODS)
}

test(`${PODS} pods deleted at once, as when a node is drained: nothing is lost, or the record says what was`, async () => {
  const started = await startAll()
  const before = { cpu: cpuSeconds(agent.pid), at: performance.now() }
  const ends = await Promise.all(started.map(end))
  await allWritten(ends, 'Runtime', `${PODS} pods deleted at once`, before)
}, 120_000)

test(`the containers of ${PODS} pods sent SIGKILL by root in one loop: each is told, though its end was never asked for`, async () => {
  const started = await startAll()
  const before = { cpu: cpuSeconds(agent.pid), at: performance.now() }
  const from = clock.mono()
  for (const { container } of started) process.kill(container.pid, 'SIGKILL')
  const kill = [from, clock.mono()] as const
  const ends = await Promise.all(
    started.map(async ({ container, traps }): Promise<Ended> => {
      await container.pod.ended(container)
      return { container, traps, kill, endedBy: clock.mono() }
    }),
  )
  for (const { container } of started) api.set(container.pod.uid, { containers: { app: container }, phase: 'Failed' })
  await allWritten(ends, 'Node', `${PODS} containers sent SIGKILL within ${Math.round((kill[1] - kill[0]) / 1000)} ms`, before)
}, 120_000)
