import { type ChildProcess, spawn } from 'node:child_process'
import { type Micros, parseTime } from '../../../src/core/time.ts'

interface TaskEvent {
  readonly topic: '/tasks/start' | '/tasks/exit'
  readonly containerId: string
  readonly pid?: number
  readonly exitStatus?: number
  /** Of an exit: when the shim had learnt of it, in microseconds of the wall clock. */
  readonly exitedAt?: Micros
  /** Of an exit: the id of the process, which is the container's own for its first process. */
  readonly id?: string
}

/** containerd's own command; it comes with containerd. */
const CTR = 'ctr'

const LINE = /(\/tasks\/(?:start|exit)) (\{.*\})\s*$/

/** One line of `ctr events`; undefined for the topics that say nothing about an end. */
function parseTaskEvent(line: string): TaskEvent | undefined {
  const match = LINE.exec(line)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  const body: { container_id?: string; pid?: number; exit_status?: number; exited_at?: string; id?: string } = JSON.parse(
    match[2],
  )
  if (body.container_id === undefined) return undefined
  return {
    topic: match[1] as TaskEvent['topic'], // the expression lets no other through
    containerId: body.container_id,
    ...(body.pid === undefined ? {} : { pid: body.pid }),
    // Zero is left out of the JSON.
    ...(match[1] === '/tasks/exit' ? { exitStatus: body.exit_status ?? 0 } : {}),
    ...(body.exited_at === undefined ? {} : { exitedAt: parseTime(body.exited_at) ?? 0 }),
    ...(body.id === undefined ? {} : { id: body.id }),
  }
}

/** containerd's own events: which process a container's first one was, and how it exited. */
export class RuntimeEvents {
  readonly #reader: ChildProcess
  readonly #exits = new Map<string, { code: number; at: Micros }>()
  #rest = ''

  constructor(address: string, onStart: (containerId: string, pid: number) => void) {
    this.#reader = spawn(CTR, ['--address', address, '--namespace', 'k8s.io', 'events'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#reader.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) {
        const event = parseTaskEvent(line)
        if (event === undefined) continue
        if (event.topic === '/tasks/start' && event.pid !== undefined) onStart(event.containerId, event.pid)
        const { exitStatus, exitedAt } = event
        if (event.id === event.containerId && exitStatus !== undefined && exitedAt !== undefined) {
          this.#exits.set(event.containerId, { code: exitStatus, at: exitedAt })
        }
      }
    })
  }

  /** How the container's first process ended, and when the shim had learnt of it. */
  exitOf(containerId: string): { readonly code: number; readonly at: Micros } | undefined {
    return this.#exits.get(containerId)
  }

  async stop(): Promise<void> {
    const gone = new Promise((done) => this.#reader.once('close', done))
    if (this.#reader.exitCode === null && this.#reader.signalCode === null) {
      this.#reader.kill('SIGKILL')
      await gone
    }
  }
}
