import type { PodTermination } from '../../api/pod-termination.ts'
import type { EndpointSliceSnapshot, PodSnapshot } from '../../core/evidence.ts'
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
