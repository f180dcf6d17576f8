import { type Experiment, experimentPod } from './experiments.ts'
import { pause, until } from './objects.ts'
import { awaitRecord, type Recorded } from './records.ts'
import type { Target } from './target.ts'

/** A starting container's first seconds are the kubelet's: it takes a delete up at once only when it is done with the start. */
const SETTLED_MS = 1_500
const STARTS_WITHIN_MS = 120_000
/** On top of what the pod takes by itself. */
const RECORDED_WITHIN_MS = 45_000

/** Makes the experiment's pod, deletes it once the app says that it runs, and returns the record. `note` says how far it is. */
export async function runExperiment(
  target: Target,
  experiment: Experiment,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<Recorded> {
  const { objects, namespace, image } = target
  const pod = experimentPod(experiment, namespace, image)
  const { metadata } = await objects.apply<{ metadata: { name: string; uid: string } }>(pod)
  const path = await objects.pathOf(pod)
  note('starting')
  // The programs set their handlers before they say so; a signal that comes sooner would tell of something else.
  await until(async () => ((await log(target, metadata.name))?.includes('running') ? true : undefined), {
    what: `pod ${metadata.name} to run`,
    withinMs: STARTS_WITHIN_MS,
    signal,
    seen: async () => JSON.stringify((await objects.find<{ status?: unknown }>(path))?.status),
  })
  await pause(SETTLED_MS, signal)
  await objects.delete(path)
  note('ending')
  return awaitRecord(target, metadata, experiment.takes * 1_000 + RECORDED_WITHIN_MS, signal)
}

/** What the pod's container has said so far; undefined while it has not started. */
export async function log({ objects, namespace }: Target, pod: string, tailLines = 20): Promise<string | undefined> {
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/log`
  try {
    const answer = await objects.request({ method: 'GET', path, query: { tailLines }, accept: '*/*' })
    return new TextDecoder().decode(answer.body)
  } catch (error) {
    // 400 while the container is being made, 404 while its kubelet has not heard of it.
    if (error instanceof Error && 'status' in error && (error.status === 400 || error.status === 404)) return undefined
    throw error
  }
}
