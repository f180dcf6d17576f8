import { existsSync } from 'node:fs'
import { openConnection } from '../../src/kube/connection.ts'
import type { KubeHttp } from '../../src/kube/http.ts'
import type { Progress } from '../cluster/progress.ts'
import { DEFAULT_IMAGE, type NamedCluster } from './arguments.ts'
import { startLocalController } from './local-controller.ts'
import { limitedTo, readManifests } from './manifests.ts'
import { applyMissing, awaitEstablished } from './missing.ts'
import { prepareAgent } from './named-agent.ts'
import { createNamespace, newNamespaceName, removeNamespace } from './namespace.ts'
import { Objects, until } from './objects.ts'
import { probeImage } from './probe-image.ts'
import type { Target } from './target.ts'
import type { Undo } from './undo.ts'

const CONTROLLER = 'app.kubernetes.io/name=gracewatch,app.kubernetes.io/component=controller'
/** The kubelet's own sleep as a preStop hook is there from this minor on. */
const OLDEST_MINOR = 30

interface Deployment {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec: {
    readonly replicas?: number
    readonly template: { readonly spec: { readonly containers: readonly { readonly name: string; readonly image: string }[] } }
  }
  readonly status?: { readonly readyReplicas?: number; readonly conditions?: readonly { type: string; message?: string }[] }
}

/** Connects to the cluster that the user names and says all that is in the way, before anything is changed there. */
export async function openNamed(named: NamedCluster, undo: Undo): Promise<Objects> {
  if (!existsSync(named.kubeconfig))
    throw new Error(`${named.kubeconfig} does not exist: name a kubeconfig file with --kubeconfig`)
  const { http, describe } = await openConnection({
    kubeconfig: named.kubeconfig,
    userAgent: 'gracewatch-demo',
    ...(named.context === undefined ? {} : { context: named.context }),
  })
  undo.add('closing the connection', () => http.close())
  const objects = new Objects(http)
  const gitVersion = await versionOf(http).catch((error: unknown) => {
    throw new Error(`${describe()} cannot be used: ${error instanceof Error ? error.message : String(error)}`)
  })
  const minor = Number(/^v1\.(\d+)/.exec(gitVersion)?.[1])
  const problems = await missingRights(objects)
  if (!(minor >= OLDEST_MINOR))
    problems.push(`it runs Kubernetes ${gitVersion}: the experiments need v1.${OLDEST_MINOR} or later`)
  if (problems.length > 0) throw new Error(`this cluster cannot run the demo:\n${problems.map((it) => `  ${it}`).join('\n')}`)
  return objects
}

/** The first call is not repeated: an address at which nobody answers is most likely the wrong one. */
async function versionOf(http: KubeHttp): Promise<string> {
  const answer = await http.request({ method: 'GET', path: '/version' })
  return answer.json<{ gitVersion: string }>().gitVersion
}

/** Asks for the rights that the demo needs in any case. */
async function missingRights(objects: Objects): Promise<string[]> {
  const wanted = [
    { group: '', resource: 'namespaces', verb: 'create' },
    { group: '', resource: 'namespaces', verb: 'delete' },
    { group: '', resource: 'pods', verb: 'create' },
    { group: '', resource: 'services', verb: 'create' },
    { group: '', resource: 'configmaps', verb: 'create' },
    { group: 'apps', resource: 'deployments', verb: 'list' },
    { group: 'apps', resource: 'deployments', verb: 'create' },
  ]
  const answers = await Promise.all(wanted.map(async (right) => ({ right, allowed: await mayI(objects, right) })))
  return answers
    .filter(({ allowed }) => !allowed)
    .map(({ right }) => `its user may not ${right.verb} ${right.resource} in all namespaces: use one with cluster-admin`)
}

async function mayI(objects: Objects, resourceAttributes: Readonly<Record<string, string>>): Promise<boolean> {
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
  const answer = await objects.request({ method: 'POST', path, body })
  return answer.json<{ status: { allowed: boolean } }>().status.allowed
}

interface NamedOptions {
  readonly objects: Objects
  readonly named: NamedCluster
  readonly wantsAgent: boolean
  readonly progress: Progress
  readonly undo: Undo
  readonly signal: AbortSignal
}

/** Makes the demo's namespace, checks the image in it, and sees to it that Gracewatch looks at that namespace. */
export async function prepareNamed(options: NamedOptions): Promise<Target> {
  const { objects, named, progress, undo, signal } = options
  const namespace = newNamespaceName()
  const image = named.image ?? DEFAULT_IMAGE
  const running = await findController(objects)
  const systemNamespace = running?.metadata.namespace ?? namespace
  let installed = false
  undo.add(`removing namespace ${namespace}`, () =>
    removeNamespace(objects, namespace, installed ? SYSTEM_NAMESPACE : systemNamespace),
  )
  await createNamespace(objects, namespace)
  const probe = await progress.step(`trying the image ${image}`, (note) => probeImage(objects, namespace, image, note, signal))
  if (running !== undefined) {
    progress.say(`Gracewatch runs in namespace ${running.metadata.namespace} and stays as it is`)
    return withAgent(options, { namespace, image, systemNamespace }, probe.isGracewatch ? image : imageOf(running))
  }
  if (!probe.isGracewatch) {
    await applyMissing(
      objects,
      readManifests().filter(({ kind }) => kind === 'CustomResourceDefinition'),
      undo,
    )
    await awaitEstablished(objects, signal)
    progress.say('Gracewatch is not in this cluster: its controller runs on this machine for the time of the demo')
    await progress.step('waiting for the controller to lead', () => startLocalController(named, namespace, undo, signal))
    return withAgent(options, { namespace, image, systemNamespace }, undefined)
  }
  installed = true
  await progress.step('installing Gracewatch', async (note) => {
    const manifests = readManifests().map((object) =>
      object.kind === 'Deployment' ? limitedTo(namespace, image, object) : object,
    )
    await applyMissing(objects, manifests, undo, note)
    await awaitController(objects, note, signal)
  })
  return withAgent(options, { namespace, image, systemNamespace: SYSTEM_NAMESPACE }, image)
}

const imageOf = ({ spec }: Deployment): string | undefined =>
  spec.template.spec.containers.find(({ name }) => name === 'controller')?.image

/** @param gracewatchImage what the agent can run from, as far as there is such an image */
async function withAgent(
  { objects, wantsAgent, progress, undo, signal }: NamedOptions,
  target: Omit<Target, 'agent' | 'objects'>,
  gracewatchImage: string | undefined,
): Promise<Target> {
  const agent = wantsAgent && (await prepareAgent({ objects, progress, undo, signal, ...target, image: gracewatchImage }))
  return { objects, ...target, agent }
}

const SYSTEM_NAMESPACE = 'gracewatch-system'

/** The controller's Deployment, wherever somebody has installed it. */
async function findController(objects: Objects): Promise<Deployment | undefined> {
  const list = await objects.read<{ items: Deployment[] }>('/apis/apps/v1/deployments', { labelSelector: CONTROLLER })
  const [found, ...more] = list.items
  if (found === undefined) return undefined
  const where = `${found.metadata.namespace}/${found.metadata.name}`
  if (more.length > 0) throw new Error(`more than one Deployment has the labels ${CONTROLLER}: leave one of them`)
  if ((found.status?.readyReplicas ?? 0) > 0) return found
  throw new Error(`Gracewatch is installed (${where}) but no replica is ready: repair it or remove it, then run the demo again`)
}

async function awaitController(objects: Objects, note: (text: string) => void, signal: AbortSignal): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${SYSTEM_NAMESPACE}/deployments/gracewatch-controller`
  const read = () => objects.read<Deployment>(path)
  await until(
    async () => {
      const { spec, status } = await read()
      const [ready, wanted] = [status?.readyReplicas ?? 0, spec.replicas ?? 1]
      note(`${ready} of ${wanted} replicas ready`)
      return ready >= wanted || undefined
    },
    {
      what: 'the controller to be ready',
      withinMs: 180_000,
      signal,
      seen: async () => (await read()).status?.conditions?.map(({ message }) => message).join('; ') ?? 'it has no status',
    },
  )
}
