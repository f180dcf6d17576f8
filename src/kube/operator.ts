/**
 * The operator shell: main starts and stops everything through it. What is kept of @dot-i/k8s-operator and what is replaced, and why,
 * is in docs/adr/0001-operator-base.md; in short, its life cycle, its event types and its finalizer flow stay, and every method that
 * does I/O goes through the connection and the Reflector of this folder and reports failure as failure.
 */
import { readFile } from 'node:fs/promises'
import type { ResourceEvent, ResourceEventType, ResourceMeta } from '@dot-i/k8s-operator'
import type { KubernetesObject, V1CustomResourceDefinition } from '@kubernetes/client-node'
import type { RecorderClock } from './clock.ts'
import { Deliveries } from './deliveries.ts'
import { DecodeError, KubeError } from './errors.ts'
import type { KubeHttp } from './http.ts'
import type { Log } from './log.ts'
import { loadOperatorBase } from './operator-base.ts'
import { Reflector } from './reflector.ts'
import type { Change, Identified } from './reflector-types.ts'

const base = loadOperatorBase()

/** A part of the program with a life of its own. */
export interface Controller {
  readonly name: string
  /** Resolves when it works; rejects where it cannot. */
  start(): Promise<void>
  /** May be called at any time, also while start() is under way, which then ends. */
  stop(): Promise<void>
}

export interface GracewatchOperatorOptions {
  readonly http: KubeHttp
  readonly clock: RecorderClock
  readonly log: Log
}

/** A watched object as it came, with the books that the Reflector keeps. */
interface Watched extends Identified {
  readonly object: KubernetesObject
}

export class GracewatchOperator extends base.default {
  readonly #options: GracewatchOperatorOptions
  readonly #controllers: Controller[] = []
  readonly #begun: Controller[] = []
  readonly #reflectors = new Map<string, Reflector<Watched>>()
  readonly #deliveries: Deliveries
  #starting: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(options: GracewatchOperatorOptions) {
    const { log } = options
    super({
      debug: (message) => log.debug({ from: 'operator' }, message),
      info: (message) => log.info({ from: 'operator' }, message),
      warn: (message) => log.warn({ from: 'operator' }, message),
      error: (message) => log.error({ from: 'operator' }, message),
    })
    this.#options = options
    this.#deliveries = new Deliveries({
      onFailure: (uid, err, retryMs) => log.warn({ uid, err, retryMs }, 'resource event not handled, trying again'),
    })
  }

  /** Before start(): parts start in the order in which they were added and stop in the opposite one. */
  add(controller: Controller): this {
    if (this.#starting !== undefined) throw new Error(`${controller.name}: parts are added before start()`)
    this.#controllers.push(controller)
    return this
  }

  /** Rejects with what the first part to fail said, after the parts before it have been stopped again. */
  override start(): Promise<void> {
    this.#starting ??= super.start()
    return this.#starting
  }

  /** What start() of the base calls. */
  protected override async init(): Promise<void> {
    for (const controller of this.#controllers) {
      if (this.#stopped !== undefined) return
      this.#begun.push(controller)
      try {
        await controller.start()
      } catch (error) {
        // Cut short by stop(): no failure.
        if (this.#stopped !== undefined) return
        this.#options.log.error({ controller: controller.name, err: error }, 'controller did not start')
        // What failed to start says why; what fails to stop after that has been logged.
        await this.stop().catch(() => {})
        throw error
      }
      this.#options.log.debug({ controller: controller.name }, 'controller started')
    }
  }

  /** Stops what has been started, the last first, each also where another fails; then rejects with all that failed. */
  override stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const failed: unknown[] = []
    const attempt = async (name: string, stop: () => Promise<void>) => {
      try {
        await stop()
      } catch (err) {
        failed.push(err)
        this.#options.log.error({ controller: name, err }, 'controller did not stop')
      }
    }
    for (const controller of this.#begun.toReversed()) await attempt(controller.name, () => controller.stop())
    for (const [id, reflector] of this.#reflectors) await attempt(id, () => reflector.stop())
    await attempt('deliveries', () => this.#deliveries.stop())
    if (failed.length > 0) throw new AggregateError(failed, 'not everything could be stopped')
  }

  /** The watches opened by watchResource, for health checks. */
  get watches(): ReadonlyMap<string, Pick<Reflector<Watched>, 'synced' | 'size' | 'stats'>> {
    return this.#reflectors
  }

  /**
   * Watches a resource for good; resolves when the watch has begun, not when its first list is there (see `watches`). Handlers run one
   * at a time for an object, get its latest state, and are called again, with back-off, when they throw. What a list finds is Added, or
   * Modified where it was known; what it no longer finds is Deleted.
   */
  override async watchResource(
    group: string,
    version: string,
    plural: string,
    onEvent: (event: ResourceEvent) => Promise<void>,
    namespace?: string,
  ): Promise<void> {
    const id = `${plural}.${group === '' ? version : `${group}/${version}`}`
    const key = namespace === undefined ? id : `${id} in ${namespace}`
    if (this.#stopped !== undefined) throw new KubeError('Aborted', `${key}: the operator has been stopped`)
    if (this.#reflectors.has(key)) throw new Error(`${key} is watched already`)
    const { http, clock, log } = this.#options
    const reflector = new Reflector<Watched>({
      http,
      clock,
      log,
      path: this.getCustomResourceApiUri(group, version, plural, namespace),
      decode: decodeWatched,
      onChange: (change) => {
        const event: ResourceEvent = {
          meta: base.ResourceMetaImpl.createWithPlural(plural, change.object.object),
          type: eventType(change),
          object: change.object.object,
        }
        this.#deliveries.add(`${key} ${change.object.uid}`, () => onEvent(event))
      },
      onError: (err) => log.debug({ err, resource: key }, 'watch failed, going on'),
    })
    this.#reflectors.set(key, reflector)
    reflector.start()
  }

  /**
   * The base's flow: adds the finalizer to an object that lacks it, and takes it away after `deleteAction` from one that is being
   * deleted. True: nothing else is to be done for this event. Throws where a write or the action failed; the event then comes again.
   */
  override handleResourceFinalizer(
    event: ResourceEvent,
    finalizer: string,
    deleteAction: (event: ResourceEvent) => Promise<void>,
  ): Promise<boolean> {
    // The base pushes into the list of the object that it is given, which is the one in the reflector's store.
    return super.handleResourceFinalizer({ ...event, object: structuredClone(event.object) }, finalizer, deleteAction)
  }

  /** Replaces the list, provided that the object is still the version of the event: a finalizer added by another is not lost. */
  protected override async setResourceFinalizers(meta: ResourceMeta, finalizers: string[]): Promise<void> {
    await this.#options.http.request({
      method: 'PATCH',
      path: this.#objectPath(meta),
      contentType: 'application/merge-patch+json',
      body: { metadata: { resourceVersion: meta.resourceVersion, finalizers } },
    })
  }

  /** Replaces the status of the version in `meta`; a newer one is a Conflict. Throws KubeError, never returns null. */
  override async setResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta> {
    const { apiVersion, kind, name, namespace, resourceVersion } = meta
    const metadata = { name, resourceVersion, ...(namespace !== undefined && { namespace }) }
    const response = await this.#options.http.request({
      method: 'PUT',
      path: `${this.#objectPath(meta)}/status`,
      body: { apiVersion, kind, metadata, status },
    })
    return base.ResourceMetaImpl.createWithId(meta.id, response.json<KubernetesObject>())
  }

  /** As setResourceStatus, with a JSON merge patch of the status: lists in it are replaced whole. */
  override async patchResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta> {
    const response = await this.#options.http.request({
      method: 'PATCH',
      path: `${this.#objectPath(meta)}/status`,
      contentType: 'application/merge-patch+json',
      body: { metadata: { resourceVersion: meta.resourceVersion }, status },
    })
    return base.ResourceMetaImpl.createWithId(meta.id, response.json<KubernetesObject>())
  }

  /** Creates the CRD in a YAML file; one that is there already is left as it is. */
  protected override async registerCustomResourceDefinition(crdFile: string): ReturnType<CrdRegistration> {
    const { parse } = await import('yaml')
    const crd = parse(await readFile(crdFile, 'utf8')) as V1CustomResourceDefinition // the API server checks it
    if (crd?.kind !== 'CustomResourceDefinition') throw new Error(`${crdFile}: the kind must be CustomResourceDefinition`)
    try {
      const path = `/apis/${crd.apiVersion}/customresourcedefinitions`
      await this.#options.http.request({ method: 'POST', path, body: crd })
      this.#options.log.info({ crd: crd.metadata?.name }, 'registered custom resource definition')
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 'AlreadyExists')) throw error
    }
    return { group: crd.spec.group, versions: crd.spec.versions, plural: crd.spec.names.plural }
  }

  /** A path: which server it is on is the connection's knowledge. */
  protected override getCustomResourceApiUri(group: string, version: string, plural: string, namespace?: string): string {
    const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
    return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`
  }

  protected override applyAxiosKubeConfigAuth(): Promise<never> {
    return Promise.reject(new Error('credentials do not leave the connection: use its http'))
  }

  protected override applyGaxiosKubeConfigAuth(): Promise<never> {
    return this.applyAxiosKubeConfigAuth()
  }

  #objectPath({ id, apiVersion, namespace, name }: ResourceMeta): string {
    const slash = apiVersion.indexOf('/')
    const plural = id.slice(0, id.length - apiVersion.length - 1)
    return `${this.getCustomResourceApiUri(apiVersion.slice(0, Math.max(0, slash)), apiVersion.slice(slash + 1), plural, namespace)}/${name}`
  }
}

/** The base class names no type for it. */
type CrdRegistration = () => Promise<{
  group: string
  versions: V1CustomResourceDefinition['spec']['versions']
  plural: string
}>

function eventType({ type, previous }: Change<Watched>): ResourceEventType {
  const { Added, Modified, Deleted } = base.ResourceEventType
  if (type === 'Deleted' || type === 'Vanished') return Deleted
  return type === 'Modified' || previous !== undefined ? Modified : Added
}

function decodeWatched(raw: unknown): Watched {
  const object = raw as KubernetesObject // every field that is read is checked
  const { uid, name, namespace = '', resourceVersion } = object.metadata ?? {}
  if (uid === undefined) throw new DecodeError('metadata.uid', 'a string', uid)
  if (name === undefined) throw new DecodeError('metadata.name', 'a string', name)
  if (resourceVersion === undefined) throw new DecodeError('metadata.resourceVersion', 'a string', resourceVersion)
  return { uid, name, namespace, resourceVersion, object }
}
