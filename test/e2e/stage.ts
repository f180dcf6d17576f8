import { randomBytes } from 'node:crypto'
import type { Call, Raw } from './api.ts'
import { Manifests } from './manifests.ts'
import type { Action } from './truth/truth.ts'
import type { World } from './world.ts'

const PLURALS: Record<string, string> = {
  Pod: '/api/v1/namespaces/NS/pods',
  Service: '/api/v1/namespaces/NS/services',
  Deployment: '/apis/apps/v1/namespaces/NS/deployments',
  StatefulSet: '/apis/apps/v1/namespaces/NS/statefulsets',
  Job: '/apis/batch/v1/namespaces/NS/jobs',
}

/** The kubelet looks at a pod that has just started once more, about a second later. */
const SETTLED_SECONDS = 1.2
/** What a termination may take past its deadline before it counts as overdue, and a little more. */
const OVERDUE_SLACK_SECONDS = 7

/** Holds an object of a story until its release. */
export const FINALIZER = 'gracewatch.dev/e2e'

/** One scenario's namespace and what it does in it. Every call that begins, shortens or releases an end is kept as an action. */
export class Stage {
  readonly world: World
  readonly namespace: string
  readonly manifests: Manifests
  readonly #actions = new Map<string, Action[]>()

  private constructor(world: World, namespace: string) {
    this.world = world
    this.namespace = namespace
    this.manifests = new Manifests(namespace, world.images, world.folder)
  }

  static async open(world: World, slug: string): Promise<Stage> {
    const namespace = `gw-${slug}-${randomBytes(3).toString('hex')}`
    await world.createNamespace(namespace)
    return new Stage(world, namespace)
  }

  path(kind: string, name?: string): string {
    const plural = PLURALS[kind]?.replace('NS', this.namespace)
    if (plural === undefined) throw new Error(`no path is known for kind ${kind}: add it to PLURALS in stage.ts`)
    return name === undefined ? plural : `${plural}/${name}`
  }

  async create(...objects: readonly Raw[]): Promise<void> {
    for (const object of objects) await this.world.api.create(this.path(object.kind), object)
  }

  /** Creates the pod and waits until all its containers run (and are ready, where they have a probe). */
  async run(pod: Raw): Promise<Raw> {
    await this.create(pod)
    return this.running(pod.metadata.name)
  }

  /** Runs the pod, deletes it and waits until it is gone. @returns the pod as it was before */
  async deleted(manifest: Raw): Promise<Raw> {
    const pod = await this.run(manifest)
    await this.delete(pod)
    await this.gone(pod)
    return pod
  }

  async running(name: string): Promise<Raw> {
    const pod = await this.until(name, 'all containers running and ready', ({ status }) => {
      const statuses: Raw[] = status?.containerStatuses ?? []
      return statuses.length > 0 && statuses.every(({ state, ready }) => state.running && ready)
    })
    await this.settled(pod)
    return pod
  }

  /**
   * Waits until the test's own programs in the pod have said that they are up: before that Node's own handler takes a signal, and
   * as PID 1 they would not end of it. And until the kubelet is done with the start: it takes a delete up only then.
   */
  async settled(pod: Raw): Promise<void> {
    const { uid } = pod.metadata
    const started = this.world.clock.now()
    for (const { name, image } of pod.spec.containers) {
      while (image === this.world.images.node && !this.world.wordsOf(uid, name).some(({ what }) => what === 'start')) {
        if (this.world.clock.now() - started > 30_000_000)
          throw new Error(`the program in container ${name} has not started in 30 s`)
        await this.pass(0.05)
      }
    }
    await this.pass(SETTLED_SECONDS)
  }

  /** Waits until the newest pod of this name is as wanted. */
  until(name: string, what: string, is: (pod: Raw) => boolean, seconds = 60): Promise<Raw> {
    return this.world.observations.waitFor(
      () => {
        const pod = this.world.observations.podNamed(this.namespace, name)
        return pod !== undefined && is(pod) && pod
      },
      seconds,
      `pod ${name}: ${what}`,
    )
  }

  /** Waits until so many pods with this label are ready, and returns them. */
  ready(app: string, count: number, seconds = 60): Promise<Raw[]> {
    return this.world.observations.waitFor(
      () => {
        const pods = this.world.observations
          .podsIn(this.namespace)
          .filter(({ type, object }) => type !== 'DELETED' && object.metadata.labels?.app === app)
          .map(({ object }) => object)
          .filter(({ metadata, status }) => {
            const ready = status?.conditions?.find(({ type }: Raw) => type === 'Ready')?.status === 'True'
            return ready && metadata.deletionTimestamp === undefined
          })
        return pods.length >= count && pods
      },
      seconds,
      `${count} pods of ${app} ready`,
    )
  }

  /** Waits until every endpoint of the Service that names the pod is ready. */
  async endpointReady(service: string, uid: string): Promise<void> {
    await this.world.observations.waitFor(
      () =>
        this.world.observations.slices
          .get(this.namespace)
          ?.findLast(({ object }) => object.metadata.labels?.['kubernetes.io/service-name'] === service)
          ?.object.endpoints?.some((it: Raw) => it.targetRef?.uid === uid && it.conditions.ready !== false),
      30,
      `Service ${service} has the pod as a ready endpoint`,
    )
  }

  async delete(pod: Raw, options: Raw = {}): Promise<void> {
    this.noteAction(pod, 'end', await this.world.api.delete(this.path('Pod', pod.metadata.name), options))
  }

  async shorten(pod: Raw, gracePeriodSeconds: number): Promise<void> {
    const call = await this.world.api.delete(this.path('Pod', pod.metadata.name), { gracePeriodSeconds })
    this.noteAction(pod, 'shorten', call)
  }

  async evict(pod: Raw): Promise<void> {
    const { name, namespace } = pod.metadata
    const call = await this.world.api.create(`${this.path('Pod', name)}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name, namespace },
    })
    this.noteAction(pod, 'end', call)
  }

  noteAction(pod: Raw, what: Action['what'], { sentAt, answeredAt }: Pick<Call, 'sentAt' | 'answeredAt'>): void {
    const actions = this.#actions.get(pod.metadata.uid) ?? []
    actions.push({ what, sentAt, answeredAt })
    this.#actions.set(pod.metadata.uid, actions)
  }

  actionsOn(uid: string): readonly Action[] {
    return this.#actions.get(uid) ?? []
  }

  /** Takes FINALIZER off the pod. */
  async release(pod: Raw): Promise<void> {
    const call = await this.world.api.patch(this.path('Pod', pod.metadata.name), { metadata: { finalizers: null } }, 'merge')
    this.noteAction(pod, 'release', call)
  }

  /** Waits until the object of the pod is gone. */
  async gone(pod: Raw, seconds = 90): Promise<void> {
    const { name, uid } = pod.metadata
    await this.world.observations.waitFor(
      () => this.world.observations.pods.get(uid)?.at(-1)?.type === 'DELETED',
      seconds,
      `pod ${name} gone`,
    )
  }

  /** Waits until the pod's record has this state; without a controller, lets the time pass in which it would have got it. */
  async recordState(pod: Raw, state: 'Overdue' | 'Complete', seconds: number): Promise<void> {
    const { observations, controller } = this.world
    if (controller === undefined) {
      await this.pass(state === 'Overdue' ? pod.spec.terminationGracePeriodSeconds + OVERDUE_SLACK_SECONDS : 0)
      return
    }
    const { name, uid } = pod.metadata
    await observations.waitFor(
      () => observations.records.get(uid)?.some(({ object }) => object.state === state),
      seconds,
      `the record of pod ${name} ${state}`,
    )
  }

  /** The newest pod of this app that is as wanted. */
  podOf(app: string, is: (pod: Raw) => boolean): Raw | undefined {
    return this.world.observations
      .podsIn(this.namespace)
      .map(({ object }) => object)
      .findLast((pod) => (pod.metadata.labels?.app === app || pod.metadata.labels?.['job-name'] === app) && is(pod))
  }

  /** Lets so many seconds of the story pass. */
  pass(seconds: number): Promise<void> {
    return new Promise((done) => setTimeout(done, seconds * 1_000))
  }
}
