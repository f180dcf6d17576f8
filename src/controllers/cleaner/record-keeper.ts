/** Sees to it that how a pod ended is recorded before the pod goes. */
import type { PodTermination } from '../../api/pod-termination.ts'
import type { PodSnapshot } from '../../core/evidence.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { Refused } from '../../kube/refusal.ts'
import { Tracker } from '../recorder/tracker.ts'
import type { RecordWriter } from '../recorder/writer.ts'

/** Pods whose record was found or written in an earlier pass that did not get to them. */
const MAX_KNOWN = 50_000

export interface RecordKeeperOptions {
  readonly recorder: {
    standing(uid: string): 'Stands' | 'Pending' | 'None'
    recordOfRemains(pod: PodSnapshot): PodTermination | undefined
  }
  readonly writer: RecordWriter
  readonly clock: RecorderClock
}

/** Pending: the recorder is about to write it, from better evidence than what is left of the pod. */
export type Kept = 'Stands' | 'Pending' | Refused

export class RecordKeeper {
  readonly #options: RecordKeeperOptions
  readonly #known = new Set<string>()
  #written = 0

  constructor(options: RecordKeeperOptions) {
    this.#options = options
  }

  /** Records that the recorder had not written, and that were written from what was left of the pod. */
  get written(): number {
    return this.#written
  }

  /** Finds or writes the record of a pod that has finished. Throws KubeError for what may pass by itself. */
  async keep(pod: PodSnapshot): Promise<Kept> {
    const { recorder, writer, clock } = this.#options
    if (this.#known.has(pod.uid)) return 'Stands'
    const standing = recorder.standing(pod.uid)
    if (standing === 'Pending') return 'Pending'
    if (standing === 'None') {
      const record = recorder.recordOfRemains(pod)
      // A static pod, for one, has no record, and the plan does not let it go.
      if (record === undefined) return 'Pending'
      const tracker = new Tracker(pod.uid, pod.namespace, clock.now(), true)
      if (!(await writer.write(tracker, record)) && tracker.refusal !== undefined) return tracker.refusal
      // What it found was somebody else's.
      if (tracker.written !== undefined && tracker.written.digest !== '') this.#written++
    }
    if (this.#known.size >= MAX_KNOWN) this.#known.clear()
    this.#known.add(pod.uid)
    return 'Stands'
  }

  forget(uid: string): void {
    this.#known.delete(uid)
  }
}
