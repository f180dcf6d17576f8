import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterError } from './errors.ts'

/** A process beyond doubt: a pid can be reused, the pair of pid and start time within one boot cannot. */
export interface ProcessId {
  readonly pid: number
  /** Field 22 of /proc/<pid>/stat: clock ticks from the boot to the start, as text. */
  readonly startTicks: string
}

interface Stat {
  /** One letter: R, S, D, T (stopped), Z (zombie), ... */
  readonly state: string
  readonly parent: number
  readonly startTicks: string
}

function readStat(pid: number): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The command name stands in parentheses and may hold spaces and parentheses itself: count from its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, parent] = fields
  const startTicks = fields[19]
  return state && parent && startTicks ? { state, parent: Number(parent), startTicks } : undefined
}

/** The identity of a running process, or undefined if there is none under this pid (a zombie counts as none). */
export function identify(pid: number): ProcessId | undefined {
  const stat = readStat(pid)
  return stat && stat.state !== 'Z' ? { pid, startTicks: stat.startTicks } : undefined
}

/** The first thread of a killed process can be a zombie while others still hold its ports and mounts. */
function hasOtherThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false
  }
}

export function stateOf(id: ProcessId): 'running' | 'paused' | 'gone' {
  const stat = readStat(id.pid)
  if (!stat || stat.startTicks !== id.startTicks || stat.state === 'X') return 'gone'
  if (stat.state === 'Z') return hasOtherThreads(id.pid) ? 'running' : 'gone'
  return stat.state === 'T' ? 'paused' : 'running'
}

/** Sends a signal to exactly this process; false if it is no longer there. */
export function signal(id: ProcessId, name: NodeJS.Signals): boolean {
  if (stateOf(id) === 'gone') return false
  try {
    return process.kill(id.pid, name)
  } catch {
    return false
  }
}

export interface StartOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Standard output and error are appended to it. */
  readonly logFile: string
}

/** Starts a process in a session of its own, which outlives the harness. */
export async function startDetached(options: StartOptions): Promise<ProcessId> {
  const log = openSync(options.logFile, 'a')
  try {
    const child = spawn(options.command, options.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: options.env,
      cwd: options.cwd,
    })
    await once(child, 'spawn')
    child.unref()
    // Node has not reaped the child yet, so that the pid is still this child's even if it has ended already.
    const stat = child.pid === undefined ? undefined : readStat(child.pid)
    if (child.pid === undefined || stat === undefined) throw new Error('it was gone at once')
    return { pid: child.pid, startTicks: stat.startTicks }
  } catch (error) {
    throw new ClusterError(`${options.command} could not be started: ${error instanceof Error ? error.message : error}`)
  } finally {
    closeSync(log)
  }
}

/** Waits until the process is gone; false if it is still there after `timeoutMs`. */
async function waitUntilGone(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (stateOf(id) !== 'gone') {
    if (performance.now() > deadline) return false
    await sleep(25)
  }
  return true
}

/** SIGTERM, and SIGKILL after `graceMs`. A paused process is continued first, or it would never see the SIGTERM. */
export async function stop(id: ProcessId, graceMs: number): Promise<void> {
  if (!signal(id, 'SIGTERM')) return
  signal(id, 'SIGCONT')
  if (await waitUntilGone(id, graceMs)) return
  await kill(id)
}

export async function kill(id: ProcessId): Promise<void> {
  if (!signal(id, 'SIGKILL')) return
  if (!(await waitUntilGone(id, 10_000)))
    throw new ClusterError(`process ${id.pid} is still there 10 s after SIGKILL: look at /proc/${id.pid}/stack`)
}

/** Every process of the machine with its command line; those that end meanwhile are left out. */
export function listProcesses(): Array<{ readonly id: ProcessId; readonly parent: number; readonly args: readonly string[] }> {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    const pid = Number(name)
    const stat = readStat(pid)
    if (!stat || stat.state === 'Z') return []
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
      return [{ id: { pid, startTicks: stat.startTicks }, parent: stat.parent, args }]
    } catch {
      return []
    }
  })
}

/** What a process's file descriptors lead to: paths, `socket:[inode]`, ... */
export function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`
  try {
    return readdirSync(folder).flatMap((name) => {
      try {
        return [readlinkSync(`${folder}/${name}`)]
      } catch {
        return []
      }
    })
  } catch {
    return []
  }
}

/** The pids from this process up to the first, this one included. */
export function ancestry(pid: number = process.pid): number[] {
  const chain: number[] = []
  for (let at = pid; at > 0 && !chain.includes(at); at = readStat(at)?.parent ?? 0) chain.push(at)
  return chain
}
