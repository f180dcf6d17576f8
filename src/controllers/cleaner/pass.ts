/** One pass: does what a plan says, as far as it gets. It may be cut off anywhere and repeated. */
import type { FinishedPod, Verdict } from '../../core/cleanup/types.ts'
import type { PodSnapshot } from '../../core/evidence.ts'
import { KubeError } from '../../kube/errors.ts'
import { deleteFinished } from '../../kube/finished-pods.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Refused } from '../../kube/refusal.ts'
import type { RateLimit } from '../rate-limit.ts'
import type { RecordKeeper } from './record-keeper.ts'

/** A namespace whose records are refused, or whose pods cannot be deleted, is left alone in a pass after so many tries. */
const MAX_REFUSED = 5
/** What was refused is tried again after this: a quota is raised by a person. */
const RETRY_MS = 60_000
/** An API server that has just started forbids everything for a moment, until it has read its RBAC objects, and does not know of any CRD. */
const FIRST_RETRY_MS = 5000
const PASSING: readonly Refused['reason'][] = ['Forbidden', 'NotInstalled']
const MAX_HELD = 20_000

export interface PassOptions {
  readonly http: KubeHttp
  readonly keeper: Pick<RecordKeeper, 'keep'>
  /** The version of a pod that the watch showed last. */
  readonly podOf: (uid: string) => PodSnapshot | undefined
  readonly guard: () => AbortSignal
  readonly limit: RateLimit
  readonly concurrency: number
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

export interface Failed {
  readonly pod: FinishedPod
  readonly rules: readonly string[]
  readonly error: KubeError
}

/** What became of the pods that were to be deleted. Those that are in none of the lists were not got to. */
export interface Acted {
  readonly deleted: Verdict[]
  /** Gone by themselves, or not what they were: the next plan sees them anew. */
  readonly overtaken: Verdict[]
  /** The recorder is about to write their records. */
  readonly pending: Verdict[]
  /** They stay, for their records are refused. */
  readonly refused: { readonly verdict: Verdict; readonly refusal: Refused }[]
  readonly failed: Failed[]
  /** They could not be deleted a little while ago, and are left alone until they are tried again. */
  readonly failing: Failed[]
  /** What ended the pass early: the API server is away, or asks for a pause. */
  cutBy?: KubeError
}

export const nothing = (): Acted => ({ deleted: [], overtaken: [], pending: [], refused: [], failed: [], failing: [] })

/** What was refused a little while ago; outlives a pass. */
export class Held {
  /** Namespaces that take no record, and pods that cannot be deleted: why, and until when. */
  readonly #namespaces = new Map<string, { readonly until: number; readonly refusal: Refused }>()
  readonly #pods = new Map<string, { readonly until: number; readonly error: KubeError }>()
  /** How often namespaces and pods have been refused what may pass by itself: the more often, the longer it is left alone. */
  readonly #times = new Map<string, number>()

  refusalIn(namespace: string, now: number): Refused | undefined {
    const held = this.#namespaces.get(namespace)
    if (held !== undefined && held.until > now) return held.refusal
    this.#namespaces.delete(namespace)
    return undefined
  }

  refuse(namespace: string, refusal: Refused, now: number): void {
    const ms = PASSING.includes(refusal.reason) ? this.#longer(namespace) : RETRY_MS
    this.#namespaces.set(namespace, { until: now + ms, refusal })
  }

  errorOf(uid: string, now: number): KubeError | undefined {
    const held = this.#pods.get(uid)
    if (held !== undefined && held.until > now) return held.error
    this.#pods.delete(uid)
    return undefined
  }

  holdPod(uid: string, error: KubeError, now: number): void {
    if (this.#pods.size >= MAX_HELD) this.#pods.clear()
    this.#pods.set(uid, { until: now + this.#longer(uid), error })
  }

  #longer(whom: string): number {
    const times = this.#times.get(whom) ?? 0
    if (this.#times.size >= MAX_HELD) this.#times.clear()
    this.#times.set(whom, times + 1)
    return Math.min(RETRY_MS, FIRST_RETRY_MS * 2 ** times)
  }

  clear(): void {
    this.#namespaces.clear()
    this.#pods.clear()
    this.#times.clear()
  }
}

/** One of each namespace in turn, each in its own order: a namespace of thousands holds nobody up. */
export function inTurns(verdicts: readonly Verdict[]): Verdict[] {
  const turns: Verdict[][] = []
  const place = new Map<string, number>()
  for (const verdict of verdicts) {
    const turn = place.get(verdict.pod.namespace) ?? 0
    place.set(verdict.pod.namespace, turn + 1)
    const round = turns[turn]
    if (round === undefined) turns[turn] = [verdict]
    else round.push(verdict)
  }
  return turns.flat()
}

/** @param proceed asked before each step; false ends the pass */
export async function act(
  options: PassOptions,
  held: Held,
  verdicts: readonly Verdict[],
  proceed: () => boolean,
): Promise<Acted> {
  const acted = nothing()
  // What is held is told of also by a pass that is cut off.
  const free = verdicts.filter((verdict) => {
    const { pod, rules } = verdict
    const error = held.errorOf(pod.uid, options.now())
    const stays = verdict.record && verdict.onRecordFailure === 'Keep'
    const refusal = stays && error === undefined ? held.refusalIn(pod.namespace, options.now()) : undefined
    if (error !== undefined) acted.failing.push({ pod, rules, error })
    if (refusal !== undefined) acted.refused.push({ verdict, refusal })
    return error === undefined && refusal === undefined
  })
  const left = inTurns(free).values()
  const tries = new Map<string, number>()
  const tired = (namespace: string) => (tries.get(namespace) ?? 0) >= MAX_REFUSED
  const tire = (namespace: string) => tries.set(namespace, (tries.get(namespace) ?? 0) + 1)
  const goOn = () => acted.cutBy === undefined && proceed()

  const one = async (verdict: Verdict): Promise<void> => {
    const { pod } = verdict
    const now = options.now()
    const snapshot = options.podOf(pod.uid)
    if (snapshot?.resourceVersion !== pod.resourceVersion) {
      acted.overtaken.push(verdict)
      return
    }
    if (tired(pod.namespace)) return
    if (verdict.record) {
      const known = held.refusalIn(pod.namespace, now)
      const kept = known ?? (await options.keeper.keep(snapshot))
      if (kept === 'Pending') {
        acted.pending.push(verdict)
        return
      }
      if (kept !== 'Stands') {
        if (known === undefined && kept.retry === 'Later' && tire(pod.namespace).get(pod.namespace) === MAX_REFUSED) {
          // From here on the namespace is known to refuse them; that is no failure of its deletions.
          tries.delete(pod.namespace)
          held.refuse(pod.namespace, kept, now)
        }
        if (verdict.onRecordFailure === 'Keep') {
          acted.refused.push({ verdict, refusal: kept })
          return
        }
      }
    }
    await options.limit.take()
    if (!goOn()) return
    const result = await deleteFinished(options.http, options.guard, pod)
    acted[result === 'Deleted' ? 'deleted' : 'overtaken'].push(verdict)
  }

  const work = async (): Promise<void> => {
    while (goOn()) {
      const { value: verdict, done } = left.next()
      if (done === true) return
      try {
        await one(verdict)
      } catch (error) {
        if (!(error instanceof KubeError)) throw error
        if (error.code === 'Aborted' || error.retryable || error.code === 'Unauthorized') acted.cutBy ??= error
        else {
          held.holdPod(verdict.pod.uid, error, options.now())
          tire(verdict.pod.namespace)
        }
        if (error.code !== 'Aborted') acted.failed.push({ pod: verdict.pod, rules: verdict.rules, error })
      }
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, work))
  return acted
}
