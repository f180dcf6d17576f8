import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LineJoiner, parseTraceLine, type SignalLine } from '../../../src/core/kernel/parse.ts'

const LINE =
  '            runc-13460   [000] d..1.  6792.737354: signal_generate: sig=15 errno=0 code=0 comm=MainThread pid=13434 grp=1 res=0'

/** As the kernel formats it: comm in 16 places to the right, pid in 7 to the left (trace_print_context, signal_generate). */
function written({ sender, cpu, mono, number, code, target, group, result }: Omit<SignalLine, 'type'>): string {
  const seconds = String(Math.floor(mono / 1_000_000)).padStart(5)
  const micros = String(mono % 1_000_000).padStart(6, '0')
  return (
    `${(sender.comm ?? '<...>').padStart(16)}-${String(sender.pid).padEnd(7)} [${String(cpu).padStart(3, '0')}] d..1. ${seconds}.${micros}: ` +
    `signal_generate: sig=${number} errno=0 code=${code} comm=${target.comm} pid=${target.pid} grp=${group ? 1 : 0} res=${result}`
  )
}

const pid = fc.integer({ min: 0, max: 4_194_304 })
/** Any 15 bytes that a process can call itself, but not with a line break, nor with spaces in front, which cannot be told from padding. */
const comm = fc
  .string({ unit: 'binary-ascii', minLength: 1, maxLength: 15 })
  .map((text) => text.replace(/[\0\n]/g, 'x'))
  .filter((text) => !text.startsWith(' ') && text !== '<...>')
const signal = fc.record({
  sender: fc.record({ pid, comm }),
  cpu: fc.integer({ min: 0, max: 511 }),
  mono: fc.integer({ min: 0, max: 2 ** 50 }),
  number: fc.integer({ min: 1, max: 64 }),
  code: fc.integer({ min: -60, max: 128 }),
  target: fc.record({ pid, comm }),
  group: fc.boolean(),
  result: fc.integer({ min: 0, max: 4 }),
})

describe('a line of the trace', () => {
  test('of a signal is read whole', () => {
    expect(parseTraceLine(LINE)).toEqual({
      type: 'Signal',
      cpu: 0,
      mono: 6_792_737_354,
      sender: { pid: 13460, comm: 'runc' },
      number: 15,
      code: 0,
      group: true,
      result: 0,
      target: { pid: 13434, comm: 'MainThread' },
    })
  })

  test('whose sender the kernel has forgotten has no name for it', () => {
    const line = parseTraceLine(LINE.replace('            runc', '           <...>'))
    expect(line).toMatchObject({ type: 'Signal', sender: { pid: 13460 } })
    expect(line).not.toHaveProperty('sender.comm')
  })

  test.each([
    ['a(b) [c]-7 d', 'e=f pid=1 g'],
    ['-', '-1 [000] x: '],
    ['Web Content', '(sd-pam)'],
    ['日本', 'ü'],
  ])('keeps the names "%s" and "%s" apart from the rest', (sender, target) => {
    const line = LINE.replace('runc', sender).replace('MainThread', target)
    expect(parseTraceLine(line)).toMatchObject({ sender: { pid: 13460, comm: sender }, target: { pid: 13434, comm: target } })
  })

  test('of a victim of the memory is read in the words of old kernels and new ones', () => {
    const head = ' node-9 [001] .... 12.000001: mark_victim: '
    expect(parseTraceLine(`${head}pid=77`)).toEqual({ type: 'OomVictim', cpu: 1, mono: 12_000_001, pid: 77 })
    expect(parseTraceLine(`${head}pid=77 comm=node total-vm=1kB anon-rss=2kB uid=0`)).toMatchObject({ pid: 77 })
  })

  test('of a thread that ends has its name at that time', () => {
    const head = '           <...>-14772 [001] d.... 12.000001: sched_process_exit: '
    const ended = { type: 'ThreadExit', cpu: 1, mono: 12_000_001, pid: 14772, comm: 'runc' }
    expect(parseTraceLine(`${head}comm=runc pid=14772 prio=120`)).toEqual(ended)
    expect(parseTraceLine(`${head}comm=runc pid=14772 prio=120 group_dead=false`)).toEqual(ended)
    expect(parseTraceLine(`${head}comm=runc pid=14772`)).toMatchObject({ type: 'Malformed', reason: 'Fields' })
  })

  test('of the marker gives what was written', () => {
    expect(parseTraceLine('      MainThread-29808   [001] ...1.  4926.852293: tracing_mark_write: a: b')).toEqual({
      type: 'Marker',
      cpu: 1,
      mono: 4_926_852_293,
      text: 'a: b',
    })
  })

  test('of a loss says how many, and on which CPU', () => {
    expect(parseTraceLine('CPU:1 [LOST 36504 EVENTS]')).toEqual({ type: 'Lost', cpu: 1, count: 36504 })
  })

  test.each([
    ['', 'NoHeader'],
    ['# tracer: nop', 'NoHeader'],
    [LINE.slice(0, 60), 'NoHeader'],
    [LINE.slice(0, -6), 'Fields'],
    [LINE.replace('sig=15', 'sig=x'), 'Fields'],
    [LINE.replace('grp=1', 'grp=2'), 'Fields'],
    [LINE.replace('6792.737354', '6792.7373'), 'NoHeader'],
    [LINE.replace('signal_generate', 'sched_switch'), 'UnknownEvent'],
  ])('that is not as the kernel writes it is an error of its kind: %s', (text, reason) => {
    expect(parseTraceLine(text)).toMatchObject({ type: 'Malformed', reason })
  })

  test('is read back whatever names, ids and times there are', () => {
    fc.assert(
      fc.property(signal, (one) => {
        expect(parseTraceLine(written(one))).toEqual({ type: 'Signal', ...one })
      }),
      { numRuns: 2000 },
    )
  })

  test('of any garbage never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          signal.map(written).chain((text) => cut(text)),
        ),
        (text) => {
          expect(parseTraceLine(text)).toHaveProperty('type')
        },
      ),
      { numRuns: 500 },
    )
  })
})

const cut = (text: string) =>
  fc
    .tuple(fc.nat(text.length), fc.nat(20), fc.string())
    .map(([at, length, more]) => text.slice(0, at) + more + text.slice(at + length))

describe('a name with line breaks', () => {
  const all = (text: string) => {
    const joiner = new LineJoiner()
    return [...text.split('\n').flatMap((line) => joiner.add(line)), ...joiner.flush()]
  }

  test('of the target is put together again', () => {
    const broken = LINE.replace('MainThread', 'a\n\nb')
    expect(all(`${LINE}\n${broken}\n${LINE}`)).toMatchObject([
      { target: { comm: 'MainThread' } },
      { target: { pid: 13434, comm: 'a\n\nb' } },
      { target: { comm: 'MainThread' } },
    ])
  })

  test('of the sender costs the beginning of the name, not the signal', () => {
    expect(all(LINE.replace('runc', 'a\nb'))).toMatchObject([
      { type: 'Malformed', reason: 'NoHeader' },
      { type: 'Signal', sender: { pid: 13460, comm: 'b' } },
    ])
  })

  test('that never ends is given up, and what follows is read', () => {
    const begun = LINE.slice(0, LINE.indexOf('Thread'))
    const lines = all([begun, ...Array.from({ length: 30 }, () => 'x'), LINE].join('\n'))
    expect(lines.at(-1)).toMatchObject({ type: 'Signal' })
    expect(lines.filter(({ type }) => type === 'Malformed').length).toBeGreaterThan(1)
    expect(all(`${begun}\n${LINE}`)).toMatchObject([{ type: 'Malformed', reason: 'Fields' }, { type: 'Signal' }])
  })

  test('loses no signal, wherever the breaks are', () => {
    const names = fc.string({ unit: fc.constantFrom('a', '\n', ' ', '-', '1'), minLength: 1, maxLength: 15 })
    fc.assert(
      fc.property(fc.array(fc.tuple(signal, names), { maxLength: 20 }), (ones) => {
        const lines = all(ones.map(([one, name]) => written({ ...one, target: { pid: one.target.pid, comm: name } })).join('\n'))
        expect(lines.filter(({ type }) => type === 'Signal').map((line) => (line as SignalLine).target.comm)).toEqual(
          ones.map(([, name]) => name),
        ) // filtered by their type
      }),
      { numRuns: 500 },
    )
  })
})
