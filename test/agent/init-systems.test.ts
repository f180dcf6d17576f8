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
  measure = await measuring(mount.folder)
})
afterAll(async () => {
  await measure.stop()
  await runtime.close()
  mount.unmount()
})

test.each([
  ['tini', ['tini', '--', ...APP], 'Blocked'],
  ['tini, which sends to the whole process group', ['tini', '-g', '--', ...APP], 'Blocked'],
  // It has a handler that does nothing as well, so that the kernel never drops a signal.
  ['dumb-init', ['dumb-init', ...APP], 'Handler'],
  ['a program that waits in sigwaitinfo', ['python3', '-c', WAITS, ...APP], 'Blocked'],
])('%s keeps the signal, and passes it on', async (_, args, disposition) => {
  const app = await runtime.pod().run({ args })
  await app.pod.out('app.start')
  await sleep(50)
  const entry = measure.processes.container(app.id)
  if (entry !== undefined) measure.collector.look(entry)
  expect(await app.pod.runc('kill', app.id, 'TERM')).toBe(0)
  const end = await app.pod.ended(app)
  const found = await measure.summary(app)
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
