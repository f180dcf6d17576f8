/** PodReadinessGates in the API, through the operator shell: their watch, their finalizer and their status. */
import type { ResourceEvent } from '@dot-i/k8s-operator'
import { GROUP, VERSION } from '../api/group.ts'
import type { GateStatus } from '../api/pod-readiness-gate.ts'
import type { Gate } from '../core/gates/types.ts'
import { decodeGate } from './decode/gate.ts'
import { DecodeError, KubeError } from './errors.ts'
import type { KubeHttp } from './http.ts'
import type { GracewatchOperator } from './operator.ts'

const PLURAL = 'podreadinessgates'
/** Holds a gate that is being deleted until its pods have been released. */
export const FINALIZER = `${GROUP}/release-pods`

export interface GateHandlers {
  /** It is new or has changed. */
  readonly onGate: (gate: Gate) => void
  readonly onGone: (uid: string) => void
  /** It cannot be read: it is as if it were not there, until it changes. */
  readonly onUnreadable: (
    gate: { readonly uid: string; readonly namespace: string; readonly name: string },
    problem: DecodeError,
  ) => void
}

export class GateObjects {
  readonly #operator: GracewatchOperator
  readonly #http: KubeHttp
  /** What the operator base works on, by UID. */
  readonly #events = new Map<string, ResourceEvent>()

  constructor(operator: GracewatchOperator, http: KubeHttp) {
    this.#operator = operator
    this.#http = http
  }

  /** Begins to watch; resolves when that has begun. */
  watch({ onGate, onGone, onUnreadable }: GateHandlers): Promise<void> {
    return this.#operator.watchResource(GROUP, VERSION, PLURAL, async (event) => {
      const { uid = '', namespace = '', name = '' } = event.object.metadata ?? {}
      if (event.type === 'DELETED') {
        this.#events.delete(uid)
        onGone(uid)
        return
      }
      this.#events.set(uid, event)
      try {
        onGate(decodeGate(event.object))
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
        onUnreadable({ uid, namespace, name }, error)
      }
    })
  }

  /** The watch, for health checks. */
  get reflector() {
    return [...this.#operator.watches].find(([key]) => key.startsWith(`${PLURAL}.`))?.[1]
  }

  /**
   * Puts the finalizer on a gate that lacks it; of one that is being deleted, runs `release` and takes the finalizer away. Throws
   * KubeError; a Conflict means that a newer version of the gate is on its way.
   *
   * @returns whether the gate is being deleted, or was changed: nothing else is to be done for this version
   */
  async finalize(uid: string, release: () => Promise<void>): Promise<boolean> {
    const event = this.#events.get(uid)
    if (event === undefined) return true
    return gone(() => this.#operator.handleResourceFinalizer(event, FINALIZER, release), true)
  }

  /** Replaces the status of the version that the watch showed last. Throws KubeError, Conflict among them. */
  async writeStatus(uid: string, status: GateStatus): Promise<void> {
    const event = this.#events.get(uid)
    if (event === undefined) return
    await gone(() => this.#operator.setResourceStatus(event.meta, status), undefined)
  }

  /** Whether the namespace is being deleted, or is gone. Throws KubeError. */
  async isTerminating(namespace: string): Promise<boolean> {
    return gone(async () => {
      const response = await this.#http.request({ method: 'GET', path: `/api/v1/namespaces/${namespace}` })
      const { metadata } = response.json<{ metadata?: { deletionTimestamp?: string } }>()
      return metadata?.deletionTimestamp !== undefined
    }, true)
  }
}

/** What is gone needs nothing any more. */
async function gone<T, F>(action: () => Promise<T>, otherwise: F): Promise<T | F> {
  try {
    return await action()
  } catch (error) {
    if (error instanceof KubeError && error.code === 'NotFound') return otherwise
    throw error
  }
}
