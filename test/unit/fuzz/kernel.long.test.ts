/** What the kernel tells: lines of the trace and texts of /proc, whatever a process may call itself. More runs: support.ts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { kernelSchema } from '../../../src/api/kernel.ts'
import { summariseContainer } from '../../../src/core/kernel/container.ts'
import type { ContainerFact } from '../../../src/core/kernel/facts.ts'
import { LineJoiner, parseTraceLine, type TraceLine } from '../../../src/core/kernel/parse.ts'
import { mergeKernel, summarisePod } from '../../../src/core/kernel/pod.ts'
import { cleanName, dispositionOf, parseArgv0, parseCgroup, parseStat, parseStatus } from '../../../src/core/kernel/proc.ts'
import { signalName } from '../../../src/core/kernel/signals.ts'
import * as agent from '../agent/builders.ts'
import CASES from './corpus/kernel.json' with { type: 'json' }
import { forAll, mutatedBytes, nastyText, TIMEOUT } from './support.ts'

const LINES = [
  '            runc-13460   [000] d..1.  6792.737354: signal_generate: sig=15 errno=0 code=0 comm=MainThread pid=13434 grp=1 res=0',
  '           <...>-9       [001] dNh2.     0.000001: signal_generate: sig=17 errno=0 code=2 comm=containerd-shim pid=7 grp=1 res=2',
  '            node-9       [001] .....    12.000001: mark_victim: pid=77 comm=node total-vm=1kB anon-rss=2kB uid=0',
  '           <...>-14772   [001] d....    12.000001: sched_process_exit: comm=runc pid=14772 prio=120 group_dead=false',
  '      MainThread-29808   [001] ...1.  4926.852293: tracing_mark_write: gracewatch 1 2',
  'CPU:1 [LOST 36504 EVENTS]',
]

const isWhole = (value: number) => Number.isSafeInteger(value) && value >= 0

/** Everything that a line can be read as is of the range that its type says. */
function expectSound(line: TraceLine): void {
  switch (line.type) {
    case 'Malformed':
      expect(line.text.length).toBeLessThanOrEqual(201)
      return
    case 'Lost':
      expect([line.cpu, line.count].every(isWhole)).toBe(true)
      return
    default:
      expect([line.cpu, line.mono].every(isWhole)).toBe(true)
  }
  if (line.type === 'OomVictim' || line.type === 'ThreadExit') expect(isWhole(line.pid)).toBe(true)
  if (line.type !== 'Signal') return
  const { sender, target, number, code, result } = line
  expect([sender.pid, target.pid, number, result].every(isWhole) && Number.isSafeInteger(code)).toBe(true)
  expect(number >= 1 && number <= 64).toBe(true)
  // What the agent does with each of them.
  expect(signalName(number)).not.toBe('')
  dispositionOf(agent.NOTHING, number)
}

const decoded = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')
const anyLine = fc.oneof(mutatedBytes(LINES).map(decoded), nastyText, fc.stringMatching(/^[ \-0-9[\]:.a-z=]{0,80}$/))

describe('the trace', () => {
  test('a line is one of the kinds, with numbers in their range', { timeout: TIMEOUT }, async () => {
    for (const line of LINES) expect(parseTraceLine(line).type).not.toBe('Malformed')
    await forAll(anyLine, 6000, (text) => expectSound(parseTraceLine(text)))
  })

  test('whatever stands between them, each whole line is read, and each of the others counted', {
    timeout: TIMEOUT,
  }, async () => {
    const numbered = (index: number) =>
      `            runc-${index + 1}   [000] d..1.  6792.737354: signal_generate: sig=15 errno=0 code=0 comm=app pid=${index + 1} grp=1 res=0`
    await forAll(fc.array(fc.option(anyLine, { freq: 2 }), { maxLength: 30 }), 1500, (given) => {
      // A whole line at the end, so that nothing waits for one.
      const texts = [...given, null].map((text, index) => text ?? numbered(index))
      const joiner = new LineJoiner()
      const read = [
        ...texts
          .join('\n')
          .split('\n')
          .flatMap((text) => joiner.add(text)),
        ...joiner.flush(),
      ]
      for (const line of read) expectSound(line)
      const pids = read.flatMap((line) => (line.type === 'Signal' ? [line.target.pid] : []))
      const whole = texts.flatMap((text, index) => (text === numbered(index) ? [index + 1] : []))
      expect(pids.filter((pid) => whole.includes(pid))).toEqual(expect.arrayContaining(whole))
      if (given.some((text) => text !== null)) expect(read.length).toBeGreaterThan(whole.length - 1)
    })
  })
})

/** CPU time of this thread in microseconds: what else runs on the machine does not count. */
function cpuOf(act: () => void): number {
  const before = process.threadCpuUsage()
  act()
  return process.threadCpuUsage(before).user
}

test.for([' ', '-1 [1] ', ' a-1 [1] x 1.000001: ', '-1', 'pod', '1m', '\t'])(
  'of "%s" over and over takes time by its length, not by the square of it',
  (part) => {
    const long = part.repeat(Math.ceil(262_144 / part.length))
    const took = cpuOf(() => {
      parseTraceLine(long)
      parseCgroup(`0::/${long}`)
      parseStatus(`State:${long}`)
      parseStat(long)
    })
    // Milliseconds. By the square of its length, the line of spaces took 0.86 s at 32,000 characters, so about a minute at these.
    expect(took).toBeLessThan(5_000_000)
  },
)

const UID = '84b61cdb-1111-2222-3333-0123456789ab'
const OTHER = '99999999-1111-2222-3333-0123456789ab'
const ID = 'c'.repeat(64)
const OTHER_ID = 'd'.repeat(64)
const slice = (uid: string) => `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`
const PLACES: readonly (readonly [string, string | undefined])[] = [
  [`/kubepods/burstable/pod${UID}/${ID}`, undefined],
  [`/kubepods.slice/kubepods-burstable.slice/${slice(UID)}/cri-containerd-${ID}.scope`, 'containerd'],
  [`/kubepods.slice/kubepods-burstable.slice/${slice(UID)}/crio-${ID}.scope`, 'cri-o'],
  [`/system.slice/containerd.service/${slice(UID)}:cri-containerd:${ID}`, 'containerd'],
  [`/../../${slice(UID)}/docker-${ID}.scope`, 'docker'],
]
/** Names that a container could give to a cgroup of its own, were it to make others believe that it is another container. */
const component = fc.oneof(
  nastyText,
  fc.constantFrom(
    `pod${OTHER}`,
    OTHER_ID,
    slice(OTHER),
    `cri-containerd-${OTHER_ID}.scope`,
    `pod${OTHER}:cri-containerd:${OTHER_ID}`,
    '..',
    ID,
    ':',
    '0::',
  ),
)
const below = fc
  .array(
    component.map((text) => text.replace(/[\n/\0]/g, '-')),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => `/${parts.join('/')}`)

describe('the cgroup of a process', () => {
  test('is that of its container, whatever the container calls cgroups of its own', { timeout: TIMEOUT }, async () => {
    await forAll(
      fc.tuple(fc.constantFrom(...PLACES), below, fc.constantFrom('0::', '12:pids:', '1:name=systemd:')),
      2000,
      ([[path, runtime], own, head]) => {
        expect(parseCgroup(`${head}${path}${own}\n`)).toEqual({
          podUid: UID,
          containerId: ID,
          ...(runtime === undefined ? {} : { runtime }),
        })
      },
    )
  })

  test('is a pod and a container, or none', { timeout: TIMEOUT }, async () => {
    const lines = mutatedBytes(PLACES.map(([path]) => `4:cpu,cpuacct:${path}\n0::${path}\n`)).map(decoded)
    await forAll(fc.oneof(lines, nastyText), 4000, (text) => {
      const place = parseCgroup(text)
      if (place === undefined) return
      expect(place.podUid).toMatch(/^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})$/)
      expect(place.containerId).toMatch(/^[0-9a-f]{64}$/)
    })
  })

  test('is not that of a pod where the name only ends like one', () => {
    expect(parseCgroup(`0::/user.slice/notpod${UID}/${ID}`)).toBeUndefined()
  })
})

const STATUS = [
  'Name:\tapp\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\nPPid:\t4690\nTracerPid:\t0\nNSpid:\t4711\t1\n' +
    'SigQ:\t0/15000\nSigPnd:\t0000000000000000\nSigBlk:\t0000000000004000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180014a07\n',
]
const STATS = ['4711 (a) b) R (c) S 4690 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 987654 1 2 3\n']

describe('a text of /proc', () => {
  test('status is read whole, or not at all', { timeout: TIMEOUT }, async () => {
    expect(parseStatus(STATUS.join(''))).toMatchObject({ tgid: 4711, parent: 4690, nsPids: [4711, 1] })
    await forAll(fc.oneof(mutatedBytes(STATUS).map(decoded), nastyText), 5000, (text) => {
      const status = parseStatus(text)
      if (status === undefined) return
      expect([status.tgid, status.parent, ...status.nsPids].every(isWhole)).toBe(true)
      expect(status.state).toMatch(/^[A-Za-z]$/)
      for (const signal of [1, 15, 64]) expect(dispositionOf(status.signals, signal)).toMatch(/^[A-Z]/)
    })
  })

  test('stat is read whole, or not at all, whatever the process calls itself', { timeout: TIMEOUT }, async () => {
    await forAll(fc.oneof(mutatedBytes(STATS).map(decoded), nastyText), 5000, (text) => {
      const stat = parseStat(text)
      if (stat !== undefined) expect([stat.parent, stat.startTicks].every(isWhole)).toBe(true)
    })
    await forAll(fc.string({ unit: 'binary', maxLength: 15 }), 1000, (comm) => {
      const text = `4711 (${comm}) S 4690 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 987654 1 2 3\n`
      expect(parseStat(text)).toEqual({ state: 'S', parent: 4690, startTicks: 987_654, exiting: false })
    })
  })

  test('a name goes into records without control characters, short and whole', { timeout: TIMEOUT }, async () => {
    const texts = fc.oneof(
      nastyText,
      fc.uint8Array({ maxLength: 128 }).map(decoded),
      fc.string({ unit: 'grapheme', maxLength: 200 }),
    )
    await forAll(texts, 3000, (text) => {
      for (const name of [cleanName(text), parseArgv0(text) ?? '']) {
        expect(name).not.toMatch(/\p{C}/u)
        expect(name.length).toBeLessThanOrEqual(64)
        expect(name.isWellFormed()).toBe(true)
      }
    })
  })
})

/** Facts as the agent could have them of lines of any kind. */
const mono = fc.integer({ min: 0, max: 10_000_000 })
const pid = fc.constantFrom(100, 101, 102, 500)
const part = fc.constantFrom('First', 'Below', 'Exec', 'Unknown')
const signalFact = fc.record({
  type: fc.constant('Signal'),
  mono,
  number: fc.oneof(fc.constantFrom(9, 15, 17, 34), fc.integer({ min: 1, max: 64 })),
  code: fc.constantFrom(0, -6, 128, 1),
  result: fc.nat(6),
  sender: fc.record(
    { pid, comm: nastyText, origin: fc.constantFrom('Runtime', 'Kernel', 'Container', 'Unknown', 'Node'), part },
    { requiredKeys: ['pid', 'origin'] },
  ),
  target: fc.record({ pid, comm: nastyText, part }),
})
const ends = fc.tuple(mono, mono).map(([a, b]) => ({ earliest: Math.min(a, b), latest: Math.max(a, b) }))
const exitFact = fc
  .tuple(ends, pid, fc.constantFrom('First', 'Exec'), fc.constantFrom('Exited', 'Killed', 'Dumped', 'Unknown'))
  .map(([at, id, of, how]) => ({ type: 'Exit', pid: id, part: of, how, ...at }))
const oomFact = fc.record(
  { type: fc.constant('Oom'), mono, pid, part, comm: nastyText },
  { requiredKeys: ['type', 'mono', 'pid', 'part'] },
)
const lookFact = fc
  .tuple(
    ends,
    fc.array(
      fc.record({
        pid,
        nsPid: pid,
        nsParent: pid,
        part,
        comm: nastyText,
        startedBefore: mono,
        signals: fc.constant(agent.NOTHING),
      }),
      { maxLength: 40 },
    ),
    fc.nat(3),
  )
  .map(([at, processes, more]) => ({ type: 'Look', from: at.earliest, to: at.latest, processes, more }))
const facts = fc.array(fc.oneof(signalFact, exitFact, oomFact, lookFact), { maxLength: 80 }) as fc.Arbitrary<ContainerFact[]> // made of the parts of its types

const podOf = (given: readonly ContainerFact[], wallClock = agent.wall) =>
  summarisePod({
    node: 'node-1',
    containers: [{ evidence: agent.evidence(given), execPreStop: true, execProbes: false, name: 'app' }],
    tracedFrom: 0,
    tracedUntil: 10_000_000,
    complete: true,
    endingFrom: 0,
    gaps: [{ to: 5, reason: 'told', lost: 3 }],
    wall: wallClock,
    wallClockSet: false,
  })

test('what the agent writes fits the schema of records, and what two of them wrote does too', { timeout: TIMEOUT }, async () => {
  await forAll(fc.tuple(facts, facts), 400, ([one, other]) => {
    expect(summariseContainer(agent.evidence(one), { ...CONTEXT }).containerID).not.toBe('')
    const [before, after] = [podOf(one), podOf(other)]
    for (const kernel of [before, after, mergeKernel(before, after)]) {
      // As the API server gets it.
      const sent: unknown = JSON.parse(Buffer.from(JSON.stringify(kernel)).toString('utf8'))
      const checked = kernelSchema.safeParse(sent)
      expect(checked.success ? [] : checked.error.issues).toEqual([])
      expect(checked.data).toEqual(sent)
    }
  })
})

const CONTEXT = {
  execPreStop: false,
  execProbes: false,
  now: 10_000_000,
  gaps: [],
  wall: agent.wall,
  room: { processes: 8, signals: 8 },
}

test.for(CASES)('$name', ({ line }) => {
  expectSound(parseTraceLine(line))
  expect(parseTraceLine(line)).toMatchObject({ type: 'Malformed' })
})
