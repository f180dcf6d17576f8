import { describe, expect, test } from 'vitest'
import { type KernelFacts, kernelSchema } from '../../../src/api/kernel.ts'
import { mergeKernel, summarisePod } from '../../../src/core/kernel/pod.ts'
import { at, child, evidence, exit, first, look, signal, wall } from './builders.ts'

function facts(from: number, until: number, all: Parameters<typeof evidence>[0], more: Partial<KernelFacts> = {}): KernelFacts {
  return {
    ...summarisePod({
      node: 'node-1',
      containers: [{ name: 'app', execPreStop: false, execProbes: false, evidence: evidence(all) }],
      tracedFrom: from * 1000,
      tracedUntil: until * 1000,
      complete: false,
      gaps: [],
      wall,
      wallClockSet: false,
    }),
    ...more,
  }
}

describe('an agent that was started again', () => {
  const before = facts(0, 6000, [look(1, [first(), child(101)]), signal(5000, 15, { result: 1 })])
  const after = facts(
    9000,
    20_000,
    [look(9001, [first(), child(101), child(150, 'late')]), signal(15_000, 9), exit(15_001, 'Killed')],
    {
      complete: true,
    },
  )
  const merged = mergeKernel(before, after)

  test('keeps what the one before saw, adds what it saw itself, and states the gap', () => {
    expect(merged).toMatchObject({
      tracedFrom: at(0),
      tracedUntil: at(20_000),
      complete: true,
      gaps: [{ from: at(6000), to: at(9000), reason: 'the agent was not running' }],
    })
    expect(merged.containers).toHaveLength(1)
    expect(merged.containers?.[0]).toMatchObject({
      stopSignal: { at: at(5000), result: 'Ignored' },
      kill: { at: at(15_000), by: 'Runtime' },
      exit: { at: at(15_001), how: 'Killed' },
      processes: [{ comm: 'worker' }],
      signals: [{ name: 'SIGTERM' }, { name: 'SIGKILL' }],
    })
    expect(kernelSchema.safeParse(merged).error).toBeUndefined()
  })

  test('does not claim that nothing was passed on in the meantime', () => {
    expect(before.containers?.[0]?.passedOn?.result).toBe('NotPassedOn')
    expect(merged.containers?.[0]?.passedOn).toEqual({ result: 'Unknown', reason: 'the agent was not running all the time' })
  })

  test('takes a stop signal that it saw itself', () => {
    const idle = facts(0, 6000, [look(1, [first()])])
    const found = mergeKernel(idle, facts(9000, 20_000, [signal(12_000, 15), exit(12_001)]))
    expect(found.containers?.[0]).toMatchObject({ stopSignal: { at: at(12_000) }, exit: { at: at(12_001) } })
  })

  test('keeps containers that are gone by now, and adds others', () => {
    const other = { ...after, containers: [{ ...after.containers?.[0], containerID: 'd'.repeat(64), name: 'b' }] } as KernelFacts // the same but for its name
    expect(mergeKernel(before, other).containers?.map(({ name }) => name)).toEqual(['app', 'b'])
  })

  test('twice is as once', () => {
    expect(mergeKernel(before, merged).containers).toEqual(merged.containers)
  })

  test('after many gaps tells the last ones as one', () => {
    const gaps = Array.from({ length: 40 }, (_, index) => ({
      from: at(index * 10),
      to: at(index * 10 + 5),
      reason: `gap ${index}`,
    }))
    const found = mergeKernel({ ...before, gaps }, after)
    expect(found.gaps).toHaveLength(16)
    expect(found.gaps?.at(-1)).toMatchObject({ from: at(150), to: at(9000) })
    expect(kernelSchema.safeParse(found).error).toBeUndefined()
  })
})
