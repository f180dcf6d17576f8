import type { PodTermination } from '../../api/pod-termination.ts'
import type { EndpointSliceSnapshot, PodSnapshot } from '../../core/evidence.ts'
import type { Log } from '../../kube/log.ts'
import type { Change } from '../../kube/reflector-types.ts'

/** What another part of the program learns from the recorder, so that nothing is watched and nobody is elected twice. */
export interface RecorderObserver {
  /** After the recorder has it. In the order of the watch. */
  onPod(change: Change<PodSnapshot>): void
  onEndpointSlice(change: Change<EndpointSliceSnapshot>): void
  /** See RecorderOptions.onVerdict. On the leader only. */
  onVerdict(record: PodTermination, news: boolean): void
  /** Leadership came or went; at first there is none. */
  onLeading(leading: boolean): void
}

/** What an observer throws is its own matter, and logged: it does not reach who tells it. */
export function callObserver(log: Log, call: () => void): void {
  try {
    call()
  } catch (error) {
    log.error({ err: error }, 'an observer failed')
  }
}

/** Several as one: one that throws does not keep the others from being told. */
export class Observers implements RecorderObserver {
  readonly #all: RecorderObserver[] = []
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  add(observer: RecorderObserver): void {
    this.#all.push(observer)
  }

  onPod(change: Change<PodSnapshot>): void {
    this.#each((observer) => observer.onPod(change))
  }

  onEndpointSlice(change: Change<EndpointSliceSnapshot>): void {
    this.#each((observer) => observer.onEndpointSlice(change))
  }

  onVerdict(record: PodTermination, news: boolean): void {
    this.#each((observer) => observer.onVerdict(record, news))
  }

  onLeading(leading: boolean): void {
    this.#each((observer) => observer.onLeading(leading))
  }

  #each(tell: (observer: RecorderObserver) => void): void {
    for (const observer of this.#all) callObserver(this.#log, () => tell(observer))
  }
}
