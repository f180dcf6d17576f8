import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FILTER, Trace, TracefsError } from '../../src/agent/tracefs.ts'
import type { SignalLine } from '../../src/core/kernel/parse.ts'
import { exists, instanceName, instanceOf, mountTracefs, traceOptions, tracing } from './support/tracing.ts'

const mount = mountTracefs()
const { folder } = mount
const children: ChildProcess[] = []
let deaf: ChildProcess

beforeAll(async () => {
  deaf = spawn('sh', ['-c', 'trap "" TERM; echo ready; exec sleep 1000'], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (deaf.stdout !== null) await once(deaf.stdout, 'data')
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => {
  deaf.kill('SIGKILL')
  mount.unmount()
})

const mono = () => Number(process.hrtime.bigint() / 1000n)
const pidOf = (child: ChildProcess) => child.pid ?? 0
const isTermTo = (pid: number) => (line: { type: string }) =>
  line.type === 'Signal' && (line as SignalLine).number === 15 && (line as SignalLine).target.pid === pid // the type is checked first

/** Runs code in a process of its own that has an open trace named `trace`. */
function withTrace(code: string, instance: string): ChildProcess {
  const source = `
    const { Trace } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../src/agent/tracefs.ts'))})
    const options = { folder: ${JSON.stringify(folder)}, instance: ${JSON.stringify(instance)}, bufferKilobytes: 64,
      linesPerSecond: 1000, onLines() {}, onFault(error) { console.error(error) } }
    const trace = await Trace.open(options)
    trace.start()
    console.log('open')
    ${code}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  return child
}

async function opened(child: ChildProcess): Promise<void> {
  if (child.stdout !== null) await once(child.stdout, 'data')
}

describe('a trace instance', () => {
  test('is there with its filter while it is open, and gone after; other instances and the top level are as they were', async () => {
    const other = join(folder, 'instances', instanceName())
    mkdirSync(other)
    writeFileSync(join(other, 'trace_clock'), 'boot')
    const top = readFileSync(join(folder, 'tracing_on'), 'utf8') + readFileSync(join(folder, 'set_event'), 'utf8')
    const { trace, options, folder: own } = await tracing(folder)
    expect(readFileSync(join(own, 'events/signal/signal_generate/filter'), 'utf8').trim()).toBe(FILTER)
    expect(readFileSync(join(own, 'trace_clock'), 'utf8')).toContain('[mono]')
    const size = Number(readFileSync(join(own, 'buffer_size_kb'), 'utf8'))
    expect(size - 512, 'the kernel rounds up to its pages').toBeLessThan(8)
    expect(size).toBeGreaterThanOrEqual(512)
    await trace.stop()
    expect(exists(options)).toBe(false)
    expect(readFileSync(join(other, 'trace_clock'), 'utf8')).toContain('[boot]')
    expect(readFileSync(join(folder, 'tracing_on'), 'utf8') + readFileSync(join(folder, 'set_event'), 'utf8')).toBe(top)
    rmdirSync(other)
  })

  test('tells of a signal at once, with sender, target, result and a time between two readings of the monotonic clock', async () => {
    const { trace, lines } = await tracing(folder)
    const latencies: number[] = []
    for (let count = 0; count < 20; count++) {
      const before = mono()
      process.kill(pidOf(deaf), 'SIGTERM')
      const after = mono()
      const seen = lines.length
      while (!lines.slice(seen).some(isTermTo(pidOf(deaf)))) {
        expect(mono() - before).toBeLessThan(2_000_000)
        await sleep(1)
      }
      latencies.push(mono() - after)
      const line = lines.slice(seen).find(isTermTo(pidOf(deaf))) as SignalLine // found by that test
      expect(line.mono).toBeGreaterThanOrEqual(before)
      expect(line.mono).toBeLessThanOrEqual(after)
      expect(line).toMatchObject({ code: 0, result: 1, group: true, sender: { pid: process.pid }, target: { comm: 'sleep' } })
    }
    latencies.sort((a, b) => a - b)
    console.log(`read after the signal: median ${latencies[10]} µs, worst ${latencies.at(-1)} µs`)
    await trace.stop()
  })

  test('lets foreign signals go by in the kernel', async () => {
    const { trace, lines } = await tracing(folder)
    const child = spawn('sleep', ['1000'])
    children.push(child)
    for (let count = 0; count < 1000; count++) process.kill(pidOf(child), 'SIGCONT')
    expect(await trace.sync(2000)).toBe(true)
    expect(lines.filter((line) => line.type === 'Signal' && line.number === 18)).toEqual([])
    await trace.stop()
  })

  test('says that all before a mark has been read', async () => {
    const { trace, lines } = await tracing(folder)
    for (let count = 0; count < 500; count++) process.kill(pidOf(deaf), 'SIGTERM')
    expect(await trace.sync(5000)).toBe(true)
    expect(lines.filter(isTermTo(pidOf(deaf)))).toHaveLength(500)
    await trace.stop()
  })

  test('that a crash left over is emptied and used further', async () => {
    const instance = instanceName()
    const child = withTrace('setInterval(() => {}, 1000)', instance)
    await opened(child)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(exists({ folder, instance })).toBe(true)
    for (let count = 0; count < 10; count++) process.kill(pidOf(deaf), 'SIGTERM')
    expect(readFileSync(join(instanceOf({ folder, instance }), 'trace'), 'utf8')).toContain(`pid=${deaf.pid} `)
    const { trace, lines, options } = await tracing(folder, { instance })
    expect(await trace.sync(2000)).toBe(true)
    expect(lines.filter((line) => line.type === 'Signal')).toEqual([])
    process.kill(pidOf(deaf), 'SIGTERM')
    expect(await trace.sync(2000)).toBe(true)
    expect(lines.filter(isTermTo(pidOf(deaf)))).toHaveLength(1)
    await trace.stop()
    expect(exists(options)).toBe(false)
  })

  test.each([
    ['an exit', 'setTimeout(() => process.exit(3), 100)', 3],
    ['an error that nobody caught', "setTimeout(() => { throw new Error('no') }, 100)", 1],
    ['an exit while the trace is switched off', OFF('setTimeout(() => process.exit(4), 100)'), 4],
    ['a clean stop', 'setTimeout(async () => { await trace.stop(); process.exit(5) }, 100)', 5],
    ['a clean stop with nothing else to do', 'setTimeout(() => trace.stop(), 100)', 0],
  ])('does not hold the process up at %s', async (_, code, expected) => {
    const instance = instanceName()
    const child = withTrace(code, instance)
    await opened(child)
    const started = performance.now()
    const [status] = await once(child, 'exit')
    expect(status).toBe(expected)
    expect(performance.now() - started).toBeLessThan(3000)
    expect(exists({ folder, instance })).toBe(expected === 3 || expected === 1 || expected === 4)
  })

  test('of which another program switched off a part is set right again', async () => {
    const { trace, lines, folder: own } = await tracing(folder)
    expect(trace.repair()).toBeUndefined()
    writeFileSync(join(own, 'tracing_on'), '0')
    expect(await trace.sync(200)).toBe(false)
    expect(trace.repair()).toContain('another program')
    expect(await trace.sync(2000)).toBe(true)
    writeFileSync(join(own, 'events/signal/signal_generate/filter'), 'sig==1')
    expect(trace.repair()).toContain('another program')
    process.kill(pidOf(deaf), 'SIGTERM')
    expect(await trace.sync(2000)).toBe(true)
    expect(lines.filter(isTermTo(pidOf(deaf)))).toHaveLength(1)
    await trace.stop()
  })
})

function OFF(code: string): string {
  return `await trace.sync(1000); (await import('node:fs')).writeFileSync('${folder}/instances/' + options.instance + '/tracing_on', '0'); ${code}`
}

describe('a flood that passes the filter', () => {
  test('is read at the pace of the setting, and what the kernel overwrote is counted', async () => {
    const { trace, lines } = await tracing(folder, { bufferKilobytes: 64, linesPerSecond: 500 })
    const sent = 40_000
    for (let count = 0; count < sent; count++) {
      process.kill(pidOf(deaf), 'SIGTERM')
      if (count % 2000 === 0) await sleep(10)
    }
    expect(await trace.sync(20_000)).toBe(true)
    const read = lines.filter(isTermTo(pidOf(deaf))).length
    const lost = lines.reduce((sum, line) => sum + (line.type === 'Lost' ? line.count : 0), 0)
    console.log(`${sent} sent, ${read} read, ${lost} told to be lost, ${trace.overruns()} by the kernel's count`)
    expect(read).toBeLessThan(sent)
    expect(read + lost).toBe(sent)
    expect(trace.stats).toMatchObject({ lost, malformed: 0 })
    expect(trace.stats.heldBack).toBeGreaterThan(0)
    await trace.stop()
  }, 60_000)
})

describe('where it cannot trace, it says why', () => {
  const refusal = async (options: Parameters<typeof Trace.open>[0]) => {
    const error = await Trace.open(options).catch((thrown: unknown) => thrown)
    if (!(error instanceof TracefsError)) throw new Error(`expected a TracefsError, got ${String(error)}`)
    return error
  }

  test('in a folder that is no tracefs', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'gracewatch-agent-empty-'))
    const error = await refusal(traceOptions(empty))
    expect(error.code).toBe('NotMounted')
    expect(error.message).toContain('mount -t tracefs')
    rmdirSync(empty)
  })

  test('on a mount that is read-only', async () => {
    const bound = mkdtempSync(join(tmpdir(), 'gracewatch-agent-ro-'))
    execFileSync('/bin/mount', ['--bind', folder, bound])
    execFileSync('/bin/mount', ['-o', 'remount,bind,ro', bound])
    try {
      expect((await refusal(traceOptions(bound))).code).toBe('ReadOnly')
    } finally {
      execFileSync('/bin/umount', [bound])
      rmdirSync(bound)
    }
  })

  test('without the rights of root', async () => {
    const source = `
      const { Trace } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../src/agent/tracefs.ts'))})
      await Trace.open({ folder: ${JSON.stringify(folder)}, instance: 'gracewatch-agent-test-never', bufferKilobytes: 64,
        linesPerSecond: 1, onLines() {}, onFault() {} }).catch((error) => console.log(error.code))`
    const reached = execFileSync('chmod', ['0755', folder]).length === 0
    expect(reached).toBe(true)
    try {
      // Node's own files are root's alone on some machines, so the privileges are given up inside of it.
      const out = execFileSync(process.execPath, ['--input-type=module', '-e', `await import('node:fs'); ${dropping(source)}`], {
        encoding: 'utf8',
      })
      expect(out.trim()).toBe('NoPermission')
    } finally {
      execFileSync('chmod', ['0700', folder])
    }
  })

  /** The module is loaded as root, and the trace opened as nobody. */
  function dropping(source: string): string {
    return source.replace('await Trace.open', 'process.setgid(65534); process.setuid(65534); await Trace.open')
  }
})
