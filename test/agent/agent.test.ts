/** The agent as a whole, on real containers of this machine; only the API server is one of this test's. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Agent } from '../../src/agent/agent.ts'
import { NodeClock } from '../../src/agent/node-clock.ts'
import { kernelSchema } from '../../src/api/kernel.ts'
import { parseTime } from '../../src/core/time.ts'
import { LeanHttpClient } from '../../src/kube/lean-http-client.ts'
import type { Log } from '../../src/kube/log.ts'
import { Api, type Apply } from './support/api.ts'
import { type Container, Runtime } from './support/runtime.ts'
import { exists, instanceName, mountTracefs } from './support/tracing.ts'

const mount = mountTracefs()
const runtime = await Runtime.create()
let api: Api
const running: (() => Promise<void>)[] = []
const logged: { level: string; message: string; fields: object }[] = []
const log = Object.fromEntries(
  ['debug', 'info', 'warn', 'error'].map((level) => [
    level,
    (fields: object, message: string) => logged.push({ level, message, fields }),
  ]),
) as unknown as Log // each of the four levels has its function

beforeAll(async () => {
  api = await Api.start()
})
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
  logged.length = 0
})
afterAll(async () => {
  await api.down()
  await runtime.close()
  mount.unmount()
})

async function agent(options: { readonly tracing?: string; readonly instance?: string } = {}) {
  const clock = new NodeClock()
  const http = new LeanHttpClient({
    server: api.url,
    clock,
    userAgent: 'gracewatch-agent/test',
    credentials: async () => ({ headers: {}, tls: {} }),
  })
  const settings = {
    nodeName: 'node-1',
    tracing: options.tracing ?? mount.folder,
    instance: options.instance ?? instanceName(),
    bufferKilobytes: 512,
    linesPerSecond: 5000,
    recordsNamespace: 'gracewatch-system',
    recordCompletions: false,
    namespaces: [],
    excludeNamespaces: [],
  }
  const made = new Agent({ http, clock, log, settings })
  let stopped = false
  const stop = async () => {
    if (stopped) return
    stopped = true
    await made.stop()
    await http.close()
    clock.stop()
  }
  running.push(stop)
  await made.start()
  return { agent: made, stop, instance: { folder: settings.tracing, instance: settings.instance } }
}

async function until<T>(what: () => T | undefined | false, ms = 10_000): Promise<T> {
  const late = performance.now() + ms
  for (;;) {
    const found = what()
    if (found !== undefined && found !== false) return found
    if (performance.now() > late) throw new Error(`not after ${ms} ms`)
    await sleep(5)
  }
}

const complete = (uid: string): Apply | undefined => api.applied(uid).find(({ body }) => body.kernel?.complete)

async function app(args: readonly string[] = ['node', '/workload/app.mjs', 'app']): Promise<Container> {
  const container = await runtime.pod().run({ args })
  if (args.includes('app')) await container.pod.out('app.start')
  api.set(container.pod.uid, { containers: { app: container } })
  return container
}

/** As the API server and the kubelet do it: the object is marked, then the runtime sends the signal, then the object goes. */
async function end(container: Container, graceMs = 5000): Promise<void> {
  const { pod } = container
  api.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
  await sleep(20)
  await pod.runc('kill', container.id, 'TERM')
  const late = await Promise.race([pod.ended(container).then(() => false), sleep(graceMs, true)])
  if (late) await pod.runc('kill', container.id, 'KILL')
  await pod.ended(container)
}

describe('a pod that ends', () => {
  test('is written of once, right after its last container has ended', async () => {
    await agent()
    const container = await app()
    const { uid } = container.pod
    await end(container)
    const ended = performance.now()
    const apply = await until(() => complete(uid))
    console.log(`written ${Math.round(apply.at - ended)} ms after the end`)
    expect(apply.at - ended).toBeLessThan(500)
    api.remove(uid)
    await sleep(300)
    expect(api.applied(uid)).toHaveLength(1)
    expect(apply.path).toMatch(/^\/apis\/gracewatch.dev\/v1alpha1\/namespaces\/shop\/podterminations\/pod-....\.[0-9a-f]{8}$/)
    expect(Object.fromEntries(apply.query)).toEqual({
      fieldManager: 'gracewatch-agent',
      force: 'false',
      fieldValidation: 'Strict',
    })
    expect(Object.keys(apply.body).sort()).toEqual(['apiVersion', 'kernel', 'kind', 'metadata', 'pod'])
    expect(apply.body.pod).toEqual({ namespace: 'shop', name: `pod-${uid.slice(0, 4)}`, uid, node: 'node-1' })
    expect(kernelSchema.safeParse(apply.body.kernel).error).toBeUndefined()
    expect(apply.body.kernel).toMatchObject({
      node: 'node-1',
      complete: true,
      lostEvents: 0,
      containers: [
        {
          name: 'app',
          containerID: `containerd://${container.id}`,
          process: { disposition: 'Handler' },
          stopSignal: { name: 'SIGTERM', result: 'Delivered' },
          exit: { how: 'Exited' },
        },
      ],
    })
    expect(apply.body.kernel?.gaps).toBeUndefined()
    const clock = apply.body.kernel?.apiServerClock
    if (clock === undefined) throw new Error('the clock of the API server was not estimated')
    expect(clock.earliestMicroseconds).toBeLessThanOrEqual(0)
    expect(clock.latestMicroseconds).toBeGreaterThanOrEqual(0)
  })

  test('slowly is written of every five seconds, as long as there is something new', async () => {
    await agent()
    const container = await app(['sh', '-c', 'trap "" TERM; echo x > /out/app.start; sleep 1000; true', 'app'])
    const { pod } = container
    api.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await sleep(20)
    await pod.runc('kill', container.id, 'TERM')
    const first = await until(() => api.applied(pod.uid)[0])
    expect(first.body.kernel).toMatchObject({
      complete: false,
      containers: [{ stopSignal: { result: 'Ignored' }, passedOn: { result: 'NotPassedOn' } }],
    })
    expect(first.body.kernel?.containers?.[0]?.exit).toBeUndefined()
    await sleep(6000)
    expect(api.applied(pod.uid)).toHaveLength(1)
    await pod.runc('kill', container.id, 'KILL')
    const last = await until(() => complete(pod.uid))
    expect(last.body.kernel?.containers?.[0]).toMatchObject({ kill: { by: 'Runtime' }, exit: { how: 'Killed' } })
    expect(api.applied(pod.uid)).toHaveLength(2)
  })

  test('without a delete, as Failed, is written of; one that succeeds is not', async () => {
    await agent()
    const [failed, succeeded] = [await app(), await app()]
    for (const [container, phase] of [
      [failed, 'Failed'],
      [succeeded, 'Succeeded'],
    ] as const) {
      await container.pod.runc('kill', container.id, 'TERM')
      await container.pod.ended(container)
      api.set(container.pod.uid, { containers: { app: container }, phase })
    }
    const apply = await until(() => complete(failed.pod.uid))
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ stopSignal: { name: 'SIGTERM' }, exit: { how: 'Exited' } })
    await sleep(300)
    expect(api.applied(succeeded.pod.uid)).toEqual([])
  })

  test('whose object is gone before its containers are is followed to its end', async () => {
    await agent()
    const container = await app()
    const { pod } = container
    api.remove(pod.uid)
    await sleep(300)
    await pod.runc('kill', container.id, 'TERM')
    await pod.ended(container)
    const apply = await until(() => complete(pod.uid))
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ name: 'app', stopSignal: { result: 'Delivered' } })
  })
})

describe('where the record does not go', () => {
  const status = (code: number, reason: string, message: string, causes?: object[]) => ({
    status: code,
    body: { kind: 'Status', code, reason, message, ...(causes && { details: { causes } }) },
  })

  test('as its namespace is being deleted, it goes to the namespace of Gracewatch', async () => {
    await agent()
    const container = await app()
    api.refusals.push(
      status(403, 'Forbidden', 'podterminations "x" is forbidden: unable to create new content in namespace shop', [
        { reason: 'NamespaceTerminating', message: 'namespace shop is being terminated' },
      ]),
    )
    await end(container)
    const apply = await until(() => complete(container.pod.uid))
    expect(apply.path).toMatch(/namespaces\/gracewatch-system\/podterminations\/shop\.pod-/)
    expect(apply.body.pod.namespace).toBe('shop')
  })

  test("as another pod's record has the name, it takes the full UID", async () => {
    await agent()
    const container = await app()
    api.refusals.push(status(409, 'Conflict', 'Apply failed with 1 conflict: conflict with "gracewatch-controller": .pod.uid'))
    await end(container)
    const apply = await until(() => complete(container.pod.uid))
    expect(apply.path.endsWith(`.${container.pod.uid}`)).toBe(true)
  })

  test('as the CRD does not know it, nothing else is written in its place', async () => {
    const { agent: one } = await agent()
    const container = await app()
    const refusal = status(
      500,
      'InternalError',
      'failed to create typed patch object (shop/x): .kernel: field not declared in schema',
    )
    api.refusals.push(refusal)
    await end(container)
    await until(() => one.reporter.stats.refused.Invalid === 1)
    expect(api.refusals).toEqual([])
    expect(api.applied(container.pod.uid)).toEqual([])
    expect(one.reporter.stats.dropped).toBe(1)
  })

  test('as the API server is away, it is kept and written when that is back', async () => {
    const { agent: one } = await agent()
    const container = await app()
    await until(() => one.pods.size > 0)
    api.set(container.pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await sleep(50)
    await api.down()
    await container.pod.runc('kill', container.id, 'TERM')
    await container.pod.ended(container)
    await sleep(1500)
    expect(api.applied(container.pod.uid)).toEqual([])
    await api.up()
    const apply = await until(() => complete(container.pod.uid), 20_000)
    expect(apply.body.kernel?.gaps).toBeUndefined()
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ stopSignal: { result: 'Delivered' }, exit: { how: 'Exited' } })
  })

  test('as the delete came while the API server was away, it is known from what was kept', async () => {
    const { agent: one } = await agent()
    const container = await app()
    await until(() => one.pods.get(container.pod.uid) !== undefined)
    await api.down()
    await container.pod.runc('kill', container.id, 'TERM')
    await container.pod.ended(container)
    await sleep(500)
    api.set(container.pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await api.up()
    const apply = await until(() => complete(container.pod.uid), 20_000)
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ exit: { how: 'Exited' } })
  })
})

describe('an agent that is started again while a pod ends', () => {
  test('keeps what the one before had written, and states the gap', async () => {
    const one = await agent()
    const container = await app(['sh', '-c', 'trap "" TERM; echo x > /out/app.start; sleep 1000; true', 'app'])
    const { pod } = container
    await until(() => one.agent.pods.get(pod.uid) !== undefined)
    api.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await sleep(50)
    await pod.runc('kill', container.id, 'TERM')
    await sleep(100)
    await one.stop()
    expect(exists(one.instance)).toBe(false)
    const before = api.applied(pod.uid)
    expect(before.at(-1)?.body.kernel).toMatchObject({ complete: false, containers: [{ stopSignal: { result: 'Ignored' } }] })
    await sleep(200)
    await agent()
    await sleep(200)
    await pod.runc('kill', container.id, 'KILL')
    await pod.ended(container)
    const apply = await until(() => complete(pod.uid))
    expect(apply.body.kernel).toMatchObject({
      gaps: [{ reason: 'the agent was not running' }],
      containers: [
        {
          stopSignal: { result: 'Ignored' },
          passedOn: { result: 'Unknown' },
          kill: { by: 'Runtime' },
          exit: { how: 'Killed' },
        },
      ],
    })
    const [gap] = apply.body.kernel?.gaps ?? []
    const width = (parseTime(gap?.to) ?? 0) - (parseTime(gap?.from) ?? 0)
    expect(width).toBeGreaterThan(200_000)
    expect(width).toBeLessThan(5_000_000)
  })
})

describe('without a trace', () => {
  test('it stays up, says why it is not ready, and begins when it can', async () => {
    const { agent: one } = await agent({ tracing: '/nowhere' })
    expect(one.ready().map(({ name, check }) => [name, check()])).toEqual([
      ['processes', undefined],
      ['trace', expect.stringContaining('/nowhere is no tracefs')],
    ])
    expect(one.live().map(({ check }) => check())).toEqual([undefined])
    expect(logged.filter(({ level }) => level === 'error')).toMatchObject([{ message: 'cannot trace, trying again' }])
    const container = await app()
    await end(container)
    await sleep(500)
    expect(api.applied(container.pod.uid)).toEqual([])
  })
})
