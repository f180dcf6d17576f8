import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { codeOf } from './errors.ts'
import { ancestry, listProcesses, openFiles } from './processes.ts'
import type { Progress } from './progress.ts'

/** Who has the cluster to itself at the moment. */
const holderSchema = z.object({ pid: z.number(), command: z.string() })
type Holder = z.infer<typeof holderSchema>

const HOLDER_ANSWERS_WITHIN_MS = 3_000

export interface Lock {
  release(): Promise<void>
}

/**
 * One command at a time may change or use the cluster; the others wait here until it has ended, and say for whom.
 *
 * The lock is a listening socket in Linux's abstract namespace: the kernel gives it to one process only and takes it back
 * when that process ends in whatever way, so that there is no stale lock to judge. Who connects is told the holder, and
 * learns of the release by the connection's end. A child of the holder (a test runner's worker) shares its lock.
 */
export async function acquireLock(name: string, command: string, progress: Progress): Promise<Lock> {
  const path = `\0${name}`
  let waitedFor: number | undefined
  for (;;) {
    const lock = await tryListen(path, { pid: process.pid, command })
    if (lock) return lock
    const holder = await askHolder(path)
    if (!holder) {
      // Between our attempt and the question the holder has ended: the next attempt gets it.
      await sleep(20)
      continue
    }
    if (ancestry().includes(holder.pid)) return { release: async () => undefined }
    if (waitedFor !== holder.pid) progress.say(`the cluster is in use by "${holder.command}" (pid ${holder.pid})`)
    waitedFor = holder.pid
    await progress.step(`waiting for "${holder.command}" (pid ${holder.pid}) to end`, () => released(path))
  }
}

/** The present holder; undefined if there is none any more. One that is too busy to answer is looked up. */
async function askHolder(path: string): Promise<Holder | undefined> {
  const socket = connect({ path })
  let answered = true
  socket.setTimeout(HOLDER_ANSWERS_WITHIN_MS, () => {
    answered = false
    socket.destroy()
  })
  try {
    let text = ''
    socket.setEncoding('utf8')
    for await (const chunk of socket) {
      text += chunk
      if (text.endsWith('\n')) break
    }
    return holderSchema.parse(JSON.parse(text))
  } catch {
    return answered ? undefined : socketOwner(path)
  } finally {
    socket.destroy()
  }
}

/** Who listens on an abstract socket, by what the kernel tells of it. */
function socketOwner(path: string): Holder | undefined {
  // Num RefCount Protocol Flags Type St Inode Path, where an abstract path starts with @ and may hold spaces.
  const lines = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  const inodes = lines
    .filter((fields) => fields.slice(7).join(' ') === `@${path.slice(1)}`)
    .map((fields) => `socket:[${fields[6]}]`)
  const owner = listProcesses().find(({ id }) => openFiles(id.pid).some((target) => inodes.includes(target)))
  return owner && { pid: owner.id.pid, command: owner.args.join(' ') }
}

async function tryListen(path: string, holder: Holder): Promise<Lock | undefined> {
  const connections = new Set<Socket>()
  const server: Server = createServer((socket) => {
    connections.add(socket)
    socket.unref()
    socket.on('close', () => connections.delete(socket)).on('error', () => socket.destroy())
    socket.write(`${JSON.stringify(holder)}\n`)
  })
  server.listen({ path })
  try {
    await once(server, 'listening')
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return undefined
    throw error
  }
  // The lock lives as long as the process; it must not keep the process alive.
  server.unref()
  return {
    async release() {
      for (const socket of connections) socket.destroy()
      await new Promise<void>((done) => server.close(() => done()))
    },
  }
}

async function released(path: string): Promise<void> {
  const socket = connect({ path })
  socket.resume()
  await new Promise<void>((done) => {
    socket.on('close', () => done()).on('error', () => done())
  })
}
