/**
 * Who sent a signal, where the sender is gone at once: some hundred times from each place that a signal can come from, several at a time, so
 * that the machine is busy. What is said has to be right; where that cannot be known it is Unknown, and never another.
 */
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Origin, SignalFact } from '../../src/core/kernel/facts.ts'
import { measuring } from './support/measuring.ts'
import { type Container, Runtime } from './support/runtime.ts'
import { mountTracefs } from './support/tracing.ts'

const ROUNDS = 60
const AT_ONCE = 4
/** Pid 1 of these ignores SIGTERM and lives on whatever they send. */
const DEAF = ['sh', '-c', 'trap "" TERM; echo x > /out/ready; exec sleep 1000']

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
const node = promisify(execFile)

interface Place {
  readonly target: Container
  /** Of the same pod, sharing the PID namespace of the target where that is the pod's. */
  readonly beside: Container
}

async function deaf(pidNamespace: 'own' | 'shared' | 'Node'): Promise<Place> {
  const pod = runtime.pod()
  const spec =
    pidNamespace === 'Node'
      ? { pidNamespace }
      : pidNamespace === 'shared'
        ? { pidNamespace: { of: await pod.run({ args: ['sleep', '1000'] }) } }
        : {}
  const target = await pod.run({ args: DEAF, ...spec })
  await pod.out('ready')
  return { target, beside: await pod.run({ args: ['sleep', '1000'], ...spec }) }
}

const within = ({ pod, id }: Container, script: string) => pod.runc('exec', '--detach', id, 'sh', '-c', script)

const innerPid = (pid: number) =>
  execFileSync('grep', ['NSpid', `/proc/${pid}/status`], { encoding: 'utf8' })
    .trim()
    .split('\t')
    .at(-1)

/** How often each origin was said of the signals to the container process. */
async function tally(places: readonly Place[], signal: number, send: (place: Place) => Promise<unknown>) {
  const said = new Map<Origin | 'nothing', number>()
  await Promise.all(
    places.map(async (place) => {
      const entry = measure.processes.container(place.target.id)
      if (entry === undefined) throw new Error('the container is not known')
      const signals = () =>
        measure.collector
          .evidence(entry)
          .facts.filter(
            (fact): fact is SignalFact => fact.type === 'Signal' && fact.number === signal && fact.target.part === 'First',
          )
      for (let round = 0; round < ROUNDS / AT_ONCE; round++) {
        measure.collector.forget(entry.id)
        await send(place)
        const late = performance.now() + 2000
        while (signals().length === 0 && performance.now() < late) await measure.trace.sync(1000)
        // What the sender's end tells comes a moment after.
        await new Promise((resolve) => setTimeout(resolve, 30))
        const [fact, ...more] = signals()
        expect(more).toEqual([])
        const origin = fact?.sender.origin ?? 'nothing'
        said.set(origin, (said.get(origin) ?? 0) + 1)
      }
    }),
  )
  return said
}

const SENDERS: readonly {
  readonly from: string
  readonly namespace: 'own' | 'shared' | 'Node'
  readonly origin: Origin
  readonly signal?: number
  readonly send: (place: Place) => Promise<unknown>
}[] = [
  {
    from: 'a shell of an exec, SIGKILL',
    namespace: 'own',
    origin: 'Container',
    signal: 9,
    send: ({ target }) => within(target, 'kill -9 1'),
  },
  { from: 'a shell of an exec', namespace: 'own', origin: 'Container', send: ({ target }) => within(target, 'kill -TERM 1') },
  {
    from: 'kill as an exec',
    namespace: 'own',
    origin: 'Container',
    send: ({ target }) => target.pod.runc('exec', '--detach', target.id, 'kill', '-TERM', '1'),
  },
  {
    from: 'kill as an exec that runc waits for',
    namespace: 'own',
    origin: 'Container',
    send: ({ target }) => target.pod.runc('exec', target.id, 'kill', '-TERM', '1'),
  },
  {
    from: 'an orphan of an exec',
    namespace: 'own',
    origin: 'Container',
    send: ({ target }) => within(target, '(sleep 0.01; sh -c "kill -TERM 1; true") &'),
  },
  {
    from: 'a shell of an exec',
    namespace: 'Node',
    origin: 'Container',
    send: ({ target }) => within(target, `kill -TERM ${target.pid}`),
  },
  {
    from: 'a container beside it',
    namespace: 'shared',
    origin: 'Pod',
    send: ({ target, beside }) => within(beside, `kill -TERM ${innerPid(target.pid)}`),
  },
  {
    from: 'a container beside it, by kill',
    namespace: 'Node',
    origin: 'Pod',
    send: ({ target, beside }) => beside.pod.runc('exec', '--detach', beside.id, 'kill', '-TERM', String(target.pid)),
  },
  {
    from: 'a shell of the node',
    namespace: 'own',
    origin: 'Node',
    send: ({ target }) => node('sh', ['-c', `kill -TERM ${target.pid}`]),
  },
  {
    from: 'kill of the node',
    namespace: 'own',
    origin: 'Node',
    send: ({ target }) => node('kill', ['-TERM', String(target.pid)]),
  },
  {
    from: 'kill of the node that nobody waits for',
    namespace: 'Node',
    origin: 'Node',
    send: ({ target }) => node('sh', ['-c', `(kill -TERM ${target.pid}; true) &`]),
  },
  { from: 'the runtime', namespace: 'own', origin: 'Runtime', send: ({ target }) => target.pod.runc('kill', target.id, 'TERM') },
  { from: 'the runtime', namespace: 'Node', origin: 'Runtime', send: ({ target }) => target.pod.runc('kill', target.id, 'TERM') },
]

describe('a signal', () => {
  const places = new Map<string, Place[]>()
  let other: Container
  beforeAll(async () => {
    for (const namespace of ['own', 'shared', 'Node'] as const) {
      places.set(namespace, await Promise.all(Array.from({ length: AT_ONCE }, () => deaf(namespace))))
    }
    other = await runtime.pod().run({ args: ['sleep', '1000'], pidNamespace: 'Node' })
    await measure.processes.scan()
  })
  const of = (namespace: string) => places.get(namespace) ?? []

  test.each(SENDERS)(
    'from $from (namespace: $namespace) is said to be from $origin, or Unknown',
    async ({ from, namespace, origin, signal = 15, send }) => {
      const said = await tally(of(namespace), signal, send)
      console.log(`${from} (${namespace}): ${[...said].map(([name, count]) => `${name} ${count}`).join(', ')}`)
      expect([...said.keys()].filter((name) => name !== origin && name !== 'Unknown')).toEqual([])
    },
  )

  test("from another pod that has the node's process ids is said to be from OtherPod, or Unknown", async () => {
    const said = await tally(of('own'), 15, ({ target }) => within(other, `kill -TERM ${target.pid}`))
    console.log(`another pod: ${[...said].map(([name, count]) => `${name} ${count}`).join(', ')}`)
    expect([...said.keys()].filter((name) => name !== 'OtherPod' && name !== 'Unknown')).toEqual([])
  })
})
