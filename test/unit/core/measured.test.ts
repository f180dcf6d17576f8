/** What an agent measured, folded into marks and outcomes: what it is believed, and what it is not. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { KernelContainer, KernelFacts } from '../../../src/api/kernel.ts'
import type { Fact } from '../../../src/core/evidence.ts'
import { Clocks } from '../../../src/core/termination/clocks.ts'
import { assemble } from '../../../src/core/termination/index.ts'
import { comparedByAgent } from '../../../src/core/termination/measured.ts'
import { skewOf } from '../../../src/core/termination/skew.ts'
import { formatTime, MILLISECOND, SECOND } from '../../../src/core/time.ts'
import { aPod, micros, type PodOptions, type PodStory } from '../builders.ts'
import { kernelOf, moment, stopSignal } from './kernel.ts'
import { endOf, findingOf, marksOf, typesOf } from './reading.ts'

const begun = (options: PodOptions = {}): PodStory =>
  aPod({ grace: 5, ...options })
    .compared('APIServer')
    .compared('Node')
    .running()
    .seen()

/** Turned to by the kubelet at 0.1 s, ended so. */
const ended = (at: number, code: number, options: PodOptions = {}, reason?: string): PodStory =>
  begun(options)
    .deleted({ at: 0 })
    .acknowledged({ at: 0.1 })
    .killing('app', { at: 0.1 })
    .exited('app', { at, code, ...(reason === undefined ? {} : { reason }) })
    .reported({ at: at + 0.1, phase: 'Failed' })
    .removed({ at: at + 0.3 })

const factsOf = (story: PodStory, kernel: KernelFacts): Fact[] => [
  ...story.facts(),
  { type: 'Kernel', arrivedAt: micros(20), kernel },
]

function record(story: PodStory, kernel: KernelFacts) {
  const made = assemble(factsOf(story, kernel), micros(21))
  if (made === undefined) throw new Error('no record came of these facts')
  return made
}

const measuredOf = (made: ReturnType<typeof record>) =>
  (made.timeline ?? []).filter(({ confidence }) => confidence === 'Measured').map(({ mark }) => mark)

describe('marks', () => {
  test('signal, kill and exit are the measured intervals, whatever the rules would say', () => {
    fc.assert(
      fc.property(
        fc.record({
          sent: fc.integer({ min: 110, max: 900 }),
          kill: fc.integer({ min: 0, max: 400 }),
          die: fc.integer({ min: 1, max: 90 }),
        }),
        ({ sent, kill, die }) => {
          const [at, killed, exit] = [sent / 1000, 5.1 + kill / 1000, 5.1 + (kill + die) / 1000]
          const kernel = kernelOf({
            stopSignal: stopSignal(at),
            kill: { ...moment(killed), by: 'Runtime' },
            exit: { ...moment(exit), how: 'Killed' },
          })
          const made = record(ended(exit, 137), kernel)
          const of = (mark: string) => made.timeline?.find((item) => item.mark === mark)
          expect(of('StopSignal')).toMatchObject({ ...moment(at), source: 'Kernel', clock: 'Node', confidence: 'Measured' })
          expect(of('Kill')).toMatchObject({ ...moment(killed), confidence: 'Measured' })
          expect(of('ContainerExited')).toMatchObject({ ...moment(exit), confidence: 'Measured' })
          expect(made.outcome).toBe('ForcedKill')
          for (const mark of made.timeline ?? []) expect(mark.earliest <= mark.at && mark.at <= mark.latest).toBe(true)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('the order of the facts does not matter, nor an older word of the same agent', () => {
    const whole = kernelOf({ stopSignal: stopSignal(0.11), exit: { ...moment(1), how: 'Exited' } })
    const early = { ...kernelOf({ stopSignal: stopSignal(0.11) }), complete: false, tracedUntil: formatTime(micros(0.5)) }
    const facts: Fact[] = [...factsOf(ended(1, 0), whole), { type: 'Kernel', arrivedAt: micros(0.6), kernel: early }]
    const expected = assemble(facts, micros(21))
    expect(expected?.timeline?.filter(({ confidence }) => confidence === 'Measured')).toHaveLength(2)
    fc.assert(
      fc.property(fc.shuffledSubarray(facts, { minLength: facts.length }), (shuffled) => {
        expect(assemble(shuffled, micros(21))).toEqual(expected)
      }),
    )
  })

  test('a run that had ended before the termination gives none, and decides nothing', () => {
    const crashed = () =>
      begun()
        .waiting('app', 'CrashLoopBackOff', { at: -20, code: 137, restarts: 3 })
        .reported({ at: -19 })
        .deleted({ at: 0 })
        .acknowledged({ at: 0.1 })
        .reported({ at: 0.2, phase: 'Failed' })
        .removed({ at: 0.3 })
    const kernel = kernelOf({
      stopSignal: stopSignal(-25),
      kill: { ...moment(-20), by: 'Runtime' },
      exit: { ...moment(-19.99), how: 'Killed' },
    })
    expect(record(crashed(), kernel)).toEqual(assemble(crashed().facts(), micros(21)))
  })
})

describe('outcome and sender', () => {
  const killedBy = (by: NonNullable<KernelContainer['kill']>['by'], at: number) =>
    kernelOf({ stopSignal: stopSignal(0.11), kill: { ...moment(at - 0.001), by }, exit: { ...moment(at), how: 'Killed' } })

  test.each([
    ['Runtime', 5.12, 'ForcedKill', 'Runtime'],
    ['OOM', 2, 'OOMKilled', 'OOM'],
    ['Container', 2, 'Killed', 'Other'],
    ['Pod', 2, 'Killed', 'Other'],
    ['Node', 2, 'Killed', 'Other'],
    ['Node', 5.12, 'Killed', 'Other'],
    ['Outside', 2, 'Killed', 'Other'],
    ['Unknown', 2, 'Killed', 'Unknown'],
  ] as const)('SIGKILL by %s after %s s is %s by %s', (by, at, outcome, sender) => {
    expect(endOf(record(ended(at, 137), killedBy(by, at)), 'app')).toMatchObject({ outcome, kill: { by: sender } })
  })

  test('`exit 137` is Failed, also where the grace period is just over', () => {
    for (const at of [2, 5.12]) {
      const made = record(ended(at, 137), kernelOf({ stopSignal: stopSignal(0.11), exit: { ...moment(at), how: 'Exited' } }))
      expect(endOf(made, 'app').outcome).toBe('Failed')
      expect(marksOf(made, 'app')).toEqual(['StopSignal', 'ContainerExited'])
    }
  })

  test('143 is no word of a signal that the kernel dropped', () => {
    const of = (result: 'Delivered' | 'Ignored') =>
      record(ended(2, 143), kernelOf({ stopSignal: stopSignal(0.11, result), exit: { ...moment(2), how: 'Exited' } })).outcome
    expect(of('Delivered')).toBe('Signalled')
    expect(of('Ignored')).toBe('Failed')
  })

  test.each([
    ['Delivered', 'Delivered'],
    ['Ignored', 'Ignored'],
    ['Pending', 'Delivered'],
    ['Unknown', 'Unknown'],
  ] as const)('a stop signal that the agent calls %s is %s', (said, result) => {
    const made = record(ended(2, 0), kernelOf({ stopSignal: stopSignal(0.11, said), exit: { ...moment(2), how: 'Exited' } }))
    expect(endOf(made, 'app').stopSignal?.result).toBe(result)
  })
})

describe('what is denied', () => {
  const noSignal = (change: Partial<KernelFacts> = {}, container: Partial<KernelContainer> = {}) =>
    record(ended(2, 0), kernelOf({ exit: { ...moment(2), how: 'Exited' }, ...container }, change))

  test('a stop signal, where the trace was whole', () => {
    const made = noSignal()
    expect(endOf(made, 'app').stopSignal).toBeUndefined()
    expect(marksOf(made, 'app')).toEqual(['ContainerExited'])
  })

  test.each([
    ['events were lost', { lostEvents: 1 }, {}],
    ['there was a gap', { gaps: [{ from: formatTime(micros(0.05)), to: formatTime(micros(0.2)), reason: 'x' }] }, {}],
    ['a gap has no time', { gaps: [{ from: 'x', to: formatTime(micros(0.2)), reason: 'x' }] }, {}],
    ['the trace began later', { tracedFrom: formatTime(micros(0.2)) }, {}],
    ['a sender is not known', {}, { notes: ['SIGTERM came from a process that was gone before it could be looked at'] }],
    ['its end was only found', {}, { exit: { ...moment(2), how: 'Unknown' as const } }],
    ['the signal has times that cross', {}, { stopSignal: { ...stopSignal(0.11), latest: formatTime(micros(0)) } }],
  ])('not where %s', (_, change, container) => {
    expect(endOf(noSignal(change, container), 'app').stopSignal).toBeDefined()
  })

  test('nor by a gap that is over before the termination', () => {
    const gaps = [{ from: formatTime(micros(-50)), to: formatTime(micros(-40)), reason: 'x' }]
    const made = noSignal({ gaps })
    expect(endOf(made, 'app').stopSignal).toBeUndefined()
    expect(typesOf(made)).not.toContain('EvidenceMissing')
  })
})

describe('what is not believed, and what is missing, is said', () => {
  test('of another node', () => {
    const made = record(ended(2, 0), kernelOf({ exit: { ...moment(2), how: 'Exited' } }, { node: 'node-2' }))
    expect(measuredOf(made)).toEqual([])
    expect(findingOf(made, 'EvidenceMissing').message).toContain('node-2')
  })

  test('times that cross: the rules take the place of what is left out', () => {
    const crossed = { ...stopSignal(0.11), latest: formatTime(micros(0)) }
    const kernel = kernelOf({
      stopSignal: crossed,
      kill: { ...moment(5.1), by: 'Runtime' },
      exit: { ...moment(5.12), how: 'Killed' },
    })
    const made = record(ended(5.12, 137), kernel)
    expect(made.outcome).toBe('ForcedKill')
    expect(measuredOf(made)).toEqual(['Kill', 'ContainerExited'])
    expect(findingOf(made, 'EvidenceMissing').message).toContain('left out: stop signal')
  })

  test('a gap in the middle, with its reason', () => {
    const gaps = [{ from: formatTime(micros(1)), to: formatTime(micros(3)), reason: 'the agent was not running' }]
    const made = record(
      ended(5.12, 137),
      kernelOf({ stopSignal: stopSignal(0.11), exit: { ...moment(5.12), how: 'Killed' } }, { gaps }),
    )
    expect(findingOf(made, 'EvidenceMissing').message).toMatch(/may have gone unseen from .* the agent was not running\.$/)
    expect(made.timeline?.find(({ mark }) => mark === 'Kill')).toMatchObject({ confidence: 'Inferred' })
  })

  test('lost events', () => {
    const made = record(ended(2, 0), kernelOf({ exit: { ...moment(2), how: 'Exited' } }, { lostEvents: 7 }))
    expect(findingOf(made, 'EvidenceMissing').message).toContain('threw 7 events away')
  })
})

describe('hooks', () => {
  const hooked = (handler: 'Exec' | 'HTTPGet', kernel: KernelFacts) =>
    record(ended(3, 0, { containers: [{ name: 'app', preStop: { handler } }] }), kernel)
  const exit = { ...moment(3), how: 'Exited' as const }

  test('an exec hook that was seen to end in time has succeeded, and its end is measured', () => {
    const made = hooked('Exec', kernelOf({ preStop: { ...moment(2), how: 'Exited' }, stopSignal: stopSignal(2.01), exit }))
    expect(endOf(made, 'app').preStop?.result).toBe('Succeeded')
    expect(made.timeline?.find(({ mark }) => mark === 'PreStopFinished')).toMatchObject({ ...moment(2), confidence: 'Measured' })
  })

  test('one that was ended by a signal is not said to have done what it should', () => {
    const made = hooked('Exec', kernelOf({ preStop: { ...moment(2), how: 'Killed' }, stopSignal: stopSignal(2.01), exit }))
    expect(endOf(made, 'app').preStop?.result).toBe('Unknown')
  })

  test('any hook is over when the signal comes before the end of the grace period', () => {
    const made = hooked('HTTPGet', kernelOf({ stopSignal: stopSignal(2.01), exit }))
    expect(endOf(made, 'app').preStop?.result).toBe('Succeeded')
    const mark = made.timeline?.find((item) => item.mark === 'PreStopFinished')
    expect(mark).toMatchObject({ confidence: 'Inferred', latest: moment(2.01).latest })
  })
})

describe('where the API said nothing of the end', () => {
  test.each([
    [{ kill: { ...moment(3.1), by: 'Runtime' as const }, exit: { ...moment(3.11), how: 'Killed' as const } }, 'ForcedKill'],
    [{ kill: { ...moment(3.1), by: 'OOM' as const }, exit: { ...moment(3.11), how: 'Killed' as const } }, 'OOMKilled'],
    [{ exit: { ...moment(3.11), how: 'Exited' as const } }, 'Unknown'],
    [{ exit: { ...moment(3.11), how: 'Dumped' as const } }, 'Failed'],
    [{}, 'Lost'],
  ])('a force delete: %j is %s', (container, outcome) => {
    const story = begun().deleted({ at: 0 }).acknowledged({ at: 0.1 }).killing('app', { at: 0.1 }).gone({ at: 1 })
    expect(record(story, kernelOf({ stopSignal: stopSignal(1.1), ...container })).outcome).toBe(outcome)
  })
})

test('half a second of clock skew moves no measured mark', () => {
  const made = (node: number) => {
    const story = aPod({ grace: 5 }).clocks({ node }).compared('APIServer').compared('Node').running().seen()
    story.deleted({ at: 0 }).acknowledged({ at: 0.1 }).killing('app', { at: 0.1 }).exited('app', { at: 1, code: 0 })
    story.reported({ at: 1.1, phase: 'Succeeded' }).removed({ at: 1.3 })
    const at = (seconds: number) => moment(seconds + node)
    return record(story, kernelOf({ stopSignal: { ...stopSignal(0), ...at(0.11) }, exit: { ...at(1), how: 'Exited' } }))
  }
  for (const node of [-0.5, 0, 0.5]) {
    const [signal, exit] = ['StopSignal', 'ContainerExited'].map((mark) =>
      made(node).timeline?.find((item) => item.mark === mark),
    )
    const [low, high] = [Date.parse(signal?.at ?? ''), Date.parse(exit?.at ?? '')]
    expect(high - low).toBe((0.89 * SECOND) / MILLISECOND)
    expect(made(node).outcome).toBe('Graceful')
  }
})

describe('a pod of which nobody has the object any more', () => {
  const absent: Fact = { type: 'Absent', arrivedAt: micros(20), pod: { namespace: 'shop', name: 'web-0', uid: 'u-1' } }
  const marks = (kernel: KernelFacts) =>
    assemble([absent, { type: 'Kernel', arrivedAt: micros(20), kernel }], micros(21))?.timeline?.map(({ mark }) => mark)
  const whole = {
    stopSignal: stopSignal(1),
    kill: { ...moment(6), by: 'Runtime' as const },
    exit: { ...moment(6.1), how: 'Killed' as const },
  }

  test('has the marks that its agent measured, and is Lost all the same', () => {
    const made = assemble([absent, { type: 'Kernel', arrivedAt: micros(20), kernel: kernelOf(whole) }], micros(21))
    expect(made).toMatchObject({ state: 'Complete', outcome: 'Lost' })
    expect(made?.timeline?.filter(({ confidence }) => confidence === 'Measured')).toMatchObject([
      { mark: 'StopSignal', container: 'app', ...moment(1) },
      { mark: 'Kill', ...moment(6) },
      { mark: 'ContainerExited', ...moment(6.1) },
    ])
    expect(findingOf(made as NonNullable<typeof made>, 'EvidenceMissing').message).toContain('exit codes')
  })

  test('has none of a name that stands for two runs, none that cross, and none from after the end', () => {
    const twice = kernelOf(whole)
    const [one] = twice.containers ?? []
    expect(marks({ ...twice, containers: one === undefined ? [] : [one, { ...one, containerID: 'containerd://2' }] })).toEqual([])
    const crossed = { ...stopSignal(1), earliest: moment(3).earliest }
    expect(marks(kernelOf({ ...whole, stopSignal: crossed }))).toEqual(['Kill', 'ContainerExited'])
    expect(marks(kernelOf({ ...whole, kill: { ...moment(9), by: 'Runtime' } }))).toEqual(['StopSignal', 'ContainerExited'])
  })
})

describe("the agent's knowledge of the API server's clock", () => {
  const api = { earliest: 2 * SECOND, latest: 2.1 * SECOND }
  const clocks = new Clocks(api, { earliest: -SECOND, latest: 8 * SECOND })
  const told = (earliestMicroseconds: number, latestMicroseconds: number, change: Partial<KernelFacts> = {}) =>
    comparedByAgent(clocks, kernelOf({}, { apiServerClock: { earliestMicroseconds, latestMicroseconds }, ...change })).offset(
      'Node',
    )

  test('narrows the clock of the node to where both can be true', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: api.earliest, max: api.latest }),
        fc.integer({ min: -SECOND, max: 8 * SECOND }),
        fc.integer({ min: 0, max: 50_000 }),
        fc.integer({ min: 0, max: 50_000 }),
        (server, node, below, above) => {
          const offset = told(server - node - below, server - node + above)
          expect(offset.earliest).toBeLessThanOrEqual(node)
          expect(offset.latest).toBeGreaterThanOrEqual(node)
          expect(offset.latest - offset.earliest).toBeLessThanOrEqual(below + above + api.latest - api.earliest)
        },
      ),
    )
  })

  test('adds nothing where it contradicts what is known, crosses, is absent, or the clock was set', () => {
    expect(told(60 * SECOND, 61 * SECOND)).toEqual(clocks.offset('Node'))
    expect(told(10, -10)).toEqual(clocks.offset('Node'))
    expect(told(-10, 10, { wallClockSet: true })).toEqual(clocks.offset('Node'))
    expect(comparedByAgent(clocks, kernelOf({})).offset('Node')).toEqual(clocks.offset('Node'))
    expect(comparedByAgent(clocks, undefined)).toBe(clocks)
  })

  test('tells of clocks that are apart, which without it nobody could say', () => {
    const kernel = kernelOf({}, { apiServerClock: { earliestMicroseconds: -1_620_000, latestMicroseconds: -1_600_000 } })
    expect(skewOf(clocks)).toBeUndefined()
    expect(skewOf(comparedByAgent(clocks, kernel))).toContain("1.5 s to 1.7 s ahead of the API server's")
  })
})
