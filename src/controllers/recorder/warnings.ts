/**
 * Kubernetes Events for what a person should look at: a forced kill, and each finding of severity Warning, on the pod and on its
 * workload. Of one workload and finding at most one in five minutes: the first at once, the rest as a count when the time is over.
 */
import type { PodTermination } from '../../api/pod-termination.ts'
import { type Micros, SECOND } from '../../core/time.ts'
import { KubeError } from '../../kube/errors.ts'
import { type EventWriter, eventName, type KubernetesEvent, type ObjectReference } from '../../kube/events.ts'
import type { Log } from '../../kube/log.ts'

const WINDOW: Micros = 300 * SECOND
/** Windows that a stop still closes: each costs a request. */
const MAX_CLOSED_AT_STOP = 200
const MAX_KEYS = 10_000
const MAX_AGAIN = 1000

interface Warning {
  readonly reason: string
  readonly message: string
}

interface Open {
  readonly reason: string
  readonly workload: ObjectReference
  readonly openedAt: Micros
  /** Terminations since the window opened, the first included. */
  count: number
  lastMessage: string
  lastAt: Micros
  readonly pods: string[]
}

/** What a record says that is worth an Event; at most one a type. */
export function warningsOf(record: PodTermination): Warning[] {
  const found = new Map<string, Warning>()
  for (const { type, severity, container, message } of record.findings ?? []) {
    if (severity !== 'Warning' || found.has(type)) continue
    found.set(type, { reason: type, message: container === undefined ? message : `${container}: ${message}` })
  }
  if (record.outcome === 'ForcedKill' && !found.has('PreStopOverran') && !found.has('GraceExhausted')) {
    found.set('ForcedKill', {
      reason: 'ForcedKill',
      message: `killed when the ${record.pod.graceSeconds} s grace period was over`,
    })
  }
  return [...found.values()]
}

export interface WarningsOptions {
  readonly writer: EventWriter
  readonly log: Log
  readonly now: () => Micros
  /** Default five minutes. */
  readonly window?: Micros
}

export class Warnings {
  readonly #options: WarningsOptions
  readonly #window: Micros
  readonly #open = new Map<string, Open>()
  /** What the API server did not take, though it may yet. */
  #again: KubernetesEvent[] = []
  failed = 0

  constructor(options: WarningsOptions) {
    this.#options = options
    this.#window = options.window ?? WINDOW
  }

  /**
   * For one Complete or Overdue record. Never rejects: an Event is a courtesy, the record is what counts.
   *
   * @param told reasons that this termination has told of before; those told now are added
   */
  async tell(record: PodTermination, told: Set<string> = new Set()): Promise<void> {
    const now = this.#options.now()
    const { pod } = record
    const podReference: ObjectReference = {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace: pod.namespace,
      name: pod.name,
      uid: pod.uid,
    }
    const { workload } = pod
    const workloadReference: ObjectReference =
      workload?.uid === undefined || workload.kind === 'Pod'
        ? podReference
        : {
            apiVersion: workload.apiVersion ?? 'v1',
            kind: workload.kind,
            namespace: pod.namespace,
            name: workload.name,
            uid: workload.uid,
          }
    for (const { reason, message } of warningsOf(record)) {
      if (told.has(reason)) continue
      told.add(reason)
      const key = `${workloadReference.uid}/${reason}`
      const open = this.#open.get(key)
      if (open !== undefined && now - open.openedAt < this.#window) {
        open.count++
        open.lastMessage = message
        open.lastAt = now
        if (open.pods.length < 5) open.pods.push(pod.name)
        continue
      }
      if (open !== undefined) await this.#close(key, open)
      if (this.#open.size >= MAX_KEYS) continue
      this.#open.set(key, {
        reason,
        workload: workloadReference,
        openedAt: now,
        count: 1,
        lastMessage: message,
        lastAt: now,
        pods: [pod.name],
      })
      const first = { count: 1, firstAt: now, lastAt: now }
      await this.#write(warning(podReference, reason, message, first))
      if (workloadReference !== podReference)
        await this.#write(warning(workloadReference, reason, `pod ${pod.name}: ${message}`, first))
    }
  }

  /** Writes what could not be written before, closes the windows whose time is over and tells their counts. To be called each few seconds. */
  async flush(): Promise<void> {
    const again = this.#again
    this.#again = []
    for (const event of again) await this.#write(event)
    const now = this.#options.now()
    for (const [key, open] of [...this.#open]) {
      if (now - open.openedAt >= this.#window) await this.#close(key, open)
    }
  }

  /** Tells the counts so far, those of the most pods first: this process writes no more. */
  async close(): Promise<void> {
    const counted = [...this.#open].filter(([, open]) => open.count > 1).sort(([, a], [, b]) => b.count - a.count)
    await Promise.all(counted.slice(0, MAX_CLOSED_AT_STOP).map(([key, open]) => this.#close(key, open)))
  }

  async #close(key: string, open: Open): Promise<void> {
    this.#open.delete(key)
    if (open.count === 1) return
    const others = open.count > open.pods.length ? ` and ${open.count - open.pods.length} more` : ''
    const message = `${open.count} pods within ${spanOf(open.lastAt - open.openedAt)} (${open.pods.join(', ')}${others}); the last: ${open.lastMessage}`
    const { count, openedAt: firstAt, lastAt } = open
    await this.#write(warning(open.workload, open.reason, message, { count, firstAt, lastAt }))
  }

  async #write(event: KubernetesEvent): Promise<void> {
    try {
      const result = await this.#options.writer.write(event)
      if (result.result === 'Refused') this.failed++
    } catch (error) {
      this.#options.log.debug({ error: String(error), reason: event.reason }, 'event not written')
      if (error instanceof KubeError && error.retryable && this.#again.length < MAX_AGAIN) this.#again.push(event)
      else this.failed++
    }
  }
}

function warning(
  object: ObjectReference,
  reason: string,
  message: string,
  times: Pick<KubernetesEvent, 'count' | 'firstAt' | 'lastAt'>,
): KubernetesEvent {
  const name = eventName(object.name, `${object.uid}/${reason}/${times.firstAt}`)
  return { name, object, type: 'Warning', reason, message, ...times }
}

/** How long it took, in the unit that a person would use; never less than it was. */
function spanOf(micros: Micros): string {
  const seconds = Math.ceil(micros / SECOND)
  return seconds <= 90 ? `${Math.max(1, seconds)} s` : `${Math.ceil(seconds / 60)} minutes`
}
