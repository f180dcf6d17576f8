/**
 * After a change of leader or a restart: what happened while nobody watched is recorded from what is left of it. Nothing older than
 * the high-water mark comes back, and without one (a first installation) there is nothing to catch up with.
 */
import { type PodTermination, podTerminationSchema } from '../../api/pod-termination.ts'
import type { PodSnapshot } from '../../core/evidence.ts'
import { type RecordObject, recordName, recordObject } from '../../core/record-object.ts'
import { closeUnseen } from '../../core/termination/close-unseen.ts'
import { isTerminal } from '../../core/termination/history.ts'
import { firstOccurrence } from '../../core/termination/kubelet-events.ts'
import { type Micros, parseTime } from '../../core/time.ts'
import type { RecordClient, StoredPodTermination } from '../../kube/apply.ts'
import type { RecorderClock } from '../../kube/clock.ts'
import type { KubeHttp } from '../../kube/http.ts'
import type { Log } from '../../kube/log.ts'
import type { Recorder } from './recorder.ts'

interface Named {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface CatchUpOptions {
  readonly http: Pick<KubeHttp, 'request'>
  readonly recorder: Recorder
  readonly records: RecordClient
  readonly clock: RecorderClock
  readonly log: Log
  readonly namespace: string
  readonly pods: { get(uid: string): PodSnapshot | undefined; values(): Iterable<PodSnapshot> }
  /** Pods that had ended and went before this replica led. */
  readonly missed: { ended(): Iterable<PodSnapshot> }
  /** How far back at most, in microseconds. */
  readonly reach: Micros
  /** Of each record that another run had begun and that is completed here; see RecorderOptions.onVerdict. */
  readonly onVerdict: (record: PodTermination, news: boolean) => void
}

/** When a pod that nobody deleted came to its end, by its own status. */
function endOf(pod: PodSnapshot): Micros | undefined {
  const times = [
    ...pod.statuses.map((status) => status.terminated?.finishedAt),
    ...pod.conditions.map((condition) => condition.lastTransitionTime),
  ].flatMap((text) => parseTime(text) ?? [])
  return times.length === 0 ? undefined : Math.max(...times)
}

/**
 * @param watchedFrom since when this process has watched without a gap
 * @param mark the high-water mark of the leader before; undefined where there was none
 * @returns how many terminations were taken up
 */
export async function catchUp(options: CatchUpOptions, watchedFrom: Micros, mark: Micros | undefined): Promise<number> {
  const { recorder, pods, missed, clock } = options
  const now = clock.now()
  let count = await closeOpenRecords(options, mark)
  if (mark === undefined || mark >= watchedFrom) return count
  const from = Math.max(mark, now - options.reach)
  recorder.onGap('Pod', { from: mark, to: watchedFrom, reason: 'no controller was running' })

  // One after the other: most are packed, and all of them at once would be the memory that packing saves.
  for (const pod of concat(pods.values(), missed.ended())) {
    const ended = isTerminal(pod) && pod.deletionTimestamp === undefined ? endOf(pod) : undefined
    if (
      ended === undefined ||
      ended < from ||
      ended > watchedFrom ||
      recorder.tracks(pod.uid) ||
      !recorder.inScope(pod.namespace)
    )
      continue
    recorder.track({ type: 'Pod', change: 'Listed', arrivedAt: now, pod }, undefined, from)
    count++
  }
  for (const [uid, events] of [...recorder.evidence.eventsByPod()]) {
    const named = events[0]?.event.pod
    if (named === undefined || recorder.tracks(uid) || pods.get(uid) !== undefined || !recorder.inScope(named.namespace)) continue
    const stopped = events.some(({ event }) => event.reason === 'Killing' && (firstOccurrence(event)?.latest ?? 0) >= from)
    // What has come meanwhile is followed by now.
    if (!stopped || (await isThere(options.http, named)) || recorder.tracks(uid)) continue
    recorder.track({ type: 'Absent', arrivedAt: now, pod: { ...named } }, undefined, from)
    count++
  }
  return count
}

function* concat<T>(...lists: readonly Iterable<T>[]): Generator<T> {
  for (const list of lists) yield* list
}

/** Records of terminations that another run had begun, whose pods are gone. */
async function closeOpenRecords(options: CatchUpOptions, mark: Micros | undefined): Promise<number> {
  const { http, records, recorder, pods, clock, log } = options
  let count = 0
  for await (const stored of records.list({ fieldSelector: 'state!=Complete' })) {
    // Only an agent has written it: not a record that another run had begun (see begun.ts).
    if (stored.state === undefined) continue
    const { uid } = stored.pod
    if (recorder.tracks(uid) || pods.get(uid) !== undefined || !recorder.inScope(stored.pod.namespace)) continue
    // What has come meanwhile is followed by now.
    if ((await isThere(http, stored.pod)) || recorder.tracks(uid)) continue
    const object = closed(stored, clock.now(), mark, options.namespace)
    if (object === undefined) {
      log.warn({ record: `${stored.metadata.namespace}/${stored.metadata.name}` }, 'record of another version left as it is')
      continue
    }
    const result = await records.apply(object)
    recorder.counts.add(result)
    if (result.result === 'Written') {
      count++
      options.onVerdict(object, true)
    } else {
      const { namespace, name } = stored.metadata
      const { reason, message: error } = result
      log.warn({ namespace, record: name, reason, error }, 'records refused: one that was begun is not completed')
    }
  }
  return count
}

/**
 * Whether the pod itself is in the API. A replica that comes to lead may have a dead watch without its knowing, and then has never seen it;
 * when the watch is well again it takes the pod up. There is the right to list pods, not to get one.
 */
async function isThere(http: CatchUpOptions['http'], { namespace, name, uid }: Named): Promise<boolean> {
  const response = await http.request({
    method: 'GET',
    path: `/api/v1/namespaces/${namespace}/pods`,
    query: { fieldSelector: `metadata.name=${name}` },
    accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
  })
  const { items } = response.json<{ readonly items?: readonly { readonly metadata?: { readonly uid?: string } }[] }>()
  return items?.some(({ metadata }) => metadata?.uid === uid) ?? false
}

function closed(stored: StoredPodTermination, now: Micros, mark: Micros | undefined, own: string): RecordObject | undefined {
  // Only what this version knows of is written back; the fields of others stay theirs, and so does the agent's.
  const parsed = podTerminationSchema.safeParse({ ...stored, kernel: undefined })
  if (!parsed.success) return undefined
  const record = closeUnseen(parsed.data, now, mark)
  const elsewhere = stored.metadata.namespace !== stored.pod.namespace && stored.metadata.namespace === own
  const full = stored.metadata.name !== recordName(stored.pod, elsewhere ? { prefix: stored.pod.namespace } : {})
  return recordObject(record, { ...(full ? { full } : {}), ...(elsewhere ? { elsewhere: own } : {}) })
}
