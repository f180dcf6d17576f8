/** What the agent costs its node, as it is shipped, measured from outside. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cpuSeconds, residentMegabytes } from './support/agent-process.ts'
import { CostRig, textOfBeside } from './support/cost.ts'

const SIGNALS_PER_SECOND = 10_000
const MAX_CORE = 0.01
const MAX_MEGABYTES = 70
const FLOOD_PER_SECOND = 20_000
const FLOOD_MS = 8000

let rig: CostRig
beforeAll(async () => {
  rig = await CostRig.open()
})
afterAll(async () => {
  if (rig === undefined) return
  expect(await rig.close(), rig.agent.output).toBe(0)
})

describe('the cost', () => {
  test('of 10,000 signals a second that the filter drops, beside bpftrace with the same filter', async () => {
    const beside = await rig.besideBpftrace(SIGNALS_PER_SECOND)
    console.log(textOfBeside(beside))
    expect(beside.signalsPerSecond).toBeGreaterThan(0.95 * SIGNALS_PER_SECOND)
    expect(beside.agent.core).toBeLessThanOrEqual(MAX_CORE)
    expect(beside.agent.megabytes).toBeLessThanOrEqual(MAX_MEGABYTES)
  })

  test('of a flood of SIGTERM is bounded, and the record states what was lost', async () => {
    const target = await rig.deaf('TERM')
    const { uid } = target.pod
    const { agent, api } = rig
    api.set(uid, { containers: { app: target } })
    await sleep(1000)
    const { child, sent } = rig.sender('SIGTERM', target.pid, FLOOD_PER_SECOND)
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
      `${all} SIGTERM in ${(seconds + 1).toFixed(0)} s: the agent used ${(cpu * 100).toFixed(3)} % of a core, ${residentMegabytes(agent.pid).toFixed(1)} MB resident; ` +
        `${kernel?.lostEvents} events lost during the termination, in ${kernel?.gaps?.length} gaps`,
    )
    expect(kernel?.lostEvents).toBeGreaterThan(0)
    expect(kernel?.gaps?.map(({ reason }) => reason)).toContain("the kernel's buffer ran over")
    // It was not the runtime that sent them, and what was missed is not denied.
    expect(container?.stopSignal).toBeUndefined()
    expect(container?.exit).toMatchObject({ how: 'Killed' })
  })
})
