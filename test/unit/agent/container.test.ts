import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { kernelSchema } from '../../../src/api/kernel.ts'
import type { Sender } from '../../../src/core/kernel/facts.ts'
import { summarisePod } from '../../../src/core/kernel/pod.ts'
import {
  at,
  blocks,
  child,
  evidence,
  exit,
  first,
  GONE,
  handles,
  ignores,
  look,
  NOTHING,
  partial,
  RUNC,
  signal,
  summary,
  wall,
} from './builders.ts'

describe('the stop signal', () => {
  test('has its time, its name and its sender', () => {
    expect(summary([signal(5000, 15), exit(5100)]).stopSignal).toEqual({
      number: 15,
      name: 'SIGTERM',
      at: at(5000),
      earliest: at(5000),
      latest: at(5000),
      result: 'Delivered',
      sender: 'runc',
    })
  })

  test('is the first that the runtime sent since the end was asked for, and never SIGKILL', () => {
    const facts = [signal(1000, 1), signal(5000, 9), signal(6000, 15), signal(7000, 2)]
    expect(summary(facts).stopSignal?.name).toBe('SIGHUP')
    expect(summary(facts, { context: { endingFrom: 4_000_000 } }).stopSignal?.name).toBe('SIGTERM')
    expect(summary(facts, { context: { endingFrom: 8_000_000 } }).stopSignal).toBeUndefined()
  })

  test('is not what a process of that name sent that nobody could look at; a note says so', () => {
    const found = summary([signal(5000, 15, { sender: GONE })])
    expect(found.stopSignal).toBeUndefined()
    expect(found.signals?.[0]?.from).toBe('Unknown')
    expect(found.notes).toEqual(['SIGTERM came from a process named runc that was gone before it could be looked at'])
  })

  test('SIGKILL that is dropped for PID 1, which lives on, came from its own PID namespace', () => {
    const sender = { pid: 7, comm: 'sh', origin: 'Unknown' } as const
    const dropped = signal(5000, 9, { result: 1, sender })
    const inside = 'SIGKILL came from a process named sh in the same PID namespace that was gone before it could be looked at'
    const somewhere = 'SIGKILL came from a process named sh that was gone before it could be looked at'
    expect(summary([dropped]).notes).toEqual([inside])
    expect(summary([dropped, exit(9000)]).notes).toEqual([inside])
    expect(summary([dropped, exit(5010)]).notes, 'one that is ending drops every signal').toEqual([somewhere])
    expect(summary([signal(4000, 9), dropped]).notes).toEqual([somewhere])
    expect(summary([dropped], { evidence: { pidNamespace: 'Pod' } }).notes).toEqual([somewhere])
  })

  test.each([
    ['delivered to a handler', [look(1, [first(handles(15))]), signal(5, 15)], 'Delivered', 'Handler'],
    ['kept for a program that waits for it', [look(1, [first(blocks(15))]), signal(5, 15)], 'Delivered', 'Blocked'],
    ['pending already', [signal(5, 15, { result: 2 })], 'Pending', 'Unknown'],
    ['dropped, there is no handler', [look(1, [first()]), signal(5, 15, { result: 1 }), exit(6)], 'Ignored', 'Default'],
    ['dropped, it is ignored', [look(1, [first(ignores(15))]), signal(5, 15, { result: 1 })], 'Ignored', 'Ignored'],
    [
      'dropped by a shell that was seen waiting, all signals blocked',
      [look(1, [first(blocks(15))]), signal(5, 15, { result: 1 })],
      'Ignored',
      'Default',
    ],
    ['dropped, and it lives on', [signal(5, 15, { result: 1 }), exit(2000)], 'Ignored', 'Unknown'],
    ['dropped as the program was ending', [signal(5, 15, { result: 1 }), exit(20)], 'Unknown', 'Unknown'],
    [
      'dropped though there is a handler',
      [look(1, [first(handles(15))]), signal(5, 15, { result: 1 }), exit(3000)],
      'Unknown',
      'Unknown',
    ],
    ['dropped after a kill', [signal(4, 9), signal(5, 15, { result: 1 }), exit(900, 'Killed')], 'Unknown', 'Unknown'],
    [
      'delivered, then its handler is taken away',
      [look(1, [first(handles(15))]), signal(5, 15), look(6, [first()])],
      'Delivered',
      'Handler',
    ],
    [
      'delivered to a handler set since the look',
      [look(1, [first()]), signal(5, 15), look(6, [first(handles(15))])],
      'Delivered',
      'Handler',
    ],
    [
      'delivered, to a program that waits for it',
      [look(1, [first()]), signal(5, 15), look(6, [first()])],
      'Delivered',
      'Blocked',
    ],
    ['delivered, and no look can be true', [look(1, [first(ignores(15))]), signal(5, 15)], 'Delivered', 'Unknown'],
  ] as const)('%s', (_, facts, result, disposition) => {
    const found = summary(facts)
    expect(found.stopSignal?.result).toBe(result)
    expect(found.process?.disposition ?? 'Unknown').toBe(disposition)
  })

  test('by default ends a process that is not PID 1', () => {
    const found = summary([look(1, [first()]), signal(5, 15), exit(6, 'Killed')], { evidence: { pidNamespace: 'Pod' } })
    expect(found).toMatchObject({ stopSignal: { result: 'Delivered' }, process: { disposition: 'Default' } })
  })
})

describe('passing on', () => {
  const byFirst = { pid: 100, comm: 'app', origin: 'Container', part: 'First' } as const

  test('is told with its first and last, and by the process', () => {
    const found = summary([
      look(1, [first(handles(15)), child(101), child(102)]),
      signal(5, 15),
      signal(7, 15, { sender: byFirst, to: 'Below', pid: 101 }),
      signal(9, 15, { sender: byFirst, to: 'Below', pid: 102 }),
      exit(20),
    ])
    expect(found.passedOn).toMatchObject({ result: 'PassedOn', first: { at: at(7) }, last: { at: at(9) } })
    expect(found.processes).toMatchObject([
      { pid: 2, signalled: { at: at(7) } },
      { pid: 3, signalled: { at: at(9) } },
    ])
  })

  test.each([
    ['before the stop signal', signal(3, 15, { sender: byFirst, to: 'Below', pid: 101 })],
    ['of another number', signal(7, 9, { sender: byFirst, to: 'Below', pid: 101 })],
    ['from outside', signal(7, 15, { sender: RUNC, to: 'Below', pid: 101 })],
    ['by an exec', signal(7, 15, { sender: { ...byFirst, part: 'Exec' }, to: 'Below', pid: 101 })],
    ['to itself', signal(7, 15, { sender: { ...byFirst, pid: 101, part: 'Below' }, to: 'Below', pid: 101 })],
  ])('is not one %s', (_, other) => {
    expect(summary([look(1, [first(), child(101)]), signal(5, 15), other, exit(20)]).passedOn?.result).toBe('NotPassedOn')
  })

  test.each([
    ['there was nothing below', [look(1, [first()]), signal(5, 15)], 'NothingBelow', undefined],
    [
      'what is below was started by the shutdown itself',
      [signal(50, 15), look(51, [first(), child(101, 'sleep', 60)])],
      'NothingBelow',
      undefined,
    ],
    ['nothing was found below while it ended', [signal(5, 15), partial(look(6, [first()])), exit(7)], 'Unknown', /was ending/],
    [
      'nothing older than the signal was found below while it ended',
      [signal(50, 15), partial(look(51, [first(), child(101, 'sleep', 60)])), exit(70)],
      'Unknown',
      /was ending/,
    ],
    [
      'nothing was below before, nor while it ended',
      [look(1, [first()]), signal(5000, 15), partial(look(5001, [first()])), exit(5002)],
      'NothingBelow',
      undefined,
    ],
    [
      'something was below before, and nothing was found while it ended',
      [look(1, [first(), child(101)]), signal(5000, 15), partial(look(5001, [first()])), exit(5002)],
      'NotPassedOn',
      undefined,
    ],
    ['it was gone before it was looked at', [signal(5, 15), exit(6)], 'Unknown', /gone before/],
    ['only SIGTERM is traced below', [look(1, [first(), child(101)]), signal(5, 3)], 'Unknown', /SIGQUIT is not/],
  ] as const)('%s', (_, facts, result, reason) => {
    const { passedOn } = summary(facts)
    expect(passedOn?.result).toBe(result)
    if (reason !== undefined) expect(passedOn?.reason).toMatch(reason)
  })

  test('below is what was there before, and what was there after and older than the signal', () => {
    const found = summary([
      look(4500, [first(), child(101), child(102)]),
      signal(5000, 15),
      look(5001, [first(), child(102), child(103, 'worker', 4800), child(104, 'sleep', 5010)]),
    ])
    expect(found.processes?.map(({ pid }) => pid)).toEqual([2, 3, 4])
    const old = summary([look(3000, [first(), child(101)]), signal(5000, 15), look(5001, [first(), child(102)])])
    expect(old.processes?.map(({ pid }) => pid)).toEqual([3])
    expect(summary([look(3000, [first(), child(101)]), signal(5000, 15)]).processes?.map(({ pid }) => pid)).toEqual([2])
  })

  test('is not denied where one below was sent one by nobody knows whom', () => {
    const tree = look(1, [first(handles(15)), child(101)])
    const sender = { pid: 102, comm: 'kill', origin: 'Unknown' } as const
    const below = (by: Sender) => [tree, signal(5, 15), signal(6, 15, { sender: by, to: 'Below', pid: 101 }), exit(9000)]
    expect(summary(below(sender)).passedOn?.result).toBe('Unknown')
    expect(summary(below({ ...sender, origin: 'Container' })).passedOn?.result).toBe('Unknown')
    expect(summary(below({ ...sender, origin: 'Container', part: 'Below' })).passedOn?.result).toBe('PassedOn')
    expect(summary(below({ ...sender, origin: 'Node' })).passedOn?.result).toBe('NotPassedOn')
  })

  test('is not denied where the trace has a gap before the end', () => {
    const facts = [look(1, [first(), child(101)]), signal(5, 15), exit(900)]
    const gap = (from: number, to: number) => ({
      context: { gaps: [{ from: from * 1000, to: to * 1000, reason: 'a gap', lost: 7 }] },
    })
    expect(summary(facts, gap(100, 200)).passedOn).toEqual({ result: 'Unknown', reason: 'a gap' })
    expect(summary(facts, gap(1000, 2000)).passedOn?.result).toBe('NotPassedOn')
    expect(summary(facts, gap(0, 4)).passedOn?.result).toBe('NotPassedOn')
  })

  test('what was left behind is told', () => {
    const kernel = { ...byFirst } as const
    const found = summary([
      look(1, [first(handles(15)), child(101), child(102)]),
      signal(5, 15),
      signal(8, 9, { code: 128, sender: kernel, to: 'Below', pid: 102 }),
      exit(9),
    ])
    expect(found.processes?.map(({ leftBehind }) => leftBehind)).toEqual([undefined, true])
    expect(found.kill).toBeUndefined()
  })

  test('one that was ending by itself when the kernel swept up was not left behind', () => {
    const swept = { code: 128, sender: { ...byFirst }, to: 'Below' } as const
    const found = summary([
      look(1, [first(handles(15)), child(101), child(102)]),
      signal(5, 15),
      signal(8, 9, { ...swept, pid: 101, result: 1 }),
      signal(8, 9, { ...swept, pid: 102, result: 2 }),
      exit(9),
    ])
    expect(found.processes?.map(({ leftBehind }) => leftBehind)).toEqual([undefined, true])
  })
})

describe('SIGKILL', () => {
  const oom = { type: 'Oom', mono: 5001, pid: 100, part: 'First' } as const

  test.each([
    ['the runtime', [signal(5, 9)], 'Runtime'],
    ['the kernel for want of memory', [signal(5, 9, { code: 128, sender: GONE }), oom], 'OOM'],
    ['the kernel for another reason', [signal(5, 9, { code: 128, sender: GONE })], 'Kernel'],
    ['the kernel; memory was short of another process', [signal(5, 9, { code: 128 }), { ...oom, pid: 7 }], 'Kernel'],
    ['a process of the node', [signal(5, 9, { sender: { pid: 7, comm: 'bash', origin: 'Node' } })], 'Node'],
    [
      'one that was gone, and no runtime by its name',
      [signal(5, 9, { sender: { pid: 7, comm: 'kill', origin: 'Unknown' } })],
      'Outside',
    ],
    ['one that was gone, and had the name of a runtime', [signal(5, 9, { sender: GONE })], 'Unknown'],
  ] as const)('by %s', (_, facts, by) => {
    expect(summary([...facts, exit(6, 'Killed')]).kill?.by).toBe(by)
  })

  test('that was dropped is none', () => {
    expect(
      summary([signal(5, 9, { result: 1, sender: { pid: 7, comm: 'sh', origin: 'Container', part: 'Exec' } })]).kill,
    ).toBeUndefined()
  })

  test('as the namespace of the pod dies, by its PID 1', () => {
    const sender = { pid: 90, comm: 'pause', origin: 'Pod' } as const
    expect(summary([signal(5, 9, { code: 128, sender })], { evidence: { pidNamespace: 'Pod' } }).kill?.by).toBe('Namespace')
  })

  test('of another process for want of memory is no kill of the container', () => {
    const found = summary([
      signal(5, 9, { code: 128, sender: GONE, to: 'Below', pid: 101 }),
      { type: 'Oom', mono: 5001, pid: 101, part: 'Below', comm: 'worker' },
    ])
    expect(found.kill).toBeUndefined()
    expect(found.oomKills).toMatchObject([{ pid: 101, comm: 'worker' }])
  })
})

describe('the end', () => {
  test('that was only found has the bounds of what was seen', () => {
    expect(summary([exit(1000, 'Unknown', 6000)]).exit).toEqual({
      earliest: at(1000),
      at: at(6000),
      latest: at(6000),
      how: 'Unknown',
    })
  })

  test('of the hook is that of the one process that was started since the end was asked for', () => {
    const hook = { type: 'Exec', pid: 300, earliest: 2_000_000, latest: 2_001_000 } as const
    const ended = { type: 'Exit', pid: 300, part: 'Exec', earliest: 4_000_000, latest: 4_000_000, how: 'Exited' } as const
    const all = { execPreStop: true, endingFrom: 1_900_000 }
    const facts = [hook, ended, signal(4005, 15), exit(4100)]
    const found = (more: object, some = facts) => summary(some as typeof facts, { context: { ...all, ...more } }).preStop
    expect(found({})).toMatchObject({ at: at(4000), how: 'Exited' })
    expect(found({ execPreStop: false })).toBeUndefined()
    expect(found({ execProbes: true })).toBeUndefined()
    expect(found({ endingFrom: 2_500_000 })).toBeUndefined()
    expect(found({ gaps: [{ from: 3_000_000, to: 3_100_000, reason: 'a gap', lost: 1 }] })).toBeUndefined()
    expect(found({}, [...facts, { ...hook, pid: 301 } as never])).toBeUndefined() // a fact like the first
    expect(found({}, [...facts, { ...hook, pid: 301, earliest: 5_000_000, latest: 5_001_000 } as never])).toMatchObject({
      how: 'Exited',
    })
  })
})

describe('a record', () => {
  const pod = (facts: Parameters<typeof evidence>[0], containers = 1) =>
    summarisePod({
      node: 'node-1',
      containers: Array.from({ length: containers }, (_, index) => ({
        name: `c${index}`,
        containerID: `containerd://${String(index).padStart(64, '0')}`,
        execPreStop: true,
        execProbes: false,
        evidence: evidence(facts),
      })),
      tracedFrom: 1000,
      tracedUntil: 60_000_000,
      complete: true,
      endingFrom: 0,
      gaps: [{ to: 5, reason: 'x'.repeat(999), lost: 3 }],
      wall,
      wallClockSet: true,
      apiServerClock: { earliest: -10.5, latest: 12.25 },
    })
  const part = fc.constantFrom('First', 'Below', 'Exec', 'Unknown')
  const sender = fc.record({
    pid: fc.nat(4_000_000),
    comm: fc.string({ maxLength: 15 }),
    origin: fc.constantFrom('Runtime', 'Kernel', 'Container', 'Pod', 'OtherPod', 'Node', 'Unknown'),
    part,
  })
  const mono = fc.nat(60_000_000)
  const masks = fc.constantFrom(NOTHING, handles(15), ignores(15), blocks(15))
  const fact = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constant('Signal' as const),
        mono,
        number: fc.constantFrom(9, 15, 1, 64),
        code: fc.constantFrom(0, -6, 128),
        result: fc.nat(4),
        sender,
        target: fc.record({ pid: fc.constantFrom(100, 101, 102), comm: fc.string({ maxLength: 15 }), part }),
      }),
    },
    fc
      .record({
        type: fc.constant('Exit' as const),
        pid: fc.constant(100),
        part: fc.constant('First' as const),
        earliest: mono,
        how: fc.constantFrom('Exited', 'Killed', 'Unknown'),
      })
      .map((one) => ({ ...one, latest: one.earliest + 5 })),
    fc.record({ type: fc.constant('Oom' as const), mono, pid: fc.constantFrom(100, 101), part }),
    fc.record({ type: fc.constant('Exec' as const), pid: fc.nat(4_000_000), earliest: mono, latest: mono }),
    fc.tuple(mono, masks, fc.boolean()).map(([from, signals, more]) => ({
      type: 'Look' as const,
      from,
      to: from + 50,
      processes: [first(signals), child(101), ...(more ? [child(102)] : [])],
      more: more ? 1 : 0,
      ...(more ? { partial: true as const } : {}),
    })),
  )

  test('is what the schema allows, in any order of the facts', () => {
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 30 }), fc.integer(), (facts, seed) => {
        const unique = facts.filter((one, index) => facts.findIndex((other) => timeOf(other) === timeOf(one)) === index)
        const found = pod(unique as never) // arbitrary values of the same shape
        expect(kernelSchema.safeParse(found).error).toBeUndefined()
        expect(pod(shuffled(unique, seed) as never)).toEqual(found)
      }),
      { numRuns: 300 },
    )
  })

  test('of hundreds of containers keeps within the size of an object', () => {
    const busy = [
      look(1, [first(), ...Array.from({ length: 60 }, (_, index) => child(101 + index))]),
      signal(5, 15),
      ...Array.from({ length: 400 }, (_, index) => signal(6 + index, 15, { to: 'Below', pid: 101 + index })),
    ]
    const found = pod(busy, 200)
    expect(JSON.stringify(found).length).toBeLessThan(600_000)
    expect(found.containers?.[0]).toMatchObject({ processesMore: 58, signalsMore: 397, stopSignal: { name: 'SIGTERM' } })
    expect(kernelSchema.safeParse(found).error).toBeUndefined()
  })
})

const timeOf = (fact: { mono?: number; from?: number; latest?: number }) => fact.mono ?? fact.from ?? fact.latest

function shuffled<T>(all: readonly T[], seed: number): T[] {
  return all
    .map((one, index) => [Math.sin(seed + index * 7919), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one)
}
