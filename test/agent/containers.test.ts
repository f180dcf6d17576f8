/** What is measured of real containers: the machine's runc, its kernel, real programs; the truth is what this test and they saw. */
import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KernelContainer } from '../../src/api/kernel.ts'
import { parseTime } from '../../src/core/time.ts'
import { measuring, within } from './support/measuring.ts'
import { type Container, type ContainerSpec, Runtime } from './support/runtime.ts'
import { mountTracefs } from './support/tracing.ts'

const mount = mountTracefs()
const runtime = await Runtime.create()
let measure: Awaited<ReturnType<typeof measuring>>
beforeAll(async () => {
  measure = await measuring(mount.folder)
})
afterAll(async () => {
  await measure.stop()
  await runtime.close()
  mount.unmount()
})
const mono = () => measure.clock.mono()

/** A container whose workload has said that it is ready; `ready` is the file that it writes. */
async function started(args: readonly string[], ready: string, spec: Partial<ContainerSpec> = {}): Promise<Container> {
  const container = await runtime.pod().run({ args, ...spec })
  await container.pod.out(ready)
  await sleep(20)
  return container
}

/** The runtime sends a signal. @returns the times between which it was sent */
async function kill({ pod, id }: Container, signal: string): Promise<[number, number]> {
  const before = mono()
  expect(await pod.runc('kill', id, signal)).toBe(0)
  return [before, mono()]
}

const sent = (moment: { earliest: string; latest: string } | undefined, [from, to]: [number, number]) =>
  within(measure.clock, moment, from, to)

/** As the agent does when it hears that a pod is deleted. */
function lookAt({ id }: Container): void {
  const entry = measure.processes.container(id)
  if (entry !== undefined) measure.collector.look(entry)
}

/** As when a pod is deleted: the agent hears of it; then SIGTERM, and SIGKILL after that time if it still runs. */
async function stop(container: Container, graceMs: number) {
  lookAt(container)
  const term = await kill(container, 'TERM')
  const late = await Promise.race([container.pod.ended(container).then(() => false), sleep(graceMs, true)])
  const killed = late ? await kill(container, 'KILL') : undefined
  const end = await container.pod.ended(container)
  return { term, killed, end, endedBy: mono() }
}

const NODE = ['node', '/workload/app.mjs', 'app']
const shell = (script: string) => ['sh', '-c', script]

describe('the stop signal', () => {
  test('to an app with a handler is delivered, and the app ends itself', async () => {
    const app = await started(NODE, 'app.start')
    const { term, end, endedBy } = await stop(app, 5000)
    const handled = Number(await app.pod.out('app.signal'))
    expect(end).toMatchObject({ code: 0 })
    const found = await measure.summary(app)
    expect(found).toMatchObject({
      pidNamespace: 'Container',
      process: { argv0: 'node', disposition: 'Handler' },
      stopSignal: { number: 15, name: 'SIGTERM', result: 'Delivered', sender: 'runc' },
      passedOn: { result: 'NothingBelow' },
      exit: { how: 'Exited' },
    })
    expect(found.kill).toBeUndefined()
    expect(sent(found.stopSignal, term) && sent(found.stopSignal, [term[0], handled])).toBe(true)
    expect(sent(found.exit, [handled, endedBy])).toBe(true)
    expect(found.notes).toBeUndefined()
  })

  test('to PID 1 without a handler is dropped by the kernel; SIGKILL by the runtime ends it', async () => {
    const app = await started(shell('echo x > /out/ready; exec sleep 1000'), 'ready')
    const { term, killed, endedBy } = await stop(app, 300)
    const found = await measure.summary(app)
    expect(found).toMatchObject({
      process: { comm: 'sleep', argv0: 'sleep', disposition: 'Default' },
      stopSignal: { result: 'Ignored' },
      passedOn: { result: 'NothingBelow' },
      kill: { by: 'Runtime', sender: 'runc' },
      exit: { how: 'Killed' },
    })
    if (killed === undefined) throw new Error('it was not killed')
    expect([sent(found.stopSignal, term), sent(found.kill, killed), sent(found.exit, [killed[0], endedBy])]).toEqual([
      true,
      true,
      true,
    ])
  })

  test('to a program that has told the kernel to ignore it is dropped', async () => {
    const app = await started(shell('trap "" TERM; echo x > /out/ready; sleep 1000; true'), 'ready')
    await stop(app, 300)
    expect(await measure.summary(app)).toMatchObject({
      process: { comm: 'sh', disposition: 'Ignored' },
      stopSignal: { result: 'Ignored' },
      passedOn: { result: 'NotPassedOn' },
      processes: [{ comm: 'sleep', parent: 1, leftBehind: true }],
      kill: { by: 'Runtime' },
    })
  })

  test('of another number is told with its name', async () => {
    const app = await started([...NODE, '--signal', 'SIGUSR2'], 'app.start')
    lookAt(app)
    const quit = await kill(app, 'USR2')
    await app.pod.ended(app)
    const found = await measure.summary(app)
    expect(found).toMatchObject({
      process: { disposition: 'Handler' },
      stopSignal: { number: 12, name: 'SIGUSR2', result: 'Delivered' },
      exit: { how: 'Exited' },
    })
    expect(sent(found.stopSignal, quit)).toBe(true)
  })

  test('that ends the program itself: its own handler gone, the kernel kills it', async () => {
    const parent = await started(shell('echo x > /out/ready; exec sleep 1000'), 'ready', { pidNamespace: 'Node' })
    await stop(parent, 5000)
    expect(await measure.summary(parent)).toMatchObject({
      pidNamespace: 'Node',
      process: { disposition: 'Default' },
      stopSignal: { result: 'Delivered' },
      exit: { how: 'Killed' },
    })
  })
})

describe('passing on', () => {
  test('a shell that stays in front keeps the signal to itself', async () => {
    const app = await started(shell('node /workload/app.mjs app & wait'), 'app.start')
    await stop(app, 300)
    expect(await measure.summary(app)).toMatchObject({
      process: { comm: 'sh', disposition: 'Default' },
      stopSignal: { result: 'Ignored' },
      passedOn: { result: 'NotPassedOn' },
      processes: [{ comm: 'MainThread', parent: 1, leftBehind: true }],
      kill: { by: 'Runtime' },
    })
  })

  test('a parent that handles the signal and tells nobody below', async () => {
    const app = await started([...NODE, '--child', '--ignore'], 'app.start')
    await stop(app, 300)
    const found = await measure.summary(app)
    expect(found).toMatchObject({
      process: { disposition: 'Handler' },
      stopSignal: { result: 'Delivered' },
      passedOn: { result: 'NotPassedOn' },
      processes: [{ comm: 'sleep', parent: 1, leftBehind: true }],
    })
    expect(found.processes?.[0]?.signalled).toBeUndefined()
  })

  test('a shell with a trap passes it on, to a process that ends', async () => {
    const app = await started(
      shell("trap 'kill -TERM $child; wait $child' TERM; node /workload/app.mjs app & child=$!; wait $child"),
      'app.start',
    )
    const { term } = await stop(app, 5000)
    const handled = Number(await app.pod.out('app.signal'))
    const found = await measure.summary(app)
    expect(found).toMatchObject({
      process: { comm: 'sh', disposition: 'Handler' },
      stopSignal: { result: 'Delivered' },
      passedOn: { result: 'PassedOn' },
      processes: [{ comm: 'MainThread' }],
      exit: { how: 'Exited' },
    })
    expect(sent(found.passedOn?.first, [term[0], handled])).toBe(true)
    expect(sent(found.processes?.[0]?.signalled, [term[0], handled])).toBe(true)
    expect(found.processes?.[0]?.leftBehind).toBeUndefined()
  })

  test('by a program that is gone at once: passed on, or Unknown, and never denied', async () => {
    const results: (string | undefined)[] = []
    for (let round = 0; round < 10; round++) {
      const app = await started(
        shell("trap '/bin/kill -TERM $child; wait $child' TERM; node /workload/app.mjs app & child=$!; wait $child"),
        'app.start',
      )
      await stop(app, 5000)
      results.push((await measure.summary(app)).passedOn?.result)
    }
    console.log(`passed on by /bin/kill: ${results.join(', ')}`)
    expect(results.filter((result) => result !== 'PassedOn' && result !== 'Unknown')).toEqual([])
    expect(results).toContain('PassedOn')
  })

  test('a parent that passes it on late, just before it is killed', async () => {
    const app = await started(
      shell(
        "trap 'sleep 0.4; kill -TERM $child; wait $child' TERM; node /workload/app.mjs app --after 2000 & child=$!; wait $child; wait $child",
      ),
      'app.start',
    )
    const { killed } = await stop(app, 800)
    const found = await measure.summary(app)
    expect(found).toMatchObject({ passedOn: { result: 'PassedOn' }, kill: { by: 'Runtime' }, processes: [{ leftBehind: true }] })
    const between = Date.parse(found.kill?.at ?? '') - Date.parse(found.passedOn?.first?.at ?? '')
    expect(killed).toBeDefined()
    expect(between).toBeGreaterThan(100)
    expect(between).toBeLessThan(1000)
  })

  test('a parent that ends before its child leaves it to the kernel', async () => {
    const app = await started([...NODE, '--child'], 'app.start')
    const { end } = await stop(app, 5000)
    expect(end).toMatchObject({ code: 0 })
    expect(await measure.summary(app)).toMatchObject({
      stopSignal: { result: 'Delivered' },
      passedOn: { result: 'NotPassedOn' },
      processes: [{ comm: 'sleep', leftBehind: true }],
      exit: { how: 'Exited' },
    })
  })

  test('of three generations each is told, and who got the signal', async () => {
    const app = await started(
      shell("trap 'kill -TERM $child; wait' TERM; sh -c 'node /workload/app.mjs app; true' & child=$!; wait"),
      'app.start',
    )
    await stop(app, 400)
    const found = await measure.summary(app)
    expect(found.processes?.map(({ comm, signalled }) => [comm, signalled !== undefined])).toEqual([
      ['sh', true],
      ['MainThread', false],
    ])
    const [middle, last] = found.processes ?? []
    expect(last?.parent).toBe(middle?.pid)
  })
})

describe('SIGKILL', () => {
  test('by root on the node is told with the name of the program', async () => {
    const app = await started(NODE, 'app.start')
    const before = mono()
    execFileSync('kill', ['-9', String(app.pid)])
    const after = mono()
    await app.pod.ended(app)
    const found = await measure.summary(app)
    expect(found).toMatchObject({ kill: { by: 'Node' }, exit: { how: 'Killed' } })
    expect(found.stopSignal).toBeUndefined()
    expect(sent(found.kill, [before, after])).toBe(true)
  })

  test('from inside the container to its PID 1 is dropped, so it is no kill', async () => {
    const app = await started(NODE, 'app.start')
    expect(await app.pod.runc('exec', '--detach', app.id, 'sh', '-c', 'kill -9 1')).toBe(0)
    await sleep(50)
    const found = await measure.summary(app)
    expect(found.kill).toBeUndefined()
    expect(found.exit).toBeUndefined()
    const signal = found.signals?.find(({ number }) => number === 9)
    expect(signal).toMatchObject({ to: 'First', result: 'Ignored' })
    // The shell is gone as soon as it has sent it, now and then before it can be looked at (senders.test.ts has the figures).
    if (signal?.from === 'Unknown') expect(found.notes?.[0]).toContain('in the same PID namespace that was gone before')
    else expect(signal?.from).toBe('Container')
  })

  test('from inside to a child is told, and that PID 1 ended itself', async () => {
    const app = await started(shell('sleep 1000 & echo $! > /out/child; wait'), 'child')
    await measure.processes.scan()
    expect(await app.pod.runc('exec', '--detach', app.id, 'sh', '-c', 'kill -9 $(cat /out/child)')).toBe(0)
    await app.pod.ended(app)
    const found = await measure.summary(app)
    expect(found).toMatchObject({ exit: { how: 'Exited' } })
    expect(found.kill).toBeUndefined()
    // The shell that sent it can still be there when the namespace dies, and then the kernel kills it.
    const sent = found.signals?.filter(({ to }) => to === 'Below')
    expect(sent).toMatchObject([{ name: 'SIGKILL', from: 'Container', target: 'sleep', result: 'Delivered' }])
  })

  test('by the kernel, for want of memory', async () => {
    const hungry = 'const all = []; setInterval(() => all.push(Buffer.alloc(1 << 22, 1)), 1)'
    const app = await runtime.pod().run({ args: ['node', '-e', hungry], memoryBytes: 96 << 20 })
    await app.pod.ended(app)
    expect(await measure.summary(app)).toMatchObject({ kill: { by: 'OOM' }, exit: { how: 'Killed' } })
  })

  test('by the kernel for want of memory, of a child while PID 1 lives on', async () => {
    const hungry = 'const all = []; setInterval(() => all.push(Buffer.alloc(1 << 22, 1)), 1)'
    const app = await runtime.pod().run({
      args: shell(`node -e '${hungry}'; echo x > /out/lives; exec sleep 1000`),
      memoryBytes: 96 << 20,
    })
    await app.pod.out('lives')
    const found = await measure.summary(app)
    expect(found.oomKills).toHaveLength(1)
    expect(found.kill).toBeUndefined()
    expect(found.exit).toBeUndefined()
  })

  test('by another container of a pod that shares its process namespace', async () => {
    const pod = runtime.pod()
    const pause = await pod.run({ args: ['sleep', '1000'] })
    const app = await pod.run({ args: NODE, pidNamespace: { of: pause } })
    const other = await pod.run({ args: ['sleep', '1000'], pidNamespace: { of: pause } })
    await pod.out('app.start')
    const inner = execFileSync('sh', ['-c', `grep NSpid /proc/${app.pid}/status`], { encoding: 'utf8' })
      .trim()
      .split('\t')
      .at(-1)
    expect(await pod.runc('exec', '--detach', other.id, 'sh', '-c', `kill -9 ${inner}; sleep 0.2`)).toBe(0)
    await pod.ended(app)
    expect(await measure.summary(app)).toMatchObject({ pidNamespace: 'Pod', kill: { by: 'Pod' }, exit: { how: 'Killed' } })
  })

  test('by the runtime in a pod that shares its process namespace, as the signal was ignored', async () => {
    const pod = runtime.pod()
    const pause = await pod.run({ args: ['sleep', '1000'] })
    const deaf = 'trap "" TERM; echo x > /out/ready; sleep 1000 & wait; true'
    const app = await pod.run({ args: shell(deaf), pidNamespace: { of: pause } })
    await pod.run({ args: NODE, pidNamespace: { of: pause } })
    await pod.out('ready')
    await pod.out('app.start')
    const { term, killed } = await stop(app, 500)
    if (killed === undefined) throw new Error('it was not killed')
    const found = await measure.summary(app)
    expect(found).toMatchObject({
      pidNamespace: 'Pod',
      process: { comm: 'sh', disposition: 'Ignored' },
      stopSignal: { result: 'Ignored' },
      passedOn: { result: 'NotPassedOn' },
      kill: { by: 'Runtime' },
      exit: { how: 'Killed' },
    })
    expect(sent(found.stopSignal, term) && sent(found.kill, killed)).toBe(true)
  })

  test('as the namespace of the pod dies', async () => {
    const pod = runtime.pod()
    const pause = await pod.run({ args: ['sleep', '1000'] })
    const app = await pod.run({ args: NODE, pidNamespace: { of: pause } })
    await pod.out('app.start')
    await kill(pause, 'KILL')
    await pod.ended(app)
    expect(await measure.summary(app)).toMatchObject({ kill: { by: 'Namespace' }, exit: { how: 'Killed' } })
  })
})

describe('who is who', () => {
  test('a process of the container that calls itself runc is not the runtime', async () => {
    const app = await started(
      shell(
        'cp /usr/bin/dash /tmp/runc; trap "" TERM; echo x > /out/ready; while ! [ -e /out/go ]; do sleep 0.05; done; /tmp/runc -c "kill -TERM 1; true"; exec sleep 1000',
      ),
      'ready',
    )
    await app.pod.command('/bin/sh', '-c', `echo x > ${app.pod.folder}/go`)
    await sleep(300)
    const found = await measure.summary(app)
    expect(found.signals).toMatchObject([{ name: 'SIGTERM', sender: 'runc', to: 'First' }])
    expect(found.signals?.[0]?.from).not.toBe('Runtime')
    expect(found.stopSignal).toBeUndefined()
  })

  test('the end of a program is told by a thread that was not there when it was looked at', async () => {
    const script =
      "setTimeout(() => new (require('node:worker_threads').Worker)('setInterval(() => {}, 10)', { eval: true }), 300); setTimeout(() => process.exit(7), 900); require('node:fs').writeFileSync('/out/ready', 'x')"
    const app = await started(['node', '-e', script], 'ready')
    const before = mono()
    expect(await app.pod.ended(app)).toMatchObject({ code: 7 })
    const found = await measure.summary(app)
    expect(found.exit?.how).toBe('Exited')
    expect(sent(found.exit, [before, mono()])).toBe(true)
  })

  test('what ran before the trace was opened is known as well', async () => {
    const apps = [await started(NODE, 'app.start'), await started(shell('node /workload/app.mjs app & wait'), 'app.start')]
    const late = await measuring(mount.folder)
    try {
      for (const app of apps) await stop(app, 300)
      expect(await late.summary(apps[0] as Container)).toMatchObject({
        stopSignal: { result: 'Delivered' },
        exit: { how: 'Exited' },
      }) // two were started
      expect(await late.summary(apps[1] as Container)).toMatchObject({
        stopSignal: { result: 'Ignored' },
        passedOn: { result: 'NotPassedOn' },
        kill: { by: 'Runtime' },
      })
    } finally {
      await late.stop()
    }
  })

  test('the end of an exec hook, where nothing else was started in the container', async () => {
    const app = await started(NODE, 'app.start')
    const endingFrom = mono()
    const hook = app.pod.runc('exec', app.id, 'sh', '-c', 'sleep 0.3')
    await hook
    const hookEnded = mono()
    await stop(app, 5000)
    const context = { execPreStop: true, endingFrom }
    const found = await measure.summary(app, context)
    expect(found.preStop).toBeUndefined() // a foreground exec is a child of runc, not of the shim
    expect(hookEnded).toBeGreaterThan(endingFrom)
  })

  test('the end of a detached exec, as containerd runs its hooks', async () => {
    const app = await started(NODE, 'app.start')
    const endingFrom = mono()
    expect(await app.pod.runc('exec', '--detach', app.id, 'sh', '-c', 'sleep 0.3; exit 0')).toBe(0)
    await sleep(500)
    const hookEnded = mono()
    await stop(app, 5000)
    const found = await measure.summary(app, { execPreStop: true, endingFrom })
    expect(found.preStop?.how).toBe('Exited')
    expect(sent(found.preStop, [endingFrom + 250_000, hookEnded])).toBe(true)
    expect((await measure.summary(app, { execPreStop: true, execProbes: true, endingFrom })).preStop).toBeUndefined()
    expect((await measure.summary(app, { execPreStop: false, endingFrom })).preStop).toBeUndefined()
  })

  test('no time of any container is far from where the runtime says it was', async () => {
    const widths: number[] = []
    const width = (one: { earliest: string; latest: string }) => (parseTime(one.latest) ?? 0) - (parseTime(one.earliest) ?? 0)
    const apps = await Promise.all(Array.from({ length: 12 }, () => started(NODE, 'app.start')))
    const ends = await Promise.all(apps.map((app) => stop(app, 5000)))
    for (const [index, app] of apps.entries()) {
      const found: KernelContainer = await measure.summary(app)
      const end = ends[index]
      if (end === undefined || found.stopSignal === undefined || found.exit === undefined) throw new Error('something is missing')
      expect(sent(found.stopSignal, end.term)).toBe(true)
      expect(sent(found.exit, [end.term[0], end.endedBy])).toBe(true)
      widths.push(width(found.stopSignal), width(found.exit))
    }
    console.log(`widest interval of 24: ${Math.max(...widths)} µs`)
    expect(Math.max(...widths)).toBeLessThan(10_000)
  })
})
