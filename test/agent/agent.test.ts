/** The agent as a whole, on real containers of this machine; only the API server is one of this test's. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { kernelSchema } from '../../src/api/kernel.ts'
import { DEAF_SHELL, Rig, status, until } from './support/rig.ts'

const rig = await Rig.create()
afterEach(() => rig.stopAgents())
afterAll(() => rig.close())

describe('a pod that ends', () => {
  test('is written of once, right after its last container has ended', async () => {
    await rig.agent()
    const container = await rig.app()
    const { uid } = container.pod
    await rig.end(container)
    const ended = performance.now()
    const apply = await until(() => rig.complete(uid))
    console.log(`written ${Math.round(apply.at - ended)} ms after the end`)
    expect(apply.at - ended).toBeLessThan(500)
    rig.api.remove(uid)
    await sleep(300)
    expect(rig.api.applied(uid)).toHaveLength(1)
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
    await rig.agent()
    const container = await rig.app(DEAF_SHELL)
    const { pod } = container
    rig.api.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await sleep(20)
    await pod.runc('kill', container.id, 'TERM')
    const first = await until(() => rig.api.applied(pod.uid)[0])
    expect(first.body.kernel).toMatchObject({
      complete: false,
      containers: [{ stopSignal: { result: 'Ignored' }, passedOn: { result: 'NotPassedOn' } }],
    })
    expect(first.body.kernel?.containers?.[0]?.exit).toBeUndefined()
    await sleep(6000)
    expect(rig.api.applied(pod.uid)).toHaveLength(1)
    await pod.runc('kill', container.id, 'KILL')
    const last = await until(() => rig.complete(pod.uid))
    expect(last.body.kernel?.containers?.[0]).toMatchObject({ kill: { by: 'Runtime' }, exit: { how: 'Killed' } })
    expect(rig.api.applied(pod.uid)).toHaveLength(2)
  })

  test('without a delete, as Failed, is written of; one that succeeds is not', async () => {
    await rig.agent()
    const [failed, succeeded] = [await rig.app(), await rig.app()]
    for (const [container, phase] of [
      [failed, 'Failed'],
      [succeeded, 'Succeeded'],
    ] as const) {
      await container.pod.runc('kill', container.id, 'TERM')
      await container.pod.ended(container)
      rig.api.set(container.pod.uid, { containers: { app: container }, phase })
    }
    const apply = await until(() => rig.complete(failed.pod.uid))
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ stopSignal: { name: 'SIGTERM' }, exit: { how: 'Exited' } })
    await sleep(300)
    expect(rig.api.applied(succeeded.pod.uid)).toEqual([])
  })

  test('whose object is gone before its containers are is followed to its end', async () => {
    await rig.agent()
    const container = await rig.app()
    const { pod } = container
    rig.api.remove(pod.uid)
    await sleep(300)
    await pod.runc('kill', container.id, 'TERM')
    await pod.ended(container)
    const apply = await until(() => rig.complete(pod.uid))
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ name: 'app', stopSignal: { result: 'Delivered' } })
  })
})

describe('a record', () => {
  test("as another pod's record has the name, it takes the full UID", async () => {
    await rig.agent()
    const container = await rig.app()
    rig.api.refusals.push(
      status(409, 'Conflict', 'Apply failed with 1 conflict: conflict with "gracewatch-controller": .pod.uid'),
    )
    await rig.end(container)
    const apply = await until(() => rig.complete(container.pod.uid))
    expect(apply.path.endsWith(`.${container.pod.uid}`)).toBe(true)
  })

  test('as the delete came while the API server was away, it is known from what was kept', async () => {
    const { agent: one } = await rig.agent()
    const container = await rig.app()
    await until(() => one.pods.get(container.pod.uid) !== undefined)
    await rig.api.down()
    await container.pod.runc('kill', container.id, 'TERM')
    await container.pod.ended(container)
    await sleep(500)
    rig.api.set(container.pod.uid, { containers: { app: container }, deletedAt: new Date() })
    await rig.api.up()
    const apply = await until(() => rig.complete(container.pod.uid), 20_000)
    expect(apply.body.kernel?.containers?.[0]).toMatchObject({ exit: { how: 'Exited' } })
  })
})
