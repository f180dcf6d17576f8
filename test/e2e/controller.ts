import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { API_SERVICE_ADDRESS, PORTS } from '../cluster/layout.ts'
import type { Raw } from './api.ts'
import { NFT_TABLE } from './leftovers.ts'
import type { World } from './world.ts'

export const SYSTEM = 'gracewatch-system'
const DEPLOYMENT = `/apis/apps/v1/namespaces/${SYSTEM}/deployments/gracewatch-controller`
const REPLICAS = 2

const run = promisify(execFile)

/** The installed controller, as something to kill, to send away and to cut off. */
export class Controller {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  async ready(): Promise<void> {
    await this.#world.observations.waitFor(
      () => this.#readyPods().length >= REPLICAS,
      120,
      `${REPLICAS} ready pods of the controller`,
    )
  }

  /** SIGKILL to every replica at once; the kubelet starts their containers again. */
  killAll(): void {
    for (const pid of this.pids()) process.kill(pid, 'SIGKILL')
  }

  /** No replica runs until `back`. */
  async away(): Promise<void> {
    await this.#world.api.patch(DEPLOYMENT, { spec: { replicas: 0 } })
    await this.#world.observations.waitFor(() => this.#pods().length === 0, 90, 'the controller gone')
  }

  async back(): Promise<void> {
    await this.#world.api.patch(DEPLOYMENT, { spec: { replicas: REPLICAS } })
    await this.ready()
  }

  /** Lets the replicas stand a taint of the node, or no longer. */
  async tolerate(key: string | undefined): Promise<void> {
    const tolerations = key === undefined ? null : [{ key, operator: 'Exists' }]
    const { body } = await this.#world.api.patch(DEPLOYMENT, { spec: { template: { spec: { tolerations } } } })
    const { generation } = body.metadata
    for (let tries = 0; tries < 600; tries += 1) {
      const { status, spec } = await this.#world.api.get(DEPLOYMENT)
      const done = status.observedGeneration >= generation && status.updatedReplicas === spec.replicas
      if (done && status.replicas === spec.replicas && status.readyReplicas === spec.replicas) return this.ready()
      await new Promise((passed) => setTimeout(passed, 200))
    }
    throw new Error("the controller's Deployment was not rolled out in 2 minutes")
  }

  /** Breaks every connection of the replicas to the API server, and refuses every new one until `mend`. */
  async cut(): Promise<void> {
    const addresses = this.#pods().map(({ status }) => status.podIP)
    const rules = [
      `add table inet ${NFT_TABLE}`,
      `add chain inet ${NFT_TABLE} input { type filter hook input priority 0; }`,
      `add rule inet ${NFT_TABLE} input ip saddr { ${addresses.join(', ')} } tcp dport ${PORTS.apiServer} reject with tcp reset`,
    ]
    await run('nft', [rules.join('; ')])
    // Destroyed, not only blocked: what waits in the sockets of a blocked connection still arrives when it is let through.
    for (const pid of this.pids())
      await run('nsenter', ['--target', String(pid), '--net', 'ss', '--kill', 'dst', API_SERVICE_ADDRESS])
  }

  async mend(): Promise<void> {
    await run('nft', [`delete table inet ${NFT_TABLE}`])
  }

  /** Resident memory of each replica in bytes: now, and at its highest. */
  memory(): { readonly resident: number; readonly peak: number }[] {
    return this.pids().map((pid) => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024
      return { resident: bytes('VmRSS'), peak: bytes('VmHWM') }
    })
  }

  pids(): number[] {
    return this.#pods().flatMap(({ status }) => {
      const id = status?.containerStatuses?.[0]?.containerID
      return (id && this.#world.processes.firstOf(basename(id))) ?? []
    })
  }

  #pods(): Raw[] {
    return this.#world.observations
      .podsIn(SYSTEM)
      .filter(({ type }) => type !== 'DELETED')
      .map(({ object }) => object)
  }

  #readyPods(): Raw[] {
    return this.#pods().filter(({ metadata, status }) => {
      const ready = status?.conditions?.find(({ type }: Raw) => type === 'Ready')?.status === 'True'
      return ready && metadata.deletionTimestamp === undefined
    })
  }
}
