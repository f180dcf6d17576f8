/** The agent in a cluster that the user names: used where it is, installed for the time of the demo where it is not and can be. */
import { messageOf } from '../cluster/errors.ts'
import { type Progress, silentProgress } from '../cluster/progress.ts'
import { AGENT_MANIFESTS, limitedTo, readManifests } from './manifests.ts'
import { applyMissing, CRD_NAME } from './missing.ts'
import { type Objects, until } from './objects.ts'
import { Undo } from './undo.ts'

const LABELS = 'app.kubernetes.io/name=gracewatch,app.kubernetes.io/component=agent'
const NAMESPACE = 'gracewatch-agent-system'
/** The image may have to be pulled on every node. */
const READY_WITHIN_MS = 90_000

interface DaemonSet {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly status?: { readonly desiredNumberScheduled?: number; readonly numberReady?: number }
}

interface Pod {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly nodeName?: string }
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses?: readonly {
      readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } }
    }[]
  }
}

interface AgentOptions {
  readonly objects: Objects
  readonly progress: Progress
  readonly undo: Undo
  readonly signal: AbortSignal
  /** The demo's own: no other is measured. */
  readonly namespace: string
  readonly systemNamespace: string
  /** One of Gracewatch. */
  readonly image: string | undefined
}

/**
 * @returns whether an agent measures on every node. Where it does not the person at the terminal is told why, and what was made for it
 * is gone again: the demo goes on without.
 */
export async function prepareAgent(options: AgentOptions): Promise<boolean> {
  const { objects, progress, undo, signal, image } = options
  const without = (why: string) => {
    progress.say(`${why}: the demo goes on without measurements`)
    return false
  }
  const running = await findAgent(objects)
  if (running !== undefined) {
    const where = `the agent runs in namespace ${running.metadata.namespace}`
    const words = readiness(running)
    if (!words.ready) return without(`${where}, but is ready on ${words.text}`)
    progress.say(`${where} and stays as it is`)
    return true
  }
  if (!(await knowsKernel(objects))) return without(`${CRD_NAME} in this cluster is older than the agent`)
  if (image === undefined) return without('the agent needs an image built from the Dockerfile, with --image')

  const made = new Undo()
  // Before anything is made: it has to go too where making it fails or is interrupted.
  const remove = async () => {
    const left = await made.run(silentProgress)
    if (left.length > 0) throw new Error(left.join('; '))
  }
  undo.add('removing the agent', remove)
  try {
    await progress.step('installing the agent', (note) => installAgent(options, image, made, note))
    return true
  } catch (error) {
    signal.throwIfAborted()
    const why = messageOf(error)
    await progress.step('removing the agent', remove)
    return without(why)
  }
}

async function findAgent(objects: Objects): Promise<DaemonSet | undefined> {
  const { items } = await objects.read<{ items: DaemonSet[] }>('/apis/apps/v1/daemonsets', { labelSelector: LABELS })
  return items[0]
}

function readiness({ status }: DaemonSet): { readonly ready: boolean; readonly text: string } {
  const [ready, wanted] = [status?.numberReady ?? 0, status?.desiredNumberScheduled ?? 0]
  return { ready: wanted > 0 && ready >= wanted, text: `${ready} of ${wanted} nodes` }
}

async function knowsKernel(objects: Objects): Promise<boolean> {
  interface Definition {
    readonly spec: {
      readonly versions: readonly { readonly schema?: { readonly openAPIV3Schema?: { readonly properties?: object } } }[]
    }
  }
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${CRD_NAME}`
  const { spec } = await objects.read<Definition>(path)
  return spec.versions.some(({ schema }) => 'kernel' in (schema?.openAPIV3Schema?.properties ?? {}))
}

async function installAgent(
  { objects, namespace, systemNamespace, signal }: AgentOptions,
  image: string,
  made: Undo,
  note: (text: string) => void,
): Promise<void> {
  const variables = { GRACEWATCH_RECORDS_NAMESPACE: systemNamespace }
  const manifests = readManifests(AGENT_MANIFESTS).map((object) =>
    object.kind === 'DaemonSet' ? limitedTo(namespace, image, object, variables) : object,
  )
  await applyMissing(objects, manifests, made, note)
  let last = 'no node'
  await until(
    async () => {
      const found = await findAgent(objects)
      if (found === undefined) return undefined
      const { ready, text } = readiness(found)
      last = text
      note(`ready on ${text}`)
      return ready || undefined
    },
    {
      what: 'the agent to be ready',
      withinMs: READY_WITHIN_MS,
      signal,
      seen: async () => `ready on ${last}. ${await why(objects)}`,
    },
  )
}

/** What a person would look at: what keeps a container from starting, else what the agent itself says. */
async function why(objects: Objects): Promise<string> {
  const pods = `/api/v1/namespaces/${NAMESPACE}/pods`
  const { items } = await objects.read<{ items: Pod[] }>(pods, { labelSelector: LABELS })
  const isReady = ({ status }: Pod) => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')
  const pod = items.find((item) => isReady(item) !== true)
  if (pod === undefined) return 'There is no pod of it'
  const { name } = pod.metadata
  const node = `on ${pod.spec.nodeName ?? 'no node'}`
  const { reason, message } = pod.status?.containerStatuses?.[0]?.state?.waiting ?? {}
  if (reason !== undefined && reason !== 'ContainerCreating') return `${node}: ${[reason, message].filter(Boolean).join(': ')}`
  const { items: events } = await objects.read<{ items: { type?: string; reason?: string; message?: string }[] }>(
    `/api/v1/namespaces/${NAMESPACE}/events`,
    { fieldSelector: `involvedObject.name=${name},type=Warning` },
  )
  const said = reason === undefined ? await lastTrouble(objects, `${pods}/${name}/log`) : undefined
  const event = events.at(-1)
  return `${node}: ${said ?? (event === undefined ? 'it says nothing' : `${event.reason}: ${event.message}`)}`
}

/** The last error; a warning where there is none. */
async function lastTrouble(objects: Objects, path: string): Promise<string | undefined> {
  const answer = await objects.request({ method: 'GET', path, query: { tailLines: 50 }, accept: '*/*' })
  const lines = new TextDecoder().decode(answer.body).trim().split('\n')
  const last = (level: RegExp) => lines.findLast((text) => level.test(text))
  const line = last(/"level":"(error|fatal)"/) ?? last(/"level":"warn"/)
  if (line === undefined) return undefined
  const { msg, error } = JSON.parse(line) as { msg?: string; error?: string } // the agent's own log
  return [msg, error].filter(Boolean).join(': ')
}
