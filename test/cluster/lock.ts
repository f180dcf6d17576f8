import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { codeOf } from './errors.ts'
import { ancestry } from './processes.ts'
import type { Progress } from './progress.ts'

/** Who has the cluster to itself at the moment. */
const holderSchema = z.object({ pid: z.number(), command: z.string() })
export type Holder = z.infer<typeof holderSchema>

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

/** The present holder, if there is one. */
async function askHolder(path: string): Promise<Holder | undefined> {
  const socket = connect({ path })
  try {
    let text = ''
    socket.setEncoding('utf8')
    for await (const chunk of socket) {
      text += chunk
      if (text.endsWith('\n')) break
    }
    const parsed = holderSchema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

async function tryListen(path: string, holder: Holder): Promise<Lock | undefined> {
  const connections = new Set<import('node:net').Socket>()
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
