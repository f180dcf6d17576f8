import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Micros } from '../../src/core/time.ts'
import type { Cluster } from '../cluster/index.ts'
import { Agent } from './agent.ts'
import { Api, type Raw } from './api.ts'
import { Controller, SYSTEM } from './controller.ts'
import { createNamespace, FOLDER_PREFIX, removeLeftovers } from './leftovers.ts'
import type { Images } from './manifests.ts'
import { Observations } from './observations.ts'
import { importStopSignalImage } from './stop-signal-image.ts'
import { AuditLog } from './truth/audit-log.ts'
import { ContainerProcesses } from './truth/container-processes.ts'
import { containerTruths } from './truth/containers.ts'
import type { Interval } from './truth/interval.ts'
import { KernelTrace } from './truth/kernel-trace.ts'
import { RuntimeEvents } from './truth/runtime-events.ts'
import { type Action, type Truth, truthOf } from './truth/truth.ts'
import { WallClock } from './truth/wall-clock.ts'
import { readWords, type Word } from './truth/words.ts'
import type { Line } from './watch.ts'

const SIGKILL = 9
/** Default of kube-controller-manager's --concurrent-namespace-syncs: others would wait for their turn. */
const NAMESPACES_AT_ONCE = 10
const RECORDS = '/apis/gracewatch.dev/v1alpha1/namespaces'

/** Everything that the scenarios share: the cluster, the test's own client and watches, and the instruments of the truth. */
export class World {
  readonly cluster: Cluster
  readonly clock: WallClock
  readonly api: Api
  readonly observations: Observations
  readonly images: Images
  /** A folder of the test's own on the node: bin/ holds the programs, words/ what they say. */
  readonly folder: string
  readonly processes = new ContainerProcesses()
  readonly trace: KernelTrace
  readonly #runtime: RuntimeEvents
  readonly #audit: AuditLog | undefined
  readonly #namespaces: string[] = []
  /** So many of them, from the first, are gone again. */
  #removed = 0
  /** The product's controller, where it is installed. */
  controller: Controller | undefined
  /** The product's agent, where it is installed. */
  agent: Agent | undefined

  constructor(cluster: Cluster, images: Images) {
    this.cluster = cluster
    this.images = images
    this.clock = new WallClock()
    this.folder = mkdtempSync(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`))
    mkdirSync(join(this.folder, 'bin'))
    mkdirSync(join(this.folder, 'words'))
    const programs = join(import.meta.dirname, 'workload')
    for (const name of readdirSync(programs)) copyFileSync(join(programs, name), join(this.folder, 'bin', name))
    copyFileSync('/usr/bin/tini-static', join(this.folder, 'bin', 'tini'))
    this.trace = new KernelTrace((signal) => {
      // Who kills may end at once, and so may a process below PID 1; after a kill nobody can tell any more whose it was.
      if (signal.number === SIGKILL) this.processes.of(signal.sender.pid)
      const target = signal.number === SIGKILL ? undefined : this.processes.of(signal.target.pid)
      if (target?.first) this.processes.noteThreads(target.containerId)
    })
    this.#runtime = new RuntimeEvents(cluster.containerdAddress, (id, pid) => this.processes.learn(id, pid))
    this.#audit = cluster.auditLogPath === undefined ? undefined : new AuditLog(cluster.auditLogPath)
    this.api = new Api(cluster.kubeconfigPath, () => this.clock.now())
    this.observations = new Observations(
      this.api,
      () => this.clock.now(),
      (line) => this.#meet(line),
    )
  }

  static async start(cluster: Cluster): Promise<World> {
    const images = await cluster.images()
    const imageOf = (name: string): string => {
      const found = images.find((reference) => reference.includes(name))
      if (found === undefined) throw new Error(`the cluster has no image whose name contains ${name}: ${images.join(', ')}`)
      return found
    }
    const quit = await importStopSignalImage(cluster)
    const world = new World(cluster, { node: imageOf('node'), busybox: imageOf('busybox'), quit })
    try {
      await removeLeftovers(world.api)
      await world.observations.start()
    } catch (error) {
      await world.stop().catch(() => undefined)
      throw error
    }
    return world
  }

  /** From now on the scenarios have the product's records to go by, and what an agent measured where one is installed. */
  async meetProduct({ agent }: { readonly agent: boolean }): Promise<void> {
    if (this.controller === undefined) await this.observations.watchRecords()
    this.controller = new Controller(this)
    await this.controller.ready()
    this.agent = agent ? new Agent(this) : undefined
    await this.agent?.ready()
  }

  /** Removes what the scenarios made and waits until it is gone; one step that fails keeps none of the others from its work. */
  async stop(): Promise<void> {
    const failures: unknown[] = []
    const steps: (() => unknown)[] = [
      () => this.removeNamespaces(),
      () => this.#removeRecords(),
      () => this.observations.stop(),
      () => this.api.close(),
      () => this.#runtime.stop(),
      () => this.trace.stop(),
      () => this.clock.stop(),
      () => rmSync(this.folder, { recursive: true, force: true }),
    ]
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `the test left things behind: ${failures.join('; ')}`)
  }

  /** Removes the namespaces that the scenarios have made so far, as many at a time as the cluster works at: a minute is for one. */
  async removeNamespaces(): Promise<void> {
    const names = this.#namespaces.slice(this.#removed)
    this.#removed = this.#namespaces.length
    const failures: unknown[] = []
    const removeNext = async (): Promise<void> => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        await this.#removeNamespace(name).catch((error) => failures.push(error))
      }
    }
    await Promise.all(Array.from({ length: NAMESPACES_AT_ONCE }, removeNext))
    if (failures.length > 0) throw new AggregateError(failures, failures.join('; '))
  }

  async createNamespace(name: string): Promise<void> {
    await createNamespace(this.api, name, () => this.#namespaces.push(name))
  }

  /** What the test's program in this container has said so far. */
  wordsOf(podUid: string, container: string): Word[] {
    return readWords(join(this.folder, 'words', `${podUid}.${container}.jsonl`))
  }

  /** What is true about a pod, as of now. */
  truthOf(uid: string, actions: readonly Action[]): Truth {
    const pod = this.observations.pods.get(uid) ?? []
    const namespace: string = pod.at(-1)?.object.metadata.namespace ?? ''
    return truthOf({
      pod,
      slices: this.observations.slices.get(namespace) ?? [],
      actions,
      containers: containerTruths(pod, {
        clock: this.clock,
        signals: this.trace.signals,
        processes: this.processes,
        runtime: this.#runtime,
        wordsOf: (podUid, container) => this.wordsOf(podUid, container),
      }),
      madeAt: (resource, line, since) => this.#madeAt(resource, line, since),
      endedAt: (object) => this.#audit?.endingOf(object),
      removedAt: (object) => this.#audit?.removalOf('pods', object.metadata.uid),
    })
  }

  /** A change was made before its line arrived, and within its request where the audit log has it. */
  #madeAt(resource: 'pods' | 'endpointslices', line: Line, since: Micros): Interval {
    const commit = line.type === 'DELETED' ? undefined : this.#audit?.commitOf(resource, line.object)
    return {
      earliest: commit?.earliest ?? Math.min(since, line.arrivedAt),
      latest: Math.min(line.arrivedAt, commit?.latest ?? Number.POSITIVE_INFINITY),
    }
  }

  /** A container that has just started: its PID 1 is looked up now, since nobody can once it is dead. */
  #meet(line: Line): void {
    const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = line.object.status ?? {}
    for (const status of [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses]) {
      const id = status.containerID?.split('://')[1]
      if (id === undefined || status.state?.running === undefined) continue
      if (this.processes.firstOf(id) === undefined) this.processes.scan()
      else this.processes.noteThreads(id)
    }
  }

  /** Records of pods that went with their namespace stand in Gracewatch's own. */
  async #removeRecords(): Promise<void> {
    if (this.controller === undefined) return
    for (const line of [...this.observations.records.values()].flatMap((lines) => lines.at(-1) ?? [])) {
      const { metadata, pod } = line.object
      if (line.type === 'DELETED' || metadata.namespace !== SYSTEM || !this.#namespaces.includes(pod.namespace)) continue
      const path = `${RECORDS}/${metadata.namespace}/podterminations/${metadata.name}`
      if (await this.api.find(path)) await this.api.delete(path)
    }
  }

  async #removeNamespace(name: string): Promise<void> {
    const path = `/api/v1/namespaces/${name}`
    if ((await this.api.find(path)) === undefined) return
    await this.api.delete(path).catch(() => undefined)
    let namespace: Raw | undefined
    for (let tries = 0; tries < 300; tries += 1) {
      namespace = await this.api.find(path)
      if (namespace === undefined) return
      await new Promise((done) => setTimeout(done, 200))
    }
    const held = (namespace?.status?.conditions ?? []).filter(({ status }: Raw) => status === 'True')
    const why = held.map(({ message }: Raw) => message).join('; ')
    throw new Error(`namespace ${name} is still there a minute after its deletion: ${why || 'it says nothing of why'}`)
  }
}
