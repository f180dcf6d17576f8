/** Who sent a signal, where the sender is gone, and what was below: lines of the trace as a kernel writes them, and a /proc of files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Collector } from '../../../src/agent/collector.ts'
import type { ContainerEntry } from '../../../src/agent/processes.ts'
import { Processes } from '../../../src/agent/processes.ts'
import { Procfs } from '../../../src/agent/procfs.ts'
import type { TraceLine } from '../../../src/core/kernel/parse.ts'
import { SIGCHLD, SIGKILL } from '../../../src/core/kernel/signals.ts'

const PID_MAX = 32_768
const ID = 'a'.repeat(64)
const POD = '11111111-2222-3333-4444-555555555555'
const [SHIM, APP, CHILD, RUNC] = [100, 200, 201, 300]
const CGROUP = `/kubepods/pod${POD}/${ID}`
const EXITING = 4
const SHIM_NAME = 'containerd-shim'

let root: string
let mono: number
let collector: Collector
let processes: Processes

function put(pid: number, comm: string, parent: number, cgroup: string, nsPids: string, flags = 0) {
  const folder = join(root, String(pid))
  mkdirSync(join(folder, 'task', String(pid)), { recursive: true })
  const masks = ['SigCgt', 'SigIgn', 'SigBlk'].map((name) => `${name}:\t0000000000000000`).join('\n')
  const status = `Name:\t${comm}\nState:\tS (sleeping)\nTgid:\t${pid}\nPPid:\t${parent}\nNSpid:\t${nsPids}\n${masks}\n`
  writeFileSync(join(folder, 'cgroup'), `0::${cgroup}\n`)
  writeFileSync(join(folder, 'status'), status)
  writeFileSync(join(folder, 'stat'), `${pid} (${comm}) S ${parent}${' 0'.repeat(4)} ${flags}${' 0'.repeat(12)} ${pid} 0\n`)
  writeFileSync(join(folder, 'comm'), `${comm}\n`)
  writeFileSync(join(folder, 'cmdline'), '')
  writeFileSync(join(folder, 'task', String(pid), 'children'), '')
}

const started = (count: number) => writeFileSync(join(root, 'stat'), `cpu 0\nprocesses ${count}\n`)

const kill = (at: number): TraceLine => ({
  ...{ type: 'Signal', cpu: 0, mono: at, number: SIGKILL, code: 0, result: 0, group: true },
  ...{ sender: { pid: RUNC, comm: 'runc' }, target: { pid: APP, comm: 'sleep' } },
})
const threadEnd = (at: number): TraceLine => ({ type: 'ThreadExit', cpu: 0, mono: at, pid: RUNC, comm: 'runc' })
const parentTold = (at: number, comm: string | undefined = 'runc'): TraceLine => ({
  ...{ type: 'Signal', cpu: 0, mono: at, number: SIGCHLD, code: 1, result: 0, group: true },
  ...{ sender: comm === undefined ? { pid: RUNC } : { pid: RUNC, comm }, target: { pid: SHIM, comm: SHIM_NAME } },
})

function take(...lines: TraceLine[]) {
  for (const line of lines) {
    if ('mono' in line) mono = line.mono
    collector.take([line])
  }
}

function senders() {
  const entry = processes.container(ID) as ContainerEntry // scanned in beforeEach
  return collector.evidence(entry).facts.flatMap((fact) => (fact.type === 'Signal' ? [fact.sender.origin] : []))
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'gracewatch-proc-'))
  mkdirSync(join(root, 'sys/kernel'), { recursive: true })
  writeFileSync(join(root, 'sys/kernel/pid_max'), `${PID_MAX}\n`)
  started(1000)
  put(1, 'init', 0, '/', '1')
  put(SHIM, SHIM_NAME, 1, '/system.slice/containerd.service', String(SHIM))
  put(APP, 'sleep', SHIM, CGROUP, `${APP}\t1`)
  writeFileSync(join(root, `${SHIM}/task/${SHIM}/children`), `${APP} `)
  mono = 1_000_000
  const proc = new Procfs(root)
  const on = { container: () => undefined, exec: () => undefined }
  processes = new Processes(proc, () => mono, on)
  await processes.scan()
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
  const nothing = () => undefined
  collector = new Collector({ proc, processes, mono: () => mono, log, onFact: nothing, onUnknownEnd: nothing })
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

test('the runtime, whose command ends a moment later', () => {
  take(kill(2_000_000), threadEnd(2_001_000), parentTold(2_001_100))
  expect(senders()).toEqual(['Runtime'])
})

test('the runtime, where its command waits for its turn for seconds between its end and the word to its parent', () => {
  take(kill(2_000_000), threadEnd(2_001_000), parentTold(7_000_000))
  expect(senders()).toEqual(['Runtime'])
})

test('nobody can tell, where the id can have been given anew since the command ended', () => {
  take(kill(2_000_000), threadEnd(2_001_000))
  started(1000 + PID_MAX * 0.6)
  take(parentTold(7_000_000))
  expect(senders()).toEqual(['Unknown'])
})

test('nobody can tell, where the end of what may be the runtime by its name was not seen', () => {
  take(kill(2_000_000), parentTold(2_001_100))
  expect(senders()).toEqual(['Unknown'])
})

test('a program of the container, which is a child of the shim as well', () => {
  const exec = { ...kill(2_000_000), sender: { pid: RUNC, comm: 'sh' } } as TraceLine // a signal with another sender
  take(exec, parentTold(2_001_100, 'sh'))
  expect(senders()).toEqual(['Container'])
})

/** A child of the container process, which kills it. */
const below = () => {
  put(CHILD, 'sleep', APP, CGROUP, `${CHILD}\t2`)
  writeFileSync(join(root, `${APP}/task/${APP}/children`), `${CHILD} `)
}
const killBelow = (at: number) =>
  ({ ...kill(at), sender: { pid: APP, comm: 'sh' }, target: { pid: CHILD, comm: 'sleep' } }) as TraceLine // with others
const entry = () => processes.container(ID) as ContainerEntry // scanned in beforeEach
const facts = () => collector.evidence(entry()).facts

test.each([
  [true, 'Below'],
  // By what it says of itself it may as well be an exec.
  [false, 'Unknown'],
])('a child that is gone when its SIGKILL is read is known where it was met before: %s', (met, part) => {
  below()
  if (met) processes.meet(entry())
  rmSync(join(root, String(CHILD)), { recursive: true })
  take(killBelow(2_000_000))
  expect(facts()).toMatchObject([
    { type: 'Signal', target: { pid: CHILD, part }, sender: { origin: 'Container', part: 'First' } },
  ])
})

test('processes are not met again at each change of their pod', () => {
  const again = () => {
    processes.meet(entry())
    return processes.known(CHILD) !== undefined
  }
  expect(again()).toBe(false)
  below()
  mono += 1_000_000
  expect(again()).toBe(false)
  mono += 5_000_000
  expect(again()).toBe(true)
})

test.each([
  [0, [APP, CHILD], undefined],
  [EXITING, [APP, CHILD], true],
])('a look says whether the container process was ending by its end (flags %i)', (flags, pids, partial) => {
  below()
  put(APP, 'sh', SHIM, CGROUP, `${APP}\t1`, flags)
  writeFileSync(join(root, `${APP}/task/${APP}/children`), `${CHILD} `)
  collector.look(entry())
  const [look] = facts()
  expect(look).toMatchObject({ type: 'Look', processes: pids.map((pid) => ({ pid })) })
  expect(look?.type === 'Look' ? look.partial : 'no look').toBe(partial)
})

test('a process whose parent ends during the look is found where it then is', () => {
  const GRANDCHILD = 202
  below()
  put(GRANDCHILD, 'node', CHILD, CGROUP, `${GRANDCHILD}\t3`)
  // Between the question for the children of the container process and that for those of its child, the child ends.
  class Moving extends Procfs {
    override children(pid: number): number[] {
      const children = super.children(pid)
      if (pid === CHILD) {
        put(CHILD, 'sh', APP, CGROUP, `${CHILD}\t2`, EXITING)
        put(GRANDCHILD, 'node', APP, CGROUP, `${GRANDCHILD}\t3`)
        writeFileSync(join(root, `${APP}/task/${APP}/children`), `${CHILD} ${GRANDCHILD} `)
      }
      return children
    }
  }
  const nothing = () => undefined
  const moving = new Processes(new Moving(root), () => mono, { container: nothing, exec: nothing })
  moving.find(APP)
  const { processes: found, more } = moving.look(moving.container(ID) as ContainerEntry) // found right above
  expect(found.map(({ pid, nsParent }) => [pid, nsParent])).toEqual([
    [APP, 0],
    [CHILD, 1],
    [GRANDCHILD, 1],
  ])
  expect(more).toBe(0)
})
