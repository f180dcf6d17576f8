import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Raw } from './api.ts'
import type { World } from './world.ts'

const SYSTEM = 'gracewatch-agent-system'

interface Memory {
  readonly resident: number
  readonly peak: number
}

/** The installed agent of the node, as something to kill and to weigh. */
export class Agent {
  readonly #world: World
  #before: Memory | undefined

  constructor(world: World) {
    this.#world = world
  }

  async ready(): Promise<void> {
    await this.#world.observations.waitFor(() => this.#pods().some(isReady), 120, 'a ready pod of the agent')
  }

  /** SIGKILL; the kubelet starts its container again. Returns once the new process reads the trace. */
  async kill(): Promise<void> {
    const [pid, before] = [this.pid(), this.#containerId()]
    if (pid === undefined) throw new Error('no process of the agent is known')
    // By then it has followed most of the scenarios: the one after it begins anew.
    this.#before = this.memory()
    process.kill(pid, 'SIGKILL')
    await this.#world.observations.waitFor(
      () => this.#containerId() !== before && this.#pods().some(isReady),
      60,
      'the agent started again',
    )
  }

  /** Resident memory in bytes: now, or before it was killed where that was more, and at its highest. */
  memory(): Memory | undefined {
    const pid = this.pid()
    if (pid === undefined) return this.#before
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024
    const { resident, peak } = this.#before ?? { resident: 0, peak: 0 }
    return { resident: Math.max(bytes('VmRSS'), resident), peak: Math.max(bytes('VmHWM'), peak) }
  }

  pid(): number | undefined {
    const id = this.#containerId()
    return id === undefined ? undefined : (this.#world.processes.firstOf(id) ?? this.#world.processes.oldestOf(id))
  }

  #containerId(): string | undefined {
    const status = this.#pods()[0]?.status?.containerStatuses?.[0]
    return status?.state?.running === undefined ? undefined : basename(status.containerID)
  }

  #pods(): Raw[] {
    return this.#world.observations
      .podsIn(SYSTEM)
      .filter(({ type, object }) => type !== 'DELETED' && object.metadata.deletionTimestamp === undefined)
      .map(({ object }) => object)
  }
}

function isReady({ status }: Raw): boolean {
  return status?.conditions?.some(({ type, status: is }: Raw) => type === 'Ready' && is === 'True')
}
