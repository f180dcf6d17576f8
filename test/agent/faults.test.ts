/** What happens when something goes wrong: the rows of the table in docs/agent.md, each of them a test. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { parseTime } from '../../src/core/time.ts'
import { AgentProcess, buildAgent, selfSigned } from './support/agent-process.ts'
import { Api } from './support/api.ts'
import { DEAF_SHELL, Rig, status, until } from './support/rig.ts'
import { exists, instanceName, instanceOf } from './support/tracing.ts'

const rig = await Rig.create()
const certificate = selfSigned()
const secure = await Api.start(certificate)
const processes: AgentProcess[] = []
buildAgent()
afterEach(async () => {
  await rig.stopAgents()
  for (const one of processes.splice(0)) await one.kill('SIGKILL')
})
afterAll(async () => {
  await secure.down()
  await rig.close()
})

async function shipped(instance: string): Promise<AgentProcess> {
  const options = { apiPort: secure.port, certificate, tracing: rig.mount.folder, instance }
  const one = await AgentProcess.start(options)
  processes.push(one)
  await one.ready()
  return one
}

/** A shell that does not hear SIGTERM, with its app running below it. */
async function deafShell() {
  const container = await rig.runtime.pod().run({ args: DEAF_SHELL })
  const { pod } = container
  await pod.out('app.start')
  return { container, pod }
}

/** The agent sees the pod, then sees it deleted, and then the runtime sends the stop signal. */
async function deleteAndSignal(container: Awaited<ReturnType<typeof deafShell>>['container']): Promise<void> {
  const { pod } = container
  secure.set(pod.uid, { containers: { app: container } })
  await sleep(500)
  secure.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
  await sleep(50)
  await pod.runc('kill', container.id, 'TERM')
}

const trace = async (one: Awaited<ReturnType<Rig['agent']>>) =>
  one.agent
    .ready()
    .find(({ name }) => name === 'trace')
    ?.check()

/** The filter, the clock and whether it is on. */
const settingsOf = (folder: string) =>
  ['trace_clock', 'tracing_on', 'set_event', 'events/signal/signal_generate/filter'].map((file) =>
    readFileSync(join(folder, file), 'utf8'),
  )

const FAULTS: readonly { readonly when: string; readonly what: string; readonly run: () => Promise<void> }[] = [
  {
    when: 'the agent is killed while a pod ends, and started again',
    what: 'the instance stays, and is emptied and used by the next one; what was written stays; the record states the gap and denies nothing that it could have missed',
    async run() {
      const instance = instanceName()
      const where = { folder: rig.mount.folder, instance }
      const one = await shipped(instance)
      const { container, pod } = await deafShell()
      await deleteAndSignal(container)
      const before = await until(() => secure.applied(pod.uid)[0])
      expect(before.body.kernel).toMatchObject({ complete: false, containers: [{ stopSignal: { result: 'Ignored' } }] })
      await one.kill('SIGKILL')
      expect(exists(where)).toBe(true)
      await sleep(300)
      await shipped(instance)
      await pod.runc('kill', container.id, 'KILL')
      await pod.ended(container)
      const { body } = await until(() => secure.applied(pod.uid).find((apply) => apply.body.kernel?.complete))
      expect(body.kernel).toMatchObject({
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
      expect(body.kernel?.containers?.[0]?.stopSignal).toEqual(before.body.kernel?.containers?.[0]?.stopSignal)
      const [gap] = body.kernel?.gaps ?? []
      expect((parseTime(gap?.to) ?? 0) - (parseTime(gap?.from) ?? 0)).toBeGreaterThan(300_000)
    },
  },
  {
    when: 'the agent is killed before it has written of a pod that ends',
    what: 'the next one says from when on it has seen anything, and has no stop signal',
    async run() {
      const instance = instanceName()
      const one = await shipped(instance)
      const { container, pod } = await deafShell()
      secure.set(pod.uid, { containers: { app: container }, deletedAt: new Date() })
      await sleep(300)
      await pod.runc('kill', container.id, 'TERM')
      const sentBy = Date.now()
      await one.kill('SIGKILL')
      expect(secure.applied(pod.uid)).toEqual([])
      await shipped(instance)
      await pod.runc('kill', container.id, 'KILL')
      await pod.ended(container)
      const { body } = await until(() => secure.applied(pod.uid).find((apply) => apply.body.kernel?.complete))
      expect((parseTime(body.kernel?.tracedFrom) ?? 0) / 1000).toBeGreaterThan(sentBy)
      const [found] = body.kernel?.containers ?? []
      expect([found?.stopSignal, found?.passedOn]).toEqual([undefined, undefined])
      expect(found).toMatchObject({ kill: { by: 'Runtime' }, exit: { how: 'Killed' } })
    },
  },
  {
    when: 'the agent is stopped',
    what: 'it writes what it has, removes the instance and ends with 0',
    async run() {
      const instance = instanceName()
      const one = await shipped(instance)
      const { container, pod } = await deafShell()
      await deleteAndSignal(container)
      await sleep(50)
      expect(await one.kill('SIGTERM'), one.output).toBe(0)
      expect(exists({ folder: rig.mount.folder, instance })).toBe(false)
      expect(secure.applied(pod.uid).at(-1)?.body.kernel).toMatchObject({
        complete: false,
        containers: [{ stopSignal: { result: 'Ignored' } }],
      })
    },
  },
  {
    when: 'the API server is away',
    what: 'what ends meanwhile is measured and kept, and written when it is back',
    async run() {
      const { agent } = await rig.agent()
      const containers = [await rig.app(), await rig.app(), await rig.app()]
      await until(() => agent.pods.size >= containers.length)
      for (const container of containers)
        rig.api.set(container.pod.uid, { containers: { app: container }, deletedAt: new Date() })
      await sleep(100)
      await rig.api.down()
      for (const container of containers) {
        await container.pod.runc('kill', container.id, 'TERM')
        await container.pod.ended(container)
      }
      await sleep(3000)
      await rig.api.up()
      for (const { pod } of containers) {
        const { body } = await until(() => rig.complete(pod.uid), 20_000)
        expect(body.kernel?.gaps).toBeUndefined()
        expect(body.kernel?.containers?.[0]).toMatchObject({ stopSignal: { result: 'Delivered' }, exit: { how: 'Exited' } })
      }
      expect(agent.reporter.stats.dropped).toBe(0)
    },
  },
  {
    when: 'tracefs is not mounted',
    what: 'it stays up, is not ready and says why and what to do; it begins within ten seconds of the mount, and what ended before is in no record',
    async run() {
      const folder = mkdtempSync(join(tmpdir(), 'gracewatch-agent-unmounted-'))
      const one = await rig.agent({ tracing: folder })
      expect(await trace(one)).toContain(`${folder} is no tracefs: mount it on the node`)
      expect(one.agent.live().map(({ check }) => check())).toEqual([undefined])
      expect(rig.logged.filter(({ level }) => level === 'error')).toMatchObject([{ message: 'cannot trace, trying again' }])
      const early = await rig.app()
      await rig.end(early)
      execFileSync('/bin/mount', ['-t', 'tracefs', 'tracefs', folder])
      try {
        while ((await trace(one)) !== undefined) await sleep(100)
        const late = await rig.app()
        await rig.end(late)
        const { body } = await until(() => rig.complete(late.pod.uid))
        expect(body.kernel?.containers?.[0]).toMatchObject({ stopSignal: { result: 'Delivered' }, exit: { how: 'Exited' } })
        expect(rig.api.applied(early.pod.uid)).toEqual([])
        await one.stop()
      } finally {
        execFileSync('/bin/umount', ['--lazy', folder])
        rmdirSync(folder)
      }
    },
  },
  {
    when: 'tracefs is mounted read-only for the agent',
    what: 'it stays up, is not ready and says so',
    async run() {
      const folder = mkdtempSync(join(tmpdir(), 'gracewatch-agent-read-only-'))
      execFileSync('/bin/mount', ['--bind', rig.mount.folder, folder])
      execFileSync('/bin/mount', ['-o', 'remount,bind,ro', folder])
      try {
        const one = await rig.agent({ tracing: folder })
        expect(await trace(one)).toContain('tracefs is mounted read-only for the agent')
        expect(one.agent.live().map(({ check }) => check())).toEqual([undefined])
        await one.stop()
      } finally {
        execFileSync('/bin/umount', [folder])
        rmdirSync(folder)
      }
    },
  },
  {
    when: 'a second agent is started on the node',
    what: 'it is not ready and says so; the first one goes on undisturbed',
    async run() {
      const { agent, instance } = await rig.agent()
      const second = await rig.agent({ instance: instance.instance })
      expect(await trace(second)).toContain('another process reads this instance; is there a second agent?')
      const container = await rig.app()
      await rig.end(container)
      const { body } = await until(() => rig.complete(container.pod.uid))
      expect(body.kernel?.gaps).toBeUndefined()
      expect(rig.api.applied(container.pod.uid)).toHaveLength(1)
      expect(agent.collector.stats.malformed).toBe(0)
      await second.stop()
      expect(exists(instance)).toBe(true)
    },
  },
  {
    when: "another program changes the agent's instance",
    what: 'it is set right within ten seconds, and the records that it touches state the gap',
    async run() {
      const { instance } = await rig.agent()
      const container = await rig.app(DEAF_SHELL)
      await rig.beginEnd(container)
      await sleep(100)
      const filter = join(instanceOf(instance), 'events/signal/signal_generate/filter')
      const right = readFileSync(filter, 'utf8')
      writeFileSync(filter, 'sig==1')
      await until(() => readFileSync(filter, 'utf8') === right, 15_000)
      await rig.kill(container)
      const { body } = await until(() => rig.complete(container.pod.uid))
      expect(body.kernel).toMatchObject({
        gaps: [{ reason: 'another program had changed the trace of the agent' }],
        containers: [{ stopSignal: { result: 'Ignored' }, passedOn: { result: 'Unknown' }, kill: { by: 'Runtime' } }],
      })
    },
  },
  {
    when: 'other programs trace as well',
    what: 'their instances and the top-level trace are as they were, while the agent runs and after',
    async run() {
      const other = join(rig.mount.folder, 'instances', instanceName())
      mkdirSync(other)
      try {
        writeFileSync(join(other, 'trace_clock'), 'boot')
        writeFileSync(join(other, 'events/signal/signal_generate/filter'), 'sig==10')
        writeFileSync(join(other, 'events/signal/signal_generate/enable'), '1')
        const before = [settingsOf(other), settingsOf(rig.mount.folder)]
        const { stop } = await rig.agent()
        const container = await rig.app()
        await container.pod.runc('kill', container.id, 'USR1')
        await rig.end(container)
        await until(() => rig.complete(container.pod.uid))
        expect([settingsOf(other), settingsOf(rig.mount.folder)]).toEqual(before)
        await stop()
        expect([settingsOf(other), settingsOf(rig.mount.folder)]).toEqual(before)
        expect(readFileSync(join(other, 'trace'), 'utf8')).toContain(`sig=10 `)
      } finally {
        rmdirSync(other)
      }
    },
  },
  {
    when: 'the namespace is being deleted',
    what: "the record goes to the controller's namespace",
    async run() {
      await rig.agent()
      const container = await rig.app()
      rig.api.refusals.push(
        status(403, 'Forbidden', 'podterminations "x" is forbidden: unable to create new content in namespace shop', [
          { reason: 'NamespaceTerminating', message: 'namespace shop is being terminated' },
        ]),
      )
      await rig.end(container)
      const apply = await until(() => rig.complete(container.pod.uid))
      expect(apply.path).toMatch(/namespaces\/gracewatch-system\/podterminations\/shop\.pod-/)
      expect(apply.body.pod.namespace).toBe('shop')
    },
  },
  {
    when: 'the CRD does not know the field kernel',
    what: 'nothing is written in its place; it is counted, and told in the log',
    async run() {
      const { agent } = await rig.agent()
      const container = await rig.app()
      const message = 'failed to create typed patch object (shop/x): .kernel: field not declared in schema'
      rig.api.refusals.push(status(500, 'InternalError', message))
      await rig.end(container)
      await until(() => agent.reporter.stats.refused.Invalid === 1)
      expect(rig.api.refusals).toEqual([])
      expect(rig.api.applied(container.pod.uid)).toEqual([])
      expect(agent.reporter.stats.dropped).toBe(1)
      expect(rig.logged.map((line) => line.message)).toContain('records refused')
    },
  },
]

describe('when', () => {
  test.each(FAULTS)('$when: $what', ({ run }) => run())

  test('the table of the documentation has these rows, and no other', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../docs/agent.md'), 'utf8')
    const section = page.slice(page.indexOf('## What happens when'))
    const rows = section.slice(0, section.indexOf('\n## ', 1)).matchAll(/^\| (.+?) \| (.+?) \|$/gm)
    expect([...rows].map(([, when, what]) => `${when}: ${what}`)).toEqual(FAULTS.map(({ when, what }) => `${when}: ${what}`))
  })
})
