/** Programs that are made to be PID 1, in front of one that handles the stop signal: that they keep it, and pass it on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { measuring } from './support/measuring.ts'
import { ensureCommand } from './support/packages.ts'
import { Runtime } from './support/runtime.ts'
import { mountTracefs } from './support/tracing.ts'

const APP = ['node', '/workload/app.mjs', 'app']
/** Waits in sigwaitinfo(2) with all signals blocked, and passes on what it gets, as such programs do. */
const WAITS = `
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
child = os.fork()
if child == 0:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    got = signal.sigwaitinfo(signal.valid_signals()).si_signo
    if got == signal.SIGCHLD:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child: sys.exit(os.waitstatus_to_exitcode(status))
    else: os.kill(child, got)
`

const mount = mountTracefs()
const runtime = await Runtime.create()
let measure: Awaited<ReturnType<typeof measuring>>
beforeAll(async () => {
  for (const command of ['tini', 'dumb-init', 'python3']) await ensureCommand(command)
  await ensureCommand('s6-svscan', 's6')
  await ensureCommand('busybox', 'busybox-static')
  measure = await measuring(mount.folder)
})
afterAll(async () => {
  await measure.stop()
  await runtime.close()
  mount.unmount()
})

/** As when a pod is deleted: the agent looks at it, then it is sent SIGTERM. How it ended, and what the record would say of it. */
async function stopped(args: readonly string[], pidNamespace?: 'Node') {
  const app = await runtime.pod().run({ args, ...(pidNamespace === undefined ? {} : { pidNamespace }) })
  await app.pod.out('app.start')
  await sleep(50)
  const entry = measure.processes.container(app.id)
  if (entry === undefined) throw new Error('the container is not known')
  measure.collector.look(entry)
  const children = measure.processes.look(entry).processes.slice(1)
  expect(await app.pod.runc('kill', app.id, 'TERM')).toBe(0)
  const end = await app.pod.ended(app)
  return { end, children, found: await measure.summary(app) }
}
const shell = (script: string) => ['sh', '-c', script]

test.each([
  ['tini', ['tini', '--', ...APP], 'Blocked'],
  ['tini, which sends to the whole process group', ['tini', '-g', '--', ...APP], 'Blocked'],
  // It has a handler that does nothing as well, so that the kernel never drops a signal.
  ['dumb-init', ['dumb-init', ...APP], 'Handler'],
  ['a program that waits in sigwaitinfo', ['python3', '-c', WAITS, ...APP], 'Blocked'],
])('%s keeps the signal, and passes it on', async (_, args, disposition) => {
  const { end, found } = await stopped(args)
  expect(found).toMatchObject({
    pidNamespace: 'Container',
    process: { comm: args[0], argv0: args[0], disposition },
    stopSignal: { result: 'Delivered', sender: 'runc' },
    passedOn: { result: 'PassedOn' },
    processes: [{ comm: 'MainThread', parent: 1 }],
    exit: { how: 'Exited' },
  })
  expect(found.processes?.[0]?.signalled).toBeDefined()
  expect(found.processes?.[0]?.leftBehind).toBeUndefined()
  expect(found.kill).toBeUndefined()
  expect(end.code).toBe(0)
})

test('s6-svscan keeps the signal, its supervisor passes it on, and both are told', async () => {
  const run = '#!/bin/sh\\nexec node /workload/app.mjs app\\n'
  const { found } = await stopped(
    shell(`mkdir -p /tmp/scan/app; printf '${run}' > /tmp/scan/app/run; chmod +x /tmp/scan/app/run; exec s6-svscan /tmp/scan`),
  )
  expect(found).toMatchObject({
    process: { comm: 's6-svscan', disposition: 'Blocked' },
    stopSignal: { result: 'Delivered' },
    passedOn: { result: 'PassedOn' },
    processes: [
      { comm: 's6-supervise', parent: 1, signalled: {} },
      { comm: 'MainThread', signalled: {} },
    ],
    exit: { how: 'Exited' },
  })
  expect(found.processes?.[1]?.parent).toBe(found.processes?.[0]?.pid)
  expect(found.processes?.filter(({ leftBehind }) => leftBehind)).toEqual([])
})

test('init of busybox signals everybody; one that has ended and that it never waited for is not left behind', async () => {
  const { found } = await stopped(shell("echo '::respawn:/node/node /workload/app.mjs app' > /etc/inittab; exec busybox init"))
  expect(found).toMatchObject({
    process: { comm: 'busybox', disposition: 'Blocked' },
    stopSignal: { result: 'Delivered' },
    passedOn: { result: 'PassedOn' },
    processes: [{ comm: 'MainThread', parent: 1, signalled: {} }],
    exit: { how: 'Exited' },
  })
  expect(found.signals?.at(-1)).toMatchObject({ name: 'SIGKILL', from: 'Kernel', target: 'MainThread', result: 'Ignored' })
  expect(found.processes?.[0]?.leftBehind).toBeUndefined()
})

test('what has made itself an orphan, in a session of its own, is below PID 1 as well', async () => {
  const trap = "trap 'kill -TERM -1; sleep 0.3; exit 0' TERM"
  const { found } = await stopped(shell(`${trap}; (setsid node /workload/app.mjs app &); while :; do sleep 1000 & wait; done`))
  expect(found).toMatchObject({
    process: { comm: 'sh', disposition: 'Handler' },
    stopSignal: { result: 'Delivered' },
    passedOn: { result: 'PassedOn' },
    exit: { how: 'Exited' },
  })
  expect(found.processes?.find(({ comm }) => comm === 'MainThread')).toMatchObject({ parent: 1, signalled: {} })
  expect(found.processes?.filter(({ leftBehind }) => leftBehind)).toEqual([])
})

/** The main thread has blocked the signal, another thread waits for it. */
const WORKER_WAITS = `
import os, signal, threading
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def wait():
    signal.sigwait([signal.SIGTERM])
    os._exit(0)
threading.Thread(target=wait).start()
open('/out/app.start', 'w').write('x')
`

test('a thread that waits for the signal gets it, which the main thread has blocked', async () => {
  const { end, found } = await stopped(['python3', '-c', WORKER_WAITS])
  expect(end.code).toBe(0)
  expect(found).toMatchObject({
    process: { disposition: 'Blocked' },
    stopSignal: { result: 'Delivered' },
    passedOn: { result: 'NothingBelow' },
    exit: { how: 'Exited' },
  })
  expect(found.kill).toBeUndefined()
})

test('in the PID namespace of the node what is below outlives its parent, and nobody says that the kernel killed it', async () => {
  const { children, found } = await stopped(shell('sleep 1000 & echo x > /out/app.start; wait'), 'Node')
  expect(found).toMatchObject({
    pidNamespace: 'Node',
    process: { comm: 'sh', disposition: 'Default' },
    stopSignal: { result: 'Delivered' },
    passedOn: { result: 'NotPassedOn' },
    processes: [{ comm: 'sleep' }],
    exit: { how: 'Killed' },
  })
  expect(found.processes?.[0]?.leftBehind).toBeUndefined()
  for (const { pid } of children) process.kill(pid, 'SIGKILL')
})
