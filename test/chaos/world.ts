/** Two replicas of the real controller, each behind a wire of its own, with credentials in a file that can be changed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HIGH_WATER_MARK } from '../../src/controllers/recorder/controller.ts'
import { KubeError } from '../../src/kube/errors.ts'
import { ControllerProcess, freePort, kubeconfigOf, spawnController } from '../apiserver/recorder/controller.ts'
import { Front } from '../apiserver/recorder/front.ts'
import { Kubelet, NodeClock } from '../apiserver/recorder/kubelet.ts'
import type { Stage } from '../apiserver/recorder/stage.ts'
import { eventually } from '../apiserver/waiting.ts'
import { byPod, listRecords } from './audit.ts'
import { Ledger } from './ledger.ts'
import { Wire } from './wire.ts'

const ACCOUNT = 'gracewatch-controller'
/** Short, so that a leader that was killed is followed soon, and past what the test itself may stand still: every call goes through its process. */
const LEASE = ['--lease-duration=6s', '--renew-deadline=4s', '--retry-period=500ms']
/** Whoever waits is told what is missing; a machine may be slow, and a watch that went dead is noticed after 90 s. */
export const PATIENCE_MS = 240_000

interface LeaseObject {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
  readonly spec: { readonly holderIdentity?: string; readonly renewTime?: string; readonly leaseDurationSeconds?: number }
}

export class Replica {
  readonly name: string
  readonly wire: Wire
  readonly front: Front
  readonly controller: ControllerProcess
  readonly #folder: string
  #stopped = false
  /** Resident bytes when it had first caught up. */
  level: number | undefined
  /** lostPlaces() when all that was open had been looked at. */
  lostBefore = 0

  constructor(name: string, wire: Wire, front: Front, controller: ControllerProcess, folder: string) {
    this.name = name
    this.wire = wire
    this.front = front
    this.controller = controller
    this.#folder = folder
  }

  /** How often the API server has told its watch of pods that it lists anew. */
  lostPlaces(): number {
    return this.controller.lines.all.filter(({ code, path }) => code === 'Gone' && path === '/api/v1/pods').length
  }

  get running(): boolean {
    return this.controller.running
  }

  /** By its own word. */
  get leads(): boolean {
    return this.controller.said('leading').length > this.controller.said('no longer the leader').length
  }

  /** From now on its kubeconfig has this token. */
  renew(token: string): void {
    writeFileSync(join(this.#folder, 'kubeconfig'), kubeconfigOf({ server: this.wire.url, token }), { mode: 0o600 })
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.controller.pid, signal)
    this.#stopped = signal === 'SIGSTOP'
  }

  /** It can do something: neither dead nor stopped. */
  get awake(): boolean {
    return this.running && !this.#stopped
  }

  async end(): Promise<void> {
    if (this.running) {
      // One that is stopped in its tracks ends as well.
      await this.controller.kill()
    }
    await this.wire.close()
    await this.front.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export interface WorldOptions {
  readonly group?: string
  /** The controllers' own namespace. */
  readonly own?: string
}

export class World {
  /** One that is open on the stage. Its watch of records does not outlive the API server; they are listed here. */
  static async on(stage: Stage): Promise<World> {
    await stage.records.close()
    const world = new World(stage)
    await world.open()
    return world
  }

  /** What a round that failed has left broken is not the next one's: another one in its place. */
  async anew(): Promise<World> {
    await this.close()
    return await World.on(this.stage)
  }

  /** Of all worlds: one that comes after another finds the Secrets and the Lease of that one. */
  static #count = 0
  readonly stage: Stage
  readonly ledger = new Ledger()
  readonly group: string
  readonly own: string
  replicas: Replica[] = []
  readonly #kubelets: Kubelet[] = []
  #token = ''
  #secret: string | undefined

  constructor(stage: Stage, { group = stage.group, own = stage.bed.namespace }: WorldOptions = {}) {
    this.stage = stage
    this.group = group
    this.own = own
  }

  get http() {
    return this.stage.bed.http
  }

  /** The account and its rights, and two replicas. */
  async open(): Promise<void> {
    await this.prepare()
    await this.start()
    await this.healthy()
  }

  async prepare(): Promise<void> {
    await this.stage.token(this.own, this.group)
    await this.issueToken()
  }

  /** A token that is good until `revoke`. */
  async issueToken(): Promise<string> {
    const name = `token-${++World.#count}`
    const path = `/api/v1/namespaces/${this.own}`
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name } }
    const made = await this.http.request({ method: 'POST', path: `${path}/secrets`, body: secret })
    const { uid } = made.json<{ metadata: { uid: string } }>().metadata
    const answer = await this.http.request({
      method: 'POST',
      path: `${path}/serviceaccounts/${ACCOUNT}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 7200, boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name, uid } },
      },
    })
    this.#secret = name
    this.#token = answer.json<{ status: { token: string } }>().status.token
    return this.#token
  }

  /** What the token was bound to goes: the API server refuses it as it refuses one that has expired. */
  async revokeToken(): Promise<void> {
    await this.http.request({ method: 'DELETE', path: `/api/v1/namespaces/${this.own}/secrets/${this.#secret}` })
  }

  /** Fills up to two replicas; those that are dead go. */
  async start(): Promise<Replica[]> {
    for (const replica of this.replicas.filter(({ running }) => !running)) await replica.end()
    this.replicas = this.replicas.filter(({ running }) => running)
    const missing = Array.from({ length: 2 - this.replicas.length }, () => this.#startOne())
    const started = await Promise.all(missing)
    this.replicas.push(...started)
    return started
  }

  async #startOne(): Promise<Replica> {
    const name = `replica-${++World.#count}`
    const front = await Front.start({ cluster: this.stage.bed.cluster, group: this.group })
    const wire = await Wire.start(front.url)
    const folder = mkdtempSync(join(tmpdir(), 'gracewatch-chaos-'))
    const health = `127.0.0.1:${await freePort()}`
    writeFileSync(join(folder, 'kubeconfig'), kubeconfigOf({ server: wire.url, token: this.#token }), { mode: 0o600 })
    const child = spawnController([
      `--kubeconfig=${join(folder, 'kubeconfig')}`,
      `--namespace=${this.own}`,
      `--pod-name=${name}`,
      `--health-address=${health}`,
      ...LEASE,
      '--records-per-namespace=100000',
      '--records-total=100000',
      '--retention-graceful=24h',
      '--log-level=debug',
    ])
    return new Replica(name, wire, front, ControllerProcess.of(name, child, health), folder)
  }

  async lease(): Promise<LeaseObject | undefined> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/${this.own}/leases/gracewatch-controller`
    const found = await this.http.request({ method: 'GET', path }).catch((error: unknown) => {
      if (error instanceof KubeError && (error.code === 'NotFound' || error.retryable)) return undefined
      throw error
    })
    return found?.json<LeaseObject>()
  }

  /** Who leads by the Lease and by its own word; the other of the two, which does not. */
  async roles(): Promise<{ leader: Replica; standby: Replica }> {
    const find = async () => {
      const holder = (await this.lease())?.spec.holderIdentity?.split('_')[0]
      const leader = this.replicas.find(({ name, running, leads }) => name === holder && running && leads)
      const standby = this.replicas.find((replica) => replica !== leader && replica.running && !replica.leads)
      return leader === undefined || standby === undefined ? undefined : { leader, standby }
    }
    return await eventually(find, PATIENCE_MS, `a leader among ${this.replicas.map(({ name }) => name).join(' and ')}`)
  }

  /** Everything that happened up to now has been dealt with, by the leader's own word. */
  async dealtWith(): Promise<void> {
    const past = Date.now()
    let last: string | undefined
    const reached = async () => {
      last = (await this.lease())?.metadata.annotations?.[HIGH_WATER_MARK]
      return Date.parse(last ?? '') > past || undefined
    }
    const what = `the high-water mark past ${new Date(past).toISOString()}`
    await eventually(reached, PATIENCE_MS, what).catch((error: Error) => {
      throw new Error(`${error.message}: it is ${last}\n${this.tail()}`)
    })
  }

  /** Two replicas that are ready, of which one leads and has caught up. */
  async healthy(): Promise<void> {
    await this.start()
    await this.ready(this.replicas)
    await this.roles()
    await this.dealtWith()
    for (const replica of this.replicas) replica.level ??= replica.controller.memory().resident
  }

  /**
   * A replica that was away for long may find that the API server has forgotten the place of its watch (a watch cache keeps 75 s, more or
   * less, and what a quiet resource had before a burst not even so long). What came and went meanwhile, it cannot have seen.
   */
  noteLostPlaces(): void {
    const lost = this.replicas.some((replica) => replica.lostPlaces() > replica.lostBefore)
    if (lost) this.ledger.lostChanges(this.ledger.open)
  }

  async ready(replicas: readonly Replica[]): Promise<void> {
    for (const replica of replicas) {
      const ready = async () => {
        if (!replica.running) throw new Error(`${replica.name} has ended by itself: ${replica.controller.text}`)
        return (await replica.controller.health('/readyz'))?.status === 200 || undefined
      }
      await eventually(ready, PATIENCE_MS, `${replica.name} ready`).catch((error: Error) => {
        throw new Error(`${error.message}\n${this.tail()}`)
      })
    }
  }

  /** SIGKILL for both; the ledger notes of what there is a record. */
  async killAll(): Promise<void> {
    await Promise.all(this.replicas.map(({ controller }) => controller.kill()))
    this.ledger.died(new Set(byPod(await listRecords(this.http, this.group)).keys()))
  }

  /** After killAll: two new ones, that watch when this resolves. */
  async startAgain(): Promise<void> {
    // What was removed by now is seen by none of them.
    this.ledger.watchedAgain()
    await this.ready(await this.start())
  }

  tail(): string {
    return this.replicas
      .map(
        ({ name, controller }) =>
          `${name}:\n${controller.lines.all
            .slice(-6)
            .map((line) => JSON.stringify(line))
            .join('\n')}\n${controller.text}`,
      )
      .join('\n')
  }

  /** Another node, with a clock of its own; gone with the world. */
  async kubelet(label: string, aheadMs: number): Promise<Kubelet> {
    const kubelet = await Kubelet.start(this.http, `${this.stage.bed.namespace}-${label}`, new NodeClock(aheadMs))
    this.#kubelets.push(kubelet)
    return kubelet
  }

  async close(): Promise<void> {
    for (const kubelet of this.#kubelets.splice(0)) await kubelet.stop()
    await Promise.all(this.replicas.map((replica) => replica.end()))
    this.replicas = []
  }
}
